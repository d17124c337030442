"""Bring a database to the schema of this program, one process at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from gateway.errors import GatewayError, InvalidInput, StoreBusy

from .schema import REVISION

LOCK = 7_240_553_001
"""Our advisory lock on PostgreSQL for migrations."""


def migrate(url: str, *, allowed: bool = True) -> None:
    """Safe when several processes start at once: the others wait and find the work done.

    Raises GatewayError when the schema is newer than this program, or older and `allowed` is False.
    """
    with _alone(url) as connection:
        current = _revision(connection)
        if current == REVISION:
            return
        if not allowed:
            raise GatewayError("the database has an older schema: start the gateway once, which brings it up to date")
        _upgrade(connection, current)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection, current: str | None) -> None:
    from alembic import command  # 200 ms that only a start with an old database pays
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise GatewayError(f"the database has schema {current}, which is newer than this program: update the program")
    command.upgrade(config, "head")


@contextmanager
def _alone(url: str) -> Iterator[Connection]:
    engine = _engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", _exclusive)
    try:
        with _connected(engine) as connection, connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            yield connection
    finally:
        engine.dispose()


def _engine(url: str) -> Engine:
    try:
        return create_engine(url)
    except (ArgumentError, ValueError):  # a port that is no number
        raise InvalidInput("DATABASE_URL cannot be read: write postgresql://user:password@host:port/name") from None


def _connected(engine: Engine) -> Connection:
    try:
        return engine.connect()
    except DBAPIError:
        raise StoreBusy("the database cannot be reached: is it running, and is DATABASE_URL right?") from None


def _leave_transactions_to_us(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA busy_timeout=30000")


def _exclusive(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN EXCLUSIVE")
