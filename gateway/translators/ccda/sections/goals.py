"""Goals (LOINC 61146-7) -> Goal (C-CDA R2.1 §3.46 Goal Observation; US Core Goal)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.observation import value_of
from gateway.translators.ccda.people import fits, recording
from gateway.translators.ccda.registry import entry, others
from gateway.translators.ccda.statement import (
    PRIORITY,
    ROOT,
    Relations,
    denied,
    mapped,
    notes,
    of_kind,
    referenced,
    related,
    value_code,
)
from gateway.translators.ccda.times import Interval
from gateway.translators.ccda.values import (
    Value,
    absent,
    codeable,
    coding,
    concept,
    identifiers,
    interval,
    kept,
    resolved,
)

PRIORITIES = "http://terminology.hl7.org/CodeSystem/goal-priority"
_DETAILS = {
    "valueQuantity": "detailQuantity",
    "valueRange": "detailRange",
    "valueCodeableConcept": "detailCodeableConcept",
    "valueString": "detailString",
    "valueBoolean": "detailBoolean",
    "valueInteger": "detailInteger",
    "valueRatio": "detailRatio",
}
_GENERIC = frozenset(["ASSERTION", "59776-5", None])


@entry(ROOT + "121", sections=("61146-7",), element="observation", in_any_mood=True)
def goal_observation(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    yield goal(observation, ctx)


def goal(observation: Node, ctx: Context) -> Reference | None:
    """None when it does not say what is to be reached. A negated one says that it is no goal: it is left out."""
    value = value_of(observation.get("value"), ctx)
    what = _description(observation, value, ctx)
    if what is None or observation.untold:
        return None
    if observation.negated:
        ctx.issue("warning", "not-supported", "a negated goal stays in the narrative only", observation.element)
        return None
    relations = related(observation)
    for _, one in relations:
        if not PRIORITY.isdisjoint(one.kinds):
            denied(one, ctx)
    beside = others([one for one in relations if PRIORITY.isdisjoint(one[1].kinds)], ctx)
    when = interval(observation.get("effectiveTime"), ctx)
    author, _ = recording(observation, ctx)
    status = mapped("goal-status", observation.attribute("statusCode", "code"))
    body = {
        "identifier": identifiers(observation.all("id")),
        "lifecycleStatus": status.code if status else None,
        "_lifecycleStatus": None if status else absent(),
        "priority": _priority(relations, ctx),
        "description": what,
        "subject": ctx.patient,
        "startDate": (when.start or "")[:10],
        "target": _target(observation, value, when, ctx),
        "expressedBy": fits(author, "Patient", "Practitioner", "PractitionerRole", "RelatedPerson"),
        "addresses": [*referenced(relations, ctx, "Condition"), *(one for one in beside if fits(one, "Condition"))],
        "note": notes(relations, ctx),
    }
    return ctx.add("Goal", kept(body), observation)


def _description(observation: Node, value: Value, ctx: Context) -> Value | None:
    """Its code; where that says no more than that it is a goal, its value, else its words."""
    generic = observation.attribute("code", "code") in _GENERIC
    code = None if generic else codeable(observation.get("code"), ctx)
    if code is not None:
        return code
    if "valueCodeableConcept" in value:
        return dict(value["valueCodeableConcept"])
    text = value.get("valueString") or resolved(observation.get("text"), ctx)
    return {"text": text} if text else codeable(observation.get("code"), ctx)


def _target(observation: Node, value: Value, when: Interval, ctx: Context) -> list[Value] | None:
    """What is to be measured, the value to be reached and the day by which. FHIR has no measure without a value
    (gol-1)."""
    detail = next(({_DETAILS[name]: found} for name, found in value.items() if name in _DETAILS), {})
    measure = codeable(observation.get("code"), ctx) if detail else None
    target = kept({"measure": measure, **detail, "dueDate": (when.high or "")[:10]})
    return [target] if target else None


def _priority(relations: Relations, ctx: Context) -> Value | None:
    """Priority Preference of whoever set the goal."""
    for one in of_kind(PRIORITY, relations):
        if known := mapped("goal-priority", value_code(one)):
            said = coding(one.get("value"))
            return {"coding": [*concept(known.code, PRIORITIES, known.display)["coding"], *([said] if said else [])]}
        return codeable(one.get("value"), ctx)
    return None
