"""The one writer: takes what is waiting into one transaction (group commit, no linger).

Jobs are pure, so on a unique violation or a stale row the whole batch is rolled back and planned again; after five
tries each job is alone.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import structlog

from gateway.errors import Conflict, GatewayError

from .ahead import Ahead
from .clock import Clock, from_micros, to_micros
from .keys import Keys
from .mutations import Mutations
from .rows import AuditRow
from .source import Statements
from .sql import Backend, Stale
from .tx import Turn, Tx
from .vault import Vault

log = structlog.get_logger(__name__)

Done = Callable[[Sequence["Waiting"]], None]

TRIES = 5
LARGEST_BATCH = 32
AUDIT_SECONDS = 0.5


class _Again(Exception):
    """A job failed after the transaction was touched: the others are planned again without it."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A job, whom to tell and, after its turn, what became of it.

    `about`: the rids that it will read. `done` is called on the writer's thread after the commit, once per batch with
    all that share it.
    """

    job: Callable[[Tx], Any]
    done: Done
    future: Future[Any] | asyncio.Future[Any]
    about: Sequence[int] = ()
    result: Any = None
    error: Exception | None = None


@dataclass(slots=True)
class Counters:
    """`commits` + `checkpoints` = how often the disk was made to keep what it had been given."""

    jobs: int = 0
    batches: int = 0
    commits: int = 0
    checkpoints: int = 0
    replans: int = 0


class Writer:
    """A thread with the only session that writes."""

    def __init__(
        self,
        backend: Backend,
        statements: Statements,
        mutations: Mutations,
        vault: Vault | None,
        clock: Clock | None = None,
    ) -> None:
        self.counters = Counters()
        self.clock = clock or Clock()
        self._backend = backend
        self._session = backend.writer()
        self._statements = statements
        self._mutations = mutations
        self._vault = vault
        self._keys = Keys(self._session, backend.flavour)
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._audits: list[AuditRow] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def put(self, waiting: Waiting) -> None:
        """Raises GatewayError when the store is closed."""
        if self._closing:
            raise GatewayError("the store is closed")
        self._queue.put(waiting)

    def audit(self, row: AuditRow) -> None:
        """Goes with the next batch, or alone within a second."""
        text = "".join([value for value in row if type(value) is str])
        plain = text.isascii() and "\0" not in text  # nearly always: one look instead of one for each value
        self._audits.append(row if plain else AuditRow._make(map(_storable, row)))
        if len(self._audits) == 1:
            self._queue.put(None)

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def close(self) -> None:
        """Everything that waits is written first."""
        self._closing = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        closed = False
        while not closed:
            closed = self._closing and self._queue.empty()
            batch = [] if closed else self._take()
            if batch or self._audits:
                self._write(batch)

    def _take(self) -> list[Waiting]:
        first = self._queue.get()
        if first is None and self._audits and not self._closing:
            first = self._linger()
        batch = [] if first is None else [first]
        while len(batch) < LARGEST_BATCH and not self._queue.empty():
            waiting = self._queue.get()
            if waiting is not None:
                batch.append(waiting)
        return batch

    def _linger(self) -> Waiting | None:
        """Only for audit rows that nobody waits for."""
        try:
            return self._queue.get(timeout=AUDIT_SECONDS)
        except queue.Empty:
            return None

    def _write(self, batch: Sequence[Waiting]) -> None:
        if not self._together(batch):
            for waiting in batch:
                waiting.error = None
                if not self._together([waiting]):
                    waiting.error = Conflict(
                        "another write took the same identity or version meanwhile; nothing was stored"
                    )
        self.counters.jobs += len(batch)
        for done in {waiting.done for waiting in batch}:
            done([waiting for waiting in batch if waiting.done is done])
        self._maintain()

    def _maintain(self) -> None:
        """What is committed is told of before: a failure here is nobody's, and the thread goes on."""
        try:
            self.counters.checkpoints += self._backend.maintain()
        except Exception as error:
            log.error("a checkpoint failed: the database's log grows until one succeeds", error=type(error).__name__)

    def _together(self, batch: Sequence[Waiting]) -> bool:
        """False when what was planned went stale every time."""
        stale = 0
        while stale < TRIES:
            try:
                self._attempt(batch)
            except Stale:
                stale += 1
                self.counters.replans += 1
            except _Again:
                self.counters.replans += 1
            except Exception as error:  # the writer's top: every caller learns why, and the thread goes on
                for waiting in batch:
                    waiting.error = waiting.error or error
                return True
            else:
                return True
        return False

    def _attempt(self, batch: Sequence[Waiting]) -> None:
        audits = self._audits[:]
        committed = False
        try:
            self._keys.refill()
            self._session.begin_write()
            turn = self._turn()
            self._read_ahead(batch, turn)
            for waiting in batch:
                if waiting.error is None:
                    self._play(waiting, turn)
            self._tx(turn).write_audits(audits)
            self._session.commit()
            committed = True
        finally:
            self._keys.settle(committed=committed)
            if not committed:
                self._session.rollback()
        del self._audits[: len(audits)]
        self.counters.batches += 1
        self.counters.commits += 1

    def _read_ahead(self, batch: Sequence[Waiting], turn: Turn) -> None:
        """What several jobs are going to read, by one question each to heads, records and links."""
        asking = [waiting.about for waiting in batch if waiting.about and waiting.error is None]
        if len(asking) > 1:
            turn.ahead = Ahead.read(self._tx(turn), {rid for about in asking for rid in about})

    def _play(self, waiting: Waiting, turn: Turn) -> None:
        tx = self._tx(turn)
        try:
            waiting.result = waiting.job(tx)
        except Stale:
            raise
        except Exception as error:  # a job's own failure is its caller's, not the batch's
            waiting.error = error
            if tx.wrote or self._session.failed:
                raise _Again from error

    def _tx(self, turn: Turn) -> Tx:
        now = self.clock.now(after=from_micros(turn.micros))
        turn.micros = to_micros(now)
        return Tx(self._session, self._statements, self._mutations, self._vault, self._keys, turn, now)

    def _turn(self) -> Turn:
        seq, micros = self._tx(Turn(0, 0)).last_change()
        return Turn(seq, micros)


def _storable(value: Any) -> Any:
    """A row that nobody waits for cannot be refused: what no database takes is replaced."""
    if isinstance(value, str) and not (value.isascii() and "\0" not in value):
        return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return value
