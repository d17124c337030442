"""The denominator in the database: the rows that the gateway wrote, by hand-written SQL in batches of 8 Bundles."""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path

BATCH = 8
_ORDER = ("message", "resource", "version", "identity_key", "identifier", "record", "link", "delivery", "audit")


def seconds_per_bundle(written: Path, folder: Path) -> tuple[float, float]:
    """(seconds, rows) per Bundle: every row of `written` into an empty copy of its schema, synchronous FULL."""
    source = sqlite3.connect(written)
    bundles = source.execute("SELECT count(*) FROM message").fetchone()[0]
    target = sqlite3.connect(_empty_copy(written, folder), isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=4000", "cache_size=-65536"):
        target.execute(f"PRAGMA {pragma}")
    tables = {table: source.execute(f"SELECT * FROM {table}").fetchall() for table in _ORDER}
    began = time.perf_counter()
    batches = max(1, bundles // BATCH)
    for batch in range(batches):
        target.execute("BEGIN IMMEDIATE")
        for table, rows in tables.items():
            part = rows[len(rows) * batch // batches : len(rows) * (batch + 1) // batches]
            if part:
                marks = ",".join("?" * len(part[0]))
                target.executemany(f"INSERT INTO {table} VALUES ({marks})", part)
        target.execute("COMMIT")
    seconds = time.perf_counter() - began
    return seconds / bundles, sum(map(len, tables.values())) / bundles


def _empty_copy(written: Path, folder: Path) -> Path:
    copy = folder / "replay.db"
    shutil.copy(written, copy)
    connection = sqlite3.connect(copy, isolation_level=None)
    for table in _ORDER:
        connection.execute(f"DELETE FROM {table}")
    connection.execute("VACUUM")
    connection.close()
    return copy
