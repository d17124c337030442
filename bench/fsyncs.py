"""How often the disk is made to keep what it has: commits and checkpoints per new Bundle, 8 callers at once."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import inputs
from bench.transactions import CLIENTS, Figure
from gateway.fhir import json
from gateway.flow import Flow, Received
from gateway.settings import Settings
from gateway.store import open_store


def measure(count: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        settings = Settings(data=Path(name))
        store = open_store(settings)
        flow = Flow(store, ours=settings.fhir_base, tolerance=settings.tolerance)
        asyncio.run(_post(flow, [inputs.bundle(at) for at in range(count)]))
        stats = store.stats()
        store.close()
    share = (stats["commits"] + stats["checkpoints"]) / count
    yield Figure("fsyncs per new Bundle", f"{share:.2f}", "<= 0.3", share <= 0.3)


async def _post(flow: Flow, bodies: list[bytes]) -> None:
    waiting = iter(bodies)

    async def client() -> None:
        for raw in waiting:
            entries = flow.entries(json.decode(raw))
            await flow.transaction(Received("bench", "bench", "fhir-bundle", "json", raw), entries, full=False)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
