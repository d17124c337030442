"""Transforms: named ways from a partner's value to a FHIR value and back (docs/reference/mapping.md).

A value that a transform does not know is Untransformable: it becomes an issue, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from gateway.errors import InvalidInput
from gateway.fhir import times
from gateway.fhir.elements import Element
from gateway.fhir.primitives import PRIMITIVES

Way = Callable[[Any], Any]


class Untransformable(Exception):
    """A value that has no counterpart; the text says why, without the value."""


@dataclass(frozen=True, slots=True)
class Transform:
    """`inward`: theirs -> FHIR, `outward`: FHIR -> theirs; both raise Untransformable. `one_to_one`: nothing is lost
    there and back. `needs_path` False: it can do without a place on their side. `refers`: the type that it leads to."""

    inward: Way
    outward: Way
    one_to_one: bool = True
    needs_path: bool = True
    refers: str | None = None


def build(name: str | None, parameters: Mapping[str, Any], element: Element) -> Transform:
    """The transform of this name for an element; None = what suits the element's type.

    Raises InvalidInput: an unknown name, a parameter that it does not have, an element that it does not suit.
    """
    chosen = name or _usual(element)
    if chosen not in BUILDERS:
        raise InvalidInput(f"transform must be one of {', '.join(sorted(BUILDERS))}")
    builder, allowed, suits = BUILDERS[chosen]
    for parameter in parameters:
        if parameter not in allowed:
            raise InvalidInput(f"the transform {chosen} has no parameter {parameter!r}")
    if suits is not None and element.kind.partition(".")[0] not in suits:
        raise InvalidInput(f"the transform {chosen} does not suit an element of the type {element.kind}")
    return builder(parameters, element)


def _usual(element: Element) -> str:
    if element.is_reference:
        return "reference"
    if element.kind == "HumanName":
        return "name"
    if element.many and element.is_primitive:
        return "words"
    if not element.is_primitive:
        raise InvalidInput(f"the path must go on into the {element.kind}, down to one of its values")
    return _BY_KIND.get(element.kind, "text")


_BY_KIND = {"date": "date", "dateTime": "instant", "instant": "instant", "boolean": "boolean"} | dict.fromkeys(
    ("integer", "decimal", "positiveInt", "unsignedInt"), "number"
)

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")
_WHOLE = 2**31


def _text(_: Mapping[str, Any], element: Element) -> Transform:
    def inward(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise Untransformable("is no text")
        text = str(value).strip()
        if element.codes and text not in element.codes:
            raise Untransformable("is none of the codes that FHIR has here: a table of codes says what it means")
        return text

    return Transform(inward, _same)


def _number(_: Mapping[str, Any], element: Element) -> Transform:
    def inward(value: Any) -> int | Decimal:
        if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
            value = Decimal(value.strip())
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise Untransformable("is no number")
        if element.kind == "decimal":
            return value
        if not -_WHOLE < value < _WHOLE:  # asked first, as 1e999999999 in digits is a thousand million of them
            raise Untransformable("is no whole number of 32 bits")
        if value != int(value):
            raise Untransformable("is no whole number")
        return int(value)

    return Transform(inward, _same)


def _boolean(parameters: Mapping[str, Any], _: Element) -> Transform:
    """`negated`: theirs says the opposite (`archived` for `active`)."""
    negated = _flag(parameters, "negated")
    words = {"true": True, "false": False}

    def inward(value: Any) -> bool:
        found = words.get(value.strip().lower()) if isinstance(value, str) else value
        if not isinstance(found, bool):
            raise Untransformable("is neither true nor false")
        return found is not negated

    return Transform(inward, lambda value: value is not negated)


_TOKENS = {"YYYY": r"(?P<year>\d{4})", "MM": r"(?P<month>\d\d)", "DD": r"(?P<day>\d\d)"}
_ISO_DATE = re.compile(r"(\d{4}(?:-\d\d(?:-\d\d)?)?)(?:[T ]\d\d:.*)?")


def _date(parameters: Mapping[str, Any], _: Element) -> Transform:
    """`format`: of YYYY, MM and DD, such as `MM/DD/YYYY`; without it ISO 8601, of which a time of day is dropped."""
    form = _word(parameters, "format", "")
    if form and sorted(re.findall(r"YYYY|MM|DD", form)) != ["DD", "MM", "YYYY"]:
        raise InvalidInput("format must hold YYYY, MM and DD once each")
    pattern = re.compile(re.sub(r"YYYY|MM|DD", lambda found: _TOKENS[found[0]], re.escape(form).replace(r"\-", "-")))

    def inward(value: Any) -> str:
        match = (pattern if form else _ISO_DATE).fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise Untransformable("is no date of that form")
        return _valid("{year}-{month}-{day}".format(**match.groupdict()) if form else match[1])

    def outward(value: Any) -> str:
        told = str(value).partition("T")[0]
        if not form:
            return told
        if len(told) != len("1980-01-01"):
            raise Untransformable("is no whole day")
        year, month, day = told.split("-")
        return form.replace("YYYY", year).replace("MM", month).replace("DD", day)

    return Transform(inward, outward)


_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d(?:\.\d+)?)?\s?(Z|[+-]\d\d:?\d\d)?")
_EPOCHS = {"s": 1, "ms": 1000}


def _instant(parameters: Mapping[str, Any], element: Element) -> Transform:
    """`zone`: that of times without one, and in which they are written back; `epoch`: `s` or `ms` since 1970."""
    zone, epoch = _word(parameters, "zone", ""), _word(parameters, "epoch", "")
    if zone and zone not in available_timezones():
        raise InvalidInput("zone must be a name such as America/New_York")
    if epoch and epoch not in _EPOCHS:
        raise InvalidInput("epoch must be s or ms")
    if epoch:
        return Transform(lambda value: _from_epoch(value, epoch), lambda value: _to_epoch(value, epoch))
    local = ZoneInfo(zone) if zone else None
    return Transform(lambda value: _moment(value, local, element), lambda value: _written(value, local))


def _moment(value: Any, zone: ZoneInfo | None, element: Element) -> str:
    text = value.strip() if isinstance(value, str) else ""
    match = _MOMENT.fullmatch(text)
    if match is None:
        if element.kind == "dateTime" and _ISO_DATE.fullmatch(text) and "T" not in text:
            return _valid(text)
        raise Untransformable("is no date and time")
    day, minute, second, offset = match.groups()
    if offset is None:
        if zone is None:
            raise Untransformable("has no offset, and the mapping names no zone")
        return _in_zone(datetime.fromisoformat(_valid(f"{day}T{minute}{second or ':00'}Z")[:-1]), zone)
    whole = offset if offset == "Z" or ":" in offset else f"{offset[:3]}:{offset[3:]}"
    return _valid(f"{day}T{minute}{second or ':00'}{whole}")


def _in_zone(naive: datetime, zone: ZoneInfo) -> str:
    """A local time with its offset. One that the clock shows twice, or never, means no one moment."""
    offsets = {naive.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
    if len(offsets) > 1:
        raise Untransformable("falls into the change of the clock, so that its offset is not known")
    return naive.replace(tzinfo=zone).isoformat()


def _written(value: Any, zone: ZoneInfo | None) -> str:
    if zone is None:
        return str(value)
    if "T" not in str(value):
        raise Untransformable("has no time of day")
    return times.from_instant(str(value)).astimezone(zone).replace(tzinfo=None).isoformat()


def _from_epoch(value: Any, unit: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Untransformable("is no whole number")
    try:
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value * (1000 // _EPOCHS[unit]))
    except OverflowError:
        raise Untransformable("is out of all time") from None
    return at.isoformat().replace("+00:00", "Z")


def _to_epoch(value: Any, unit: str) -> int:
    if "T" not in str(value):
        raise Untransformable("has no time of day")
    passed = times.from_instant(str(value)) - datetime(1970, 1, 1, tzinfo=UTC)
    return passed // timedelta(milliseconds=1000 // _EPOCHS[unit])  # in whole numbers: a float loses one now and then


def _valid(text: str) -> str:
    try:
        times.parse(text)
    except InvalidInput:
        raise Untransformable("is no such date") from None
    return text


def _phone(_: Mapping[str, Any], element: Element) -> Transform:
    """Theirs are digits only: ours is sent without its punctuation, theirs is taken as it is."""
    return Transform(_text({}, element).inward, lambda value: "".join(filter(str.isdecimal, str(value))))


def _code(parameters: Mapping[str, Any], element: Element) -> Transform:
    """`codes`: their value (as text) -> FHIR's."""
    codes = parameters.get("codes")
    if not isinstance(codes, dict) or not codes:
        raise InvalidInput("codes must be an object: their value -> FHIR's")
    for ours in codes.values():
        _check_suits(ours, element, "codes must lead to")
        if isinstance(ours, dict | list | None):
            raise InvalidInput("codes must lead to single values")
    back = {ours: theirs for theirs, ours in reversed(codes.items())}
    return Transform(_lookup(codes), _lookup(back), one_to_one=len(back) == len(codes))


