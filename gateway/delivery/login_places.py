"""Where a system logs in and has tokens: as configured, else as a FHIR server says (SMART App Launch §Conformance)."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from gateway.connectors.call import Call
from gateway.connectors.config import Config
from gateway.delivery.http import Outbound, Peer
from gateway.errors import PartnerUnavailable


@dataclass(frozen=True, slots=True)
class Places:
    """`authorize` None where no browser is needed."""

    token: str
    authorize: str | None = None


class _Announced(msgspec.Struct):
    token_endpoint: str
    authorization_endpoint: str | None = None


async def find_places(config: Config, peer: Peer, outbound: Outbound) -> Places:
    """Raises PartnerUnavailable when they are neither configured nor announced."""
    auth = config.auth
    needed = auth.token_url is None or (auth.grant == "authorization_code" and auth.authorize_url is None)
    if not needed and auth.token_url is not None:
        return Places(auth.token_url, auth.authorize_url)
    call = Call("GET", "/.well-known/smart-configuration", headers={"accept": "application/json"}, auth=False)
    reply = await outbound.send(call, peer)
    found = reply.find(_Announced) if reply.ok else None
    if found is None or not _is_web(found.token_endpoint, found.authorization_endpoint):
        raise PartnerUnavailable(f"{config.name} has no .well-known/smart-configuration: set auth.tokenUrl")
    return Places(auth.token_url or found.token_endpoint, auth.authorize_url or found.authorization_endpoint)


def _is_web(*addresses: str | None) -> bool:
    """They are called, or a browser is sent there."""
    return all(address is None or address.startswith(("https://", "http://")) for address in addresses)
