"""Inbox: messages that were stored and acknowledged before they were worked on (webhooks), worked off in order.

What was left by a killed process is found again at the start: acknowledged is stored, stored is worked on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from gateway.errors import GatewayError
from gateway.flow import Flow, Received

log = structlog.get_logger(__name__)

Work = Callable[[Received], Awaitable[None]]
_PAGE = 500


class Inbox:
    """One connector's messages one after the other, connectors beside each other. `waits`: seconds before each try."""

    def __init__(self, flow: Flow, work: Work, *, waits: Sequence[float]) -> None:
        self._flow = flow
        self._work = work
        self._waits = waits
        self._queues: dict[str, asyncio.Queue[Received]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._tries: dict[str, int] = {}

    def put(self, received: Received) -> None:
        """A message that was just stored."""
        queue = self._queues.get(received.connector)
        if queue is None:
            queue = self._queues[received.connector] = asyncio.Queue()
            self._tasks.append(asyncio.create_task(self._run(queue)))
        queue.put_nowait(received)

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

    async def _run(self, queue: asyncio.Queue[Received]) -> None:
        while True:
            await self._one(await queue.get())

    async def _one(self, received: Received) -> None:
        """Until it is applied, held or failed. While their side cannot be read it stays received and is tried again
        later; the others do not wait for it, as each reads their side for itself."""
        try:
            await self._work(received)
        except GatewayError as error:
            log.warning("message not applied", message=received.message_id, error=type(error).__name__)
            if error.transient:
                await self._again(received)
                return
        except Exception as error:  # the top of this worker: one message never stops the others
            log.error("message failed unexpectedly", message=received.message_id, error=type(error).__name__)
            await self._flow.finish(received, "failed", type(error).__name__)
        self._tries.pop(received.message_id, None)

    async def _again(self, received: Received) -> None:
        tried = self._tries.get(received.message_id, 0)
        if tried >= len(self._waits):
            self._tries.pop(received.message_id, None)
            await self._flow.finish(received, "failed", "their side could not be read in time")
            return
        self._tries[received.message_id] = tried + 1
        asyncio.get_running_loop().call_later(self._waits[tried], self.put, received)
