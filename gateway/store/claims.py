"""Claiming deliveries: a patient's group on one connector at a time, with a lease and a fencing token.

All of it runs in a writer's job. A killed worker's lease runs out, and the ordinary claim takes its work over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
    return select(delivery.c.delivery_id).select_from(given.join(delivery, same))


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


def settle(tx: Tx, claim: Claim, decide: Callable[[Delivery], Settled | None]) -> bool:
    """Write what came of it and end the lease. `decide`: of each delivery as it is stored now; None gives it back as it
    was.

    False, and nothing is written, when the group is no longer ours.
    """
    orders = tx.deliveries_of({one.rid for one in claim.deliveries})
    stored = {one.delivery_id: one for found in orders.values() for one in found}
    ours = [one for each in claim.deliveries if (one := stored.get(each.delivery_id)) and one.fence == claim.fence]
    if len(ours) < len(claim.deliveries):
        return False
    named = {(one.connector, one.rid, one.remote_id) for one in stored.values()}
    rows: list[Row] = []
    taken: list[Row] = []
    for one in ours:
        outcome = decide(one)
        # An order for *new* whose remote id has got an order of its own meanwhile: that one stands.
        if outcome and outcome.remote_id != one.remote_id and (one.connector, one.rid, outcome.remote_id) in named:
            taken.append((one.delivery_id,))
        else:
            rows.append(_outcome(tx.now, one, outcome))
    tx.apply([Step(tx.mutations.settled, rows, exact=True), Step(tx.mutations.deliveries_removed, taken)])
    return True


def _held(tx: Tx, claim: Claim) -> bool:
    """Whether all deliveries of the claim are still ours."""
    held = [(one.delivery_id, claim.fence) for one in claim.deliveries]
    return len(tx.ask(_ours, {"held": held})) == len(held)


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
