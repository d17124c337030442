"""Who wrote, did or told an entry -> Provenance, where the entry's own resource has no element for it.

C-CDA on FHIR 2.0.0, CDA <-> FHIR Provenance: the author of a result is a Provenance of it. One stands for all entries
of a document that have it alike, as documents repeat the same author at each.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.fhir.json import Resource

from .context import Context, Made, Reference
from .ids import name_based
from .node import STATEMENTS, V3, Element, Node
from .participation import PARTICIPANT_TYPES, recorded
from .related import associate
from .statement import COMMENT
from .values import Value, absent, concept, kept, timed

_AUTHOR, _INFORMANT, _LEGAL = "author", "informant", "legal"
_ROLES = {V3 + "author": _AUTHOR, V3 + "performer": "performer", V3 + "informant": _INFORMANT}
_PARTICIPANT = V3 + "participant"
_BY_TYPE = {"VRF": "verifier", "CST": "custodian", "ENT": "enterer", "LA": _LEGAL}
_TOLD = frozenset(["Account", "Coverage"])
"""The performers of a policy pay for it: that is said of them there."""

_HOLDERS = ("assignedAuthor", "assignedEntity", "relatedEntity", "participantRole")
_SECTION = V3 + "section"

_PLACES = {
    _AUTHOR: ("recorder", "requester", _AUTHOR, "source", "expressedBy", "operator", "sender"),
    "performer": ("performer", "participant"),
    _INFORMANT: ("asserter", "reportedReference"),
    "verifier": ("verification",),
    "custodian": ("organization",),
    "enterer": (),
    _LEGAL: ("authenticator",),
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


Attributions = dict[Element, list[Part]]
"""The statements that became resources, and who took part in each."""


def attributions(document: Element, ctx: Context) -> Attributions:
    """Who took part in what became a resource, or is a part of one; whoever stands nowhere yet is made. Who told a
    section told what it holds, but for what somebody else told (CDA R2 §4.4: the context is conducted, or overridden);
    its author stands in the Composition."""
    found: Attributions = {}
    wrapped = _Wrapped(ctx)
    of_sections: list[tuple[Element, Element]] = []
    for element in document.iter(*_ROLES, _PARTICIPANT):
        role = _ROLES.get(element.tag) or _BY_TYPE.get(element.get("typeCode", ""))
        outer = element.getparent()
        if role is None or outer is None:
            continue
        if outer.tag in STATEMENTS and _took_part(role, outer):
            _attribute(role, element, _owners(outer, wrapped, ctx), found, ctx)
        elif outer.tag == _SECTION and role == _INFORMANT:
            of_sections.append((element, outer))
    told = {one for one, parts in found.items() if any(part.role == _INFORMANT for part in parts)}
    for element, section in of_sections:
        _attribute(_INFORMANT, element, [one for one in wrapped.of(section) if one not in told], found, ctx)
    return found


def _attribute(role: str, element: Element, owners: list[Element], found: Attributions, ctx: Context) -> None:
    if owners and (part := _part(role, Node(element), ctx)):
        for owner in owners:
            found.setdefault(owner, []).append(part)


def _took_part(role: str, statement: Element) -> bool:
    """Whoever is to do what is only asked for, planned or a goal has done nothing yet."""
    return role != "performer" or statement.get("moodCode") in (None, "EVN")


def _part(role: str, node: Node, ctx: Context) -> Part | None:
    who = next((found for name in _HOLDERS if (found := associate(node.get(name), ctx, node))), None)
    when = timed("occurred", node.get("time"), ctx)
    return Part(role, who, when, node.element) if who or when else None


def _owners(statement: Element, wrapped: _Wrapped, ctx: Context) -> list[Element]:
    """The statement itself; of one that is only a part, the one around it, but for a comment, which has its author in
    the note; of one that wraps others, those."""
    part: Element | None = statement
    while part is not None and part.tag != _SECTION:
        if part in ctx.became:
            return [part] if _speaks(part, ctx) else []
        if part.tag in STATEMENTS and not COMMENT.isdisjoint(Node(part).kinds):
            return []
        part = part.getparent()
    return wrapped.of(statement)


def _speaks(statement: Element, ctx: Context) -> bool:
    return any(one["reference"].partition("/")[0] not in _TOLD for one in ctx.became[statement])


class _Wrapped:
    """What the statements hold that became nothing themselves; found when it is needed."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._held: dict[Element, list[Element]] | None = None

    def of(self, statement: Element) -> list[Element]:
        if self._held is None:
            self._held = {}
            for inner in self._ctx.became:
                self._enter(inner, self._held)
        return self._held.get(statement, [])

    def _enter(self, inner: Element, held: dict[Element, list[Element]]) -> None:
        outer = inner.getparent()
        while outer is not None and outer not in self._ctx.became:
            if outer.tag in STATEMENTS or outer.tag == _SECTION:
                held.setdefault(outer, []).append(inner)
            outer = None if outer.tag == _SECTION else outer.getparent()


def add_provenance(told: Attributions, ctx: Context) -> None:
    """Take in the Provenances, when the ids of all else are settled. Theirs are made of whom, when and what they tell:
    the next export has the same ones, and none takes the place of another that tells of other entries."""
    bodies = {made.reference["reference"]: made.body for made in ctx.made}
    shared: dict[str, tuple[list[Part], dict[str, Reference]]] = {}
    for statement, parts in told.items():
        for target in ctx.became[statement]:
            body = ctx.person if target is ctx.patient else bodies[target["reference"]]
            for group in _grouped([part for part in parts if not _is_told(part, body)]):
                _, targets = shared.setdefault(str([(part.agent, part.when) for part in group]), (group, {}))
                targets[target["reference"]] = target
    ctx.made += [_provenance(parts, [*targets.values()], ctx.patient_id) for parts, targets in shared.values()]


def _is_told(part: Part, body: Resource) -> bool:
    """Of who wrote or signed it both who and when; of the others who, as they take part when the thing itself is
    done."""
    if part.who and not any(_names(body[name], part.who) for name in _places(part, body) if name in body):
        return False
    if part.role not in (_AUTHOR, _LEGAL):
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
