"""What passed the gate: the same bytes are judged once, as the gate depends on nothing but what they say."""

from __future__ import annotations

import hashlib

from gateway.fhir import gate
from gateway.fhir.json import Json

MOST = 10_000
"""Bodies that are remembered, by 32 bytes each; senders repeat themselves soon, or in whole exports."""


class Passed:
    """One per process."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._names: dict[bytes, None] = {}

    def require(self, resource: Json, raw: bytes | None) -> None:
        """`raw`: the bytes that `resource` was read from, where it was. Raises NotConformant as the gate does."""
        if raw is None:
            gate.require(resource)
        elif (name := hashlib.sha256(raw).digest()) not in self._names:
            gate.require(resource)
            self._remember(name)

    def _remember(self, name: bytes) -> None:
        if len(self._names) >= self._most:
            del self._names[next(iter(self._names))]  # the one that came first
        self._names[name] = None
