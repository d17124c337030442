"""Medications (LOINC 10160-0) -> MedicationRequest and Medication (C-CDA on FHIR, CF-medications).

The mapping makes a MedicationRequest of every Medication Activity: intent `order` for mood INT, `plan` for EVN.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.dosage import dosage
from gateway.translators.ccda.informants import informant
from gateway.translators.ccda.medicine import code_of, is_named, medication, product_of
from gateway.translators.ccda.node import Element, Node
from gateway.translators.ccda.people import agent, fits, organization, recording
from gateway.translators.ccda.registry import entry, others
from gateway.translators.ccda.sections.administrations import ADMINISTERED, administration
from gateway.translators.ccda.sections.dispenses import DISPENSE, dispense
from gateway.translators.ccda.statement import (
    FREE_TEXT_SIG,
    PARTS,
    REACTION,
    ROOT,
    STATUS,
    Relations,
    denied,
    encounter,
    happened,
    instruction,
    is_ahead,
    mapped,
    notes,
    of_another,
    of_kind,
    reasons,
    referenced,
    related,
    value_code,
    withdrawn,
)
from gateway.translators.ccda.values import Value, absent, bounds, codeable, count, identifiers, kept, period, quantity

_STATUS = frozenset([STATUS, "2.16.840.1.113883.10.20.1.47"])
_TYPE = frozenset(["2.16.840.1.113883.3.88.11.83.8.1", "2.16.840.1.113883.3.88.1.11.32.10", "73639000", "329505003"])
_READ = (PARTS | _TYPE) - REACTION
_REQUESTERS = ("Practitioner", "PractitionerRole", "Organization", "Patient", "RelatedPerson", "Device")
_SECTIONS = ("10160-0", "10183-2", "42346-7", "29549-3", "75311-1")


@entry(
    "2.16.840.1.113883.10.20.22.4.16",
    "2.16.840.1.113883.10.20.22.4.42",
    "2.16.840.1.113883.10.20.1.24",
    "1.3.6.1.4.1.19376.1.5.3.1.4.7",
    "2.16.840.1.113883.3.88.11.83.8",
    sections=_SECTIONS,
    element="substanceAdministration",
)
def medication_activity(activity: Node, ctx: Context) -> Iterator[Reference | None]:
    """What was given during a visit is an administration, everything else a request (CF-medications)."""
    given = ctx.section.kind == ADMINISTERED and activity.element.get("moodCode") == "EVN"
    yield administration(activity, ctx) if given else medication_request(activity, ctx)


@entry(*DISPENSE)
def medication_dispense(supply: Node, ctx: Context) -> Iterator[Reference | None]:
    yield medication_supply(supply, ctx)


def medication_supply(supply: Node, ctx: Context) -> Reference | None:
    """A supply of a medication: what was handed over is a dispense, what is to be handed over an order."""
    return supply_order(supply, ctx) if is_ahead(supply) else dispense(supply, ctx)


@entry(ROOT + "17", "1.3.6.1.4.1.19376.1.5.3.1.4.7.3")
def medication_supply_order(supply: Node, ctx: Context) -> Iterator[Reference | None]:
    yield supply_order(supply, ctx)


@entry("2.16.840.1.113883.10.20.22.4.35", "2.16.840.1.113883.10.20.22.4.36", sections=_SECTIONS, element="act")
def wrapped_medication(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Discharge and Admission Medication: an act around the activity, whose comments are about it."""
    if denied(act, ctx) or withdrawn(act, ctx):
        return
    relations = related(act)
    remarks = notes(relations, ctx)
    for kind, one in relations:
        if one.element.tag.endswith("}substanceAdministration"):
            yield medication_request(one, ctx, remarks=remarks)
        else:
            others([(kind, one)], ctx)


def supply_order(supply: Node, ctx: Context) -> Reference | None:
    """A Medication Supply Order that stands alone -> MedicationRequest."""
    product = product_of(supply)
    what = medication(supply, product, ctx)
    if what is None:
        return None
    relations = related(supply)
    author, authored = recording(supply, ctx)
    told = instruction(relations, ctx)
    body = {
        "identifier": identifiers(supply.all("id")),
        "status": _status(supply),
        "intent": _intent(supply) if is_ahead(supply) else "order",
        "doNotPerform": True if supply.negated else None,
        **what,
        "subject": ctx.patient,
        "encounter": encounter(relations, ctx),
        "authoredOn": authored,
        "_authoredOn": None if authored else absent(),
        "requester": fits(author, *_REQUESTERS) or absent(),
        "reasonCode": reasons(relations, ctx),
        "note": notes(relations, ctx),
        "dosageInstruction": [{"patientInstruction": told}] if told else None,
        "dispenseRequest": _ordered(supply, ctx),
    }
    others(relations, ctx)
    return ctx.add("MedicationRequest", kept(body), supply, code=code_of(product))


