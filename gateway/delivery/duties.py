"""Duties: long work that one process at a time does - polls, queues, runs - and that another takes over when it dies.

Each is held by a lock with a lease, renewed while the work goes on; who finds that the lock is somebody else's by now
stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Duty:
    """`name` is the lock's. A duty of another `version` is another one: the old one is stopped first."""

    name: str
    version: object
    work: Callable[[], Awaitable[None]] = field(compare=False)


class Locks(Protocol):
    """Names that are held by one process at a time."""

    async def take(self, name: str) -> int | None:
        """The fence that proves it is ours; None while somebody else holds it."""

    async def renew(self, name: str, fence: int) -> int | None:
        """Hold it longer: the fence from now on; None = somebody else holds it."""

    async def free(self, name: str, fence: int) -> None:
        """Give it back."""


class Duties:
    """`wanted` says what is to be done now; it is asked every `idle` seconds and when woken."""

    def __init__(
        self,
        wanted: Callable[[], Awaitable[Sequence[Duty]]],
        locks: Locks,
        *,
        lease: float = 30.0,
        idle: float = 1.0,
    ) -> None:
        self._wanted = wanted
        self._locks = locks
        self._renew_every = lease / 3
        self._idle = idle
        self._woken = asyncio.Event()
        self._stopping = False
        self._at_work: dict[str, tuple[Duty, asyncio.Task[None]]] = {}

    def wake(self) -> None:
        """Something may be wanted now."""
        self._woken.set()

    async def run(self) -> None:
        """Until `stop`; an error while looking is logged and tried again."""
        while not self._stopping:
            self._woken.clear()
            try:
                await self._look()
            except Exception as error:  # the loop must outlive whatever a step does
                log.error("looking for duties failed", exc_info=error)
            await self._rest()

    async def stop(self) -> None:
        """Stop what is at work; its locks are given back, and where it was is written down."""
        self._stopping = True
        self._woken.set()
        tasks = [task for _, task in self._at_work.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        wanted = {duty.name: duty for duty in await self._wanted()}
        for name, (duty, task) in list(self._at_work.items()):
            if wanted.get(name, duty if duty.version is None else None) != duty:
                task.cancel()
        for name, duty in wanted.items():
            if name not in self._at_work and not self._stopping:
                self._start(duty)

    def _start(self, duty: Duty) -> None:
        task = asyncio.create_task(self._hold(duty))
        self._at_work[duty.name] = (duty, task)
        task.add_done_callback(lambda _: self._at_work.pop(duty.name, None))

    async def _hold(self, duty: Duty) -> None:
        """The work of a duty, from taking its lock to giving it back; nothing escapes but being cancelled."""
        fence = await self._take(duty.name)
        if fence is None:
            return
        held = _Held(self._locks, duty.name, fence)
        keeping = asyncio.create_task(held.keep(self._renew_every, asyncio.current_task()))
        try:
            await duty.work()
        except Exception as error:  # the top of this work: it is wanted again at the next look
            log.error("a duty failed", duty=duty.name, exc_info=error)
        finally:
            keeping.cancel()
            await asyncio.shield(self._locks.free(duty.name, held.fence))

    async def _take(self, name: str) -> int | None:
        """The lock. Whoever is stopped while taking it gives it back: it would be nobody's until its lease is over."""
        taking = asyncio.ensure_future(self._locks.take(name))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            fence = await taking
            if fence is not None:
                await self._locks.free(name, fence)
            raise

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._idle):
                await self._woken.wait()
        except TimeoutError:
            return


@dataclass(slots=True)
class _Held:
    locks: Locks
    name: str
    fence: int

    async def keep(self, every: float, work: asyncio.Task[None] | None) -> None:
        """Renew the lock while `work` goes on; stop it once somebody else holds it."""
        while True:
            await asyncio.sleep(every)
            try:
                fence = await self.locks.renew(self.name, self.fence)
            except Exception as error:  # the lease may still hold: try again at the next turn
                log.error("renewing a lock failed", error=type(error).__name__)
                continue
            if fence is None:
                if work is not None:
                    work.cancel()
                return
            self.fence = fence
