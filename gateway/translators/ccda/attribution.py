"""Who wrote, did or told an entry -> Provenance, where the entry's own resource has no element for it.

C-CDA on FHIR 2.0.0, CDA <-> FHIR Provenance: the author of a result is a Provenance of it. One stands for all entries
of a document that have it alike, as documents repeat the same author at each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .context import Context, Made, Reference
from .node import STATEMENTS, V3, Element, Node, children, statement_in
from .participation import PARTICIPANT_TYPES, document_name, recorded
from .related import associate
from .statement import COMMENT
from .values import Value, absent, concept, kept, timed

_AUTHOR = "author"
_ROLES = {V3 + "author": _AUTHOR, V3 + "performer": "performer", V3 + "informant": "informant"}
_SECTION = V3 + "section"
_PARTICIPANT, _BY_TYPE = V3 + "participant", {"VRF": "verifier"}
_TOLD = frozenset(["Coverage"])
"""The performers of a policy pay for it: that is said of them there."""

_HOLDERS = ("assignedAuthor", "assignedEntity", "relatedEntity", "participantRole")
_INNER = frozenset([V3 + "entryRelationship", V3 + "component"])
_WRITTEN = (
    *("recordedDate", "authoredOn", "dateAsserted", "issued", "date", "created", "sent", "recorded", "dateTime"),
    "start",
)
"""Elements that say when a resource was written."""

_Key = tuple[str, ...]


@dataclass(slots=True)
class _Part:
    """One participation: in which role, who (None where nobody says) and when."""

    role: str
    who: Reference | None
    when: Value
    source: Element

    @property
    def key(self) -> _Key:
        return (self.role, self.who["reference"] if self.who else "", str(self.when))


@dataclass(slots=True)
class _Shared:
    """A Provenance and what it is about."""

    parts: list[_Part]
    targets: list[Reference]


def attributions(document: Node, composition: Reference, ctx: Context) -> None:
    """Provenances for the resources of the entries, after all of them are made."""
    whole = document_name(document, composition)
    around = _Around({made.source for made in ctx.made})
    shared: dict[tuple[_Key, ...], _Shared] = {}
    for made in ctx.made:
        if made.source.tag in STATEMENTS and made.type not in _TOLD:
            for parts in _grouped(_unsaid(made, around, ctx)):
                found = shared.setdefault(tuple(part.key for part in parts), _Shared(parts, []))
                found.targets.append(made.reference)
    for keys, one in shared.items():
        identity = (ctx.patient_id, "Provenance", whole, *(text for key in keys for text in key))
        ctx.keep("Provenance", {"resourceType": "Provenance", "id": "", **_body(one)}, identity, one.parts[0].source)


def _unsaid(made: Made, around: _Around, ctx: Context) -> list[_Part]:
    """The participations in its statement, and in those that only wrap it, which the resource does not tell itself."""
    found: list[_Part] = []
    for role, child in (*_within(made.source, around.own), *around(made.source)):
        part = _part(role, Node(child), ctx)
        if part and part not in found and not _is_told(part, made.body):
            found.append(part)
    return found


class _Around:
    """The participations of the statements around one that became no resource of their own (`own` are those that did).
    What is known of one that holds thousands is not looked for again at each."""

    def __init__(self, own: set[Element]) -> None:
        self.own = own
        self._known: dict[Element, list[tuple[str, Element]]] = {}

    def __call__(self, source: Element) -> list[tuple[str, Element]]:
        outer = source.getparent()
        if outer is None or outer.tag == _SECTION or outer in self.own:
            return []
        found = self._known.get(outer)
        if found is None:
            found = [(role, child) for child in children(outer) if (role := _ROLES.get(child.tag))]
            found = self._known[outer] = [*found, *self(outer)]
        return found


def _within(statement: Element, own: set[Element]) -> Iterator[tuple[str, Element]]:
    """Of the statement, and of those in it that are only a part of it. A comment has its author in the note."""
    for child in children(statement):
        if role := _ROLES.get(child.tag) or (
            _BY_TYPE.get(child.get("typeCode", "")) if child.tag == _PARTICIPANT else None
        ):
            yield role, child
        elif child.tag in _INNER:
            inner = statement_in(child)
            if inner and inner.element not in own and COMMENT.isdisjoint(inner.kinds):
                yield from _within(inner.element, own)


def _part(role: str, node: Node, ctx: Context) -> _Part | None:
    who = next((found for name in _HOLDERS if (found := associate(node.get(name), ctx, node))), None)
    when = timed("occurred", node.get("time"), ctx)
    return _Part(role, who, when, node.element) if who or when else None


def _is_told(part: _Part, body: Value) -> bool:
    """Of an author both who and when; of the others who, as they take part when the thing itself is done."""
    if part.role != _AUTHOR:
        return part.who is not None and _mentions(body, part.who)
    if part.when and not _is_written(body, part.when.get("occurredDateTime")):
        return False
    return part.who is None or _mentions(body, part.who)


def _is_written(body: Value, when: str | None) -> bool:
    return when in [body.get(name) for name in _WRITTEN]


def _mentions(value: Value, who: Reference) -> bool:
    for one in value.values():
        if one.__class__ is dict:
            if one == who or _mentions(one, who):
                return True
        elif one.__class__ is list and any(each == who or _mentions(each, who) for each in one if type(each) is dict):
            return True
    return False


def _grouped(parts: list[_Part]) -> list[list[_Part]]:
    """One Provenance a time; whoever has none is with the first."""
    found: dict[str, list[_Part]] = {}
    undated = [part for part in parts if not part.when]
    for part in parts:
        if part.when:
            found.setdefault(str(part.when), []).append(part)
    groups = [*found.values()] or [[]]
    groups[0].extend(undated)
    return [group for group in groups if group]


def _body(shared: _Shared) -> Value:
    written = next((part.when for part in shared.parts if part.role == _AUTHOR and part.when), {})
    when = next((part.when for part in shared.parts if part.when), {})
    noted = recorded(written.get("occurredDateTime"))
    agents = [{"type": concept(part.role, PARTICIPANT_TYPES), "who": part.who or absent()} for part in shared.parts]
    return kept({"target": shared.targets, **when, **noted, "agent": agents})
