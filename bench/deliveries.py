"""Deliveries to partners in processes of their own: throughput, time from a webhook to the other side, two workers on
one database, and a backlog after an outage."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from bench import inputs
from bench.client import Load, request, run
from bench.server import Server, free_port, gateway
from bench.server import running as process
from bench.transactions import Figure
from gateway.connectors.signature import sign
from gateway.delivery import transport
from gateway.fhir import json
from gateway.sandbox import canvas_partner
from tests.contract.postgres import bundled_binaries, running

AT_ONCE = 16
SECRET = "whsec_dGhlIGJlbmNoJ3Mgb3duIGtleSBmb3Igd2ViaG9va3M="
_BATCH = 100
_RATE = 20


@dataclass(frozen=True, slots=True)
class Side:
    """A partner in a process of its own."""

    port: int

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.encode(body)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data) as answer:
            return json.decode(answer.read())

    @property
    def writes(self) -> int:
        return int(self.ask("/_count")["writes"])


class StandIn(Side):
    """The stand-in that ships with the gateway."""

    @property
    def writes(self) -> int:
        return sum("externalId" in one for one in self.ask("/_patients"))


@contextlib.contextmanager
def partner() -> Iterator[Side]:
    """One that costs next to nothing."""
    port = free_port()
    with process([sys.executable, "-m", "bench.partner", str(port)], dict(os.environ), port):
        yield Side(port)


@contextlib.contextmanager
def stand_in() -> Iterator[Side]:
    port = free_port()
    command = [sys.executable, "-m", "gateway.sandbox", "canvas_partner", "--port", str(port)]
    with process(command, dict(os.environ), port):
        yield StandIn(port)


def measure(count: int, backlog: int) -> Iterator[Figure]:
    yield from throughput(count)
    yield from by_bundles(min(count, 500))
    yield from latency(min(count, 400))
    yield from two_workers(count)
    yield from after_outage(backlog)


def throughput(count: int) -> Iterator[Figure]:
    """The exchange of a delivery (a read, a write) by the gateway, and by the bare client that it is built on."""
    with stand_in() as side:
        bare = asyncio.run(_bare(side, count))
    with tempfile.TemporaryDirectory() as name, stand_in() as side:
        fill(Path(name), side, count)
        seconds = drained(Path(name), side, count)
    ours, theirs = count / seconds, count / bare
    print(f"  gateway {ours:.0f} deliveries/s, bare client {theirs:.0f} such exchanges/s", flush=True)
    yield Figure("deliveries/s / bare client", f"{ours / theirs:.2f} ({ours:.0f}/s)", ">= 0.5", ours / theirs >= 0.5)


def by_bundles(patients: int) -> Iterator[Figure]:
    """Patients with 20 Observations each to a FHIR server: a read and one transaction for each patient."""
    port = free_port()
    command = [sys.executable, "-m", "bench.fhir_partner", str(port)]
    with process(command, dict(os.environ), port), tempfile.TemporaryDirectory() as name:
        folder, side = Path(name), Side(port)
        address = {"endpoint": f"http://127.0.0.1:{port}", "allow_networks": ["127.0.0.0/8"]}
        pushed = ["Patient", "Observation"]
        _apply(folder, [{"name": "fhir", "profile": "fhir", "idSystem": "urn:bench:fhir", "push": pushed, **address}])
        with gateway(folder, extra={"GATEWAY_DELIVER": "false"}) as server:
            run(server.port, [request("POST", "/fhir", server.key, inputs.bundle(at)) for at in range(patients)], 8)
        resources = patients * (1 + inputs.OBSERVATIONS)
        seconds = drained(folder, side, resources)
    yield Figure("resources/s to a FHIR server, 21 a Bundle", f"{resources / seconds:.0f}", "")


async def _bare(side: Side, count: int) -> float:
    """Seconds for `count` times GET and POST, so many at once, over kept connections."""
    waiting = iter(range(count))
    base = f"http://127.0.0.1:{side.port}/patients/v2"

    async def work(client: httpx.AsyncClient) -> None:
        for number in waiting:
            assert (await client.get(f"{base}/bare-{number}")).status_code == 404
            body = {"externalId": f"bare-{number}", "firstName": "A", "lastName": "B", "dateOfBirth": "1980-02-22"}
            assert (await client.post(base, content=json.encode(body))).status_code == 201

    headers = {"x-api-key": canvas_partner.API_KEY, "content-type": "application/json"}
    async with httpx.AsyncClient(transport=transport.create(), trust_env=False, headers=headers) as client:
        began = time.perf_counter()
        await asyncio.gather(*(work(client) for _ in range(AT_ONCE)))
        return time.perf_counter() - began


def connect(folder: Path, sides: Sequence[Side], database: str | None = None) -> None:
    """The partners as connectors."""
    bodies = [
        {
            "name": f"side{at}",
            "profile": "canvas",
            "endpoint": f"http://127.0.0.1:{side.port}",
            "auth": {"scheme": "apiKey", "key": canvas_partner.API_KEY},
            "idSystem": f"urn:bench:side{at}",
            "allow_networks": ["127.0.0.0/8"],
            "sync": {"mode": "webhook", "secret": SECRET},
        }
        for at, side in enumerate(sides)
    ]
    _apply(folder, bodies, database)


def _apply(folder: Path, bodies: Sequence[dict[str, Any]], database: str | None = None) -> None:
    """As an operator does."""
    file = folder / "connectors.json"
    file.write_bytes(json.encode(bodies))
    env = {**os.environ, "GATEWAY_DATA": str(folder)} | ({"DATABASE_URL": database} if database else {})
    command = [sys.executable, "-m", "gateway", "connectors", "apply", str(file)]
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)


def fill(folder: Path, side: Side, count: int, database: str | None = None) -> None:
    """So many new patients, owed to the partner and not delivered yet."""
    connect(folder, [side], database)
    with gateway(folder, database_url=database, extra={"GATEWAY_DELIVER": "false"}) as server:
        post(server, count)


def post(server: Server, count: int, start: int = 0) -> None:
    posts = [
        request("POST", "/fhir", server.key, _people(at, min(_BATCH, count - at), start))
        for at in range(0, count, _BATCH)
    ]
    load = run(server.port, posts, 4)
    if set(load.statuses) != {200}:
        raise SystemExit(f"the server answered {load.statuses}")


def _people(first: int, many: int, start: int) -> bytes:
    entries = []
    for number in range(start + first, start + first + many):
        person = {
            "resourceType": "Patient",
            "identifier": [{"system": inputs.MRN, "value": f"D{number:08d}"}],
            "name": [{"family": f"Family{number}", "given": ["Ada"]}],
            "birthDate": "1980-02-22",
        }
        entries.append({"resource": person, "request": {"method": "POST", "url": "Patient"}})
    return json.encode({"resourceType": "Bundle", "type": "batch", "entry": entries})


def drained(folder: Path, side: Side, count: int, database: str | None = None, processes: int = 1) -> float:
    """Seconds from the first delivery to the last, by so many worker processes."""
    before = side.writes
    with contextlib.ExitStack() as stack:
        for _ in range(processes):
            stack.enter_context(gateway(folder, database_url=database))
        while side.writes == before:
            time.sleep(0.01)
        began, first = time.perf_counter(), side.writes
        while (now := side.writes) < before + count:
            time.sleep(0.05)
        seconds = time.perf_counter() - began
        time.sleep(0.5)
    if side.writes != before + count:
        raise SystemExit(f"{side.writes - before} writes for {count} deliveries")
    return seconds * count / (now - first)


def latency(count: int) -> Iterator[Figure]:
    """From a webhook at our door to the write at the other side, at 20 a second."""
    with tempfile.TemporaryDirectory() as name, partner() as one, partner() as other:
        folder = Path(name)
        connect(folder, [one, other])
        with gateway(folder) as server:
            post(server, count)
            for side in (one, other):
                while side.writes < count:
                    time.sleep(0.05)
            sent = _webhooks(server, one, count)
            deadline = time.monotonic() + 30
            while len(found := _found(other, sent)) < len(sent) and time.monotonic() < deadline:
                time.sleep(0.2)
    if len(found) < len(sent):
        raise SystemExit(f"{len(sent) - len(found)} webhooks never reached the other side")
    times = sorted(1e3 * (found[family] - at) for family, at in sent.items())
    p50, p99 = statistics.median(times), times[int(0.99 * len(times))]
    yield Figure("webhook -> other side, p50 ms", f"{p50:.0f}", "<= 50", p50 <= 50)
    yield Figure("webhook -> other side, p99 ms", f"{p99:.0f}", "<= 250", p99 <= 250)


def _webhooks(server: Server, side: Side, count: int) -> dict[str, float]:
    """Edit each patient at one side and tell of it, 20 a second; the new family name and when it was told."""
    sent: dict[str, float] = {}
    began = time.perf_counter()
    for number in range(count):
        family, id_ = f"Edited{number}", f"pat_{number + 1}"
        side.ask("/_edit", {"id": id_, "lastName": family})
        event = {"id": f"evt_{number}", "type": "patient.updated", "data": {"id": id_}}
        content = json.encode(event)
        headers = sign(SECRET, event["id"], content, now=datetime.now(UTC))  # type: ignore[arg-type]
        wait = began + number / _RATE - time.perf_counter()
        time.sleep(max(wait, 0))
        sent[family] = time.time()
        hook = urllib.request.Request(f"http://127.0.0.1:{server.port}/api/webhooks/side0", content, dict(headers))
        hook.add_header("content-type", "application/json")
        urllib.request.urlopen(hook).read()
    return sent


def _found(side: Side, sent: dict[str, float]) -> dict[str, float]:
    written = side.ask("/_seen")["written"]
    return {family: float(written[family]) for family in sent if family in written}


def two_workers(count: int) -> Iterator[Figure]:
    """The same backlog by one and by two processes on one PostgreSQL."""
    with running(bundled_binaries()) as postgres, partner() as side:
        rates = []
        for processes in (1, 2):
            with tempfile.TemporaryDirectory() as name:
                database = postgres.new_database()
                fill(Path(name), side, count, database)
                rates.append(count / drained(Path(name), side, count, database, processes))
    ratio = rates[1] / rates[0]
    value = f"{ratio:.2f} ({rates[0]:.0f} and {rates[1]:.0f}/s)"
    yield Figure("two workers / one, PostgreSQL", value, ">= 0.9 on 2 cores", ratio >= 0.9)


def after_outage(backlog: int) -> Iterator[Figure]:
    """A backlog is drained while others use the API."""
    with tempfile.TemporaryDirectory() as name, partner() as side:
        folder = Path(name)
        side.ask("/_down", {})
        connect(folder, [side])
        with gateway(folder) as server:
            post(server, backlog)
            print(f"  {backlog} deliveries are owed, {server.pss() / 1e6:.0f} MB", flush=True)
            side.ask("/_up", {})
            began = time.perf_counter()
            watch = _Watch(server)
            watch.start()
            while side.writes < backlog:
                time.sleep(0.5)
            seconds = time.perf_counter() - began
            watch.stop()
    p99 = 1e3 * watch.load.quantile(0.99)
    yield Figure(f"backlog of {backlog}, deliveries/s", f"{backlog / seconds:.0f}", "")
    yield Figure("API p99 meanwhile, ms", f"{p99:.0f}", "<= 100", p99 <= 100)
    yield Figure("memory meanwhile, MB", f"{watch.most / 1e6:.0f}", "<= 300", watch.most <= 300e6)


class _Watch(threading.Thread):
    """Someone who reads and writes 20 times a second, and looks at the memory."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.load = Load(1.0, [], {})
        self.most = 0
        self._ended = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._ended.wait(1 / _RATE):
            body = inputs.bundle(10**7 + number) if number % 4 == 0 else b""
            token = f"{inputs.MRN}|D{number:08d}"
            asked = request("POST", "/fhir", self.server.key, body) if body else None
            one = run(
                self.server.port, [asked or request("GET", f"/fhir/Patient?identifier={token}", self.server.key)], 1
            )
            self.load.latencies.extend(one.latencies)
            number += 1
            if number % 20 == 0:
                self.most = max(self.most, self.server.pss())

    def stop(self) -> None:
        self._ended.set()
        self.join()
