"""Orders: which systems have to be brought up to date now, one standing order per copy."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from gateway.connectors.config import Config
from gateway.fhir import deliver, form
from gateway.fhir.json import Resource
from gateway.fhir.record import Record, Value
from gateway.fhir.slots import split
from gateway.planning.bodies import content_of
from gateway.planning.directory import Directory
from gateway.planning.world import Known, State, World
from gateway.store import NewDelivery


def outgoing(state_id: str, content: Resource, directory: Directory, *, deleted: bool = False) -> Resource:
    """A Patient as others get it: with our identifier, and no longer active once deleted here."""
    ours = {"system": directory.patient_system, "value": state_id}
    given = [one for one in content.get("identifier", []) if one.get("system") != directory.patient_system]
    patient = content | {"identifier": [*given, ours]}
    return patient | {"active": False} if deleted else patient


class Comparison(NamedTuple):
    """A `record` with its fields bound; `wanted`: what their copy should hold; `due`: the slots in which it differs."""

    record: Record
    wanted: Mapping[str, Value]
    due: Mapping[str, Value]


def compare(record: Record, content: Resource, config: Config, ours: str) -> Comparison:
    """Their copy against what it should hold.

    Our id is always among what they should hold, whatever else their form can carry; `ours` = its system.
    """
    used = config.form
    slots = split(content)
    bound = form.bind(record, slots, used)
    own_id = f"identifier[{ours}]"
    wanted = {**form.render(content, used, bound, slots=slots), own_id: slots[own_id]}
    return Comparison(bound, wanted, deliver.diff(bound, wanted))


def is_copy(state: State, known: Known, config: Config) -> bool:
    """Whether a record is that system's own copy, not what a FHIR client of the same connector was shown."""
    return known.row.connector == config.name and known.row.remote_id != state.id


PENDING = "new:"
"""Prefix of the remote id of a record whose system has not told its own id yet."""


def is_pending(remote_id: str) -> bool:
    return remote_id.startswith(PENDING)


def is_live(state: State, known: Known) -> bool:
    """Whether they still hold it: their delete ends the link, and nothing is sent there any more."""
    if is_pending(known.row.remote_id):
        return True
    return any((link.connector, link.remote_id) == (known.row.connector, known.row.remote_id) for link in state.links)


def order_patient(
    world: World,
    state: State,
    content: Resource,
    number: int,
    *,
    deleted: bool = False,
    touched: Collection[tuple[str, str]] | None = None,
) -> None:
    """Standing orders for every system whose copy of this Patient differs, or which has none yet.

    `touched`: where there is no new version, the records of which something became known; what was ordered of the
    others stays as it is, on its way or given up.
    """
    body = outgoing(state.id, content, world.directory, deleted=deleted)
    targets = world.directory.targets("Patient")
    wanted = [one for config in targets for one in _of_copies(world, state, body, number, config, deleted=deleted)]
    if wanted and touched is not None:
        left = _standing(world, state, number) - set(touched)
        wanted = [one for one in wanted if (one.connector, one.remote_id) not in left]
    world.changes.deliveries += wanted


def _standing(world: World, state: State, number: int) -> set[tuple[str, str]]:
    """(connector, remote id) of the orders that wait for a person, and of those that wait for their time: made anew
    they would be due at once, and never come to their end."""
    standing = world.tx.deliveries_of([state.rid]).get(state.rid, ())
    return {
        (one.connector, one.remote_id)
        for one in standing
        if one.state in ("rejected", "exhausted") or (one.state != "done" and one.want >= number)
    }


def _of_copies(
    world: World, state: State, body: Resource, number: int, config: Config, *, deleted: bool
) -> Iterator[NewDelivery]:
    copies = [known for known in state.records.values() if is_copy(state, known, config)]
    for known in copies:
        compared = compare(known.record, body, config, world.directory.patient_system)
        if compared.due and is_live(state, known):
            remote_id = "" if is_pending(known.row.remote_id) else known.row.remote_id
            yield _order(world, state, config, remote_id, number)
    if not copies and not deleted:
        yield _order(world, state, config, "", number)


def order_lacking(world: World, rid: int, source: str, config: Config) -> None:
    """A standing order for one system that has no copy of a live resource, or another one (its first contact).

    `source`: who stated the current version.
    """
    world.load([rid])
    state = world.states[rid]
    if state.type == "Patient":
        body = outgoing(state.id, content_of(state.body), world.directory)
        world.changes.deliveries += _of_copies(world, state, body, state.number, config, deleted=False)
    elif config.name != source and not any(is_copy(state, known, config) for known in state.records.values()):
        world.changes.deliveries.append(_order(world, state, config, "", state.number))


def order_clinical(world: World, state: State, number: int, source: str) -> None:
    """Standing orders for every other system that takes this type; the source has it already."""
    for config in world.directory.targets(state.type):
        remote_ids = [known.row.remote_id for known in state.records.values() if is_copy(state, known, config)]
        if config.name != source:
            for remote_id in remote_ids or [""]:
                world.changes.deliveries.append(_order(world, state, config, remote_id, number))


def _order(world: World, state: State, config: Config, remote_id: str, number: int) -> NewDelivery:
    return NewDelivery(config.name, state.rid, remote_id, state.patient, number, world.now)
