"""The process pool: results, errors, workers that die or take too long, and the bytes under way."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from gateway.errors import InvalidInput, Overloaded, StoreBusy, TooCostly, Unparsable
from gateway.fhir.issue import Issue
from gateway.work import Pool, Room

pytestmark = pytest.mark.anyio


def double(number: int) -> int:
    return 2 * number


def who() -> int:
    return os.getpid()


def refuse() -> None:
    raise InvalidInput("not so", expression="a.b", issues=[Issue("error", "value", "why", "a.b")])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_the_first_time(marker: Path) -> str:
    if not marker.exists():
        marker.touch()
        die()
    return "done"


def take(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@pytest.fixture(params=[0, 1], ids=["thread", "process"])
async def pool(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Pool]:
    pool = Pool(request.param)
    yield pool
    pool.close()


@pytest.fixture
async def one(anyio_backend: str) -> AsyncIterator[Pool]:
    pool = Pool(1)
    yield pool
    pool.close()


async def test_results_and_errors_come_back(pool: Pool) -> None:
    assert await pool.run(double, 21) == 42
    with pytest.raises(InvalidInput) as caught:
        await pool.run(refuse)
    assert (caught.value.message, caught.value.expression) == ("not so", "a.b")
    assert caught.value.issues == (Issue("error", "value", "why", "a.b"),)
    assert caught.value.status == 400 and type(caught.value) is not Unparsable


async def test_work_is_done_in_another_process_and_all_in_the_same(one: Pool) -> None:
    seen = {await one.run(who) for _ in range(3)}
    assert len(seen) == 1 and os.getpid() not in seen


async def test_what_waits_is_done_in_its_turn(one: Pool) -> None:
    assert await asyncio.gather(*(one.run(double, number) for number in range(50))) == [2 * one for one in range(50)]


async def test_two_processes_work_at_once() -> None:
    pool = Pool(2)
    try:
        assert len(set(await asyncio.gather(pool.run(take, 0.5), pool.run(take, 0.5)))) == 2
    finally:
        pool.close()


async def test_work_that_ends_its_worker_twice_is_told(one: Pool) -> None:
    with pytest.raises(StoreBusy):
        await one.run(die)
    assert await one.run(double, 1) == 2, "and a new process took its place"


async def test_a_worker_that_is_killed_at_work_is_replaced_and_its_work_done(one: Pool, tmp_path: Path) -> None:
    assert await one.run(die_the_first_time, tmp_path / "died") == "done"


async def test_a_worker_that_died_while_nobody_looked_costs_nothing(one: Pool) -> None:
    first = await one.run(who)
    os.kill(first, signal.SIGKILL)
    assert await one.run(who) != first


async def test_a_worker_that_dies_costs_its_neighbour_nothing() -> None:
    pool = Pool(2)
    try:
        neighbour, dead = await asyncio.gather(pool.run(take, 0.6), pool.run(die), return_exceptions=True)
        assert isinstance(neighbour, int) and isinstance(dead, StoreBusy)
    finally:
        pool.close()


async def test_what_takes_too_long_is_cut_and_told() -> None:
    pool = Pool(1, seconds=1.0)
    try:
        before = await pool.run(os.getpid)  # what has to import nothing first
        with pytest.raises(TooCostly, match="longer than the 1 seconds"):
            await pool.run(time.sleep, 60)
        assert await pool.run(os.getpid) != before
        assert not psutil.pid_exists(before)
    finally:
        pool.close()


async def test_what_a_caller_gave_up_keeps_its_worker_busy_and_no_other(one: Pool) -> None:
    given_up = asyncio.create_task(one.run(take, 0.3))
    await asyncio.sleep(0.05)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    assert await asyncio.wait_for(one.run(double, 1), 10) == 2


async def test_no_worker_is_left_when_the_server_is_killed() -> None:
    script = (
        "import asyncio, os, time\nfrom gateway.work import Pool\n"
        "print(asyncio.run(Pool(1).run(os.getpid)), flush=True)\ntime.sleep(60)\n"
    )
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    worker = int(server.stdout.readline())
    server.kill()
    server.wait()
    server.stdout.close()
    await until(lambda: not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


def test_what_is_under_way_is_bounded_by_bytes() -> None:
    room = Room(100)
    with taken(room, 60), taken(room, 40), pytest.raises(Overloaded), taken(room, 1):
        pass
    with taken(room, 100):
        pass


def test_one_that_turns_out_to_be_larger_counts_as_that() -> None:
    room = Room(100)
    with taken(room, 30), room.place() as grow:
        grow(10)
        grow(70)
        with pytest.raises(Overloaded):
            grow(71)
        with pytest.raises(Overloaded), taken(room, 1):
            pass
    with taken(room, 100):
        pass


def test_one_that_is_larger_than_all_that_is_allowed_goes_alone() -> None:
    room = Room(100)
    with taken(room, 1000), taken(room, 0), pytest.raises(Overloaded), taken(room, 1):
        pass
    with taken(room, 1), pytest.raises(Overloaded), taken(room, 1000):
        pass


def test_small_ones_are_never_in_the_way_nor_out_of_it() -> None:
    room = Room(100, free=10)
    with taken(room, 100), taken(room, 10), taken(room, 10), pytest.raises(Overloaded), taken(room, 11):
        pass
    with taken(room, 10), taken(room, 100):
        pass


def test_one_that_fails_gives_its_room_back() -> None:
    room = Room(100)
    for _ in range(3):
        with pytest.raises(ValueError, match="odd"), taken(room, 100):
            raise ValueError("odd")


@contextmanager
def taken(room: Room, size: int) -> Iterator[None]:
    with room.place() as grow:
        grow(size)
        yield


async def test_a_thread_that_waits_lets_others_through() -> None:
    pool, gate = Pool(0), threading.Event()
    waiting = asyncio.create_task(pool.run(gate.wait, 10))
    assert await pool.run(double, 1) == 2
    gate.set()
    assert await waiting


async def test_closing_ends_what_is_at_work(one: Pool) -> None:
    worker = await one.run(who)
    at_work = asyncio.create_task(one.run(take, 60))
    await asyncio.sleep(0.1)
    await asyncio.wait_for(asyncio.to_thread(one.close), 10)
    with pytest.raises(StoreBusy):
        await at_work
    assert not psutil.pid_exists(worker)
