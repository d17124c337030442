"""Work that takes long, in processes of its own, so that the server keeps answering: bytes in, values out."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from gateway.errors import StoreBusy

P = ParamSpec("P")
T = TypeVar("T")

_BYTES_IN_FLIGHT = 100_000_000
"""A document needs about 21 times its size while it is converted: this bounds the memory, not the count."""


class Pool:
    """Worker processes, started at the first need; with none, work runs in a thread of this process."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._executor: ProcessPoolExecutor | None = None
        self._free = _BYTES_IN_FLIGHT
        self._changed = asyncio.Condition()

    async def run(self, size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work`, which must be importable by name; `size` = bytes of input, waits while too many are
        in flight. What it raises is raised here."""
        share = min(size, _BYTES_IN_FLIGHT)
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= share)
            self._free -= share
        try:
            return (
                await self._submit(lambda: work(*args, **kwargs))
                if not self._processes
                else await self._remote(work, *args, **kwargs)
            )
        finally:
            async with self._changed:
                self._free += share
                self._changed.notify_all()

    async def _submit(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)

    async def _remote(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        executor = self._pool()
        try:
            return await asyncio.wrap_future(executor.submit(work, *args, **kwargs))
        except BrokenProcessPool:
            if self._executor is executor:  # the next call starts new ones
                self._executor = None
            raise StoreBusy("a worker process died while it converted; try again") from None

    def _pool(self) -> ProcessPoolExecutor:
        if self._executor is None:
            # Not fork: the server has threads, and a fork would copy their locks.
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self._processes, mp_context=context)
        return self._executor

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None
