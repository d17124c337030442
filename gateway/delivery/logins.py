"""Logins: one per connector and process, and the loop that refreshes them ahead of time."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable

import structlog

from gateway.connectors.config import Config
from gateway.delivery import guard
from gateway.delivery.http import Outbound, Peer
from gateway.delivery.login import OAuth2
from gateway.delivery.login_safe import Safe
from gateway.errors import GatewayError
from gateway.fhir import json
from gateway.store import Store

log = structlog.get_logger(__name__)

Configs = Callable[[], Awaitable[Iterable[Config]]]

_LONGEST_REST = 30.0
_SHORTEST_REST = 0.5


class Logins:
    """`callback`: our own redirect address. `timeout`: seconds that a token request may take. `restored` is called when
    what waited for a login is due."""

    def __init__(
        self,
        store: Store,
        outbound: Outbound,
        *,
        callback: str,
        timeout: float,
        restored: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._restored = restored
        self._outbound = outbound
        self._callback = callback
        self._timeout = timeout
        self._logins: dict[str, OAuth2] = {}

    def find(self, config: Config) -> OAuth2 | None:
        """The login of a connector; None when its credentials never change."""
        if config.auth.scheme != "OAuth2" or config.endpoint is None:
            return None
        known = self._logins.get(config.name)
        if known is None or known.config != config:
            known = self._logins[config.name] = self._made(config, config.endpoint)
        return known

    async def run(self, configs: Configs) -> None:
        """Refresh whatever is about to end, until cancelled."""
        while True:
            try:
                rest = await self._refresh(configs)
            except Exception as error:  # this loop must outlive a database that is away
                log.error("looking for logins failed", error=type(error).__name__)
                rest = _SHORTEST_REST
            await asyncio.sleep(rest)

    async def _refresh(self, configs: Configs) -> float:
        """Seconds until the next is due."""
        found = [login for config in await configs() if (login := self.find(config)) is not None]
        due = await asyncio.gather(*map(_ahead, found))
        rest = min((at for at in due if at is not None), default=float("inf")) - time.time()
        return min(max(rest, _SHORTEST_REST), _LONGEST_REST)

    async def close(self) -> None:
        """Refreshes under way are brought to their end."""
        await asyncio.gather(*(login.close() for login in self._logins.values()))

    def _made(self, config: Config, endpoint: str) -> OAuth2:
        peer = Peer(config.name, endpoint, networks=guard.networks(config.allow_networks), timeout=self._timeout)
        safe = Safe(self._store, config.name, _bound(config), self._restored)
        return OAuth2(config, peer, safe, self._outbound, callback=self._callback)


def _bound(config: Config) -> str:
    """What tokens are for: where they are sent, whose they are, and what they may do."""
    auth = config.auth
    meant = (config.endpoint, auth.grant, auth.client_id, auth.token_url, auth.scope)
    return hashlib.sha256(json.encode(meant)).hexdigest()


async def _ahead(login: OAuth2) -> float | None:
    """When it is due next; a failure is tried again at the next round, and told by those who need the login."""
    try:
        return await login.refresh_ahead()
    except GatewayError as error:
        log.warning("login not refreshed", connector=login.config.name, error=type(error).__name__)
        return None
