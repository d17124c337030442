"""Any REST system by its mapping alone: JSON or XML, read, found, made and updated as the mapping says.

Source: HMS-API, "External System Synchronization" (declarative mapping, `POST {endpoint}/subscribe`). What a PUT would
clear is read right before it and put back.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gateway.connectors import event as events
from gateway.connectors import rest_calls as calls
from gateway.connectors.call import (
    Accepted,
    Call,
    Found,
    Gather,
    Push,
    Read,
    Reply,
    Scan,
    Seen,
    absent,
    refused,
    segment,
)
from gateway.connectors.event import Event
from gateway.connectors.protocol import Hook, Item, Side, Target
from gateway.connectors.rest_pages import look
from gateway.connectors.signature import Signature
from gateway.errors import AmbiguousMatch, Conflict, InvalidInput, PartnerUnknown, VersionConflict
from gateway.fhir import elements, json, references
from gateway.fhir.form import FULL, Form
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage
from gateway.translators.json import mapping as mappings
from gateway.translators.json import mapping_apply
from gateway.translators.json.mapping import EventKind, Rule, Shape
from gateway.translators.json.mapping_form import form_of
from gateway.translators.json.mapping_paths import MISSING, Ours

PROFILE = "rest"
SIGNATURES: tuple[Signature, ...] = ("standard", "metriport", "header")
"""Who is told a secret by `/subscribe` is not told how to sign: whatever HMS-API lists is understood."""
PATIENT = "Patient"

Wanted = Callable[[Rule], bool]

form = FULL

_OURS_ONLY = ("Provenance", "Binary", "AuditEvent", "Bundle", "Parameters", "OperationOutcome")


def form_for(mapping: Mapping[str, Any], options: Any) -> Form:  # noqa: ARG001 (the protocol's signature)
    return form_of(mappings.read(mapping))


def check(mapping: Mapping[str, Any], *, both_ways: bool, xml: bool = False) -> None:
    mapped = mappings.read(mapping)
    mappings.check_whole(mapped)
    if xml:
        mappings.check_xml(mapped)
    if both_ways:
        mappings.check_both_ways(mapped)


def accepts(resource_type: str) -> bool:
    """As far as a mapping says how."""
    return elements.is_resource_type(resource_type) and resource_type not in _OURS_ONLY


def takes(resource_type: str, mapping: Mapping[str, Any]) -> bool:
    shape = mappings.read(mapping).shapes.get(resource_type)
    return (
        shape is not None and shape.is_sent and (shape.written.create is not False or shape.written.update is not False)
    )


def reads(resource_type: str, mapping: Mapping[str, Any]) -> bool:
    return resource_type in mappings.read(mapping).shapes


def read(target: Target, side: Side) -> Read:
    """By their id; before a link by ours, where they keep it, and by theirs, where somebody else told it."""
    shape = _shape(target.type, side)
    if target.remote_id is not None:
        return (yield from _get(shape, target.remote_id, side, target.known))
    for system, value in target.identifiers:
        if system == side.id_system:
            seen = yield from _get(shape, value, side, target.known)
            if seen.body is not None:
                return seen
    held = yield from _find(shape, target.id, side)
    return Seen(None, None) if held is None else _seen(shape, held, side, target.known)


def push(item: Item, side: Side) -> Push:
    """References in the body are `Type/{their id}`.

    Raises VersionConflict when somebody made it meanwhile, Conflict for a resource of which a value cannot be told.
    """
    shape = _shape(item.type, side)
    body = item.body | {"identifier": _with_ours(item, side)}
    if item.remote_id is not None:
        return (yield from _update(shape, item, body, item.remote_id, side))
    if shape.written.create is False:
        raise Conflict(f"the mapping does not say how a {item.type} is made there")
    written = mapping_apply.to_theirs(shape, body, _systems(shape, side))
    payload = _told(written, item)
    reply = yield calls.write(shape, calls.create(shape), payload, side)
    if reply.status == 409:
        if (yield from _find(shape, item.id, side)) is not None:
            raise VersionConflict("they hold it since they were last read")
        raise Conflict(f"they refuse a {item.type} as one that they hold, but do not find it by our id")
    if not reply.ok:
        raise refused(f"creating a {item.type}", reply)
    return replace((yield from _made(shape, item, reply, side)), untold=written.untold)


def event(payload: Any) -> Event:
    return events.from_standard(payload)


def told(body: bytes, side: Side) -> Event:
    """As `mapping.event` says; else `{"type": "patient.updated", "data": {..}}`; else the bare model, where only one
    type is mapped. A Patient is read again (kind `changed`), others with what they refer to (kind `gather`)."""
    return of_payload(calls.decoded(body, side), side)


def of_payload(payload: Any, side: Side) -> Event:
    """The same for a payload that was decoded."""
    if not isinstance(payload, dict):
        raise InvalidInput("a webhook must be an object")
    mapped = mappings.read(side.mapping)
    if mapped.event is not None:
        said = calls.value(payload, mapped.event.type)
        kind = mapped.event.types.get(str(said), "ignored")
        data = calls.value(payload, mapped.event.data) if mapped.event.data else payload
        told_id, at = calls.value(payload, mapped.event.id), calls.value(payload, mapped.event.at)
    elif isinstance(payload.get("type"), str) and isinstance(payload.get("data"), dict):
        kind, data = _standard(payload["type"], mapped.shapes), payload["data"]
        told_id, at = payload.get("id"), payload.get("timestamp")
    else:
        kind, data, told_id, at = _only(mapped.shapes), payload, None, None
    return _event(kind, data, events.text(told_id), events.instant(at), side)


def translate(data: Mapping[str, Any], target: Target, side: Side) -> Seen:
    """An event's own model: only what it names is covered, and nothing by absence."""
    seen = _seen(_shape(target.type, side), dict(data), side, target.known)
    elements = seen.coverage.elements if seen.coverage else None
    return replace(seen, coverage=Coverage(elements, absence=False))


