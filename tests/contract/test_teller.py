"""Webhooks to subscribers: when one that did not arrive is told again, and how long one turn may take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from starlette.responses import Response

from gateway.delivery.http import Outbound
from gateway.sandbox import serve
from gateway.sandbox.faults import Sandbox
from gateway.store import Store
from gateway.store.clock import Clock
from gateway.store.subscribers import Outgoing, log, subscribers
from gateway.telling import admin
from gateway.telling.teller import Teller

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def telling(
    folder: Path, partner: Sandbox, *, events: int = 1, lease: float = 30.0, form: str = "standard"
) -> AsyncIterator[Teller]:
    """Somebody who waits for so many events. The machine's clock was set back by an hour."""
    clock = Clock(wall=lambda: datetime.now(UTC) + timedelta(hours=1))
    store = Store.open(f"sqlite:///{folder / 'gateway.db'}", key=Fernet.generate_key(), clock=clock)
    with serve.running(partner) as url:
        asked = {"name": "watcher", "connector": "app", "url": url, "form": form, "allow_networks": ["127.0.0.0/8"]}
        store.write_now(lambda tx: tx.put_connector("app", "{}"))
        store.write_now(lambda tx: admin.add(tx, asked))
        for _ in range(events):
            store.write_now(lambda tx: admin.test(tx, "watcher"))
        async with Outbound() as outbound:
            yield Teller(store, outbound, (0.0, 5.0), lease)
    store.close()


def told(teller: Teller) -> list[Outgoing]:
    [watcher] = teller.store.query_now(subscribers)
    return teller.store.query_now(lambda reader: log(reader, watcher.subscriber_id))


async def test_a_wait_begins_with_the_answer_by_the_clock_that_retries_go_by(tmp_path: Path) -> None:
    """They answer late, with Retry-After (RFC 9110 §10.2.3)."""
    busy = Sandbox(Response(b""))
    busy.set(status=503, retry_after=7, delay=0.3)
    async with telling(tmp_path, busy) as teller:
        [turn] = await teller.claim(1)
        began = teller.store.now()
        await teller.settle(turn, await teller.reconcile(turn))
        [event] = told(teller)
    assert event.due_at >= began + timedelta(seconds=7.3)
    assert (event.state, event.attempt) == ("due", 1)


async def test_an_error_of_ours_counts_as_an_attempt(tmp_path: Path) -> None:
    """It would be tried again at once, and for ever."""
    async with telling(tmp_path, Sandbox(Response(b"")), events=2) as teller:
        [turn] = await teller.claim(1)
        await teller.release(turn, KeyError("Doe"))
        first, second = told(teller)
    assert (first.state, first.attempt, first.error) == ("due", 1, "KeyError")
    assert (second.state, second.attempt) == ("due", 0)


async def test_an_error_of_ours_is_kept_until_retry_where_nothing_is_sent_again_by_itself(tmp_path: Path) -> None:
    """Metriport's form: one that was tried again by the schedule would hold up all that come after it."""
    async with telling(tmp_path, Sandbox(Response(b"")), form="metriport") as teller:
        [turn] = await teller.claim(1)
        await teller.release(turn, KeyError("Doe"))
        [event] = told(teller)
    assert (event.state, event.attempt, event.error) == ("failed", 1, "KeyError")


async def test_a_turn_is_over_while_its_lease_still_holds(tmp_path: Path) -> None:
    """What was told and not written down is told again after a crash: little of it."""
    slow = Sandbox(Response(b""))
    slow.set(delay=0.1)
    async with telling(tmp_path, slow, events=9, lease=0.3) as teller:
        [turn] = await teller.claim(1)
        sent = await teller.reconcile(turn)
    assert len(turn.events) == 9 and 1 <= len(sent.told) <= 2


async def test_an_answer_without_end_is_not_read(tmp_path: Path) -> None:
    async with telling(tmp_path, Sandbox(Response(b" " * 1_100_000))) as teller:
        [turn] = await teller.claim(1)
        [one] = (await teller.reconcile(turn)).told
    assert (one.state, one.error) == ("due", "watcher answered with more than we read")
