"""Writing: all or nothing, in turn, planned again when stale, and never two resources of one identity."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from gateway.errors import Conflict, GatewayError, InvalidInput
from gateway.store import AuditRow, Changes, Key, MessageRow, MessageUpdate, NewVersion, Store, Tx

from .made import MRN, create, find_or_create, held_by, patient, together, update


def test_a_job_is_stored_as_a_whole(store: Store):
    rid = store.write_now(create("1001", body=b'{"a":1.50}'))
    head = store.query_now(lambda reader: reader.heads_by_rid([rid]))[rid]
    assert (head.type, head.number, head.deleted, head.patient) == ("Patient", 1, False, rid)
    found = store.query_now(lambda reader: reader.read("Patient", head.id))
    assert found == (head, b'{"a":1.50}', False)
    assert store.query_now(lambda reader: held_by(reader, [(MRN, "1001"), (MRN, "x")])) == {(MRN, "1001"): rid}


def test_a_job_that_fails_leaves_nothing_and_hurts_no_other(store: Store):
    def fails_after_writing(tx: Tx) -> None:
        create("broken")(tx)
        raise ValueError("after the write")

    def fails_before(tx: Tx) -> None:
        raise Conflict("held")

    first, second, third, fourth = together(store, [create("1"), fails_after_writing, fails_before, create("2")])
    assert isinstance(first, int) and isinstance(fourth, int)
    assert isinstance(second, ValueError) and isinstance(third, Conflict)
    keys = store.query_now(lambda reader: held_by(reader, [(MRN, one) for one in ("1", "2", "broken")]))
    assert keys == {(MRN, "1"): first, (MRN, "2"): fourth}


def test_what_waits_is_one_commit(store: Store):
    store.write_now(create())
    before = store.stats()
    together(store, [create(str(number)) for number in range(20)])
    after = store.stats()
    assert after["jobs"] - before["jobs"] == 21
    assert after["commits"] - before["commits"] == 2  # the one that kept the writer busy, and the twenty


def test_later_jobs_of_a_batch_see_the_earlier(store: Store):
    first, second = together(store, [find_or_create("7"), find_or_create("7")])
    assert first == second


@pytest.mark.anyio
async def test_thirty_two_at_once_make_one(store: Store):
    rids = await asyncio.gather(*[store.write(find_or_create("9")) for _ in range(32)])
    assert len(set(rids)) == 1
    assert await store.query(lambda reader: reader.count("Patient")) == 1


@pytest.mark.anyio
async def test_two_gateways_race_for_one_identity(open_store: Callable[[], Store]):
    stores = [open_store(), open_store()]
    for value in map(str, range(8)):
        rids = await asyncio.gather(*[stores[n % 2].write(find_or_create(value)) for n in range(16)])
        assert len(set(rids)) == 1
    assert await stores[0].query(lambda reader: reader.count("Patient")) == 8


def test_a_taken_identity_is_a_conflict_for_its_job_only(store: Store):
    store.write_now(create("5"))
    taken, free = together(store, [create("5"), create("6")])
    assert isinstance(taken, Conflict)
    assert isinstance(free, int)
    assert store.query_now(lambda reader: reader.count("Patient")) == 2


def test_a_stale_head_is_planned_again(store: Store):
    rid = store.write_now(create())
    tries = []

    def impatient(tx: Tx) -> int:
        tries.append(None)
        expected = 7 if len(tries) == 1 else tx.heads_by_rid([rid])[rid].number
        tx.write(update(rid, expected))
        return expected

    number, other = together(store, [impatient, create()])
    assert number == 1 and isinstance(other, int)
    assert len(tries) == 2
    assert store.stats()["replans"] == 1


def test_a_stale_record_and_an_unknown_message_are_refused(store: Store):
    with pytest.raises(Conflict):
        store.write_now(lambda tx: tx.write(Changes(message_updates=[MessageUpdate("none", "applied")])))
    with pytest.raises(Conflict):
        store.write_now(lambda tx: tx.write(Changes(links_undone=[4711])))


def test_time_only_goes_forward(store: Store):
    rid = store.write_now(create())
    for number in range(1, 30):
        store.write_now(lambda tx, number=number: tx.write(update(rid, number)))
    history = store.query_now(lambda reader: reader.history(rid, limit=100))
    assert [version.number for version in history] == list(range(30, 0, -1))
    assert all(later.at > earlier.at for later, earlier in pairwise(history))
    page = store.query_now(lambda reader: reader.history(rid, limit=3, before=10))
    assert [version.number for version in page] == [9, 8, 7]


def test_a_deletion_has_no_body_and_can_be_undone(store: Store):
    rid = store.write_now(create())
    gone = Changes(
        heads_updated=update(rid, 1).heads_updated, versions=[NewVersion(rid, 2, "delete", "ehr", None, None)]
    )
    store.write_now(lambda tx: tx.write(gone))
    head = store.query_now(lambda reader: reader.heads_by_rid([rid]))[rid]
    assert head.deleted and head.number == 2
    assert store.query_now(lambda reader: reader.read("Patient", head.id)) == (head, None, False)
    assert store.query_now(lambda reader: reader.count("Patient")) == 0
    store.write_now(lambda tx: tx.write(update(rid, 2)))
    assert not store.query_now(lambda reader: reader.heads_by_rid([rid]))[rid].deleted


@pytest.mark.parametrize(
    "text", ["Zoë 王小明 😀", "quote ' \" \\ { } , NULL", "%s ? :x $1", " lead", "line\nbreak\ttab"]
)
def test_any_text_comes_back_as_it_was(store: Store, text: str):
    rid = store.write_now(create(text))
    assert store.query_now(lambda reader: held_by(reader, [(MRN, text)])) == {(MRN, text): rid}
    hits = store.query_now(lambda reader: reader.search("Patient", identifiers=[(MRN, text)]))
    assert [hit.head.rid for hit in hits] == [rid]


@pytest.mark.parametrize("text", ["nul\0inside", "lone \ud800 surrogate", "x" * 5_000])
def test_a_text_that_cannot_be_stored_is_the_callers_fault(store: Store, text: str):
    bad, good = together(store, [create(text), create("fine")])
    assert isinstance(bad, InvalidInput)
    assert isinstance(good, int)
    assert "inside" not in str(bad)


def test_numbers_over_64_bits_are_refused(store: Store):
    def job(tx: Tx) -> None:
        _, changes = patient(tx)
        changes.versions = [changes.versions[0]._replace(number=2**70)]
        tx.write(changes)

    with pytest.raises(InvalidInput):
        store.write_now(job)
    assert store.write_now(create()) > 0


def test_fifty_megabytes(store: Store):
    body = b"x" * 50_000_000
    rid = store.write_now(create(body=body))
    assert store.query_now(lambda reader: reader.current([rid]))[rid].body == body


def test_reopened_it_goes_on(open_store: Callable[[], Store]):
    first = open_store()
    rid = first.write_now(create("1"))
    first.close()
    second = open_store()
    assert second.write_now(find_or_create("1")) == rid
    assert second.write_now(create("2")) > rid
    assert [entry.seq for entry in second.query_now(lambda reader: reader.feed(0, limit=9))] == [1, 2]


def test_a_closed_store_says_so(open_store: Callable[[], Store]):
    store = open_store()
    store.close()
    with pytest.raises(GatewayError, match="closed"):
        store.write_now(create())


def _message(number: int, dedupe: str | None, at: datetime) -> MessageRow:
    return MessageRow(f"m{number}", "hook", "p", "webhook", "application/json", at, dedupe, "received", b"{}")


def test_one_message_per_deduplication_key(store: Store):
    def receive(number: int, dedupe: str | None) -> Callable[[Tx], None]:
        return lambda tx: tx.write(Changes(messages=[_message(number, dedupe, tx.now)]))

    store.write_now(receive(1, "event-1"))
    store.write_now(receive(2, None))
    store.write_now(receive(3, None))
    with pytest.raises(Conflict):
        store.write_now(receive(4, "event-1"))
    found = store.query_now(lambda reader: reader.message_by_dedupe("hook", "event-1"))
    assert found is not None and found.message_id == "m1"
    assert store.query_now(lambda reader: reader.message_by_dedupe("other", "event-1")) is None
    store.write_now(lambda tx: tx.write(Changes(message_updates=[MessageUpdate("m1", "held", b"r", "why", b"[]")])))
    held = store.query_now(lambda reader: reader.messages("held", limit=10))
    assert [(one.message_id, one.result, one.error, one.issues) for one in held] == [("m1", b"r", "why", b"[]")]
    rest = store.query_now(lambda reader: reader.messages("received", "hook", limit=10, after="m2"))
    assert [one.message_id for one in rest] == ["m3"]


def test_reads_are_audited_within_a_second(store: Store):
    row = AuditRow(datetime.now(UTC), "clara", "ehr", "R", "Patient", "p1", 200, None, "req-1")
    store.audit(row)
    deadline = time.monotonic() + 2
    while not (found := store.query_now(lambda reader: reader.audits(limit=5))):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert found == [row]


def test_audit_rows_that_wait_are_written_at_close(open_store: Callable[[], Store]):
    store = open_store()
    rows = [AuditRow(datetime.now(UTC), "clara", None, "R", None, None, 200, None, str(n)) for n in range(50)]
    for row in rows:
        store.audit(row)
    store.close()
    found = open_store().query_now(lambda reader: reader.audits(limit=100))
    assert sorted(int(row.request_id or "") for row in found) == list(range(50))


def test_an_odd_audit_row_is_kept_and_stops_nobody(store: Store):
    store.audit(AuditRow(datetime.now(UTC), "bad\0na\ud800me", None, "R", None, None, 200))
    store.audit(AuditRow(datetime.now(UTC), "good", None, "R", None, None, 200))
    assert store.write_now(create()) > 0
    deadline = time.monotonic() + 3
    while len(found := store.query_now(lambda reader: reader.audits(limit=5))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert [row.principal for row in found] == ["good", "bad\ufffdna?me"]


def test_removed_keys_may_be_taken_by_another(store: Store):
    first, second = store.write_now(create("1")), store.write_now(create("2"))
    moved = Changes(
        keys_removed=[Key("Patient", "key", MRN, "1", first)], keys_added=[Key("Patient", "key", MRN, "1", second)]
    )
    store.write_now(lambda tx: tx.write(moved))
    assert store.query_now(lambda reader: held_by(reader, [(MRN, "1")])) == {(MRN, "1"): second}


def test_a_read_sees_one_moment(store: Store):
    def ask(reader: object) -> tuple[int, int]:
        before = reader.count("Patient")  # type: ignore[attr-defined]
        store.write_now(create())
        return before, reader.count("Patient")  # type: ignore[attr-defined]

    assert store.query_now(ask) == (0, 0)
    assert store.query_now(lambda reader: reader.count("Patient")) == 1


def test_keys_are_never_given_twice(open_store: Callable[[], Store]):
    stores = [open_store(), open_store()]
    taken = [rid for store in stores for rid in store.write_now(lambda tx: [tx.new_rid() for _ in range(70_000)])]
    again = [rid for store in stores for rid in store.write_now(lambda tx: [tx.new_id() for _ in range(1_000)])]
    assert len(set(taken + again)) == 142_000


def test_now_is_aware_and_about_now(store: Store):
    now = store.write_now(lambda tx: tx.now)
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=10)
