"""Search: a query string as a value, and the index rows it meets (FHIR R4 §3.1.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote_to_bytes

from gateway.errors import InvalidInput
from gateway.fhir import elements, times
from gateway.fhir.json import Resource
from gateway.fhir.references import PATIENT_ELEMENT, from_base
from gateway.fhir.tokens import Token, alternatives, tokens

COUNT, MOST = 50, 1000
FIELDS = 100

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_CURSOR = re.compile(r"[A-Za-z0-9_.\-]{1,200}", re.ASCII)
_PLACE = re.compile(r"\d{1,18}", re.ASCII)
_UNSEEN = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_PREFIXED = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(\d.*)", re.ASCII | re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z_:.\-]{0,63}", re.ASCII)
ELSEWHERE = frozenset({"_format", "_pretty"})  # what the route does with its answer, no filter
_FORMS = frozenset({"_summary", "_elements", "_include", "_revinclude"})
"""How much is answered, not whom: ignored, more or less than was asked comes back, but of nobody else."""

_SUMMARIES = ("true", "text", "data", "false")
HISTORY = ("_count", "_since", "before")
"""What the history of a resource can be asked (FHIR R4 §3.1.0.9)."""

Handling = Literal["strict", "lenient"] | None
"""What to do with parameters that are not known here (Prefer: handling, FHIR R4 §3.1.1.1)."""


class Parameter(NamedTuple):
    """One name=value of a search at the FHIR server `base`."""

    name: str
    value: str
    base: str


Order = Literal["id", "-id", "seq", "-seq"]
"""By what the results come: the id, which is the order of creation, or the commit of the current version."""

Bound = tuple[str, datetime]
"""("ge" or "lt", moment) on meta.lastUpdated."""


@dataclass(slots=True)
class Query:
    """What to find: every part must hold; filled while it is parsed. `identifiers` is an and of ors; `ids`,
    `patients` and `order` None = not asked."""

    type: str
    ids: tuple[str, ...] | None = None
    identifiers: tuple[tuple[Token, ...], ...] = ()
    patients: tuple[str, ...] | None = None
    updated: tuple[Bound, ...] = ()
    count: int = COUNT
    total: bool = False
    order: Order | None = None
    cursor: str | None = None
    applied: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """The parameters that were used, as written: the self link."""
    ignored: tuple[str, ...] = field(default=(), compare=False)


def parse(type_: str, query: str, *, base: str = "", handling: Handling = None) -> Query:
    """A search of `type_`. A parameter that is not known here is refused, as without its filter the search would find
    everybody; only `lenient` ignores it, and `strict` refuses also what would change only the form of the answer.

    Raises InvalidInput for that and everything else that is wrong, an unknown modifier above all (FHIR R4 §3.1.1.4).
    """
    found = Query(type_)
    applied: list[tuple[str, str]] = []
    ignored: list[str] = []
    for name, value in unquote(query):
        read = None if name == "_summary" and value != "count" else _reader(type_, name)
        if read is not None:
            check(name, value)
            read(found, Parameter(name, value, base))
            applied.append((name, value))
        elif name not in ELSEWHERE:
            _check_summary(name, value)
            _check_unknown(f"{type_} has no search parameter", name, _readers(type_), handling)
            ignored.append(name)
    if found.cursor is not None and found.order in ("seq", "-seq") and not _PLACE.fullmatch(found.cursor):
        raise InvalidInput("_cursor is of a search in another order")
    found.applied, found.ignored = tuple(applied), tuple(ignored)
    return found


def unquote(query: str) -> list[tuple[str, str]]:
    """The parameters of a query string in their order. Raises InvalidInput when it is not UTF-8 or has too many."""
    parts = [part for part in query.split("&") if part]
    try:
        if len(parts) > FIELDS:
            raise ValueError
        return [(_unquoted(name), _unquoted(value)) for name, _, value in (part.partition("=") for part in parts)]
    except ValueError:
        raise InvalidInput(f"not a query string in UTF-8 of at most {FIELDS} parameters") from None


def _unquoted(text: str) -> str:
    """Raises ValueError when it is not UTF-8."""
    plain = text.replace("+", " ")
    return unquote_to_bytes(plain).decode() if "%" in plain else plain


def check(name: str, value: str) -> None:
    """Raises InvalidInput for a value that is empty, which would search for all, or holds a control character."""
    if not value.strip():
        raise InvalidInput(f"{name} has no value: leave it out to search for all")
    if _UNSEEN.search(value):
        raise InvalidInput(f"{name} holds a control character")


def _check_summary(name: str, value: str) -> None:
    """A word that is not known may have meant `count`: who wants a number is not sent the patients."""
    if name == "_summary" and value not in _SUMMARIES:
        raise InvalidInput(f"_summary is count, {', '.join(_SUMMARIES)}")


def check_history(names: Iterable[str], handling: Handling) -> None:
    """Raises InvalidInput for what the history of a resource cannot be asked."""
    for name in names:
        if name not in HISTORY and name not in ELSEWHERE:
            _check_unknown("a history has no parameter", name, HISTORY, handling)


def _check_unknown(what: str, name: str, known: Iterable[str], handling: Handling) -> None:
    if handling == "lenient" or (handling is None and name.partition(":")[0] in _FORMS):
        return
    named = name if _NAME.fullmatch(name) else "of that name"  # a value in the wrong place is not repeated
    raise InvalidInput(f"{what} {named} here; there are {', '.join(known)}")


_Read = Callable[[Query, Parameter], None]


def _reader(type_: str, name: str) -> _Read | None:
    known = _readers(type_)
    if name in known:
        return known[name]
    plain, colon, modifier = name.partition(":")
    plain, chain, _ = plain.partition(".")
    read = known.get(plain)
    if read is None:
        return None
    if chain:
        raise InvalidInput(f"{plain} is not chained here: search for the Patient first")
    if colon and not (modifier == "Patient" and plain in ("patient", "subject")):
        raise InvalidInput(f"{plain} has no modifier here, but for the type of a reference: patient:Patient=id")
    return read


@lru_cache(maxsize=256)
def _readers(type_: str) -> dict[str, _Read]:
    """The parameters that a type has here."""
    identified = elements.is_resource_type(type_) and elements.of_type(type_, "identifier")
    own = {*patient_names(type_), *(("identifier",) if identified else ())}
    return {name: read for name, read in _READERS.items() if name.startswith("_") or name in own}


def patient_names(type_: str) -> tuple[str, ...]:
    """The search parameters of a type that ask whose it is."""
    element = PATIENT_ELEMENT.get(type_)
    if element is None:
        return ()
    return ("patient", "subject") if element == "subject" or type_ in _SUBJECTS else ("patient",)


_SUBJECTS = frozenset({"EnrollmentRequest", "SupplyRequest", "Task"})
"""Whose `subject` parameter searches an element of another name (FHIR R4, SearchParameter/Task-subject)."""


def _ids(found: Query, one: Parameter) -> None:
    found.ids = _and(found.ids, (_id(one.name, text) for text in alternatives(one.value)))


def _identifiers(found: Query, one: Parameter) -> None:
    asked = tokens(one.name, one.value)
    if any(token.value is None for token in asked):
        raise InvalidInput(f"{one.name} names a value: all identifiers of a system are not searched for here")
    found.identifiers = (*found.identifiers, asked)


def _patients(found: Query, one: Parameter) -> None:
    ids = (_id(one.name, from_base(text, one.base).removeprefix("Patient/")) for text in alternatives(one.value))
    found.patients = _and(found.patients, ids)


def _updated(found: Query, one: Parameter) -> None:
    """Of several bounds the narrowest holds, so that there are no more than two, whatever is asked."""
    ends = dict(found.updated)
    for sign, moment in _bounds(one.value):
        narrower = max if sign == "ge" else min
        ends[sign] = narrower(moment, ends.get(sign, moment))
    found.updated = tuple(sorted(ends.items()))


def _count(found: Query, one: Parameter) -> None:
    if not re.fullmatch(r"\d{1,9}", one.value, re.ASCII):
        raise InvalidInput("_count is a whole number")
    found.count = min(int(one.value), MOST) if found.count else 0


def _summary(found: Query, _: Parameter) -> None:
    """`count`: whatever `_count` says (FHIR R4 §3.1.1.5). Of the others the whole resource is more than was asked."""
    found.count = 0


def _total(found: Query, one: Parameter) -> None:
    if one.value not in ("none", "estimate", "accurate"):
        raise InvalidInput("_total is none, estimate or accurate")
    found.total = one.value != "none"


def _cursor(found: Query, one: Parameter) -> None:
    if found.cursor is not None or not _CURSOR.fullmatch(one.value):
        raise InvalidInput("_cursor is what a next link of ours says, once")
    found.cursor = one.value


def _sort(found: Query, one: Parameter) -> None:
    if found.order is not None or one.value not in _ORDERS:
        raise InvalidInput(f"_sort is one of {', '.join(_ORDERS)}, once")
    found.order = _ORDERS[one.value]


_ORDERS: dict[str, Order] = {"_id": "id", "-_id": "-id", "_lastUpdated": "seq", "-_lastUpdated": "-seq"}
"""Times of change are in the order of commits, and two changes of one moment have an order too."""


_READERS: dict[str, _Read] = {
    "_id": _ids,
    "identifier": _identifiers,
    "patient": _patients,
    "subject": _patients,
    "_lastUpdated": _updated,
    "_count": _count,
    "_summary": _summary,
    "_total": _total,
    "_sort": _sort,
    "_cursor": _cursor,
}


def _and(before: tuple[str, ...] | None, found: Iterable[str]) -> tuple[str, ...]:
    """Repeated parameters narrow each other."""
    ids = dict.fromkeys(found)
    return tuple(ids) if before is None else tuple(one for one in before if one in ids)


def _id(name: str, text: str) -> str:
    if not _ID.fullmatch(text):
        raise InvalidInput(f"{name} is an id, or a reference to a Patient where it names one")
    return text


def _bounds(value: str) -> Iterator[Bound]:
    match = _PREFIXED.fullmatch(value.replace(" ", "+"))  # a plus sign that nobody escaped
    if match is None:
        raise InvalidInput("_lastUpdated is one date or time, after a prefix or not")
    prefix, covered = match[1] or "eq", times.parse(match[2])
    if prefix not in _BOUNDS:
        raise InvalidInput("_lastUpdated takes the prefixes eq, gt, lt, ge, le, sa and eb")
    for sign, end in _BOUNDS[prefix]:
        yield sign, covered.end if end else covered.start


_BOUNDS: dict[str, tuple[tuple[str, bool], ...]] = {
    "eq": (("ge", False), ("lt", True)),
    "gt": (("ge", True),),
    "sa": (("ge", True),),
    "ge": (("ge", False),),
    "lt": (("lt", False),),
    "eb": (("lt", False),),
    "le": (("lt", True),),
}


def identifiers_of(resource: Resource) -> list[tuple[str, str]]:
    """The (system, value) rows a resource is found by, in its own order; no system = ""."""
    found = resource.get("identifier")
    if found is None:
        return []
    rows = [row for one in (found if isinstance(found, list) else (found,)) if (row := _row(one))]
    return list(dict.fromkeys(rows)) if len(rows) > 1 else rows


def _row(identifier: Any) -> tuple[str, str] | None:
    if not isinstance(identifier, dict):
        return None
    system, value = identifier.get("system") or "", identifier.get("value")
    return (system, value) if isinstance(system, str) and isinstance(value, str) and value else None
