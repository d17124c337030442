"""PostgreSQL: one unnest statement per table in one pipeline; one advisory lock orders the writers of all processes.

The lock is taken with BEGIN, so a job sees everything committed before it and `seq` is the commit order: a reader
of the feed never skips a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy import ARRAY, FromClause, Table, bindparam, cast, column, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from gateway.errors import InvalidInput, StoreBusy, StoreUnknown

from .arrays import ByteaArray, ByteaArrayDumper, encoder, of_rows
from .pool import Pool
from .sql import Mutation, Query, Row, Session, Stale, Statement, Step, compile_query

LOCK = 7_240_553_002
LOCK_SECONDS = 10
_DIALECT = postgresql.psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call]  # SQLAlchemy's own
_OPTIONS = {
    "enable_seqscan": "off",  # young tables have no statistics: every read of ours has its index
    "enable_bitmapscan": "off",
    "enable_material": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "timezone": "UTC",
    "client_encoding": "UTF8",
}
_GONE = (errors.ReadOnlySqlTransaction, errors.IdleInTransactionSessionTimeout)
"""A server that was made a standby since we connected, or that ended our session: another connection is needed."""
_UNREACHABLE = "the database cannot be reached: nothing was written, try again"


class PostgresFlavour:
    """Lists and rows come as one array per column."""

    def query(self, statement: Statement) -> Query:
        return compile_query(statement, _DIALECT)

    def given(self, name: str, /, **columns: TypeEngine[Any]) -> FromClause:
        arrays = [cast(bindparam(f"{name}_{place}", "{}"), ARRAY(kind)) for place, kind in enumerate(columns.values())]
        fields = [column(field, kind) for field, kind in columns.items()]
        return func.unnest(*arrays).table_valued(*fields, name=f"given_{name}").render_derived()

    def insert(self, table: Table) -> Mutation:
        source, kinds = _source(table, {column.name: column.name for column in table.columns})
        statement = postgresql.insert(table).from_select(list(table.columns), select(*source.c))
        return Mutation(self.query(statement).text, kinds)

    def upsert(self, table: Table, key: Sequence[str], replace: Sequence[str]) -> Mutation:
        source, kinds = _source(table, {column.name: column.name for column in table.columns})
        insert = postgresql.insert(table).from_select(list(table.columns), select(*source.c))
        fresh = {name: insert.excluded[name] for name in replace}
        statement = insert.on_conflict_do_update(index_elements=key, set_=fresh)
        return Mutation(self.query(statement).text, kinds)

    def update(self, table: Table, values: Sequence[str], where: Mapping[str, str]) -> Mutation:
        source, kinds = _source(table, {f"new_{name}": name for name in values} | dict(where))
        same = [table.c[of] == source.c[name] for name, of in where.items()]
        statement = table.update().values({name: source.c[f"new_{name}"] for name in values}).where(*same)
        return Mutation(self.query(statement).text, kinds)

    def delete(self, table: Table, where: Sequence[str]) -> Mutation:
        source, kinds = _source(table, {name: name for name in where})
        statement = table.delete().where(*[table.c[name] == source.c[name] for name in where])
        return Mutation(self.query(statement).text, kinds)


def _source(table: Table, names: Mapping[str, str]) -> tuple[FromClause, tuple[TypeEngine[Any], ...]]:
    kinds = tuple(table.c[of].type for of in names.values())
    arrays = [cast(bindparam(f"c{place}"), ARRAY(kind)) for place, kind in enumerate(kinds)]
    fields = [column(name, kind) for name, kind in zip(names, kinds, strict=True)]
    return func.unnest(*arrays).table_valued(*fields, name="fresh").render_derived(), kinds


class PostgresSession:
    """One connection; BEGIN travels with the first statement."""

    def __init__(self, conninfo: str, *, begin: Sequence[str]) -> None:
        self.failed = self.broken = False
        self._conninfo = conninfo
        self._begin = begin
        self._begun = False
        self._connection = _connect(conninfo)

    def begin(self) -> None:
        self._begun = self.failed = False

    def begin_write(self) -> None:
        """Waits for the writers of other processes. Connects again when the connection was lost."""
        if self._connection.closed or self.broken:
            self.close()
            self._connection = _connect(self._conninfo)
        self.failed = self.broken = False
        with self._translated(), self._connection.pipeline():
            self._start()

    def _start(self) -> None:
        self._begun = True
        for statement in self._begin:
            self._connection.execute(statement)

    def commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except psycopg.OperationalError:
            self.broken = True
            raise StoreUnknown("the database was lost while committing: whether it was stored is unknown") from None
        self._begun = False

    def rollback(self) -> None:
        if not self._begun:
            return
        self._begun = False
        try:
            self._connection.execute("ROLLBACK")
        except psycopg.Error:
            self.broken = True

    def rows(self, query: Query, values: Mapping[str, Any]) -> list[Row]:
        with self._translated():
            parameters = query.arrange(_expanded(values))
            if self._begun:
                return self._connection.execute(query.text, parameters).fetchall()
            with self._connection.pipeline():
                self._start()
                cursor = self._connection.execute(query.text, parameters)
            return cursor.fetchall()

    def apply(self, steps: Sequence[Step]) -> None:
        with self._translated():
            arranged = [_arranged(step) for step in steps]
            with self._connection.pipeline():
                cursors = [
                    self._connection.execute(step.mutation.text, parameters)
                    for step, parameters in zip(steps, arranged, strict=True)
                ]
            for step, cursor in zip(steps, cursors, strict=True):
                if step.exact and cursor.rowcount != len(step.rows):
                    raise Stale

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (errors.UniqueViolation, errors.SerializationFailure, errors.DeadlockDetected) as error:
            raise Stale from error
        except (psycopg.DataError, errors.ProgramLimitExceeded, UnicodeError):
            self.failed = True
            raise InvalidInput("a number or text that cannot be stored") from None
        except (errors.LockNotAvailable, errors.QueryCanceled):
            raise StoreBusy("the database is busy: nothing was written, try again") from None
        except (psycopg.OperationalError, psycopg.InterfaceError, *_GONE):
            self.broken = True
            raise StoreBusy(_UNREACHABLE) from None


class PostgresBackend:
    """Any number of processes and hosts."""

    inline = False

    def __init__(self, url: str) -> None:
        self.flavour = PostgresFlavour()
        conninfo = url.replace("postgresql+psycopg:", "postgresql:", 1)
        snapshot = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",)
        self.readers = Pool(lambda: PostgresSession(conninfo, begin=snapshot))
        self._writer = PostgresSession(conninfo, begin=("BEGIN", f"SELECT pg_advisory_xact_lock({LOCK})"))

    def writer(self) -> Session:
        return self._writer

    def maintain(self) -> int:
        """The server times its own checkpoints."""
        return 0

    def close(self) -> None:
        self.readers.close()
        self._writer.close()


def _connect(conninfo: str) -> psycopg.Connection[Row]:
    options = " ".join(f"-c {name}={value}" for name, value in _OPTIONS.items())
    try:
        connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=0, options=options)
    except psycopg.OperationalError:
        raise StoreBusy(_UNREACHABLE) from None
    connection.prepared_max = 500
    connection.adapters.register_dumper(ByteaArray, ByteaArrayDumper)
    return connection


def _expanded(values: Mapping[str, Any]) -> dict[str, Any]:
    expanded: dict[str, Any] = {}
    for name, value in values.items():
        if type(value) is list:
            expanded.update((f"{name}_{place}", array) for place, array in enumerate(of_rows(value)))
        else:
            expanded[name] = value
    return expanded


def _arranged(step: Step) -> list[Any]:
    encoders = _encoders(step.mutation)
    return [encode(column) for encode, column in zip(encoders, zip(*step.rows, strict=True), strict=True)]


@lru_cache(maxsize=256)
def _encoders(mutation: Mutation) -> tuple[Any, ...]:
    return tuple(encoder(kind) for kind in mutation.columns)
