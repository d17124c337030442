"""The calls of a mapped REST system as values: which path, which method, JSON or XML, in or out of its envelope."""

from __future__ import annotations

from typing import Any

from gateway.connectors.call import Call, Reply
from gateway.connectors.protocol import Hook, Side
from gateway.errors import Unparsable
from gateway.fhir import json
from gateway.translators.json import mapping as mappings
from gateway.translators.json import mapping_xml
from gateway.translators.json.mapping import Listing, Shape, Way
from gateway.translators.json.mapping_paths import MISSING, dotted

XML = "xml"
_MEDIA = "application/xml"


def read(shape: Shape, remote_id: str, side: Side) -> Call:
    """`remote_id`: as a path segment."""
    way = _way(shape.written.read, "GET", f"{shape.written.path}/{{id}}")
    return Call(way.method or "GET", _filled(way, remote_id), headers=_accept(side), params=tuple(way.params.items()))


def create(shape: Shape) -> Way:
    return _way(shape.written.create, "POST", shape.written.path)


def update(shape: Shape, side: Side) -> Way | None:
    """PUT, unless the mapping or the connector says another; None = they cannot be updated."""
    if shape.written.update is False:
        return None
    return _way(shape.written.update, "PUT" if side.update == "POST" else side.update, f"{shape.written.path}/{{id}}")


def write(shape: Shape, way: Way, payload: dict[str, Any], side: Side, remote_id: str = "") -> Call:
    wrapped: dict[str, Any] = payload
    if shape.written.wrap:
        wrapped = {}
        place = dotted(shape.written.wrap)
        assert place is not None  # checked when the mapping was read
        place.put(wrapped, payload)
    method, path, params = way.method or "POST", _filled(way, remote_id), tuple(way.params.items())
    if side.content_type != XML:
        return Call(method, path, wrapped, _accept(side), params)
    form = shape.written.xml
    content = mapping_xml.write(wrapped, form.root if form else shape.type.lower(), form.namespace if form else None)
    return Call(method, path, None, {**_accept(side), "content-type": _MEDIA}, params, content)


def is_same(payload: dict[str, Any], held: dict[str, Any], side: Side) -> bool:
    """Whether a write would change nothing: 1 and true are not the same, nor 1.5 and 1.50."""
    return payload == held and (side.content_type == XML or json.encode(payload) == json.encode(held))


def subscription(hook: Hook, side: Side) -> Call | None:
    """Where webhooks are registered, and for which events; None where the mapping says nowhere."""
    mapped = mappings.read(side.mapping)
    if mapped.subscribe is None:
        return None
    types = [f"{name.lower()}.{verb}" for name in mapped.shapes for verb in ("created", "updated", "deleted")]
    body = {"url": hook.url, "events": list(mapped.subscribe.events) or types, "secret": hook.secret}
    return Call("POST", mapped.subscribe.path, body)


def listing(shape: Shape, side: Side, params: tuple[tuple[str, str], ...]) -> Call:
    form = list_form(shape)
    path = form.path if form.path is not None else shape.written.path
    return Call("GET", path, headers=_accept(side), params=(*form.params.items(), *params))


def list_form(shape: Shape) -> Listing:
    return shape.written.list if isinstance(shape.written.list, Listing) else Listing()


def decoded(body: bytes, side: Side) -> Any:
    """Raises Unparsable."""
    return mapping_xml.parse(body) if side.content_type == XML else json.decode(body)


def tree(reply: Reply, side: Side) -> Any:
    """The body of an answer; None when it is none of theirs (HTML, empty)."""
    try:
        return decoded(reply.body, side) if reply.ok else None
    except Unparsable:
        return None


def item(shape: Shape, reply: Reply, side: Side) -> dict[str, Any] | None:
    """The one model of an answer, out of its envelope."""
    found = value(tree(reply, side), shape.written.envelope)
    return found if isinstance(found, dict) else None


def items(shape: Shape, reply: Reply, side: Side) -> list[dict[str, Any]] | None:
    """The models of a list; None when the answer is no list. In XML one alone, or none, is a list too, but not what
    cannot be read: who is not found in that would be made a second time."""
    try:
        answer = decoded(reply.body, side) if reply.ok else None
    except Unparsable:
        return None
    found = value(answer, list_form(shape).items)
    if side.content_type == XML and reply.ok and not isinstance(found, list):
        return [found] if isinstance(found, dict) else []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else None


def value(tree_: Any, path: str | None) -> Any:
    """What stands at a dotted path, or the whole where there is none; None for what is missing."""
    if path is None:
        return tree_
    place = dotted(path)
    found = place.get(tree_) if place else None
    return None if found is MISSING else found


def _way(given: Way | bool, method: Any, path: str) -> Way:
    found = given if isinstance(given, Way) else Way()
    return Way(found.method or method, path if found.path is None else found.path, found.params)


def _filled(way: Way, remote_id: str) -> str:
    return (way.path or "").replace("{id}", remote_id)


def _accept(side: Side) -> dict[str, str]:
    return {"accept": _MEDIA} if side.content_type == XML else {}
