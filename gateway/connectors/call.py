"""Call and Reply: the HTTP of a partner as values, so that a connector runs without a network in tests."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.fhir import json
from gateway.fhir.json import Resource


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `path` is relative to the connector's endpoint; `json` is encoded by the sender.

    `safe` = may be repeated without effect (GET); a call that is not safe and times out is *unknown*.
    """

    method: str
    path: str
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    params: tuple[tuple[str, str], ...] = ()

    @property
    def safe(self) -> bool:
        return self.method in ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; header names in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        """Raises Unparsable when the body is not JSON."""
        return json.decode(self.body)


@dataclass(frozen=True, slots=True)
class Seen:
    """Their copy as read, translated to FHIR. `body` None = they do not hold it. `at` = their own last-updated time
    as ISO text, when they tell. `version` = what a conditional write names (ETag)."""

    remote_id: str | None
    body: Resource | None
    at: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """They took it. `body` = what they now display, as FHIR, None when they did not say."""

    remote_id: str
    body: Resource | None = None
    at: str | None = None
    version: str | None = None


Read = Generator[Call, Reply, Seen]
Push = Generator[Call, Reply, Accepted]
