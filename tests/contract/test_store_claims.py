"""Deliveries: one standing order per goal, claimed by one worker per patient, safe when a worker dies."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from gateway.store import Changes, Claim, Delivery, NewDelivery, Settled, Store, claim, due, renew, settle
from gateway.store.clock import Clock

from .made import orders

LEASE = timedelta(seconds=30)
SHORT = timedelta(milliseconds=50)


def take(store: Store, *, lease: timedelta = LEASE, limit: int = 10, connector: str = "rest") -> list[Claim]:
    return store.write_now(lambda tx: claim(tx, connector, lease=lease, limit=limit))


def finish(store: Store, held: Claim, state: str = "done", *, due_at: datetime | None = None) -> bool:
    outcomes = {
        one.delivery_id: Settled(
            one.delivery_id, state, one.attempt + 1, due_at or one.due_at, one.want, one.remote_id, "E1"
        )
        for one in held.deliveries
    }
    return store.write_now(lambda tx: settle(tx, held, lambda now: outcomes[now.delivery_id]))


def order(store: Store, rid: int, *, want: int, remote_id: str = "r0") -> None:
    store.write_now(lambda tx: tx.write(Changes(deliveries=[NewDelivery("rest", rid, remote_id, rid, want, tx.now)])))


def of(store: Store, rid: int) -> list[Delivery]:
    return store.query_now(lambda reader: reader.deliveries_of([rid])).get(rid, [])


def test_a_group_is_claimed_once(open_store: Callable[[], Store]):
    first, second = open_store(), open_store()
    rids = first.write_now(lambda tx: orders(tx, patients=6, each=3))
    claims = [*take(first, limit=4), *take(second, limit=4)]
    assert sorted(one.patient for one in claims) == sorted(rids)
    assert all(len(one.deliveries) == 3 for one in claims)
    assert len({one.fence for one in claims}) == 6
    assert take(first) == [] and take(second) == []


def test_only_what_is_asked_for_and_due(store: Store):
    [rid] = store.write_now(lambda tx: orders(tx, patients=1, connector="rest"))
    store.write_now(lambda tx: orders(tx, patients=1, connector="fhir"))
    later = NewDelivery("rest", rid, "later", None, 1, store.write_now(lambda tx: tx.now) + LEASE)
    store.write_now(lambda tx: tx.write(Changes(deliveries=[later])))
    assert take(store, connector="nobody") == []
    [held] = take(store)
    assert (held.connector, [one.remote_id for one in held.deliveries]) == ("rest", ["r0"])


def test_whose_deliveries_are_due_is_told_without_claiming_them(store: Store):
    """A claim finds nothing at those that are not named."""
    names = ("rest", "fhir", "nobody")
    assert store.query_now(lambda reader: due(reader, (), store.now())) == set()
    [rid] = store.write_now(lambda tx: orders(tx, patients=1, connector="rest"))
    later = NewDelivery("fhir", rid, "", None, 1, store.write_now(lambda tx: tx.now) + LEASE)
    store.write_now(lambda tx: tx.write(Changes(deliveries=[later])))
    assert store.query_now(lambda reader: due(reader, names, store.now())) == {"rest"}
    [held] = take(store)
    assert finish(store, held)
    assert store.query_now(lambda reader: due(reader, names, store.now())) == set() and take(store) == []


def test_a_new_order_does_not_let_a_second_worker_in(store: Store):
    [rid] = store.write_now(lambda tx: orders(tx, patients=1))
    [held] = take(store)
    order(store, rid, want=1, remote_id="another")
    assert take(store) == []
    assert finish(store, held)
    [following] = take(store)
    assert [one.remote_id for one in following.deliveries] == ["another"]


def test_a_killed_workers_lease_runs_out(store: Store):
    store.write_now(lambda tx: orders(tx, patients=1))
    [killed] = take(store, lease=SHORT)
    time.sleep(0.06)
    [successor] = take(store)
    assert successor.patient == killed.patient and successor.fence != killed.fence
    assert not finish(store, killed), "the fence is no longer its own"
    assert not store.write_now(lambda tx: renew(tx, killed, tx.now + LEASE))
    assert finish(store, successor)
    assert [one.state for one in of(store, killed.patient)] == ["done"]


def test_leases_and_retries_go_on_when_the_machines_clock_is_set_back(database: str):
    """By an hour: nobody waits until it is that late again, and a read that begins now is later than one before."""
    dial = {"wall": datetime(2026, 3, 29, 1, 30, tzinfo=UTC), "steady": 0.0}
    store = Store.open(database, clock=Clock(lambda: dial["wall"], lambda: dial["steady"]))  # type: ignore[arg-type, return-value]
    try:
        store.write_now(lambda tx: orders(tx, patients=2))
        killed, failed = take(store)
        before = store.now()
        finish(store, failed, "due", due_at=before + LEASE)
        dial["wall"] -= timedelta(hours=1)
        assert store.now() >= before and take(store) == []
        dial["steady"] += 2 * LEASE.total_seconds() + 1
        names = ("rest",)
        assert store.query_now(lambda reader: due(reader, names, store.now())) == {"rest"}
        assert {one.patient for one in take(store)} == {killed.patient, failed.patient}
        dial["wall"] += timedelta(hours=2)
        assert store.now() == dial["wall"], "the machine's time again, as soon as it has caught up"
    finally:
        store.close()


def test_a_late_worker_whose_work_nobody_took_may_settle(store: Store):
    store.write_now(lambda tx: orders(tx, patients=1))
    [late] = take(store, lease=SHORT)
    time.sleep(0.06)
    assert finish(store, late)


def test_a_renewed_lease_holds(store: Store):
    store.write_now(lambda tx: orders(tx, patients=1))
    [held] = take(store, lease=SHORT)
    assert store.write_now(lambda tx: renew(tx, held, tx.now + LEASE))
    time.sleep(0.06)
    assert take(store) == []


@pytest.mark.parametrize("state", ["done", "rejected", "exhausted"])
def test_a_final_state_is_not_claimed_again(store: Store, state: str):
    [rid] = store.write_now(lambda tx: orders(tx, patients=1))
    [held] = take(store)
    assert finish(store, held, state)
    assert take(store) == []
    [stored] = of(store, rid)
    assert (stored.state, stored.attempt, stored.error, stored.lease_until, stored.fence) == (
        state,
        1,
        "E1",
        None,
        None,
    )
    assert [one.rid for one in store.query_now(lambda reader: reader.deliveries([state], limit=5))] == [rid]


@pytest.mark.parametrize("state", ["due", "unknown"])
def test_a_retry_is_claimed_when_it_is_due(store: Store, state: str):
    store.write_now(lambda tx: orders(tx, patients=1))
    [held] = take(store)
    soon = store.write_now(lambda tx: tx.now) + SHORT
    assert finish(store, held, state, due_at=soon)
    assert take(store) == []
    time.sleep(0.06)
    [again] = take(store)
    assert [(one.state, one.attempt) for one in again.deliveries] == [(state, 1)]


def test_one_failing_patient_waits_alone(store: Store):
    store.write_now(lambda tx: orders(tx, patients=3))
    failing, *others = take(store)
    finish(store, failing, "due", due_at=store.write_now(lambda tx: tx.now) + LEASE)
    for other in others:
        assert finish(store, other)
    assert take(store) == []
    assert store.query_now(lambda reader: reader.counts())["deliveries"] == {"due": 1, "done": 2}


def test_a_standing_order_is_one_row_that_becomes_due_again(store: Store):
    [rid] = store.write_now(lambda tx: orders(tx, patients=1))
    [held] = take(store)
    finish(store, held, "rejected")
    order(store, rid, want=2)
    [stored] = of(store, rid)
    assert (stored.state, stored.attempt, stored.want, stored.error) == ("due", 0, 2, None)


def test_an_order_that_was_overtaken_stays_due(store: Store):
    [rid] = store.write_now(lambda tx: orders(tx, patients=1))
    [held] = take(store)
    order(store, rid, want=2)
    assert finish(store, held)
    [stored] = of(store, rid)
    assert (stored.state, stored.want, stored.attempt) == ("due", 2, 0)
    assert len(take(store)) == 1


def test_a_new_one_gets_its_remote_id(store: Store):
    [rid] = store.write_now(lambda tx: orders(tx, patients=1, each=0))
    order(store, rid, want=1, remote_id="")
    [held] = take(store)
    [one] = held.deliveries
    done = Settled(one.delivery_id, "done", 1, one.due_at, 1, "theirs")
    assert store.write_now(lambda tx: settle(tx, held, lambda _: done))
    assert [(found.remote_id, found.state) for found in of(store, rid)] == [("theirs", "done")]


def test_an_order_for_that_remote_id_wins_over_the_one_for_new(store: Store):
    [rid] = store.write_now(lambda tx: orders(tx, patients=1, each=0))
    order(store, rid, want=1, remote_id="")
    [held] = take(store)
    order(store, rid, want=2, remote_id="theirs")
    [one] = held.deliveries
    done = Settled(one.delivery_id, "done", 1, one.due_at, 1, "theirs")
    assert store.write_now(lambda tx: settle(tx, held, lambda _: done))
    assert [(found.remote_id, found.state, found.want) for found in of(store, rid)] == [("theirs", "due", 2)]


def test_what_is_not_named_is_given_back(store: Store):
    store.write_now(lambda tx: orders(tx, patients=1, each=2))
    [held] = take(store)
    first, second = held.deliveries
    done = Settled(first.delivery_id, "done", 1, first.due_at, first.want, first.remote_id)
    assert store.write_now(
        lambda tx: settle(tx, held, lambda now: done if now.delivery_id == first.delivery_id else None)
    )
    [again] = take(store)
    assert [(one.delivery_id, one.attempt) for one in again.deliveries] == [(second.delivery_id, 0)]


def test_two_claimers_share_the_work_without_overlap(open_store: Callable[[], Store]):
    stores = [open_store(), open_store()]
    rids = stores[0].write_now(lambda tx: orders(tx, patients=40, each=2))
    seen: list[int] = []
    while claims := [one for store in stores for one in take(store, limit=3)]:
        seen += [one.patient for one in claims]
        for store, held in zip(stores * len(claims), claims, strict=False):
            assert finish(store, held)
    assert sorted(seen) == sorted(rids)


def test_a_stopped_patient_is_not_claimed_until_released(store: Store):
    [stopped, other] = store.write_now(lambda tx: orders(tx, patients=2))
    store.write_now(lambda tx: tx.stop_patient("rest", stopped))
    order(store, stopped, want=2)
    assert [one.patient for one in take(store)] == [other]
    assert store.query_now(lambda reader: reader.stops()) == {("rest", stopped)}
    store.write_now(lambda tx: tx.release_patient("rest", stopped))
    assert [one.patient for one in take(store)] == [stopped]


def test_what_waits_is_made_due_and_what_was_given_up_is_replayed(store: Store):
    first, second, third = store.write_now(lambda tx: orders(tx, patients=3))
    held = {one.patient: one for one in take(store)}
    later = store.write_now(lambda tx: tx.now) + LEASE
    finish(store, held[first], "due", due_at=later)
    finish(store, held[second], "unknown", due_at=later)
    finish(store, held[third], "exhausted")
    assert take(store) == []
    assert store.write_now(lambda tx: tx.make_due("rest", limit=10)) == 2
    assert store.write_now(lambda tx: tx.make_due("rest", limit=10)) == 0
    assert {one.patient: one.deliveries[0].state for one in take(store)} == {first: "due", second: "unknown"}
    [dead] = store.query_now(lambda reader: reader.orders("dead", "rest", limit=5))
    assert (dead.patient, dead.error) == (third, "E1")
    store.write_now(lambda tx: tx.replay([dead]))
    assert [(one.patient, one.deliveries[0].attempt) for one in take(store)] == [(third, 0)]
    assert store.query_now(lambda reader: reader.backlog("rest"))[:3] == (3, 3, 0)
