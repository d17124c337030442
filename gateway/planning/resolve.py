"""Who is meant: each item of a message to its resource, by record, condition and identifiers, in that order.

docs/explain/architecture.md, "Who is meant: identifiers".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.errors import AmbiguousMatch, Conflict, InvalidInput, NotAllowed
from gateway.fhir import json
from gateway.fhir.condition import Condition
from gateway.fhir.json import Json, Resource
from gateway.identity.agree import agrees, may_be_relatives
from gateway.identity.keys import Key, contradict, key_identifiers, normal_system, other_identifiers
from gateway.identity.resolve import Ambiguous, Candidate, Held, Matched, Via, decide
from gateway.planning.uuid7 import new_id
from gateway.planning.world import Item, Speaker, State, World
from gateway.store import Key as StoredKey
from gateway.store import Mark, Name

Pair = tuple[str, str]
_KEY = ("Patient", "key")


class Meant(NamedTuple):
    """The resource of an item. `reason`: why it is this one, as data for its link; None = nothing is meant (a DELETE
    of what is not there)."""

    item: Item
    state: State | None
    reason: Json

    @property
    def is_ignored(self) -> bool:
        """A conditional create that found its resource is ignored (FHIR R4 §3.1.0.8.1); of a Patient it still states
        the caller's own record."""
        found = self.state is not None and self.state.number > 0
        conditional = self.item.action == "create" and self.item.condition is not None
        return conditional and found and self.item.type != "Patient"


class Found(NamedTuple):
    """Who is named by what a message says: the resources of each condition, whoever holds a unique row (type, kind,
    system, value), and all that the search index has (type, system, value)."""

    conditions: dict[Condition, set[int]]
    holders: dict[Name, int]
    marked: dict[Mark, set[int]]


