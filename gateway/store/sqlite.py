"""SQLite: one file, WAL, every commit on disk before it is acknowledged."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from sqlalchemy import FromClause, Table, bindparam, func, literal_column, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeEngine

from gateway.errors import GatewayError, InvalidInput, StoreBusy, StoreUnknown

from .pool import Pool
from .sql import Mutation, Query, Row, Stale, Statement, Step, compile_query, matching

BUSY_SECONDS = 5.0
_LOOK_AGAIN = 0.01
CHECKPOINT_PAGES = 16_384
"""About 64 MB of log between checkpoints: few fsyncs, and a start after a crash still takes well under a second."""
_BYTES_PER_LOAD = 1_024
_DIALECT = sqlite.dialect(paramstyle="qmark")


class SqliteFlavour:
    """Lists come as one JSON parameter; writes are executemany."""

    def query(self, statement: Statement) -> Query:
        return compile_query(statement, _DIALECT)

    def given(self, name: str, /, **columns: TypeEngine[Any]) -> FromClause:
        each = func.json_each(bindparam(name)).table_valued("value", name=f"each_{name}")
        fields = [
            func.json_extract(each.c.value, literal_column(f"'$[{place}]'"), type_=kind).label(field)
            for place, (field, kind) in enumerate(columns.items())
        ]
        return select(*fields).select_from(each).subquery(f"given_{name}")

    def insert(self, table: Table) -> Mutation:
        return _mutation(table.insert(), table, _own(table))

    def upsert(self, table: Table, key: Sequence[str], replace: Sequence[str]) -> Mutation:
        insert = sqlite.insert(table)
        fresh = {name: insert.excluded[name] for name in replace}
        statement = insert.on_conflict_do_update(index_elements=key, set_=fresh)
        return _mutation(statement, table, _own(table))

    def update(self, table: Table, values: Sequence[str], where: Mapping[str, str]) -> Mutation:
        fresh = {f"new_{name}": name for name in values}
        statement = table.update().ordered_values(*[(name, bindparam(new)) for new, name in fresh.items()])
        return _mutation(statement.where(*matching(table, where, bindparam)), table, {**fresh, **where})

    def delete(self, table: Table, where: Sequence[str]) -> Mutation:
        same = {f"old_{name}": name for name in where}
        return _mutation(table.delete().where(*matching(table, same, bindparam)), table, same)


def _own(table: Table) -> dict[str, str]:
    return {column.name: column.name for column in table.columns}


def _mutation(statement: Statement, table: Table, names: Mapping[str, str]) -> Mutation:
    query = compile_query(statement, _DIALECT)
    if query.order != tuple(names):
        raise AssertionError(f"{table.name}: parameters come as {query.order}, rows as {tuple(names)}")
    return Mutation(query.text, tuple(table.c[column].type for column in names.values()))


class SqliteSession:
    """One connection; the writer's does one BEGIN IMMEDIATE per batch."""

    def __init__(self, path: Path, *, cache_mb: int) -> None:
        self.failed = self.broken = False
        self.load = 0
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
        self._execute = self.connection.execute
        for pragma in (f"cache_size=-{cache_mb * 1024}", "synchronous=FULL", "temp_store=MEMORY"):
            self._execute(f"PRAGMA {pragma}")

    def begin(self) -> None:
        self._execute("BEGIN")

    def begin_write(self) -> None:
        with _translated():
            self._execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        with _translated():
            self._execute("COMMIT")

    def rollback(self) -> None:
        if self.connection.in_transaction:
            self._execute("ROLLBACK")

    def rows(self, query: Query, values: Mapping[str, Any]) -> list[Row]:
        parameters = [
            msgspec.json.encode(value).decode() if type(value) is list else value for value in query.arrange(values)
        ]
        try:  # not `with`: entering and leaving it costs as much as a point read
            return self._execute(query.text, parameters).fetchall()
        except _REFUSALS as error:
            _refuse(error)

    def apply(self, steps: Sequence[Step]) -> None:
        with _translated():
            for step in steps:
                _refuse_nul(step)
                cursor = self.connection.executemany(step.mutation.text, step.rows)
                if step.exact and cursor.rowcount != len(step.rows):
                    raise Stale
                self.load += len(step.rows) + _bytes(step) // _BYTES_PER_LOAD

    def close(self) -> None:
        self.connection.close()

    def checkpoint(self) -> int:
        """Pages that were in the log."""
        return int(self._execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])


