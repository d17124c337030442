"""Reads over HTTP against a route that answers nothing, on the same server software."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from bench import inputs
from bench.client import Load, request, run
from bench.server import Server, baseline, gateway
from bench.transactions import CLIENTS, Figure

PEOPLE = 500


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
        for load in (by_id, found, empty):
            run(bare.port if load is empty else server.port, load[:200], CLIENTS)
        yardstick = run(bare.port, empty, CLIENTS)
        for what, load in (
            ("read by id", run(server.port, by_id, CLIENTS)),
            ("search by identifier", run(server.port, found, CLIENTS)),
        ):
            yield from _figures(what, load, yardstick)


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


def _figures(what: str, load: Load, yardstick: Load) -> Iterator[Figure]:
    if set(load.statuses) != {200}:
        raise SystemExit(f"the server answered {load.statuses}")
    ratio = load.rate / yardstick.rate
    yield Figure(f"{what} / empty route", f"{ratio:.2f}", ">= 0.5", ratio >= 0.5)
    yield Figure(f"{what}, per s", f"{load.rate:.0f}", ">= 1500", load.rate >= 1500)
