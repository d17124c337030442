"""Waiting for what happens by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 20.0
_PAUSE = 0.02


async def until(probe: Callable[[], Awaitable[T]], *, seconds: float = PATIENCE) -> T:
    """The first answer of `probe` that holds; an AssertionError when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = await probe()
        if found:
            return found
        assert time.monotonic() < deadline, f"it did not happen in {seconds:.0f} s; last seen: {found!r}"
        await asyncio.sleep(_PAUSE)
