"""`gateway plan`: what would be delivered, field by field, from what is known here; nothing is sent or read there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any

from gateway.connectors.config import Config
from gateway.planning import copies
from gateway.planning.directory import Directory, build
from gateway.planning.world import World
from gateway.settings import Settings
from gateway.store import Delivery, Head, Reader, Store, Tx
from gateway.store.incidents import View

COLUMNS = ("connector", "resource", "there", "state", "field", "change", "due", "error")
EMPTY = "Nothing is due: every side holds what it should."

_UNFINISHED: tuple[View, ...] = ("waiting", "dead")
_PAGE = 1_000
_AT_ONCE = 50
WHOLE = "*"
"""The field of a resource that is sent as a whole."""


@dataclass(frozen=True, slots=True)
class Line:
    """One field that differs. `there`: their id, None = they do not hold it yet. `value`: what they would be sent."""

    connector: str
    resource: str
    there: str | None
    state: str
    field: str
    change: str
    due: datetime
    error: str | None
    value: Any = None

    def cells(self) -> tuple[object, ...]:
        """As COLUMNS: without the value, which is patient data."""
        there = self.there or "new"
        return (self.connector, self.resource, there, self.state, self.field, self.change, self.due, self.error)

    def to_json(self, *, values: bool) -> dict[str, Any]:
        """`values`: whether to tell what would be sent."""
        shown = asdict(self)
        if not values:
            del shown["value"]
        return shown


def lines(store: Store, settings: Settings, connector: str | None) -> list[Line]:
    """Everything that is owed, in the order in which it is due. Raises Missing for an unknown connector."""
    if connector is not None:
        store.query_now(lambda reader: _directory(reader, settings).peer(connector))
    wanted = sorted(store.query_now(lambda reader: list(_owed(reader, connector))), key=lambda row: row.due_at)
    found: list[Line] = []
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        # In the writer's turn, so that it compares what a delivery would; it writes nothing.
        found += store.write_now(partial(_compared, settings=settings, owed=some))
    return found


def _owed(reader: Reader, connector: str | None) -> Iterator[Delivery]:
    for view in _UNFINISHED:
        after = 0
        while page := reader.orders(view, connector, limit=_PAGE, after=after):
            yield from page
            after = page[-1].delivery_id


def _directory(reader: Reader, settings: Settings) -> Directory:
    return build(reader.connectors(), ours=settings.fhir_base, tolerance=settings.tolerance)


def _compared(tx: Tx, *, settings: Settings, owed: Sequence[Delivery]) -> list[Line]:
    heads = tx.heads_by_rid({row.rid for row in owed})
    directory = _directory(tx, settings)
    return [
        line
        for row in owed
        if row.connector not in directory.ended
        for line in _of_delivery(World(tx, directory), row, heads[row.rid], directory.peer(row.connector))
    ]


def _of_delivery(world: World, row: Delivery, head: Head, config: Config) -> Iterator[Line]:
    resource = f"{head.type}/{head.id}"
    if head.type != "Patient":
        there = row.remote_id or None
        change = "replace" if there else "create"
        yield Line(row.connector, resource, there, row.state, WHOLE, change, row.due_at, row.error)
        return
    due = copies.compare(world, head.rid, config, row.remote_id or None)
    for field, value in due.slots.items():
        change = "remove" if value is None else "set"
        yield Line(row.connector, resource, due.remote_id, row.state, field, change, row.due_at, row.error, value)
