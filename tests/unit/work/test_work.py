"""The process pool: results, errors, workers that die, and the bytes in flight."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator

import pytest

from gateway.errors import InvalidInput, StoreBusy, Unparsable
from gateway.fhir.issue import Issue
from gateway.work import Pool

pytestmark = pytest.mark.anyio

LIMIT = 100_000_000


def double(number: int) -> int:
    return 2 * number


def who() -> int:
    return os.getpid()


def refuse() -> None:
    raise InvalidInput("not so", expression="a.b", issues=[Issue("error", "value", "why", "a.b")])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(params=[0, 1], ids=["thread", "process"])
async def pool(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Pool]:
    pool = Pool(request.param)
    yield pool
    pool.close()


async def test_results_and_errors_come_back(pool: Pool) -> None:
    assert await pool.run(1, double, 21) == 42
    with pytest.raises(InvalidInput) as caught:
        await pool.run(1, refuse)
    assert (caught.value.message, caught.value.expression) == ("not so", "a.b")
    assert caught.value.issues == (Issue("error", "value", "why", "a.b"),)
    assert caught.value.status == 400 and type(caught.value) is not Unparsable


async def test_work_is_done_in_another_process() -> None:
    pool = Pool(1)
    try:
        assert await pool.run(1, who) != os.getpid()
    finally:
        pool.close()


async def test_a_worker_that_dies_at_work_costs_only_that() -> None:
    pool = Pool(1)
    try:
        with pytest.raises(StoreBusy):
            await pool.run(1, die)
        assert await pool.run(1, double, 1) == 2
    finally:
        pool.close()


async def test_a_worker_that_died_while_nobody_looked_costs_one_call_at_most() -> None:
    pool = Pool(1)
    try:
        os.kill(await pool.run(1, who), signal.SIGKILL)
        await asyncio.sleep(0.3)
        try:
            await pool.run(1, double, 1)
        except StoreBusy:
            assert await pool.run(1, double, 1) == 2
    finally:
        pool.close()


async def test_what_is_in_flight_is_bounded_by_bytes() -> None:
    pool, gate, running = Pool(0), threading.Event(), []

    def work(name: str) -> None:
        running.append(name)
        gate.wait(10)

    first = asyncio.create_task(pool.run(LIMIT - 10, work, "first"))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(pool.run(100, work, "second"))
    third = asyncio.create_task(pool.run(5, work, "third"))
    await asyncio.sleep(0.1)
    assert running == ["first", "third"], "the small one fits beside it"
    gate.set()
    await asyncio.gather(first, second, third)
    assert running[-1] == "second"


async def test_one_that_is_larger_than_all_that_is_allowed_goes_alone() -> None:
    pool = Pool(0)
    assert await asyncio.wait_for(pool.run(10 * LIMIT, double, 1), 5) == 2


async def test_one_that_fails_or_is_given_up_gives_its_bytes_back() -> None:
    pool, gate = Pool(0), threading.Event()
    with pytest.raises(InvalidInput):
        await pool.run(LIMIT, refuse)
    given_up = asyncio.create_task(pool.run(LIMIT, gate.wait, 10))
    await asyncio.sleep(0.05)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    gate.set()
    assert await asyncio.wait_for(pool.run(LIMIT, double, 1), 5) == 2
