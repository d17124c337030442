"""Going through the lists of a mapped REST system, type by type, page by page, from where the last look ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gateway.connectors import event as events
from gateway.connectors import rest_calls as calls
from gateway.connectors.call import LOST_PLACE, OVERLAP, Call, Found, Page, Reply, Scan, refused
from gateway.connectors.protocol import Side
from gateway.errors import InvalidInput
from gateway.fhir import times
from gateway.translators.json.mapping import Shape

_NEXT = re.compile(r'<([^>]+)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)

Translate = Callable[[Shape, dict[str, Any]], Found]


class Cursor(msgspec.Struct, frozen=True):
    """`type`: of which the next page is; `next`: an address, a value or a number; `since`: what the look asks for,
    `seen`: the newest time met, which the next look asks for, but nothing later than what this one `began` at by their
    clock: what changed after that may stand on a page that was read already."""

    type: int = 0
    next: str | None = None
    since: dict[str, str] = {}
    seen: dict[str, str] = {}
    began: str | None = None


def look(shapes: Sequence[Shape], cursor: str | None, side: Side, translate: Translate) -> Scan:
    """One page. Raises InvalidInput for a cursor that is none of ours."""
    at = _read(cursor)
    if at.type >= len(shapes):
        return Page(())
    shape = shapes[at.type]
    reply = yield _call(shape, at, side)
    if at.next is not None and not calls.list_form(shape).page and reply.status in LOST_PLACE:
        return Page((), _written(msgspec.structs.replace(at, next=None)), more=True)  # it was good for a while only
    listed = calls.items(shape, reply, side)
    if listed is None:
        raise refused(f"listing {shape.type}", reply)
    found = tuple(one for raw in listed if (one := _told(shape, raw, translate)) is not None)
    changed = [one.at for one in found if one.at is not None]
    seen = at.seen | ({shape.type: max([at.seen.get(shape.type, ""), *changed])} if changed else {})
    at = msgspec.structs.replace(at, began=at.began or _their_time(reply))
    return _page(shapes, at, seen, found, _following(shape, at, reply, len(listed), side))


def _told(shape: Shape, raw: dict[str, Any], translate: Translate) -> Found | None:
    """One of a list: what has no id is none, and what cannot be read is for a person to look at."""
    remote_id = events.text(shape.id.get(raw))
    if remote_id is None:
        return None
    try:
        return translate(shape, raw)
    except InvalidInput as error:
        return Found(shape.type, remote_id, {"resourceType": shape.type}, doubt=error.message)


def _page(
    shapes: Sequence[Shape], at: Cursor, seen: dict[str, str], found: tuple[Found, ...], following: str | None
) -> Page:
    if following is not None:
        return Page(found, _written(Cursor(at.type, following, at.since, seen, at.began)), more=True)
    if at.type + 1 < len(shapes):
        return Page(found, _written(Cursor(at.type + 1, None, at.since, seen, at.began)), more=True)
    since = at.since | {type_: _no_later(newest, at.began) for type_, newest in seen.items()}
    return Page(found, _written(Cursor(0, None, since, since)) if since else None)


def _their_time(reply: Reply) -> str | None:
    return times.to_instant(reply.at - OVERLAP) if reply.at else None


def _no_later(newest: str, began: str | None) -> str:
    """As they write it, unless the look began before that."""
    if began is None or times.from_instant(newest) <= times.from_instant(began):
        return newest
    return began


def _call(shape: Shape, at: Cursor, side: Side) -> Call:
    form = calls.list_form(shape)
    if at.next is not None and at.next.startswith(("http://", "https://")):
        return Call("GET", at.next, headers=calls.listing(shape, side, ()).headers)
    params = [(form.size, str(form.limit))] if form.size else []
    if form.since and shape.type in at.since:
        params.append((form.since, at.since[shape.type]))
    if form.page:
        params.append((form.page, at.next or str(form.first)))
    elif form.cursor and at.next is not None:
        params.append((form.cursor, at.next))
    return calls.listing(shape, side, tuple(params))


def _following(shape: Shape, at: Cursor, reply: Reply, count: int, side: Side) -> str | None:
    """What leads to the next page; None at the last. A server that leads to where we are is not followed."""
    form = calls.list_form(shape)
    if form.page:
        return str(int(at.next or form.first) + 1) if count >= form.limit else None
    link = _NEXT.search(reply.headers.get("link", ""))
    said = calls.value(calls.tree(reply, side), form.next) if form.next else link[1] if link else None
    following = str(said) if isinstance(said, str | int) and not isinstance(said, bool) and said != "" else None
    return None if following == at.next else following


def _read(cursor: str | None) -> Cursor:
    try:
        return msgspec.json.decode(cursor or "{}", type=Cursor)
    except msgspec.DecodeError:
        raise InvalidInput("the cursor of the last look cannot be read: start again without it") from None


def _written(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()
