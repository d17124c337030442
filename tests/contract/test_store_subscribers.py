"""Subscribers on both databases: told in order, by one at a time, and taken over when a teller dies."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta

import pytest

from gateway.errors import Conflict
from gateway.store import Store
from gateway.store.subscribers import (
    ACTIVE,
    STOPPED,
    NewOutgoing,
    Subscriber,
    Told,
    Turn,
    advance,
    claim,
    log,
    put_subscriber,
    renew,
    set_state,
    settle,
    subscribers,
)

LEASE = timedelta(seconds=30)
SHORT = timedelta(milliseconds=50)


def made(store: Store, *events: str) -> Subscriber:
    known = store.write_now(lambda tx: put_subscriber(tx, None, "watcher", "app", "{}"))
    if events:
        queued = [NewOutgoing(one, "patient.updated", b"{}") for one in events]
        store.write_now(lambda tx: advance(tx, known, known.seq + len(events), queued))
    return known


def take(store: Store, lease: timedelta = LEASE) -> list[Turn]:
    return store.write_now(lambda tx: claim(tx, lease=lease, limit=5, each=10))


def done(turn: Turn, *, at: int = 0, state: str = "done") -> Told:
    event = turn.events[at]
    return Told(event.outgoing_id, state, event.attempt + 1, event.due_at, 200)


def test_what_waits_comes_in_the_order_in_which_it_was_queued(store: Store) -> None:
    made(store, "e1", "e2", "e3")
    [turn] = take(store)
    assert [one.event_id for one in turn.events] == ["e1", "e2", "e3"]


def test_one_teller_at_a_time_and_another_after_it_died(open_store: Callable[[], Store]) -> None:
    first, second = open_store(), open_store()
    made(first, "e1", "e2")
    [dead] = take(first, SHORT)
    assert take(second) == []
    time.sleep(0.1)
    [turn] = take(second)
    assert not first.write_now(lambda tx: settle(tx, dead, [done(dead)])), "its word no longer counts"
    assert not first.write_now(lambda tx: renew(tx, dead, tx.now + LEASE))
    assert second.write_now(lambda tx: settle(tx, turn, [done(turn), done(turn, at=1)]))
    assert take(first) == []


def test_what_was_not_reached_is_next(store: Store) -> None:
    made(store, "e1", "e2")
    [turn] = take(store)
    store.write_now(lambda tx: settle(tx, turn, [done(turn)]))
    [after] = take(store)
    assert [one.event_id for one in after.events] == ["e2"]


def test_the_feed_is_spread_once_however_many_try(open_store: Callable[[], Store]) -> None:
    first, second = open_store(), open_store()
    known = made(first)
    queued = [NewOutgoing("e1", "patient.updated", b"{}")]
    first.write_now(lambda tx: advance(tx, known, known.seq + 1, queued))
    [fresh] = second.query_now(subscribers)
    assert fresh.seq == known.seq + 1
    assert len(second.query_now(lambda reader: log(reader, known.subscriber_id))) == 1


def test_one_that_was_stopped_goes_on_where_it_was(store: Store) -> None:
    made(store, "e1", "e2")
    [turn] = take(store)
    store.write_now(lambda tx: settle(tx, turn, [done(turn, state="exhausted")], stop=True))
    assert take(store) == []
    [known] = store.query_now(subscribers)
    assert known.state == STOPPED
    store.write_now(lambda tx: set_state(tx, known, ACTIVE))
    [again] = take(store)
    assert [(one.event_id, one.attempt) for one in again.events] == [("e1", 0), ("e2", 0)]


def test_what_two_processes_queue_in_turn_comes_in_the_order_of_the_feed(open_store: Callable[[], Store]) -> None:
    """Each process gives numbers from a block of its own; the order is the feed's all the same."""
    first, second = open_store(), open_store()
    made(first, "e1")
    for number, store in enumerate((second, first, second, first), start=2):
        [known] = store.query_now(subscribers)
        queued = [NewOutgoing(f"e{number}", "patient.updated", b"{}")]
        store.write_now(lambda tx, known=known, queued=queued: advance(tx, known, known.seq + 1, queued))  # type: ignore[misc]
    [turn] = take(first)
    assert [one.event_id for one in turn.events] == ["e1", "e2", "e3", "e4", "e5"]
    listed = second.query_now(lambda reader: log(reader, turn.subscriber.subscriber_id))
    assert [one.event_id for one in listed] == ["e1", "e2", "e3", "e4", "e5"]


def test_what_another_process_queued_meanwhile_is_not_queued_twice(open_store: Callable[[], Store]) -> None:
    first, second = open_store(), open_store()
    known = made(first)
    for store, fits in ((first, True), (second, False)):
        queued = [NewOutgoing("e1", "patient.updated", b"{}")]
        with nullcontext() if fits else pytest.raises(Conflict):
            store.write_now(lambda tx, queued=queued: advance(tx, known, known.seq + 1, queued))  # type: ignore[misc]
    [turn] = take(first)
    assert [one.event_id for one in turn.events] == ["e1"]


def test_a_turn_that_ends_in_a_stop_keeps_what_was_changed_meanwhile(store: Store) -> None:
    """The operator sees that it fails and gives the right address while the last attempt is under way."""
    known = made(store, "e1")
    [turn] = take(store)
    store.write_now(lambda tx: put_subscriber(tx, known, "watcher", "app", '{"url":"https://new.example"}'))
    store.write_now(lambda tx: settle(tx, turn, [done(turn, state="exhausted")], stop=True))
    [after] = store.query_now(subscribers)
    assert (after.state, after.config) == (STOPPED, '{"url":"https://new.example"}')


def test_to_resume_it_does_not_let_a_second_teller_in(store: Store) -> None:
    """What is on its way is told once: two tellers at once would mix up the order."""
    known = made(store, "e1", "e2")
    [turn] = take(store)
    store.write_now(lambda tx: set_state(tx, known, ACTIVE))
    assert take(store) == []
    assert store.write_now(lambda tx: settle(tx, turn, [done(turn), done(turn, at=1)]))
    assert take(store) == []
