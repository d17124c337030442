"""Fifty documents of 150 KB at once, and how long `GET /fhir/Patient/{id}` takes meanwhile."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.client import answer, request, run
from bench.convert import DOCUMENT
from bench.reads import fill, known_ids
from bench.server import Server, gateway
from bench.transactions import Figure

AT_ONCE = 50
_PAUSE = 0.005
"""Seconds between two reads: a caller, not a load of its own."""


def measure(rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name, gateway(Path(name)) as server:
        fill(server, 50)
        read = request("GET", f"/fhir/Patient/{known_ids(Path(name) / 'gateway.db')[0]}", server.key)
        document = request("POST", "/convert/v1/ccda/to/fhir?patientId=1", server.key, DOCUMENT.read_bytes())
        document = document.replace(b"application/fhir+json", b"application/xml")
        run(server.port, [document] * 2, 1)
        quiet = asyncio.run(_reads(server, read, asyncio.sleep(2)))
        load = _Load(server, document, rounds)
        busy = asyncio.run(_reads(server, read, load.all()))
        yield Figure("p99 of GET Patient alone, ms", f"{_p99(quiet) * 1e3:.1f}", "")
        late = _p99(busy) * 1e3
        yield Figure(f"p99 of GET Patient, {AT_ONCE} documents at once, ms", f"{late:.1f}", "<= 50", late <= 50)
        yield Figure("documents/s over HTTP meanwhile", f"{AT_ONCE * rounds / load.seconds:.0f}", "")


class _Load:
    """So many clients that each post a document, one after the other."""

    def __init__(self, server: Server, document: bytes, rounds: int) -> None:
        self._port = server.port
        self._document = document
        self._rounds = rounds
        self.seconds = 0.0

    async def all(self) -> None:
        began = time.perf_counter()
        await asyncio.gather(*(self._one() for _ in range(AT_ONCE)))
        self.seconds = time.perf_counter() - began

    async def _one(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
        for _ in range(self._rounds):
            writer.write(self._document)
            status = await answer(reader)
            assert status == 200, status
        writer.close()


async def _reads(server: Server, read: bytes, until: object) -> list[float]:
    """How long each read took until the other work is done."""
    work = asyncio.ensure_future(until)  # type: ignore[call-overload]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    took: list[float] = []
    while not work.done():
        began = time.perf_counter()
        writer.write(read)
        assert await answer(reader) == 200
        took.append(time.perf_counter() - began)
        await asyncio.sleep(_PAUSE)
    writer.close()
    work.result()
    return took


def _p99(took: list[float]) -> float:
    return sorted(took)[int(0.99 * (len(took) - 1))]
