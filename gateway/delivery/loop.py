"""Loop alarm: two systems that keep rewriting each other are stopped before they do it for ever.

Counted per (connector, patient) in this process; what was stopped stands in the database until an operator releases it.
"""

from __future__ import annotations

from collections.abc import Callable

HOUR = 3600.0
_PRUNE = 10_000
"""Entries after which those of the last hour only are kept."""


class LoopAlarm:
    """`limit`: writes about one patient to one system within an hour; `clock`: seconds, always growing."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._counts: dict[tuple[str, int], tuple[float, int]] = {}
        self._prune_at = _PRUNE

    def count(self, connector: str, patient: int, writes: int) -> bool:
        """Note writes; True when there are more than the limit within the hour."""
        now = self._clock()
        since, before = self._counts.get((connector, patient), (now, 0))
        if now - since >= HOUR:
            since, before = now, 0
        self._counts[connector, patient] = (since, before + writes)
        self._prune(now)
        return before + writes > self._limit

    def forget(self, connector: str, patient: int) -> None:
        """It was stopped: the count begins again when it is released."""
        self._counts.pop((connector, patient), None)

    def _prune(self, now: float) -> None:
        if len(self._counts) < self._prune_at:
            return
        self._counts = {key: kept for key, kept in self._counts.items() if now - kept[0] < HOUR}
        self._prune_at = max(_PRUNE, 2 * len(self._counts))
