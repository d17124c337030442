"""Subscribers and what they are told: each one's events in the order of the feed, with what became of every attempt.

All writes run in a writer's job. A killed teller's lease runs out, and the ordinary claim takes its work over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, func, select

from .clock import from_micros, maybe_from_micros, to_micros
from .reader import Reader
from .schema import OUTSTANDING, outgoing, subscriber
from .sql import Flavour, Row, Step
from .tx import Tx

ACTIVE, PAUSED, STOPPED = "active", "paused", "stopped"
"""`stopped`: an event could not be told in time; the ones after it wait, as none is ever skipped."""


class Subscriber(NamedTuple):
    """Who is told. `config`: JSON text without secrets; `seq`: how far into the feed it was told."""

    subscriber_id: int
    name: str
    connector: str
    config: str
    state: str
    seq: int
    at: datetime


class Outgoing(NamedTuple):
    """One event for one subscriber. state: due, unknown, done, failed or exhausted; `status`: the HTTP status of the
    last attempt."""

    outgoing_id: int
    subscriber_id: int
    event_id: str
    type: str
    patient: int | None
    body: bytes
    state: str
    attempt: int
    due_at: datetime
    lease_until: datetime | None
    fence: int
    status: int | None
    error: str | None
    created_at: datetime
    at: datetime


class NewOutgoing(NamedTuple):
    event_id: str
    type: str
    body: bytes
    patient: int | None = None


class Told(NamedTuple):
    """What an attempt came to."""

    outgoing_id: int
    state: str
    attempt: int
    due_at: datetime
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A subscriber's waiting events, oldest first, held by `fence` until the lease ends."""

    subscriber: Subscriber
    fence: int
    events: tuple[Outgoing, ...]


def _subscribers(_: Flavour) -> Select[Any]:
    return select(*subscriber.c).order_by(subscriber.c.subscriber_id)


def _head(_: Flavour) -> Select[Any]:
    """What one subscriber has not been told, oldest first."""
    waiting = (outgoing.c.subscriber_id == bindparam("subscriber_id"), OUTSTANDING)
    return select(*outgoing.c).where(*waiting).order_by(outgoing.c.outgoing_id).limit(bindparam("limit"))


def _log(_: Flavour) -> Select[Any]:
    own = (outgoing.c.subscriber_id == bindparam("subscriber_id"), outgoing.c.outgoing_id > bindparam("after"))
    return select(*outgoing.c).where(*own).order_by(outgoing.c.outgoing_id).limit(bindparam("limit"))


def _event(_: Flavour) -> Select[Any]:
    own = (outgoing.c.subscriber_id == bindparam("subscriber_id"), outgoing.c.event_id == bindparam("event_id"))
    return select(*outgoing.c).where(*own)


def _states(_: Flavour) -> Select[Any]:
    own = outgoing.c.subscriber_id == bindparam("subscriber_id")
    return select(outgoing.c.state, func.count()).where(own).group_by(outgoing.c.state)


def _failed(_: Flavour) -> Select[Any]:
    own = (outgoing.c.subscriber_id == bindparam("subscriber_id"), outgoing.c.state == "failed")
    return select(*outgoing.c).where(*own).order_by(outgoing.c.outgoing_id)


def _last(_: Flavour) -> Select[Any]:
    """The newest that was tried."""
    own = (outgoing.c.subscriber_id == bindparam("subscriber_id"), outgoing.c.attempt > 0)
    return select(*outgoing.c).where(*own).order_by(outgoing.c.at.desc(), outgoing.c.outgoing_id.desc()).limit(1)


def _newest(_: Flavour) -> Select[Any]:
    own = outgoing.c.subscriber_id == bindparam("subscriber_id")
    return select(func.coalesce(func.max(outgoing.c.outgoing_id), 0)).where(own)


def find_event(reader: Reader, known: Subscriber, event_id: str) -> Outgoing | None:
    rows = reader.ask(_event, {"subscriber_id": known.subscriber_id, "event_id": event_id})
    return _to_outgoing(rows[0]) if rows else None


def last_tried(reader: Reader, known: Subscriber) -> Outgoing | None:
    rows = reader.ask(_last, {"subscriber_id": known.subscriber_id})
    return _to_outgoing(rows[0]) if rows else None


def states(reader: Reader, known: Subscriber) -> dict[str, int]:
    """How many of its events are in each state."""
    return {row[0]: row[1] for row in reader.ask(_states, {"subscriber_id": known.subscriber_id})}


def tell_again(tx: Tx, known: Subscriber) -> int:
    """Make what failed due again, as it was, in the order in which it came; how many there were."""
    failed = [_to_outgoing(row) for row in tx.ask(_failed, {"subscriber_id": known.subscriber_id})]
    tx.apply([_told(tx, [Told(one.outgoing_id, "due", 0, tx.now) for one in failed])])
    return len(failed)


def subscribers(reader: Reader) -> list[Subscriber]:
    """In the order in which they came."""
    return [Subscriber._make((*row[:6], from_micros(row[6]))) for row in reader.ask(_subscribers, {})]


def log(reader: Reader, subscriber_id: int, *, after: int = 0, limit: int = 100) -> list[Outgoing]:
    """What a subscriber was and will be told, oldest first."""
    values = {"subscriber_id": subscriber_id, "after": after, "limit": limit}
    return [_to_outgoing(row) for row in reader.ask(_log, values)]


