"""Where tokens are kept: encrypted in the vault, changed under a lock that orders all processes and hosts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import msgspec

from gateway.connectors.config import CLIENT_SECRET, PRIVATE_KEY
from gateway.delivery.login_tokens import Tokens
from gateway.store import Reader, Store, Tx, locks

TOKENS = "tokens"
NEEDS_REAUTH = "needs_reauth"
CONNECTED = "connected"
_WAITING = ("pending", NEEDS_REAUTH)


class Safe:
    """One for all connectors of a process."""

    def __init__(self, store: Store) -> None:
        self._store = store

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

        return await self._store.write(job)

    async def store_first(self, connector: str, tokens: Tokens) -> None:
        """Keep what a person has just authorised, whatever stood there."""
        await self._store.write(lambda tx: _keep(tx, connector, tokens))

    async def refused(self, connector: str, fence: int, stale: Tokens | None) -> Tokens | None:
        """Say that somebody has to authorise again; unless somebody did meanwhile: those tokens."""

        def job(tx: Tx) -> Tokens | None:
            locks.free(tx, _lock(connector), fence)
            kept = _read(tx, connector)
            if kept and kept != stale:
                return kept
            if _state(tx, connector) not in ("paused", NEEDS_REAUTH):
                tx.set_connector_state(connector, NEEDS_REAUTH)
            return None

        return await self._store.write(job)


def _keep(tx: Tx, connector: str, tokens: Tokens) -> None:
    tx.put_secret(connector, TOKENS, msgspec.json.encode(tokens).decode())
    if _state(tx, connector) in _WAITING:
        tx.set_connector_state(connector, CONNECTED)


def _read(reader: Reader, connector: str) -> Tokens | None:
    text = reader.secrets(connector).get(TOKENS)
    return msgspec.json.decode(text, type=Tokens) if text else None


def _state(reader: Reader, connector: str) -> str | None:
    return next((row.state for row in reader.connectors() if row.name == connector), None)


def _lock(connector: str) -> str:
    return f"login {connector}"
