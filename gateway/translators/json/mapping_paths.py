"""Paths of a mapping: where a value stands in their payload, and in the FHIR resource (docs/reference/mapping.md).

A dotted path can be read and written. Everything else is FHIRPath, which can only be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

import fhirpathpy
from antlr4 import CommonTokenStream, InputStream, Token
from antlr4.error.ErrorListener import ErrorListener
from fhirpathpy.models import models
from fhirpathpy.parser.generated.FHIRPathLexer import FHIRPathLexer
from fhirpathpy.parser.generated.FHIRPathParser import FHIRPathParser

from gateway.errors import InvalidInput
from gateway.fhir import elements
from gateway.fhir.elements import Element
from gateway.fhir.json import Resource


class _Missing:
    """Nothing stands there, not even null."""


MISSING: Final = _Missing()


class _Several:
    """It stands in each item of a list, and the path names none."""


SEVERAL: Final = _Several()

_THEIR_STEP = re.compile(r"([@#]?[A-Za-z_$][\w$:\-]*)(?:\[(\d{1,4})\])?", re.ASCII)
_OUR_STEP = re.compile(r"([A-Za-z][A-Za-z0-9]*)(?:\[([^\]]*)\])?", re.ASCII)
_TEXT = "#text"


class Step(NamedTuple):
    """A member and, of a list, which item."""

    name: str
    item: int | None = None


@dataclass(frozen=True, slots=True)
class Dotted:
    """`contact.phones[0].number` in their payload.

    What XML cannot tell apart is taken alike: one alone where a list could stand is its only item, and what has no
    attributes is its own `#text`.
    """

    text: str
    steps: tuple[Step, ...]

    def get(self, payload: Any) -> Any:
        """The value there; MISSING when a member on the way is, None when it is null or the list too short, SEVERAL
        when a list stands on the way of which no item is named."""
        found = payload
        for name, index in self.steps:
            if found is None:
                return None
            if name == _TEXT and isinstance(found, str):
                continue
            if isinstance(found, list):
                return SEVERAL
            if not isinstance(found, dict) or name not in found:
                return MISSING
            found = found[name]
            if index is not None:
                found = _item(found, index)
        return found

    def is_taken(self, payload: Any) -> bool:
        """Whether writing there would put one value in the place of several, or of one that holds no others."""
        here = payload
        for at, (name, index) in enumerate(self.steps):
            here = here.get(name) if index is None else _item(here.get(name), index)
            rest = self.steps[at + 1 :]
            if isinstance(here, list):
                return True
            if not rest or here in (None, "") or (rest[0].name == _TEXT and isinstance(here, str)):
                return False
            if not isinstance(here, dict):
                return True
        return False

    def put(self, payload: dict[str, Any], value: Any) -> None:
        """Set it, making what is missing on the way."""
        here: Any = payload
        for at, step in enumerate(self.steps):
            last = at == len(self.steps) - 1
            here = _enter(here, step, value if last else MISSING)

    def drop(self, payload: dict[str, Any]) -> None:
        """Take it away; what is not there stays away, and the other items of a list where they are."""
        here: Any = payload
        for name, index in self.steps[:-1]:
            here = here.get(name) if isinstance(here, dict) else None
            here = here if index is None else _item(here, index)
        if isinstance(here, dict):
            _drop(here, self.steps[-1])

    def overlaps(self, other: Dotted) -> bool:
        """Whether writing one would write into the other."""
        return all(a == b for a, b in zip(self.steps, other.steps, strict=False))


@dataclass(frozen=True, slots=True)
class Expression:
    """FHIRPath 2.0: over FHIR R4 (`fhir`: `Observation.value` is valueQuantity there), or over any JSON."""

    text: str
    fhir: bool = False

    def get(self, payload: Any) -> Any:
        """One value, a list of several, None when there is none. Raises InvalidInput when it cannot be worked out."""
        try:
            found = _compiled(self.text, self.fhir)(payload)
        except Exception as error:  # the library knows no other kind
            raise InvalidInput(f"FHIRPath cannot be evaluated: {type(error).__name__}") from None
        return None if not found else found[0] if len(found) == 1 else found


Theirs = Dotted | Expression


def theirs(text: Any) -> Theirs:
    """A place in their payload. Raises InvalidInput."""
    if not isinstance(text, str) or not text.strip():
        raise InvalidInput("a path must be a text such as contact.phone")
    found = dotted(text)
    return found or _expression(text, fhir=False)


def dotted(text: str) -> Dotted | None:
    """A path that can be written too; None when it is none."""
    parts = [_THEIR_STEP.fullmatch(part) for part in text.split(".")]
    if not all(parts):
        return None
    return Dotted(text, tuple(Step(part[1], int(part[2]) if part[2] else None) for part in parts if part))


def _items(held: Any) -> list[Any]:
    if isinstance(held, list):
        return held
    return [] if held in (None, "", {}) else [held]


def _item(held: Any, index: int) -> Any:
    items = _items(held)
    return items[index] if index < len(items) else None


def _enter(here: Any, step: Step, value: Any) -> Any:
    """Go to a member, made where it is missing; a `value` that is not MISSING is put there."""
    if step.item is None:
        if value is not MISSING:
            here[step.name] = value
        elif not isinstance(here.get(step.name), dict):
            here[step.name] = {}
        return here[step.name]
    listed = here[step.name] = _items(here.get(step.name))
    listed.extend(None for _ in range(step.item + 1 - len(listed)))
    if value is not MISSING:
        listed[step.item] = value
    elif not isinstance(listed[step.item], dict):
        listed[step.item] = {}
    return listed[step.item]


def _drop(here: dict[str, Any], step: Step) -> None:
    items = _items(here.get(step.name))
    if step.item is None or (step.item == 0 and len(items) <= 1):
        here.pop(step.name, None)
    elif step.item < len(items):
        items[step.item] = None  # the others keep their places


def _expression(text: str, *, fhir: bool) -> Expression:
    _check_syntax(text)
    return Expression(text, fhir)


@lru_cache(maxsize=1024)  # compiling costs a thousand times what evaluating does
def _compiled(text: str, fhir: bool) -> Callable[..., list[Any]]:
    return fhirpathpy.compile(text, models["r4"] if fhir else None)


class _Strict(ErrorListener):  # type: ignore[misc]
    """The library's own parser mends what it does not understand; a mapping must say what it means."""

    def syntaxError(self, *where: Any) -> None:  # noqa: N802 (antlr's name)
        raise InvalidInput(f"neither a dotted path nor FHIRPath: not understood from character {where[3] + 1} on")


