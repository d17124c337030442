"""Record: kept as bytes without loss, small and quick."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from gateway.fhir.observe import observe
from gateway.fhir.record import Coverage, Intent, Own, Record, Shown, dump, load

NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


def kept(record: Record) -> Record:
    return load(record.connector, record.type, record.remote_id, dump(record))


def test_everything_of_a_record_is_kept():
    record = Record(
        "a", "Patient", "1",
        own={"birthDate": Own(None, NOW, None, NOW), "x": Own({"v": Decimal("1.50")}, None)},
        shown={"birthDate": Shown("1980", None, NOW, adopted=True, since=NOW, told=True), "x": Shown([1], sent=[1, 2])},
        bound={"telecom[phone]": "telecom[phone,home]"},
        intents=(Intent({"gender": ("male", NOW), "active": (None, None)}, NOW, NOW + timedelta(seconds=30)),),
        read_at=NOW,
    )  # fmt: skip
    assert kept(record) == record
    assert str(kept(record).own["x"].value["v"]) == "1.50"


def test_a_record_never_seen_needs_no_bytes():
    assert load("a", "Patient", "1", b"") == Record("a", "Patient", "1")
    assert kept(Record("a", "Patient", "1")) == Record("a", "Patient", "1")


def test_what_a_system_displays_of_its_own_is_written_once():
    body = {"resourceType": "Observation", "note": "n" * 1000}
    record = observe(Record("a", "Observation", "1"), body, Coverage(), None, NOW, now=NOW)
    assert len(dump(record)) < 1400
    assert kept(record) == record
    assert len(dump(kept(record))) == len(dump(record))


def test_times_are_kept_in_utc_to_the_microsecond():
    east = NOW.astimezone(timezone(timedelta(hours=5)))
    record = Record("a", "Patient", "1", own={"gender": Own("male", east)}, read_at=east)
    assert kept(record) == record
    assert b"2026-01-01T12:00:00.123456Z" in dump(record)


def test_coverage_names_elements_or_slots():
    coverage = Coverage(frozenset({"name", "telecom[phone]", "deceased"}))
    assert coverage.covers("name[official]")
    assert coverage.covers("telecom[phone]")
    assert coverage.covers("deceased[x]")
    assert not coverage.covers("telecom[email]")
    assert Coverage().covers("anything")
