"""When to try again: a schedule with full jitter, unless they said how long to wait (RFC 9110 §10.2.3 Retry-After)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 86400.0
"""A partner may ask us to wait, but not for ever."""


def next_attempt(
    schedule: Sequence[float], attempts: int, now: datetime, *, retry_after: float | None = None, rng: random.Random
) -> datetime | None:
    """When the next attempt is due after `attempts` failed ones; None when the schedule is exhausted.

    `schedule[n]` = the longest wait before attempt n+1, in seconds; the wait is drawn evenly from 0 to that, so that
    what failed together does not come back together. `retry_after` wins, and does not extend the schedule.
    """
    if attempts >= len(schedule):
        return None
    if retry_after is not None:
        return now + timedelta(seconds=min(max(retry_after, 0.0), LONGEST_WAIT))
    return now + timedelta(seconds=rng.uniform(0.0, schedule[attempts]))


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from a Retry-After header, a number or an HTTP date; None when there is none or it cannot be read."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), LONGEST_WAIT)
    try:
        seconds = (parsedate_to_datetime(text) - now).total_seconds()
    except (ValueError, TypeError):  # TypeError: a date without a zone cannot be compared
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)
