"""What is owed to systems: orders with what became of them, given-up ones tried again when somebody asks, and patients
released after a loop alarm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from gateway.delivery import incidents
from gateway.errors import InvalidInput, Missing
from gateway.store import Delivery, IncidentRow, Reader, Store, Tx
from gateway.store.incidents import View

State = Literal["due", "unknown", "rejected", "exhausted", "done", "stopped"]
"""Of an order; `stopped` = its patient's deliveries wait for an operator after a loop alarm."""

_VIEWS: dict[str | None, View] = {None: "dead", "due": "waiting", "unknown": "waiting", "stopped": "waiting"}
_VIEWS |= {"rejected": "dead", "exhausted": "dead", "done": "all"}
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Order:
    """One order as people read it. `there`: their id, None = new there."""

    id: int
    connector: str
    resource: str
    patient: str | None
    there: str | None
    state: str
    attempts: int
    due: datetime
    at: datetime
    error: str | None

    def to_json(self) -> dict[str, Any]:
        times = {"due": self.due.isoformat(), "at": self.at.isoformat()}
        names = ("id", "connector", "resource", "patient", "there", "state", "attempts", "error")
        return {name: getattr(self, name) for name in names} | times


@dataclass(frozen=True, slots=True)
class Selection:
    """Which given-up orders: these `ids`, or those of a `connector` and of a time (of their last attempt), or
    `everything`."""

    ids: tuple[int, ...] = ()
    connector: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    everything: bool = False

    def check(self) -> None:
        """Raises InvalidInput when nothing was chosen: all is never meant by saying nothing."""
        if not (self.ids or self.connector or self.since or self.until or self.everything):
            raise InvalidInput("say which deliveries: ids, a connector, a time range, or all of them")

    def holds(self, row: Delivery) -> bool:
        early = self.since is not None and row.at < self.since
        late = self.until is not None and row.at > self.until
        return not early and not late and self.connector in (None, row.connector)


def listed(
    reader: Reader, state: str | None = None, connector: str | None = None, *, limit: int, after: int = 0
) -> list[Order]:
    """By id, `after` the last one of the page before; without a `state` those given up. Raises InvalidInput for a state
    that does not exist."""
    if state is not None and state not in get_args(State):
        raise InvalidInput(f"state must be one of {', '.join(get_args(State))}")
    stops = reader.stops()
    found: list[Delivery] = []
    while len(found) < limit:
        page = reader.orders(_VIEWS[state], connector, limit=_PAGE, after=after)
        found += [row for row in page if state in (None, _state(row, stops))]
        if len(page) < _PAGE:
            break
        after = page[-1].delivery_id
    return _shown(reader, found[:limit], stops)


def replay(store: Store, selection: Selection, *, dry: bool) -> list[Order]:
    """The orders that are tried again from the beginning; `dry`: that would be, and nothing is changed.

    Raises InvalidInput when nothing was selected, Missing for an id that is not among those given up.
    """
    selection.check()
    done: list[Order] = []
    for rows in store.query_now(lambda reader: list(_pages(reader, selection))):
        ids = [row.delivery_id for row in rows]
        if not dry:
            store.write_now(lambda tx, ids=ids: _again(tx, ids))  # type: ignore[misc]
        done += store.query_now(lambda reader, rows=rows: _shown(reader, rows, set()))  # type: ignore[misc]
    return done


def _pages(reader: Reader, selection: Selection) -> Iterator[list[Delivery]]:
    if selection.ids:
        rows = [row for row in reader.deliveries_by_id(list(selection.ids)) if row.state in ("rejected", "exhausted")]
        missing = sorted(set(selection.ids) - {row.delivery_id for row in rows})
        if missing:
            raise Missing(f"no delivery that was given up has the id {missing[0]}")
        yield [row for row in rows if selection.holds(row)]
        return
    after = 0
    while page := reader.orders("dead", selection.connector, limit=_PAGE, after=after):
        yield [row for row in page if selection.holds(row)]
        after = page[-1].delivery_id


def _again(tx: Tx, ids: Sequence[int]) -> None:
    rows = tx.deliveries_by_id(list(ids))
    tx.replay([row for row in rows if row.state in ("rejected", "exhausted")])


def release(store: Store, connector: str, patient_id: str) -> None:
    """End the loop alarm of a patient on one system: what is due goes. Raises Missing when she was not stopped."""

    def job(tx: Tx) -> list[IncidentRow]:
        head = tx.heads([("Patient", patient_id)]).get(("Patient", patient_id))
        if head is None or (connector, head.rid) not in tx.stops():
            raise Missing(f"no deliveries of a Patient with that id to {connector} are stopped")
        tx.release_patient(connector, head.rid)
        return incidents.end(tx, connector, f"{incidents.LOOP} Patient/{patient_id}")

    incidents.tell(store.write_now(job))


def _state(row: Delivery, stops: set[tuple[str, int]]) -> str:
    waits = row.state in ("due", "unknown")
    return "stopped" if waits and (row.connector, row.patient) in stops else row.state


def _shown(reader: Reader, rows: Sequence[Delivery], stops: set[tuple[str, int]]) -> list[Order]:
    heads = reader.heads_by_rid({row.rid for row in rows} | {row.patient for row in rows}) if rows else {}
    names = {rid: f"{head.type}/{head.id}" for rid, head in heads.items()}
    patients = {rid: head.id for rid, head in heads.items() if head.type == "Patient"}
    return [
        Order(
            row.delivery_id,
            row.connector,
            names.get(row.rid, ""),
            patients.get(row.patient),
            row.remote_id or None,
            _state(row, stops),
            row.attempt,
            row.due_at,
            row.at,
            row.error,
        )
        for row in rows
    ]