def gather(told_of: Event, side: Side) -> Gather:
    """What the event is about, and before it what that refers to of theirs."""
    assert told_of.type is not None and told_of.remote_id is not None
    shape = _shape(told_of.type, side)
    if not (side.read and _is_read(shape)):
        one = found(shape, dict(told_of.data), side)
        return [replace(one, coverage=Coverage(one.coverage.elements, absence=False) if one.coverage else None)]
    seen = yield from _get(shape, told_of.remote_id, side, None)
    main = Found(shape.type, told_of.remote_id, seen.body, seen.at, coverage=seen.coverage, issues=seen.issues)
    others = []
    for type_, remote_id in _referred(seen.body or {}, side):
        other = yield from _get(_shape(type_, side), remote_id, side, None)
        if other.body is not None:
            others.append(Found(type_, remote_id, other.body, other.at, coverage=other.coverage, issues=other.issues))
    return [*others, main]


def scan(cursor: str | None, side: Side) -> Scan:
    shapes = [shape for shape in mappings.read(side.mapping).shapes.values() if shape.written.list is not False]
    shapes.sort(key=lambda shape: shape.type != PATIENT)  # the others refer to her
    page = yield from look(shapes, cursor, side, lambda shape, one: found(shape, one, side))
    return page


def register(hook: Hook, side: Side) -> Generator[Call, Reply, str | None]:
    """`POST {endpoint}/subscribe {"url","events","secret"}`."""
    call = calls.subscription(hook, side)
    if call is None:
        return None
    reply = yield call
    if not reply.ok:
        raise refused("registering a webhook", reply)
    return events.text((reply.find_object() or {}).get("id"))


def telling(hook: Hook, side: Side) -> str | None:
    call = calls.subscription(hook, side)
    return None if call is None else json.encode([call.path, call.json]).decode()


def probe(side: Side) -> Generator[Call, Reply, None]:
    shape = next(iter(mappings.read(side.mapping).shapes.values()))
    size = calls.list_form(shape).size
    reply = yield calls.listing(shape, side, ((size, "1"),) if size else ())
    if not reply.ok:
        raise refused(f"listing {shape.type}", reply)


# --- events ----------------------------------------------------------------------------------------------------------


def _standard(said: str, shapes: Mapping[str, Shape]) -> EventKind | str:
    subject, _, verb = said.lower().rpartition(".")
    type_ = next((name for name in shapes if name.lower() == subject), None)
    return EventKind(type_, deleted=verb == "deleted") if type_ else "ignored"


