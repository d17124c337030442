"""Health and incidents on both databases: one open incident per connector and cause, with when it began and ended."""

from __future__ import annotations

from datetime import timedelta

from gateway.delivery import health, incidents
from gateway.delivery.health import Breaker, Sign
from gateway.delivery.owed import Selection, listed, replay
from gateway.errors import PartnerLoginExpired, PartnerUnavailable
from gateway.store import IncidentRow, Settled, Store, claim, settle

from .made import orders

BREAKER = Breaker(failures=2, pause=5.0)
DOWN = Sign("down", PartnerUnavailable("rest cannot be reached", reached=False))


def note(store: Store, sign: Sign, *, probe: bool = False) -> list[IncidentRow]:
    def job(tx):
        return list(incidents.judge(tx, incidents.health_of(tx, "rest"), sign, BREAKER, probe=probe).news)

    return store.write_now(job)


def state(store: Store) -> tuple[str, int]:
    row = store.query_now(lambda reader: reader.health("rest"))
    assert row is not None
    return row.state, row.failures


def test_an_incident_opens_once_and_closes_with_the_first_success(store: Store):
    assert note(store, DOWN) == [] and state(store) == (health.DEGRADED, 1)
    [opened] = note(store, DOWN)
    assert (opened.cause, opened.closed_at, opened.times) == ("unreachable", None, 1)
    assert note(store, DOWN) == [], "under way when it opened"
    assert note(store, DOWN, probe=True) == [] and state(store) == (health.ERROR, 3)
    assert store.query_now(lambda reader: reader.open_incidents("rest"))["unreachable"].times == 2
    [closed] = note(store, Sign("up"), probe=True)
    assert closed.incident_id == opened.incident_id and closed.closed_at is not None
    assert state(store) == (health.CONNECTED, 0)
    note(store, DOWN)
    [again] = note(store, DOWN)
    rows = store.query_now(lambda reader: reader.incidents(limit=5))
    assert [row.incident_id for row in rows] == [again.incident_id, opened.incident_id]
    assert [row.incident_id for row in store.query_now(lambda reader: reader.incidents(limit=5, before=again[0]))] == [
        opened.incident_id
    ]


def test_one_that_is_open_is_listed_however_many_were_closed_after_it(store: Store):
    def job(tx):
        incidents.begin(tx, "rest", "loop Patient/1", "since long ago")
        for _ in range(5):
            incidents.begin(tx, "rest", "unreachable", "for a moment")
            incidents.end(tx, "rest", "unreachable")

    store.write_now(job)
    found = store.query_now(lambda reader: reader.incidents(limit=2, only_open=True))
    assert [one.cause for one in found] == ["loop Patient/1"]


def test_the_first_success_of_any_kind_makes_what_waits_due(store: Store):
    """A poll, or a read after a webhook, tells that they answer again, as a delivery does."""
    [rid] = store.write_now(lambda tx: orders(tx, patients=1))
    [held] = store.write_now(lambda tx: claim(tx, "rest", lease=timedelta(seconds=9), limit=5))
    [one] = held.deliveries
    failed = Settled(one.delivery_id, "unknown", 1, one.due_at + timedelta(hours=1), 1, "r0", "timed out")
    store.write_now(lambda tx: settle(tx, held, lambda _: failed))
    note(store, DOWN)
    note(store, Sign("up"))
    assert store.write_now(lambda tx: claim(tx, "rest", lease=timedelta(1), limit=5)) == [], "it was not broken"
    note(store, DOWN)
    note(store, DOWN)
    note(store, Sign("up"), probe=True)
    assert [got.patient for got in store.write_now(lambda tx: claim(tx, "rest", lease=timedelta(1), limit=5))] == [rid]


def test_a_new_login_closes_everything_and_makes_what_waits_due(store: Store):
    [rid] = store.write_now(lambda tx: orders(tx, patients=1))
    [held] = store.write_now(lambda tx: claim(tx, "rest", lease=timedelta(seconds=9), limit=5))
    [one] = held.deliveries
    later = one.due_at + timedelta(hours=1)
    failed = Settled(one.delivery_id, "due", 0, later, 1, "r0", "login")
    store.write_now(lambda tx: settle(tx, held, lambda _: failed))
    [lost] = note(store, Sign("login", PartnerLoginExpired("rest no longer takes our login (401)")))
    assert lost.cause == "login" and state(store)[0] == health.NEEDS_REAUTH
    [closed] = store.write_now(lambda tx: incidents.reauthorised(tx, "rest"))
    assert closed.cause == "login" and state(store) == (health.PENDING, 0)
    assert [got.patient for got in store.write_now(lambda tx: claim(tx, "rest", lease=timedelta(1), limit=5))] == [rid]


def test_thousands_that_were_given_up_are_listed_page_by_page_and_replayed(store: Store):
    store.write_now(lambda tx: orders(tx, patients=1_200))
    for _ in range(12):
        for held in store.write_now(lambda tx: claim(tx, "rest", lease=timedelta(seconds=99), limit=100)):
            [one] = held.deliveries
            failed = Settled(one.delivery_id, "exhausted", 10, one.due_at, 1, one.remote_id, "gave up")
            store.write_now(lambda tx, held=held, failed=failed: settle(tx, held, lambda _: failed))
    first = store.query_now(lambda reader: listed(reader, "exhausted", "rest", limit=700))
    rest = store.query_now(lambda reader: listed(reader, None, "rest", limit=700, after=first[-1].id))
    assert len(first) == 700 and len(rest) == 500 and {one.error for one in first} == {"gave up"}
    assert len(replay(store, Selection(everything=True), dry=True)) == 1_200
    middle = first[100].at
    assert len(replay(store, Selection(connector="rest", until=middle), dry=False)) == 101
    assert store.query_now(lambda reader: reader.backlog("rest"))[:3] == (101, 0, 1_099)
