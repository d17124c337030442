"""`gateway deliveries`: what is owed to systems, what was given up and why, and trying it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.delivery import owed
from gateway.delivery.owed import Order, Selection
from gateway.errors import InvalidInput
from gateway.store import Store

COLUMNS = ("id", "connector", "resource", "there", "state", "attempts", "due", "error")
EMPTY = "No such deliveries."


def listed(store: Store, state: str | None, connector: str | None, limit: int, after: int) -> list[Order]:
    """By id; without a state those that were given up."""
    return store.query_now(lambda reader: owed.listed(reader, state, connector, limit=limit, after=after))


def cells(order: Order) -> tuple[object, ...]:
    """As COLUMNS."""
    there = order.there or "new"
    return (order.id, order.connector, order.resource, there, order.state, order.attempts, order.due, order.error)


def selection(
    ids: Sequence[int], connector: str | None, since: str | None, until: str | None, *, everything: bool
) -> Selection:
    """From the options of the command line. Raises InvalidInput for a time that is none."""
    return Selection(tuple(ids), connector, _moment(since), _moment(until), everything)


def summary(orders: Sequence[Order], *, dry: bool) -> list[str]:
    """One line per connector, and what to do next."""
    counts = Counter(order.connector for order in orders)
    verb = "would be tried again" if dry else "due again"
    lines = [f"{name}: {count} {verb}" for name, count in sorted(counts.items())] or ["nothing that was given up fits"]
    return [*lines, "nothing was changed: add --go to do it"] if dry and orders else lines


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput("give times as 2026-11-25 or 2026-11-25T09:30:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
