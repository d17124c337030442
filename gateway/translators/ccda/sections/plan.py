"""Plan of Treatment (LOINC 18776-5): what is asked for -> ServiceRequest, MedicationRequest, Encounter, DeviceRequest,
ImmunizationRecommendation (C-CDA R2.1 §3.74 to §3.84; US Core ServiceRequest, as HL7's mapping has no plans).
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.encounter import add_encounter, encounter_body, participant, places
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.observation import value_of
from gateway.translators.ccda.people import fits, performers, recording, responsible
from gateway.translators.ccda.registry import entry, others
from gateway.translators.ccda.sections.goals import goal
from gateway.translators.ccda.statement import (
    INSTRUCTION,
    ROOT,
    Relations,
    concepts,
    encounter,
    instructed,
    instruction,
    mapped,
    notes,
    reasons,
    referenced,
    related,
)
from gateway.translators.ccda.values import (
    Value,
    codeable,
    distinct,
    identifiers,
    in_words,
    kept,
    resolved,
    timed,
)

SECTION = "18776-5"
_PERFORMERS = ("Practitioner", "PractitionerRole", "Organization", "CareTeam", "Patient", "Device", "RelatedPerson")
_REQUESTERS = ("Practitioner", "PractitionerRole", "Organization", "Patient", "RelatedPerson", "Device")


@entry(ROOT + "44", sections=(SECTION,), element="observation", in_any_mood=True)
def planned_observation(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Planned Observation; one in goal mood is a Goal."""
    yield goal(observation, ctx) if observation.element.get("moodCode") == "GOL" else request(observation, ctx)


@entry(ROOT + "39", ROOT + "140", ROOT + "130", ROOT + "123", sections=(SECTION, "42349-1"), element="act")
def planned_act(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Planned Act, Referral, Nutrition Recommendation, Drug Monitoring."""
    yield request(act, ctx)


@entry(ROOT + "41", sections=(SECTION, "59772-4"), element="procedure")
def planned_procedure(procedure: Node, ctx: Context) -> Iterator[Reference | None]:
    yield request(procedure, ctx)


@entry(ROOT + "40", sections=(SECTION,), element="encounter")
def planned_encounter_entry(node: Node, ctx: Context) -> Iterator[Reference | None]:
    yield planned_encounter(node, ctx)


def request(statement: Node, ctx: Context) -> Reference | None:
    """What is planned, asked for or proposed -> ServiceRequest; None when it does not say what."""
    outer, relations = statement, related(statement)
    if (same := _same(statement, relations)) is not None:
        statement, relations = same, related(same)
    told = _told(statement, relations, ctx)
    code = _asked(statement, ctx)
    if code is None and told is None:
        return None
    author, written = recording(statement, ctx)
    body = {
        "identifier": identifiers(statement.all("id")),
        "status": _status(statement),
        "intent": _intent(outer),
        "priority": _priority(statement),
        "doNotPerform": True if outer.negated or statement.negated else None,
        "code": code or {"text": told},
        "orderDetail": concepts(statement.all("methodCode"), ctx),
        "subject": ctx.patient,
        "encounter": encounter(relations, ctx),
        **timed("occurrence", statement.get("effectiveTime"), ctx),
        "authoredOn": written,
        "requester": fits(author, *_REQUESTERS),
        "performer": [one for one in distinct(_sought_after(statement, ctx)) if fits(one, *_PERFORMERS)],
        "locationReference": [one["location"] for one in places(statement, ctx)],
        "reasonCode": reasons(relations, ctx),
        "reasonReference": referenced(relations, ctx, "Condition", only="RSON"),
        "bodySite": concepts(statement.all("targetSiteCode"), ctx),
        "note": [*_sought(statement, ctx), *notes(relations, ctx)],
        "patientInstruction": told,
        "supportingInfo": others(relations, ctx),
    }
    return ctx.add("ServiceRequest", kept(body), statement)


def _told(statement: Node, relations: Relations, ctx: Context) -> str | None:
    """The words of an instruction that stands alone, negated or not, and of those within."""
    own = None if INSTRUCTION.isdisjoint(statement.kinds) else instructed(statement, ctx)
    return "\n".join(filter(None, (own, instruction(relations, ctx)))) or None


def _sought_after(statement: Node, ctx: Context) -> list[Reference]:
    """Who is to do it, and who is to see to it."""
    return [*performers(statement, ctx), *responsible(statement, ctx)]


def _same(statement: Node, relations: Relations) -> Node | None:
    """Where the plan itself names nothing: the statement within that has its id, and says what is planned."""
    if statement.get("code") is not None:
        return None
    own = {(one.get("root"), one.get("extension")) for one in statement.all("id")}
    for _, one in relations:
        if "code" in one and any((each.get("root"), each.get("extension")) in own for each in one.all("id")):
            return one
    return None


def _asked(statement: Node, ctx: Context) -> Value | None:
    """Its code with its words; the words alone where there is no code."""
    code = codeable(statement.get("code"), ctx)
    if code is not None:
        return code
    text = resolved(statement.get("text"), ctx)
    return {"text": text} if text else None


def _sought(statement: Node, ctx: Context) -> list[Value]:
    """The value of a planned observation, for which a ServiceRequest has no element but a note."""
    value = value_of(statement.get("value"), ctx)
    amount = value.get("valueQuantity", {})
    told = " ".join(str(amount[name]) for name in ("comparator", "value", "unit") if name in amount)
    text = value.get("valueString") or in_words(value.get("valueCodeableConcept", {})) or told
    return [{"text": text}] if text else []


def _status(statement: Node) -> str:
    found = mapped("request-status", statement.attribute("statusCode", "code"))
    return found.code if found else "unknown"


def _intent(statement: Node) -> str:
    found = mapped("request-intent", statement.element.get("moodCode"))
    return found.code if found else "plan"


def _priority(statement: Node) -> str | None:
    found = mapped("request-priority", statement.attribute("priorityCode", "code"))
    return found.code if found else None


def planned_encounter(node: Node, ctx: Context) -> Reference | None:
    """Planned Encounter -> Encounter of status `planned`; None for a placeholder."""
    body = encounter_body(node, ctx)
    if not any(body.get(name) for name in ("identifier", "type", "period")):
        return None
    relations = related(node)
    people = [participant(one, "assignedEntity", ctx) for one in node.nodes("performer")]
    if not node.negated and node.attribute("statusCode", "code") not in ("cancelled", "aborted", "nullified"):
        body["status"] = "planned"
    body["participant"] = [one for one in people if one]
    body["location"] = [*places(node, ctx)]
    body["reasonCode"] = reasons(relations, ctx)
    others(relations, ctx)
    return add_encounter(node, kept(body), ctx)
