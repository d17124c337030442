"""First contact with a system of many patients: how long the plan takes, in what memory, and what is written by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.server import free_port, gateway
from bench.transactions import Figure
from gateway.sandbox import hms
from gateway.store import Store

_MAPPING = {
    "Patient": {
        "at": "updatedAt",
        "list": {"since": "_since", "size": "limit", "limit": 500},
        "fields": {"name.text": "name", "birthDate": {"path": "dob", "transform": "date"}},
    }
}
_PAUSE = 0.5


def measure(patients: int) -> Iterator[Figure]:
    """The plan of so many; killed in the middle once, and gone on with."""
    with tempfile.TemporaryDirectory(prefix="bench-contact-") as name, _stand_in(patients) as port:
        folder = Path(name)
        _connect(folder, port)
        began = time.perf_counter()
        with gateway(folder) as server:
            _until(folder, lambda report: report["seen"] > patients / 2)
            server.process.kill()
        with gateway(folder) as server:
            report = _until(folder, lambda report: report["state"] == "planned")
            memory = server.pss()
        took = time.perf_counter() - began
        written = _written(folder)
    named = f"first contact in plan, {patients:,} patients"
    whole = report["seen"] == report["created"] == patients + 1
    yield Figure(f"{named}, killed once", f"{took:.0f} s, {patients / took:,.0f}/s", "all seen", whole)
    yield Figure(f"{named}: resources written", f"{written:,}", "0", written == 0)
    yield Figure(f"{named}: memory", f"{memory / 1e6:.0f} MB", "<= 300 MB", memory <= 300e6)


def _connect(folder: Path, port: int) -> None:
    body = {
        "name": "partner",
        "type": "REST",
        "endpoint": f"http://127.0.0.1:{port}/api/patients",
        "auth": {"scheme": "apiKey", "key": hms.API_KEY},
        "mapping": _MAPPING,
        "first": "plan",
        "push": False,
        "allow_networks": ["127.0.0.0/8"],
    }
    file = folder / "partner.json"
    file.write_text(json.dumps(body))
    _gateway(folder, "connectors", "apply", str(file))


def _until(folder: Path, holds: Any) -> dict[str, Any]:
    """The plan's report, with its state, once it is as wanted."""
    while True:
        [run] = json.loads(_gateway(folder, "connectors", "syncs", "partner"))
        report = {**run["report"], "state": run["status"]}
        if holds(report):
            return report
        time.sleep(_PAUSE)


def _gateway(folder: Path, *arguments: str) -> bytes:
    env = {**os.environ, "GATEWAY_DATA": str(folder)}
    done = subprocess.run([sys.executable, "-m", "gateway", *arguments], env=env, check=True, capture_output=True)
    return done.stdout


def _written(folder: Path) -> int:
    store = Store.open(folder / "gateway.db")
    try:
        return store.query_now(lambda reader: reader.last_seq())
    finally:
        store.close()


@contextmanager
def _stand_in(patients: int) -> Iterator[int]:
    """The port of the system, which runs in a process of its own."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "gateway.sandbox", "hms", "--port", str(port)])
    try:
        _fill(port, patients)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _fill(port: int, patients: int) -> None:
    body = json.dumps({"count": patients}).encode()
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/_fill/patients", body, method="POST")
    for _ in range(200):
        try:
            urllib.request.urlopen(asked, timeout=60).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the stand-in did not start")
