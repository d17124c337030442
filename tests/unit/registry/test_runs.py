"""What may be asked of a sync, and how its times are written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.errors import NotConformant
from gateway.registry import runs
from gateway.store import RunRow


@pytest.mark.parametrize("body", [None, {}])
def test_nothing_asked_is_a_full_look(body: Any) -> None:
    asked = runs.parse(body)
    assert (asked.mode, asked.dry_run, asked.after, asked.patient_ids) == ("full", False, None, ())


@pytest.mark.parametrize("since", ["2024-06-15T12:00Z", "2024-06-15T12:00:00Z", "2024-06-15T14:00+02:00"])
def test_times_without_seconds_are_understood(since: str) -> None:
    assert runs.parse({"since": since}).after == datetime(2024, 6, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "body",
    [
        [],
        "full",
        {"mode": "first"},
        {"mode": "offer"},
        {"since": "yesterday"},
        {"since": 7},
        {"dryRun": "yes"},
        {"patientIds": ["a", " "]},
        {"patientIds": "a"},
        {"patientIds": ["a"] * 10_001},
        {"more": 1},
    ],
)
def test_anything_else_is_refused(body: Any) -> None:
    with pytest.raises(NotConformant, match="sync"):
        runs.parse(body)


def test_an_answer_is_the_seeds() -> None:
    at = datetime(2024, 6, 15, 12, tzinfo=UTC)
    row = RunRow("sync_1", "ehr", "full", "running", False, "{}", at, at)
    assert runs.started(row) == {"status": "sync_started", "startedAt": "2024-06-15T12:00:00Z", "syncId": "sync_1"}
    assert runs.shown(row, "conn_001")["report"]["seen"] == 0


def test_a_report_names_a_thousand_and_counts_all() -> None:
    report = runs.Report()
    for number in range(1_500):
        report.list_conflict(runs.Listed("Patient", str(number), "gender"))
        report.list_held(runs.Listed("Patient", str(number), "held"))
    assert (report.conflicts, len(report.differ), len(report.must_look)) == (1_500, 1_000, 1_000)
