"""Core's statements compiled once, to be run as plain text with tuples (design: that is what makes it fast)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import ColumnElement, Delete, FromClause, Insert, Select, Table, Update
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

T = TypeVar("T")
Row = tuple[Any, ...]
Statement = Select[Any] | Insert | Update | Delete


class Stale(Exception):
    """What was planned no longer fits what is stored: a unique violation, or a row that has another version."""


@dataclass(frozen=True, slots=True)
class Query:
    """SQL text, the names of its parameters in order, and the constants among them."""

    text: str
    order: tuple[str, ...]
    constants: Mapping[str, Any]

    def arrange(self, values: Mapping[str, Any]) -> Row:
        constants = self.constants
        return tuple([values[name] if name in values else constants[name] for name in self.order])


@dataclass(frozen=True, slots=True, eq=False)  # its own hash: what is worked out of it once is looked up every time
class Mutation:
    """SQL that is run for many rows; `columns` are the types of a row's values in order."""

    text: str
    columns: tuple[TypeEngine[Any], ...]


class Step(NamedTuple):
    """Rows for one mutation. `exact`: every row must hit exactly one stored row, else Stale."""

    mutation: Mutation
    rows: Sequence[Row]
    exact: bool = False


class Flavour(Protocol):
    """How one database takes lists of rows."""

    def query(self, statement: Statement) -> Query: ...
    def given(self, name: str, /, **columns: TypeEngine[Any]) -> FromClause:
        """The rows of the parameter `name` (a list of tuples) as something to join with."""

    def insert(self, table: Table) -> Mutation: ...
    def upsert(self, table: Table, key: Sequence[str], replace: Sequence[str]) -> Mutation: ...
    def update(self, table: Table, values: Sequence[str], where: Mapping[str, str]) -> Mutation:
        """A row = the new values, then what the columns of `where` must be (name of the value -> column)."""

    def delete(self, table: Table, where: Sequence[str]) -> Mutation: ...


class Session(Protocol):
    """One connection. Errors: Stale, StoreBusy, InvalidInput (a value no database can hold).

    `failed`: an error has made the transaction unusable; `broken`: the connection too.
    """

    failed: bool
    broken: bool

    def begin(self) -> None: ...
    def begin_write(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def rows(self, query: Query, values: Mapping[str, Any]) -> list[Row]: ...
    def apply(self, steps: Sequence[Step]) -> None: ...
    def close(self) -> None: ...


class Readers(Protocol):
    def read(self, ask: Callable[[Session], T]) -> T:
        """In a read transaction: everything in it is of one moment."""


class Backend(Protocol):
    """A database. `inline`: reads are quick enough for the event loop's own thread."""

    @property
    def inline(self) -> bool: ...
    @property
    def flavour(self) -> Flavour: ...

    @property
    def readers(self) -> Readers: ...

    def writer(self) -> Session:
        """The session of the one writer."""

    def maintain(self) -> int:
        """After a commit; how many checkpoints it made."""

    def close(self) -> None: ...


def compile_query(statement: Statement, dialect: Dialect) -> Query:
    compiled = statement.compile(dialect=dialect)
    order = tuple(getattr(compiled, "positiontup", None) or ())
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return Query(str(compiled), order, constants)


def matching(table: Table, where: Mapping[str, str], value: Callable[[str], ColumnElement[Any]]) -> list[Any]:
    return [table.c[column] == value(name) for name, column in where.items()]
