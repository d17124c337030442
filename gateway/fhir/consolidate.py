"""Consolidate: the records of one resource become the resource, and what contradicts is listed.

Only what systems assert themselves counts. Per slot a value stands before the word that none is known, then the
connector's priority decides, then the time of change, then the connector's name: the order of the records never does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from gateway.fhir.absent import says_nothing
from gateway.fhir.form import name_parts
from gateway.fhir.json import Resource
from gateway.fhir.record import Own, Record, Slots, Value
from gateway.fhir.slots import attach, element_of, join, split, unwrap, wrap
from gateway.fhir.spelling import canonical, exact, same

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_FACTS: Final = frozenset({"identifier", "communication", "contact", "generalPractitioner", "link"})
"""Lists of independent facts: at first contact they are united. The other lists are alternatives of one value."""
_NARROWING: Final = frozenset({"period", "extension", "modifierExtension"})
_MOST_COMPARED: Final = 100
_LABELLED: Final = ("name[official]", "name[usual]")


@dataclass(frozen=True, slots=True)
class Policy:
    """`priority`: connector -> rank, the larger wins, 0 by default. `ours`: our own identifier system, which never
    enters a resource. `tolerance`: how far two systems' clocks may be apart. `review`: slots whose conflicts a person
    must decide."""

    priority: Mapping[str, int] = field(default_factory=dict)
    ours: str = ""
    tolerance: timedelta = timedelta(0)
    review: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Conflict:
    """`other` asserts a different value that may be newer than anything the winner had seen. Never holds values."""

    slot: str
    winner: str
    other: str
    at: datetime | None = None
    review: bool = False

    @property
    def connectors(self) -> tuple[str, str]:
        return self.winner, self.other


@dataclass(frozen=True, slots=True)
class Consolidated:
    """`slots`: what the resource holds; `stamps` and `sources` also name the slots of which it was said that there is
    none. `resource` has no id and no version, and is None when nothing is asserted."""

    slots: Slots = field(default_factory=dict)
    resource: Resource | None = None
    stamps: Mapping[str, datetime | None] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    conflicts: tuple[Conflict, ...] = ()


class _Claim(NamedTuple):
    rank: tuple[int, bool, datetime, str, str]
    connector: str
    own: Own


@dataclass(slots=True)
class _Sum:
    slots: dict[str, Value] = field(default_factory=dict)
    stamps: dict[str, datetime | None] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)


def consolidate(records: Iterable[Record], policy: Policy) -> Consolidated:
    """The resource that these records make together; every record is of the same type."""
    claims, type_ = _claims(records, policy)
    found = _Sum()
    for slot in sorted(claims):
        _decide(found, slot, claims[slot], policy)
    slots = {slot: value for slot, value in found.slots.items() if value is not None}
    if type_ == "Patient":
        slots = _one_name_each(slots)
    resource = join(type_, slots) if slots else None
    return Consolidated(slots, resource, found.stamps, found.sources, tuple(found.conflicts))


def changed(old: Resource | None, new: Consolidated, *, spelling: bool = False) -> set[str]:
    """The slots in which the resource now says something else; with `spelling`, also those it only spells otherwise."""
    before = split(old) if old else {}
    if spelling:
        return {slot for slot in before.keys() | new.slots.keys() if not _exact(before.get(slot), new.slots.get(slot))}
    return {slot for slot in before.keys() | new.slots.keys() if not same(slot, before.get(slot), new.slots.get(slot))}


def _exact(a: Value, b: Value) -> bool:
    return a is not None and b is not None and exact(a, b)


def _claims(records: Iterable[Record], policy: Policy) -> tuple[dict[str, list[_Claim]], str]:
    claims: defaultdict[str, list[_Claim]] = defaultdict(list)
    type_ = ""
    for record in records:
        type_ = record.type
        priority = policy.priority.get(record.connector, 0)
        for slot, own in record.own.items():
            rank = (priority, own.at is not None, own.at or _NEVER, record.connector, record.remote_id)
            claims[slot].append(_Claim(rank, record.connector, own))
    claims.pop(f"identifier[{policy.ours}]", None)
    return claims, type_


def _is_told(slot: str, own: Own) -> bool:
    """Whether a claim says something. That nothing is known is no value that could take the place of one, unless who
    says so had been shown it."""
    return own.base is not None or not says_nothing(slot, own.value)


def _ranked(slot: str, claims: Iterable[_Claim]) -> list[_Claim]:
    """Best first."""
    return sorted(claims, key=lambda claim: (_is_told(slot, claim.own), claim.rank), reverse=True)


def _decide(found: _Sum, slot: str, claims: list[_Claim], policy: Policy) -> None:
    """One slot: its winner, what it is united with, and who contradicts."""
    if len(claims) > 1:
        claims = _ranked(slot, claims)
        if element_of(slot) in _FACTS:
            claims = _united(claims)
    winner = claims[0]
    found.slots[slot] = winner.own.value
    found.stamps[slot] = winner.own.stamp
    found.sources[slot] = winner.connector
    for other in claims[1:]:
        if _is_told(slot, other.own) and _contradicts(slot, winner, other, policy):
            review = slot in policy.review or element_of(slot) in policy.review
            found.conflicts.append(Conflict(slot, winner.connector, other.connector, other.own.stamp, review))


def _contradicts(slot: str, winner: _Claim, other: _Claim, policy: Policy) -> bool:
    """Whether another's different value may be newer than what the winner had been shown."""
    if same(slot, winner.own.value, other.own.value):
        return False
    base, stamp = winner.own.base, other.own.stamp
    if base is None or stamp is None:
        return True
    return stamp != base and stamp + policy.tolerance > base


