"""Work that takes long, in processes of its own, so that the server keeps answering: bytes in, values out.

Each process does one thing at a time and is talked to over a pipe that only the two hold: a process that dies costs
nobody else anything and is replaced, one that takes too long is ended, and none is left over when the server dies.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, ParamSpec, TypeVar

from gateway.errors import Overloaded, StoreBusy, TooCostly

P = ParamSpec("P")
T = TypeVar("T")
Grow = Callable[[int], None]

BYTES = 100_000_000
SECONDS = 60.0


class Room:
    """What of memory input may take: `limit` bytes that are read, waiting or worked on at once. Of `free` bytes and
    fewer no account is taken, so that large ones are not in the way of small ones."""

    def __init__(self, limit: int, *, free: int = 0) -> None:
        self._limit = limit
        self._free = free
        self._held = 0

    @contextmanager
    def place(self) -> Iterator[Grow]:
        """Around reading and working on one input: what it yields is told its size, again whenever it is known to be
        more, and raises Overloaded when all would be over the limit; one that is larger than that goes alone."""
        mine = 0

        def grow(size: int) -> None:
            nonlocal mine
            if size <= mine or size <= self._free:
                return
            others = self._held - mine
            if others and others + size > self._limit:
                raise Overloaded("too much is being worked on: send it again in a moment")
            self._held, mine = others + size, size

        try:
            yield grow
        finally:
            self._held -= mine


class Pool:
    """Worker processes, started at the first need; with none, work runs in a thread of this process, where nothing can
    end it. `limit`: bytes of input that may be under way or waiting at once; `seconds`: what one piece of work gets."""

    def __init__(self, processes: int, *, limit: int = BYTES, seconds: float = SECONDS) -> None:
        self.room = Room(limit)
        self._lanes = [_Lane(seconds) for _ in range(processes)]
        self._threads = ThreadPoolExecutor(processes or 1, thread_name_prefix="worker")
        self._free: asyncio.LifoQueue[_Lane] = asyncio.LifoQueue()  # one that is warm first
        for lane in self._lanes:
            self._free.put_nowait(lane)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work`, which must be importable by name and without effects: it is done again, once, when its
        process dies. What it raises is raised here; TooCostly when it takes too long."""
        call = partial(work, *args, **kwargs)
        if not self._lanes:
            return await asyncio.to_thread(call)
        lane = await self._free.get()
        done = asyncio.get_running_loop().run_in_executor(self._threads, lane.run, call)
        done.add_done_callback(lambda done: self._release(lane, done))
        return await asyncio.shield(done)  # a caller that goes away leaves the process busy

    def _release(self, lane: _Lane, done: asyncio.Future[Any]) -> None:
        self._free.put_nowait(lane)
        if not done.cancelled():
            done.exception()  # nobody may be waiting for it any more

    def close(self) -> None:
        """End all work and its processes."""
        for lane in self._lanes:
            lane.close()
        self._threads.shutdown()


class _Lane:
    """One worker process at a time, and the pipe to it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._worker: tuple[BaseProcess, Connection] | None = None
        self._closed = False

    def run(self, call: Callable[[], T]) -> T:
        """Do it there, in a process that lives; blocks."""
        for _ in range(2):
            try:
                done, result = self._ask(call)
            except (EOFError, OSError):
                self._end()
                continue
            if done:
                value: T = result
                return value
            raise result
        raise StoreBusy("a worker process died while it was at work; try again")

    def _ask(self, call: Callable[[], object]) -> tuple[bool, Any]:
        _, pipe = self._worker or self._start()
        pipe.send(call)
        if not pipe.poll(self._seconds):
            self._end()
            raise TooCostly(f"it took longer than the {self._seconds:g} seconds that one document gets")
        answer: tuple[bool, Any] = pipe.recv()
        return answer

    def _start(self) -> tuple[BaseProcess, Connection]:
        if self._closed:
            raise EOFError
        context = multiprocessing.get_context("spawn")  # a fork would copy the locks of the server's threads
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        self._worker = process, ours
        ours.recv()  # it is there: what it takes to start is no part of what the work takes
        return self._worker

    def _end(self) -> None:
        if (worker := self._worker) is not None:
            self._worker = None
            process, pipe = worker
            process.kill()
            process.join()
            process.close()
            pipe.close()

    def close(self) -> None:
        self._closed = True
        self._end()


def _serve(pipe: Connection) -> None:
    """The worker: one call after the other until the server is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the server ends its workers itself
    pipe.send(None)
    while True:
        try:
            call = pipe.recv()
        except EOFError:
            return
        pipe.send(_outcome(call))


def _outcome(call: Callable[[], object]) -> tuple[bool, object]:
    try:
        return True, call()
    except Exception as error:
        return False, error
