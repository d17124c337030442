"""Several processes on one database: kill -9, two slow writers and a tailing reader, starts at once, versions."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.errors import GatewayError, StoreBusy
from gateway.store import Store, Tx
from gateway.store.postgres import _connect
from gateway.store.sqlite import SqliteBackend, SqliteSession

from .made import MRN, create, held_by
from .postgres import Server

ROOT = Path(__file__).resolve().parents[2]

WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from gateway.store import Store
from tests.contract.made import create

store, prefix = Store.open(sys.argv[1]), sys.argv[2]

def one(number):
    value = f"{prefix}-{number}"
    store.write_now(create(value))
    sys.stdout.write(value + "\\n")
    sys.stdout.flush()

with ThreadPoolExecutor(8) as threads:
    list(threads.map(one, range(int(sys.argv[3]))))
store.close()
"""


def writer(url: str, prefix: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, url, prefix, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_nothing_acknowledged_is_lost_by_kill_9(database: str, open_store: Callable[[], Store]):
    acknowledged: list[str] = []
    for round_number in range(2):
        child = writer(database, f"round{round_number}", 1_000_000)
        assert child.stdout is not None
        acknowledged += [child.stdout.readline().strip() for _ in range(150)]
        os.kill(child.pid, signal.SIGKILL)
        acknowledged += [line.strip() for line in child.stdout if line.endswith("\n")]
        child.wait(10)
        child.stdout.close()
    store = open_store()
    pairs = [(MRN, value) for value in acknowledged]
    keys = store.query_now(lambda reader: held_by(reader, pairs))
    assert len(acknowledged) >= 300
    assert keys.keys() == set(pairs)
    current = store.query_now(lambda reader: reader.current(keys.values()))
    assert len(current) == len(pairs)
    total = store.query_now(lambda reader: reader.count("Patient"))
    feed = store.query_now(lambda reader: reader.feed(0, limit=100_000))
    assert [entry.seq for entry in feed] == list(range(1, total + 1))


def slow(value: str) -> Callable[[Tx], int]:
    """Long enough between its reads, its write and the commit that others are in the middle of theirs."""

    def job(tx: Tx) -> int:
        time.sleep(0.002)
        rid = create(value)(tx)
        time.sleep(0.002)
        return rid

    return job


def test_a_tailing_reader_never_skips_a_row(open_store: Callable[[], Store]):
    writers, reader = [open_store(), open_store()], open_store()
    seen: list[int] = []
    finished = threading.Event()

    def tail() -> None:
        while True:
            last_round = finished.is_set()
            page = reader.query_now(lambda one: one.feed(seen[-1] if seen else 0, limit=7))
            seen.extend(entry.seq for entry in page)
            if last_round and not page:
                return

    tailing = threading.Thread(target=tail)
    tailing.start()
    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(writers[n % 2].write_now, slow(str(n))) for n in range(60)]
        rids = {job.result() for job in jobs}
    finished.set()
    tailing.join(60)
    assert len(rids) == 60
    assert seen == list(range(1, 61)), "a row became visible after a later one had been read"


def test_two_processes_write_at_once(database: str, open_store: Callable[[], Store]):
    children = [writer(database, name, 60) for name in ("left", "right")]
    for child in children:
        out, _ = child.communicate(timeout=60)
        assert child.returncode == 0 and len(out.split()) == 60
    feed = open_store().query_now(lambda reader: reader.feed(0, limit=1_000))
    assert [entry.seq for entry in feed] == list(range(1, 121))
    assert len({entry.rid for entry in feed}) == 120
    assert all(later.at > earlier.at for earlier, later in pairwise(feed))


@pytest.fixture(params=["sqlite", "postgresql"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'bare.db'}"
        return
    server: Server = request.getfixturevalue("bundled_postgres")
    with server.database() as url:
        yield url


def test_two_gateways_start_at_once_on_an_empty_database(bare: str):
    with ThreadPoolExecutor(4) as threads:
        stores = list(threads.map(lambda _: Store.open(bare), range(4)))
    assert sorted(store.write_now(create()) > 0 for store in stores) == [True] * 4
    for store in stores:
        store.close()


def test_an_older_database_is_left_alone_when_told(bare: str):
    with pytest.raises(GatewayError, match="older schema"):
        Store.open(bare, migrate=False)


def test_a_newer_database_is_refused(database: str):
    Store.open(database).close()
    if database.startswith("sqlite"):
        session = SqliteSession(Path(database.removeprefix("sqlite:///")), cache_mb=1)
        session.connection.execute("UPDATE alembic_version SET version_num = '9999'")
        session.close()
    else:
        with _connect(database) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(GatewayError, match="newer"):
        Store.open(database)


def test_postgresql_that_was_restarted_is_found_again(bundled_postgres: Server):
    with bundled_postgres.database() as url:
        _survives_a_restart(bundled_postgres, url)


def _survives_a_restart(server: Server, url: str) -> None:
    store = Store.open(url)
    store.write_now(create("1"))
    store.query_now(lambda reader: reader.last_seq())
    with _connect(server.url()) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [url.split("/")[3].split("?")[0]],
        )
    assert store.query_now(lambda reader: reader.last_seq()) == 1
    with pytest.raises(StoreBusy):
        store.write_now(create("2"))
    assert store.write_now(create("3")) > 0
    store.close()


def test_a_busy_sqlite_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.store.sqlite.BUSY_SECONDS", 0.1)
    path = tmp_path / "gateway.db"
    store = Store.open(path)
    blocker = SqliteSession(path, cache_mb=1)
    blocker.begin_write()
    with pytest.raises(GatewayError) as caught:
        store.write_now(create())
    assert caught.value.transient and caught.value.status == 503
    blocker.rollback()
    blocker.close()
    assert store.write_now(create()) > 0
    store.close()


def test_a_disk_that_is_full_stops_nothing_for_good(tmp_path: Path):
    """The limit of a file's size fails as a full disk does, in commits and in checkpoints."""
    path, body = tmp_path / "gateway.db", b"x" * 50_000
    Store.open(path).close()
    store = Store(SqliteBackend(path, pages=64), None)
    for _ in range(20):
        store.write_now(create(body=body))
    kept, unlimited = 20, resource.getrlimit(resource.RLIMIT_FSIZE)
    most = max(one.stat().st_size for one in tmp_path.iterdir()) + 200_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, unlimited[1]))
    try:
        for _ in range(60):
            try:
                store.write_now(create(body=body))
            except GatewayError as error:
                assert error.transient and error.status == 503
            else:
                kept += 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert kept < 80
    store.write_now(create(body=body))
    assert store.query_now(lambda reader: reader.last_seq()) == kept + 1
    store.close()


def test_checkpoints_are_few_and_counted(tmp_path: Path):
    store = Store.open(tmp_path / "gateway.db")
    for _ in range(60):
        store.write_now(create(body=b"x" * 2_000_000))
    stats = store.stats()
    assert stats["commits"] == 60
    assert 1 <= stats["checkpoints"] <= 20
    assert (tmp_path / "gateway.db-wal").stat().st_size < 130_000_000
    store.close()
