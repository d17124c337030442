"""A section of plans -> CarePlan: its words and its goals (US Core CarePlan: assessment and plan).

The requests stand beside it in the section of the Composition. Only where the section asks for something: one that says
that there is no plan is none.
"""

from __future__ import annotations

from .context import Context, Reference
from .node import Node
from .people import fits
from .values import Value, concept, identifiers, kept

CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/careplan-category"
PLANS = frozenset(["18776-5", "51847-2"])
"""Plan of Treatment, Assessment and Plan."""

_REQUESTS = ("ServiceRequest", "MedicationRequest", "DeviceRequest")


def care_plan(section: Node, title: str | None, div: str, entries: list[Reference], ctx: Context) -> Reference | None:
    """Whether the plan still holds nobody said. A section without an id is known by its words, not by the order of its
    entries."""
    goals = [one for one in entries if fits(one, "Goal")]
    if not goals and not any(fits(one, *_REQUESTS) for one in entries):
        return None
    body: Value = {
        "identifier": identifiers(section.all("id")),
        "text": {"status": "additional", "div": div},
        "status": "unknown",
        "intent": "plan",
        "category": [concept("assess-plan", CATEGORY, "Assessment and Plan of Treatment")],
        "title": title,
        "subject": ctx.patient,
        "encounter": ctx.encounter,
        "goal": goals,
    }
    ids = sorted(f"{one.get('root')}^{one.get('extension')}" for one in section.all("id") if one.get("root"))
    resource = {"resourceType": "CarePlan", "id": "", **kept(body)}
    return ctx.keep("CarePlan", resource, (ctx.patient_id, "CarePlan", *(ids or [div])), section.element)
