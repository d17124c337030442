"""Claiming deliveries: a patient's group on one connector at a time, with a lease and a fencing token.

All of it runs in a writer's job. A killed worker's lease runs out, and the ordinary claim takes its work over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Select, Text, and_, bindparam, select, text

from .clock import to_micros
from .partners import to_delivery
from .reader import Reader
from .rows import Delivery
from .schema import CLAIMABLE, delivery, stopped
from .sql import Flavour, Row, Step
from .tx import Tx

_ROWS_PER_GROUP = 8
_FEWEST_ROWS = 64
"""How many due rows are looked at for the groups wanted; what a longer group has beyond that comes with its next
claim."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The due deliveries of one patient to one connector; `fence` proves that they are still ours."""

    connector: str
    patient: int
    fence: int
    until: datetime
    deliveries: tuple[Delivery, ...]


class Settled(NamedTuple):
    """What an attempt came to. `want` is the version that was brought: if a newer one is wanted by now, a `done`
    delivery stays due. `remote_id`: what a new one became on their side."""

    delivery_id: int
    state: str
    attempt: int
    due_at: datetime
    want: int
    remote_id: str
    error: str | None = None


def _waiting(_: Flavour) -> Select[Any]:
    held = delivery.alias("held")
    taken = select(held.c.delivery_id).where(
        text("held.state IN ('due', 'unknown')"),
        held.c.patient == delivery.c.patient,
        held.c.connector == delivery.c.connector,
        held.c.lease_until > bindparam("now"),
    )
    alarmed = select(stopped.c.at).where(
        stopped.c.connector == delivery.c.connector, stopped.c.patient == delivery.c.patient
    )
    waiting = select(*delivery.c).where(
        CLAIMABLE,
        delivery.c.connector == bindparam("connector"),
        delivery.c.due_at <= bindparam("now"),
        ~taken.exists(),
        ~alarmed.exists(),
    )
    ordered = waiting.order_by(delivery.c.due_at, delivery.c.delivery_id).limit(bindparam("limit"))
    return ordered.with_for_update(of=delivery, skip_locked=True)


def _ours(flavour: Flavour) -> Select[Any]:
    given = flavour.given("held", delivery_id=BigInteger(), fence=BigInteger())
    same = and_(delivery.c.delivery_id == given.c.delivery_id, delivery.c.fence == given.c.fence)
    return select(*delivery.c).select_from(given.join(delivery, same))


def _due(flavour: Flavour) -> Select[Any]:
    given = flavour.given("names", name=Text())
    one = select(delivery.c.delivery_id).where(
        CLAIMABLE, delivery.c.connector == given.c.name, delivery.c.due_at <= bindparam("now")
    )
    return select(given.c.name).where(one.exists())


def due(reader: Reader, connectors: Iterable[str], at: datetime) -> set[str]:
    """Those of the connectors that have anything due `at` a time of the writer's clock.

    Asking costs less than a turn of the writer that finds nothing to claim.
    """
    _, last = reader.last_change()
    now = max(to_micros(at), last + 1)
    names = [(name,) for name in connectors]
    return {row[0] for row in reader.ask(_due, {"names": names, "now": now})} if names else set()


def claim(tx: Tx, connector: str, *, lease: timedelta, limit: int) -> list[Claim]:
    """Up to `limit` groups of one connector that are due and that nobody else holds, longest waiting first."""
    rows = max(limit * _ROWS_PER_GROUP, _FEWEST_ROWS)
    groups: dict[int, list[Delivery]] = {}
    for row in tx.ask(_waiting, {"now": to_micros(tx.now), "limit": rows, "connector": connector}):
        one = to_delivery(row)
        if len(groups) < limit or one.patient in groups:
            groups.setdefault(one.patient, []).append(one)
    return [_take(tx, (connector, patient), due, tx.now + lease) for patient, due in groups.items()]


def _take(tx: Tx, group: tuple[str, int], due: Sequence[Delivery], until: datetime) -> Claim:
    fence = tx.new_id()
    rows = [(to_micros(until), fence, one.delivery_id) for one in due]
    tx.apply([Step(tx.mutations.claimed, rows, exact=True)])
    ours = tuple(one._replace(lease_until=until, fence=fence) for one in due)
    return Claim(*group, fence, until, ours)


def renew(tx: Tx, claim: Claim, until: datetime) -> bool:
    """False when the lease ran out and another took the group over, or a delivery of it."""
    if not _held(tx, claim):
        return False
    rows = [(to_micros(until), one.delivery_id, claim.fence) for one in claim.deliveries]
    tx.apply([Step(tx.mutations.renewed, rows, exact=True)])
    return True


def settle(tx: Tx, claim: Claim, settled: Sequence[Settled]) -> bool:
    """Write what came of it and end the lease; deliveries that are not named are given back as they were.

    False, and nothing is written, when the group is no longer ours.
    """
    stored = _held(tx, claim)
    if not stored:
        return False
    outcomes = {outcome.delivery_id: outcome for outcome in settled}
    taken = _taken_orders(tx, stored, outcomes)
    rows = [
        _outcome(tx.now, one, outcomes.get(one.delivery_id)) for one in stored.values() if one.delivery_id not in taken
    ]
    tx.apply(
        [
            Step(tx.mutations.settled, rows, exact=True),
            Step(tx.mutations.deliveries_removed, [(number,) for number in taken]),
        ]
    )
    return True


def _held(tx: Tx, claim: Claim) -> dict[int, Delivery]:
    """The claim's deliveries as stored; empty when any of them is no longer ours."""
    held = [(one.delivery_id, claim.fence) for one in claim.deliveries]
    stored = {row[0]: to_delivery(row) for row in tx.ask(_ours, {"held": held})}
    return stored if len(stored) == len(held) else {}


def _taken_orders(tx: Tx, stored: dict[int, Delivery], outcomes: dict[int, Settled]) -> set[int]:
    """Orders for *new* whose remote id has got an order of its own meanwhile: that one stands."""
    renamed = {
        number: one
        for number, one in stored.items()
        if number in outcomes and outcomes[number].remote_id != one.remote_id
    }
    others = tx.deliveries_of({one.rid for one in renamed.values()})
    orders = {(one.connector, one.rid, one.remote_id) for found in others.values() for one in found}
    return {number for number, one in renamed.items() if (one.connector, one.rid, outcomes[number].remote_id) in orders}


def _outcome(now: datetime, stored: Delivery, outcome: Settled | None) -> Row:
    at = to_micros(now)
    if outcome is None:
        kept = (stored.remote_id, stored.state, stored.attempt, to_micros(stored.due_at), None, None, stored.error)
        return (*kept, to_micros(stored.at), stored.delivery_id, stored.fence)
    overtaken = stored.want > outcome.want
    state, attempt = ("due", 0) if overtaken else (outcome.state, outcome.attempt)
    due_at = stored.due_at if overtaken else outcome.due_at
    error = None if overtaken else outcome.error
    return (
        outcome.remote_id,
        state,
        attempt,
        to_micros(due_at),
        None,
        None,
        error,
        at,
        stored.delivery_id,
        stored.fence,
    )
