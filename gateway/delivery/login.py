"""Login: the credentials of a connector, as its configuration says (RFC 7617 for basic)."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from gateway.connectors.config import API_KEY, OTHER_KEY, PASSWORD, Config
from gateway.connectors.protocol import Elsewhere


def fixed(config: Config, secrets: Mapping[str, str]) -> dict[str, str]:
    """The headers of a scheme whose credentials never change; none for the others."""
    if config.auth.scheme == "apiKey":
        return {config.auth.header: secrets[API_KEY]}
    if config.auth.scheme == "basic":
        pair = f"{config.auth.username}:{secrets[PASSWORD]}".encode()
        return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def elsewhere(config: Config, secrets: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The headers for an address beside the endpoint that takes a key of its own."""
    place = config.connector.elsewhere(config.chosen) if isinstance(config.connector, Elsewhere) else None
    return {place[0]: {place[1]: secrets[OTHER_KEY]}} if place and OTHER_KEY in secrets else {}
