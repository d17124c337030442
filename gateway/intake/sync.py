"""Looking through what a system holds: polls, manual syncs and first contacts, one page after the other.

Where a look stopped is written down after each page, so that a killed one goes on there.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
import structlog

from gateway.connectors.call import Call, Found, Page, Reply, Seen, Trail
from gateway.connectors.config import Config
from gateway.connectors.protocol import Scanner, Target
from gateway.delivery import health, incidents
from gateway.delivery.health import Breaker, Sign
from gateway.errors import Conflict, GatewayError
from gateway.fhir import json, times
from gateway.flow import Flow, Received
from gateway.intake import findings, offering
from gateway.intake.findings import Landed, message_body
from gateway.registry import runs
from gateway.registry.runs import Asked, Listed, Report
from gateway.store import Changes, IncidentRow, NewDelivery, Reader, RunRow, Tx

Ask = Callable[[Config, Generator[Call, Reply, Any]], Awaitable[Any]]
Again = Callable[[str, datetime | None], Awaitable[int]]
"""Tries what failed of a connector again, as far as it is not older than a time; how much there was."""

log = structlog.get_logger(__name__)

_CHUNK = 50
"""How many findings are applied in one turn of the writer: others want theirs too."""
_AT_ONCE = 4
_MOST_AGAIN = 100_000
_READ = 50
_OFFER = "offer:"
"""Prefix of the cursor of a run that is done with their side and goes through ours."""
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Sync:
    """`ask` = a connector's calls to its side, `again` = replays what failed."""

    flow: Flow
    ask: Ask
    again: Again
    breaker: Breaker

    # --- polls --------------------------------------------------------------------------------------------------------

    async def poll(self, config: Config) -> None:
        """All that changed since the last poll; what is as it was costs nothing. Never raises what their side does."""
        error: GatewayError | None = None
        try:
            await self._poll(config)
        except GatewayError as failed:
            error = failed
        except Exception as failed:  # the top of this look: told, and looked at again in its turn
            error = _defect(failed)
        await self.looked(config.name, error)

    async def looked(self, name: str, error: GatewayError | None) -> None:
        """Write down how a connector is doing after its side was looked at, or could not be."""
        incidents.tell(await self.flow.store.write(lambda tx: after_look(tx, name, error, self.breaker)))

    async def _poll(self, config: Config) -> None:
        known = await self.flow.store.query(lambda reader: reader.health(config.name))
        cursor, more = (known.cursor if known else None) or config.sync.cursor, True
        trail = Trail()
        while more:
            began = self.flow.store.now()
            page = await self._scan(config, cursor)
            fresh, revisions = await self.flow.store.query(_fresh(config, page.found))
            landed = await self._take(config, fresh, began, "poll")
            await self.flow.store.write(_noted(config, page.cursor, _marks(landed, revisions)))
            cursor, more = trail.after(page), page.more

    async def _take(self, config: Config, founds: Sequence[Found], began: datetime, kind: str) -> list[Landed]:
        landed: list[Landed] = []
        for some in _chunks(founds):
            received = Received(config.name, None, kind, "application/json", message_body(some))
            landed += await findings.take(self.flow, received, config, some, read_start=began)
        return landed

    async def _scan(self, config: Config, cursor: str | None) -> Page:
        assert isinstance(config.connector, Scanner)
        page: Page = await self.ask(config, config.connector.scan(cursor, config.side(self.flow.ours)))
        return page

    # --- runs ---------------------------------------------------------------------------------------------------------

    async def run(self, row: RunRow) -> None:
        """Go on with it until it is done. What their side refuses ends it; what is not now possible waits."""
        directory = await self.flow.store.query(self.flow.directory)
        config, asked = directory.peer(row.connector), runs.asked_of(row)
        try:
            if asked.mode == "resend":
                await self._resend(row, config, asked)
            else:
                await self._pages(row, config, asked)
        except GatewayError as error:
            await self._end(row, runs.FAILED, error.message)
        except Exception as error:  # the top of this run: it would begin again every second, and say nothing
            await self._end(row, runs.FAILED, _defect(error).message)

    async def _resend(self, row: RunRow, config: Config, asked: Asked) -> None:
        """What failed of theirs is taken in again, and what they did not take is due again."""
        report = runs.report_of(row)
        if not asked.dry_run:
            report.retried = await self.again(config.name, asked.after)
            report.offered = await self.flow.store.write(lambda tx: _due_again(tx, config.name, asked.after))
            self.flow.ordered()
        await self._end(_with(row, report, None), runs.DONE)

    async def _pages(self, row: RunRow, config: Config, asked: Asked) -> None:
        report, cursor = runs.report_of(row), row.cursor
        more = not (cursor or "").startswith(_OFFER)
        if cursor is None and asked.mode == "delta":
            known = await self.flow.store.query(lambda reader: reader.health(config.name))
            cursor = known.cursor if known else None
        trail = Trail()
        while more:
            began, page = await self._patiently(row, partial(self._page, config, asked, cursor))
            wanted = [one for one in page.found if _is_wanted(one, asked)]
            await self._tell(config, asked, wanted, began, report)
            row = _with(row, report, page.cursor)
            if not await self.flow.store.write(_progress(row, config, asked, page)):
                return
            cursor, more = trail.after(page), page.more
        if asked.offer:
            row = await self._offer(row, config, report)
        await self._end(row, runs.PLANNED if asked.mode == "first" else runs.DONE)

    async def _offer(self, row: RunRow, config: Config, report: Report) -> RunRow:
        """What they lack of ours is ordered, or in plan counted: who would be linked is not offered to them."""
        place = (row.cursor or "").removeprefix(_OFFER) if (row.cursor or "").startswith(_OFFER) else "0"
        after: int | None = int(place)
        while after is not None:
            ordered, after = await offering.offer(self.flow, config, after, dry=row.dry)
            report.offered += ordered
            row = _with(row, report, f"{_OFFER}{after}" if after is not None else row.cursor)
            if not await self.flow.store.write(_kept(row)):
                break
        if row.dry:
            report.offered = max(0, report.offered - report.linked)
        return _with(row, report, row.cursor)

    async def _patiently(self, row: RunRow, read: Callable[[], Awaitable[Page]]) -> tuple[datetime, Page]:
        """A page, and when its reading began; while their side cannot be read the run says so, and waits."""
        wait = _FIRST_WAIT
        while True:
            began = self.flow.store.now()
            try:
                return began, await read()
            except GatewayError as error:
                if not error.transient:
                    raise
                await self.flow.store.write(_waiting(row, error.message))
                asked_for = getattr(error, "retry_after", None)
            await asyncio.sleep(max(wait, asked_for or 0.0))
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _page(self, config: Config, asked: Asked, cursor: str | None) -> Page:
        if asked.patient_ids:
            return await self._named(config, asked.patient_ids, int(cursor or 0))
        if isinstance(config.connector, Scanner):
            return await self._scan(config, cursor)
        return await self._linked(config, cursor or "")

    async def _named(self, config: Config, ids: Sequence[str], start: int) -> Page:
        theirs = await self.flow.store.query(lambda reader: _theirs(reader, config.name, ids[start : start + _READ]))
        end = start + _READ
        return Page(tuple(await self._read(config, theirs)), str(end), end < len(ids))

    async def _linked(self, config: Config, after: str) -> Page:
        """Of a system that cannot be looked through: what we know of."""

        def ask(reader: Reader) -> tuple[list[str], list[str]]:
            ids = reader.remote_ids(config.name, "Patient", after, limit=_READ)
            live = reader.links_of(config.name, [("Patient", one) for one in ids])
            return ids, [one for one in ids if ("Patient", one) in live]

        ids, linked = await self.flow.store.query(ask)
        found = await self._read(config, linked)
        return Page(tuple(found), ids[-1] if ids else after, len(ids) == _READ)

    async def _read(self, config: Config, ids: Sequence[str]) -> list[Found]:
        turn = asyncio.Semaphore(_AT_ONCE)

        async def one(remote_id: str) -> Found:
            async with turn:
                target = Target("Patient", "", remote_id)
                seen: Seen = await self.ask(config, config.connector.read(target, config.side(self.flow.ours)))
            told = (seen.body, seen.at, seen.version, seen.coverage, seen.issues)
            return Found("Patient", seen.remote_id or remote_id, *told)

        return await asyncio.gather(*[one(remote_id) for remote_id in ids])

    async def _tell(
        self, config: Config, asked: Asked, founds: Sequence[Found], began: datetime, report: Report
    ) -> None:
        """Take them, or foresee what taking them would do, and count it."""
        pairs = [(one.type, one.remote_id) for one in founds]
        known = await self.flow.store.query(lambda reader: reader.records_of(config.name, pairs))
        if asked.dry_run:
            landed = await self._foresee(config, founds)
        else:
            landed = await self._take(config, founds, began, "sync")
        for one in landed:
            count(report, one, known=(one.found.type, one.found.remote_id) in known)
        report.pages += 1

    async def _foresee(self, config: Config, founds: Sequence[Found]) -> list[Landed]:
        landed: list[Landed] = []
        for some in _chunks(founds):
            received = Received(config.name, None, "sync", "application/json", b"")
            landed += await findings.foresee(self.flow, received, config, some)
        return landed

    async def _end(self, row: RunRow, state: str, error: str | None = None) -> None:
        await self.flow.store.write(
            lambda tx: runs.keep(tx, row._replace(state=state, at=tx.now, finished_at=tx.now, error=error))
        )


