"""Inbox: messages that were stored and acknowledged before they were worked on (webhooks), worked off in order.

What was left by a killed process is found again at the start: acknowledged is stored, stored is worked on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from gateway.errors import GatewayError, PartnerLoginExpired
from gateway.flow import Flow, Received

log = structlog.get_logger(__name__)

Work = Callable[[Received], Awaitable[None]]
_PAGE = 500


class Inbox:
    """One connector's messages one after the other, connectors beside each other; one that cannot be worked on now
    waits by itself and holds up no other. `waits`: seconds before each try."""

    def __init__(self, flow: Flow, work: Work, *, waits: Sequence[float]) -> None:
        self._flow = flow
        self._work = work
        self._waits = waits
        self._queues: dict[str, asyncio.Queue[tuple[Received, int]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._tries: dict[str, int] = {}

    def put(self, received: Received) -> None:
        """A message that was just stored."""
        self._later(received, 0)

    def _later(self, received: Received, tries: int) -> None:
        """Into its queue when it is time for the next try."""
        wait = self._waits[tries]
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

    async def recover(self) -> int:
        """Queue what is stored as received; how many there were."""
        found, after = 0, ""
        while True:
            rows = await self._flow.store.query_aside(
                lambda reader, after=after: reader.messages("received", limit=_PAGE, after=after)  # type: ignore[misc]
            )
            for row in rows:
                if row.kind == "webhook":
                    kept = (row.connector, row.principal, row.kind, row.media_type, row.body, row.dedupe)
                    self.put(Received(*kept, message_id=row.message_id))
                    found += 1
            if len(rows) < _PAGE:
                return found
            after = rows[-1].message_id

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, queue: asyncio.Queue[tuple[Received, int]]) -> None:
        while True:
            received, tries = await queue.get()
            try:
                await self._one(received, tries)
            except Exception as error:  # the top of this worker: what cannot even be marked is found at the next start
                log.error("message left as it was", message=received.message_id, error=type(error).__name__)

    async def _one(self, received: Received, tries: int) -> None:
        """Applied, held or failed; while their side cannot be read it stays received and is tried again."""
        try:
            await self._work(received)
        except GatewayError as error:
            log.warning("message not applied", message=received.message_id, error=type(error).__name__)
            if isinstance(error, PartnerLoginExpired):
                self._later(
                    received, min(1, len(self._waits) - 1)
                )  # until somebody authorises us, however long it takes
            elif error.transient:
                await self._again(received, tries + 1)
        except Exception as error:  # a defect of ours concerns this message only
            log.error("message failed unexpectedly", message=received.message_id, error=type(error).__name__)
            await self._flow.finish(received, "failed", type(error).__name__)

    async def _again(self, received: Received, tries: int) -> None:
        if tries < len(self._waits):
            self._later(received, tries)
        else:
            await self._flow.finish(received, "failed", "their side could not be read in time")
