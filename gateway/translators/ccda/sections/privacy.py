"""Security labels of an entry (HL7 CDA R2 Data Segmentation for Privacy) -> `meta.security` of what it became."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.registry import entry
from gateway.translators.ccda.statement import components
from gateway.translators.ccda.values import coding

_DS4P = "2.16.840.1.113883.3.445."


@entry("2.16.840.1.113883.3.3251.1.4", sections=("57017-6",), element="organizer", in_any_mood=True)
def privacy_annotation(organizer: Node, ctx: Context) -> Iterator[Reference | None]:
    """Privacy Annotation: its observations are the labels. It is no fact about the patient: no resource."""
    for one in components(organizer):
        yield from security_label(one, ctx)


@entry(*(_DS4P + one for one in ("12", "14", "21", "22", "23")), in_any_mood=True)
def security_label(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    if label := coding(observation.get("value")):
        ctx.labels.append(label)
    yield None
