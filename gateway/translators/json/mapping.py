"""Mapping: the declared translation between a partner's payload and FHIR, checked when the connector file is read.

`{"hmsPatientId": "id", "hmsName": "name"}` (HMS-API) is the short form for Patient; docs/reference/mapping.md has all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any, Literal

import msgspec

from gateway.errors import InvalidInput
from gateway.fhir import elements, json
from gateway.fhir.elements import Element
from gateway.translators.json import mapping_paths as paths
from gateway.translators.json import transforms
from gateway.translators.json.mapping_paths import Dotted, Expression, Ours, Place, Theirs
from gateway.translators.json.transforms import Transform

Direction = Literal["both", "in", "out"]

_XML_NAME = re.compile(r"[A-Za-z_][\w.\-]*")

HMS, HMS_ID = "hms", "hmsPatientId"


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A part of the mapping as written."""


class Way(Part, frozen=True):
    """A call: its `method`, its `path` below the endpoint with `{id}` where their id goes, and fixed `params`."""

    method: Literal["GET", "POST", "PUT", "PATCH"] | None = None
    path: str | None = None
    params: dict[str, str] = {}


class Listing(Part, frozen=True):
    """How a list is read. `items`: path of the list in the answer, none = the answer is it. `next`: path of what leads
    to the next page, an address or a value for the parameter `cursor`; or `page`, the parameter of a page's number,
    counted from `first`. `size`: the parameter for at most `limit` of them. `since`: the one for a time of theirs."""

    path: str | None = None
    items: str | None = None
    next: str | None = None
    cursor: str | None = None
    page: str | None = None
    first: int = 1
    size: str | None = None
    limit: int = 100
    since: str | None = None
    params: dict[str, str] = {}


class Xml(Part, frozen=True):
    """The root element of what is sent, and its namespace."""

    root: str
    namespace: str | None = None


class ShapeFile(Part, frozen=True):
    """One resource type as written."""

    fields: dict[str, Any]
    path: str = ""
    id: str = "id"
    at: str | None = None
    direction: Direction = "both"
    envelope: str | None = None
    wrap: str | None = None
    read: Way | bool = True
    create: Way | bool = True
    update: Way | bool = True
    find: str | None = None
    list: Listing | bool = True
    empty: Literal["null", "blank", "omit"] = "null"
    xml: Xml | None = None


class EventKind(Part, frozen=True):
    """What an event's type means: which resource type it is about, and whether that was deleted."""

    type: str
    deleted: bool = False


class EventFile(Part, frozen=True):
    """Where an event says its type, its id and its time, and where the model stands in it; `types`: what they mean."""

    type: str = "type"
    data: str | None = None
    id: str | None = None
    at: str | None = None
    types: dict[str, EventKind | str] = {}


