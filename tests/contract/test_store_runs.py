"""What looks through other systems leave in the store: runs, digests, locks, repeated calls, health."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.store import Changes, HealthRow, MessageRow, RepeatRow, RunRow, Store, Tx, locks

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def run(run_id: str, connector: str = "ehr", *, minutes: int = 0, state: str = "running") -> RunRow:
    at = NOW + timedelta(minutes=minutes)
    return RunRow(run_id, connector, "full", state, False, "{}", at, at)


def test_runs_are_kept_changed_and_listed(store: Store) -> None:
    for row in (run("a"), run("b", minutes=1), run("c", "other", minutes=2)):
        store.write_now(lambda tx, row=row: tx.put_run(row))  # type: ignore[misc]
    changed = run("a", state="done")._replace(cursor="x", report='{"seen":1}', finished_at=NOW, error=None)
    store.write_now(lambda tx: tx.put_run(changed))
    assert store.query_now(lambda reader: reader.run("a")) == changed
    assert store.query_now(lambda reader: reader.run("nothing")) is None
    assert [one.run_id for one in store.query_now(lambda reader: reader.runs_of("ehr", limit=9))] == ["b", "a"]
    assert [one.run_id for one in store.query_now(lambda reader: reader.running())] == ["b", "c"]


def test_digests_are_of_one_connector(store: Store) -> None:
    store.write_now(lambda tx: tx.put_digests("ehr", {("Patient", "1"): b"a", ("Patient", "2"): b"b"}))
    store.write_now(lambda tx: tx.put_digests("ehr", {("Patient", "2"): b"c"}))
    store.write_now(lambda tx: tx.put_digests("ehr", {}))
    asked = [("Patient", "1"), ("Patient", "2"), ("Patient", "3"), ("Observation", "1")]
    assert store.query_now(lambda reader: reader.digests("ehr", asked)) == {
        ("Patient", "1"): b"a",
        ("Patient", "2"): b"c",
    }
    assert store.query_now(lambda reader: reader.digests("other", asked)) == {}
    assert store.query_now(lambda reader: reader.digests("ehr", [])) == {}


def test_health_is_one_row_per_connector(store: Store) -> None:
    first = HealthRow("ehr", "connected", NOW)
    second = first._replace(state="error", failures=3, cursor="c", last_error="{}", registration="r", open_until=NOW)
    for row in (first, second, HealthRow("other", "connected", NOW)):
        store.write_now(lambda tx, row=row: tx.put_health(row))  # type: ignore[misc]
    assert store.query_now(lambda reader: reader.health("ehr")) == second
    assert set(store.query_now(lambda reader: reader.healths())) == {"ehr", "other"}
    assert store.query_now(lambda reader: reader.health("nobody")) is None
    assert store.query_now(lambda reader: reader.backlog("ehr"))[:3] == (0, 0, 0)


def test_a_lock_is_held_by_one_until_it_is_free_or_over(store: Store) -> None:
    def take(seconds: float) -> int | None:
        return store.write_now(lambda tx: locks.take(tx, "poll:ehr", tx.now + timedelta(seconds=seconds)))

    first = take(60)
    assert first is not None and take(60) is None
    assert store.write_now(lambda tx: locks.free(tx, "poll:ehr", first)) is True
    second = take(-1)
    assert second is not None and second != first
    third = take(60)
    assert third is not None, "its lease was over"
    assert store.write_now(lambda tx: locks.free(tx, "poll:ehr", second)) is False, "somebody else's by now"
    assert take(60) is None


def test_a_repeated_call_is_known(store: Store) -> None:
    row = RepeatRow("r1", "op", "digest", "conn_001")
    store.write_now(lambda tx: tx.put_repeat(row))
    assert store.query_now(lambda reader: reader.repeat("r1")) == row
    assert store.query_now(lambda reader: reader.repeat("r2")) is None


def test_of_two_same_calls_one_makes_something(store: Store) -> None:
    def job(tx: Tx) -> str:
        before = tx.repeat("r1")
        if before is not None:
            return before.made
        tx.put_repeat(RepeatRow("r1", "op", "digest", f"made at {tx.now}"))
        return f"made at {tx.now}"

    assert store.write_now(job) == store.write_now(job)


def test_remote_ids_come_in_pages(store: Store) -> None:
    assert store.query_now(lambda reader: reader.remote_ids("ehr", "Patient", "", limit=5)) == []


def test_secret_names_and_what_waits(store: Store) -> None:
    store.write_now(lambda tx: tx.put_connector("ehr", "{}"))
    for name in ("api_key", "webhook_secret"):
        store.write_now(lambda tx, name=name: tx.put_secret("ehr", name, "s"))  # type: ignore[misc]
    store.write_now(lambda tx: tx.remove_secret("ehr", "api_key"))
    store.write_now(lambda tx: tx.remove_secret("ehr", "never"))
    assert store.query_now(lambda reader: reader.secret_names("ehr")) == ["webhook_secret"]
    assert store.query_now(lambda reader: reader.waiting_messages("ehr")) == 0


@pytest.mark.parametrize("count", [0, 3])
def test_waiting_messages_are_those_that_were_only_received(store: Store, count: int) -> None:
    rows = [
        MessageRow(f"m{number}", "ehr", None, "webhook", "", NOW, None, state, b"")
        for number, state in enumerate(["received"] * count + ["applied", "failed"])
    ]
    store.write_now(lambda tx: tx.write(Changes(messages=rows)))
    assert store.query_now(lambda reader: reader.waiting_messages("ehr")) == count
