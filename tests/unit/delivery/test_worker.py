"""The delivery worker with orders that are fakes: failing patients, lost leases, stopping."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gateway.delivery.worker import Worker

pytestmark = pytest.mark.anyio

PATIENCE = 5.0


@dataclass
class Orders:
    """Claims are names. `fails` raise while reconciled, `hangs` never end."""

    due: deque[str] = field(default_factory=deque)
    fails: set[str] = field(default_factory=set)
    hangs: set[str] = field(default_factory=set)
    stolen: set[str] = field(default_factory=set)
    claim_errors: int = 0
    renew_errors: int = 0
    release_errors: int = 0
    log: list[tuple[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    pause: float = 0.0

    async def claim(self, limit: int) -> Sequence[str]:
        if self.claim_errors:
            self.claim_errors -= 1
            raise OSError("the database is away")
        return [self.due.popleft() for _ in range(min(limit, len(self.due)))]

    async def reconcile(self, claim: str) -> str:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(PATIENCE if claim in self.hangs else self.pause)
        finally:
            self.at_once -= 1
        if claim in self.fails:
            raise ZeroDivisionError("a bug")
        return "done"

    async def renew(self, claim: str) -> bool:
        if self.renew_errors:
            self.renew_errors -= 1
            raise OSError("the database is away")
        self.log.append(("renewed", claim))
        return claim not in self.stolen

    async def settle(self, claim: str, result: str) -> None:
        self.log.append((result, claim))

    async def release(self, claim: str, error: Exception | None) -> None:
        if self.release_errors:
            self.release_errors -= 1
            raise OSError("the database is away")
        self.log.append((type(error).__name__ if error else "released", claim))

    def named(self, what: str) -> list[str]:
        return [claim for said, claim in self.log if said == what]


@asynccontextmanager
async def at_work(orders: Orders, grace: float = 0.05, **options: float) -> AsyncIterator[Worker[str, str]]:
    worker: Worker[str, str] = Worker(orders, **{"idle": 0.02, "lease": 30.0, **options})  # type: ignore[arg-type]
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        await worker.stop(grace)
        async with asyncio.timeout(PATIENCE):
            await running


async def until(held: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not held():
            await asyncio.sleep(0.005)


async def test_everything_due_is_done_once() -> None:
    orders = Orders(deque(str(number) for number in range(50)))
    async with at_work(orders, concurrency=4):
        await until(lambda: len(orders.log) == 50)
    assert sorted(orders.named("done"), key=int) == [str(number) for number in range(50)]


async def test_no_more_at_once_than_allowed_and_no_fewer() -> None:
    orders = Orders(deque(str(number) for number in range(20)), pause=0.01)
    async with at_work(orders, concurrency=3):
        await until(lambda: len(orders.log) == 20)
    assert orders.most_at_once == 3


async def test_a_failing_patient_stops_no_other_and_counts_as_tried() -> None:
    orders = Orders(deque(["a", "bad", "b", "c"]), fails={"bad"})
    async with at_work(orders, concurrency=1):
        await until(lambda: len(orders.log) == 4)
    assert orders.named("done") == ["a", "b", "c"]
    assert orders.named("ZeroDivisionError") == ["bad"]


async def test_a_hanging_patient_stops_no_other() -> None:
    orders = Orders(deque(["slow", "a", "b"]), hangs={"slow"})
    async with at_work(orders, concurrency=2):
        await until(lambda: orders.named("done") == ["a", "b"])


async def test_waking_is_faster_than_waiting() -> None:
    orders = Orders()
    async with at_work(orders, idle=PATIENCE) as worker:
        await asyncio.sleep(0.02)
        orders.due.append("now")
        worker.wake()
        async with asyncio.timeout(PATIENCE / 5):
            await until(lambda: orders.named("done") == ["now"])


async def test_without_being_woken_it_looks_again() -> None:
    orders = Orders()
    async with at_work(orders, idle=0.02):
        await asyncio.sleep(0.05)
        orders.due.append("later")
        await until(lambda: orders.named("done") == ["later"])


async def test_it_outlives_a_database_that_is_away() -> None:
    orders = Orders(deque(["a"]), claim_errors=3)
    async with at_work(orders):
        await until(lambda: orders.named("done") == ["a"])
    assert orders.claim_errors == 0


async def test_a_lease_is_renewed_while_the_work_goes_on() -> None:
    orders = Orders(deque(["slow"]), pause=0.2, renew_errors=1)
    async with at_work(orders, lease=0.06):
        await until(lambda: orders.named("done") == ["slow"])
    assert len(orders.named("renewed")) >= 2
    await asyncio.sleep(0.05)
    assert len(orders.named("renewed")) == len(orders.log) - 1, "and not afterwards"


async def test_work_stops_when_somebody_else_holds_the_claim() -> None:
    orders = Orders(deque(["mine", "next"]), hangs={"mine"}, stolen={"mine"})
    async with at_work(orders, lease=0.06, concurrency=1):
        await until(lambda: orders.named("done") == ["next"])
    assert ("done", "mine") not in orders.log
    assert orders.named("released") == [], "it is not ours to give back"


async def test_stopping_waits_for_what_is_nearly_done() -> None:
    orders = Orders(deque(["a"]), pause=0.05)
    async with at_work(orders, grace=PATIENCE):
        await until(lambda: orders.at_once == 1)
    assert orders.log == [("done", "a")]


async def test_stopping_gives_back_what_is_not() -> None:
    orders = Orders(deque(["a", "b"]), hangs={"a"})
    async with at_work(orders, grace=0.05):
        await until(lambda: orders.named("done") == ["b"])
    assert orders.named("released") == ["a"]
    assert orders.at_once == 0


async def test_nothing_is_taken_after_stopping() -> None:
    orders = Orders()
    async with at_work(orders):
        pass
    orders.due.append("late")
    await asyncio.sleep(0.05)
    assert list(orders.due) == ["late"]


async def test_what_was_being_claimed_when_it_was_stopped_is_given_back() -> None:
    class Slow(Orders):
        async def claim(self, limit: int) -> Sequence[str]:
            found = await super().claim(limit)
            await asyncio.sleep(0.05 if found else 0)
            return found

    orders = Slow(deque(["late"]))
    worker: Worker[str, str] = Worker(orders, idle=0.02)
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0.01)
    await worker.stop()
    await running
    assert orders.log == [("released", "late")]


async def test_giving_back_may_fail_too() -> None:
    orders = Orders(deque(["bad", "good"]), fails={"bad"}, release_errors=1)
    async with at_work(orders, concurrency=1):
        await until(lambda: orders.named("done") == ["good"])
