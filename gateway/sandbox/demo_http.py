"""The demo's own HTTP caller: what a FHIR client, a partner or an operator would send, by the standard library."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from gateway.fhir import json

FHIR_JSON = "application/fhir+json"
_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, header names in lower case, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        """Raises Unparsable."""
        return json.decode(self.body)


def call(
    method: str, url: str, body: Any = None, *, headers: Mapping[str, str] | None = None, kind: str = "application/json"
) -> Answer:
    """One request; a body that is not bytes is sent as JSON. Raises OSError when nobody listens there."""
    parts = urlsplit(url)
    content = body if body is None or isinstance(body, bytes) else json.encode(body)
    sent = {**({"Content-Type": kind} if content is not None else {}), **(headers or {})}
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT)
    try:
        connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, content, sent)
        reply = connection.getresponse()
        return Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
    finally:
        connection.close()
