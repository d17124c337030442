"""Immunizations (LOINC 11369-6) -> Immunization (C-CDA on FHIR, CF-immunizations)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.encounter import places
from gateway.translators.ccda.medicine import called
from gateway.translators.ccda.node import V3, Node, children, statement_in
from gateway.translators.ccda.observation import observation_body
from gateway.translators.ccda.people import fits, organization, performers, recording
from gateway.translators.ccda.registry import entry, others
from gateway.translators.ccda.statement import (
    NOT_HELD_TO,
    PARTS,
    REACTION,
    ROOT,
    Relations,
    coded_value,
    encounter,
    instruction,
    is_ahead,
    mapped,
    notes,
    reason_not_done,
    reasons,
    related,
    withdrawn,
)
from gateway.translators.ccda.values import (
    LOINC,
    Value,
    absent,
    absent_concept,
    codeable,
    concept,
    count,
    distinct,
    identifiers,
    interval,
    kept,
    quantity,
)

FUNCTION = "http://terminology.hl7.org/CodeSystem/v2-0443"
_SERIES = frozenset([ROOT + "118", "30973-2", "2.16.840.1.113883.10.20.1.46"])
_READ = PARTS | _SERIES
_NO_START = "by when it was given, where nobody says when, stays in the narrative only"
_SEQUENCE = V3 + "sequenceNumber"
_REFUSAL = "2.16.840.1.113883.10.20.22.4.53"
_REASON_CODES = frozenset(["2.16.840.1.113883.5.8", "2.16.840.1.113883.11.19725"])


@entry(
    "2.16.840.1.113883.10.20.22.4.52",
    "1.3.6.1.4.1.19376.1.5.3.1.4.12",
    "2.16.840.1.113883.3.88.11.83.13",
    sections=("11369-6",),
    element="substanceAdministration",
)
def immunization(activity: Node, ctx: Context) -> Iterator[Reference | None]:
    """Nothing when it does not say which vaccine. One in intent mood is planned (C-CDA R2.1, Immunization Activity)."""
    if is_ahead(activity):
        yield from planned_immunization(activity, ctx)
        return
    product = _product(activity)
    vaccine, material = vaccine_of(activity, ctx)
    if vaccine is None or product is None or material is None:
        return
    relations = related(activity)
    when = interval(activity.get("effectiveTime"), ctx)
    time = when.start
    if when.high and not time:
        ctx.issue("warning", "not-supported", _NO_START, activity.element)
    _, recorded = recording(activity, ctx)
    body = {
        "identifier": identifiers(activity.all("id")),
        "status": _status(activity),
        "statusReason": _refusal(relations, ctx),
        "vaccineCode": vaccine,
        "patient": ctx.patient,
        "encounter": encounter(relations, ctx),
        "occurrenceDateTime": time,
        "occurrenceString": None if time else "unknown",
        "recorded": recorded,
        "_primarySource": absent("unsupported"),
        "manufacturer": organization(product.get("manufacturerOrganization"), ctx),
        "location": next((one["location"] for one in places(activity, ctx)), None),
        "lotNumber": material.text("lotNumberText"),
        "expirationDate": (ctx.moment(material.get("expirationTime")) or "")[:10],
        "site": codeable(activity.get("approachSiteCode"), ctx),
        "route": codeable(activity.get("routeCode"), ctx),
        "doseQuantity": quantity(activity.get("doseQuantity")),
        "performer": _performers(activity, ctx),
        "note": notes(relations, ctx),
        "reasonCode": _reasons(relations, ctx),
        "reaction": [*_reactions(relations, ctx)],
        "protocolApplied": _dose(activity),
        "education": _education(relations, ctx),
    }
    others([one for one in relations if not _is_reaction(*one)], ctx, _READ)
    yield ctx.add("Immunization", kept(body), activity, code=material.get("code"))


@entry(ROOT + "120")
def planned_immunization(activity: Node, ctx: Context) -> Iterator[Reference | None]:
    """What was not given yet -> ImmunizationRecommendation: it is no Immunization, as it did not happen. What is
    planned no more is not recommended."""
    code, material = vaccine_of(activity, ctx)
    if code is None or withdrawn(activity, ctx, NOT_HELD_TO):
        return
    relations = related(activity)
    _, written = recording(activity, ctx)
    due = interval(activity.get("effectiveTime"), ctx).start
    wanted = {
        "vaccineCode": [code],
        "forecastStatus": absent_concept(),
        "forecastReason": reasons(relations, ctx),
        "dateCriterion": [{"code": concept("30980-7", LOINC, "Date vaccine due"), "value": due}] if due else None,
        "contraindicatedVaccineCode": [code] if activity.negated else None,
        "description": instruction(relations, ctx),
        "doseNumberPositiveInt": count(activity.attribute("repeatNumber", "value")),
    }
    body = {
        "identifier": identifiers(activity.all("id")),
        "patient": ctx.patient,
        "date": written,
        "_date": None if written else absent(),
        "recommendation": [kept(wanted)],
    }
    others(relations, ctx)
    yield ctx.add("ImmunizationRecommendation", kept(body), activity, code=material.get("code") if material else None)


def _product(activity: Node) -> Node | None:
    consumable = activity.node("consumable")
    return consumable.node("manufacturedProduct") if consumable else None


def vaccine_of(activity: Node, ctx: Context) -> tuple[Value | None, Node | None]:
    """Which vaccine: as a concept, and the element that says it."""
    product = _product(activity)
    material = product.node("manufacturedMaterial") if product else None
    if material is None:
        return None, None
    return called(material, ctx), material


def _status(activity: Node) -> str:
    """Negated means it was not given, whatever the statusCode; R4 has no `active` for it (CF-ImmunizationStatus)."""
    if activity.negated:
        return "not-done"
    code = activity.attribute("statusCode", "code")
    found = mapped("immunization-status", code)
    return found.code if found else "completed" if activity.element.get("moodCode") == "EVN" else "not-done"


def _refusal(relations: Relations, ctx: Context) -> Value | None:
    """Why it was not given: the code of an Immunization Refusal Reason; some write it as the value."""
    for kind, one in relations:
        code = one.get("code")
        system = code.get("codeSystem") if code is not None else None
        if _REFUSAL in one.kinds or (kind == "RSON" and system in _REASON_CODES):
            return coded_value(one, ctx) or codeable(code, ctx)
    return reason_not_done(relations, ctx)


def _reasons(relations: Relations, ctx: Context) -> list[Value]:
    """Indications: their value says what the immunization is for."""
    indications = (one for kind, one in relations if kind == "RSON" and _REFUSAL not in one.kinds)
    return distinct(codeable(one.get("value"), ctx) for one in indications if not (one.negated or one.untold))


def _performers(activity: Node, ctx: Context) -> list[Value]:
    function = concept("AP", FUNCTION, "Administering Provider")
    return [
        {"function": function, "actor": actor}
        for actor in performers(activity, ctx)
        if fits(actor, "Practitioner", "PractitionerRole", "Organization")
    ]


def _is_reaction(kind: str | None, statement: Node) -> bool:
    return kind == "MFST" or not REACTION.isdisjoint(statement.kinds)


def _reactions(relations: Relations, ctx: Context) -> Iterator[Value]:
    """A Reaction Observation becomes the Observation that the reaction refers to. HL7's mapping has it as MFST, the
    template of the activity as CAUS."""
    for kind, one in relations:
        if _is_reaction(kind, one) and one.element.tag.endswith("}observation"):
            body = observation_body(one, ctx)
            if body:
                detail = ctx.add("Observation", body, one, code=one.get("value"))
                yield kept({"date": interval(one.get("effectiveTime"), ctx).start, "detail": detail})


def _education(relations: Relations, ctx: Context) -> list[Value]:
    """Instruction Activities: what the patient was told."""
    told = instruction(relations, ctx)
    return [{"documentType": told}] if told else []


def _dose(activity: Node) -> list[Value] | None:
    """The number of the dose: repeatNumber, else the place in the series."""
    number = count(activity.attribute("repeatNumber", "value") or _place(activity))
    return [{"doseNumberPositiveInt": number}] if number and activity.element.get("moodCode") == "EVN" else None


def _place(activity: Node) -> str | None:
    """The sequenceNumber of a Substance Administered Act, or a Medication Series Number Observation (CCD)."""
    for wrapper in activity.all("entryRelationship"):
        one = statement_in(wrapper)
        if one is not None and not _SERIES.isdisjoint(one.kinds):
            told = next((child for child in children(wrapper) if child.tag == _SEQUENCE), one.get("value"))
            if told is not None and told.get("value"):
                return told.get("value")
    return None
