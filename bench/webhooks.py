"""How long a sender of webhooks waits for our answer: signed events at 100 a second, worked on meanwhile.

Each is on the disk before it is answered, so the disk is measured beside it: where it stalls, no answer is sooner.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench import client
from bench.server import free_port, gateway
from bench.transactions import Figure
from gateway.connectors.signature import sign

_RATE = 100
_CONNECTIONS = 8
_SECRET = f"whsec_{base64.b64encode(b'a secret of twenty-four ').decode()}"
_PATIENTS = 200


def measure(seconds: int) -> Iterator[Figure]:
    """p50 and p99 of the answers, sent evenly whatever the answers take; the stand-in is another process."""
    with tempfile.TemporaryDirectory(prefix="bench-webhooks-") as name, _stand_in() as port:
        folder = Path(name)
        _connect(folder, port)
        with gateway(folder) as server, _Disk(folder) as disk:
            waits = asyncio.run(_send(server.port, seconds * _RATE))
    p50, p99 = _quantile(waits, 0.5), _quantile(waits, 0.99)
    yield Figure("webhook answered at 100/s, p50 / p99", f"{p50:.1f} / {p99:.1f} ms", "p99 <= 100 ms", p99 <= 100)
    own = f"{_quantile(disk.waits, 0.99):.1f} / {_quantile(disk.waits, 1):.1f} ms"
    yield Figure("the disk alone meanwhile, fsync p99 / longest", own, "")


def _quantile(seconds: Sequence[float], share: float) -> float:
    """Milliseconds."""
    return 1000 * sorted(seconds)[int(share * (len(seconds) - 1))]


class _Disk(threading.Thread):
    """A page kept on the same disk 50 times a second; how long each took."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._file = folder / "disk"
        self._ended = threading.Event()

    def run(self) -> None:
        with self._file.open("wb", buffering=0) as file:
            while not self._ended.wait(0.02):
                file.seek(0)
                file.write(bytes(4096))
                began = time.perf_counter()
                os.fsync(file.fileno())
                self.waits.append(time.perf_counter() - began)

    def __enter__(self) -> _Disk:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self.join()


def _connect(folder: Path, port: int) -> None:
    body = {
        "name": "partner",
        "type": "REST",
        "profile": "canvas",
        "endpoint": f"http://127.0.0.1:{port}",
        "auth": {"scheme": "apiKey", "key": "partner-secret-key"},
        "sync": {"mode": "webhook", "secret": _SECRET},
        "allow_networks": ["127.0.0.0/8"],
    }
    file = folder / "partner.json"
    file.write_text(json.dumps(body))
    env = {**os.environ, "GATEWAY_DATA": str(folder)}
    subprocess.run(
        [sys.executable, "-m", "gateway", "connectors", "apply", str(file)],
        env=env,
        check=True,
        stdout=subprocess.DEVNULL,
    )


@contextmanager
def _stand_in() -> Iterator[int]:
    """The port of the partner, which runs in a process of its own and holds `_PATIENTS`."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "gateway.sandbox", "canvas_partner", "--port", str(port)])
    try:
        asyncio.run(_filled(port))
        yield port
    finally:
        process.terminate()
        process.wait(30)


async def _filled(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            break
    await client.talk(port, [_patient(number) for number in range(_PATIENTS)])


def _patient(number: int) -> bytes:
    body = json.dumps({"externalId": f"e{number}", "firstName": "Ada", "lastName": f"Family{number}"}).encode()
    head = "POST /patients/v2 HTTP/1.1\r\nHost: bench\r\nX-API-Key: partner-secret-key\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _send(port: int, count: int) -> list[float]:
    """Each event leaves at its time; how long its sender waited, the wait for a free connection included."""
    waiting: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
    waits: list[float] = []
    workers = [asyncio.create_task(_worker(port, waiting, waits)) for _ in range(_CONNECTIONS)]
    began = time.perf_counter()
    for number in range(count):
        due = began + number / _RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        waiting.put_nowait((due, _event(number)))
    for _ in workers:
        waiting.put_nowait(None)
    await asyncio.gather(*workers)
    return waits


async def _worker(port: int, waiting: asyncio.Queue[tuple[float, bytes] | None], waits: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (one := await waiting.get()) is not None:
        due, data = one
        writer.write(data)
        status = await client.answer(reader)
        waits.append(time.perf_counter() - due)
        assert status == 200, status
    writer.close()


def _event(number: int) -> bytes:
    payload = {"id": f"evt_{number}", "type": "patient.updated", "data": {"id": f"pat_{number % _PATIENTS + 1}"}}
    body = json.dumps(payload).encode()
    signed = sign(_SECRET, f"evt_{number}", body, now=datetime.now(UTC))
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    head = f"POST /api/webhooks/partner HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{lines}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