def _only(shapes: Mapping[str, Shape]) -> str:
    if len(shapes) > 1:
        raise InvalidInput("a webhook that does not say its type: mapping.event must say where it stands")
    return next(iter(shapes))


def _event(kind: EventKind | str, data: Any, told_id: str | None, at: str | None, side: Side) -> Event:
    type_ = kind if isinstance(kind, str) else kind.type
    if type_ == "ignored":
        return Event("ignored", id=told_id, at=at)
    shape = _shape(type_, side)
    remote_id = events.text(shape.id.get(data))
    if not isinstance(data, dict) or remote_id is None:
        raise InvalidInput(f"a webhook about a {type_} must name it", expression=shape.id.text)
    if isinstance(kind, EventKind) and kind.deleted:
        return Event("deleted", type_, remote_id, data, told_id, at)
    alone = type_ == PATIENT and (_is_read(shape) or not side.read)
    return Event("changed" if alone else "gather", type_, remote_id, data, told_id, at)


def _referred(body: Resource, side: Side) -> Iterator[tuple[str, str]]:
    """Those of theirs that a resource refers to and that can be read, each once."""
    shapes = mappings.read(side.mapping).shapes
    for value in dict.fromkeys(ref.value for ref in references.collect(body)):
        type_, _, remote_id = value.partition("/")
        if type_ in shapes and remote_id and _is_read(shapes[type_]):
            yield type_, remote_id


# --- reading ---------------------------------------------------------------------------------------------------------


def _shape(resource_type: str, side: Side) -> Shape:
    shape = mappings.read(side.mapping).shapes.get(resource_type)
    if shape is None:
        raise InvalidInput(f"the mapping of {side.name} has no {resource_type}")
    return shape


def _is_read(shape: Shape) -> bool:
    return shape.written.read is not False


def _systems(shape: Shape, side: Side) -> dict[str, str]:
    return {"ours": f"{side.ours}/{shape.type}", "theirs": side.id_system}


def _get(shape: Shape, remote_id: str, side: Side, known: Resource | None) -> Read:
    if not _is_read(shape):
        return Seen(None, None)
    reply = yield calls.read(shape, segment(remote_id), side)
    return absent(reply) or _seen(shape, _raw(shape, reply, side), side, known, remote_id=remote_id)


def _raw(shape: Shape, reply: Reply, side: Side) -> dict[str, Any]:
    raw = calls.item(shape, reply, side)
    if raw is None:
        raise refused(f"reading a {shape.type}", reply)
    return raw


def _find(shape: Shape, our_id: str, side: Side) -> Generator[Call, Reply, dict[str, Any] | None]:
    """The one that keeps our id. Raises AmbiguousMatch when there are several."""
    rule = mappings.own_id(shape)
    if shape.written.find is None or rule is None or not our_id:
        return None
    reply = yield calls.listing(shape, side, ((shape.written.find, our_id),))
    listed = calls.items(shape, reply, side)
    if listed is None:
        raise refused(f"finding a {shape.type}", reply)
    ours = [one for one in listed if rule.place.get(one) == our_id]
    if len(ours) > 1:
        raise AmbiguousMatch(f"they hold {len(ours)} of the type {shape.type} with our id")
    return ours[0] if ours else None


def _seen(
    shape: Shape, raw: dict[str, Any], side: Side, known: Resource | None, *, remote_id: str | None = None
) -> Seen:
    read_ = mapping_apply.to_fhir(shape, raw, _systems(shape, side), known)
    at = shape.at.get(raw) if shape.at else None
    named = remote_id or events.text(_value(shape, raw))
    return Seen(named, read_.resource, events.instant(at), coverage=read_.coverage, issues=read_.issues)


def found(shape: Shape, raw: dict[str, Any], side: Side) -> Found:
    """One of theirs, under their own id. Raises InvalidInput when it has none."""
    seen = _seen(shape, raw, side, None)
    if seen.remote_id is None:
        raise InvalidInput(f"a {shape.type} of theirs has no id", expression=shape.id.text)
    return Found(shape.type, seen.remote_id, seen.body, seen.at, coverage=seen.coverage, issues=seen.issues)


def _value(shape: Shape, raw: dict[str, Any]) -> Any:
    value = shape.id.get(raw)
    return None if value is MISSING else value


# --- writing ---------------------------------------------------------------------------------------------------------