class Resolver:
    """Looks everything up for all items at once, then decides one by one."""

    def __init__(self, world: World, items: Sequence[Item], speaker: Speaker) -> None:
        self._world = world
        self._speaker = speaker
        self._heads = self._find_heads(items)
        self._remote = self._find_remote(items)
        people = [item for item in items if _identified(item)]
        self._keys = {item.path: self._keys_of(item) for item in items if _is_person(item)}
        self._others = {item.path: other_identifiers(item.resource or {}, world.directory.keys) for item in people}
        names = [(*_KEY, *key) for keys in self._keys.values() for key in keys]
        marks = [("Patient", *other) for others in self._others.values() for other in others]
        self._found = look_up(world, [item.condition for item in items if item.condition], names, marks)
        self._candidates = {item.path: self._named(item) for item in people}
        world.load(self._everything())

    def resolve(self, item: Item) -> Meant:
        """Raises Conflict (held), AmbiguousMatch, NotAllowed or InvalidInput."""
        if item.id is not None:
            return self._by_id(item, item.id)
        if item.type == "Patient" and item.resource is not None:
            return self._patient(item, item.resource)
        if rids := self._by_condition(item) - self._stale(item):
            return self._one(item, "condition", sorted(rids))
        if rids := self._by_record(item):
            return self._one(item, "record", sorted(rids))
        return self._none(item)

    def _find_heads(self, items: Sequence[Item]) -> dict[tuple[str, str], int]:
        pairs = [(item.type, item.id) for item in items if item.id is not None]
        return {pair: head.rid for pair, head in self._world.tx.heads(pairs).items()} if pairs else {}

    def _find_remote(self, items: Sequence[Item]) -> dict[Pair, int]:
        pairs = [(item.type, item.remote_id) for item in items if item.remote_id is not None]
        if not pairs:
            return {}
        rows = self._world.tx.records_of(self._speaker.connector, pairs)
        return {pair: row.rid for pair, row in rows.items() if row.rid is not None}

    def _named(self, item: Item) -> dict[int, list[Via]]:
        """Everybody whom the item's record, condition and identifiers name."""
        found: dict[int, list[Via]] = defaultdict(list)
        for rid in self._by_record(item):
            found[rid].append(Via("record", self._speaker.connector, item.remote_id or ""))
        for rid in self._by_condition(item):
            assert item.condition is not None
            found[rid].append(Via("condition", *item.condition.row))
        keys = dict.fromkeys(self._keys[item.path])
        for key in keys:
            for rid in self._holder(key):
                found[rid].append(Via("key", *key))
        for rid in self._ours(keys):
            found[rid].append(Via("key", self._world.directory.keys.ours))
        for system, value in self._others[item.path]:
            for rid in self._found.marked["Patient", system, value]:
                found[rid].append(Via("unlisted", system, value))
        return dict(found)

    def _keys_of(self, item: Item) -> list[Key]:
        return [*key_identifiers(item.resource or {}, self._world.directory.keys), *self._own_id(item)]

    def _own_id(self, item: Item) -> list[Key]:
        """The source's own id of the patient, which others may have told us before it did."""
        system = self._world.directory.id_system(self._speaker.connector)
        if system is None or item.remote_id is None:
            return []
        own = {"system": system, "value": item.remote_id}
        return key_identifiers({"identifier": [own]}, self._world.directory.keys)

    def _holder(self, key: Pair) -> Sequence[int]:
        """Who has the unique row of a key; nobody when it is free."""
        holder = self._found.holders.get((*_KEY, *key))
        return () if holder is None else (holder,)

    def _ours(self, keys: Iterable[Pair]) -> Iterable[int]:
        """Our own identifier names a resource by its id: it needs no row."""
        own = self._world.directory.keys.ours
        ids = [("Patient", value) for system, value in keys if system == own]
        return [head.rid for head in self._world.tx.heads(ids).values()] if ids else []

    def _everything(self) -> list[int]:
        named = [rid for candidates in self._candidates.values() for rid in candidates]
        conditions = [rid for rids in self._found.conditions.values() for rid in rids]
        return [*self._heads.values(), *conditions, *self._remote.values(), *named]

    def _by_condition(self, item: Item) -> set[int]:
        return self._found.conditions[item.condition] if item.condition else set()

    def _stale(self, item: Item) -> set[int]:
        """Whom only the row of its condition names, and who was deleted since: a condition names live resources."""
        indexed = self._found.marked[item.condition] if item.condition else set()
        return {rid for rid in self._by_condition(item) - indexed if self._world.states[rid].deleted}

    def _by_record(self, item: Item) -> set[int]:
        rid = self._remote.get((item.type, item.remote_id)) if item.remote_id is not None else None
        return set() if rid is None else {rid}

    def _by_id(self, item: Item, public_id: str) -> Meant:
        rid = self._heads.get((item.type, public_id))
        if rid is not None:
            self._check_taken(item, rid)
            return Meant(item, self._world.states[rid], {"rule": "id"})
        if item.action == "delete":
            return Meant(item, None, None)
        raise NotAllowed("no resource has this id: ids are given here, so create it with POST", expression=item.path)

    def _one(self, item: Item, rule: str, rids: list[int]) -> Meant:
        if len(rids) > 1:
            raise self._ambiguous(item, rids)
        return Meant(item, self._live(item, rids[0]), {"rule": rule})

    def _none(self, item: Item) -> Meant:
        if item.action == "delete":
            return Meant(item, None, None)
        if item.condition is not None:
            row = (item.type, "condition", *item.condition.row)
            self._world.changes.keys_removed += [StoredKey(*row, rid) for rid in self._stale(item)]
        return Meant(item, self._world.create(item.type, new_id(self._world.now)), {"rule": "new"})

    def _patient(self, item: Item, resource: Resource) -> Meant:
        named = self._candidates[item.path]
        candidates = {rid: self._candidate(item, rid, via) for rid, via in named.items()}
        decision = decide(candidates, item.identity or resource)
        if isinstance(decision, Ambiguous):
            raise self._ambiguous(item, decision.rids)
        if isinstance(decision, Held):
            raise self._held(item, decision.rid, "neither name nor birth date agrees")
        if isinstance(decision, Matched):
            self._check_keys(item, decision.rid, named)
            self._check_shared(item, decision.rid, named[decision.rid])
            return Meant(item, self._live(item, decision.rid), decision.reason.to_json())
        return self._none(item)

    def _candidate(self, item: Item, rid: int, via: Sequence[Via]) -> Candidate:
        """An unlisted identifier joins nobody where a key system tells the two apart."""
        body = self._known_body(rid)
        void = {"condition"} if rid in self._stale(item) else set()
        if contradict(self._keys[item.path], key_identifiers(body, self._world.directory.keys)):
            void.add("unlisted")
        return Candidate(body, tuple(way for way in via if way.rule not in void))

    def _known_body(self, rid: int) -> Resource:
        """A deleted patient is compared by the last version that said something."""
        state = self._world.states[rid]
        if state.deleted and state.number > 1:
            before = self._world.tx.version(rid, state.number - 1)
            return _parse(before.body if before else None)
        return state.body

    def _check_keys(self, item: Item, rid: int, named: dict[int, list[Via]]) -> None:
        """Record or condition decided; a key in the body that names somebody else is a contradiction all the same."""
        others = {other for other, via in named.items() if other != rid and any(way.rule == "key" for way in via)}
        if others:
            raise self._ambiguous(item, [rid, *others])

    def _check_taken(self, item: Item, rid: int) -> None:
        """An edit by id gives nobody the key of somebody else: two Patients would go by one identity."""
        if item.path not in self._keys:
            return
        had = key_identifiers(self._world.states[rid].body, self._world.directory.keys)
        keys = [key for key in self._keys[item.path] if key not in had]
        others = {*self._ours(keys), *(holder for key in keys for holder in self._holder(key))} - {rid}
        if others:
            raise self._ambiguous(item, [rid, *others])

    def _check_shared(self, item: Item, rid: int, via: Sequence[Via]) -> None:
        """A document's id of a system that nobody listed may be a family's: twins share it, and the birth date too. It
        decides alone only where nothing speaks of two people."""
        root = (item.remote_id or "").partition("^")[0]
        listed = normal_system(root) in self._world.directory.keys
        if not item.document or listed or any(way.rule == "key" for way in via):
            return
        if may_be_relatives(self._known_body(rid), item.resource or {}):
            raise self._held(item, rid, "given name or birth date differs, and nobody listed its system as a key")

    def _held(self, item: Item, rid: int, why: str) -> Conflict:
        self._world.load([rid])
        location = self._world.states[rid].location
        return Conflict(f"held: an identifier names {location}, but {why}; a person must look", expression=item.path)

    def _live(self, item: Item, rid: int) -> State:
        state = self._world.states[rid]
        if state.deleted:
            raise Conflict(
                f"held: {state.location} was deleted here; PUT to its id brings it back", expression=item.path
            )
        return state

    def _ambiguous(self, item: Item, rids: Iterable[int]) -> AmbiguousMatch:
        self._world.load(rids)
        names = ", ".join(sorted(self._world.states[rid].location for rid in rids))
        return AmbiguousMatch(f"several resources fit: {names}; nothing was written", expression=item.path)


