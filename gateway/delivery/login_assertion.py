"""The signed proof of SMART Backend Services (App Launch 2.2, "Client Authentication: asymmetric"; RFC 7523)."""

from __future__ import annotations

import time
import uuid
from typing import Any

from jose import jwt
from jose.exceptions import JOSEError

from gateway.errors import InvalidInput, Unparsable
from gateway.fhir import json

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFE = 240
"""Seconds; they allow 300."""
_ALGORITHMS = {"RSA": "RS384", "EC": "ES384"}
"""One per kind of key."""


def make(client_id: str, audience: str, key: str) -> str:
    """A JWT for the token endpoint `audience`, signed by `key` (a private JWK as JSON). Never used twice.

    Raises InvalidInput when the key is none that can sign.
    """
    jwk = read_key(key)
    now = int(time.time())
    claims = {"iss": client_id, "sub": client_id, "aud": audience, "exp": now + _LIFE, "jti": str(uuid.uuid4())}
    headers = {"kid": jwk["kid"]} if isinstance(jwk.get("kid"), str) else {}
    try:
        return jwt.encode(claims, jwk, algorithm=_ALGORITHMS[jwk["kty"]], headers=headers)
    except (
        JOSEError,
        ValueError,
        TypeError,
        AttributeError,
    ):  # jose lets through what a broken key makes it stumble on
        raise InvalidInput(
            "auth.privateKey cannot sign: it must be an RSA or P-384 key with its private part"
        ) from None


def read_key(text: str) -> dict[str, Any]:
    """The JWK. Raises InvalidInput when it is no private RSA or P-384 key."""
    try:
        jwk = json.decode(text)
    except Unparsable:
        jwk = None
    kind = jwk.get("kty") if isinstance(jwk, dict) else None
    if kind not in _ALGORITHMS or "d" not in jwk or (kind == "EC" and jwk.get("crv") != "P-384"):
        raise InvalidInput("auth.privateKey must be a private JWK: RSA (RS384) or EC on P-384 (ES384)")
    found: dict[str, Any] = jwk
    return found
