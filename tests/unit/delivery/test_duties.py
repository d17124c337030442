"""Duties: one process at a time, taken over, stopped when they are no longer wanted or no longer ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.delivery.duties import Duties, Duty

pytestmark = pytest.mark.anyio


class Locks:
    """In memory; `stolen` names whose renewal fails."""

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self.stolen: set[str] = set()
        self.renewed = 0
        self.slow = 0.0
        self._next = 0

    async def take(self, name: str) -> int | None:
        await asyncio.sleep(self.slow)
        if name in self.held:
            return None
        self._next += 1
        self.held[name] = self._next
        return self._next

    async def renew(self, name: str, fence: int) -> int | None:
        self.renewed += 1
        return None if name in self.stolen else fence

    async def free(self, name: str, fence: int) -> None:
        if self.held.get(name) == fence:
            del self.held[name]


class Work:
    """Counts how often it began, goes on until it is cancelled or told to end."""

    def __init__(self, fails: int = 0) -> None:
        self.began = self.cancelled = 0
        self.end = asyncio.Event()
        self._fails = fails

    async def __call__(self) -> None:
        self.began += 1
        if self.began <= self._fails:
            raise RuntimeError("a defect")
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def running(wanted: list[Duty], locks: Locks, lease: float = 30.0) -> tuple[Duties, asyncio.Task[None]]:
    async def asked() -> list[Duty]:
        return list(wanted)

    duties = Duties(asked, locks, lease=lease, idle=0.01)
    return duties, asyncio.create_task(duties.run())


async def stop(*pairs: tuple[Duties, asyncio.Task[None]]) -> None:
    for duties, task in pairs:
        await duties.stop()
        await task


async def soon(holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


def duty(work: Callable[[], Awaitable[None]], version: object = None) -> Duty:
    return Duty("poll:a", version, work)


async def test_two_processes_do_it_once_and_the_second_takes_over() -> None:
    locks, work = Locks(), Work()
    first = running([duty(work)], locks)
    await soon(lambda: work.began == 1)
    second = running([duty(work)], locks)
    await asyncio.sleep(0.05)
    assert work.began == 1
    await stop(first)
    assert work.cancelled == 1
    await soon(lambda: work.began == 2)
    await stop(second)
    assert not locks.held


async def test_what_fails_is_tried_again_and_gives_its_lock_back() -> None:
    locks, work = Locks(), Work(fails=2)
    pair = running([duty(work)], locks)
    await soon(lambda: work.began == 3)
    await stop(pair)
    assert not locks.held


async def test_it_stops_when_it_is_no_longer_wanted_or_another_one_is() -> None:
    locks, old, new = Locks(), Work(), Work()
    wanted = [duty(old, "v1")]
    pair = running(wanted, locks)
    await soon(lambda: old.began == 1)
    wanted[:] = [duty(new, "v2")]
    await soon(lambda: old.cancelled == 1 and new.began == 1)
    wanted.clear()
    await soon(lambda: new.cancelled == 1 and not locks.held)
    await stop(pair)


async def test_a_duty_without_a_version_is_brought_to_its_end() -> None:
    """A poll that began is not cut off because its time is over."""
    locks, work = Locks(), Work()
    wanted = [duty(work)]
    pair = running(wanted, locks)
    await soon(lambda: work.began == 1)
    wanted.clear()
    await asyncio.sleep(0.05)
    assert work.cancelled == 0
    work.end.set()
    await soon(lambda: not locks.held)
    await stop(pair)


async def test_its_lock_is_renewed_and_it_stops_when_somebody_else_holds_it() -> None:
    locks, work = Locks(), Work()
    pair = running([duty(work)], locks, lease=0.03)
    await soon(lambda: locks.renewed >= 2)
    assert work.cancelled == 0
    locks.stolen.add("poll:a")
    await soon(lambda: work.cancelled == 1)
    await stop(pair)


async def test_who_is_stopped_while_taking_a_lock_gives_it_back() -> None:
    locks, work = Locks(), Work()
    locks.slow = 0.1
    pair = running([duty(work)], locks)
    await asyncio.sleep(0.03)
    await stop(pair)
    assert not locks.held and work.began == 0


async def test_an_error_while_looking_stops_nothing() -> None:
    looks = 0

    async def asked() -> list[Duty]:
        nonlocal looks
        looks += 1
        raise RuntimeError("the database is away")

    duties = Duties(asked, Locks(), idle=0.01)
    task = asyncio.create_task(duties.run())
    await soon(lambda: looks >= 3)
    await stop((duties, task))
