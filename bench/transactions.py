"""Durable transactions over HTTP: new, update and identical Bundles, 8 clients, against SQL plus parsing."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import inputs
from bench.client import Load, request, run
from bench.replay import seconds_per_bundle
from bench.server import Server, baseline, gateway

CLIENTS = 8


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; `target` as the issue states it."""

    name: str
    value: str
    target: str
    holds: bool | None = None


def rates(server: Server, start: int, count: int) -> tuple[Load, Load, Load]:
    """New, then the same people edited, then the edit once more."""
    new = [request("POST", "/fhir", server.key, inputs.bundle(start + at)) for at in range(count)]
    edited = [request("POST", "/fhir", server.key, inputs.bundle(start + at, edit="x")) for at in range(count)]
    loads = run(server.port, new, CLIENTS), run(server.port, edited, CLIENTS), run(server.port, edited, CLIENTS)
    for load in loads:
        if set(load.statuses) != {200}:
            raise SystemExit(f"the server answered {load.statuses}")
    return loads


def measure(rounds: int, count: int) -> Iterator[Figure]:
    ratios, all_rates = [], []
    with tempfile.TemporaryDirectory() as name, baseline() as bare:
        for one in range(rounds):
            folder = Path(name) / str(one)
            with gateway(folder) as server:
                run(
                    server.port,
                    [request("POST", "/fhir", server.key, inputs.bundle(10**6 + at)) for at in range(16)],
                    8,
                )
                first = [request("POST", "/fhir", server.key, inputs.bundle(at)) for at in range(count)]
                new = run(server.port, first, CLIENTS)
            sql, rows = seconds_per_bundle(folder / "gateway.db", folder)
            parse = run(bare.port, first, CLIENTS)
            denominator = sql + 1 / parse.rate
            ratios.append(1 / new.rate / denominator)
            with gateway(folder) as server:
                all_rates.append([load.rate for load in rates(server, 2 * 10**6, count)])
            print(
                f"  round {one + 1}: new {new.rate:.0f}/s, SQL {sql * 1e3:.2f} ms for {rows:.0f} rows, "
                f"parse {1e3 / parse.rate:.2f} ms, ratio {ratios[-1]:.2f}",
                flush=True,
            )
    ratio = statistics.median(ratios)
    new_rate, update, identical = (statistics.median(column) for column in zip(*all_rates, strict=True))
    yield Figure("new Bundle / (SQL + parse)", f"{ratio:.2f}", "<= 3, stretch 2", ratio <= 3)
    yield Figure("new Bundles/s", f"{new_rate:.0f}", "150, stretch 250", new_rate >= 150)
    yield Figure("updated Bundles/s", f"{update:.0f}", "180, stretch 300", update >= 180)
    yield Figure("identical Bundles/s", f"{identical:.0f}", "400, stretch 600", identical >= 400)