def _defect(error: Exception) -> GatewayError:
    """What operators are told of an error that nobody expected."""
    log.error("looking at a system failed unexpectedly", exc_info=error)
    return GatewayError(f"an internal error ({type(error).__name__}): the log has its place")


def _chunks(founds: Sequence[Found]) -> Iterator[list[Found]]:
    """What others refer to in the chunks before them, what refers to each other in one."""
    chunk: list[Found] = []
    for lot in findings.in_order(founds):
        chunk += [founds[at] for at in lot]
        if len(chunk) >= _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def count(report: Report, landed: Landed, *, known: bool) -> None:
    """One finding in the report; `known`: their record was here before."""
    report.seen += 1
    found = landed.found
    if landed.error is not None:
        held = isinstance(landed.error, Conflict)
        report.held, report.failed = report.held + held, report.failed + (not held)
        report.list_held(Listed(found.type, found.remote_id, landed.error.message))
        return
    name = _outcome(landed, known=known)
    setattr(report, name, getattr(report, name) + 1)
    if landed.conflicts:
        report.list_conflict(Listed(found.type, found.remote_id, ", ".join(landed.conflicts)))


def _outcome(landed: Landed, *, known: bool) -> str:
    if landed.applied is None:
        return "ended"
    if landed.applied.created:
        return "created"
    if not known:
        return "linked"
    return "changed" if landed.applied.after > landed.applied.before else "same"


