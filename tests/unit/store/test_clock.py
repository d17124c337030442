"""Times in the database: exact to the microsecond, whatever the zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.clock import Clock, from_micros, maybe_from_micros, maybe_to_micros, to_micros


@given(st.datetimes(timezones=st.just(UTC)))
def test_there_and_back(moment: datetime):
    assert from_micros(to_micros(moment)) == moment


def test_a_zone_does_not_matter():
    moment = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert to_micros(moment) == to_micros(datetime(2026, 3, 1, 10, tzinfo=UTC)) == 1_772_359_200_000_000


def test_a_naive_time_is_a_mistake():
    with pytest.raises(TypeError):
        to_micros(datetime(2026, 3, 1))


def test_none_stays_none():
    assert maybe_to_micros(None) is None and maybe_from_micros(None) is None


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@given(st.lists(st.tuples(st.timedeltas(-86_400 * SECOND, 86_400 * SECOND), st.floats(0, 7_200)), max_size=20))
def test_a_clock_never_goes_back_and_never_stands(jumps: list[tuple[timedelta, float]]):
    """However the machine's own is set."""
    dial: list[tuple[datetime, float]] = [(NOON, 0.0)]
    clock = Clock(lambda: dial[-1][0], lambda: dial[-1][1])
    for jump, passed in jumps:
        before, (wall, steady) = clock.now(), dial[-1]
        dial.append((wall + jump, steady + passed))
        assert clock.now() - before >= timedelta(seconds=passed) / 2 - timedelta(microseconds=1)
        assert clock.now() >= dial[-1][0]


def test_a_clock_is_the_machines_unless_something_is_later():
    clock = Clock(lambda: NOON, lambda: 0.0)
    assert clock.now() == NOON and clock.now(after=NOON - SECOND) == NOON
    assert clock.now(after=NOON) == NOON + timedelta(microseconds=1)
    assert clock.now() == NOON + timedelta(microseconds=1)