class SqliteBackend:
    """Readers are pooled, so that any thread may read; checkpoints are ours to time and count. `pages`: of the log
    between two of them."""

    inline = True

    def __init__(self, path: Path, *, pages: int = CHECKPOINT_PAGES) -> None:
        self.flavour = SqliteFlavour()
        self._writer = SqliteSession(path, cache_mb=32)
        self._writer.connection.execute(f"PRAGMA wal_autocheckpoint={pages * 4}")
        self.readers = Pool(lambda: SqliteSession(path, cache_mb=4))
        self._pages, self._load_limit = pages, pages // 4
        self._copier = SqliteSession(path, cache_mb=1)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-checkpoint")
        self._copying: Future[int] | None = None

    def writer(self) -> SqliteSession:
        return self._writer

    def maintain(self) -> int:
        """Most of the log is copied in a thread of its own while commits go on. The log begins again only when nothing
        is left to copy, so the rest is done here, in the writer's turn: that is short."""
        if self._copying is not None and self._copying.done():
            return self._finish(self._copying)
        if self._copying is None and self._writer.load >= self._load_limit:
            self._copying = self._thread.submit(self._copier.checkpoint)
        return 0

    def _finish(self, copying: Future[int]) -> int:
        """The log's length is known only after a checkpoint, so the load per page is learned from the last one."""
        load, self._writer.load, self._copying = self._writer.load, 0, None
        copying.result()
        pages = max(self._writer.checkpoint(), 1)
        self._load_limit = min(max(load * self._pages // pages, 1_000), 1_000_000)
        return 2

    def close(self) -> None:
        self._thread.shutdown()
        self._copier.close()
        self.readers.close()
        self._writer.close()


def prepare(path: Path) -> None:
    """Create the file, its owner's only (SQLite gives the files beside it the same mode), in WAL mode. Processes may
    start at once, and the change of mode ignores the busy timeout: whoever comes second looks again.

    Raises GatewayError for a file that is no database of SQLite.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    try:
        _to_wal(path)
    except sqlite3.DatabaseError as error:
        raise GatewayError(f"{path} cannot be opened as a database: {error}") from None


def _to_wal(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)) as connection, _translated():
        latest = time.monotonic() + BUSY_SECONDS
        while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            try:
                connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > latest:
                    raise
                time.sleep(_LOOK_AGAIN)


_REFUSALS = (sqlite3.IntegrityError, sqlite3.OperationalError, OverflowError, UnicodeError)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _REFUSALS as error:
        _refuse(error)


def _refuse(error: Exception) -> NoReturn:
    """Raises it as the callers of a Session know it."""
    if isinstance(error, sqlite3.IntegrityError):
        if error.sqlite_errorcode in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
            raise Stale from error
    elif isinstance(error, sqlite3.OperationalError):
        code = error.sqlite_errorcode
        if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreBusy("the database is busy: nothing was written, try again") from None
        if code == sqlite3.SQLITE_IOERR_FSYNC:
            raise StoreUnknown("the disk failed while committing: whether it was stored is unknown") from None
        if code & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise StoreBusy("the database's disk is full or failing: nothing was written") from None
    else:
        raise InvalidInput("a number or text that cannot be stored") from None
    raise error


@lru_cache(maxsize=256)
def _columns(mutation: Mutation, kind: type) -> tuple[Callable[[Row], Any], ...]:
    return tuple(itemgetter(place) for place, column in enumerate(mutation.columns) if column.python_type is kind)


def _refuse_nul(step: Step) -> None:
    """SQLite would take it, PostgreSQL cannot: the same on both."""
    for column in _columns(step.mutation, str):
        if "\0" in "".join(filter(None, map(column, step.rows))):
            raise InvalidInput("a text holds the character U+0000, which cannot be stored")


def _bytes(step: Step) -> int:
    return sum(sum(map(len, filter(None, map(column, step.rows)))) for column in _columns(step.mutation, bytes))
