"""A FHIR server without transactions: search by our identifier, then create or update, one resource after another.

FHIR R4 §3.1.0.8 (create, If-None-Exist where the server knows it), §3.1.0.4 (update, If-Match).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from gateway.connectors import event as events
from gateway.connectors.call import Accepted, Call, PushGroup, Rejected, Reply, refused, segment
from gateway.connectors.fhir_answers import FHIR_JSON, LOCATION, Answers, complaint
from gateway.connectors.fhir_body import as_ours, as_theirs, by_our_identifier
from gateway.connectors.protocol import Item, Side
from gateway.errors import AmbiguousMatch, PartnerUnknown, VersionConflict
from gateway.fhir import references
from gateway.fhir.json import Resource

Result = Accepted | Rejected
Write = Generator[Call, Reply, Result]


def push_each(items: Sequence[Item], side: Side, delivered: Mapping[str, str]) -> PushGroup:
    """Bring them in the order of reference; what one becomes there is what the next ones refer to.

    Raises VersionConflict when the first one was changed there since it was read: nothing was done then.
    """
    names = dict(delivered)
    results: dict[int, Result] = {}
    for at in _in_reference_order(items):
        results[at] = yield from _push(items[at], side, names, first=not results)
        if isinstance(done := results[at], Accepted):
            names[f"{items[at].type}/{items[at].id}"] = f"{items[at].type}/{done.remote_id}"
    return [results[at] for at in range(len(items))]


def _in_reference_order(items: Sequence[Item]) -> list[int]:
    """What others refer to comes first; a circle keeps the order given."""
    places = {f"{item.type}/{item.id}": at for at, item in enumerate(items)}
    waits = {
        at: [places[ref.value] for ref in references.collect(item.body) if places.get(ref.value, at) != at]
        for at, item in enumerate(items)
    }
    try:
        return list(TopologicalSorter(waits).static_order())
    except CycleError:
        return list(range(len(items)))


def _push(item: Item, side: Side, names: Mapping[str, str], *, first: bool) -> Write:
    remote_id, version = item.remote_id, item.version
    if remote_id is None:
        remote_id, version = yield from _find(item, side)
    if remote_id is None:
        return (yield from _create(item, side, names))
    return (yield from _update(item, side, names, remote_id, version, first=first))


def _find(item: Item, side: Side) -> Generator[Call, Reply, tuple[str | None, str | None]]:
    """Their id and version of what carries our identifier."""
    reply = yield Call("GET", f"/{by_our_identifier(item.type, item.id, side)}", headers={"accept": FHIR_JSON})
    bundle = reply.find(Answers) if reply.ok else None
    if bundle is None:
        raise refused(f"searching a {item.type}", reply)
    found = bundle.matches()
    if len(found) > 1:
        raise AmbiguousMatch(f"they hold {len(found)} resources of type {item.type} with our identifier")
    remote_id = events.text(found[0].get("id")) if found else None
    return remote_id, _version(found[0]) if found else None


def _version(body: Resource) -> str | None:
    meta = body.get("meta")
    version = events.text(meta.get("versionId")) if isinstance(meta, dict) else None
    return f'W/"{version}"' if version else None


def _create(item: Item, side: Side, names: Mapping[str, str]) -> Write:
    condition = by_our_identifier(item.type, item.id, side).partition("?")[2]
    body = {key: value for key, value in as_theirs(item, side, names).items() if key != "id"}
    reply = yield Call("POST", f"/{item.type}", body, _headers() | {"if-none-exist": condition})
    return _result(item, side, names, reply, None)


def _update(
    item: Item, side: Side, names: Mapping[str, str], remote_id: str, version: str | None, *, first: bool
) -> Write:
    body = as_theirs(item, side, names) | {"id": remote_id}
    headers = _headers() | ({"if-match": version} if version else {})
    reply = yield Call("PUT", f"/{item.type}/{segment(remote_id)}", body, headers)
    if reply.status == 412 and version:
        if first:
            raise VersionConflict("they changed it since it was read")
        return Rejected(412, "conflict", alone=False)
    return _result(item, side, names, reply, remote_id)


def _headers() -> dict[str, str]:
    return {"content-type": FHIR_JSON, "accept": FHIR_JSON, "prefer": "return=representation"}


def _result(item: Item, side: Side, names: Mapping[str, str], reply: Reply, remote_id: str | None) -> Result:
    if reply.status in (401, 403):
        raise refused(f"bringing a {item.type}", reply)
    if not reply.ok:
        said = complaint(reply)
        return Rejected(reply.status, said.code, next(iter((*said.expression, *said.location)), None))
    body = reply.find_object()
    found = LOCATION.search(reply.headers.get("location", ""))
    known = remote_id or (found[2] if found else None) or events.text((body or {}).get("id"))
    if known is None:
        raise PartnerUnknown(f"creating a {item.type} was accepted without saying as what")
    shown = body if body and body.get("resourceType") == item.type else None
    local = {theirs: ours for ours, theirs in names.items()} | {f"{item.type}/{known}": f"{item.type}/{item.id}"}
    return Accepted(known, as_ours(shown, side, local) if shown else None, version=reply.headers.get("etag"))
