"""A server that is lost between a commit and its answer, or that takes no writes any more."""

from __future__ import annotations

import select
import socket
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from gateway.errors import StoreBusy, StoreUnknown
from gateway.store import Store

from .made import find_or_create
from .postgres import Server

SOCKET = ".s.PGSQL.5432"


class Between(socketserver.ThreadingUnixStreamServer):
    """Passes everything on. `cut`: the connection that commits next ends there; True = once that is carried out."""

    def __init__(self, folder: Path, server: Server) -> None:
        super().__init__(str(folder / SOCKET), Passing)
        self.behind = str(server.folder / SOCKET)
        self.cut: bool | None = None


class Passing(socketserver.BaseRequestHandler):
    server: Between
    commit = b"not prepared yet"

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as behind:
            behind.connect(self.server.behind)
            while True:
                for one in select.select([self.request, behind], [], [])[0]:
                    data = one.recv(65_536)
                    if not data:
                        return
                    if one is self.request and self._commits(data) and self.server.cut is not None:
                        if self.server.cut:
                            behind.sendall(data)
                            behind.recv(65_536)
                        return
                    (behind if one is self.request else self.request).sendall(data)

    def _commits(self, data: bytes) -> bool:
        """Statements are prepared with their text (Parse), and carried out by name (Bind)."""
        if b"\0COMMIT\0" in data:
            self.commit = data[5 : data.index(b"\0COMMIT\0")]
            return False
        return data[:1] == b"B" and b"\0" + self.commit + b"\0" in data


@contextmanager
def between(server: Server) -> Iterator[Between]:
    with tempfile.TemporaryDirectory() as folder, Between(Path(folder), server) as passing:
        thread = threading.Thread(target=passing.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield passing
        finally:
            passing.shutdown()
            thread.join()


@pytest.mark.parametrize("carried_out", [False, True])
def test_a_commit_without_an_answer_is_unknown_and_may_be_said_twice(bundled_postgres: Server, carried_out: bool):
    with bundled_postgres.database() as url, between(bundled_postgres) as passing:
        folder = Path(str(passing.server_address)).parent
        with closing(Store.open(url.replace(str(bundled_postgres.folder), str(folder)))) as store:
            store.write_now(find_or_create("0"))
            passing.cut = carried_out
            with pytest.raises(StoreUnknown) as caught:
                store.write_now(find_or_create("1"))
            assert caught.value.transient
            passing.cut = None
            assert store.query_now(lambda reader: reader.last_seq()) == (2 if carried_out else 1)
            store.write_now(find_or_create("1"))
            assert store.query_now(lambda reader: reader.last_seq()) == 2


def test_a_server_that_was_made_a_standby_is_left_for_the_next(bundled_postgres: Server):
    with bundled_postgres.database() as url, closing(Store.open(url)) as store:
        store.write_now(find_or_create("0"))
        _read_only(bundled_postgres, url, "on")
        for _ in ("cut", "read only", "read only still"):
            with pytest.raises(StoreBusy) as caught:
                store.write_now(find_or_create("1"))
            assert caught.value.transient
        _read_only(bundled_postgres, url, "off", cut=False)
        with suppress(StoreBusy):  # by a session of before
            store.write_now(find_or_create("1"))
        store.write_now(find_or_create("1"))
        assert store.query_now(lambda reader: reader.last_seq()) == 2


def _read_only(server: Server, url: str, value: str, *, cut: bool = True) -> None:
    """As a standby would be found behind the same name; `cut`: it ends all sessions first."""
    name = url.split("/")[3].split("?")[0]
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")
        if cut:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
