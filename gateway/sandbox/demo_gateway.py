"""The gateway of the demo: a child process on a free port with a folder of its own, and its command line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO

from .demo_check import DemoError, until
from .demo_http import call

_START = 60.0
_STOP = 10.0
_LOG_TAIL = 2_000
_ATTEMPTS = 600
"""Enough for a machine so slow that a side is down for a minute."""


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Gateway:
    """Started, killed and started again; its data stay in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] = (folder / "gateway.log").open("ab")

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Returns when it answers. Raises DemoError with the end of its log."""
        command = [sys.executable, "-m", "gateway", "serve", "--port", str(self._port)]
        # Our own interpreter and module: nothing here comes from outside.
        self._process = subprocess.Popen(  # noqa: S603
            command,
            cwd=self._folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        until(self._answers, "the gateway did not start", seconds=_START)

    def kill(self) -> None:
        """SIGKILL: it gets no chance to finish or to tidy up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP)
            self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None
        self._log.close()

    def command(self, *arguments: str) -> str:
        """What `gateway ARGUMENTS` prints. Raises DemoError with its error line."""
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "gateway", *arguments],
            cwd=self._folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise DemoError(f"gateway {arguments[0]} ended with {done.returncode}: {done.stderr.strip()[-_LOG_TAIL:]}")
        return done.stdout.strip()

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            tail = (self._folder / "gateway.log").read_text(errors="replace")[-_LOG_TAIL:]
            raise DemoError(f"the gateway ended with {self._process.returncode}: {tail}")
        try:
            return call("GET", f"{self.url}/fhir/metadata").status < 500
        except OSError:
            return False

    def settings(self) -> dict[str, str]:
        """Retries and leases are as short as a demo needs them."""
        return {
            "GATEWAY_DATA": str(self._folder / "data"),
            "GATEWAY_PUBLIC_URL": self.url,
            "GATEWAY_RETRY_SCHEDULE": ",".join(["0"] + ["0.2"] * _ATTEMPTS),
            "GATEWAY_LEASE": "2",
        }

    def _environment(self) -> dict[str, str]:
        """Ours without the settings of another gateway."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "DATABASE_URL"))}
        return kept | self.settings()
