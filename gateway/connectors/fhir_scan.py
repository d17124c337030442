"""Looking through a FHIR server by `_lastUpdated` (FHIR R4 §3.1.1.3), and asking it to tell us (§2.46)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any
from urllib.parse import urljoin

import msgspec

from gateway.connectors import event as events
from gateway.connectors.call import AWAY, LOST_PLACE, OVERLAP, Call, Found, Page, Reply, Scan, refused, segment
from gateway.connectors.fhir_answers import FHIR_JSON, Searchset
from gateway.connectors.fhir_body import as_ours, our_id
from gateway.connectors.protocol import Hook, Side
from gateway.errors import InvalidInput
from gateway.fhir import json, references, times
from gateway.fhir.json import Resource

_GIVEN_UP = ("error", "off")
"""Subscription.status: nothing is told any more."""


class Place(msgspec.Struct, omit_defaults=True):
    """Where a look through several types has come to. `since` of the look before, `began` of this one by their clock,
    `type` the one being read, `next` the address of its next page."""

    since: str | None = None
    began: str | None = None
    type: int = 0
    next: str | None = None


def scan(cursor: str | None, side: Side) -> Scan:
    """One page of one type, first of those that others refer to; deletions are not told by a search."""
    place = _place(cursor)
    types = sorted(side.options.types, key=references.rank)
    if place.type >= len(types):
        place = Place(place.since)
    kind = types[place.type]
    reply = yield Call("GET", place.next or f"/{kind}", headers={"accept": FHIR_JSON}, params=_params(place, side))
    if place.next and reply.status in LOST_PLACE:
        return Page((), _text(Place(place.since)), more=True)  # they keep a search for a while only: once more
    bundle = reply.find(Searchset) if reply.ok else None
    if bundle is None:
        raise refused(f"searching every {kind}", reply)
    found = tuple(one for body in bundle.matches() if (one := _found(body, kind, side)))
    return Page(found, *_next(place, bundle, reply, types))


def register(hook: Hook, side: Side) -> Generator[Call, Reply, str | None]:
    """A Subscription per type with the resource as payload; one that is there already is told the secret of now."""
    there = yield from _registered(hook)
    ids = {criteria: str(one.get("id")) for criteria, one in there.items()}
    for kind in side.options.types:
        held, channel = there.get(kind), _channel(hook)
        if held is None:
            ids[kind] = yield from _subscribe(hook, kind)
        elif held.get("status") in _GIVEN_UP or _headers(held.get("channel")) != _headers(channel):
            yield from _renew({**held, "status": "requested", "channel": channel})
    return ",".join(ids.values()) or None


def unregister(hook: Hook, side: Side) -> Generator[Call, Reply, None]:  # noqa: ARG001 (the protocol's signature)
    for one in (yield from _registered(hook)).values():
        reply = yield Call("DELETE", f"/Subscription/{segment(str(one.get('id')))}", headers={"accept": FHIR_JSON})
        if not reply.ok and reply.status not in AWAY:
            raise refused("taking a Subscription off", reply)


def given_up(hook: Hook, side: Side) -> Generator[Call, Reply, bool]:  # noqa: ARG001
    """FHIR R4 §2.46.6: a server that could not reach us for long sets a Subscription to `error`."""
    there = yield from _registered(hook)
    return any(one.get("status") in _GIVEN_UP for one in there.values())


def probe(side: Side) -> Generator[Call, Reply, None]:
    """One search of nothing much."""
    kind = side.options.types[0]
    reply = yield Call("GET", f"/{kind}", headers={"accept": FHIR_JSON}, params=(("_count", "1"),))
    if not reply.ok:
        raise refused("a first search", reply)


def _place(cursor: str | None) -> Place:
    try:
        return msgspec.convert(json.decode(cursor.encode()), Place) if cursor else Place()
    except msgspec.ValidationError:
        raise InvalidInput("that is no place in a look through a FHIR server") from None


def _params(place: Place, side: Side) -> tuple[tuple[str, str], ...]:
    if place.next:
        return ()
    since = (("_lastUpdated", f"ge{place.since}"),) if place.since else ()
    # The newest first: what changes while we look comes to the front, and pushes nothing across a page we have read.
    return (*since, ("_sort", "-_lastUpdated"), ("_count", str(side.options.page)))


def _found(body: Resource, kind: str, side: Side) -> Found | None:
    remote_id = events.text(body.get("id"))
    if body.get("resourceType") != kind or remote_id is None:
        return None
    meta = body["meta"] if isinstance(body.get("meta"), dict) else {}
    version = events.text(meta.get("versionId"))
    etag = f'W/"{version}"' if version else None
    at, ours = events.instant(meta.get("lastUpdated")), our_id(body, side)
    return Found(kind, remote_id, as_ours(body, side, {}), at, etag, ours=ours)


def _next(place: Place, bundle: Searchset, reply: Reply, types: Sequence[str]) -> tuple[str, bool]:
    """Where the look goes on, and whether it does now: the next page, the next type, or the next look."""
    began = place.began or _their_time(bundle, reply) or place.since
    url = _whole(bundle.next_page(), types[place.type], reply)
    if url:
        return _text(Place(place.since, began, place.type, url)), True
    if place.type + 1 < len(types):
        return _text(Place(place.since, began, place.type + 1)), True
    return _text(Place(began)), False


def _whole(link: str | None, kind: str, reply: Reply) -> str | None:
    """The address that a link means: a relative one from where it was found (RFC 3986 §5), or below the endpoint where
    it begins as our own calls do."""
    return link if link is None or link.startswith(f"/{kind}") else urljoin(reply.url, link)


def _text(place: Place) -> str:
    return json.encode(msgspec.to_builtins(place)).decode()


def _their_time(bundle: Searchset, reply: Reply) -> str | None:
    """When the look began, by their clock; nothing where they do not tell: then everything is looked at again."""
    said = events.instant(bundle.meta.last_updated)
    if said:
        return times.to_instant(times.from_instant(said) - OVERLAP)
    return times.to_instant(reply.at - OVERLAP) if reply.at else None


def _registered(hook: Hook) -> Generator[Call, Reply, dict[str, Resource]]:
    """Criteria -> our Subscriptions that they hold. A server may pass over a parameter that it does not know (FHIR R4
    §3.1.1.3): what leads elsewhere is somebody else's."""
    params = (("url", hook.url), ("_count", "100"))
    reply = yield Call("GET", "/Subscription", headers={"accept": FHIR_JSON}, params=params)
    bundle = reply.find(Searchset) if reply.ok else None
    held = bundle.matches() if bundle else []
    return {
        str(one.get("criteria")).removesuffix("?"): one for one in held if _endpoint(one.get("channel")) == hook.url
    }


