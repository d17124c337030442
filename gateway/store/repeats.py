"""Reads for calls that may come twice: what an Idempotency-Key was used for, and what it made."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, func, select

from .schema import message, request, secret
from .source import Source
from .sql import Flavour


class RepeatRow(NamedTuple):
    """`asked`: a digest of the call; `made`: the id of what it made."""

    repeat_id: str
    principal: str
    asked: str
    made: str


def _repeat(_: Flavour) -> Select[Any]:
    columns = (request.c.request_id, request.c.principal, request.c.asked, request.c.subject)
    return select(*columns).where(request.c.request_id == bindparam("request_id"))


def _secret_names(_: Flavour) -> Select[Any]:
    return select(secret.c.name).where(secret.c.connector == bindparam("connector")).order_by(secret.c.name)


def _waiting(_: Flavour) -> Select[Any]:
    of = message.c.connector == bindparam("connector")
    return select(func.count()).where(message.c.state == "received", message.c.state != "applied", of)


class Repeats(Source):
    def repeat(self, repeat_id: str) -> RepeatRow | None:
        rows = self.ask(_repeat, {"request_id": repeat_id})
        return RepeatRow._make(rows[0]) if rows else None

    def secret_names(self, connector: str) -> list[str]:
        """Which secrets of a connector there are."""
        return [row[0] for row in self.ask(_secret_names, {"connector": connector})]

    def waiting_messages(self, connector: str) -> int:
        """Of one connector: stored, and not worked on yet."""
        return int(self.ask(_waiting, {"connector": connector})[0][0])
