"""Apply: a whole message in one transaction: who is meant, references, records, versions, orders, Provenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from gateway.errors import InvalidInput
from gateway.fhir.json import Resource
from gateway.planning import clinical, patients, provenance
from gateway.planning.clinical import Said
from gateway.planning.linkup import LinkUp
from gateway.planning.resolve import Meant, Resolver, check_people
from gateway.planning.uuid7 import may_be_ours
from gateway.planning.world import Item, Speaker, State, World
from gateway.store import Key

_AHEAD = timedelta(days=1)
"""A time without a zone may be that far ahead of ours, no other one can be."""


class Applied(NamedTuple):
    """What became of one item: its resource as it now is, and whether this message made it, changed it or neither."""

    item: Item
    state: State | None
    before: int
    after: int
    body: bytes | None = None

    @property
    def created(self) -> bool:
        """Made, or brought back after it was deleted (FHIR R4 §3.1.0.4)."""
        was_gone = self.before == 0 or (self.state is not None and self.state.deleted)
        return was_gone and self.after > self.before


def apply(world: World, items: Sequence[Item], speaker: Speaker, *, whole: bool = True) -> list[Applied]:
    """Work out every row that the items change; the caller writes `world.changes`. `whole`: they are all of the
    message, so that its Provenance is made too.

    Raises the first thing that is wrong; then nothing may be written.
    """
    speaker = _believed(world, speaker)
    resolver = Resolver(world, items, speaker)
    meant = [resolver.resolve(item) for item in items]
    _check_once(meant)
    _check_ids(world, meant)
    check_people(world, meant)
    before = [one.state.number if one.state else 0 for one in meant]
    linkup = LinkUp(world, meant)
    resources = linkup.run()
    said = [
        clinical.read(one, resource, speaker) if resource and one.item.type != "Patient" else None
        for one, resource in zip(meant, resources, strict=True)
    ]
    _load_bodies(world, meant, said, speaker)
    bodies: list[bytes | None] = [None] * len(meant)
    for at in _patients_first(meant):
        bodies[at] = _apply_one(world, meant[at], resources[at], said[at], linkup, speaker)
    numbers = {version.rid: version.number for version in world.changes.versions}
    _take_conditions(world, meant)
    if whole:
        provenance.add(world, speaker)
    return [
        Applied(one.item, one.state, number, numbers.get(one.state.rid, number) if one.state else 0, body)
        for one, number, body in zip(meant, before, bodies, strict=True)
    ]


def _believed(world: World, speaker: Speaker) -> Speaker:
    """What says that it was written long after we got it is of the time we got it: believed, it would stand against
    everything that comes later, for good."""
    if speaker.at is None or speaker.at <= world.now + _AHEAD:
        return speaker
    return replace(speaker, at=world.now)


def _patients_first(meant: Sequence[Meant]) -> list[int]:
    patients = [at for at, one in enumerate(meant) if one.item.type == "Patient"]
    return patients + [at for at, one in enumerate(meant) if one.item.type != "Patient"]


def _load_bodies(world: World, meant: Sequence[Meant], said: Sequence[Said | None], speaker: Speaker) -> None:
    """The bodies that this message needs: not those of clinical resources that are only restated."""
    wanted = [
        one.state.rid
        for one, what in zip(meant, said, strict=True)
        if one.state is not None and (what is None or speaker.shows or not what.is_restated)
    ]
    world.load_bodies(wanted)


def _apply_one(
    world: World, meant: Meant, resource: Resource | None, said: Said | None, linkup: LinkUp, speaker: Speaker
) -> bytes | None:
    if resource is None:
        (patients if meant.item.type == "Patient" else clinical).delete(world, meant, speaker)
        return None
    if meant.is_ignored:
        return meant.state.raw if meant.state else None
    if said is None:
        return patients.apply(world, meant, resource, speaker)
    return clinical.apply(world, said, linkup.patients_of(said.resource), speaker)


def _check_once(meant: Sequence[Meant]) -> None:
    """FHIR R4 §3.1.0.11.2: a transaction in which two entries meet at one resource is refused."""
    rids = [one.state.rid for one in meant if one.state is not None]
    if len(set(rids)) == len(rids):
        return
    seen: set[int] = set()
    for one in meant:
        if one.state is None:
            continue
        if one.state.rid in seen:
            raise InvalidInput("two entries mean the same resource; nothing was written", expression=one.item.path)
        seen.add(one.state.rid)


def _check_ids(world: World, meant: Sequence[Meant]) -> None:
    """FHIR R4 §3.1.0.4.3: an update by condition whose body has the id of another resource is refused. Only ids that
    we gave count: a caller's bodies may have its own ones, which name nothing here."""
    odd: dict[tuple[str, str], str] = {}
    for item, state, _ in meant:
        if item.action == "update" and item.condition is not None and item.resource and state is not None:
            own = item.resource.get("id", "")
            if may_be_ours(own) and own != state.id:
                odd[item.type, own] = item.path
    known = world.tx.heads(odd) if odd else {}
    for pair, path in odd.items():
        if pair in known and not known[pair].deleted:
            raise InvalidInput("the condition and the id name different resources", expression=f"{path}.id")


def _take_conditions(world: World, meant: Sequence[Meant]) -> None:
    """A new resource takes the unique row of the condition that made it, so that two callers cannot race."""
    for one in meant:
        if one.state is not None and one.state.number == 0 and one.item.condition is not None:
            condition = one.item.condition
            world.changes.keys_added.append(Key(condition.type, "condition", *condition.row, one.state.rid))
