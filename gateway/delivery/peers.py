"""Peers: where each connector's calls go and with which credentials, from what is configured and kept secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

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

    async def get(self, config: Config) -> Peer:
        """Raises PartnerRejected when the connector has no endpoint."""
        if config.endpoint is None:
            raise PartnerRejected(f"the connector {config.name} has no endpoint to call")
        secrets = await self._secrets(config.name)
        return Peer(
            config.name,
            config.endpoint,
            login.fixed(config, secrets),
            guard.networks(config.allow_networks),
            self._timeout,
            login=self._logins.find(config) if self._logins else None,
            others=login.elsewhere(config, secrets),
            identifier_key=secrets.get(IDENTIFIER_KEY),
            rate=config.rate_limit,
        )
