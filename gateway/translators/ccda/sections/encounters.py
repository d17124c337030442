"""Encounters (LOINC 46240-8) -> Encounter, its diagnoses and places (C-CDA on FHIR, CF-encounters)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.encounter import add_encounter, encounter_body, moved, participant, places
from gateway.translators.ccda.links import meant
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.registry import entry, others
from gateway.translators.ccda.sections.plan import planned_encounter
from gateway.translators.ccda.sections.problems import condition
from gateway.translators.ccda.statement import (
    RANK,
    Relations,
    happened,
    is_ahead,
    notes,
    of_another,
    of_kind,
    reasons,
    related,
)
from gateway.translators.ccda.values import Value, count, kept

_DIAGNOSIS = frozenset(["29308-4", "2.16.840.1.113883.10.20.22.4.80"])


@entry(
    "2.16.840.1.113883.10.20.22.4.49",
    "2.16.840.1.113883.10.20.1.21",
    "2.16.840.1.113883.3.88.11.83.16",
    "1.3.6.1.4.1.19376.1.5.3.1.4.14",
    sections=("46240-8",),
    element="encounter",
)
def encounter_activity(activity: Node, ctx: Context) -> Iterator[Reference | None]:
    """Nothing when it has no code, no time and no id: a placeholder. One in intent mood is planned."""
    if is_ahead(activity):
        yield planned_encounter(activity, ctx)
        return
    body = encounter_body(activity, ctx)
    if not any(body.get(name) for name in ("identifier", "type", "period")):
        return
    relations = related(activity)
    people = [participant(one, "assignedEntity", ctx) for one in activity.nodes("performer")]
    diagnoses = [*_diagnoses(relations, ctx)]
    body["participant"] = [one for one in people if one]
    body["location"] = [*places(activity, ctx)]
    body["hospitalization"] = kept({**(body["hospitalization"] or {}), **moved(activity, ctx)})
    body["reasonCode"] = reasons(relations, ctx)
    body["reasonReference"] = [
        found for kind, one in relations if kind == "RSON" and (found := meant("Condition", one, ctx))
    ]
    body["diagnosis"] = diagnoses
    others([one for one in relations if _DIAGNOSIS.isdisjoint(one[1].kinds)], ctx)
    yield add_encounter(activity, kept(body), ctx)
    for one in diagnoses:
        yield one["condition"]


def _diagnoses(relations: Relations, ctx: Context) -> Iterator[Value]:
    """A diagnosis that is negated is a refuted one."""
    for _, act in relations:
        if _DIAGNOSIS.isdisjoint(act.kinds) or act.untold or of_another(act, ctx):
            continue
        told = related(act)
        remarks = notes(told, ctx)
        others([one for one in told if not happened(one[1])], ctx)
        for observation in (one for _, one in told if happened(one)):
            made = condition(observation, ctx, concern=act, category="encounter-diagnosis", remarks=remarks)
            if made is not None:
                yield kept({"condition": made, "rank": _rank(observation)})


def _rank(observation: Node) -> int | None:
    """Which place it has among the diagnoses."""
    ranks = of_kind(RANK, related(observation))
    return count(ranks[0].attribute("value", "value")) if ranks else None