def after_look(tx: Tx, name: str, error: GatewayError | None, breaker: Breaker) -> Sequence[IncidentRow]:
    """Write down how a connector is doing after its side was looked at, or could not be; the incidents of it."""
    sign = Sign("up") if error is None else health.sign_of(error, repeated=False)
    before = incidents.health_of(tx, name)
    news = [*incidents.judge(tx, before, sign, breaker, probe=True).news] if sign is not None else []
    if error is None:
        news += incidents.end(tx, name, incidents.LOOK)
    elif sign is None and not error.transient:
        news += incidents.begin(tx, name, incidents.LOOK, error.message)
    row = incidents.health_of(tx, name)._replace(last_sync_at=tx.now)
    if error is not None:
        row = row._replace(last_error=health.error_text(error, tx.now))
    tx.put_health(row)
    return news


def _is_wanted(found: Found, asked: Asked) -> bool:
    """What is not dated may be new."""
    return asked.after is None or found.at is None or times.from_instant(found.at) >= asked.after


def _theirs(reader: Reader, connector: str, ids: Sequence[str]) -> list[str]:
    """Their ids of patients that are named by ours or by theirs."""
    heads = reader.heads([("Patient", one) for one in ids])
    links = reader.links([head.rid for head in heads.values()])
    found: list[str] = []
    for one in ids:
        head = heads.get(("Patient", one))
        listed = [link.remote_id for link in links.get(head.rid, []) if link.connector == connector] if head else [one]
        found += listed
    return found