def _lookup(table: Mapping[Any, Any]) -> Way:
    def way(value: Any) -> Any:
        key = str(value).lower() if isinstance(value, bool) and value not in table else value
        key = str(key) if isinstance(key, int | Decimal) and not isinstance(key, bool) else key
        if not isinstance(key, str | bool) or key not in table:
            raise Untransformable("is not in the table of codes")
        return table[key]

    return way


_GENDERS = {
    name: word
    for word in ("male", "female", "other", "unknown")
    for name in (word, word[0], word.upper(), word[0].upper())
}


def _gender(parameters: Mapping[str, Any], _: Element) -> Transform:
    """M, F, O, U or the words, in any case; `form`: how it is written there, `word` or `letter`."""
    form = _word(parameters, "form", "word")
    if form not in ("word", "letter"):
        raise InvalidInput("form must be word or letter")

    def inward(value: Any) -> str:
        found = _GENDERS.get(value.strip().lower()) if isinstance(value, str) else None
        if found is None:
            raise Untransformable("is none of male, female, other, unknown")
        return found

    return Transform(inward, lambda value: str(value) if form == "word" else str(value)[:1].upper())


def _words(parameters: Mapping[str, Any], _: Element) -> Transform:
    """A list of texts in one: `separator`, a blank by default."""
    separator = _word(parameters, "separator", " ")

    def inward(value: Any) -> list[str]:
        parts = value if isinstance(value, list) else str(value).split(None if separator == " " else separator)
        if isinstance(value, dict | bool) or not all(isinstance(part, str) for part in parts):
            raise Untransformable("is no text")
        return [part.strip() for part in parts if part.strip()]

    return Transform(inward, lambda value: separator.join(value) if isinstance(value, list) else value)


