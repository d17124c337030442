"""When to try again."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.retry import LONGEST_WAIT, next_attempt, parse_retry_after
from gateway.settings import SCHEDULE

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Longest(random.Random):
    """Draws the longest wait."""

    def uniform(self, a: float, b: float) -> float:
        return b


def waits(schedule: tuple[float, ...]) -> list[float | None]:
    due = [next_attempt(schedule, attempts, NOW, rng=Longest()) for attempts in range(len(schedule) + 2)]
    return [None if one is None else (one - NOW).total_seconds() for one in due]


def test_the_schedule_of_the_design() -> None:
    hours = [2, 5, 10, 14, 20, 24]
    assert waits(SCHEDULE) == [0, 5, 300, 1800, *(hour * 3600 for hour in hours), None, None]


@given(attempts=st.integers(0, 9), seed=st.integers())
def test_the_wait_is_somewhere_between_now_and_the_scheduled_one(attempts: int, seed: int) -> None:
    due = next_attempt(SCHEDULE, attempts, NOW, rng=random.Random(seed))
    assert due is not None
    assert NOW <= due <= NOW + timedelta(seconds=SCHEDULE[attempts])


def test_failures_of_one_moment_do_not_come_back_together() -> None:
    rng = random.Random(1)
    due = {next_attempt(SCHEDULE, 2, NOW, rng=rng) for _ in range(100)}
    waited = [(one - NOW).total_seconds() for one in due if one]
    assert len(due) == 100
    assert min(waited) < 60 and max(waited) > 240, "the whole width is used"


def test_what_they_asked_for_wins_but_does_not_go_on_for_ever() -> None:
    due = next_attempt(SCHEDULE, 1, NOW, retry_after=17.0, rng=random.Random(1))
    assert due == NOW + timedelta(seconds=17)
    assert next_attempt(SCHEDULE, len(SCHEDULE), NOW, retry_after=17.0, rng=random.Random(1)) is None
    due = next_attempt(SCHEDULE, 1, NOW, retry_after=1e9, rng=random.Random(1))
    assert due == NOW + timedelta(seconds=LONGEST_WAIT)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 5 ", 5.0),
        ("0", 0.0),
        ("9" * 400, LONGEST_WAIT),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60.0),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0),
        ("Fri, 02 Jan 2026 03:05:05 -0000", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, NOW) == seconds


@given(st.text())
def test_any_retry_after_is_survived(header: str) -> None:
    seconds = parse_retry_after(header, NOW)
    assert seconds is None or 0 <= seconds <= LONGEST_WAIT
