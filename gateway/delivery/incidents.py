"""Incidents: what an operator is told about a connector, once per cause, with when it began and ended.

All of it runs in a writer's job; `tell` writes the events into the log after the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import structlog

from gateway.delivery import health
from gateway.delivery.health import Breaker, Sign
from gateway.store import HealthRow, IncidentRow, Tx

log = structlog.get_logger(__name__)

_UNDER_WAY = 1_000
"""More than were tried when a login was lost; what nobody tried is due anyway."""

LOOK = "look"
"""Cause: a look at their side was refused, or could not be understood, so that their changes do not come."""
LOOP = "loop"
"""Cause of the loop alarm, followed by the Patient."""


class Noted(NamedTuple):
    """How a connector is doing by now, and the incidents that an attempt opened or closed."""

    health: HealthRow
    news: Sequence[IncidentRow] = ()


def note(tx: Tx, connector: str, sign: Sign, breaker: Breaker) -> list[IncidentRow]:
    """Write down what a call told about its system; the incidents that this opened or closed."""
    return list(judge(tx, health_of(tx, connector), sign, breaker).news)


def judge(tx: Tx, before: HealthRow, sign: Sign, breaker: Breaker, *, probe: bool = False) -> Noted:
    """The same after an attempt at a delivery, with how the system is doing by now."""
    row = health.after(before, sign, tx.now, breaker, probe=probe)
    if row == before:
        return Noted(row)
    tx.put_health(row)
    return Noted(row, _news(tx, before, row, sign))


def _news(tx: Tx, before: HealthRow, row: HealthRow, sign: Sign) -> list[IncidentRow]:
    connector = row.connector
    if row.state == health.CONNECTED and before.state in health.BROKEN:
        return _over(tx, connector)
    if row.state == health.CONNECTED and before.state != health.CONNECTED:
        return end_all(tx, connector)
    if sign.kind == "up" or row.state not in health.BROKEN:
        return []
    cause = health.LOGIN if sign.kind == "login" else health.UNREACHABLE
    return begin(tx, connector, cause, sign.error.message if sign.error else "")


def health_of(tx: Tx, connector: str) -> HealthRow:
    """How it is doing; a fresh row before its first call."""
    return tx.health(connector) or health.fresh(connector, tx.now)


def reauthorised(tx: Tx, connector: str) -> list[IncidentRow]:
    """Somebody authorised us again, or gave new credentials: what waited may go; the incident that this closed."""
    tx.put_health(health.authorised(health_of(tx, connector), tx.now))
    return _over(tx, connector)


def greeted(tx: Tx, row: HealthRow) -> list[IncidentRow]:
    """Somebody had it greeted; where it answered after a break, what waited may go. The incidents that this closed."""
    before = health_of(tx, row.connector)
    tx.put_health(row)
    mended = before.state in health.BROKEN and row.state == health.CONNECTED
    return _over(tx, row.connector) if mended else []


def _over(tx: Tx, connector: str) -> list[IncidentRow]:
    tx.make_due(connector, limit=_UNDER_WAY)
    return end_all(tx, connector)


def end_all(tx: Tx, connector: str) -> list[IncidentRow]:
    """Nothing is wrong with this system any more, or it was taken away; a loop alarm waits for its release."""
    return [one for cause in (health.LOGIN, health.UNREACHABLE, LOOK) for one in end(tx, connector, cause)]


def begin(tx: Tx, connector: str, cause: str, detail: str) -> list[IncidentRow]:
    """Open an incident, or count it once more; it, if it is new."""
    known = tx.open_incidents(connector).get(cause)
    if known is not None:
        tx.put_incident(known._replace(last_at=tx.now, times=known.times + 1, detail=detail))
        return []
    row = IncidentRow(tx.new_id(), connector, cause, tx.now, tx.now, None, 1, detail)
    tx.put_incident(row)
    return [row]


def end(tx: Tx, connector: str, cause: str) -> list[IncidentRow]:
    """Close it if it is open; the closed one."""
    known = tx.open_incidents(connector).get(cause)
    if known is None:
        return []
    closed = known._replace(closed_at=tx.now)
    tx.put_incident(closed)
    return [closed]


def tell(rows: Iterable[IncidentRow]) -> None:
    """The open and close events, for whoever watches the log."""
    for row in rows:
        told = {"incident": row.incident_id, "connector": row.connector, "cause": row.cause}
        if row.closed_at is None:
            log.warning("incident opened", **told, detail=row.detail)
        else:
            log.info("incident closed", **told, seconds=round((row.closed_at - row.opened_at).total_seconds()))
