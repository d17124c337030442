"""Locks across processes, on every database: one holder at a time, for as long as its lease lasts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from gateway.store import Store, Tx, locks

LONG, OVER = timedelta(minutes=1), timedelta(seconds=-1)

OpenStore = Callable[[], Store]


def take(store: Store, lease: timedelta = LONG) -> int | None:
    return store.write_now(lambda tx: locks.take(tx, "work", tx.now + lease))


def test_one_holder_at_a_time(open_store: OpenStore) -> None:
    one, other = open_store(), open_store()
    fence = take(one)
    assert fence is not None and take(other) is None
    assert one.write_now(lambda tx: locks.free(tx, "work", fence))
    assert take(other) is not None


def test_names_are_apart(open_store: OpenStore) -> None:
    store = open_store()
    assert take(store) is not None
    assert store.write_now(lambda tx: locks.take(tx, "other work", tx.now + LONG)) is not None


def test_a_lease_that_ran_out_is_taken_over(open_store: OpenStore) -> None:
    one, other = open_store(), open_store()
    lost = take(one, OVER)
    fence = take(other)
    assert lost is not None and fence is not None and lost != fence
    assert not one.write_now(lambda tx: locks.free(tx, "work", lost)), "no longer ours to free"
    assert take(one) is None


def test_of_many_who_race_one_gets_it(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        fences = list(threads.map(lambda at: take(stores[at % 4]), range(16)))
    assert len([fence for fence in fences if fence is not None]) == 1


def test_a_job_that_fails_takes_nothing(open_store: OpenStore) -> None:
    store = open_store()

    def job(tx: Tx) -> None:
        locks.take(tx, "work", tx.now + LONG)
        raise RuntimeError

    with ThreadPoolExecutor(1) as threads:
        assert isinstance(threads.submit(store.write_now, job).exception(), RuntimeError)
    assert take(store) is not None
