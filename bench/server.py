"""The gateway as a child process on a free port, with its own database; what it used is read from /proc."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its port, its process, a key for everything."""

    port: int
    process: subprocess.Popen[bytes]
    key: str

    def pss(self) -> int:
        """Bytes of memory of the process tree, shared pages counted by share."""
        tree = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        return sum(one.memory_full_info().pss for one in tree)


@contextmanager
def gateway(folder: Path, *, database_url: str | None = None, extra: dict[str, str] | None = None) -> Iterator[Server]:
    """`python -m gateway serve` over `folder`."""
    port = free_port()
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= {"GATEWAY_DATA": str(folder), "GATEWAY_PORT": str(port), "GATEWAY_PUBLIC_URL": "http://bench"}
    env |= {"GATEWAY_LOG_LEVEL": "WARNING", **(extra or {})}
    if database_url:
        env["DATABASE_URL"] = database_url
    create = [
        "keys",
        "create",
        f"bench-{port}",
        "--connector",
        "bench",
        "--scope",
        "system/*.cruds",
        "--scope",
        "convert",
    ]
    made = subprocess.run(
        [sys.executable, "-m", "gateway", *create], env=env, check=True, capture_output=True, text=True
    )
    with running([sys.executable, "-m", "gateway", "serve"], env, port) as process:
        yield Server(port, process, made.stdout.strip())


@contextmanager
def baseline() -> Iterator[Server]:
    """The yardstick: the same server software with one route that only parses and one that answers nothing."""
    port = free_port()
    with running([sys.executable, "-m", "bench.baseline", str(port)], dict(os.environ), port) as process:
        yield Server(port, process, "none")


@contextmanager
def running(command: list[str], env: dict[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=env)
    try:
        _wait(port, process)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise SystemExit("the server ended before it listened")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("the server did not listen in time")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
