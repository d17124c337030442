"""The delivery worker: claims what is due, works on several patients at once, and lets no failure stop the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Generic, Protocol, TypeVar

import structlog

C = TypeVar("C")
R = TypeVar("R")

log = structlog.get_logger(__name__)


class Orders(Protocol[C, R]):
    """The steps of a delivery, as the flow does them. A claim is one (connector, patient) with its due rows, a lease
    and a fence; its result is whatever `reconcile` and `settle` agree on."""

    async def claim(self, limit: int) -> Sequence[C]:
        """At most `limit` groups that are due and held by nobody."""

    async def reconcile(self, claim: C) -> R:
        """Make their side equal to ours, as far as it goes now."""

    async def renew(self, claim: C) -> bool:
        """Hold it longer; False = somebody else holds it by now."""

    async def settle(self, claim: C, result: R) -> None:
        """Write down what came of it, unless somebody else holds it by now."""

    async def release(self, claim: C, error: Exception | None) -> None:
        """Give it back: after an unexpected error, which counts as an attempt, or unfinished because we stop."""


class Worker(Generic[C, R]):
    """`concurrency`: claims worked on at once in all. `lease`: seconds that a claim lasts; it is renewed at a third of
    that. `idle`: how often to look without being woken, so a retry is at most that late."""

    def __init__(self, orders: Orders[C, R], *, concurrency: int = 64, lease: float = 30.0, idle: float = 0.5) -> None:
        self._orders = orders
        self._concurrency = concurrency
        self._renew_every = lease / 3
        self._idle = idle
        self._woken = asyncio.Event()
        self._stopping = False
        self._at_work: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Something became due. Call it in the worker's loop (`loop.call_soon_threadsafe` from elsewhere)."""
        self._woken.set()

    async def run(self) -> None:
        """Until `stop`; an error while claiming is logged and tried again."""
        while not self._stopping:
            self._woken.clear()
            await self._take()
            await self._rest()

    async def stop(self, grace: float = 10.0) -> None:
        """Take nothing new, wait for what is at work, then give the rest back."""
        self._stopping = True
        self._woken.set()
        if self._at_work:
            _, late = await asyncio.wait(self._at_work, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _take(self) -> None:
        free = self._concurrency - len(self._at_work)
        if not free:
            return
        try:
            claims = await self._orders.claim(free)
        except Exception as error:  # the loop must outlive whatever a step does
            log.error("claiming failed", exc_info=error)
            return
        if self._stopping:  # meanwhile: nobody would wait for these
            for claim in claims:
                await self._give_back(claim, None)
            return
        for claim in claims:
            task = asyncio.create_task(self._work(claim))
            self._at_work.add(task)
            task.add_done_callback(self._done)
        if len(claims) == free:
            self._woken.set()  # there may be more

    def _done(self, task: asyncio.Task[None]) -> None:
        self._at_work.discard(task)
        self._woken.set()

    async def _rest(self) -> None:
        """Until something is due or done, or it is time to look again; with all hands busy, until one is free."""
        if len(self._at_work) >= self._concurrency:
            await asyncio.wait(self._at_work, return_when=asyncio.FIRST_COMPLETED)
            return
        try:
            async with asyncio.timeout(self._idle):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _work(self, claim: C) -> None:
        """One claim from beginning to end; nothing escapes but being cancelled."""
        work = asyncio.current_task()
        assert work is not None
        keeping = _Keeping(asyncio.get_running_loop(), self._renew_every, lambda: self._keep(claim, work))
        try:
            await self._orders.settle(claim, await self._orders.reconcile(claim))
        except asyncio.CancelledError:
            if self._stopping:
                await self._give_back(claim, None)
            raise
        except Exception as error:  # the one place that outlives any error: a patient's failure is that patient's only
            log.error("a delivery failed unexpectedly", exc_info=error)
            await self._give_back(claim, error)
        finally:
            keeping.end()

    async def _keep(self, claim: C, work: asyncio.Task[None]) -> None:
        """Renew the lease while `work` goes on; stop it once somebody else holds the claim."""
        while True:
            try:
                held = await self._orders.renew(claim)
            except Exception as error:  # the lease may still hold: try again at the next turn
                log.error("renewing a lease failed", error=type(error).__name__)
            else:
                if not held:
                    work.cancel()
                    return
            await asyncio.sleep(self._renew_every)

    async def _give_back(self, claim: C, error: Exception | None) -> None:
        try:
            await self._orders.release(claim, error)
        except Exception as unexpected:  # its lease runs out instead
            log.error("giving a delivery back failed", exc_info=unexpected)


class _Keeping:
    """Begins to renew a lease after `seconds`: most work is done long before, and a task costs more than a timer."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, keep: Callable[[], Coroutine[None, None, None]]
    ) -> None:
        self._keep = keep
        self._task: asyncio.Task[None] | None = None
        self._timer = loop.call_later(seconds, self._begin)

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._keep())

    def end(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
