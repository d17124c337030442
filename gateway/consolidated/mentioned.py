"""Mentioned: what a patient's facts refer to and no compartment holds, such as the Medication of a prescription."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.fhir.references import collect
from gateway.store import Reader

TYPES = frozenset(
    {"Device", "HealthcareService", "Location", "Medication", "Organization"}
    | {"Practitioner", "PractitionerRole", "Substance"}
)
"""Who acted, where, and with what: nothing that could name another patient, as a Group's members do."""

_STEPS = 3
"""How far it goes: a role, its practitioner and organization, what that is part of."""


def mentioned(reader: Reader, found: Sequence[Resource], wanted: Callable[[str], bool]) -> list[Resource]:
    """In the order in which they are referred to; whatever is somebody's own is left out."""
    known = {(one["resourceType"], one["id"]) for one in found}
    named: list[Resource] = []
    for _ in range(_STEPS):
        pairs = [pair for pair in dict.fromkeys(_pairs(found, wanted)) if pair not in known]
        known.update(pairs)
        found = _read(reader, pairs)
        named += found
    return named


def _pairs(found: Sequence[Resource], wanted: Callable[[str], bool]) -> Iterable[tuple[str, str]]:
    for one in found:
        for reference in collect(one):
            type_, _, id_ = reference.value.partition("/")
            if reference.kind == "relative" and type_ in TYPES and wanted(type_):
                yield type_, id_.partition("/")[0]


def _read(reader: Reader, pairs: list[tuple[str, str]]) -> list[Resource]:
    heads = reader.heads(pairs)
    rids = [heads[pair].rid for pair in pairs if pair in heads and heads[pair].patient is None]
    bodies = reader.current(rids)
    return [json.decode(body) for rid in rids if rid in bodies and (body := bodies[rid].body) is not None]
