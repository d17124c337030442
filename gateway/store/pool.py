"""Sessions for readers, kept open, so that any thread may read at any time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from gateway.errors import StoreBusy

from .sql import Session

T = TypeVar("T")
IDLE = 8


class Pool:
    """Never makes anyone wait: what the idle ones cannot serve gets a session of its own."""

    def __init__(self, connect: Callable[[], Session]) -> None:
        self._connect = connect
        self._idle: list[Session] = []
        self._lock = threading.Lock()

    def read(self, ask: Callable[[Session], T]) -> T:
        """In a transaction: everything that it reads is of one moment. Where a kept session turns out to be lost, the
        server may have been started again: it is asked once more by a new one."""
        while True:
            session, kept = self._take()
            try:  # not a context manager: a generator's costs as much as the transaction
                session.begin()
                return ask(session)
            except StoreBusy:
                if not (kept and session.broken):
                    raise
            finally:
                session.rollback()
                self._give_back(session)

    def _take(self) -> tuple[Session, bool]:
        """A session, and whether it was kept from before."""
        with self._lock:
            if self._idle:
                return self._idle.pop(), True
        return self._connect(), False

    def _give_back(self, session: Session) -> None:
        """When one connection is broken the idle ones are suspect too."""
        with self._lock:
            if not session.broken and len(self._idle) < IDLE:
                self._idle.append(session)
                return
            suspect = [session, *self._idle] if session.broken else [session]
            self._idle = [] if session.broken else self._idle
        for one in suspect:
            one.close()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()
