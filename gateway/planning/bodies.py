"""Bodies: the stored form of a resource, its bytes made once (FHIR R4 §2.26.3.0 Resource.meta)."""

from __future__ import annotations

import hashlib
from datetime import datetime

from gateway.fhir import json, times
from gateway.fhir.json import Resource

LARGEST = 10**12
"""No resource ever has so many versions; what is larger names none, and would not fit into a column."""

_SERVED = ("versionId", "lastUpdated")
_NAME = 16
"""Bytes of a digest."""


def stored(content: Resource, public_id: str, number: int, at: datetime) -> Resource:
    """The content as the next version: our id, versionId and lastUpdated; everything else untouched."""
    meta = {"versionId": str(number), "lastUpdated": times.to_instant(at)}
    if "meta" in content:
        meta |= {name: value for name, value in content["meta"].items() if name not in _SERVED}
    body = {"resourceType": content["resourceType"], "id": public_id, "meta": meta} | content
    body["id"], body["meta"] = public_id, meta
    return body


def content_of(body: Resource) -> Resource:
    """What a version says, without what we put there: id, versionId and lastUpdated."""
    if "id" not in body and "meta" not in body:
        return body
    content = {name: value for name, value in body.items() if name not in ("id", "meta")}
    meta = {name: value for name, value in body.get("meta", {}).items() if name not in _SERVED}
    if meta:
        content["meta"] = meta
    return content


def digest(content: Resource) -> bytes:
    """A short name of a content: the same for the same JSON, every digit of a number included."""
    return hashlib.blake2b(json.canonical(content), digest_size=_NAME).digest()


def names_of(sent: Resource, shown: Resource | None) -> bytes:
    """What a record keeps of a content that was sent: its name and, where they show it otherwise (a narrative or a tag
    of their own, a date in another zone), the name of that."""
    return digest(sent) if shown is None or shown == sent else digest(sent) + digest(shown)


def is_known(kept: bytes | None, name: bytes) -> bool:
    """Whether a record's content has that name, as it was sent or stated, or as they show it."""
    return kept is not None and name in (kept[:_NAME], kept[_NAME:])


def version_number(text: str) -> int | None:
    """The version that a meta.versionId names; None when it can be none of ours."""
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(LARGEST)):
        return None
    return int(text)