def _name(parameters: Mapping[str, Any], _: Element) -> Transform:
    """A whole name in one text. `form`: `text` = as it is, never split; `family, given` = split at the comma."""
    form = _word(parameters, "form", "text")
    if form not in ("text", "family, given"):
        raise InvalidInput("form must be text or 'family, given'")
    return Transform(_whole_name, _spoken) if form == "text" else Transform(_from_index, _to_index)


def _whole_name(value: Any) -> dict[str, Any]:
    if not isinstance(value, str):
        raise Untransformable("is no text")
    return {"text": value.strip()}


def _spoken(name: Any) -> str:
    text = name.get("text") or " ".join([*(name.get("given") or []), name.get("family") or ""]).strip()
    if not text:
        raise Untransformable("holds no part that is told")
    return str(text)


def _from_index(value: Any) -> dict[str, Any]:
    family, comma, given = value.partition(",") if isinstance(value, str) else ("", "", "")
    if not (comma and family.strip() and given.strip()):
        raise Untransformable("is not written as 'family, given'")
    return {"family": family.strip(), "given": given.split()}


def _to_index(name: Any) -> str:
    if not (name.get("family") and name.get("given")):
        raise Untransformable("lacks the family name or the given names")
    return f"{name['family']}, {' '.join(name['given'])}"


