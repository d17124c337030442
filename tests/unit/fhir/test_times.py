"""What a FHIR date, dateTime or instant covers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from gateway.errors import InvalidInput
from gateway.fhir import times


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("1980", utc(1980, 1, 1), utc(1981, 1, 1)),
        ("1980-02", utc(1980, 2, 1), utc(1980, 3, 1)),
        ("1980-12", utc(1980, 12, 1), utc(1981, 1, 1)),
        ("1980-02-29", utc(1980, 2, 29), utc(1980, 3, 1)),
        ("2024-12-31", utc(2024, 12, 31), utc(2025, 1, 1)),
        ("2024-06-15T12:00Z", utc(2024, 6, 15, 12), utc(2024, 6, 15, 12, 1)),
        ("2024-06-15T12:00:07", utc(2024, 6, 15, 12, 0, 7), utc(2024, 6, 15, 12, 0, 8)),
        ("2024-06-15T12:00:07+02:00", utc(2024, 6, 15, 10, 0, 7), utc(2024, 6, 15, 10, 0, 8)),
        ("2024-06-15T00:30:00-05:30", utc(2024, 6, 15, 6), utc(2024, 6, 15, 6, 0, 1)),
        ("2024-06-15T12:00:07.25Z", utc(2024, 6, 15, 12, 0, 7, 250_000), utc(2024, 6, 15, 12, 0, 7, 260_000)),
        ("2024-06-15T12:00:07.1234567Z", utc(2024, 6, 15, 12, 0, 7, 123_456), utc(2024, 6, 15, 12, 0, 7, 123_457)),
        ("2016-12-31T23:59:60Z", utc(2017, 1, 1), utc(2017, 1, 1, 0, 0, 1)),
    ],
)
def test_covers(text: str, start: datetime, end: datetime) -> None:
    assert times.parse(text) == times.Range(start, end)


def test_the_end_of_time_is_cut_off() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    assert [times.parse(text).end for text in ("9999", "9999-12", "9999-12-31")] == [last] * 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "80",
        "1980-2-2",
        "2023-02-29",
        "2023-13",
        "0000",
        "2023-01-01T24:00:00Z",
        "2023-01-01T10",
        "2023-01-01 10:00",
        "2023-01-01T10:00:00+25:00",
        "2023-01-01T10:00:00+02:99",
        "2023-01-01T10:00:61Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:60Z",
        "٢٠٢٣-01-01",
        "2023-01-01\n",
        "now",
    ],
)
def test_refuses(text: str) -> None:
    with pytest.raises(InvalidInput):
        times.parse(text)


def test_an_instant_keeps_its_microseconds_and_reads_back() -> None:
    at = datetime(2024, 6, 15, 12, 0, 7, 10, tzinfo=timezone(timedelta(hours=2)))
    assert times.to_instant(at) == "2024-06-15T10:00:07.000010Z"
    assert times.from_instant(times.to_instant(at)) == at


def test_an_instant_on_the_second_has_the_same_form_so_that_text_sorts_as_time() -> None:
    assert times.to_instant(utc(2024, 1, 1)) == "2024-01-01T00:00:00.000000Z"


@pytest.mark.parametrize("at", [datetime(2026, 1, 2, 3, 4, 5, 999, tzinfo=UTC), datetime(987, 12, 31, tzinfo=UTC)])
def test_moments_as_http_writes_them(at: datetime) -> None:
    assert times.http_date(at) == format_datetime(at, usegmt=True)


def test_moments_as_javascript_writes_them() -> None:
    at = datetime(2024, 12, 26, 12, 3, 22, 999, tzinfo=timezone(timedelta(hours=2)))
    assert times.to_millis(at) == "2024-12-26T10:03:22.000Z"
