"""The story of the demo: what is done in which order, and what is remembered from one check to the next."""

from __future__ import annotations

from collections.abc import Iterator

from . import demo_intake, demo_sync
from .demo_check import Step
from .demo_memory import Memory
from .demo_stage import Stage

Chapter = tuple[str, list[Step]]


def chapters(stage: Stage) -> Iterator[Chapter]:
    """Title and checks, in order; a later chapter builds on what the earlier ones did."""
    memory = Memory(stage)
    yield "Set-up", demo_intake.set_up(memory)
    yield "1. A FHIR client posts a transaction Bundle", demo_intake.fhir_client(memory)
    yield "2. A partner posts a patient as plain JSON", demo_intake.rest_partner(memory)
    yield "3. A clinic posts a C-CDA document of a patient who is known", demo_intake.clinic(memory)
    yield "4. Both other sides have been brought up to date", demo_intake.other_sides(memory)
    yield "5. Repeats change nothing; an edit elsewhere changes one field", demo_sync.repeats_and_edits(memory)
    yield "6. A side that is down, and a gateway that is killed", demo_sync.failures(memory)
    yield "7. An analyst takes a snapshot", demo_sync.analyst(memory)
