"""Reads of how each connector is doing, and of what is owed to it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, bindparam, func, select

from .clock import from_micros, maybe_from_micros, maybe_to_micros, to_micros
from .rows import Backlog, HealthRow
from .schema import CLAIMABLE, DEAD, delivery, health
from .source import Source
from .sql import Flavour, Row


def to_health(row: Row) -> HealthRow:
    connector, state, since, failures, open_until, synced, success, *rest = row
    moments = (maybe_from_micros(open_until), maybe_from_micros(synced), maybe_from_micros(success))
    return HealthRow(connector, state, from_micros(since), failures, *moments, *rest)


def from_health(row: HealthRow) -> Row:
    """As the table has it."""
    moments = map(maybe_to_micros, (row.open_until, row.last_sync_at, row.last_success_at))
    return (row.connector, row.state, to_micros(row.since), row.failures, *moments, *row[7:])


def _healths(_: Flavour) -> Select[Any]:
    return select(*health.c).order_by(health.c.connector)


def _health(_: Flavour) -> Select[Any]:
    return select(*health.c).where(health.c.connector == bindparam("connector"))


def _owed(_: Flavour) -> Select[Any]:
    counts: tuple[Any, ...] = (func.count(), func.count(delivery.c.lease_until), func.min(delivery.c.due_at))
    return select(*counts).where(CLAIMABLE, *_of_connector())


def _failed(_: Flavour) -> Select[Any]:
    return select(func.count()).where(DEAD, *_of_connector())


def _of_connector() -> tuple[Any, ...]:
    # The second condition is always true: it makes both databases walk the connector's part of the partial index.
    return (delivery.c.connector == bindparam("connector"), delivery.c.delivery_id > 0)


class Health(Source):
    def healths(self) -> dict[str, HealthRow]:
        """Of every connector that was ever at work."""
        return {row[0]: to_health(row) for row in self.ask(_healths, {})}

    def health(self, connector: str) -> HealthRow | None:
        """None before its first call."""
        rows = self.ask(_health, {"connector": connector})
        return to_health(rows[0]) if rows else None

    def backlog(self, connector: str) -> Backlog:
        """What is owed to one system. Counts rows: not for every request."""
        queued, held, oldest = self.ask(_owed, {"connector": connector})[0]
        [(failed,)] = self.ask(_failed, {"connector": connector})
        return Backlog(queued, held, failed, maybe_from_micros(oldest))
