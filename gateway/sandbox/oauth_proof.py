"""What a client shows at a stand-in's token endpoint, checked: Basic, PKCE (RFC 7636), signed assertions (RFC 7523)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from gateway.errors import Unparsable
from gateway.fhir import json

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_LIFE = 300
"""Seconds an assertion may live (SMART Backend Services 2.2)."""
_HALF = 48
"""Bytes of each of the two numbers of an ES384 signature (RFC 7518 §3.4)."""


def basic_pair(header: str) -> tuple[str | None, str]:
    """Client id and secret of a Basic header, as CampDoc reads them: `base64(client_id:client_secret)`; None when
    there is none."""
    scheme, _, coded = header.partition(" ")
    if scheme.lower() != "basic":
        return None, ""
    try:
        name, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, secret


def fits_challenge(challenge: str | None, verifier: str | None) -> bool:
    """PKCE, S256 only. A verifier without a challenge is refused as well."""
    if challenge is None or verifier is None:
        return challenge is None and verifier is None
    digest = hashlib.sha256(verifier.encode()).digest()
    made = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return 43 <= len(verifier) <= 128 and hmac.compare_digest(made, challenge)


def check_assertion(
    form: Mapping[str, str], client: str, key: Mapping[str, str], audience: str, now: float
) -> str | None:
    """The `jti` of an assertion that is signed by `key` (a public JWK), for us, and fresh; else None."""
    parts = form.get("client_assertion", "").split(".")
    if form.get("client_assertion_type") != JWT_BEARER or len(parts) != 3:
        return None
    try:
        header, claims = (json.decode(_bytes(part)) for part in parts[:2])
        signature = _bytes(parts[2])
    except (Unparsable, binascii.Error):
        return None
    mine = claims.get("iss") == claims.get("sub") == client and claims.get("aud") == audience
    expires = claims.get("exp")
    fresh = isinstance(expires, int) and now < expires <= now + LONGEST_LIFE
    jti = claims.get("jti")
    signed = _signed(f"{parts[0]}.{parts[1]}".encode(), signature, str(header.get("alg")), key)
    return jti if mine and fresh and signed and isinstance(jti, str) and header.get("typ") == "JWT" else None


def _signed(text: bytes, signature: bytes, algorithm: str, key: Mapping[str, str]) -> bool:
    try:
        if algorithm == "RS384" and key["kty"] == "RSA":
            public = rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
            public.verify(signature, text, padding.PKCS1v15(), SHA384())
        elif algorithm == "ES384" and key["kty"] == "EC" and len(signature) == 2 * _HALF:
            point = ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), ec.SECP384R1()).public_key()
            halves = (int.from_bytes(half) for half in (signature[:_HALF], signature[_HALF:]))
            point.verify(encode_dss_signature(*halves), text, ec.ECDSA(SHA384()))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _number(text: str) -> int:
    return int.from_bytes(_bytes(text))


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