def _with_ours(item: Item, side: Side) -> list[Resource]:
    ours = {"system": f"{side.ours}/{item.type}", "value": item.id}
    return [*(one for one in item.body.get("identifier") or [] if one.get("system") != ours["system"]), ours]


def _told(written: mapping_apply.Written, item: Item) -> dict[str, Any]:
    """Of a clinical resource all or nothing is told: half of it would say something else."""
    if written.issues and item.type != PATIENT:
        raise Conflict(f"held: {written.issues[0].diagnostics}")
    return written.payload


def _update(shape: Shape, item: Item, body: Resource, remote_id: str, side: Side) -> Push:
    way = calls.update(shape, side)
    if way is None:
        raise Conflict(f"the mapping does not say how a {item.type} is updated there")
    partial, wanted = way.method == "PATCH", _due(shape, item, side)
    whole = not partial or any(_in_list(rule) and wanted(rule) for rule in shape.rules)  # a list is replaced as one
    held: dict[str, Any] = {}
    if whole and _is_read(shape):
        held = _raw(shape, (yield calls.read(shape, segment(remote_id), side)), side)
    if not held:
        wanted = _beside(shape, wanted) if partial else lambda _: True
    written = mapping_apply.to_theirs(shape, body, _systems(shape, side), base=held, wanted=wanted)
    if partial:
        written = replace(written, payload=_touched(shape, written.payload, wanted))
    payload = _told(written, item)
    if held and calls.is_same(payload, _touched(shape, held, wanted) if partial else held, side):
        return replace(_accepted(shape, held, side, remote_id), untold=written.untold)
    if partial and not payload:
        return Accepted(remote_id, untold=written.untold)  # nothing of what is due has a place there
    reply = yield calls.write(shape, way, payload, side, segment(remote_id))
    if not reply.ok:
        raise refused(f"updating a {item.type}", reply)
    return replace(_accepted(shape, calls.item(shape, reply, side), side, remote_id), untold=written.untold)


def _in_list(rule: Rule) -> bool:
    return rule.outward and any(step.item is not None for step in rule.place.steps)


def _beside(shape: Shape, wanted: Wanted) -> Wanted:
    """With a rule all those that fill the same list: what is not told of a list that they replace is gone."""
    lists = {rule.place.steps[0].name for rule in shape.rules if _in_list(rule) and wanted(rule)}
    return lambda rule: wanted(rule) or (_in_list(rule) and rule.place.steps[0].name in lists)


def _touched(shape: Shape, payload: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Of a model that they hold, what a PATCH of these rules tells."""
    names = {rule.place.steps[0].name for rule in shape.rules if rule.outward and wanted(rule)}
    return {name: value for name, value in payload.items() if name in names}


def _due(shape: Shape, item: Item, side: Side) -> Wanted:
    """Which rules fill a slot that differs; all of them where that is not known."""
    if not item.due:
        return lambda _: True
    systems, used = _systems(shape, side), form_for(side.mapping, None)
    slots = {single.slot if (single := used.field_of(slot)) else slot for slot in item.due}

    def wanted(rule: Rule) -> bool:
        return not isinstance(rule.ours, Ours) or rule.constant or rule.ours.slot(systems) in slots

    return wanted


def _made(shape: Shape, item: Item, reply: Reply, side: Side) -> Push:
    """Under which id: the answer says it, or its Location, or they are asked."""
    answer = calls.item(shape, reply, side)
    remote_id = events.text(_value(shape, answer)) if answer else None
    remote_id = remote_id or reply.headers.get("location", "").rstrip("/").rpartition("/")[2] or None
    if remote_id is None:
        held = yield from _find(shape, item.id, side)
        remote_id = events.text(_value(shape, held)) if held else None
    if remote_id is None:
        raise PartnerUnknown(f"creating a {item.type} was accepted without an id, and it cannot be found by ours")
    return _accepted(shape, answer, side, remote_id)


def _accepted(shape: Shape, answer: dict[str, Any] | None, side: Side, remote_id: str) -> Accepted:
    """What they answered counts as what they show only if it is their model."""
    if not answer or events.text(_value(shape, answer)) is None:
        return Accepted(remote_id)
    seen = _seen(shape, answer, side, None, remote_id=remote_id)
    return Accepted(remote_id, seen.body, seen.at, coverage=seen.coverage)
