"""Systems: the outside parties of a story, written without any code of the gateway."""

from __future__ import annotations

import unicodedata
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from tests.simulation import values
from tests.simulation.values import ADDRESS, BIRTH, EMAIL, HOME, MARITAL, MOBILE, NAME

Resource = dict[str, Any]


class Refused(Exception):
    """412: the copy is not the version that the write was made from."""


@dataclass
class Edit:
    """Somebody typed `number` (None = deleted it) into a slot.

    `unseen`: overwritten before the gateway could see it. `unsure`: a removal of what the gateway never saw displayed.
    """

    system: str
    kind: str
    number: int | None
    time: int
    displaced: frozenset[int] = frozenset()
    unseen: bool = False
    unsure: bool = False


@dataclass
class Full:
    """A FHIR server with the full model: versions, If-Match, last-updated by its own clock, history."""

    name: str
    clock: int
    slots = (NAME, HOME, MOBILE, EMAIL, BIRTH, ADDRESS, MARITAL)
    locks = True
    hidden = False
    history: list[tuple[Resource, int]] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    read_up_to: int = 0

    @property
    def body(self) -> Resource | None:
        return self.history[-1][0] if self.history else None

    def type_in(self, slot: str, number: int | None, now: int) -> Edit:
        body = deepcopy(self.body) or {"resourceType": "Patient"}
        before = frozenset(values.numbers(body).get(values.kind_of(slot), ()))
        values.put(body, slot, None if number is None else values.typed(slot, number))
        gone = before - values.numbers(body).get(values.kind_of(slot), set())
        edit = Edit(self.name, values.kind_of(slot), number, now, gone)
        self._save(body, now)
        self.edits.append(edit)
        return edit

    def read(self) -> tuple[list[tuple[Resource, int | None]], Any]:
        """Every version since the last read, and the current version's number."""
        return [(body, at) for body, at in self.history[self.read_up_to :]] or self._current(), len(self.history)

    def write(self, changes: dict[str, Any], version: Any, now: int) -> Resource | None:
        if version != len(self.history):
            raise Refused
        body = deepcopy(self.body) or {"resourceType": "Patient"}
        for slot, value in changes.items():
            values.put(body, slot, value)
        self._save(body, now)
        return body

    def was_read(self, version: int) -> None:
        self.read_up_to = max(version, self.read_up_to)

    def was_answered(self) -> None:
        """It can always be read again, version by version."""

    def _current(self) -> list[tuple[Resource, int | None]]:
        return [self.history[-1]] if self.history else []  # type: ignore[list-item]

    def _save(self, body: Resource, now: int) -> None:
        self.history.append((body, now + self.clock))


