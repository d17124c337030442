"""Whether work touches anything outside of its own memory: files, sockets, processes (PEP 578 audit events)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_OUTSIDE = ("open", "socket.", "subprocess.", "os.", "shutil.", "tempfile.", "urllib.", "ctypes.dlopen", "import")
_watching = False
_touched: list[str] = []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event.startswith(_OUTSIDE):
        _touched.append(f"{event} {arguments[:1]}")


def install() -> None:
    """For the rest of this process: an audit hook cannot be taken away (PEP 578)."""
    sys.addaudithook(_note)


@contextmanager
def alone() -> Iterator[None]:
    """Raises AssertionError for what was touched within."""
    global _watching
    _touched.clear()
    _watching = True
    try:
        yield
    finally:
        _watching = False
    assert not _touched, f"touched the outside: {_touched[:5]}"