class SubscribeFile(Part, frozen=True):
    """Where webhooks are registered, and for which events."""

    path: str = "/subscribe"
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One field. `theirs` None = a constant that has no place there."""

    name: str
    ours: Ours | Expression
    theirs: Theirs | None
    transform: Transform
    direction: Direction
    constant: bool = False
    refers: str | None = None
    """The type of theirs that a reference leads to."""

    @property
    def inward(self) -> bool:
        return self.direction != "out"

    @property
    def outward(self) -> bool:
        return self.direction != "in" and self.theirs is not None

    @property
    def place(self) -> Dotted:
        """Where it is written on their side; an outward rule has a dotted path, which was checked."""
        assert isinstance(self.theirs, Dotted)
        return self.theirs


@dataclass(frozen=True, slots=True)
class Shape:
    """One resource type, checked. `written` holds what needs no more than to be read."""

    type: str
    id: Dotted
    at: Dotted | None
    rules: tuple[Rule, ...]
    written: ShapeFile

    @property
    def is_sent(self) -> bool:
        return any(rule.outward for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Mapped:
    """The whole mapping."""

    shapes: Mapping[str, Shape]
    event: EventFile | None
    subscribe: SubscribeFile | None


def read(mapping: Mapping[str, Any]) -> Mapped:
    """Raises InvalidInput that names the field, for whatever cannot be translated."""
    return _read(json.encode(mapping))


@lru_cache(maxsize=256)  # asked for with every call; the text of a mapping is its name
def _read(written: bytes) -> Mapped:
    mapping = json.decode(written)
    if not mapping:
        raise InvalidInput("mapping is required: which of their fields is which of FHIR's")
    if not any(name[:1].isupper() for name in mapping):  # resource types are, elements are not
        return Mapped({"Patient": _short(mapping)}, None, SubscribeFile())
    shapes = {}
    for name, part in mapping.items():
        if name not in ("event", "subscribe"):
            if not elements.is_resource_type(name):
                raise InvalidInput(f"mapping.{name} is no resource type of FHIR R4")
            shapes[name] = _shape(name, _converted(part, ShapeFile, f"mapping.{name}"), f"mapping.{name}")
    _check_references(shapes)
    event = _converted(mapping["event"], EventFile, "mapping.event") if "event" in mapping else None
    _check_event(event, shapes)
    told = mapping.get("subscribe", {})
    subscribe = None if told is False else _converted(told, SubscribeFile, "mapping.subscribe")
    _check_path(subscribe and subscribe.path, "mapping.subscribe.path")
    return Mapped(shapes, event, subscribe)


def check_both_ways(mapped: Mapped) -> None:
    """Raises InvalidInput where what goes there would not come back as it was."""
    for shape in mapped.shapes.values():
        both = [rule for rule in shape.rules if rule.inward and rule.outward and not rule.constant]
        for rule in both:
            if not rule.transform.one_to_one:
                raise InvalidInput(f"{rule.name}: several of their values become one of ours; say direction in or out")
            if rule.place.overlaps(shape.id) and rule.ours.text != "identifier[theirs].value":
                raise InvalidInput(f"{rule.name}: not one to one, it meets their id; say direction in or out")
        for one, other in combinations(both, 2):
            if _meet(one, other):
                raise InvalidInput(f"{other.name}: not one to one, it meets {one.name}; say direction in or out")


def check_whole(mapped: Mapped) -> None:
    """Raises InvalidInput where what comes in would never be valid, as no field fills what FHIR requires."""
    for shape in mapped.shapes.values():
        filled = {rule.ours.places[0].name for rule in shape.rules if rule.inward and isinstance(rule.ours, Ours)}
        for name, ways in elements.required(shape.type) if filled else ():
            if not ways & filled:
                raise InvalidInput(
                    f"mapping.{shape.type}.fields: FHIR requires {name}, which no field fills: a constant will do, "
                    "or the direction out where none come in"
                )


def check_xml(mapped: Mapped) -> None:
    """Raises InvalidInput where a path cannot be one of elements and attributes, which are named without a prefix."""
    for shape in mapped.shapes.values():
        for rule in shape.rules:
            steps = rule.theirs.steps if isinstance(rule.theirs, Dotted) else ()
            if not all(step.name == "#text" or _XML_NAME.fullmatch(step.name.removeprefix("@")) for step in steps):
                raise InvalidInput(f"{rule.name}: XML has names of letters, digits, _ and -, without a prefix")


def _short(mapping: Mapping[str, Any]) -> Shape:
    """HMS-API's flat form: `hmsPatientId` is where their id stands, `hmsName` the whole name; others are FHIR paths."""
    identity = mapping.get(HMS_ID, "id")
    if isinstance(identity, dict) and identity.keys() == {"path"}:
        identity = identity["path"]
    fields = {name: path for name, path in mapping.items() if name != HMS_ID}
    if not isinstance(identity, str) or paths.dotted(identity) is None:
        raise InvalidInput(f"mapping.{HMS_ID} must be a dotted path: an id is taken as it stands")
    return _shape("Patient", ShapeFile(fields=fields, id=identity), "mapping", short=True)


def _shape(type_: str, written: ShapeFile, where: str, *, short: bool = False) -> Shape:
    named = where if short else f"{where}.fields"
    rules = tuple(_rule(type_, name, part, written.direction, named) for name, part in written.fields.items())
    shape = Shape(type_, _place(written.id, f"{where}.id"), None, rules, written)
    if written.at is not None:
        shape = Shape(type_, shape.id, _place(written.at, f"{where}.at"), rules, written)
    _check_calls(shape, where)
    return shape


def _rule(type_: str, name: str, part: Any, usual: Direction, where: str) -> Rule:
    """`"birthDate": "dob"` or `{"path": "dob", "transform": "date", "direction": "in", ..}`."""
    spec = {"path": part} if isinstance(part, str) else part
    label = f"{where}.{name}"
    if not isinstance(spec, dict):
        raise InvalidInput(f"{label} must be a path, or an object with a path and a transform")
    try:
        return _checked(type_, _element_named(name), dict(spec), usual, label)
    except InvalidInput as error:
        raise InvalidInput(f"{label}: {error.message}") from None


def _element_named(name: str) -> str:
    """`hmsBirthDate` is HMS-API's way to say `birthDate`."""
    told = name.removeprefix(HMS)
    return f"{told[0].lower()}{told[1:]}" if told != name and told[:1].isupper() else name


