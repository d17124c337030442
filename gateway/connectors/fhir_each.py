"""A FHIR server without transactions: each resource alone, updated where a read found it there, else created.

FHIR R4 §3.1.0.8 (create, If-None-Exist where the server knows it), §3.1.0.4 (update, If-Match). Whoever sends has
looked for our identifier before, and sends in the order of reference.
"""

from __future__ import annotations

from gateway.connectors import event as events
from gateway.connectors.call import Accepted, Call, Push, Reply, segment
from gateway.connectors.fhir_answers import FHIR_JSON, LOCATION, complaint
from gateway.connectors.fhir_body import as_ours, as_theirs, by_our_identifier
from gateway.connectors.fhir_conflict import CONFLICT, is_stale
from gateway.connectors.protocol import Item, Side
from gateway.errors import PartnerRejected, PartnerUnknown, VersionConflict

_WRITE = {"content-type": FHIR_JSON, "accept": FHIR_JSON, "prefer": "return=representation"}


def push_one(item: Item, side: Side) -> Push:
    """Raises VersionConflict when they changed it since it was read, PartnerRejected when they refuse it."""
    body = as_theirs(item, side, {})
    if item.remote_id is None:
        condition = by_our_identifier(item.type, item.id, side).partition("?")[2]
        reply = yield Call("POST", f"/{item.type}", body, {**_WRITE, "if-none-exist": condition})
    else:
        headers = _WRITE | ({"if-match": item.version} if item.version else {})
        reply = yield Call("PUT", f"/{item.type}/{segment(item.remote_id)}", body, headers)
    if reply.status in CONFLICT and (yield from is_stale([item], reply)):
        raise VersionConflict("they changed it since it was read")
    return _accepted(item, side, reply)


def _accepted(item: Item, side: Side, reply: Reply) -> Accepted:
    if not reply.ok:
        said = complaint(reply)
        where = next(iter((*said.expression, *said.location)), item.type)
        raise PartnerRejected(f"refused with status {reply.status} ({said.code}) at {where}")
    body = reply.find_object()
    found = LOCATION.search(reply.headers.get("location", ""))
    known = item.remote_id or (found[2] if found else None) or events.text((body or {}).get("id"))
    if known is None:
        raise PartnerUnknown(f"creating a {item.type} was accepted without saying as what")
    shown = body if body and body.get("resourceType") == item.type else None
    local = {**item.local, f"{item.type}/{known}": f"{item.type}/{item.id}"}
    return Accepted(known, as_ours(shown, side, local) if shown else None, version=reply.headers.get("etag"))
