"""Immunizations (LOINC 11369-6) -> Immunization (C-CDA on FHIR, CF-immunizations)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.observation import observation_body
from gateway.translators.ccda.people import fits, organization, performers, recording
from gateway.translators.ccda.registry import entry
from gateway.translators.ccda.statement import Relations, mapped, notes, related
from gateway.translators.ccda.values import (
    Value,
    absent,
    codeable,
    concept,
    identifiers,
    interval,
    kept,
    quantity,
)

FUNCTION = "http://terminology.hl7.org/CodeSystem/v2-0443"
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
    """Nothing when it does not say which vaccine."""
    consumable = activity.node("consumable")
    product = consumable.node("manufacturedProduct") if consumable else None
    material = product.node("manufacturedMaterial") if product else None
    vaccine = _vaccine(material, ctx)
    if vaccine is None or product is None or material is None:
        return
    relations = related(activity)
    time = interval(activity.get("effectiveTime"), ctx).start
    status = _status(activity)
    _, recorded = recording(activity, ctx)
    body = {
        "identifier": identifiers(activity.all("id")),
        "status": status,
        "statusReason": _refusal(relations, ctx) if status == "not-done" else None,
        "vaccineCode": vaccine,
        "patient": ctx.patient,
        "occurrenceDateTime": time,
        "occurrenceString": None if time else "unknown",
        "recorded": recorded,
        "_primarySource": absent("unsupported"),
        "manufacturer": organization(product.get("manufacturerOrganization"), ctx),
        "lotNumber": material.text("lotNumberText"),
        "site": codeable(activity.get("approachSiteCode"), ctx),
        "route": codeable(activity.get("routeCode"), ctx),
        "doseQuantity": quantity(activity.get("doseQuantity")),
        "performer": _performers(activity, ctx),
        "note": notes(relations, ctx),
        "reasonCode": _reasons(relations, ctx),
        "reaction": [*_reactions(relations, ctx)],
        "protocolApplied": _dose(activity),
    }
    yield ctx.add("Immunization", kept(body), activity, code=material.get("code"))


def _vaccine(material: Node | None, ctx: Context) -> Value | None:
    if material is None:
        return None
    name = material.text("name")
    return codeable(material.get("code"), ctx) or ({"text": name} if name else None)


def _status(activity: Node) -> str:
    """Negated means it was not given, whatever the statusCode; R4 has no `active` for it (CF-ImmunizationStatus)."""
    if activity.negated:
        return "not-done"
    code = activity.attribute("statusCode", "code")
    found = mapped("immunization-status", code)
    return found.code if found else "completed" if activity.element.get("moodCode") == "EVN" else "not-done"


def _refusal(relations: Relations, ctx: Context) -> Value | None:
    for kind, one in relations:
        code = one.get("code")
        system = code.get("codeSystem") if code is not None else None
        refusal = _REFUSAL in one.kinds or system in _REASON_CODES
        if refusal and kind == "RSON":
            return codeable(code, ctx)
    return None


def _reasons(relations: Relations, ctx: Context) -> list[Value]:
    """Indications: their value says what the immunization is for."""
    found: list[Value] = []
    for kind, one in relations:
        if kind == "RSON" and _REFUSAL not in one.kinds:
            reason = codeable(one.get("value"), ctx)
            if reason and reason not in found:
                found.append(reason)
    return found


def _performers(activity: Node, ctx: Context) -> list[Value]:
    function = concept("AP", FUNCTION, "Administering Provider")
    return [
        {"function": function, "actor": actor}
        for actor in performers(activity, ctx)
        if fits(actor, "Practitioner", "PractitionerRole", "Organization")
    ]


def _reactions(relations: Relations, ctx: Context) -> Iterator[Value]:
    """A Reaction Observation becomes the Observation that the reaction refers to."""
    for kind, one in relations:
        if kind == "MFST" and one.element.tag.endswith("}observation"):
            body = observation_body(one, ctx)
            if body:
                detail = ctx.add("Observation", body, one, code=one.get("value"))
                yield kept({"date": interval(one.get("effectiveTime"), ctx).start, "detail": detail})


def _dose(activity: Node) -> list[Value] | None:
    number = activity.attribute("repeatNumber", "value")
    if activity.element.get("moodCode") == "EVN" and number and number.isdecimal() and 0 < int(number) < 1000:
        return [{"doseNumberPositiveInt": int(number)}]
    return None
