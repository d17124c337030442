"""Form: what a connector's payload can carry, and a resource as it looks in it.

A form may lack slots, hold one value where FHIR has many (`fields`), show only some parts of an element (`parts`), and
be kept by a system that rewrites what it is given (`rewriting`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage, Record, Shown, Slots, Value
from gateway.fhir.slots import element_of, join, labelled, order, split, unwrap, wrap
from gateway.fhir.spelling import fold, same


@dataclass(frozen=True, slots=True)
class Field:
    """One field without a discriminator. `slot` = what reading it yields (`telecom[phone]`), `prefer` = which slots
    fill it first; without them the slot that last filled it does, else the field's own, else the first. `apart` =
    slots of the same element that the form has a place of their own for."""

    slot: str
    prefer: tuple[str, ...] = ()
    apart: frozenset[str] = frozenset()

    def holds(self, slot: str) -> bool:
        """Whether the slot can fill this field: the same element, for a telecom the same system."""
        if slot in self.apart:
            return False
        stem = _stem(self.slot)
        return slot.startswith(stem) and (stem.endswith("[") or slot[len(stem)] in ",]")


@lru_cache(maxsize=64)
def _stem(slot: str) -> str:
    """What the slots begin with that can fill the field of this one."""
    return slot.split(",")[0].rstrip("]") if slot.startswith("telecom[") else f"{element_of(slot)}["


ONE_NAME: Final = Field("name[-]", ("name[official]", "name[usual]"))
ONE_PHONE: Final = Field("telecom[phone]")
ONE_EMAIL: Final = Field("telecom[email]")
ONE_ADDRESS: Final = Field("address[-]")


EVERYTHING: Final = Coverage()


@dataclass(frozen=True, slots=True)
class Form:
    """`reads`: what a read speaks about. `writes`: the elements or slots that can be sent, None = all; `never`: slots
    among them that cannot.

    `parts`: per element the keys that the form shows. `rewriting`: names in REWRITING, `displays`: a system's own way
    of showing one value of an element, None = not at all. `silent`: per slot the value that only says that nothing is
    known. `partial`: a write may name some slots only and leaves the others alone.
    """

    reads: Coverage = EVERYTHING
    writes: frozenset[str] | None = None
    fields: tuple[Field, ...] = ()
    parts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rewriting: tuple[str, ...] = ()
    partial: bool = False
    never: frozenset[str] = frozenset()
    displays: Callable[[str, Any], Any] | None = None
    silent: Mapping[str, Value] = field(default_factory=dict)

    def carries(self, slot: str) -> bool:
        if slot in self.never:
            return False
        if self.writes is None or slot in self.writes or element_of(slot) in self.writes:
            return True
        single = self.field_of(slot)
        return single is not None and single.slot in self.writes

    @property
    def readable(self) -> bool:
        """Whether their copy can be read at all; a form that reads nothing is told of by dated events only."""
        return self.reads.elements is None or bool(self.reads.elements)

    def field_of(self, slot: str) -> Field | None:
        """The single-valued field that this slot is read from and written to, if it is one."""
        return next((one for one in self.fields if one.holds(slot)), None)


FULL: Final = Form()


def render(resource: Resource, form: Form, record: Record, *, slots: Slots | None = None) -> dict[str, Value]:
    """The slots that this form can carry and the values that it should hold; None = what they show has to go.

    A single-valued field appears once, under the slot that fills it. `slots`: the resource's own, where they are known.
    """
    slots = split(resource) if slots is None else slots
    rendered: dict[str, Value] = {slot: None for slot, shown in record.shown.items() if shown.value is not None}
    rendered.update(slots)
    for single in form.fields:
        filled_by = choose(single, slots, record) or record.bound.get(single.slot, single.slot)
        for slot in [slot for slot in rendered if single.holds(slot) and slot != filled_by]:
            del rendered[slot]
    return {slot: value for slot, value in rendered.items() if form.carries(slot) and not _is_silent(form, slot, value)}


def _is_silent(form: Form, slot: str, value: Value) -> bool:
    """Whether sending it would say nothing there: what is not known, or what they do not show at all."""
    if slot in form.silent and same(slot, value, form.silent[slot]):
        return True
    return form.displays is not None and value is not None and unwrap(reflect(form, slot, value))[0] == []


def narrow(resource: Resource, form: Form, rendered: Slots) -> Resource:
    """The resource with that value only which fills each single-valued field, as `rendered` has chosen."""
    if not form.fields:
        return resource
    kept = {slot: value for slot, value in split(resource).items() if form.field_of(slot) is None or slot in rendered}
    return join(resource["resourceType"], kept)


def choose(single: Field, slots: Slots, record: Record) -> str | None:
    """Which slot fills a single-valued field; None when there is nothing to fill it with."""
    filled = sorted((slot for slot, value in slots.items() if value is not None and single.holds(slot)), key=order)
    wanted = (*single.prefer, record.bound.get(single.slot, single.slot), single.slot, *filled)
    return next((slot for slot in wanted if slot in filled), None)


def bind(record: Record, slots: Slots, form: Form) -> Record:
    """What the form already displays of the resource counts as sent, and its fields as filled by those slots.

    So nothing is sent that would change nothing there, and a later edit in a form that shows a part only is taken as
    an edit of that part. Call it before `render`.
    """
    if not (form.fields or form.parts or form.rewriting or form.displays):
        return record
    for single in form.fields:
        record = _rebind(record, slots, form, single)
    settled = {
        slot: replace(shown, sent=slots[slot])
        for slot, shown in record.shown.items()
        if slots.get(slot) is not None and _shows_part(form, slot, slots[slot], shown)
    }
    return replace(record, shown={**record.shown, **settled}) if settled else record


def echoes(form: Form, slot: str, sent: Value, displayed: Value) -> bool:
    """Whether they display what we sent, as far as their form and the rewriting they declare go."""
    if sent is None or displayed is None or same(slot, sent, displayed):
        return same(slot, sent, displayed)
    return same(slot, reflect(form, slot, sent), reflect(form, slot, displayed))


def reflect(form: Form, slot: str, value: Value) -> Value:
    """A slot's value as their side would display it."""
    plain, twin, contained = unwrap(value)
    element = element_of(slot)
    if not isinstance(plain, list):
        return wrap(form.displays(element, plain), twin, contained) if form.displays and plain is not None else value
    items = plain[:1] if form.field_of(slot) else plain
    shown = [_reflected(form, element, item) for item in items]
    return wrap([item for item in shown if item is not None], twin, contained)


