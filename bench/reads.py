"""Reads over HTTP against a route that answers nothing, on the same server software."""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from bench import inputs
from bench.client import request, run
from bench.server import Server, baseline, gateway
from bench.transactions import CLIENTS, Figure

PEOPLE = 500
ROUNDS = 5


def measure(count: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name, baseline() as bare, gateway(Path(name)) as server:
        fill(server, PEOPLE)
        ids = known_ids(Path(name) / "gateway.db")
        by_id = [request("GET", f"/fhir/Patient/{ids[at % len(ids)]}", server.key) for at in range(count)]
        token = quote(f"{inputs.MRN}|B")
        found = [
            request("GET", f"/fhir/Patient?identifier={token}{at % PEOPLE:08d}", server.key) for at in range(count)
        ]
        empty = [request("GET", "/empty", "none")] * count
        sides = ((bare.port, empty), (server.port, by_id), (server.port, found))
        for port, asked in sides:
            run(port, asked[:200], CLIENTS)
        rounds = [_round(sides, count // ROUNDS * one, count // ROUNDS) for one in range(ROUNDS)]
    yardsticks, reads, searches = zip(*rounds, strict=True)
    yield from _figures("read by id", reads, yardsticks)
    yield from _figures("search by identifier", searches, yardsticks)


def _round(sides: Sequence[tuple[int, list[bytes]]], start: int, count: int) -> list[float]:
    """One after the other in short turns, so that what else the machine does meets all of them."""
    rates = []
    for port, asked in sides:
        load = run(port, asked[start : start + count], CLIENTS)
        if set(load.statuses) != {200}:
            raise SystemExit(f"the server answered {load.statuses}")
        rates.append(load.rate)
    return rates


def fill(server: Server, people: int) -> None:
    """That many people with their Observations."""
    posts = [request("POST", "/fhir", server.key, inputs.bundle(at)) for at in range(people)]
    load = run(server.port, posts, CLIENTS)
    if set(load.statuses) != {200}:
        raise SystemExit(f"the server answered {load.statuses}")


def known_ids(database: Path) -> list[str]:
    """The public ids of all Patients."""
    with sqlite3.connect(database) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM resource WHERE type = 'Patient'")]


def _figures(what: str, rates: Sequence[float], yardsticks: Sequence[float]) -> Iterator[Figure]:
    ratio = statistics.median(rate / yardstick for rate, yardstick in zip(rates, yardsticks, strict=True))
    rate = statistics.median(rates)
    yield Figure(f"{what} / empty route, median of {ROUNDS} rounds", f"{ratio:.2f}", ">= 0.5", ratio >= 0.5)
    yield Figure(f"{what}, per s", f"{rate:.0f}", ">= 1500", rate >= 1500)
