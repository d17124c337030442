"""HMS-API's words in a connector's body, as ours: a profile as `type`, a signed webhook as a scheme of `auth`.

`auth` says how we show them who we are, `sync` how they show it; HMS-API lists both kinds under `auth.scheme`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gateway.errors import InvalidInput

_SIGNED = "signedWebhook"
_ALGORITHMS = ("HMAC-SHA256", "SHA256", "HMACSHA256")
_TYPES = ("FHIR", "REST", "CCDA")


def as_ours(body: Mapping[str, Any], profiles: Collection[str], where: str) -> dict[str, Any]:
    """The body with the words that the connector file has. Raises InvalidInput for a type that there is not."""
    return _signed(_typed(dict(body), profiles, where), where)


def _typed(body: dict[str, Any], profiles: Collection[str], where: str) -> dict[str, Any]:
    given = body.get("type")
    if given is None or given in _TYPES:
        return body
    if given not in profiles:  # HL7 v2 among them, until it exists
        raise InvalidInput(f"{where}.type must be one of {', '.join((*_TYPES, *profiles))}")
    del body["type"]
    return {"profile": given, **body}


def _signed(body: dict[str, Any], where: str) -> dict[str, Any]:
    auth = body.get("auth")
    if not isinstance(auth, dict) or auth.get("scheme") != _SIGNED:
        return body
    if str(auth.get("algorithm", _ALGORITHMS[0])).upper() not in _ALGORITHMS:
        raise InvalidInput(f"{where}.auth.algorithm must be {_ALGORITHMS[0]}")
    sync = dict(body.get("sync") or {})
    for name, value in (("secret", auth.get("secret")), ("header", auth.get("header"))):
        if value is not None:
            sync.setdefault(name, value)
    if "header" in auth:
        sync.setdefault("signature", "hmac")
    rest = {name: value for name, value in auth.items() if name not in ("secret", "header", "algorithm")}
    return {**body, "auth": {**rest, "scheme": "none"}, "sync": sync}