def _check_syntax(text: str) -> None:
    lexer = FHIRPathLexer(InputStream(text))
    lexer.removeErrorListeners()
    lexer.addErrorListener(_Strict())
    tokens = CommonTokenStream(lexer)
    parser = FHIRPathParser(tokens)
    parser.removeErrorListeners()
    parser.addErrorListener(_Strict())
    parser.expression()
    left: Token = tokens.LT(1)
    if left.type != Token.EOF:
        raise InvalidInput(f"neither a dotted path nor FHIRPath: not understood from character {left.column + 1} on")


# --- the FHIR side ---------------------------------------------------------------------------------------------------

THEIR_SYSTEM, OUR_SYSTEM = "theirs", "ours"
"""Labels of `identifier[..]` that stand for the two sides' own identifier systems."""

_KEYS: Mapping[str, tuple[str, ...]] = {
    "name": ("use",),
    "address": ("use",),
    "telecom": ("system", "use"),
    "identifier": ("system",),
    "coding": ("system",),
    "extension": ("url",),
    "modifierExtension": ("url",),
}
"""By what an item of a list is told apart: `telecom[phone,home]`."""

_BY_ACTOR = "participant"
"""`participant[Patient]`: the item whose actor is a Patient."""


class Place(NamedTuple):
    """A member of a resource. `label`: which item of a list, None = the first or the one that a form shows."""

    name: str
    label: str | None
    element: Element


@dataclass(frozen=True, slots=True)
class Ours:
    """`name[official].family` in a resource of `type`; every place of it exists in FHIR."""

    text: str
    type: str
    places: tuple[Place, ...]

    @property
    def element(self) -> Element:
        return self.places[-1].element

    @property
    def is_whole_list(self) -> bool:
        """Whether it is all texts of a list, such as given names."""
        last = self.places[-1]
        return last.element.many and last.element.is_primitive and last.label is None

    @property
    def first(self) -> Place:
        return self.places[0]

    def slot(self, systems: Mapping[str, str]) -> str:
        """The slot of a Patient in which it stands."""
        name, label, element = self.first
        if name.startswith(("deceased", "multipleBirth")):
            return f"{'deceased' if name.startswith('deceased') else 'multipleBirth'}[x]"
        if not element.many or name not in _KEYS:
            return name
        return f"{name}[{systems.get(label, label) if label else '-'}]"

    def get(self, resource: Resource, systems: Mapping[str, str]) -> Any:
        """The value there, None when there is none."""
        found: Any = resource
        for at, place in enumerate(self.places):
            value = found.get(place.name)
            if value is None:
                return None
            is_end = at == len(self.places) - 1
            if place.element.many and not (is_end and place.element.is_primitive and place.label is None):
                value = _pick(value, place, systems)
            if value is None or is_end:
                return value
            found = value
        return None


