"""Copies: one system's copy of a Patient in a delivery - what was read there, what is due, what was accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache

from gateway.connectors import registry
from gateway.connectors.call import Accepted, Seen
from gateway.connectors.config import Config
from gateway.connectors.protocol import Delayed
from gateway.errors import AmbiguousMatch, Conflict, PartnerPending
from gateway.fhir import deliver, form, observe, times
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage, Record, Value
from gateway.fhir.slots import split
from gateway.identity.agree import agrees
from gateway.planning import bodies, orders, patients, provenance
from gateway.planning.orders import PENDING, is_pending
from gateway.planning.world import Known, Speaker, State, World
from gateway.store import RecordRow


@dataclass(frozen=True, slots=True)
class Due:
    """What has to be sent: the whole `body` as others get it, and the slots in which their copy differs. `carried`:
    what the write holds beside them, where it cannot leave out what is not due. `at`: when they were compared."""

    body: Resource
    slots: Mapping[str, Value]
    carried: Mapping[str, Value] | None
    stamps: Mapping[str, datetime | None]
    remote_id: str | None
    number: int
    at: datetime


def prepare(
    world: World,
    rid: int,
    config: Config,
    remote_id: str | None,
    seen: Seen,
    began: datetime,
    message_id: str,
    timeout: timedelta,
) -> Due:
    """Observe what was read there, consolidate, compare, and announce the send; `world.changes` has the rows.

    Raises Conflict when their copy contradicts ours, AmbiguousMatch when it is linked to another Patient, and
    PartnerPending while a create that they took may still show up. Who was deleted here is not made there.
    """
    state = _state(world, rid)
    key, known = _record(world, state, config, remote_id, seen)
    speaker = Speaker(config.name, "system", message_id)
    known = replace(known, record=_observed(known.record, config, seen, began, world.now))
    state.records[key] = known
    if seen.body is not None:
        patients.settle(world, state, speaker, {key})
        provenance.add(world, speaker)
    due = _due(world, state, key, config)
    if due.slots and state.deleted and due.remote_id is None:
        raise PartnerPending(f"{config.name} was sent it before it was deleted and may still show it", sent=False)
    if due.slots:
        known = state.records[key]
        state.records[key] = replace(known, record=_announced(world, known.record, config, due, timeout))
    patients.write_records(world, state, {key})
    return due


def _announced(world: World, record: Record, config: Config, due: Due, timeout: timedelta) -> Record:
    """The record with the send announced. Where a create may be carried out late it stays open until it must have
    shown up, and is not sent a second time before."""
    slots, carried, until = due.slots, due.carried, world.now + timeout
    connector = _delayed(config.profile)
    if connector is not None and due.remote_id is None:
        if record.intents:
            raise PartnerPending(f"{config.name} was sent it and has not shown yet what became of it", sent=False)
        side = config.side(world.directory.ours)
        until += timedelta(seconds=connector.settles(side))
        held = connector.created(due.body, side)
        slots, carried = (slots, carried) if held is None else (split(held), None)
    return deliver.intend(record, slots, due.stamps, sent_at=world.now, until=until, carried=carried)


@cache  # asked with every send, and it costs as much as a lookup
def _delayed(profile: str) -> Delayed | None:
    connector = registry.get(profile)
    return connector if isinstance(connector, Delayed) else None


def accepted(
    world: World, rid: int, config: Config, due: Due, answer: Accepted, seen: Seen | None, message_id: str
) -> None:
    """They took it: what they now display is shown, their id is linked, what they tell beyond it is observed.

    `seen`: their copy read back, where the answer had no body.
    """
    state = _state(world, rid)
    key, known = _record(world, state, config, due.remote_id, Seen(answer.remote_id, None))
    used = config.form
    record = deliver.accept(
        known.record, answer.body, due.slots, due.stamps, used, at=world.now, coverage=answer.coverage
    )
    if seen is not None and seen.body is not None:
        record = _observed(record, config, seen, world.now, world.now)
    state.records[key] = replace(known, record=record)
    speaker = Speaker(config.name, "system", message_id)
    patients.settle(world, state, speaker, {key})
    provenance.add(world, speaker)


def voided(world: World, rid: int, config: Config, due: Due) -> None:
    """The announced send had no effect."""
    state = _state(world, rid)
    key, known = _record(world, state, config, due.remote_id, Seen(None, None))
    state.records[key] = replace(known, record=deliver.void(known.record))
    patients.write_records(world, state, {key})


def compare(world: World, rid: int, config: Config, remote_id: str | None) -> Due:
    """What would be sent as far as is known here, without reading their side."""
    state = _state(world, rid)
    key, known = _record(world, state, config, remote_id, Seen(None, None))
    state.records[key] = known
    return _due(world, state, key, config)


def _state(world: World, rid: int) -> State:
    world.load([rid])
    state = world.states[rid]
    state.patient = rid
    return state


def _record(
    world: World, state: State, config: Config, remote_id: str | None, seen: Seen
) -> tuple[tuple[str, str], Known]:
    """The record of this copy under its real id as soon as that is known; a pending one until then."""
    real = remote_id or seen.remote_id
    pending = (config.name, f"{PENDING}{state.id}")
    if real is None:
        return pending, state.records.get(pending) or _fresh(config, state, pending[1])
    key = (config.name, real)
    if key in state.records:
        return key, state.records[key]
    _check_free(world, state, config, real, seen)
    known = patients.named(state, config.name, real) or _fresh(config, state, real)
    patients.link(world, state, config.name, real, {"rule": "delivery"})
    return key, known


def _fresh(config: Config, state: State, remote_id: str) -> Known:
    row = RecordRow(0, config.name, "Patient", remote_id, state.rid, 0, b"")
    return Known(row, Record(config.name, "Patient", remote_id))


def _check_free(world: World, state: State, config: Config, real: str, seen: Seen) -> None:
    row = world.tx.records_of(config.name, [("Patient", real)]).get(("Patient", real))
    if row is not None and row.rid not in (None, state.rid):
        raise AmbiguousMatch(f"their record is linked to another Patient than {state.location} already")
    if seen.body is not None and not agrees(seen.body, state.body).ok:
        raise Conflict(f"held: their copy of {state.location} agrees neither in name nor in birth date")


def _observed(record: Record, config: Config, seen: Seen, began: datetime, now: datetime) -> Record:
    used = config.form
    at = times.from_instant(seen.at) if seen.at else None
    if seen.body is None:
        # They hold none: nothing is said by that, but sends whose outcome was open have had none.
        nothing = {"resourceType": record.type}
        return observe.observe(record, nothing, Coverage(absence=False), at, began, now=now, form=used)
    return observe.observe(record, seen.body, seen.coverage or used.reads, at, began, now=now, form=used)


def _due(world: World, state: State, key: tuple[str, str], config: Config) -> Due:
    result = patients.consolidated(world, state)
    content = result.resource or bodies.content_of(state.body)
    body = orders.outgoing(state.id, content, world.directory, deleted=state.deleted)
    known = state.records[key]
    compared = orders.compare(known.record, body, config, world.directory.patient_system)
    state.records[key] = replace(known, record=compared.record)
    remote_id = None if is_pending(key[1]) else key[1]
    carried = None if config.form.partial else compared.wanted
    narrowed = form.narrow(body, config.form, compared.wanted)
    never = state.deleted and remote_id is None and not known.record.intents  # nobody is made there to be gone
    slots = {} if never else compared.due
    number = max(state.number, _number(world, state))
    return Due(narrowed, slots, carried, result.stamps, remote_id, number, world.now)


def _number(world: World, state: State) -> int:
    return max((one.number for one in world.changes.versions if one.rid == state.rid), default=0)
