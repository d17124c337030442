"""UUIDv7: our public ids, which sort by the time they were made (RFC 9562 §5.7)."""

from __future__ import annotations

import os
import threading
from datetime import datetime
from functools import lru_cache

_DIGITS = 19
"""Hexadecimal digits drawn for one id: 74 of their bits are used."""

_DRAWN_AT_ONCE = 256
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class _Pool(threading.local):
    """Random digits drawn many at a time: a system call per id would cost more than the id."""

    def __init__(self) -> None:
        self.digits = ""
        self.at = 0


_pool = _Pool()


def new_id(at: datetime) -> str:
    """A fresh id; 48 bits of milliseconds, then random."""
    drawn = _random()
    return f"{_time(at)}-7{drawn[:3]}-{_VARIANT[drawn[3]]}{drawn[4:7]}-{drawn[7:]}"


def may_be_ours(id_: object) -> bool:
    """Whether an id has the form of those that are made here."""
    return isinstance(id_, str) and len(id_) == 36 and id_[14] == "7"


@lru_cache(maxsize=64)  # a message makes all its ids at its one moment
def _time(at: datetime) -> str:
    time = f"{int(at.timestamp() * 1000) & 0xFFFFFFFFFFFF:012x}"
    return f"{time[:8]}-{time[8:]}"


def _random() -> str:
    pool = _pool
    if pool.at == len(pool.digits):
        pool.digits, pool.at = os.urandom(_DIGITS * _DRAWN_AT_ONCE // 2).hex(), 0
    drawn = pool.digits[pool.at : pool.at + _DIGITS]
    pool.at += _DIGITS
    return drawn