@dataclass(slots=True)
class Builder:
    """A resource while values are put into it: an item of a list is made when its first value comes."""

    resource: Resource
    systems: Mapping[str, str]
    _made: dict[str, dict[str, Any]] = field(default_factory=dict)

    def put(self, path: Ours, value: Any, *, only_beside: bool = False) -> bool:
        """`only_beside`: not where nothing else is (a constant makes no item of a list by itself); False then."""
        here, walked = self.resource, ""
        for place in path.places[:-1]:
            walked = _named(walked, place)
            if only_beside and not (walked in self._made if place.element.many else place.name in here):
                return False
            here = self._item(here, place, walked) if place.element.many else here.setdefault(place.name, {})
        last = path.places[-1]
        if only_beside and last.element.many:
            return False
        self._end(here, last, _named(walked, last), value)
        return True

    def _end(self, here: dict[str, Any], place: Place, walked: str, value: Any) -> None:
        if not place.element.many or isinstance(value, list):
            here[place.name] = value
        elif isinstance(value, dict):
            self._item(here, place, walked).update(value)
        else:
            here.setdefault(place.name, []).append(value)

    def _item(self, here: dict[str, Any], place: Place, walked: str) -> dict[str, Any]:
        if walked not in self._made:
            self._made[walked] = dict(_labels(place, self.systems))
            here.setdefault(place.name, []).append(self._made[walked])
        return self._made[walked]


def _named(walked: str, place: Place) -> str:
    return f"{walked}.{place.name}[{place.label or ''}]"


def ours(resource_type: str, text: str) -> Ours | Expression:
    """A place in a resource, or FHIRPath over it. Raises InvalidInput for what FHIR has no place for."""
    parts = _split(text)
    matches = [_OUR_STEP.fullmatch(part) for part in parts]
    if not all(matches):
        return _expression(text, fhir=True)
    return Ours(text, resource_type, tuple(_places(resource_type, [match for match in matches if match])))


def _split(text: str) -> list[str]:
    """At the dots that do not stand in brackets: systems and urls have dots of their own."""
    return re.split(r"\.(?![^\[]*\])", text)


def _places(resource_type: str, matches: list[re.Match[str]]) -> Iterator[Place]:
    kind = resource_type
    for match in matches:
        name, label = match[1], match[2]
        element = elements.find(resource_type, kind, name)
        if element is None:
            raise InvalidInput(f"FHIR has no element {name!r} in {kind}")
        if label is not None and not element.many:
            raise InvalidInput(f"{name} is no list: write it without brackets")
        if name in ("telecom", "identifier", "extension", "modifierExtension") and not label:
            raise InvalidInput(f"say which: {name}[{', '.join(_KEYS[name])}]")
        if kind == "Patient" and name in _KEYS and (label or "").isdecimal():
            raise InvalidInput(f"a number does not say which: {name}[{', '.join(_KEYS[name])}]")
        place = Place(name, label or None, element)
        _check_label(resource_type, place)
        yield place
        kind = element.kind.partition(".")[0]


def _check_label(resource_type: str, place: Place) -> None:
    """Raises InvalidInput for an item that could never be told apart by what its label says."""
    kind = place.element.kind.partition(".")[0]
    for key, value in _labels(place, {}).items():
        found = elements.find(resource_type, kind, key)
        if found is None:
            raise InvalidInput(f"FHIR has no element {key!r} in {kind}")
        if found.codes and value not in found.codes:
            raise InvalidInput(f"{key} must be one of {', '.join(found.codes)}, in {place.name}[{place.label}]")


def _pick(listed: Any, place: Place, systems: Mapping[str, str]) -> Any:
    items = [item for item in listed if item is not None] if isinstance(listed, list) else []
    if place.label is not None and place.label.isdecimal():
        at = int(place.label)
        return items[at] if at < len(items) else None
    if place.label is None and place.name == "name":
        return min(items, key=lambda name: _NAME_ORDER.get(name.get("use", ""), len(_NAME_ORDER)), default=None)
    return next((item for item in items if _is_meant(item, place, systems)), None)


_NAME_ORDER = {"official": 0, "usual": 1}


def _is_meant(item: Any, place: Place, systems: Mapping[str, str]) -> bool:
    if place.label is None:
        return True
    if place.name == _BY_ACTOR:
        # also one that they do not hold, whose reference is an address of ours: it is told as such, not as missing
        return f"/{place.label}/" in f"/{(item.get('actor') or {}).get('reference', '')}"
    return all(item.get(key) == value for key, value in _labels(place, systems).items())


def _labels(place: Place, systems: Mapping[str, str]) -> dict[str, str]:
    """The members by which the item is told apart."""
    label = place.label
    if label is None or label.isdecimal() or place.name == _BY_ACTOR:
        return {}
    if place.name not in _KEYS:
        key, _, value = label.partition("=")
        return {key: value}
    keys = _KEYS[place.name]
    values = label.split(",", len(keys) - 1) if len(keys) > 1 else [systems.get(label, label)]
    return {key: value for key, value in zip(keys, values, strict=False) if value != "-"}
