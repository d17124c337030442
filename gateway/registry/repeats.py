"""Repeats: a POST with an Idempotency-Key makes what it makes once, however often it is sent."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from gateway.errors import InvalidInput
from gateway.store import RepeatRow, Tx

_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Repeats:
    """One call of one principal. `asked`: a keyed digest of it, as its body may hold secrets; `id` None = it may not be
    known when it comes again."""

    principal: str
    asked: str
    id: str | None = None

    @classmethod
    def of(cls, key: str | None, principal: str, call: str, body: bytes, seal: bytes) -> Repeats:
        """`seal`: what digests are keyed with. Raises InvalidInput for a key that is too long."""
        if key is not None and len(key) > _LONGEST:
            raise InvalidInput(f"an Idempotency-Key has at most {_LONGEST} characters")
        asked = hmac.new(seal, call.encode() + b"\n" + body, hashlib.sha256).hexdigest()
        named = hashlib.sha256(f"repeat\n{principal}\n{key}".encode()).hexdigest() if key else None
        return cls(principal, asked, named)

    def before(self, tx: Tx) -> str | None:
        """The id of what it made the first time. Raises InvalidInput when the key was used for something else."""
        row = tx.repeat(self.id) if self.id else None
        if row is not None and row.asked != self.asked:
            raise InvalidInput("this Idempotency-Key was used for another request: take a fresh one")
        return row.made if row else None

    def note(self, tx: Tx, made: str) -> None:
        if self.id:
            tx.put_repeat(RepeatRow(self.id, self.principal, self.asked, made))
