"""Tickets: short-lived addresses of something that was asked for; whoever holds one may fetch that thing until then.

A ticket names the request and is signed, so nothing is kept for it. It stands in a URL, therefore it is short-lived.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.errors import Missing

LIFE = timedelta(seconds=180)
ADT_LIFE = timedelta(seconds=600)


@dataclass(frozen=True, slots=True)
class Tickets:
    """`secret` signs them; `base` is where they are fetched."""

    secret: bytes = field(repr=False)
    base: str

    def url(self, request_id: str, form: str, now: datetime, life: timedelta = LIFE) -> str:
        said = f"{request_id}.{form}.{int((now + life).timestamp())}"
        return f"{self.base}/{said}.{self._sign(said)}"

    def open(self, ticket: str, now: datetime) -> tuple[str, str]:
        """The request and the form. Raises Missing for a ticket that is over, or none of ours."""
        said, _, signature = ticket.rpartition(".")
        if not hmac.compare_digest(self._sign(said).encode(), signature.encode("utf-8", "surrogateescape")):
            raise Missing("nothing is here, or no longer")
        request_id, form, until = said.split(".")
        if now.timestamp() > int(until):
            raise Missing("nothing is here, or no longer")
        return request_id, form

    def _sign(self, said: str) -> str:
        digest = hmac.new(self.secret, said.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
