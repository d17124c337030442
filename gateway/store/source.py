"""Reads: in bulk, one statement each, compiled at first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .sql import Flavour, Query, Row, Session, Statement
from .vault import Vault

Build = Callable[[Flavour], Statement]


class Statements:
    """The compiled statements of one database, by the function that builds them."""

    def __init__(self, flavour: Flavour) -> None:
        self._flavour = flavour
        self._compiled: dict[object, Query] = {}

    def get(self, build: Build) -> Query:
        query = self._compiled.get(build)
        if query is None:
            query = self._compiled[build] = self._flavour.query(build(self._flavour))
        return query


class Source:
    """What every group of reads stands on: a session in a transaction, and the compiled statements."""

    def __init__(self, session: Session, statements: Statements, vault: Vault | None) -> None:
        self._session = session
        self._statements = statements
        self._vault = vault

    def ask(self, build: Build, values: Mapping[str, Any]) -> list[Row]:
        """The rows of a statement; for the modules of this package."""
        return self._session.rows(self._statements.get(build), values)