@dataclass
class Five:
    """Five fields, one name and one phone, no locking, no dates; rewrites what it is given.

    `answers`: whether a write is answered with the copy. `patches`: whether a write may name some fields only.
    """

    name: str
    answers: bool
    patches: bool
    slots = (NAME, HOME, EMAIL, BIRTH)
    locks = False
    hidden = True
    fields: dict[str, str] | None = None
    edits: list[Edit] = field(default_factory=list)
    writes: list[set[str]] = field(default_factory=list)
    read_up_to: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def body(self) -> Resource | None:
        return None if self.fields is None else self.to_fhir()

    def type_in(self, slot: str, number: int | None, now: int) -> Edit:
        kind = values.kind_of(slot)
        before: frozenset[int] = frozenset(values.numbers(self.body).get(kind, ()))
        fields = dict(self.fields or {})
        if number is None:
            fields.pop(kind, None)
        elif kind == "name":
            fields["name"] = f"Née{number}"
            fields.setdefault("given", f"Zoë{number}")
        else:
            fields[kind] = {"birthDate": values.typed(BIRTH, number), "email": f"u{number}@example.org"}.get(
                kind, f"{number:010d}"
            )
        self.fields = fields
        if number is not None and kind in ("name", "phone") and kind in self._unconfirmed():
            before = frozenset()  # the gateway cannot know which name or phone this edit is about
        edit = Edit(self.name, kind, number, now, before, unsure=number is None and kind in self._unconfirmed())
        self.edits.append(edit)
        return edit

    def read(self) -> tuple[list[tuple[Resource, int | None]], Any]:
        return ([(self.to_fhir(), None)] if self.fields is not None else []), self._marker()

    def write(self, changes: dict[str, Any], version: Any, now: int) -> Resource | None:
        """Names and phones are stored its own way: first given name only, upper case, no accents, digits only."""
        fields = dict(self.fields or {})
        for slot, value in changes.items():
            self._store(fields, values.kind_of(slot), value)
        self._note_overwritten(fields)
        self.fields = fields
        self.writes.append({values.kind_of(slot) for slot in changes})
        return self.to_fhir() if self.answers else None

    def was_read(self, version: Any) -> None:
        *self.read_up_to, captured = version
        for position in captured:
            self.edits[position].unseen = False

    def was_answered(self) -> None:
        self.read_up_to[1] = len(self.writes)

    def _marker(self) -> tuple[int, int, list[int]]:
        seen = [position for position, edit in enumerate(self.edits) if not edit.unseen]
        return len(self.edits), len(self.writes), seen

    def _unconfirmed(self) -> set[str]:
        """What was written and the gateway has not seen since: its removal cannot be noticed."""
        return {kind for kinds in self.writes[self.read_up_to[1] :] for kind in kinds}

    def to_fhir(self) -> Resource:
        fields = self.fields or {}
        body: Resource = {"resourceType": "Patient"}
        if "name" in fields:
            body["name"] = [{"family": fields["name"], "given": [fields["given"]]}]
        telecom = [{"system": kind, "value": fields[kind]} for kind in ("phone", "email") if kind in fields]
        if telecom:
            body["telecom"] = telecom
        if "birthDate" in fields:
            body["birthDate"] = fields["birthDate"]
        return body

    def _store(self, fields: dict[str, str], kind: str, value: Any) -> None:
        if value is None:
            fields.pop(kind, None)
        elif kind == "name":
            fields["name"], fields["given"] = _upper(value[0]["family"]), _upper(value[0]["given"][0])
        elif kind == "birthDate":
            fields[kind] = value
        else:
            text = value[0]["value"]
            fields[kind] = "".join(filter(str.isdigit, text)) if kind == "phone" else text

    def _note_overwritten(self, fields: dict[str, str]) -> None:
        """Without locking, what was typed since the last read is gone before anybody could see it."""
        for edit in self.edits[self.read_up_to[0] :]:
            if fields.get(edit.kind) != (self.fields or {}).get(edit.kind):
                edit.unseen = True


GRAIN = 5
"""Ticks that a lock by date cannot tell apart."""


@dataclass
class Lists:
    """No versions and no dates of its own; a PUT replaces whole lists and is answered with nothing; locked by a date
    of coarse grain, so that an edit shortly before a write is overwritten unseen."""

    name: str
    slots = (NAME, HOME, MOBILE, EMAIL, BIRTH, ADDRESS)
    locks = True
    hidden = True
    body: Resource | None = None
    changed: int = 0
    edits: list[Edit] = field(default_factory=list)
    writes: list[set[str]] = field(default_factory=list)
    read_up_to: list[int] = field(default_factory=lambda: [0, 0])

    def type_in(self, slot: str, number: int | None, now: int) -> Edit:
        kind = values.kind_of(slot)
        body = deepcopy(self.body) or {"resourceType": "Patient"}
        before = frozenset(values.numbers(body).get(kind, ()))
        values.put(body, slot, None if number is None else values.typed(slot, number))
        gone = before - values.numbers(body).get(kind, set())
        self.body, self.changed = body, now
        edit = Edit(self.name, kind, number, now, gone, unsure=number is None and kind in self._unconfirmed())
        self.edits.append(edit)
        return edit

    def read(self) -> tuple[list[tuple[Resource, int | None]], Any]:
        seen = [position for position, edit in enumerate(self.edits) if not edit.unseen]
        marker = (len(self.edits), len(self.writes), seen, self.changed)
        return ([(deepcopy(self.body), None)] if self.body is not None else []), marker

    def write(self, changes: dict[str, Any], version: Any, now: int) -> Resource | None:
        if version and self.changed // GRAIN > version[3] // GRAIN:
            raise Refused
        body = deepcopy(self.body) or {"resourceType": "Patient"}
        for element in {slot.partition("[")[0] for slot in (*changes, *self.slots)}:
            body.pop(element, None)
        for slot, value in changes.items():
            values.put(body, slot, value)
        self._note_overwritten(body)
        self.body, self.changed = body, now
        self.writes.append({values.kind_of(slot) for slot in changes})
        return None

    def was_read(self, version: Any) -> None:
        *self.read_up_to, captured, _ = version
        for position in captured:
            self.edits[position].unseen = False

    def was_answered(self) -> None:
        """Its answers say nothing."""

    def _unconfirmed(self) -> set[str]:
        return {kind for kinds in self.writes[self.read_up_to[1] :] for kind in kinds}

    def _note_overwritten(self, body: Resource) -> None:
        before, after = values.numbers(self.body), values.numbers(body)
        for edit in self.edits[self.read_up_to[0] :]:
            if before.get(edit.kind, set()) != after.get(edit.kind, set()):
                edit.unseen = True


