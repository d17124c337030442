"""Webhooks to subscribers: when one that did not arrive is told again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from gateway.delivery.http import Outbound
from gateway.sandbox import serve
from gateway.sandbox.faults import Sandbox
from gateway.store import Store
from gateway.store.clock import Clock
from gateway.store.subscribers import log
from gateway.telling import admin
from gateway.telling.teller import Teller

pytestmark = pytest.mark.anyio


async def test_a_wait_begins_with_the_answer_by_the_clock_that_retries_go_by(tmp_path: Path) -> None:
    """The machine's was set back by an hour; they answer late, with Retry-After (RFC 9110 §10.2.3)."""
    clock = Clock(wall=lambda: datetime.now(UTC) + timedelta(hours=1))
    store = Store.open(f"sqlite:///{tmp_path / 'gateway.db'}", key=Fernet.generate_key(), clock=clock)
    busy = Sandbox(lambda *_: None)  # type: ignore[arg-type]
    busy.set(status=503, retry_after=7, delay=0.3)
    with serve.running(busy) as url:
        asked = {"name": "watcher", "connector": "app", "url": url, "allow_networks": ["127.0.0.0/8"]}
        store.write_now(lambda tx: tx.put_connector("app", "{}"))
        store.write_now(lambda tx: admin.add(tx, asked))
        store.write_now(lambda tx: admin.test(tx, "watcher"))
        async with Outbound() as outbound:
            teller = Teller(store, outbound, (0.0, 5.0), 30.0)
            [turn] = await teller.claim(1)
            began = store.now()
            await teller.settle(turn, await teller.reconcile(turn))
    [event] = log(store.query_now(lambda reader: reader), turn.subscriber.subscriber_id)
    assert event.due_at >= began + timedelta(seconds=7.3)
    assert (event.state, event.attempt) == ("due", 1)
    store.close()
