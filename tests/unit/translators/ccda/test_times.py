"""Points in time: never more precise than they were written."""

from __future__ import annotations

import pytest

from gateway.errors import InvalidInput
from gateway.translators.ccda.times import (
    NO_CLOCK,
    NO_DATE,
    NO_MINUTES,
    NO_ZONE,
    aware,
    moment,
    runs_backwards,
    zone_of,
)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("2012", "2012"),
        ("201208", "2012-08"),
        ("20120806", "2012-08-06"),
        ("20120806103000-0500", "2012-08-06T10:30:00-05:00"),
        ("201208061030-0500", "2012-08-06T10:30:00-05:00"),
        ("20120806103000.123+05", "2012-08-06T10:30:00.123+05:00"),
        ("20120806103000+0000", "2012-08-06T10:30:00+00:00"),
        ("2012-08-06T10:30:00Z", "2012-08-06T10:30:00Z"),
        ("20120806-0500", "2012-08-06"),
    ],
)
def test_precision_and_offset_stay_as_written(written: str, kept: str) -> None:
    assert moment(written) == (kept, None)


@pytest.mark.parametrize(
    ("written", "kept", "why"),
    [
        ("20120806103000", "2012-08-06", NO_ZONE),
        ("2012080610-0500", "2012-08-06", NO_MINUTES),
        ("20120806246000-0500", "2012-08-06", NO_CLOCK),
        ("20120806103000-1500", "2012-08-06", NO_ZONE),
        ("20120230", None, NO_DATE),
        ("00000101", None, NO_DATE),
        ("yesterday", None, NO_DATE),
        ("2012-0800 ", None, NO_DATE),
    ],
)
def test_what_cannot_be_kept_is_said(written: str, kept: str | None, why: str) -> None:
    assert moment(written) == (kept, why)


def test_a_zone_that_the_caller_knows_keeps_the_time() -> None:
    assert moment("20120806103000", zone_of("-07:00")).text == "2012-08-06T10:30:00-07:00"


def test_the_offset_of_a_named_zone_is_the_one_of_that_day() -> None:
    chicago = zone_of("America/Chicago")

    assert moment("20120806103000", chicago).text == "2012-08-06T10:30:00-05:00"
    assert moment("20121206103000", chicago).text == "2012-12-06T10:30:00-06:00"


def test_a_zone_never_replaces_an_offset_that_is_written() -> None:
    assert moment("20120806103000+0200", zone_of("-07:00")).text == "2012-08-06T10:30:00+02:00"
    assert moment("20120806103000-1500", zone_of("-07:00")) == ("2012-08-06", NO_ZONE)


@pytest.mark.parametrize("name", ["Mars/Olympus", "5", "../etc/passwd", "+15:00", ""])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        zone_of(name)


@pytest.mark.parametrize("text", ["2012", "2012-08", "2012-08-06", "2012-08-06T10:30:00.1234567-05:00"])
def test_every_moment_can_be_ordered(text: str) -> None:
    found = aware(text)

    assert found is not None
    assert found.tzinfo is not None


@pytest.mark.parametrize(
    ("low", "high", "backwards"),
    [
        ("2012-08-07", "2012-08-06", True),
        ("2012-08-06", "2012-08-06", False),
        ("2012-08-06T10:00:00Z", "2012-08-06T11:30:00+02:00", True),
        ("2012-08-06T10:00:00Z", "2012-08-06", False),
        ("2012", "2011-12-31", True),
        (None, "2012", False),
    ],
)
def test_backwards_intervals_are_seen_as_far_as_precision_goes(
    low: str | None, high: str | None, backwards: bool
) -> None:
    assert runs_backwards(low, high) is backwards
