"""Whether a FHIR server refused a write as its copy is another by now (FHIR R4 §3.1.0.5)."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import msgspec

from gateway.connectors.call import Call, Reply, absent, segment
from gateway.connectors.fhir_answers import FHIR_JSON, Held, complaint
from gateway.connectors.protocol import Item
from gateway.fhir.json import Resource

CONFLICT = (409, 412)
"""A version that is no longer the current one is 412 in FHIR R4 §3.1.0.5 and was 409 before, which servers kept (HAPI
FHIR). Both stand for other things too, and not every server gives the code that tells."""


def is_stale(items: Sequence[Item], reply: Reply) -> Generator[Call, Reply, bool]:
    """Whether it was refused as one of them is there in another version than was read, or no longer: as they say, else
    as they show."""
    read = [(item, item.remote_id) for item in items if item.version and item.remote_id]
    code, only_known = complaint(reply).code, all(item.remote_id for item in items)
    if code == "multiple-matches":
        return False
    if read and reply.status == 412 and (code == "conflict" or only_known):
        return True
    for item, remote_id in read:
        reply = yield Call("GET", f"/{item.type}/{segment(remote_id)}", headers={"accept": FHIR_JSON})
        if absent(reply) is not None:
            return True
        held = held_as(reply.find_object() or {}, item.type) if reply.ok else None
        if held is not None and version_of(held, reply.headers.get("etag")) != item.version:
            return True
    return False


def held_as(body: Resource, resource_type: str) -> Held | None:
    """What we look into of their resource; None when it is malformed there, or of another type."""
    try:
        held = msgspec.convert(body, Held)
    except msgspec.ValidationError:
        return None
    return held if held.resource_type == resource_type and held.id else None


def version_of(held: Held, etag: str | None) -> str | None:
    """What a conditional write names (FHIR R4 §3.1.0.5)."""
    return etag or (f'W/"{held.meta.version_id}"' if held.meta.version_id else None)
