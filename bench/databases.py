"""The same transactions on PostgreSQL and on SQLite, in one run; the PostgreSQL server is started here."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import inputs
from bench.client import request, run
from bench.server import gateway
from bench.transactions import CLIENTS, Figure
from tests.contract.postgres import bundled_binaries, running


def measure(count: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name, running(bundled_binaries()) as postgres:
        sides = (("sqlite", None), ("postgres", postgres.new_database()))
        rates = [_rate(Path(name) / kind, address, count) for kind, address in sides]
    ratio = rates[1] / rates[0]
    yield Figure("PostgreSQL / SQLite, new Bundles", f"{ratio:.2f} ({rates[1]:.0f}/s)", ">= 0.5", ratio >= 0.5)


def _rate(folder: Path, address: str | None, count: int) -> float:
    with gateway(folder, database_url=address) as server:
        run(server.port, [request("POST", "/fhir", server.key, inputs.bundle(10**6 + at)) for at in range(40)], CLIENTS)
        load = run(
            server.port, [request("POST", "/fhir", server.key, inputs.bundle(at)) for at in range(count)], CLIENTS
        )
    if set(load.statuses) != {200}:
        raise SystemExit(f"the server answered {load.statuses}")
    return load.rate