def _reference(parameters: Mapping[str, Any], element: Element) -> Transform:
    """Their id of another of their resources; `type`: which type that is, where it may be several."""
    targets = element.kind.split(".")[1:]
    type_ = _word(parameters, "type", targets[0] if len(targets) == 1 else "")
    if not type_ or (targets and type_ not in targets):
        raise InvalidInput(f"type must be one of {', '.join(targets)}" if targets else "type is required")

    def inward(value: Any) -> dict[str, str]:
        found = _text({}, Element("id")).inward(value)
        if not found or "/" in found:
            raise Untransformable("is no id that a reference could name")
        return {"reference": f"{type_}/{found}"}

    def outward(value: Any) -> str:
        kind, _, found = str(value.get("reference") or "").partition("/")
        if kind != type_ or not found or "/" in found:
            raise Untransformable(f"is no {type_} that they hold")
        return found

    return Transform(inward, outward, refers=type_)


def _constant(parameters: Mapping[str, Any], element: Element) -> Transform:
    """`value`: always this, in the resource and, where a path is given, on their side."""
    if parameters.get("value") is None:
        raise InvalidInput("value is required")
    listed = element.many and isinstance(parameters["value"], list)
    for value in parameters["value"] if listed else [parameters["value"]]:
        _check_suits(value, element, "value must be")
    return Transform(lambda _: parameters["value"], lambda _: parameters["value"], needs_path=False)


_NUMBERS = frozenset({"integer", "decimal", "positiveInt", "unsignedInt"})


def _check_suits(value: Any, element: Element, must: str) -> None:
    """Raises InvalidInput for a value that the element could never have."""
    if element.codes:
        if value not in element.codes:
            raise InvalidInput(f"{must} {', '.join(element.codes)}")
    elif element.kind == "boolean":
        if not isinstance(value, bool):
            raise InvalidInput(f"{must} true or false")
    elif element.kind in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise InvalidInput(f"{must} a number")
    elif element.is_primitive and not (isinstance(value, str) and value.strip()):
        raise InvalidInput(f"{must} a text")
    elif element.kind in _DATES and not _is_date(value):
        raise InvalidInput(f"{must} a date as FHIR writes it")


_DATES = frozenset({"date", "dateTime", "instant"})


def _is_date(text: str) -> bool:
    try:
        return bool(_valid(text))
    except Untransformable:
        return False


def _same(value: Any) -> Any:
    return value


def _word(parameters: Mapping[str, Any], name: str, default: str) -> str:
    value = parameters.get(name, default)
    if not isinstance(value, str) or (name in parameters and not value):
        raise InvalidInput(f"{name} must be a text")
    return value


def _flag(parameters: Mapping[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise InvalidInput(f"{name} must be true or false")
    return value


_Builder = Callable[[Mapping[str, Any], Element], Transform]
_TEXTS = frozenset(PRIMITIVES) - {"boolean"}
_TIMES = frozenset({"dateTime", "instant"})

BUILDERS: Mapping[str, tuple[_Builder, frozenset[str], frozenset[str] | None]] = {
    "text": (_text, frozenset(), _TEXTS),
    "number": (_number, frozenset(), _NUMBERS),
    "boolean": (_boolean, frozenset({"negated"}), frozenset({"boolean"})),
    "date": (_date, frozenset({"format"}), frozenset({"date", "dateTime"})),
    "instant": (_instant, frozenset({"zone", "epoch"}), _TIMES),
    "phone": (_phone, frozenset(), frozenset({"string"})),
    "code": (_code, frozenset({"codes"}), None),
    "gender": (_gender, frozenset({"form"}), frozenset({"code"})),
    "words": (_words, frozenset({"separator"}), frozenset({"string"})),
    "name": (_name, frozenset({"form"}), frozenset({"HumanName"})),
    "reference": (_reference, frozenset({"type"}), frozenset({"Reference"})),
    "constant": (_constant, frozenset({"value"}), None),
}
"""Name -> how it is made, the parameters it may have, the FHIR types it suits (None = any)."""
