"""Health Concerns (LOINC 75310-3) -> Condition of category health-concern, and what else is told with it (C-CDA R2.1
§2.24, §3.47 Health Concern Act, §3.105 Risk Concern Act; US Core Condition Problems and Health Concerns)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.people import fits, recording
from gateway.translators.ccda.registry import entry, others
from gateway.translators.ccda.sections.problems import (
    CLINICAL,
    CORE_CATEGORY,
    ENTERED_IN_ERROR,
    PROBLEM,
    REFUTED,
    condition,
)
from gateway.translators.ccda.statement import (
    NULLIFIED,
    PARTS,
    PRIORITY,
    ROOT,
    Relations,
    denied,
    encounter,
    happened,
    mapped,
    notes,
    referenced,
    related,
)
from gateway.translators.ccda.values import codeable, concept, identifiers, interval, kept, resolved

_GENERIC = frozenset(["75310-3", "281694009", "CONC", None])


@entry(ROOT + "132", ROOT + "136", sections=("75310-3",), element="act")
def health_concern(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Health Concern Act, Risk Concern Act: the problems in it are the concern, and the entries that it names; an act
    without either is one by its own words."""
    relations = related(act)
    where = encounter(relations, ctx)
    remarks = notes(relations, ctx)
    rest: Relations = []
    made: list[Reference | None] = []
    for kind, one in relations:
        if not PROBLEM.isdisjoint(one.kinds) and happened(one):
            made.append(condition(one, ctx, concern=act, category="health-concern", where=where, remarks=remarks))
        elif PARTS.isdisjoint(one.kinds) or not PRIORITY.isdisjoint(one.kinds):
            rest.append((None if kind == "RSON" else kind, one))
    if rest:
        denied(act, ctx)
    made += others(rest, ctx)
    made += referenced(relations, ctx)
    yield from made or [_in_words(act, relations, ctx)]


def _in_words(act: Node, relations: Relations, ctx: Context) -> Reference | None:
    generic = act.attribute("code", "code") in _GENERIC
    text = resolved(act.get("text"), ctx)
    code = None if generic else codeable(act.get("code"), ctx)
    if (code is None and text is None) or (code is None and denied(act, ctx)):
        return None
    recorder, written = recording(act, ctx)
    code_of_status = act.attribute("statusCode", "code")
    status = mapped("condition-clinical", code_of_status)
    verified = ENTERED_IN_ERROR if code_of_status in NULLIFIED else REFUTED if act.negated else None
    when = interval(act.get("effectiveTime"), ctx)
    body = {
        "identifier": identifiers(act.all("id")),
        "clinicalStatus": concept(status.code, CLINICAL, status.display) if status else None,
        "verificationStatus": verified,
        "category": [concept("health-concern", CORE_CATEGORY, "Health Concern")],
        "code": code or {"text": text},
        "subject": ctx.patient,
        "onsetDateTime": when.start,
        "abatementDateTime": when.high if status and status.code == "inactive" else None,
        "recordedDate": written,
        "recorder": fits(recorder, "Practitioner", "PractitionerRole", "Patient", "RelatedPerson"),
        "note": notes(relations, ctx),
    }
    return ctx.add("Condition", kept(body), act)
