"""Where tokens are kept, on both databases: what a person authorises while a refresh is under way stands."""

from __future__ import annotations

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from gateway.delivery.login_safe import Safe
from gateway.delivery.login_tokens import Tokens
from gateway.errors import PartnerLoginExpired
from gateway.store import Store

pytestmark = pytest.mark.anyio

STALE, FRESH, NEWER = (Tokens(access, 0.0, 1.0, refresh="r") for access in ("stale", "fresh", "newer"))
LEASE = timedelta(seconds=30)


async def under_way(store: Store) -> tuple[Safe, int]:
    """A refresh of STALE, whose answer is not here yet when somebody logs in."""
    safe = Safe(store, "camp", "bound", lambda: None)
    store.write_now(lambda tx: tx.put_connector("camp", "{}"))
    await safe.store_first(STALE)
    fence = await safe.take(STALE, LEASE)
    assert isinstance(fence, int) and await safe.take(STALE, LEASE) is None, "one at a time"
    await safe.store_first(NEWER)
    return safe, fence


async def test_an_answer_that_comes_later_does_not_take_its_place(store: Store) -> None:
    safe, fence = await under_way(store)
    assert await safe.store(fence, STALE, FRESH) == NEWER == await safe.tokens()


async def test_a_refusal_that_comes_later_asks_nobody(store: Store) -> None:
    safe, fence = await under_way(store)
    assert await safe.refused(fence, STALE, PartnerLoginExpired("camp refused the refresh")) == NEWER
    assert store.query_now(lambda reader: reader.health("camp")) is None
    assert not store.query_now(lambda reader: reader.open_incidents("camp"))


async def test_a_login_that_is_lost_and_back_is_told_and_wakes_what_waited(store: Store) -> None:
    woken: list[str] = []
    safe = Safe(store, "camp", "bound", lambda: woken.append("woken"))
    store.write_now(lambda tx: tx.put_connector("camp", "{}"))
    await safe.store_first(STALE)
    fence = await safe.take(STALE, LEASE)
    assert isinstance(fence, int)
    with capture_logs() as logs:
        assert await safe.refused(fence, STALE, PartnerLoginExpired("camp refused the refresh")) is None
        assert woken == []
        await safe.store_first(NEWER)
    told = [(one["event"], one["connector"], one["cause"]) for one in logs]
    assert told == [("incident opened", "camp", "login"), ("incident closed", "camp", "login")] and woken == ["woken"]
