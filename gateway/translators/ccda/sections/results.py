"""Results (LOINC 30954-2) -> DiagnosticReport with its Observations and Specimens (C-CDA on FHIR, CF-results)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.observation import category, member, span
from gateway.translators.ccda.people import fits, performers
from gateway.translators.ccda.registry import entry, others
from gateway.translators.ccda.specimens import COLLECTION, specimens
from gateway.translators.ccda.statement import (
    Relations,
    components,
    concepts,
    encounter,
    happened,
    is_nullified,
    mapped,
    notes,
    related,
)
from gateway.translators.ccda.values import (
    absent,
    absent_concept,
    codeable,
    concept,
    identifiers,
    kept,
    timed,
)

REPORT_CATEGORY = "http://terminology.hl7.org/CodeSystem/v2-0074"
NOTE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note"
"""R4 has no element for a comment on a report, R5 has."""
_BY = ("Practitioner", "PractitionerRole", "Organization")


@entry("2.16.840.1.113883.10.20.22.4.1", "2.16.840.1.113883.10.20.1.32", sections=("30954-2",), element="organizer")
def result_organizer(organizer: Node, ctx: Context) -> Iterator[Reference | None]:
    """Result Organizer -> DiagnosticReport; nothing when it has neither a code nor a result."""
    time = organizer.get("effectiveTime")
    statements = components(organizer)
    observations = [one for one in statements if one.element.tag.endswith("}observation") and happened(one)]
    laboratory, gone = category("laboratory", "Laboratory"), is_nullified(organizer)
    found = (
        member(one, ctx, categories=laboratory, time=time, by_author=False, is_withdrawn=gone) for one in observations
    )
    results = [made for made in found if made]
    inner: Relations = [(None, one) for one in statements if one not in observations]
    others([*((kind, one) for kind, one in inner if not _collects(one)), *related(organizer)], ctx)
    code = codeable(organizer.get("code"), ctx)
    if code is None and not results:
        return
    body = {
        "extension": [{"url": NOTE, "valueAnnotation": one} for one in notes([*inner, *related(organizer)], ctx)],
        "identifier": identifiers(organizer.all("id")),
        "status": _status(organizer),
        "category": concepts(organizer.all("sdtc:category"), ctx) or [concept("LAB", REPORT_CATEGORY, "Laboratory")],
        "code": code or absent_concept(organizer.get("code")),
        "subject": ctx.patient,
        "encounter": encounter(inner, ctx),
        **(timed("effective", time, ctx) or span(observations, ctx) or {"_effectiveDateTime": absent()}),
        "_issued": absent(),
        "performer": [one for one in performers(organizer, ctx) if fits(one, *_BY)],
        "specimen": specimens([organizer, *statements], ctx),
        "result": results,
    }
    yield ctx.add("DiagnosticReport", kept(body), organizer)


@entry(
    "2.16.840.1.113883.10.20.22.4.2",
    "2.16.840.1.113883.10.20.1.31",
    "1.3.6.1.4.1.19376.1.5.3.1.4.13",
    "2.16.840.1.113883.3.88.11.83.15",
    "2.16.840.1.113883.3.88.11.83.15.1",
    sections=("30954-2",),
    element="observation",
)
def result(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """A Result Observation outside of an organizer."""
    yield member(observation, ctx, categories=category("laboratory", "Laboratory"), by_author=False)


def _collects(statement: Node) -> bool:
    """A Specimen Collection Procedure, or one that tells nothing but specimens: read as the report's specimen."""
    if not statement.element.tag.endswith("}procedure"):
        return False
    return "code" not in statement or not COLLECTION.isdisjoint(statement.kinds)


def _status(organizer: Node) -> str:
    found = mapped("report-status", organizer.attribute("statusCode", "code"))
    return found.code if found else "unknown"
