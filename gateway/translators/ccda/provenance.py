"""Who wrote, did or told what an entry says, where its resource has no place for it -> Provenance (C-CDA on FHIR
2.0.0, CDA <-> FHIR Provenance; US Core Basic Provenance).

One Provenance per time and those who acted then, for all resources of which they are told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gateway.fhir.json import Resource

from .context import Context, Made, Reference
from .ids import name_based
from .node import V3, Element, Node, child_of, children
from .people import fits
from .related import associate
from .values import Value, absent, codeable, concept, kept, timed

PARTICIPANT_TYPES = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"

_INSTANT = 19
_TIME = V3 + "time"
_FUNCTIONS = frozenset([V3 + "functionCode", "{urn:hl7-org:sdtc}functionCode"])
_HOLDERS = frozenset(V3 + name for name in ("assignedAuthor", "assignedEntity", "relatedEntity", "participantRole"))

_PLACES = {
    "author": ("recorder", "requester", "author", "source", "expressedBy", "operator", "sender", "performer"),
    "performer": ("performer", "participant", "payor"),
    "informant": ("asserter", "reportedReference"),
    "verifier": ("verification",),
    "custodian": ("organization",),
    "enterer": (),
}
"""Type of agent -> the elements of a resource that say who it is."""

_ROLES = ("author", "performer", "informant")
_PARTICIPANTS = {"VRF": "verifier", "CST": "custodian", "ENT": "enterer"}
"""The type codes of those `participant` who took part as an agent does."""

_DATES = ("recordedDate", "authoredOn", "recorded", "date", "dateTime", "recordedOn")
"""The elements that say when it was written."""

_PAYING = "Coverage"
"""Whoever performs in a policy pays or guarantees: no act of which a Provenance could tell."""


class Part(NamedTuple):
    """One participation: in which role, where it is told, who, when, and the agent of a Provenance."""

    role: str
    element: Element
    who: Reference | None
    when: Value
    agent: Value


class Witnessed(NamedTuple):
    """What a statement became, and who took part in it. `author_only`: it names no performer of its own."""

    references: list[Reference]
    parts: list[Part]
    author_only: bool


def witnesses(ctx: Context) -> list[Witnessed]:
    """Everybody who took part in the entries; it makes those whom no resource refers to."""
    return [
        Witnessed(references, [*_parts(node, references, ctx)], "performer" not in node)
        for node, references in ctx.told.values()
        if references
    ]


def _parts(node: Node, references: list[Reference], ctx: Context) -> Iterator[Part]:
    pays = all(fits(one, _PAYING) for one in references)
    for role, element in _participations(node):
        if pays and role == "performer":
            continue
        who = _party(element, ctx)
        when = timed("occurred", child_of(element, _TIME), ctx)
        if who or when:
            yield Part(role, element, who, when, _agent(role, who, element, ctx))


def _participations(node: Node) -> Iterator[tuple[str, Element]]:
    for role in _ROLES:
        for element in node.all(role):
            yield role, element
    for element in node.all("participant"):
        if role := _PARTICIPANTS.get(element.get("typeCode") or "", ""):
            yield role, element


def add_provenance(told: list[Witnessed], ctx: Context) -> None:
    """Take in what of it stands in none of the resources. It comes when the ids are settled: those of a Provenance are
    made of theirs."""
    bodies = {made.reference["reference"]: made.body for made in ctx.made}
    bodies[ctx.patient["reference"]] = ctx.person
    found: Found = {}
    for one in told:
        for target in one.references:
            body = bodies.get(target.get("reference", ""))
            if body is not None:
                _gather(one, target, body, found)
    ctx.made += [_provenance(parts, [*targets.values()], ctx) for parts, targets in found.values()]


Found = dict[str, tuple[list[Part], dict[str, Reference]]]


def _gather(one: Witnessed, target: Reference, body: Resource, found: Found) -> None:
    """Those who acted at the same time have one Provenance."""
    by_time: dict[str, list[Part]] = {}
    for part in one.parts:
        if not _stands(part, one, body):
            by_time.setdefault(str(part.when), []).append(part)
    for time, parts in by_time.items():
        key = f"{time} {[part.agent for part in parts]}"
        found.setdefault(key, (parts, {}))[1].setdefault(target["reference"], target)


def _stands(part: Part, one: Witnessed, body: Resource) -> bool:
    """Whether the resource names him, and the time of writing."""
    places = [name for name in _PLACES[part.role] if one.author_only or part.role != "author" or name != "performer"]
    named = any(part.who == who for name in places if name in body for who in _references(body[name]))
    return (named or part.who is None) and _is_dated(part.when, body)


def _is_dated(when: Value, body: Resource) -> bool:
    time = when.get("occurredDateTime")
    return not when or any(body.get(name) == time for name in _DATES)


def _references(value: object) -> Iterator[object]:
    """A reference, several, or those that are a part of backbone elements."""
    if isinstance(value, list):
        for one in value:
            yield from _references(one)
    elif isinstance(value, dict):
        yield value
        yield from (inner for inner in value.values() if isinstance(inner, dict))


def _party(element: Element, ctx: Context) -> Reference | None:
    return next((who for child in children(element) if child.tag in _HOLDERS and (who := associate(child, ctx))), None)


def _agent(role: str, who: Reference | None, element: Element, ctx: Context) -> Value:
    functions = [codeable(child, ctx) for child in children(element) if child.tag in _FUNCTIONS]
    return kept(
        {
            "type": concept(role, PARTICIPANT_TYPES),
            "role": [one for one in functions if one],
            "who": who or absent(),
        }
    )


def _provenance(parts: list[Part], targets: list[Reference], ctx: Context) -> Made:
    agents, when = [part.agent for part in parts], parts[0].when
    identity = (
        ctx.patient_id,
        "Provenance",
        *map(str, agents),
        str(when),
        *sorted(one["reference"] for one in targets),
    )
    resource = {"resourceType": "Provenance", "id": name_based(*identity), **provenance_body(targets, agents, when)}
    return Made("Provenance", resource, identity, {"reference": f"Provenance/{resource['id']}"}, parts[0].element)


def provenance_body(targets: list[Reference], agents: list[Value], when: Value) -> Value:
    """`recorded` has to be exact to the second: a shorter time stands in `occurred` alone."""
    time = when.get("occurredDateTime", "")
    exact = time if len(time) > _INSTANT else None
    return kept(
        {
            "target": targets,
            **when,
            "recorded": exact,
            "_recorded": None if exact else absent(),
            "agent": agents,
        }
    )
