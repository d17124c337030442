"""Where tokens are kept: encrypted in the vault, changed under a lock that orders all processes and hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec

from gateway.connectors.config import CLIENT_SECRET, PRIVATE_KEY
from gateway.delivery import incidents
from gateway.delivery.health import NEEDS_REAUTH, Breaker, Sign
from gateway.delivery.login_tokens import Tokens
from gateway.errors import PartnerLoginExpired
from gateway.store import IncidentRow, Reader, Store, Tx, locks

TOKENS = "tokens"
_SHORTLY = 60.0
"""Seconds after a login within which a refusal may still be that of the one before."""


class Safe:
    """One connector's. Tokens of another configuration (`bound`) are none of its: they would be sent where they do not
    belong. `restored` is called when what waited for the login is due."""

    def __init__(self, store: Store, connector: str, bound: str, restored: Callable[[], None]) -> None:
        self._store = store
        self._connector = connector
        self._bound = bound
        self._restored = restored

    async def secrets(self) -> Mapping[str, str]:
        """By which we show who we are at the token endpoint."""
        found = await self._store.query(lambda reader: reader.secrets(self._connector))
        return {name: found[name] for name in (CLIENT_SECRET, PRIVATE_KEY) if name in found}

    async def tokens(self) -> Tokens | None:
        return await self._store.query(lambda reader: self._read(reader))

    async def take(self, stale: Tokens | None, lease: timedelta) -> int | Tokens | None:
        """The lock's fence, or what replaced `stale` meanwhile, or None while somebody else is at it."""

        def job(tx: Tx) -> int | Tokens | None:
            kept = self._read(tx)
            return kept if kept and kept != stale else locks.take(tx, self._lock, tx.now + lease)

        return await self._store.write(job)

    async def free(self, fence: int) -> None:
        await self._store.write(lambda tx: locks.free(tx, self._lock, fence))

    async def store(self, fence: int, stale: Tokens | None, fresh: Tokens) -> Tokens:
        """Keep what was fetched in place of `stale`; what somebody else kept meanwhile is newer, and stands."""

        def job(tx: Tx) -> Tokens:
            locks.free(tx, self._lock, fence)
            kept = self._read(tx)
            if kept and kept != stale:
                return kept
            self._keep(tx, fresh)
            return fresh

        kept = await self._store.write(job)
        await self._restore()
        return kept

    async def store_first(self, tokens: Tokens) -> None:
        """Keep what a person has just authorised, whatever stood there."""
        await self._store.write(lambda tx: self._keep(tx, tokens))
        await self._restore()

    async def refused(self, fence: int, stale: Tokens | None, error: PartnerLoginExpired) -> Tokens | None:
        """Say that somebody has to authorise again; unless somebody did meanwhile: those tokens."""

        def job(tx: Tx) -> tuple[Tokens | None, list[IncidentRow]]:
            locks.free(tx, self._lock, fence)
            kept = self._read(tx)
            if kept and kept != stale:
                return kept, []
            return None, incidents.note(tx, self._connector, Sign("login", error), Breaker())

        kept, news = await self._store.write(job)
        incidents.tell(news)
        return kept

    async def reconsider(self, tokens: Tokens) -> None:
        """A call that was under way with the login before may be refused after the new one was stored: what then waits
        for a person need not."""
        health = await self._store.query(lambda reader: reader.health(self._connector))
        if health is not None and 0 <= health.since.timestamp() - tokens.obtained < _SHORTLY:
            await self._restore()

    async def _restore(self) -> None:
        """The login works: what waited for it is due at once."""

        def job(tx: Tx) -> list[IncidentRow] | None:
            health = tx.health(self._connector)
            lost = health is not None and health.state == NEEDS_REAUTH
            return incidents.reauthorised(tx, self._connector) if lost else None

        news = await self._store.write(job)
        if news is not None:
            incidents.tell(news)
            self._restored()

    def _keep(self, tx: Tx, tokens: Tokens) -> None:
        tx.put_secret(self._connector, TOKENS, msgspec.json.encode((self._bound, tokens)).decode())

    def _read(self, reader: Reader) -> Tokens | None:
        text = reader.secrets(self._connector).get(TOKENS)
        bound, tokens = msgspec.json.decode(text, type=tuple[str, Tokens]) if text else ("", None)
        return tokens if bound == self._bound else None

    @property
    def _lock(self) -> str:
        return f"login {self._connector}"
