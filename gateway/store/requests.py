"""What an API of ours has to remember between two calls: who asked for what, until when, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, select

from .clock import from_micros, maybe_from_micros, maybe_to_micros, to_micros
from .reader import Reader
from .schema import request
from .sql import Flavour, Row, Step
from .tx import Tx


class Request(NamedTuple):
    """`kind` = which API; `principal` = the connector it is for; `subject` = a public id; `asked` = JSON text."""

    request_id: str
    kind: str
    principal: str
    subject: str | None
    state: str
    asked: str
    result: bytes | None
    at: datetime
    expires_at: datetime | None = None


def _by_id(_: Flavour) -> Select[Any]:
    return select(*request.c).where(request.c.request_id == bindparam("request_id"))


def _of(_: Flavour) -> Select[Any]:
    own = (request.c.kind == bindparam("kind"), request.c.principal == bindparam("principal"))
    about = request.c.subject == bindparam("subject")
    return select(*request.c).where(*own, about).order_by(request.c.at.desc()).limit(bindparam("limit"))


def find_request(reader: Reader, request_id: str) -> Request | None:
    rows = reader.ask(_by_id, {"request_id": request_id})
    return _to_request(rows[0]) if rows else None


def requests_of(reader: Reader, kind: str, principal: str, subject: str, *, limit: int = 100) -> list[Request]:
    """Newest first."""
    values = {"kind": kind, "principal": principal, "subject": subject, "limit": limit}
    return [_to_request(row) for row in reader.ask(_of, values)]


def put_request(tx: Tx, row: Request) -> None:
    """Make it, or change its state and result."""
    moments = (to_micros(row.at), maybe_to_micros(row.expires_at))
    tx.apply([Step(tx.mutations.requests, [(*row[:7], *moments)])])


def _to_request(row: Row) -> Request:
    return Request._make((*row[:7], from_micros(row[7]), maybe_from_micros(row[8])))
