"""Who wrote, did or told an entry -> Provenance, where the entry's own resource has no element for it.

C-CDA on FHIR 2.0.0, CDA <-> FHIR Provenance: the author of a result is a Provenance of it. One stands for all entries
of a document that have it alike, as documents repeat the same author at each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gateway.fhir.json import Resource

from .context import Context, Made, Reference
from .ids import name_based
from .node import STATEMENTS, V3, Element, Node, children
from .participation import PARTICIPANT_TYPES, recorded
from .related import associate
from .statement import COMMENT
from .values import Value, absent, concept, kept, timed

_AUTHOR = "author"
_ROLES = {V3 + "author": _AUTHOR, V3 + "performer": "performer", V3 + "informant": "informant"}
_PARTICIPANT = V3 + "participant"
_BY_TYPE = {"VRF": "verifier", "CST": "custodian", "ENT": "enterer"}
_TOLD = frozenset(["Coverage"])
"""The performers of a policy pay for it: that is said of them there."""

_HOLDERS = ("assignedAuthor", "assignedEntity", "relatedEntity", "participantRole")
_INNER = frozenset([V3 + "entryRelationship", V3 + "component"])
_SECTION = V3 + "section"

_PLACES = {
    _AUTHOR: ("recorder", "requester", _AUTHOR, "source", "expressedBy", "operator", "sender"),
    "performer": ("performer", "participant"),
    "informant": ("asserter", "reportedReference"),
    "verifier": ("verification",),
    "custodian": ("organization",),
    "enterer": (),
}
"""Role -> the elements of a resource that name who had it."""

_FOR_AUTHORS = frozenset(["Observation", "Consent"])
"""Their `performer` is the author where nobody is said to have done it (CF-vitals)."""

_WRITTEN = ("recordedDate", "authoredOn", "date", "created", "sent", "recorded", "recordedOn", "dateTime")
"""Elements that say when a resource was written."""


class Part(NamedTuple):
    """One participation: in which role, who (None where nobody says) and when."""

    role: str
    who: Reference | None
    when: Value
    source: Element

    @property
    def agent(self) -> Value:
        return {"type": concept(self.role, PARTICIPANT_TYPES), "who": self.who or absent()}


Attributed = list[tuple[Made, list[Part]]]


def attributed(ctx: Context) -> Attributed:
    """Who took part in what became a resource; whoever stands nowhere yet is made."""
    own = {made.source for made in ctx.made}
    entries = [made for made in ctx.made if made.source.tag in STATEMENTS and made.type not in _TOLD]
    return [(made, parts) for made in entries if (parts := [*_parts(made.source, own, ctx)])]


def _parts(source: Element, own: set[Element], ctx: Context) -> Iterator[Part]:
    for role, element in (*_within(source, own), *_around(source, own)):
        node = Node(element)
        who = next((found for name in _HOLDERS if (found := associate(node.get(name), ctx, node))), None)
        when = timed("occurred", node.get("time"), ctx)
        if who or when:
            yield Part(role, who, when, element)


def _around(source: Element, own: set[Element]) -> Iterator[tuple[str, Element]]:
    """Of the statements around it that became no resource of their own."""
    outer = source.getparent()
    while outer is not None and outer.tag != _SECTION and outer not in own:
        if outer.tag in STATEMENTS:
            for child in children(outer):
                if role := _ROLES.get(child.tag):
                    yield role, child
        outer = outer.getparent()


def _within(statement: Element, own: set[Element]) -> Iterator[tuple[str, Element]]:
    """Of the statement, and of those in it that are only a part of it. A comment has its author in the note."""
    for child in children(statement):
        tag = child.tag
        if tag in _ROLES:
            yield _ROLES[tag], child
        elif tag == _PARTICIPANT:
            if role := _BY_TYPE.get(child.get("typeCode", "")):
                yield role, child
        elif tag in _INNER:
            for inner in children(child):
                if inner.tag in STATEMENTS and inner not in own and (found := [*_within(inner, own)]):
                    yield from found if COMMENT.isdisjoint(Node(inner).kinds) else ()


def add_provenance(told: Attributed, ctx: Context) -> None:
    """Take in the Provenances, when the ids of all else are settled. Theirs are made of whom, when and what they tell:
    the next export has the same ones, and none takes the place of another that tells of other entries."""
    shared: dict[str, tuple[list[Part], list[Reference]]] = {}
    for made, parts in told:
        for group in _grouped([part for part in parts if not _is_told(part, made.body)]):
            targets = shared.setdefault(str([(part.agent, part.when) for part in group]), (group, []))[1]
            if made.reference not in targets:
                targets.append(made.reference)
    ctx.made += [_provenance(parts, targets, ctx.patient_id) for parts, targets in shared.values()]


def _is_told(part: Part, body: Resource) -> bool:
    """Of an author both who and when; of the others who, as they take part when the thing itself is done."""
    if part.who and not any(_names(body[name], part.who) for name in _places(part, body) if name in body):
        return False
    if part.role != _AUTHOR:
        return part.who is not None
    return not part.when or any(body.get(name) == part.when.get("occurredDateTime") for name in _WRITTEN)


def _places(part: Part, body: Resource) -> tuple[str, ...]:
    places = _PLACES[part.role]
    return (*places, "performer") if part.role == _AUTHOR and body["resourceType"] in _FOR_AUTHORS else places


def _names(value: object, who: Reference) -> bool:
    """A reference, several, or backbone elements with one."""
    if isinstance(value, list):
        return any(_names(one, who) for one in value)
    return isinstance(value, dict) and (value == who or who in value.values())


def _grouped(parts: list[Part]) -> list[list[Part]]:
    """One Provenance a time, each participation once; whoever has no time has none of another."""
    found: dict[str, list[Part]] = {}
    for part in parts:
        group = found.setdefault(str(part.when), [])
        if all(part[:2] != other[:2] for other in group):
            group.append(part)
    return [*found.values()]


def _provenance(parts: list[Part], targets: list[Reference], patient_id: str) -> Made:
    when, agents = parts[0].when, [part.agent for part in parts]
    identity = (patient_id, "Provenance", str(when), *map(str, agents), *sorted(one["reference"] for one in targets))
    noted = recorded(when.get("occurredDateTime") if any(part.role == _AUTHOR for part in parts) else None)
    resource = {"resourceType": "Provenance", "id": name_based(*identity), "target": targets, **when, **noted}
    reference = {"reference": f"Provenance/{resource['id']}"}
    return Made("Provenance", kept({**resource, "agent": agents}), identity, reference, parts[0].source)
