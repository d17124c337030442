"""Locks across processes and hosts: a name is held for a lease, and its fence proves that it still is.

All of it runs in a writer's job. A killed process' lease runs out and the next who asks takes the lock over.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, select

from .clock import to_micros
from .schema import lock
from .sql import Flavour, Step
from .tx import Tx

_FREE = 0


def _lock(_: Flavour) -> Select[Any]:
    return select(lock.c.fence, lock.c.until).where(lock.c.name == bindparam("name"))


def take(tx: Tx, name: str, until: datetime) -> int | None:
    """The fence of the lock, None while somebody else holds it. Of two who race, one job is planned again."""
    rows = tx.ask(_lock, {"name": name})
    if not rows:
        fence = tx.new_id()
        tx.apply([Step(tx.mutations.locks_new, [(name, fence, to_micros(until))])])
        return fence
    [(held, lasts)] = rows
    if lasts > to_micros(tx.now):
        return None
    fence = tx.new_id()
    tx.apply([Step(tx.mutations.locks_taken, [(fence, to_micros(until), name, held)], exact=True)])
    return fence


def free(tx: Tx, name: str, fence: int) -> bool:
    """False when the lease had run out and another took the lock over."""
    rows = tx.ask(_lock, {"name": name})
    if not rows or rows[0][0] != fence:
        return False
    tx.apply([Step(tx.mutations.locks_taken, [(fence, _FREE, name, fence)], exact=True)])
    return True
