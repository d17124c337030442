"""Looking through what a system holds: manual syncs and first contacts, and what its resources were like last time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, Text, and_, bindparam, select

from .clock import from_micros, maybe_from_micros, maybe_to_micros, to_micros
from .partners import Remote
from .schema import poll_digest, record, run
from .source import Source
from .sql import Flavour, Row


class RunRow(NamedTuple):
    """state: running, done, planned (waits for an operator's go), failed or cancelled; `asked` and `report` are JSON,
    `cursor` is where it goes on."""

    run_id: str
    connector: str
    mode: str
    state: str
    dry: bool
    asked: str
    started_at: datetime
    at: datetime
    finished_at: datetime | None = None
    cursor: str | None = None
    report: str = "{}"
    error: str | None = None


def to_run(row: RunRow) -> Row:
    """As stored."""
    moments = (to_micros(row.started_at), to_micros(row.at), maybe_to_micros(row.finished_at))
    return (*row[:6], *moments, *row[9:])


def _to_run(row: Row) -> RunRow:
    moments = (from_micros(row[6]), from_micros(row[7]), maybe_from_micros(row[8]))
    return RunRow._make((*row[:4], bool(row[4]), row[5], *moments, *row[9:]))


def _running(_: Flavour) -> Select[Any]:
    return select(*run.c).where(run.c.state == "running").order_by(run.c.started_at)


def _run(_: Flavour) -> Select[Any]:
    return select(*run.c).where(run.c.run_id == bindparam("run_id"))


def _runs_of(_: Flavour) -> Select[Any]:
    of = run.c.connector == bindparam("connector")
    return select(*run.c).where(of).order_by(run.c.started_at.desc(), run.c.run_id.desc()).limit(bindparam("limit"))


def _digests(flavour: Flavour) -> Select[Any]:
    given = flavour.given("remotes", connector=Text(), type=Text(), remote_id=Text())
    same = and_(*[poll_digest.c[name] == given.c[name] for name in ("connector", "type", "remote_id")])
    return select(poll_digest.c.type, poll_digest.c.remote_id, poll_digest.c.digest).select_from(
        given.join(poll_digest, same)
    )


def _remote_ids(_: Flavour) -> Select[Any]:
    of = (record.c.connector == bindparam("connector"), record.c.type == bindparam("type"))
    after = record.c.remote_id > bindparam("after")
    return select(record.c.remote_id).where(*of, after).order_by(record.c.remote_id).limit(bindparam("limit"))


class Runs(Source):
    def remote_ids(self, connector: str, type_: str, after: str, *, limit: int) -> list[str]:
        """What we know of theirs, in order; `after`: the last one of the page before."""
        values = {"connector": connector, "type": type_, "after": after, "limit": limit}
        return [row[0] for row in self.ask(_remote_ids, values)]

    def running(self) -> list[RunRow]:
        """Oldest first."""
        return [_to_run(row) for row in self.ask(_running, {})]

    def run(self, run_id: str) -> RunRow | None:
        rows = self.ask(_run, {"run_id": run_id})
        return _to_run(rows[0]) if rows else None

    def runs_of(self, connector: str, *, limit: int) -> list[RunRow]:
        """Newest first."""
        return [_to_run(row) for row in self.ask(_runs_of, {"connector": connector, "limit": limit})]

    def digests(self, connector: str, remotes: Iterable[Remote]) -> dict[Remote, bytes]:
        """What their resources were like when they were last looked at."""
        wanted = [(connector, *remote) for remote in remotes]
        rows = self.ask(_digests, {"remotes": wanted}) if wanted else []
        return {(row[0], row[1]): bytes(row[2]) for row in rows}
