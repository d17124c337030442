"""Times in the database: whole microseconds since 1970 UTC; aware datetimes everywhere else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@lru_cache(maxsize=1024)  # the rows of one message are all of its one moment
def to_micros(moment: datetime) -> int:
    """Raises TypeError for a naive datetime."""
    return (moment - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=1024)
def from_micros(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def maybe_to_micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def maybe_from_micros(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


class Clock:
    """The time that leases, retries and reads go by: the machine's, but never back. When that is set back, time goes on
    at half its pace until the machine's has caught up: what waits does not wait for that."""

    def __init__(
        self, wall: Callable[[], datetime] = lambda: datetime.now(UTC), steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._lock = threading.Lock()
        self._last, self._at = wall(), steady()

    def now(self, *, after: datetime | None = None) -> datetime:
        """Later than `after`."""
        with self._lock:
            at = self._steady()
            going = self._last + timedelta(seconds=at - self._at) / 2
            now = max(self._wall(), going, going if after is None else after + _MICROSECOND)
            self._last, self._at = now, at
            return now
