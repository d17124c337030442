"""Stable ids: the same statement about the same patient has the same id in every export (RFC 9562 §5.5, UUIDv5)."""

from __future__ import annotations

import re
from hashlib import sha1
from uuid import UUID

NAMESPACE = UUID("5b0b7f6c-6a5e-5d2c-9a57-0f6f0f0c1a61")
_SEEDED = sha1(NAMESPACE.bytes, usedforsecurity=False)
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
_FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def name_based(*parts: str) -> str:
    """The UUIDv5 of the parts; written out because `uuid.uuid5` and its `str` take three times as long."""
    name = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    seeded = _SEEDED.copy()
    seeded.update(name)
    digest = seeded.hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{_VARIANT[digest[16]]}{digest[17:20]}-{digest[20:32]}"


def is_fhir_id(text: str) -> bool:
    """FHIR R4 §2.24.0.1 id."""
    return _FHIR_ID.fullmatch(text) is not None


def is_uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def full_url(resource_id: str) -> str:
    """`urn:uuid:<id>`; an id that is no UUID (the caller's patient id may be `123`) gets the UUID made of it, because
    `urn:uuid:123` is no UUID and a fullUrl has to be absolute (FHIR R4 §2.36.4)."""
    return f"urn:uuid:{resource_id.lower() if is_uuid(resource_id) else name_based('fullUrl', resource_id)}"