def _to_outgoing(row: Row) -> Outgoing:
    moments = (from_micros(row[8]), maybe_from_micros(row[9] or None))
    return Outgoing._make((*row[:8], *moments, *row[10:13], from_micros(row[13]), from_micros(row[14])))


def put_subscriber(tx: Tx, known: Subscriber | None, name: str, connector: str, config: str) -> Subscriber:
    """Make it, told from now on, or change what it asks for."""
    if known is not None:
        made = known._replace(config=config, connector=connector, at=tx.now)
    else:
        made = Subscriber(tx.new_id(), name, connector, config, ACTIVE, tx.last_seq(), tx.now)
    _store(tx, made)
    return made


def set_state(tx: Tx, known: Subscriber, state: str) -> None:
    """Resuming makes what waits due at once, the one that could not be told first; what is under way ends by itself."""
    _store(tx, known._replace(state=state, at=tx.now))
    if state == ACTIVE:
        values = {"subscriber_id": known.subscriber_id, "limit": 1}
        heads = [_to_outgoing(row) for row in tx.ask(_head, values)]
        waiting = [one for one in heads if not _is_held(one, tx.now)]
        tx.apply([_told(tx, [Told(one.outgoing_id, "due", 0, tx.now) for one in waiting])])


def remove_subscriber(tx: Tx, known: Subscriber) -> None:
    """With its log."""
    number = [(known.subscriber_id,)]
    tx.apply([Step(tx.mutations.outgoing_removed, number), Step(tx.mutations.subscribers_removed, number)])


def _store(tx: Tx, row: Subscriber) -> None:
    tx.apply([Step(tx.mutations.subscribers, [(*row[:6], to_micros(row.at))])])


def advance(tx: Tx, known: Subscriber, seq: int, events: Sequence[NewOutgoing]) -> None:
    """Queue its events of the feed up to `seq`; both or neither."""
    tell(tx, known, events)
    tx.apply([Step(tx.mutations.subscribers_moved, [(seq, known.subscriber_id, known.seq)], exact=True)])


def tell(tx: Tx, known: Subscriber, events: Sequence[NewOutgoing]) -> None:
    """Queue events after all that wait; each needs an event id of its own."""
    if not events:
        return
    at = to_micros(tx.now)
    fresh = ("due", 0, at, None, 0, None, None, at, at)
    [(newest,)] = tx.ask(_newest, {"subscriber_id": known.subscriber_id})
    rows = [
        (tx.new_id(after=newest), known.subscriber_id, one.event_id, one.type, one.patient, one.body, *fresh)
        for one in events
    ]
    tx.apply([Step(tx.mutations.outgoing_new, rows)])


def claim(tx: Tx, *, lease: timedelta, limit: int, each: int) -> list[Turn]:
    """Up to `limit` subscribers whose oldest waiting event is due and held by nobody, `each` with so many events."""
    turns: list[Turn] = []
    for known in subscribers(tx):
        if known.state != ACTIVE or len(turns) == limit:
            continue
        values = {"subscriber_id": known.subscriber_id, "limit": each}
        waiting = [_to_outgoing(row) for row in tx.ask(_head, values)]
        if waiting and waiting[0].due_at <= tx.now and not _is_held(waiting[0], tx.now):
            turns.append(_take(tx, known, waiting, tx.now + lease))
    return turns


def _is_held(event: Outgoing, now: datetime) -> bool:
    return event.lease_until is not None and event.lease_until > now


def _take(tx: Tx, known: Subscriber, waiting: Sequence[Outgoing], until: datetime) -> Turn:
    """Holding the oldest one holds them all, as nobody tells a later one first."""
    fence, head = tx.new_id(), waiting[0]
    tx.apply([Step(tx.mutations.outgoing_held, [(to_micros(until), fence, head.outgoing_id, head.fence)], exact=True)])
    return Turn(known, fence, tuple(waiting))


def renew(tx: Tx, turn: Turn, until: datetime) -> bool:
    """False when another holds it by now."""
    head = _head_of(tx, turn)
    if head is None:
        return False
    row = (to_micros(until), turn.fence, head.outgoing_id, turn.fence)
    tx.apply([Step(tx.mutations.outgoing_held, [row], exact=True)])
    return True


def settle(tx: Tx, turn: Turn, told: Sequence[Told], *, stop: bool = False) -> bool:
    """Write what came of it and let go; False, and nothing written, when another holds it by now. `stop`: tell this
    subscriber nothing more until somebody resumes it."""
    head = _head_of(tx, turn)
    if head is None:
        return False
    outcomes = list(told)
    if head.outgoing_id not in {one.outgoing_id for one in outcomes}:
        outcomes.append(Told(head.outgoing_id, head.state, head.attempt, head.due_at, head.status, head.error))
    tx.apply([_told(tx, outcomes)])
    if stop:  # with what it asks for by now
        [known] = [one for one in subscribers(tx) if one.subscriber_id == turn.subscriber.subscriber_id]
        set_state(tx, known, STOPPED)
    return True


def _head_of(tx: Tx, turn: Turn) -> Outgoing | None:
    rows = tx.ask(_head, {"subscriber_id": turn.subscriber.subscriber_id, "limit": 1})
    head = _to_outgoing(rows[0]) if rows else None
    return head if head is not None and head.fence == turn.fence else None


def _told(tx: Tx, told: Sequence[Told]) -> Step:
    at = to_micros(tx.now)
    rows = [
        (one.state, one.attempt, to_micros(one.due_at), None, one.status, one.error, at, one.outgoing_id)
        for one in told
    ]
    return Step(tx.mutations.outgoing_told, rows, exact=True)