def _kept(row: RunRow) -> Callable[[Tx], bool]:
    return lambda tx: runs.keep(tx, row._replace(at=tx.now))


def _due_again(tx: Tx, connector: str, since: datetime | None) -> int:
    """Deliveries that were given up are due; how many."""
    dead = tx.deliveries(("rejected", "exhausted"), limit=_MOST_AGAIN)
    ours = [one for one in dead if one.connector == connector and (since is None or one.at >= since)]
    orders = [NewDelivery(connector, one.rid, one.remote_id, one.patient, one.want, tx.now) for one in ours]
    tx.write(Changes(deliveries=orders))
    return len(orders)


def _waiting(row: RunRow, error: str) -> Callable[[Tx], bool]:
    return lambda tx: runs.keep(tx, row._replace(at=tx.now, error=error))


Remote = tuple[str, str]
"""(type, their id)"""


def _fresh(config: Config, founds: Sequence[Found]) -> Callable[[Reader], tuple[list[Found], dict[Remote, int]]]:
    """Those that are not as they were at the last poll, or whose record is not: somebody may have undone there what
    came to us, or went from us, in between. And the revisions of their records."""

    def ask(reader: Reader) -> tuple[list[Found], dict[Remote, int]]:
        pairs = [(one.type, one.remote_id) for one in founds]
        marks = reader.digests(config.name, pairs)
        revisions = {pair: row.revision for pair, row in reader.records_of(config.name, pairs).items()}
        return [
            one for one in founds if marks.get(pair := (one.type, one.remote_id)) != _mark(one, revisions.get(pair, 0))
        ], revisions

    return ask


def _marks(landed: Sequence[Landed], before: Mapping[Remote, int]) -> dict[Remote, bytes]:
    """By what they are known at the next poll; of what was not taken the record is as it was."""
    found = {}
    for one in landed:
        pair = (one.found.type, one.found.remote_id)
        found[pair] = _mark(one.found, before.get(pair, 0) if one.error else one.revision)
    return found


def _noted(config: Config, cursor: str | None, marks: Mapping[Remote, bytes]) -> Callable[[Tx], None]:
    def job(tx: Tx) -> None:
        tx.put_digests(config.name, marks)
        tx.put_health(incidents.health_of(tx, config.name)._replace(cursor=cursor))

    return job


def _progress(row: RunRow, config: Config, asked: Asked, page: Page) -> Callable[[Tx], bool]:
    """Where the run is, and whether it goes on; after the last page of a whole look, which left nothing out, the next
    poll starts where it ended."""
    whole = not asked.dry_run and not asked.patient_ids and asked.after is None
    looked = whole and isinstance(config.connector, Scanner)

    def job(tx: Tx) -> bool:
        goes_on = runs.keep(tx, row._replace(at=tx.now))
        if goes_on and looked and not page.more:
            row_ = incidents.health_of(tx, config.name)
            tx.put_health(row_._replace(cursor=page.cursor, last_sync_at=tx.now, last_success_at=tx.now))
        return goes_on

    return job


def _with(row: RunRow, report: Report, cursor: str | None) -> RunRow:
    return row._replace(report=json.encode(msgspec.to_builtins(report)).decode(), cursor=cursor)


def _mark(found: Found, revision: int) -> bytes:
    """Of the content alone (a new date on an unchanged resource is no change), and of the record that it met."""
    content = hashlib.blake2b(json.canonical([found.type, found.body]), digest_size=16).digest()
    return content + revision.to_bytes(8)
