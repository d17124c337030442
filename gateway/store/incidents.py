"""Reads of what went wrong (incidents), of orders by what became of them, and of patients that were stopped."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, Select, TextClause, bindparam, select, text

from .clock import from_micros, maybe_from_micros, to_micros
from .partners import to_delivery
from .rows import Delivery, IncidentRow
from .schema import CLAIMABLE, DEAD, delivery, incident, stopped
from .source import Build, Source
from .sql import Flavour, Row

View = Literal["waiting", "dead", "all"]
"""Which orders: those still to be delivered, those given up, or every one."""

_VIEWS: dict[View, TextClause] = {"waiting": CLAIMABLE, "dead": DEAD, "all": text("1 = 1")}


def to_incident(row: Row) -> IncidentRow:
    number, connector, cause, opened_at, last_at, closed_at, times, detail = row
    moments = (from_micros(opened_at), from_micros(last_at), maybe_from_micros(closed_at))
    return IncidentRow(number, connector, cause, *moments, times, detail)


def from_incident(row: IncidentRow) -> Row:
    """As the table has it."""
    closed_at = None if row.closed_at is None else to_micros(row.closed_at)
    return (*row[:3], to_micros(row.opened_at), to_micros(row.last_at), closed_at, row.times, row.detail)


def _open_incidents(_: Flavour) -> Select[Any]:
    open_ = incident.c.closed_at.is_(None)
    return select(*incident.c).where(open_, incident.c.connector == bindparam("connector"))


def _incidents(_: Flavour) -> Select[Any]:
    before = incident.c.incident_id < bindparam("before")
    return select(*incident.c).where(before).order_by(incident.c.incident_id.desc()).limit(bindparam("limit"))


def _not_over(flavour: Flavour) -> Select[Any]:
    return _incidents(flavour).where(incident.c.closed_at.is_(None))


def _listed(view: View, *, connector: bool) -> Build:
    def build(_: Flavour) -> Select[Any]:
        statement = select(*delivery.c).where(_VIEWS[view], delivery.c.delivery_id > bindparam("after"))
        if connector:
            statement = statement.where(delivery.c.connector == bindparam("connector"))
        return statement.order_by(delivery.c.delivery_id).limit(bindparam("limit"))

    return build


_LISTS = {(view, named): _listed(view, connector=named) for view in _VIEWS for named in (True, False)}


def _later(_: Flavour) -> Select[Any]:
    late = delivery.c.due_at > bindparam("now")
    return (
        select(delivery.c.delivery_id)
        .where(CLAIMABLE, delivery.c.connector == bindparam("connector"), late)
        .limit(bindparam("limit"))
    )


def _by_id(flavour: Flavour) -> Select[Any]:
    given = flavour.given("ids", delivery_id=BigInteger())
    return select(*delivery.c).select_from(given.join(delivery, delivery.c.delivery_id == given.c.delivery_id))


def _stops(_: Flavour) -> Select[Any]:
    return select(*stopped.c).order_by(stopped.c.connector, stopped.c.patient)


class Incidents(Source):
    def open_incidents(self, connector: str) -> dict[str, IncidentRow]:
        """By cause."""
        rows = self.ask(_open_incidents, {"connector": connector})
        return {row[2]: to_incident(row) for row in rows}

    def incidents(self, *, limit: int, before: int | None = None, only_open: bool = False) -> list[IncidentRow]:
        """Newest first; `before`: the id of the last one of the page before. `only_open`: those that are not over."""
        values = {"limit": limit, "before": 2**62 if before is None else before}
        return [to_incident(row) for row in self.ask(_not_over if only_open else _incidents, values)]

    def orders(self, view: View, connector: str | None = None, *, limit: int, after: int = 0) -> list[Delivery]:
        """By id; `after`: the id of the last one of the page before."""
        values = {"connector": connector, "limit": limit, "after": after}
        return [to_delivery(row) for row in self.ask(_LISTS[view, connector is not None], values)]

    def deliveries_by_id(self, ids: list[int]) -> list[Delivery]:
        return [to_delivery(row) for row in self.ask(_by_id, {"ids": [(one,) for one in ids]})] if ids else []

    def later(self, connector: str, now: datetime, *, limit: int) -> list[int]:
        """Ids of deliveries to it whose time has not come."""
        values = {"connector": connector, "now": to_micros(now), "limit": limit}
        return [row[0] for row in self.ask(_later, values)]

    def stops(self) -> set[tuple[str, int]]:
        """(connector, rid of the Patient) that nothing is sent about until an operator releases them."""
        return {(row[0], row[1]) for row in self.ask(_stops, {})}
