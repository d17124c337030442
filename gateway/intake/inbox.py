"""Inbox: messages that were stored and acknowledged before they were worked on (webhooks), worked off in order.

What was left by a killed process is found again at the start, and by the other processes on the same database after a
while (`triggers`): acknowledged is stored, stored is worked on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import structlog

from gateway.errors import GatewayError, HeldBack, PartnerLoginExpired, PartnerUnavailable
from gateway.flow import Flow, Received
from gateway.store import MessageRow, Reader

log = structlog.get_logger(__name__)

Work = Callable[[Received], Awaitable[None]]
_PAGE = 500
_MOST_AGAIN = 100_000
STORED_FIRST = ("webhook", "queue")
"""Kinds of messages that are acknowledged before they are worked on."""


class Inbox:
    """One connector's messages one after the other, connectors beside each other; one that cannot be worked on now
    waits by itself and holds up no other. `waits`: seconds before each try."""

    def __init__(self, flow: Flow, work: Work, *, waits: Sequence[float]) -> None:
        self._flow = flow
        self._work = work
        self._waits = waits
        self._queues: dict[str, asyncio.Queue[tuple[Received, int]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: set[str] = set()

    def put(self, received: Received) -> None:
        """A message that was just stored."""
        self._later(received, 0)

    def _later(self, received: Received, tries: int, asked_for: float | None = None) -> None:
        """Into its queue when it is time for the next try, not before they `asked_for` it."""
        self._held.add(received.message_id)
        wait = max(self._waits[tries], asked_for or 0.0)
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._queue(received.connector).put_nowait, (received, tries))
        else:
            self._queue(received.connector).put_nowait((received, tries))

    def _queue(self, connector: str) -> asyncio.Queue[tuple[Received, int]]:
        queue = self._queues.get(connector)
        if queue is None:
            queue = self._queues[connector] = asyncio.Queue()
            self._tasks.add(asyncio.create_task(self._run(queue)))
        return queue

    async def recover(self, connector: str | None = None, *, before: datetime | None = None) -> int:
        """Queue what is stored as received, of one connector or of all, if it came before that; how many there were."""
        found, after = 0, ""
        while True:
            rows = await self._flow.store.query_aside(
                lambda reader, after=after: reader.messages("received", connector, limit=_PAGE, after=after)  # type: ignore[misc]
            )
            due = [row for row in rows if before is None or row.at < before]
            for row in due:
                if row.kind in STORED_FIRST and row.message_id not in self._held:
                    self.put(_received(row))
                    found += 1
            if len(due) < _PAGE:
                return found
            after = rows[-1].message_id

    async def again(self, connector: str, since: datetime | None) -> int:
        """Take the failed messages of a connector in once more, unless they are older; how many there were."""
        failed = await self._flow.store.query_aside(lambda reader: _failed(reader, connector, since))
        for received in failed:
            await self._flow.finish(received, "received")
            self.put(received)
        return len(failed)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, queue: asyncio.Queue[tuple[Received, int]]) -> None:
        while True:
            received, tries = await queue.get()
            over = True
            try:
                over = await self._one(received, tries)
            except Exception as error:  # the top of this worker: what cannot even be marked is found by the next look
                log.error("message left as it was", message=received.message_id, error=type(error).__name__)
            if over:
                self._held.discard(received.message_id)

    async def _one(self, received: Received, tries: int) -> bool:
        """Applied, held or failed; while their side cannot be read it stays received and is tried again. Whether that
        was all."""
        try:
            await self._work(received)
        except HeldBack as error:  # nothing was tried
            self._later(received, tries, error.retry_after)
            return False
        except GatewayError as error:
            log.warning("message not applied", message=received.message_id, error=type(error).__name__)
            if isinstance(error, PartnerLoginExpired):  # until somebody authorises us, however long it takes
                self._later(received, min(1, len(self._waits) - 1))
                return False
            asked_for = error.retry_after if isinstance(error, PartnerUnavailable) else None
            return not (error.transient and await self._again(received, tries + 1, asked_for))
        except Exception as error:  # a defect of ours concerns this message only
            log.error("message failed unexpectedly", message=received.message_id, exc_info=error)
            await self._flow.finish(received, "failed", type(error).__name__)
        return True

    async def _again(self, received: Received, tries: int, asked_for: float | None) -> bool:
        """Whether it is tried again."""
        if tries < len(self._waits):
            self._later(received, tries, asked_for)
            return True
        await self._flow.finish(received, "failed", "their side could not be read in time")
        return False


def _received(row: MessageRow) -> Received:
    kept = (row.connector, row.principal, row.kind, row.media_type, row.body, row.dedupe)
    return Received(*kept, message_id=row.message_id)


def _failed(reader: Reader, connector: str, since: datetime | None) -> list[Received]:
    rows = reader.messages("failed", connector, limit=_MOST_AGAIN)
    return [_received(row) for row in rows if row.kind in STORED_FIRST and (since is None or row.at >= since)]
