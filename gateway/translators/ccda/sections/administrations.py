"""Medications Administered (LOINC 29549-3) -> MedicationAdministration (C-CDA R2.1 §2.41)."""

from __future__ import annotations

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.dosage import dosage
from gateway.translators.ccda.medicine import code_of, medication, product_of
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.people import fits, performers
from gateway.translators.ccda.registry import others
from gateway.translators.ccda.statement import Relations, encounter, mapped, notes, reasons, related
from gateway.translators.ccda.values import Value, absent, identifiers, kept, timed

ADMINISTERED = "29549-3"
_BY = ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson", "Device")


def administration(activity: Node, ctx: Context) -> Reference | None:
    """A Medication Activity that tells what was given; None when it does not say which medication."""
    product = product_of(activity)
    what = medication(activity, product, ctx)
    if what is None:
        return None
    relations = related(activity)
    body = {
        "identifier": identifiers(activity.all("id")),
        "status": _status(activity),
        **what,
        "subject": ctx.patient,
        "context": encounter(relations, ctx),
        **_when(activity, ctx),
        "performer": [{"actor": one} for one in performers(activity, ctx) if fits(one, *_BY)],
        "reasonCode": reasons(relations, ctx),
        "note": notes(relations, ctx),
        "dosage": _dosage(activity, relations, ctx),
    }
    others(relations, ctx)
    return ctx.add("MedicationAdministration", kept(body), activity, code=code_of(product))


def _when(activity: Node, ctx: Context) -> Value:
    """The first of its times that says when, not how often."""
    told = (timed("effective", time, ctx) for time in activity.all("effectiveTime"))
    return next(filter(None, told), {"effectivePeriod": absent()})


def _status(activity: Node) -> str:
    if activity.negated:
        return "not-done"
    found = mapped("administration-status", activity.attribute("statusCode", "code"))
    return found.code if found else "unknown"


def _dosage(activity: Node, relations: Relations, ctx: Context) -> Value | None:
    """FHIR has a dosage with a dose or a rate only (mad-1): where neither is told, that the dose is not known."""
    told = dosage(activity, relations, ctx) or {}
    amounts: Value = next(iter(told.get("doseAndRate", ())), {})
    given = kept({"dose": amounts.get("doseQuantity"), "rateQuantity": amounts.get("rateQuantity")})
    how = kept({name: told.get(name) for name in ("text", "site", "route")})
    if not given and not how:
        return None
    return {**how, **(given or {"dose": absent()})}
