"""Who wrote, did or told what an entry says, where its resource has no place for it -> Provenance (C-CDA on FHIR
2.0.0, CDA <-> FHIR Provenance; US Core Basic Provenance).

One Provenance per time and those who acted then, for all resources of which they are told.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.fhir.json import Resource

from .context import Context, Made, Reference
from .ids import name_based
from .node import STATEMENTS, V3, Element, Node, child_of, children
from .related import associate
from .values import Value, absent, codeable, concept, kept, timed

PARTICIPANT_TYPES = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"

_INSTANT = 19
_TIME = V3 + "time"
_FUNCTIONS = frozenset([V3 + "functionCode", "{urn:hl7-org:sdtc}functionCode"])
_HOLDERS = frozenset(V3 + name for name in ("assignedAuthor", "assignedEntity", "relatedEntity"))

_PLACES = {
    "author": ("recorder", "requester", "author", "source", "expressedBy", "operator", "sender", "performer"),
    "performer": ("performer", "participant", "payor"),
    "informant": ("asserter", "reportedReference"),
}
"""Participation -> the elements of a resource that say who it is."""

_DATES = ("recordedDate", "authoredOn", "recorded", "date", "dateTime", "recordedOn")
"""The elements that say when it was written."""

_PAYING = "Coverage"
"""Whoever performs in a policy pays or guarantees: no act of which a Provenance could tell."""

Told = tuple[Element, Value, Value]
"""Where it is told, when, and the agent."""


def witnesses(ctx: Context) -> None:
    """Take in a Provenance for all that is told of entries and stands in none of their resources. It comes when the
    ids are settled: its own is made of theirs."""
    bodies = {made.reference["reference"]: made.body for made in ctx.made} if ctx.told else {}
    bodies[ctx.patient["reference"]] = ctx.person
    found: dict[str, tuple[list[Told], dict[str, Reference]]] = {}
    for node, references in ctx.told.values():
        for reference in references:
            body = bodies.get(reference.get("reference", ""))
            if body is not None:
                _gather(node, reference, body, found, ctx)
    ctx.made += [_provenance(told, [*targets.values()], ctx) for told, targets in found.values()]


def _gather(
    node: Node, target: Reference, body: Resource, found: dict[str, tuple[list[Told], dict[str, Reference]]], ctx: Context
) -> None:
    by_time: dict[str, list[Told]] = {}
    for told in _untold(node, body, ctx):
        by_time.setdefault(str(told[1]), []).append(told)
    for time, several in by_time.items():
        key = f"{time} {[agent for _, _, agent in several]}"
        found.setdefault(key, (several, {}))[1].setdefault(target["reference"], target)


def _untold(node: Node, body: Resource, ctx: Context) -> Iterator[Told]:
    """Those whom the resource does not name, or at another time."""
    for role, places in _PLACES.items():
        if role not in node or (role == "performer" and body["resourceType"] == _PAYING):
            continue
        if role == "author" and "performer" in node:
            places = places[:-1]
        named = [who for place in places if place in body for who in _references(body[place])]
        for element in node.all(role):
            who = _party(element, ctx)
            when = timed("occurred", child_of(element, _TIME), ctx)
            if (who not in named and (who or when)) or not _is_dated(when, body):
                yield element, when, _agent(role, who, element, ctx)


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


def _provenance(told: list[Told], targets: list[Reference], ctx: Context) -> Made:
    agents = [agent for _, _, agent in told]
    body = provenance_body(targets, agents, told[0][1])
    parts = [*map(str, agents), str(told[0][1]), *sorted(target["reference"] for target in targets)]
    identity = (ctx.patient_id, "Provenance", *parts)
    resource = {"resourceType": "Provenance", "id": name_based(*identity), **body}
    return Made("Provenance", resource, identity, {"reference": f"Provenance/{resource['id']}"}, told[0][0])


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
