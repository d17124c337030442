"""Rate limits and the loop alarm."""

from __future__ import annotations

import asyncio

import pytest

from gateway.connectors.config import RateLimit
from gateway.delivery.limits import Limits, bucket
from gateway.delivery.loop import HOUR, LoopAlarm
from gateway.errors import HeldBack

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("requests", "seconds"), [(1, 0.2), (5, 0.25), (40, 0.25)])
async def test_no_window_lets_more_through_than_allowed(requests: int, seconds: float) -> None:
    limiter = bucket(RateLimit(requests, seconds))
    loop = asyncio.get_running_loop()
    times = []
    for _ in range(2 * requests + 1):
        await limiter.acquire()
        times.append(loop.time())
    for at, first in enumerate(times):
        inside = [one for one in times[at:] if one - first < seconds * 0.98]
        assert len(inside) <= requests
    assert times[-1] - times[0] < 4 * seconds, "and it is not much slower than allowed"


async def test_a_turn_that_comes_too_late_is_held_back() -> None:
    limits, limit = Limits(), RateLimit(1, 60.0)
    soon = asyncio.get_running_loop().time() + 0.05
    assert limits.has_room("x", limit)
    await limits.take("x", limit, soon)
    assert not limits.has_room("x", limit) and limits.has_room("y", limit)
    with pytest.raises(HeldBack):
        await limits.take("x", limit, soon)
    await limits.take("x", None, soon)
    await limits.take("x", RateLimit(2, 60.0), soon)


def test_more_writes_than_the_limit_within_an_hour_raise_the_alarm() -> None:
    now = [0.0]
    alarm = LoopAlarm(3, lambda: now[0])
    assert [alarm.count("x", 1) for _ in range(4)] == [False, False, False, True]
    assert not alarm.count("x", 2) and not alarm.count("y", 1)
    alarm.forget("x", 1)
    assert [alarm.count("x", 1) for _ in range(3)] == [False] * 3
    now[0] = HOUR
    assert not alarm.count("x", 1)


def test_the_hour_is_the_one_that_ends_now() -> None:
    """Two bursts around the turn of a counted hour are one."""
    now = [0.0]
    alarm = LoopAlarm(3, lambda: now[0])
    alarm.count("x", 1)
    now[0] = HOUR - 1
    assert [alarm.count("x", 1) for _ in range(2)] == [False, False]
    now[0] = HOUR + 1
    assert [alarm.count("x", 1) for _ in range(2)] == [False, True], "what was an hour ago no longer counts"


def test_old_counts_are_not_kept_for_ever() -> None:
    now = [0.0]
    alarm = LoopAlarm(3, lambda: now[0])
    for rid in range(9_999):
        alarm.count("x", rid)
    now[0] = 2 * HOUR
    alarm.count("x", -1)
    assert len(alarm._writes) == 1
