"""UUIDv7: our public ids, which sort by the time they were made (RFC 9562 §5.7)."""

from __future__ import annotations

import os
import threading
from datetime import datetime

_DRAW = 10
"""Random bytes of one id: 74 bits are used."""


class _Pool(threading.local):
    """Random bytes drawn many at a time: a system call per id would cost more than the id."""

    def __init__(self) -> None:
        self.bytes = b""
        self.at = 0


_pool = _Pool()


def new_id(at: datetime) -> str:
    """A fresh id; 48 bits of milliseconds, then random."""
    random = int.from_bytes(_random())
    head = f"{int(at.timestamp() * 1000) & 0xFFFFFFFFFFFF:012x}"
    tail = f"{0x8000000000000000 | (random & 0x3FFFFFFFFFFFFFFF):016x}"
    return f"{head[:8]}-{head[8:]}-7{(random >> 62) & 0xFFF:03x}-{tail[:4]}-{tail[4:]}"


def _random() -> bytes:
    pool = _pool
    if pool.at + _DRAW > len(pool.bytes):
        pool.bytes, pool.at = os.urandom(_DRAW * 256), 0
    drawn = pool.bytes[pool.at : pool.at + _DRAW]
    pool.at += _DRAW
    return drawn