def _channel(hook: Hook) -> Resource:
    channel: Resource = {"type": "rest-hook", "endpoint": hook.url, "payload": FHIR_JSON}
    return {**channel, "header": [f"{hook.header}: {hook.secret}"]} if hook.secret else channel


def _endpoint(channel: Any) -> Any:
    return channel.get("endpoint") if isinstance(channel, dict) else None


def _headers(channel: Any) -> Any:
    return channel.get("header") if isinstance(channel, dict) else None


def _renew(held: Resource) -> Generator[Call, Reply, None]:
    """The secret was rotated: signed by the old one, nothing would be taken any more."""
    sent = {"content-type": FHIR_JSON, "accept": FHIR_JSON}
    reply = yield Call("PUT", f"/Subscription/{segment(str(held.get('id')))}", held, sent)
    if not reply.ok:
        raise refused("renewing a Subscription", reply)


def _subscribe(hook: Hook, kind: str) -> Generator[Call, Reply, str]:
    body = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "to keep both sides in step",
        "criteria": f"{kind}?",
        "channel": _channel(hook),
    }
    reply = yield Call("POST", "/Subscription", body, {"content-type": FHIR_JSON, "accept": FHIR_JSON})
    if not reply.ok:
        raise refused("registering a Subscription", reply)
    made = reply.find_object() or {}
    return events.text(made.get("id")) or reply.headers.get("location", "").rpartition("/")[2]
