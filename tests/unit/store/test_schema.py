"""The migrations make what the code expects, and every read that grows with the data has its index."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import get_args

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import gateway.store
from gateway.fhir.search import Order
from gateway.store import (
    Store,
    claims,
    compartments,
    health,
    incidents,
    partners,
    resources,
    search,
    subscribers,
    traffic,
)
from gateway.store.schema import REVISION, metadata
from gateway.store.search import Shape
from gateway.store.source import Build
from gateway.store.sqlite import SqliteFlavour

LISTS = {
    "_connectors",
    "_principals",
    "_conflicts",
    "_deliveries_in",
    "_audits",
    "_last",
    "_healths",
    "_incidents",
    "_stops",
    "_links_to",
    "_subscribers",
}
"""Small tables, or a limit and an order that walks the key."""

COUNTS = {"_messages", "_resources", "_message_states", "_delivery_states", "_owed", "_failed"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Store.open(tmp_path / "gateway.db").close()
    return tmp_path / "gateway.db"


def test_the_migrations_make_the_tables_of_the_code(path: Path):
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        migrated = _definitions(connection.connection.driver_connection)
    engine.dispose()
    fresh = create_engine("sqlite://")
    with fresh.begin() as connection:
        metadata.create_all(connection)
        assert migrated == _definitions(connection.connection.driver_connection)
    fresh.dispose()


def _definitions(connection: object) -> dict[str, str]:
    assert isinstance(connection, sqlite3.Connection)
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE name <> 'alembic_version' AND sql IS NOT NULL")
    return {name: " ".join(text.replace(",", ", ").split()) for name, text in rows}


def test_the_newest_migration_is_the_one_the_code_names():
    config = Config()
    config.set_main_option("script_location", str(Path(gateway.store.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_downgrading_and_upgrading_again(path: Path):
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(Path(gateway.store.__file__).parent / "migrations"))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    engine.dispose()
    store = Store.open(path)
    assert store.query_now(lambda reader: reader.last_seq()) == 0
    store.close()


def _reads() -> Iterator[tuple[str, Build]]:
    for module in (resources, partners, claims, traffic, health, incidents, subscribers):
        for name, value in vars(module).items():
            if getattr(value, "__annotations__", {}).get("return") == "Select[Any]" and name not in LISTS | COUNTS:
                yield name, value
    yield from (("_compartment", compartments._compartment), ("_counts", compartments._counts))
    for order in get_args(Order):
        for ids, several, whose in product((False, True), (None, "several"), (None, "first", "each")):
            name = f"search {order} {'ids' if ids else ''} {several or ''} {whose or ''}"
            yield name.rstrip(), search._search(Shape(ids, several, whose, ("ge",), order))


@pytest.mark.parametrize(("name", "build"), [pytest.param(*one, id=one[0]) for one in _reads()])
def test_no_read_walks_a_table(path: Path, name: str, build: Build):
    flavour = SqliteFlavour()
    query = flavour.query(build(flavour))
    connection = sqlite3.connect(path)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query.text}", [None] * len(query.order))]
    connection.close()
    walked = [step for step in plan if step.startswith("SCAN") and "VIRTUAL TABLE" not in step]
    assert [step for step in walked if "connector" not in step] == []
    halfway = [step for step in plan if step.endswith(("(type=?)", "(connector=?)", "(type=? AND kind=?)"))]
    assert halfway == [] or name in (
        "_secrets",
        *(f"search {one}" for one in get_args(Order)),
        "_health",
        "_open_incidents",
    )
