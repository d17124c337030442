"""Metriport's documents: the file as Binary, and one DocumentReference, of which events and Bundles tell a part."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from gateway.connectors import event as events
from gateway.connectors.call import Found, Reply, theirs
from gateway.connectors.protocol import Side
from gateway.fhir.json import Resource


def found(name: str, media: str, reply: Reply, patient: str, one: Mapping[str, Any], side: Side) -> list[Found]:
    """A file as Binary, and the DocumentReference by which it is found (FHIR R4 §10.3)."""
    kind = media or reply.headers.get("content-type", "").partition(";")[0].strip() or "application/octet-stream"
    data = base64.b64encode(reply.body).decode()
    binary = Found("Binary", name, {"resourceType": "Binary", "contentType": kind, "data": data})
    attachment = {"contentType": kind, "url": binary.urn, "size": len(reply.body)}
    title = events.text(one.get("fileName"))
    body: Resource = {
        "resourceType": "DocumentReference",
        "masterIdentifier": {"system": side.id_system, "value": f"DocumentReference/{name}"},
        "status": one["status"] if one.get("status") in ("current", "superseded", "entered-in-error") else "current",
        "subject": theirs("Patient", patient, side.id_system),
        "content": [{"attachment": attachment | ({"title": title} if title else {})}],
    }
    body |= {"type": one["type"]} if isinstance(one.get("type"), dict) else {}
    body |= {"description": one["description"]} if events.text(one.get("description")) else {}
    body |= {"date": one["indexed"]} if events.instant(one.get("indexed")) else {}
    return [binary, Found("DocumentReference", name, body, joins=joined)]


def joined(body: Resource, before: Resource) -> Resource:
    """One DocumentReference of what they say now and what they said before: an event brings the file, a Bundle who
    wrote it and where it lies there."""
    now, then = _contents(body), _contents(before)
    if any(map(_is_here, now)):
        return {**before, **body, "content": _one_of(now, then)}
    if not any(map(_is_here, then)):
        return body
    kept = {name: before[name] for name in ("masterIdentifier",) if name in before}
    return {**kept, **body, "content": _one_of([one for one in then if _is_here(one)], now)}


def _one_of(files: list[Resource], others: list[Resource]) -> list[Resource]:
    """The files, each with what else is told of it, and then what has no file here."""
    alone = len(files) == len(others) == 1
    pairs = [(file, next((one for one in others if alone or _is_same(file, one)), {})) for file in files]
    told = [other for _, other in pairs]
    merged = [
        {**other, **file, "attachment": {**other.get("attachment", {}), **file["attachment"]}} for file, other in pairs
    ]
    return merged + [one for one in others if one not in told and not _is_here(one)]


def _is_same(file: Resource, other: Resource) -> bool:
    title = file["attachment"].get("title")
    return title is not None and other["attachment"].get("title") == title


def _is_here(content: Resource) -> bool:
    """Whether its file is a Binary of ours."""
    return str(content["attachment"].get("url")).startswith(("Binary/", "urn:uuid:"))


def _contents(body: Resource) -> list[Resource]:
    listed = body.get("content")
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return [one for one in found if isinstance(one.get("attachment"), dict)]
