"""Procedures (LOINC 47519-4) -> Procedure, or Observation for what was only observed (C-CDA on FHIR, CF-procedures)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.devices import UDI_ORGANIZER, device_kinds, devices, has_device
from gateway.translators.ccda.encounter import location
from gateway.translators.ccda.informants import informant
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.observation import effective, value_of
from gateway.translators.ccda.people import fits, performers, recording
from gateway.translators.ccda.registry import entry, others
from gateway.translators.ccda.specimens import specimens
from gateway.translators.ccda.statement import (
    PARTS,
    REACTION,
    REASON,
    Relations,
    coded_value,
    concepts,
    encounter,
    instruction,
    is_ahead,
    mapped,
    notes,
    of_kind,
    reason_not_done,
    reasons,
    referenced,
    related,
)
from gateway.translators.ccda.values import (
    Value,
    absent,
    absent_concept,
    codeable,
    distinct,
    identifiers,
    kept,
    resolved,
    timed,
)

METHOD = "http://hl7.org/fhir/StructureDefinition/procedure-method"
_FAILED = frozenset(["103709008"])
"""SNOMED CT Failed attempted procedure."""

_READ = (PARTS - REACTION) | UDI_ORGANIZER | _FAILED
"""When a reaction began and how severe it was is told beside the procedure that had it as a complication."""

_SECTIONS = ("47519-4",)


@entry(
    "2.16.840.1.113883.10.20.22.4.14",
    "2.16.840.1.113883.10.20.1.29",
    "1.3.6.1.4.1.19376.1.5.3.1.4.19",
    "2.16.840.1.113883.3.88.11.83.17",
    sections=_SECTIONS,
    element="procedure",
)
def procedure_activity(activity: Node, ctx: Context) -> Iterator[Reference | None]:
    yield procedure(activity, ctx)


@entry("2.16.840.1.113883.10.20.22.4.12", sections=_SECTIONS, element="act")
def procedure_act(activity: Node, ctx: Context) -> Iterator[Reference | None]:
    yield procedure(activity, ctx)


@entry("2.16.840.1.113883.10.20.22.4.13", sections=_SECTIONS, element="observation")
def procedure_observation(activity: Node, ctx: Context) -> Iterator[Reference | None]:
    """A procedure that yields information: it is a Procedure as it was done; what it showed stands beside it."""
    done = procedure(activity, ctx)
    yield done
    if done and not (activity.negated or is_ahead(activity)) and (value := value_of(activity.get("value"), ctx)):
        yield _shown(activity, done, value, ctx)


def procedure(activity: Node, ctx: Context) -> Reference | None:
    """None when it does not say which procedure, but for one that put in a device: that is known by it (Epic tells
    implants so)."""
    code = codeable(activity.get("code"), ctx)
    if code is None and (text := resolved(activity.get("text"), ctx)):
        code = {"text": text}
    if code is None and has_device(activity):
        code = absent_concept(activity.get("code"))
    if code is None:
        return None
    relations = related(activity)
    recorder, _ = recording(activity, ctx)
    body = {
        "extension": [{"url": METHOD, "valueCodeableConcept": how}] if (how := _method(activity, ctx)) else None,
        "identifier": identifiers(activity.all("id")),
        "status": _status(activity),
        "statusReason": reason_not_done(relations, ctx) if activity.negated else None,
        "code": code,
        "subject": ctx.patient,
        "encounter": encounter(relations, ctx),
        **(timed("performed", activity.get("effectiveTime"), ctx) or {"_performedDateTime": absent()}),
        "recorder": fits(recorder, "Practitioner", "PractitionerRole", "Patient"),
        "asserter": informant(activity, ctx),
        "performer": [
            {"actor": one}
            for one in performers(activity, ctx)
            if fits(one, "Practitioner", "PractitionerRole", "Organization")
        ],
        "location": _location(activity, ctx),
        "reasonCode": _reasons(activity, relations, ctx),
        "reasonReference": referenced(relations, ctx, "Condition", only="RSON"),
        "bodySite": concepts(activity.all("targetSiteCode"), ctx),
        "outcome": _outcome(relations, ctx),
        "complication": _complications(relations, ctx),
        "followUp": _follow_up(relations, ctx),
        "note": notes(relations, ctx),
        **_devices(activity, relations, ctx),
    }
    others([one for one in relations if one[0] != "OUTC"], ctx, _READ)
    ctx.beside += specimens([activity], ctx)
    return ctx.add("Procedure", kept(body), activity)


def _devices(activity: Node, relations: Relations, ctx: Context) -> Value:
    """What was put in or taken out. Where nothing was, there is no Device: it would be one that the patient has (HL7's
    example "No Implanted Devices")."""
    if activity.negated:
        return {"usedCode": device_kinds(activity, ctx)}
    return {"focalDevice": [{"manipulated": one} for one in devices(activity, relations, ctx)]}


def _method(activity: Node, ctx: Context) -> Value | None:
    return next(iter(concepts(activity.all("methodCode"), ctx)), None)


def _shown(activity: Node, done: Reference, value: Value, ctx: Context) -> Reference:
    """The value of a procedure as an Observation, as a Procedure has no element for one."""
    status = mapped("report-status", activity.attribute("statusCode", "code"))
    body = {
        "identifier": identifiers(activity.all("id")),
        "partOf": [done],
        "status": status.code if status else "unknown",
        "code": codeable(activity.get("code"), ctx) or absent_concept(activity.get("code")),
        "subject": ctx.patient,
        **effective(activity.get("effectiveTime"), None, ctx),
        **value,
        "interpretation": concepts(activity.all("interpretationCode"), ctx),
    }
    return ctx.add("Observation", kept(body), activity)


def _reasons(activity: Node, relations: Relations, ctx: Context) -> list[Value]:
    """Why it was done; why it was not is the reason of its status."""
    why = [one for one in relations if REASON.isdisjoint(one[1].kinds)] if activity.negated else relations
    return reasons(why, ctx)


def _outcome(relations: Relations, ctx: Context) -> Value | None:
    """`entryRelationship[@typeCode=OUTC]`: what came of it; that it failed is an act (HL7's example of a procedure that
    was not successful)."""
    for kind, one in relations:
        if kind == "OUTC" and not (one.negated or one.untold) and (found := coded_value(one, ctx)):
            return found
    return next((codeable(one.get("code"), ctx) for one in of_kind(_FAILED, relations)), None)


def _complications(relations: Relations, ctx: Context) -> list[Value]:
    """Reaction Observations: to what was given or done."""
    told = (coded_value(one, ctx) for one in of_kind(REACTION, relations))
    return distinct([one for one in told if one])


def _follow_up(relations: Relations, ctx: Context) -> list[Value]:
    """Instruction Activities: what to do afterwards."""
    told = instruction(relations, ctx)
    return [{"text": told}] if told else []


def _status(activity: Node) -> str:
    """Negated means it was not done; an intent is only in preparation."""
    if activity.negated:
        return "not-done"
    if is_ahead(activity):
        return "preparation"
    found = mapped("procedure-status", activity.attribute("statusCode", "code"))
    return found.code if found else "unknown"


def _location(activity: Node, ctx: Context) -> Reference | None:
    for one in activity.nodes("participant"):
        role = one.node("participantRole") if one.element.get("typeCode") == "LOC" else None
        if role and (where := location(role, role.node("playingEntity"), ctx)):
            return where
    return None
