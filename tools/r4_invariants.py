"""The invariants of FHIR R4 that the gate holds: those whose breach loses or twists data."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Invariant:
    """`rule` is a JSON Schema of the type it stands at, `element` where the fault is shown."""

    key: str
    element: str
    text: str
    rule: dict[str, Any]


INVARIANTS: defaultdict[str, list[Invariant]] = defaultdict(list)

INVARIANTS["Period"] = [
    Invariant(
        "per-1",
        "",
        "A period may not end before it starts",
        {"if": {"required": ["start", "end"]}, "then": {"ordered": True}},
    ),
]