def look_up(world: World, conditions: Sequence[Condition], names: Sequence[Name], marks: Sequence[Mark]) -> Found:
    """Everything that a message names, by one question to the unique rows and one to the search index.

    A condition names live resources: by its own unique row, or by the index.
    """
    rows = {condition: (condition.type, "condition", *condition.row) for condition in conditions}
    holders = world.tx.holders([*rows.values(), *names])
    marked = world.tx.marked([*rows, *marks])
    found = {condition: {*marked[condition]} for condition in rows}
    for condition, row in rows.items():
        if (holder := holders.get(row)) is not None:
            found[condition].add(holder)
    _add_ours(world, found)
    return Found(found, holders, marked)


def _add_ours(world: World, found: dict[Condition, set[int]]) -> None:
    """Our own identifier is what others know our resources by: the id itself, which needs no row."""
    ours = [condition for condition in found if condition.system == f"{world.directory.ours}/{condition.type}"]
    heads = world.tx.heads([(condition.type, condition.value) for condition in ours]) if ours else {}
    for condition in ours:
        head = heads.get((condition.type, condition.value))
        if head is not None and not head.deleted:
            found[condition].add(head.rid)


def check_people(world: World, meant: Sequence[Meant]) -> None:
    """Two Patients of one message, one of them new, whom an unlisted identifier would have joined had they come one
    after the other. Raises InvalidInput: both made, every later message about them would fit two. Where a system has
    two charts, its own ids tell them apart."""
    people = [one for one in meant if _identified(one.item) and one.item.remote_id is None]
    if len(people) < 2:
        return
    seen: dict[Pair, list[Meant]] = defaultdict(list)
    for one in people:
        for pair in other_identifiers(one.item.resource or {}, world.directory.keys):
            if any(_are_one(world, other, one) for other in seen[pair][:_MOST_ALIKE]):
                raise InvalidInput(
                    "two Patients of one message are one person; nothing was written", expression=one.item.path
                )
            seen[pair].append(one)


def _are_one(world: World, *pair: Meant) -> bool:
    a, b = (one.item.resource or {} for one in pair)
    is_new = any(one.state is not None and one.state.number == 0 for one in pair)
    systems = world.directory.keys
    return is_new and agrees(a, b).full and not contradict(key_identifiers(a, systems), key_identifiers(b, systems))


_MOST_ALIKE = 20
"""Of very many Patients with one identifier the first are compared, as each is compared with each."""


def check_reference(rids: set[int], path: str) -> int:
    """The one resource of a conditional reference (FHIR R4 §3.1.0.11.2). Raises InvalidInput, AmbiguousMatch."""
    if len(rids) > 1:
        raise AmbiguousMatch("several resources fit this conditional reference; nothing was written", expression=path)
    if not rids:
        raise InvalidInput("a reference to nothing: no resource has this identifier", expression=path)
    return next(iter(rids))


def _is_person(item: Item) -> bool:
    return item.type == "Patient" and item.resource is not None


def _identified(item: Item) -> bool:
    """Whether what it says of itself decides who is meant."""
    return _is_person(item) and item.id is None


def _parse(body: bytes | None) -> Resource:
    parsed: Resource = json.decode(body) if body else {}
    return parsed
