"""Reads of what came in and what was done: messages, the audit trail, and how full each table is."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, bindparam, func, select

from .clock import from_micros
from .rows import AuditRow, MessageRow
from .schema import audit, delivery, message, resource
from .source import Source
from .sql import Flavour, Row


def _to_message(row: Row) -> MessageRow:
    return MessageRow._make((*row[:5], from_micros(row[5]), *row[6:]))


def _message(_: Flavour) -> Select[Any]:
    return select(*message.c).where(message.c.message_id == bindparam("message_id"))


def _message_by_dedupe(_: Flavour) -> Select[Any]:
    same = (message.c.connector == bindparam("connector"), message.c.dedupe == bindparam("dedupe"))
    return select(*message.c).where(*same, message.c.dedupe.is_not(None))


def _messages(*, state: bool, connector: bool) -> Select[Any]:
    statement = select(*message.c).where(message.c.message_id > bindparam("after"))
    if state:
        statement = statement.where(message.c.state == bindparam("state"))
    if connector:
        statement = statement.where(message.c.connector == bindparam("connector"))
    return statement.order_by(message.c.message_id).limit(bindparam("limit"))


_LISTS = {
    (True, True): lambda _: _messages(state=True, connector=True),
    (True, False): lambda _: _messages(state=True, connector=False),
    (False, True): lambda _: _messages(state=False, connector=True),
    (False, False): lambda _: _messages(state=False, connector=False),
}


def _audits(_: Flavour) -> Select[Any]:
    columns = [column for column in audit.c if column is not audit.c.audit_id]
    return select(*columns).order_by(audit.c.audit_id.desc()).limit(bindparam("limit"))


def _resources(_: Flavour) -> Select[Any]:
    return select(resource.c.type, func.count()).where(resource.c.deleted.is_(False)).group_by(resource.c.type)


def _message_states(_: Flavour) -> Select[Any]:
    return select(message.c.state, func.count()).group_by(message.c.state)


def _delivery_states(_: Flavour) -> Select[Any]:
    return select(delivery.c.state, func.count()).group_by(delivery.c.state)


class Traffic(Source):
    def message(self, message_id: str) -> MessageRow | None:
        rows = self.ask(_message, {"message_id": message_id})
        return _to_message(rows[0]) if rows else None

    def message_by_dedupe(self, connector: str, dedupe: str) -> MessageRow | None:
        rows = self.ask(_message_by_dedupe, {"connector": connector, "dedupe": dedupe})
        return _to_message(rows[0]) if rows else None

    def messages(
        self, state: str | None = None, connector: str | None = None, *, limit: int, after: str = ""
    ) -> list[MessageRow]:
        """Oldest first; `after`: the message id of the last one of the page before."""
        values = {"state": state, "connector": connector, "limit": limit, "after": after}
        rows = self.ask(_LISTS[state is not None, connector is not None], values)
        return [_to_message(row) for row in rows]

    def audits(self, *, limit: int) -> list[AuditRow]:
        """Newest first."""
        return [AuditRow._make((from_micros(row[0]), *row[1:])) for row in self.ask(_audits, {"limit": limit})]

    def counts(self) -> dict[str, dict[str, int]]:
        """Live resources by type, messages and deliveries by state. Counts rows: not for every request."""
        builds = {"resources": _resources, "messages": _message_states, "deliveries": _delivery_states}
        return {name: {row[0]: row[1] for row in self.ask(build, {})} for name, build in builds.items()}
