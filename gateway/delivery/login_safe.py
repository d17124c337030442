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
    """One for all connectors of a process. `restored` is called when what waited for a login is due."""

    def __init__(self, store: Store, restored: Callable[[], None]) -> None:
        self._store = store
        self._restored = restored

    async def secrets(self, connector: str) -> Mapping[str, str]:
        """By which we show who we are at the token endpoint."""
        found = await self._store.query(lambda reader: reader.secrets(connector))
        return {name: found[name] for name in (CLIENT_SECRET, PRIVATE_KEY) if name in found}

    async def tokens(self, connector: str) -> Tokens | None:
        return await self._store.query(lambda reader: _read(reader, connector))

    async def take(self, connector: str, stale: Tokens | None, lease: timedelta) -> int | Tokens | None:
        """The lock's fence, or what replaced `stale` meanwhile, or None while somebody else is at it."""

        def job(tx: Tx) -> int | Tokens | None:
            kept = _read(tx, connector)
            return kept if kept and kept != stale else locks.take(tx, _lock(connector), tx.now + lease)

        return await self._store.write(job)

    async def free(self, connector: str, fence: int) -> None:
        await self._store.write(lambda tx: locks.free(tx, _lock(connector), fence))

    async def store(self, connector: str, fence: int, stale: Tokens | None, fresh: Tokens) -> Tokens:
        """Keep what was fetched in place of `stale`; what somebody else kept meanwhile is newer, and stands."""

        def job(tx: Tx) -> Tokens:
            locks.free(tx, _lock(connector), fence)
            kept = _read(tx, connector)
            if kept and kept != stale:
                return kept
            _keep(tx, connector, fresh)
            return fresh

        kept = await self._store.write(job)
        await self._restore(connector)
        return kept

    async def store_first(self, connector: str, tokens: Tokens) -> None:
        """Keep what a person has just authorised, whatever stood there."""
        await self._store.write(lambda tx: _keep(tx, connector, tokens))
        await self._restore(connector)

    async def refused(
        self, connector: str, fence: int, stale: Tokens | None, error: PartnerLoginExpired
    ) -> Tokens | None:
        """Say that somebody has to authorise again; unless somebody did meanwhile: those tokens."""

        def job(tx: Tx) -> tuple[Tokens | None, list[IncidentRow]]:
            locks.free(tx, _lock(connector), fence)
            kept = _read(tx, connector)
            if kept and kept != stale:
                return kept, []
            return None, incidents.note(tx, connector, Sign("login", error), Breaker())

        kept, news = await self._store.write(job)
        incidents.tell(news)
        return kept

    async def reconsider(self, connector: str, tokens: Tokens) -> None:
        """A call that was under way with the login before may be refused after the new one was stored: what then waits
        for a person need not."""
        health = await self._store.query(lambda reader: reader.health(connector))
        if health is not None and 0 <= health.since.timestamp() - tokens.obtained < _SHORTLY:
            await self._restore(connector)

    async def _restore(self, connector: str) -> None:
        """The login works: what waited for it is due at once."""

        def job(tx: Tx) -> list[IncidentRow] | None:
            health = tx.health(connector)
            lost = health is not None and health.state == NEEDS_REAUTH
            return incidents.reauthorised(tx, connector) if lost else None

        news = await self._store.write(job)
        if news is not None:
            incidents.tell(news)
            self._restored()


def _keep(tx: Tx, connector: str, tokens: Tokens) -> None:
    tx.put_secret(connector, TOKENS, msgspec.json.encode(tokens).decode())


def _read(reader: Reader, connector: str) -> Tokens | None:
    text = reader.secrets(connector).get(TOKENS)
    return msgspec.json.decode(text, type=Tokens) if text else None


def _lock(connector: str) -> str:
    return f"login {connector}"