def medication_request(activity: Node, ctx: Context, *, remarks: Iterable[Value] = ()) -> Reference | None:
    """None when it does not say which medication. `remarks` are the comments on what wraps it."""
    product = product_of(activity)
    relations = related(activity)
    what = medication(activity, product, ctx)
    if what is None or of_another(activity, ctx):
        return None
    author, authored = recording(activity, ctx)
    body = {
        "identifier": identifiers(activity.all("id")),
        "status": _told(activity, relations) or _status(activity),
        "category": [*_kinds(relations, ctx)],
        "intent": _intent(activity),
        "priority": _urgency(activity),
        "doNotPerform": True if activity.negated else None,
        **what,
        "subject": ctx.patient,
        "encounter": encounter(relations, ctx),
        "authoredOn": authored,
        "_authoredOn": None if authored else absent(),
        "reportedReference": informant(activity, ctx),
        "requester": fits(author, *_REQUESTERS) or absent(),
        "performer": _performer(activity, ctx),
        "reasonCode": reasons(relations, ctx),
        "reasonReference": referenced(relations, ctx, "Condition", only="RSON"),
        "note": [*notes(relations, ctx), *_order_notes(relations, ctx), *remarks],
        "dosageInstruction": [*_doses(activity, relations, ctx)],
        "dispenseRequest": _dispense(relations, ctx),
    }
    made = ctx.add("MedicationRequest", kept(body), activity, code=code_of(product))
    _beside(relations, made, what, ctx)
    return made


def _doses(activity: Node, relations: Relations, ctx: Context) -> Iterator[Value]:
    """Its dosage, then those of the parts that name no medication of their own: doses that are split or tapered (IHE
    PCC, Tapered Doses)."""
    parts = [one for _, one in relations if one.element.tag.endswith("}substanceAdministration")]
    rest = [
        (one, related(one)) for one in parts if FREE_TEXT_SIG.isdisjoint(one.kinds) and not is_named(product_of(one))
    ]
    for one, inner in [(activity, relations), *rest]:
        if not (one is not activity and one.negated) and (dose := dosage(one, inner, ctx)):
            yield dose


def _beside(relations: Relations, request: Reference, what: Value, ctx: Context) -> None:
    """What was dispensed for it, and what else is related: it stands beside the request."""
    if not relations:
        return
    supplies = [one for _, one in relations if one.element.tag.endswith("}supply")]
    for one in supplies:
        if not happened(one):
            denied(one, ctx)
            others(related(one), ctx, _READ)
        elif handed := dispense(one, ctx, order=request, what=what):
            ctx.beside.append(handed)
    others([one for one in relations if not one[1].element.tag.endswith("}supply")], ctx, _READ)


def _kinds(relations: Relations, ctx: Context) -> Iterator[Value]:
    """Type of Medication (C83): on prescription, or over the counter (SNOMED CT 73639000, 329505003)."""
    for one in of_kind(_TYPE, relations):
        if found := codeable(one.get("code"), ctx):
            yield found


def _urgency(activity: Node) -> str | None:
    found = mapped("request-priority", activity.attribute("priorityCode", "code"))
    return found.code if found else None


def _intent(activity: Node) -> str:
    found = mapped("medication-intent", activity.element.get("moodCode"))
    return found.code if found else "plan"


def _status(activity: Node) -> str:
    found = mapped("medication-status", activity.attribute("statusCode", "code"))
    return found.code if found else "unknown"


def _told(activity: Node, relations: Relations) -> str | None:
    """What a Medication Status Observation (CCD 1.0) says: there the activity is completed as it is written down, while
    the medication is taken still; or active while it is on hold, or taken no longer."""
    if activity.attribute("statusCode", "code") not in (None, "completed", "active"):
        return None
    told = (mapped("medication-told", value_code(one)) for one in of_kind(_STATUS, relations))
    return next((found.code for found in told if found), None)


def _performer(activity: Node, ctx: Context) -> Reference | None:
    for performer in activity.nodes("performer"):
        found = fits(agent(performer.get("assignedEntity"), ctx), "Practitioner", "PractitionerRole", "Organization")
        if found:
            return found
    return None


def _order_notes(relations: Relations, ctx: Context) -> Iterator[Value]:
    """What a Medication Supply Order says to those who fill it."""
    for supply in _supplies(relations):
        inner = related(supply)
        yield from notes(inner, ctx)
        if told := instruction(inner, ctx):
            yield {"text": told}


def _dispense(relations: Relations, ctx: Context) -> Value | None:
    """Medication Supply Order (mood INT) -> dispenseRequest."""
    found = [*_supplies(relations)]
    for more in found[1:]:
        ctx.issue("warning", "not-supported", "another supply for one order stays in the narrative only", more.element)
    return _ordered(found[0], ctx) if found else None


def _supplies(relations: Relations) -> Iterator[Node]:
    for _, one in relations:
        if one.element.tag.endswith("}supply") and is_ahead(one) and not one.negated:
            yield one


def _ordered(supply: Node, ctx: Context) -> Value:
    return kept(
        {
            "validityPeriod": period(supply.get("effectiveTime"), ctx),
            "numberOfRepeatsAllowed": _repeats(_dispenses(supply.get("repeatNumber"))),
            "quantity": quantity(supply.get("quantity")),
            "performer": _dispenser(supply, ctx),
        }
    )


def _dispenser(supply: Node, ctx: Context) -> Reference | None:
    """The pharmacy: R4 has room for an organization."""
    for performer in supply.nodes("performer"):
        entity = performer.node("assignedEntity")
        if entity and (found := organization(entity.get("representedOrganization"), ctx)):
            return found
    return None


def _dispenses(number: Element | None) -> str | None:
    """How many; of a range as many as there may be."""
    if number is None or number.get("value"):
        return None if number is None else number.get("value")
    _, high = bounds(number)
    return None if high is None else high.get("value")


def _repeats(text: str | None) -> int | None:
    """CDA counts all dispenses, FHIR those after the first; who writes 0 means that there are no more."""
    return 0 if text == "0" else None if (dispenses := count(text)) is None else dispenses - 1
