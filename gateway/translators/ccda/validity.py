"""The schema gate after translation: what is not valid R4 is left out with its issues, never the document.

It judges all resources in one call, when the ids are settled, and looks at each only when that call refuses them:
interleaved with the translation it takes twice the time, as each pushes the other out of the processor's caches. The
nesting is bounded by the code that built them, but for the Composition, whose sections nest as the document's do. Its
narratives and reasons for being empty come after the gate (what `composition.py` writes there the gate allows; the
tests hold it to that); an entry stands in for them meanwhile (cmp-1).
"""

from __future__ import annotations

import re
from typing import Any

from gateway.fhir import gate, json
from gateway.fhir.gate_lot import are_valid
from gateway.fhir.gate_schemas import validator
from gateway.fhir.json import Resource

from .context import Context, Made

MADE = (
    "Account",
    "AllergyIntolerance",
    "Binary",
    "CarePlan",
    "CareTeam",
    "Communication",
    "Composition",
    "Condition",
    "Consent",
    "Coverage",
    "Device",
    "DeviceRequest",
    "DeviceUseStatement",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "FamilyMemberHistory",
    "Goal",
    "ImagingStudy",
    "Immunization",
    "ImmunizationRecommendation",
    "Location",
    "Media",
    "Medication",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "RelatedPerson",
    "ServiceRequest",
    "Specimen",
    "SupplyDelivery",
)
"""What the sections make. A type that is missing here is judged as well, only slower: with it all go one by one."""

_REFERENCES = re.compile(rb'"reference":"((?:[^"\\]|\\.)*)"')


def leave_out_invalid(ctx: Context, unknown: set[str]) -> None:
    """Afterwards every resource of the context passes the gate and refers to none that was left out, nor to one of
    the unknown."""
    for section, _ in ctx.narratives:
        section.setdefault("entry", []).append(ctx.patient)
    if unknown:
        _forget(unknown, ctx)
    if not _all_pass(ctx):
        _leave_out(ctx)
    for section, narrative in ctx.narratives:
        section["entry"].pop()
        if not section["entry"]:
            del section["entry"]
        section.update(narrative)


def _all_pass(ctx: Context) -> bool:
    resources = {"Patient": [ctx.person]}
    for made in ctx.made:
        resources.setdefault(made.type, []).append(made.body)
    return not any(map(gate.check_depth, resources.get("Composition", ()))) and are_valid(resources, MADE)


def _leave_out(ctx: Context) -> None:
    if not _passes(ctx.person):
        _report(ctx.person, "Patient left with its id only", None, ctx)
        ctx.person = {"resourceType": "Patient", "id": ctx.patient_id}
    waiting = sorted(ctx.made, key=lambda made: made.type)
    while faulty := [made for made in waiting if not _passes(made.body)]:
        for made in faulty:
            _report(made.body, "left out", made, ctx)
        gone = {made.reference["reference"] for made in faulty}
        ctx.made = [made for made in ctx.made if made.reference["reference"] not in gone]
        waiting = _forget(gone, ctx)


def _forget(gone: set[str], ctx: Context) -> list[Made]:
    """Take them out of everything; gives what referred to them."""
    for section in ctx.sections:
        section.forget(gone, ctx.path)
    written = {json.encode(name)[1:-1] for name in gone}
    changed = [made for made in ctx.made if _names(made.body, written) and _without(made.body, gone)]
    for made in changed:
        _drop_bare_sections(made.body)
    _without(ctx.person, gone)
    return changed


def _names(resource: Resource, written: set[bytes]) -> bool:
    """Whether it refers to one of them, as JSON writes it: a tenth of the time that it takes to go through it."""
    return not written.isdisjoint(_REFERENCES.findall(json.encode(resource)))


def _drop_bare_sections(outer: Resource) -> None:
    """Those of a Composition that hold nothing any more (cmp-1)."""
    sections = outer.get("section", [])
    for section in sections:
        _drop_bare_sections(section)
    sections[:] = [section for section in sections if "entry" in section or "section" in section]
    if "section" in outer and not sections:
        del outer["section"]


def _passes(resource: Resource) -> bool:
    kind = resource["resourceType"]
    if kind == "Composition" and gate.check_depth(resource):
        return False
    return validator(kind).is_valid(resource)


def _report(resource: Resource, what: str, made: Made | None, ctx: Context) -> None:
    for fault in gate.check(resource):
        text = f"{what}, not valid R4: {fault.expression}: {fault.diagnostics}"
        ctx.issue("error", fault.code, text, None if made is None else made.source)


def _without(value: Any, gone: set[str]) -> bool:
    """Take every reference to them out, with what is empty then; whether there was one."""
    changed = False
    for key in list(value) if isinstance(value, dict) else range(len(value) - 1, -1, -1):
        inner = value[key]
        if not isinstance(inner, (dict, list)):
            continue
        refers = isinstance(inner, dict) and isinstance(to := inner.get("reference"), str) and to in gone
        if refers or _without(inner, gone):
            changed = True
            if refers or not inner:
                del value[key]
    return changed
