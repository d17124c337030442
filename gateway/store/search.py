"""Search of one resource type by what is indexed (FHIR R4 §3.1.1): ids, identifiers, patient, last updated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    CompoundSelect,
    Select,
    Text,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from gateway.fhir.search import Order

from .clock import to_micros
from .resources import HIT, to_hit
from .rows import Hit
from .schema import belongs, identifier, resource, version
from .source import Build, Source
from .sql import Flavour


class Shape(NamedTuple):
    """Which filters a search has: one compiled statement per shape."""

    ids: bool
    identifiers: Literal["one", "several"] | None
    patients: Literal["first", "each"] | None
    at: tuple[str, ...]
    order: Order | None
    """None = only how many there are."""


_COMPARE: dict[str, Callable[[ColumnElement[Any], Any], ColumnElement[bool]]] = {
    "eq": lambda column, value: column == value,
    "ne": lambda column, value: column != value,
    "gt": lambda column, value: column > value,
    "ge": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "le": lambda column, value: column <= value,
}


@lru_cache(maxsize=256)
def _search(shape: Shape) -> Build:
    def build(flavour: Flavour) -> Select[Any]:
        found = and_(*_filters(shape, flavour))
        if shape.order is None:
            return select(func.count()).select_from(resource).where(found)
        joined = resource.join(version, version.c.seq == resource.c.seq)
        key: ColumnElement[Any] = _KEYS[shape.order]
        if shape.ids or shape.identifiers or shape.patients:
            key = _unindexed(_KEYS[shape.order])
        after: BindParameter[Any] = bindparam("after")
        is_down = shape.order.startswith("-")
        page = select(*HIT).select_from(joined).where(found, key < after if is_down else key > after)
        return page.order_by(key.desc() if is_down else key).limit(bindparam("limit"))

    return build


def _filters(shape: Shape, flavour: Flavour) -> Iterable[ColumnElement[bool]]:
    kind = _unindexed(resource.c.type) if shape.identifiers or shape.patients == "each" else resource.c.type
    yield kind == bindparam("type")
    yield resource.c.deleted.is_(False)
    if shape.ids:
        yield resource.c.id.in_(select(flavour.given("ids", id=Text()).c.id))
    if shape.patients == "first":
        yield resource.c.patient.in_(select(flavour.given("patients", rid=BigInteger()).c.rid))
    elif shape.patients:
        yield resource.c.rid.in_(_of_patients(flavour))
    if shape.identifiers:
        yield resource.c.rid.in_(_identified(flavour) if shape.identifiers == "several" else _identified_by_one())
    for place, comparison in enumerate(shape.at):
        yield _COMPARE[comparison](resource.c.at, bindparam(f"at_{place}"))


_KEYS: dict[Order, Column[Any]] = {
    "id": resource.c.id,
    "-id": resource.c.id,
    "seq": resource.c.seq,
    "-seq": resource.c.seq,
}
_BEFORE: dict[Order, str | int] = {"id": "", "-id": "~", "seq": 0, "-seq": 2**62}
"""Where an order begins: before everything that there can be."""


def _unindexed(key: Column[Any]) -> ColumnElement[Any]:
    """The same value, but no way in: neither database may walk a whole type because of the order of the page."""
    return key + literal_column("0") if key is resource.c.seq else key.concat(literal_column("''"))


def _of_patients(flavour: Flavour) -> CompoundSelect[Any]:
    """What belongs to any of them, alone or beside others."""
    given, first = select(flavour.given("patients", rid=BigInteger()).c.rid), resource.alias()
    shared = select(belongs.c.rid).where(belongs.c.patient.in_(given))
    return union_all(select(first.c.rid).where(first.c.patient.in_(given), first.c.type == bindparam("type")), shared)


def _identified(flavour: Flavour) -> Select[Any]:
    given = flavour.given("identifiers", type=Text(), system=Text(), value=Text())
    same = and_(
        identifier.c.type == given.c.type,
        identifier.c.value == given.c.value,
        or_(given.c.system.is_(None), identifier.c.system == given.c.system),
    )
    return select(identifier.c.rid).select_from(given.join(identifier, same))


def _identified_by_one() -> Select[Any]:
    """The question that is nearly always asked: one identifier with its system."""
    names = ("type", "system", "value")
    same = [identifier.c[name] == bindparam(f"identifier_{name}") for name in names]
    return select(identifier.c.rid).where(*same)


class Search(Source):
    def search(
        self,
        kind: str,
        *,
        ids: Sequence[str] | None = None,
        identifiers: Sequence[tuple[str | None, str]] | None = None,
        patient: int | Sequence[int] | None = None,
        shared: bool = False,
        at: Sequence[tuple[str, datetime]] = (),
        order: Order = "id",
        after: str | None = None,
        limit: int = 100,
    ) -> list[Hit]:
        """Live resources that meet every filter given, by id, which for our UUIDv7 is the order of creation, or by seq,
        the order of their last changes; with `-` the other way round.

        `patient`: who comes first in it or, with `shared`, any whose it is. `after`: the id, or the seq, of the last
        hit of the page before. `at`: ('ge', moment) and so on, on the last change. An identifier's system None =
        whatever the system. Values of one filter are alternatives.
        """
        shape, values = _question(kind, ids, identifiers, patient, at, shared=shared, order=order)
        place = _BEFORE[order] if not after else after if order in ("id", "-id") else int(after)
        rows = self.ask(_search(shape), {**values, "after": place, "limit": limit})
        return [to_hit(row) for row in rows]

    def count(
        self,
        kind: str,
        *,
        ids: Sequence[str] | None = None,
        identifiers: Sequence[tuple[str | None, str]] | None = None,
        patient: int | Sequence[int] | None = None,
        shared: bool = False,
        at: Sequence[tuple[str, datetime]] = (),
    ) -> int:
        """How many there are in all (Bundle.total)."""
        shape, values = _question(kind, ids, identifiers, patient, at, shared=shared, order=None)
        return int(self.ask(_search(shape), values)[0][0])


def _question(
    kind: str,
    ids: Sequence[str] | None,
    identifiers: Sequence[tuple[str | None, str]] | None,
    patient: int | Sequence[int] | None,
    at: Sequence[tuple[str, datetime]],
    *,
    shared: bool,
    order: Order | None,
) -> tuple[Shape, dict[str, Any]]:
    patients = [patient] if isinstance(patient, int) else patient
    comparisons = tuple(comparison for comparison, _ in at)
    whose: Literal["first", "each"] | None = None if patients is None else "each" if shared else "first"
    asked, named = _named(kind, identifiers)
    shape = Shape(ids is not None, asked, whose, comparisons, order)
    values: dict[str, Any] = {"type": kind, **named}
    if ids is not None:
        values["ids"] = [(one,) for one in ids]
    if patients is not None:
        values["patients"] = [(rid,) for rid in patients]
    for place, (_, moment) in enumerate(at):
        values[f"at_{place}"] = to_micros(moment)
    return shape, values


def _named(
    kind: str, identifiers: Sequence[tuple[str | None, str]] | None
) -> tuple[Literal["one", "several"] | None, dict[str, Any]]:
    """How many identifiers are asked for, and the values of that question."""
    if identifiers is None:
        return None, {}
    if len(identifiers) == 1 and identifiers[0][0] is not None:
        [(system, value)] = identifiers
        return "one", {"identifier_type": kind, "identifier_system": system, "identifier_value": value}
    return "several", {"identifiers": [(kind, *pair) for pair in identifiers]}