@dataclass
class Blind:
    """Takes writes but cannot be read; tells each change of a slot, its own and ours, in an event with its own time."""

    name: str
    clock: int
    slots = (NAME, HOME, MOBILE, EMAIL, BIRTH, ADDRESS, MARITAL)
    locks = False
    body: Resource | None = None
    edits: list[Edit] = field(default_factory=list)
    outbox: list[tuple[Resource, str, int]] = field(default_factory=list)

    def type_in(self, slot: str, number: int | None, now: int) -> Edit:
        before = frozenset(values.numbers(self.body).get(values.kind_of(slot), ()))
        self._change({slot: None if number is None else values.typed(slot, number)}, now)
        gone = before - values.numbers(self.body).get(values.kind_of(slot), set())
        edit = Edit(self.name, values.kind_of(slot), number, now, gone)
        self.edits.append(edit)
        return edit

    def write(self, changes: dict[str, Any], version: Any, now: int) -> Resource | None:
        self._change(changes, now)
        return None

    def was_read(self, version: Any) -> None:
        """It cannot be."""

    def was_answered(self) -> None:
        """It tells in events."""

    def _change(self, changes: dict[str, Any], now: int) -> None:
        self.body = deepcopy(self.body) or {"resourceType": "Patient"}
        for slot, value in changes.items():
            values.put(self.body, slot, value)
            told: Resource = {"resourceType": "Patient"}
            values.put(told, slot, value)
            self.outbox.append((told, slot, now + self.clock))


@dataclass
class Papers:
    """Sends documents with its own time, which tell what was typed last; nobody can read it or write to it."""

    name: str
    clock: int
    slots = (NAME, HOME, BIRTH, ADDRESS)
    recent: list[tuple[str, int]] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    outbox: list[tuple[Resource, int]] = field(default_factory=list)

    def type_in(self, slot: str, number: int, now: int) -> Edit:
        self.recent = [one for one in self.recent[-1:] if one[0] != slot] + [(slot, number)]
        body: Resource = {"resourceType": "Patient"}
        for told, typed in self.recent:
            values.put(body, told, values.typed(told, typed))
        edit = Edit(self.name, values.kind_of(slot), number, now)
        self.edits.append(edit)
        self.outbox.append((body, now + self.clock))
        return edit


@dataclass
class Client:
    """A FHIR client: edits what it read by id (`put`), or states its own record (`state`)."""

    name: str
    slots = (NAME, HOME, MOBILE, EMAIL, BIRTH, ADDRESS, MARITAL)
    base: tuple[int, Resource] | None = None
    stated: Resource = field(default_factory=lambda: {"resourceType": "Patient"})
    edits: list[Edit] = field(default_factory=list)


def _upper(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text.upper())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))
