"""`gateway incidents`: what went wrong with connectors, once per cause, with when it began and ended."""

from __future__ import annotations

from gateway.store import IncidentRow, Store

COLUMNS = ("connector", "cause", "opened", "last seen", "closed", "times", "detail")
EMPTY = "No incidents."


def listed(store: Store, *, only_open: bool, limit: int) -> list[IncidentRow]:
    """Newest first."""
    rows = store.query_now(lambda reader: reader.incidents(limit=limit))
    return [row for row in rows if row.closed_at is None] if only_open else rows


def cells(row: IncidentRow) -> tuple[object, ...]:
    """As COLUMNS."""
    return (row.connector, row.cause, row.opened_at, row.last_at, row.closed_at, row.times, row.detail)
