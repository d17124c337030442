"""Medication Dispense -> MedicationDispense (C-CDA R2.1 §3.61; US Core MedicationDispense)."""

from __future__ import annotations

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.medicine import code_of, medication, product_of
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.people import fits, performers
from gateway.translators.ccda.registry import others
from gateway.translators.ccda.statement import ROOT, denied, instruction, mapped, notes, of_another, related
from gateway.translators.ccda.values import Value, identifiers, interval, kept, quantity

DISPENSE = frozenset([ROOT + "18", "1.3.6.1.4.1.19376.1.5.3.1.4.7.3.1"])
_BY = ("Practitioner", "PractitionerRole", "Organization", "Patient", "Device", "RelatedPerson")


def dispense(
    supply: Node, ctx: Context, *, order: Reference | None = None, what: Value | None = None
) -> Reference | None:
    """`order` and `what`: the prescription around it, and its medication where the dispense names none of its own.
    None when nobody says which medication."""
    product = product_of(supply)
    which = medication(supply, product, ctx) or what
    if which is None or of_another(supply, ctx) or denied(supply, ctx):
        return None
    relations = related(supply)
    status = mapped("event-status", supply.attribute("statusCode", "code"))
    told = instruction(relations, ctx)
    body = {
        "identifier": identifiers(supply.all("id")),
        "status": status.code if status else "unknown",
        **which,
        "subject": ctx.patient,
        "performer": [{"actor": one} for one in performers(supply, ctx) if fits(one, *_BY)],
        "authorizingPrescription": [order] if order else None,
        "quantity": quantity(supply.get("quantity")),
        "whenHandedOver": interval(supply.get("effectiveTime"), ctx).start,
        "note": notes(relations, ctx),
        "dosageInstruction": [{"patientInstruction": told}] if told else None,
    }
    others(relations, ctx)
    return ctx.add("MedicationDispense", kept(body), supply, code=code_of(product))