def _united(claims: list[_Claim]) -> list[_Claim]:
    """First contact unites lists: what a system said before it was shown anything foreign is added to the winner
    among those who had been, unless that one had been shown it too. Best first; the united claim leads."""
    informed = [claim for claim in claims if claim.own.base is not None]
    fresh = [claim for claim in claims if claim.own.base is None]
    base = informed[0].own.base if informed else None
    members = informed[:1] + [claim for claim in fresh if base is None or _known_at(claim) > base]
    lists = [claim.own.value for claim in members if isinstance(unwrap(claim.own.value)[0], list)]
    if not lists or len(members) < 2:
        return informed[:1] + informed[1:] or fresh[:1]
    stamp = max(_known_at(claim) for claim in members)
    head = members[0]
    united = Own(_union(lists), stamp, head.own.base, stamp)
    return [_Claim(head.rank, head.connector, united), *informed[1:]]


def _known_at(claim: _Claim) -> datetime:
    own = claim.own
    return max(own.at or _NEVER, own.seen or _NEVER)


def _union(lists: Iterable[Value]) -> Value:
    """Every element once, together with the contained resources that the elements refer to."""
    union: dict[bytes, Any] = {}
    contained: list[Any] = []
    for value in lists:
        items, _, attached = unwrap(value)
        if attached:
            items, _ = attach(contained, attached, items, None)
        for item in items:
            union.setdefault(canonical("", [item]), item)
    return wrap(_fullest(list(union.values())), contained=contained)


def _fullest(items: list[Any]) -> list[Any]:
    """Without those that another one says too, and more: the same number with and without its type is one number. Of
    very many all are kept, as each is compared with each."""
    if len(items) > _MOST_COMPARED:
        return items
    return [one for at, one in enumerate(items) if not _is_told_better(at, one, items)]


def _is_told_better(at: int, one: Any, items: list[Any]) -> bool:
    """Of two that say the same the first stays."""
    others = ((place, other) for place, other in enumerate(items) if place != at and _is_part(one, other))
    return any(place < at or not _is_part(other, one) for place, other in others)


def _is_part(one: Any, other: Any) -> bool:
    """Whether all that one says is in the other, which has nothing that narrows it."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return exact(one, other)
    if not one.keys() - {"id"} <= other.keys():
        return False
    more = other.keys() - one.keys()
    narrowed = more & _NARROWING or ("use" in more and other["use"] in ("old", "temp"))
    return not narrowed and all(_is_part(part, other[name]) for name, part in one.items() if name != "id")


def _one_name_each(slots: dict[str, Value]) -> dict[str, Value]:
    """Names with equal family and given are one name: an unlabelled one gives way to its labelled twin."""
    bare = slots.get("name[-]")
    if bare is None:
        return slots
    known: set[tuple[str, ...]] = set()
    for slot in _LABELLED:
        known |= name_parts(slots.get(slot)) or set()
    kept = [name for name in bare if not (name_parts([name]) or {()}) <= known]
    if kept:
        return {**slots, "name[-]": kept} if len(kept) < len(bare) else slots
    return {slot: value for slot, value in slots.items() if slot != "name[-]"}
