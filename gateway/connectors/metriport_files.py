"""Metriport's short-lived addresses of files, which are called without our credentials."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Generator
from typing import Any

from gateway.connectors.call import Call, Reply
from gateway.errors import PartnerRejected, TooLarge, Unparsable

LARGEST = 50_000_000

Fetched = Generator[Call, Reply, Reply]


def alive(url: Any) -> Generator[Call, Reply, Reply | None]:
    """What stands at an address; None once it is dead, and for what is none."""
    reply = (yield Call("GET", url, auth=False)) if _is_address(url) else None
    return reply if reply is not None and reply.ok else None


def file(url: Any) -> Fetched:
    """What stands at a short-lived address, without our credentials. Raises PartnerRejected once it is dead."""
    reply = yield Call("GET", address(url), auth=False)
    if not reply.ok:
        raise PartnerRejected(f"fetching a file was answered with status {reply.status}: its address may have died")
    return reply


def address(url: Any) -> str:
    """An address that they named. Raises PartnerRejected for what is none."""
    if not _is_address(url):
        raise PartnerRejected("they name no address to fetch")
    return str(url)


def _is_address(url: Any) -> bool:
    return isinstance(url, str) and url.startswith(("http://", "https://"))


def plain(data: bytes) -> bytes:
    """Unpacked where it is gzip, within bounds: a small file may hold a very large one."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            plain = packed.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error):
        raise Unparsable("what they sent is no gzip") from None
    if len(plain) > LARGEST:
        raise TooLarge(f"what they sent is over the limit of {LARGEST} bytes once unpacked")
    return plain
