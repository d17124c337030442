"""Peers: where each connector's calls go and with which credentials, from what is configured and kept secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from gateway.connectors.config import IDENTIFIER_KEY, Config
from gateway.delivery import guard, login
from gateway.delivery.http import Peer
from gateway.delivery.logins import Logins
from gateway.errors import PartnerRejected

Secrets = Callable[[str], Awaitable[Mapping[str, str]]]
"""The secrets of a connector by its name, decrypted."""


class Peers:
    """One per process. `logins`: those that have to be fetched. `timeout`: seconds that an exchange may take."""

    def __init__(self, secrets: Secrets, *, logins: Logins | None = None, timeout: float = 30.0) -> None:
        self._secrets = secrets
        self._logins = logins
        self._timeout = timeout
        self._known: dict[str, tuple[Config, Mapping[str, str], Peer]] = {}

    async def get(self, config: Config) -> Peer:
        """Raises PartnerRejected when the connector has no endpoint."""
        return self.peer(config, await self._secrets(config.name))

    def peer(self, config: Config, secrets: Mapping[str, str]) -> Peer:
        """The same with secrets that were read already."""
        if config.endpoint is None:
            raise PartnerRejected(f"the connector {config.name} has no endpoint to call")
        peer = self._made(config, config.endpoint, secrets)
        fetched = self._logins.find(config) if self._logins else None
        return peer if fetched is None else replace(peer, login=fetched)

    def _made(self, config: Config, endpoint: str, secrets: Mapping[str, str]) -> Peer:
        """The peer without a login; made again when its configuration or a secret is another one."""
        known = self._known.get(config.name)
        if known is not None and known[0] is config and known[1] == secrets:
            return known[2]
        peer = Peer(
            config.name,
            endpoint,
            login.fixed(config, secrets),
            guard.networks(config.allow_networks),
            self._timeout,
            others=login.elsewhere(config, secrets),
            identifier_key=secrets.get(IDENTIFIER_KEY),
            rate=config.rate_limit,
        )
        self._known[config.name] = (config, secrets, peer)
        return peer