def _reflected(form: Form, element: str, item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    kept = form.parts.get(element)
    shown = {key: part for key, part in item.items() if kept is None or key in kept or key in ("use", "system")}
    for name in form.rewriting:
        shown = REWRITING[name](element, shown)
    return form.displays(element, shown) if form.displays else shown


def _shows_part(form: Form, slot: str, value: Value, shown: Shown) -> bool:
    known = same(slot, value, shown.value) or (shown.sent is not None and same(slot, value, shown.sent))
    return not known and echoes(form, slot, value, shown.value)


def _rebind(record: Record, slots: Slots, form: Form, single: Field) -> Record:
    """Bind a field to the slot that would fill it, if it displays that slot's value already."""
    before = record.bound.get(single.slot, single.slot)
    after = choose(single, slots, record)
    shown = record.shown.get(before)
    if after is None or after == before or shown is None:
        return record
    if not echoes(form, after, slots[after], labelled(after, shown.value)):
        return record
    displayed = {slot: value for slot, value in record.shown.items() if slot != before}
    displayed[after] = replace(shown, value=labelled(after, shown.value))
    moved = replace(record, shown=displayed, bound={**record.bound, single.slot: after})
    return _one_name(moved, before, after, slots[after])


def _one_name(record: Record, before: str, after: str, value: Value) -> Record:
    """A system's unlabelled name that equals a labelled one is that name, from now on (names equal in family and
    given are one name): else it would come back as a second name once the labelled one changes."""
    own = record.own.get(before)
    if own is None or after in record.own or not one_name(own.value, value):
        return record
    kept = {slot: said for slot, said in record.own.items() if slot != before}
    return replace(record, own={**kept, after: replace(own, value=value)})


def one_name(a: Value, b: Value) -> bool:
    """Whether two name slots hold the same names, by family and given."""
    return bool(a) and bool(b) and name_parts(a) == name_parts(b)


def name_parts(value: Value) -> set[tuple[str, ...]] | None:
    """The names of a slot as family and given, folded; None when it is no list of names."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return None
    return {(fold(str(item.get("family", ""))), *(fold(str(part)) for part in item.get("given", []))) for item in value}


# What a system may declare that it does to what it is given. Each is idempotent.

_TEXTS: Final = frozenset({"family", "given", "prefix", "suffix", "text", "line", "city", "district", "state"})


def _upper(element: str, item: dict[str, Any]) -> dict[str, Any]:
    return _each_text(item, str.upper) if element in ("name", "address") else item


def _unaccented(element: str, item: dict[str, Any]) -> dict[str, Any]:
    return _each_text(item, _without_marks) if element in ("name", "address") else item


def _digits(element: str, item: dict[str, Any]) -> dict[str, Any]:
    if element != "telecom" or item.get("system") not in ("phone", "fax", "sms", "pager"):
        return item
    return {**item, "value": "".join(filter(str.isdigit, str(item.get("value", ""))))}


def _first_given(element: str, item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "given": item["given"][:1]} if element == "name" and item.get("given") else item


def _name_text(element: str, item: dict[str, Any]) -> dict[str, Any]:
    """A name that is shown as one text."""
    if element != "name":
        return item
    text = item.get("text") or " ".join([*(item.get("given") or []), item.get("family") or ""]).strip()
    return {key: part for key, part in item.items() if key == "use"} | ({"text": text} if text else {})


def _each_text(item: dict[str, Any], rewrite: Callable[[str], str]) -> dict[str, Any]:
    return {key: _rewritten(part, rewrite) if key in _TEXTS else part for key, part in item.items()}


def _rewritten(part: Any, rewrite: Callable[[str], str]) -> Any:
    if isinstance(part, list):
        return [_rewritten(one, rewrite) for one in part]
    return rewrite(part) if isinstance(part, str) else part


def _without_marks(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


REWRITING: Final[Mapping[str, Callable[[str, dict[str, Any]], dict[str, Any]]]] = {
    "upper": _upper,
    "unaccented": _unaccented,
    "digits": _digits,
    "first-given": _first_given,
    "name-text": _name_text,
}
