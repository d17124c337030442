"""Store: the one way in. Writes are jobs in the writer's turn, reads are functions of a Reader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from weakref import WeakKeyDictionary

from gateway.errors import InvalidInput

from .clock import Clock
from .migrate import migrate as migrate_database
from .mutations import Mutations
from .reader import Reader
from .rows import AuditRow
from .source import Statements
from .sql import Backend
from .tx import Tx
from .vault import Vault
from .writer import Done, Waiting, Writer

T = TypeVar("T")
READERS = 8


class Store:
    """Open once per process. `write` and `query` for the event loop, `write_now` and `query_now` for threads."""

    def __init__(self, backend: Backend, vault: Vault | None, clock: Clock | None = None) -> None:
        self._backend = backend
        self._vault = vault
        self._statements = Statements(backend.flavour)
        self._writer = Writer(backend, self._statements, Mutations(backend.flavour), vault, clock)
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Done] = WeakKeyDictionary()

    @classmethod
    def open(
        cls, url: str | Path, *, key: bytes | None = None, migrate: bool = True, clock: Clock | None = None
    ) -> Store:
        """`url`: a path, `sqlite:///path` or `postgresql://user@host/name`. `key`: opens the vault.

        Raises GatewayError when the schema is newer than this program, or older and `migrate` is False.
        """
        vault = None if key is None else Vault(key)
        return cls(_backend(str(url), migrate=migrate), vault, clock)

    def now(self) -> datetime:
        """By the clock that jobs go by: a read that begins now is later than all that was written here before."""
        return self._writer.clock.now()

    async def write(self, job: Callable[[Tx], T], *, about: Sequence[int] = ()) -> T:
        """What the job returns, after the commit; what it raises is raised here and concerns only this job.

        `about`: the rids that it will read, which are then read for all jobs of a batch at once.

        The job runs on the writer's thread, perhaps several times, so it must be pure but for the Tx.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._writer.put(Waiting(job, self._delivery_to(loop), future, about))
        return await future

    def _delivery_to(self, loop: asyncio.AbstractEventLoop) -> Done:
        """One wake-up of the loop per batch, not one per job."""
        done = self._loops.get(loop)
        if done is None:

            def done(finished: Sequence[Waiting]) -> None:
                with suppress(RuntimeError):  # the loop was closed while the job waited: nobody is there to tell
                    loop.call_soon_threadsafe(_settle_all, finished)

            self._loops[loop] = done
        return done

    def write_now(self, job: Callable[[Tx], T]) -> T:
        """The same, blocking: never on the event loop."""
        future: Future[T] = Future()
        self._writer.put(Waiting(job, _settle_all, future))
        return future.result()

    async def query(self, ask: Callable[[Reader], T]) -> T:
        """On SQLite at once in this thread (a point read is cheaper than a hop), on PostgreSQL in another."""
        if self._backend.inline:
            return self.query_now(ask)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.query_now, ask)

    def query_now(self, ask: Callable[[Reader], T]) -> T:
        """All reads of `ask` see the same moment."""
        statements, vault = self._statements, self._vault
        return self._backend.readers.read(lambda session: ask(Reader(session, statements, vault)))

    async def query_aside(self, ask: Callable[[Reader], T]) -> T:
        """For long reads: always in another thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.query_now, ask)

    def audit(self, row: AuditRow) -> None:
        """Written within a second; nobody waits."""
        self._writer.audit(row)

    def stats(self) -> dict[str, int]:
        """jobs, batches, commits, checkpoints and replans since this process opened the store."""
        return asdict(self._writer.counters)

    @property
    def waiting(self) -> int:
        """Jobs whose turn has not come: how far behind the writer is."""
        return self._writer.waiting

    def close(self) -> None:
        """Writes what waits first. Closing twice does nothing."""
        self._writer.close()
        self._threads.shutdown()
        self._backend.close()


def _settle_all(finished: Sequence[Waiting]) -> None:
    for waiting in finished:
        if waiting.future.cancelled():
            continue
        if waiting.error is not None:
            waiting.future.set_exception(waiting.error)
        else:
            waiting.future.set_result(waiting.result)


def _backend(url: str, *, migrate: bool) -> Backend:
    scheme, mark, place = url.partition("://")
    if mark and scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        from .postgres import PostgresBackend  # psycopg costs 60 ms: only for those who use it

        url = f"postgresql://{place}"
        migrate_database(url, allowed=migrate)
        return PostgresBackend(url)
    if mark and scheme != "sqlite":
        raise InvalidInput("DATABASE_URL must be postgresql://user@host/name; without it SQLite is in the data folder")
    from .sqlite import SqliteBackend, prepare

    path = Path(url.removeprefix("sqlite:///"))
    prepare(path)
    migrate_database(f"sqlite:///{path}", allowed=migrate)
    return SqliteBackend(path)
