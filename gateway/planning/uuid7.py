"""UUIDv7: our public ids, which sort by the time they were made (RFC 9562 §5.7)."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime


def new_id(at: datetime) -> str:
    """A fresh id; 48 bits of milliseconds, then random."""
    milliseconds = int(at.timestamp() * 1000)
    random = secrets.randbits(74)
    value = (milliseconds << 80) | (0x7 << 76) | ((random >> 62) << 64) | (0b10 << 62) | (random & ((1 << 62) - 1))
    return str(uuid.UUID(int=value))
