"""What a look says about a connector, and how what it meets is counted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.connectors.call import Found, Page
from gateway.delivery.health import Breaker
from gateway.errors import (
    AmbiguousMatch,
    Conflict,
    GatewayError,
    NotConformant,
    PartnerLoginExpired,
    PartnerRejected,
    PartnerUnavailable,
    StoreBusy,
)
from gateway.flow import Flow
from gateway.intake import sync
from gateway.intake.findings import Landed
from gateway.intake.sync import after_look, count
from gateway.planning.apply import Applied
from gateway.registry.runs import Report
from gateway.store import HealthRow, RunRow, Store, Tx

ONE = Found("Patient", "p1", None)


def applied(before: int, after: int) -> Applied:
    return Applied(cast(Any, None), None, before, after)


@pytest.mark.parametrize(
    ("landed", "known", "name"),
    [
        (Landed(ONE), True, "ended"),
        (Landed(ONE, applied(0, 1)), False, "created"),
        (Landed(ONE, applied(3, 4)), False, "linked"),
        (Landed(ONE, applied(3, 3)), False, "linked"),
        (Landed(ONE, applied(3, 4)), True, "changed"),
        (Landed(ONE, applied(3, 3)), True, "same"),
        (Landed(ONE, error=Conflict("held")), True, "held"),
        (Landed(ONE, error=AmbiguousMatch("several")), False, "held"),
        (Landed(ONE, error=NotConformant("no")), False, "failed"),
    ],
)
def test_each_counts_once(landed: Landed, known: bool, name: str) -> None:
    report = Report()
    count(report, landed, known=known)
    counted = {
        field: getattr(report, field) for field in ("created", "linked", "changed", "same", "ended", "held", "failed")
    }
    assert counted == {**dict.fromkeys(counted, 0), name: 1} and report.seen == 1
    assert len(report.must_look) == (name in ("held", "failed"))


def test_conflicts_are_named_by_their_slots() -> None:
    report = Report()
    count(report, Landed(ONE, applied(0, 1), conflicts=("gender", "birthDate")), known=False)
    assert report.conflicts == 1 and report.differ[0].reason == "gender, birthDate"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "gateway.db")
    yield opened
    opened.close()


def looked(store: Store, error: GatewayError | None) -> HealthRow:
    def job(tx: Tx) -> HealthRow:
        after_look(tx, "ehr", error, Breaker(failures=3))
        row = tx.health("ehr")
        assert row is not None
        return row

    return store.write_now(job)


def test_a_connector_gets_worse_by_and_by_and_well_at_once(store: Store) -> None:
    rows = [looked(store, PartnerUnavailable("not now")) for _ in range(4)]
    assert [row.state for row in rows] == ["degraded", "degraded", "error", "error"]
    assert rows[0].last_sync_at and rows[3].open_until and "not now" in (rows[3].last_error or "")
    well = looked(store, None)
    assert (well.state, well.failures, well.open_until) == ("connected", 0, None)


def test_a_refused_login_needs_somebody_and_a_refused_look_is_told(store: Store) -> None:
    assert looked(store, PartnerRejected("no list for you")).state == "pending"
    assert "no list" in (looked(store, PartnerRejected("no list for you")).last_error or "")
    [told] = store.query_now(lambda reader: reader.open_incidents("ehr")).values()
    assert (told.cause, told.detail, told.times) == ("look", "no list for you", 2), "nothing else would tell of it"
    looked(store, None)
    assert not store.query_now(lambda reader: reader.open_incidents("ehr"))
    looked(store, StoreBusy("ours, and for a moment"))
    assert not store.query_now(lambda reader: reader.open_incidents("ehr"))
    assert looked(store, PartnerLoginExpired("no")).state == "needs_reauth"


@pytest.mark.anyio
async def test_a_look_goes_on_no_sooner_than_they_asked_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9110 §10.2.3."""
    monkeypatch.setattr(sync, "_FIRST_WAIT", 0.01)
    began, tried = time.monotonic(), list[float]()

    async def read() -> Page:
        tried.append(time.monotonic() - began)
        if len(tried) == 1:
            raise PartnerUnavailable("429", retry_after=0.3)
        return Page((), None, more=False)

    flow = Flow(store, ours="http://gateway.test/fhir", tolerance=timedelta(0))
    looking = sync.Sync(flow, cast(Any, None), cast(Any, None), Breaker())
    row = RunRow("sync_1", "ehr", "full", "running", False, "{}", store.now(), store.now())
    assert (await looking._patiently(row, read))[1].found == ()
    assert len(tried) == 2 and tried[1] >= 0.3
