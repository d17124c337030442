"""Every contract of the store holds on SQLite and on a real PostgreSQL, started by the test run itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet

from gateway.store import Store

from .postgres import Server, bundled_binaries, running, system_binaries

KEY = Fernet.generate_key()
TEMPLATE = "migrated"


def _server(binaries: Path) -> Iterator[Server]:
    with running(binaries, "fsync=off", "max_connections=60") as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
        Store.open(server.url(TEMPLATE)).close()
        yield server


@pytest.fixture(scope="session")
def bundled_postgres() -> Iterator[Server]:
    yield from _server(bundled_binaries())


@pytest.fixture(scope="session")
def system_postgres() -> Iterator[Server]:
    yield from _server(system_binaries())


@pytest.fixture(params=["sqlite", "postgresql", pytest.param("postgresql-system", marks=pytest.mark.system)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'gateway.db'}"
        return
    name = "bundled_postgres" if request.param == "postgresql" else "system_postgres"
    server: Server = request.getfixturevalue(name)
    with server.database(TEMPLATE) as url:
        yield url


@pytest.fixture
def open_store(database: str) -> Iterator[Callable[[], Store]]:
    """Opens the same database as often as asked: each is a gateway of its own."""
    opened: list[Store] = []

    def opener() -> Store:
        opened.append(Store.open(database, key=KEY))
        return opened[-1]

    yield opener
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    return open_store()
