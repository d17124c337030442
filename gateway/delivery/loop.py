"""Loop alarm: two systems that keep rewriting each other are stopped before they do it for ever.

Counted per (connector, resource) in this process, over the hour that ends now: a patient may get many readings in an
hour, but hardly be rewritten fifty times. What was stopped, the whole patient, stands in the database until an operator
releases her.
"""

from __future__ import annotations

from collections.abc import Callable

HOUR = 3600.0
_PRUNE = 10_000
"""Entries after which those of the last hour only are kept."""


class LoopAlarm:
    """`limit`: writes of one resource to one system within an hour; `clock`: seconds, always growing."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._writes: dict[tuple[str, int], tuple[float, ...]] = {}
        self._prune_at = _PRUNE

    def count(self, connector: str, rid: int) -> bool:
        """Note a write; True when there are more than the limit within the hour."""
        now = self._clock()
        before = self._writes.get((connector, rid), ())
        writes = (*(at for at in before if now - at < HOUR), now)
        self._writes[connector, rid] = writes
        self._prune(now)
        return len(writes) > self._limit

    def forget(self, connector: str, rid: int) -> None:
        """It was stopped: the count begins again when it is released."""
        self._writes.pop((connector, rid), None)

    def _prune(self, now: float) -> None:
        if len(self._writes) < self._prune_at:
            return
        self._writes = {key: writes for key, writes in self._writes.items() if now - writes[-1] < HOUR}
        self._prune_at = max(_PRUNE, 2 * len(self._writes))
