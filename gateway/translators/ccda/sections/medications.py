"""Medications (LOINC 10160-0) -> MedicationRequest and Medication (C-CDA on FHIR, CF-medications).

The mapping makes a MedicationRequest of every Medication Activity: intent `order` for mood INT, `plan` for EVN.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.dosage import dosage
from gateway.translators.ccda.node import Element, Node
from gateway.translators.ccda.people import agent, fits, organization, recording
from gateway.translators.ccda.registry import entry
from gateway.translators.ccda.statement import Relations, mapped, notes, reasons, related
from gateway.translators.ccda.values import Value, codeable, identifiers, kept, period, quantity

_SECTIONS = ("10160-0", "10183-2", "42346-7", "29549-3", "75311-1")


@entry(
    "2.16.840.1.113883.10.20.22.4.16",
    "2.16.840.1.113883.10.20.22.4.42",
    "1.3.6.1.4.1.19376.1.5.3.1.4.7",
    "2.16.840.1.113883.3.88.11.83.8",
    sections=_SECTIONS,
    element="substanceAdministration",
)
def medication_activity(activity: Node, ctx: Context) -> Iterator[Reference | None]:
    yield medication_request(activity, ctx)


@entry("2.16.840.1.113883.10.20.22.4.35", "2.16.840.1.113883.10.20.22.4.36", sections=_SECTIONS, element="act")
def wrapped_medication(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Discharge and Admission Medication: an act around the activity."""
    for _, activity in related(act):
        if activity.element.tag.endswith("}substanceAdministration"):
            yield medication_request(activity, ctx)


def medication_request(activity: Node, ctx: Context) -> Reference | None:
    """None when it does not say which medication."""
    product = _product(activity)
    relations = related(activity)
    what = _medication(activity, product, ctx)
    if what is None:
        return None
    author, authored = recording(activity, ctx)
    body = {
        "identifier": identifiers(activity.all("id")),
        "status": _status(activity),
        "intent": "order" if activity.element.get("moodCode") in ("INT", "RQO", "PRMS", "PRP") else "plan",
        "doNotPerform": True if activity.negated else None,
        **what,
        "subject": ctx.patient,
        "authoredOn": authored,
        "requester": fits(author, "Practitioner", "PractitionerRole", "Organization", "Patient", "Device"),
        "performer": _performer(activity, ctx),
        "reasonCode": reasons(relations, ctx),
        "note": notes(relations, ctx),
        "dosageInstruction": [dose] if (dose := dosage(activity, relations, ctx)) else None,
        "dispenseRequest": _dispense(relations, ctx),
    }
    return ctx.add("MedicationRequest", kept(body), activity, code=_code(product))


def _status(activity: Node) -> str:
    found = mapped("medication-status", activity.attribute("statusCode", "code"))
    return found.code if found else "unknown"


def _product(activity: Node) -> Node | None:
    consumable = activity.node("consumable")
    return consumable.node("manufacturedProduct") if consumable else None


def _material(product: Node | None) -> Node | None:
    return (product.node("manufacturedMaterial") or product.node("manufacturedLabeledDrug")) if product else None


def _code(product: Node | None) -> Element | None:
    material = _material(product)
    return material.get("code") if material else None


def _medication(activity: Node, product: Node | None, ctx: Context) -> Value | None:
    """A Medication of its own where there is more to say than its code (form, manufacturer, vehicle)."""
    material = _material(product)
    name = material.text("name") if material else None
    code = codeable(_code(product), ctx) or ({"text": name} if name else None)
    if code is None:
        return None
    more: dict[str, Any] = kept(
        {
            "manufacturer": organization(product.get("manufacturerOrganization"), ctx) if product else None,
            "form": codeable(activity.get("administrationUnitCode"), ctx),
            "ingredient": [*_vehicles(activity, ctx)],
            "batch": {"lotNumber": lot} if material and (lot := material.text("lotNumberText")) else None,
        }
    )
    if more and product is not None:
        reference = ctx.add_equal("Medication", {"code": code, **more}, product.element)
        if reference is not None:
            return {"medicationReference": reference}
    return {"medicationCodeableConcept": code}


def _vehicles(activity: Node, ctx: Context) -> Iterator[Value]:
    """Drug Vehicle: an ingredient that is not active."""
    for participant in activity.nodes("participant"):
        role = participant.node("participantRole")
        entity = role.node("playingEntity") if role and participant.element.get("typeCode") == "CSM" else None
        if entity is not None:
            name = entity.text("name")
            item = codeable(entity.get("code"), ctx) or ({"text": name} if name else None)
            if item:
                yield {"itemCodeableConcept": item, "isActive": False}


def _performer(activity: Node, ctx: Context) -> Reference | None:
    for performer in activity.nodes("performer"):
        found = fits(agent(performer.get("assignedEntity"), ctx), "Practitioner", "PractitionerRole", "Organization")
        if found:
            return found
    return None


def _dispense(relations: Relations, ctx: Context) -> Value | None:
    """Medication Supply Order (mood INT) -> dispenseRequest."""
    for _, supply in relations:
        if supply.element.get("moodCode") == "INT" and supply.element.tag.endswith("}supply"):
            return kept(
                {
                    "validityPeriod": period(supply.get("effectiveTime"), ctx),
                    "numberOfRepeatsAllowed": _repeats(supply.attribute("repeatNumber", "value")),
                    "quantity": quantity(supply.get("quantity")),
                }
            )
    return None


def _repeats(text: str | None) -> int | None:
    """CDA counts all dispenses, FHIR those after the first."""
    return int(text) - 1 if text and text.isdecimal() and 0 < int(text) < 1000 else None