def _checked(type_: str, name: str, spec: dict[str, Any], usual: Direction, label: str) -> Rule:
    ours = paths.ours(type_, name)
    text, kind = spec.pop("path", None), spec.pop("transform", None)
    direction = spec.pop("direction", usual)
    if direction not in ("both", "in", "out"):
        raise InvalidInput("direction must be both, in or out")
    transform = transforms.build(kind, spec, _filled(ours, kind))
    if text is None and transform.needs_path:
        raise InvalidInput("path is required")
    theirs = None if text is None else paths.theirs(text)
    if isinstance(ours, Expression) and direction != "out":
        raise InvalidInput("FHIRPath cannot be written to: say direction out, or use a dotted path of FHIR elements")
    if isinstance(theirs, Expression) and direction != "in":
        raise InvalidInput("FHIRPath cannot be written to: say direction in, or use a dotted path")
    return Rule(label, ours, theirs, transform, direction, not transform.needs_path, transform.refers)


def _filled(ours: Ours | Expression, kind: Any) -> Element:
    """The element that one value of theirs fills: of a list of texts one item, or all of them."""
    if isinstance(ours, Expression):
        return Element("string")
    last = ours.places[-1]
    if not (last.element.many and last.element.is_primitive):
        return last.element
    if last.label is None and kind is None and last.name not in ("given", "prefix", "suffix"):
        raise InvalidInput(f"say which: {last.name}[0], or all of them by the transform words with its separator")
    return last.element if last.label is None else last.element._replace(many=False)


def _check_calls(shape: Shape, where: str) -> None:
    written = shape.written
    calls = {"read": written.read, "create": written.create, "update": written.update, "list": written.list}
    _check_path(written.path, f"{where}.path")
    for name, call in calls.items():
        _check_path(getattr(call, "path", None), f"{where}.{name}.path")
    for name, way in (("read", written.read), ("update", written.update)):
        if isinstance(way, Way) and way.path is not None and "{id}" not in way.path:
            raise InvalidInput(f"{where}.{name}.path must hold {{id}}")
    if written.find is not None and own_id(shape) is None:
        raise InvalidInput(f"{where}.find needs a field identifier[ours].value: where they keep our id")
    for name in ("envelope", "wrap"):
        if (text := getattr(written, name)) is not None:
            _place(text, f"{where}.{name}")
    if written.xml is not None and not _XML_NAME.fullmatch(written.xml.root):
        raise InvalidInput(f"{where}.xml.root must be the name of an element")
    listing = written.list
    if isinstance(listing, Listing):
        for name in ("items", "next"):
            if (text := getattr(listing, name)) is not None:
                _place(text, f"{where}.list.{name}")
        if listing.limit < 1:
            raise InvalidInput(f"{where}.list.limit must be at least 1")


def _check_path(path: str | None, label: str) -> None:
    """It is put behind the endpoint as it is, and another address would be sent what is the endpoint's only."""
    if path and path[0] not in "/?":
        raise InvalidInput(f"{label} must begin with /: it stands below the endpoint")


def own_id(shape: Shape) -> Rule | None:
    """The field in which they keep our id."""
    return next((rule for rule in shape.rules if rule.ours.text == "identifier[ours].value" and rule.outward), None)


def _check_references(shapes: Mapping[str, Shape]) -> None:
    """What a reference leads to is known by its link to this system, which only a mapped type can have."""
    for shape in shapes.values():
        for rule in shape.rules:
            if rule.refers is not None and rule.refers not in shapes:
                raise InvalidInput(f"{rule.name}: leads to a {rule.refers}, which the mapping does not have")


def _check_event(event: EventFile | None, shapes: Mapping[str, Shape]) -> None:
    if event is None:
        return
    for name in ("type", "data", "id", "at"):
        if (text := getattr(event, name)) is not None:
            _place(text, f"mapping.event.{name}")
    for name, kind in event.types.items():
        wanted = kind if isinstance(kind, str) else kind.type
        if wanted not in shapes and wanted != "ignored":
            raise InvalidInput(f"mapping.event.types.{name} must be ignored or one of {', '.join(shapes)}")


def _place(text: str, label: str) -> Dotted:
    found = paths.dotted(text)
    if found is None:
        raise InvalidInput(f"{label} must be a dotted path")
    return found


def _converted(part: Any, kind: Any, label: str) -> Any:
    try:
        return msgspec.convert(part, kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{label}: {error}") from None


def _meet(one: Rule, other: Rule) -> bool:
    same_there = (
        isinstance(one.theirs, Dotted) and isinstance(other.theirs, Dotted) and one.theirs.overlaps(other.theirs)
    )
    a, b = one.ours, other.ours
    steps = [path.places for path in (a, b) if isinstance(path, Ours)]
    return same_there or (len(steps) == 2 and all(_may_be_one(x, y) for x, y in zip(*steps, strict=False)))


def _may_be_one(one: Place, other: Place) -> bool:
    """Whether two places are the same one; all texts of a list hold each of them."""
    whole = one.element.is_primitive and one.element.many and None in (one.label, other.label)
    return one.name == other.name and (whole or one.label == other.label)
