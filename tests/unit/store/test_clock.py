"""Times in the database: exact to the microsecond, whatever the zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.clock import from_micros, maybe_from_micros, maybe_to_micros, to_micros


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
