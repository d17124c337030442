"""Rate limits: no more calls to a system than it allows, counted in this process (the connector's `rateLimit`)."""

from __future__ import annotations

import asyncio

from aiolimiter import AsyncLimiter

from gateway.connectors.config import RateLimit
from gateway.errors import HeldBack


class Limits:
    """One bucket per connector, made when it is first needed and again when its limit changes."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[RateLimit, AsyncLimiter]] = {}

    async def take(self, name: str, limit: RateLimit | None, deadline: float) -> None:
        """Wait for our turn to call. Raises HeldBack when it would come after the `deadline` (loop time)."""
        if limit is None:
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._bucket(name, limit).acquire()
        except TimeoutError:
            raise HeldBack(f"{name} is called as often as it allows", retry_after=limit.seconds / 10) from None

    def has_room(self, name: str, limit: RateLimit | None) -> bool:
        """Whether a call could be made at once."""
        return limit is None or self._bucket(name, limit).has_capacity()

    def _bucket(self, name: str, limit: RateLimit) -> AsyncLimiter:
        known = self._buckets.get(name)
        if known is None or known[0] != limit:
            known = self._buckets[name] = (limit, bucket(limit))
        return known[1]


def bucket(limit: RateLimit) -> AsyncLimiter:
    """A leaky bucket that never lets more than `requests` through in any window of `seconds`.

    What is let through at once (a fifth) counts against what flows after it: burst + rate * seconds <= requests.
    """
    burst = max(1, limit.requests // 5)
    rate = max(limit.requests - burst, 1) / limit.seconds
    return AsyncLimiter(burst, burst / rate)
