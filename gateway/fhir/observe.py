"""Observe: what a system shows or states becomes its record.

`observe` takes a read (or a dated event) of a system's own copy, `edit` a FHIR client's change of the resource by id,
`state` a statement of the caller's own record, `show` the answer that we gave. All pure; a record is never mutated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from gateway.fhir import events
from gateway.fhir.draft import TICK, Draft, assertion, is_sent, latest, replaced_stamp
from gateway.fhir.form import FULL, Form
from gateway.fhir.json import Resource
from gateway.fhir.overlay import overlay
from gateway.fhir.record import Coverage, Own, Record, Shown, Slots, Value
from gateway.fhir.slots import is_united, split
from gateway.fhir.spelling import exact, same

NO_TIME: Final = timedelta(0)


def observe(
    record: Record,
    body: Resource,
    coverage: Coverage,
    at: datetime | None,
    read_start: datetime,
    *,
    now: datetime,
    form: Form = FULL,
    dated: bool = False,
    tolerance: timedelta = NO_TIME,
) -> Record:
    """The record after its system showed `body`.

    `at` = the source's own time of this version, `read_start` = when the read (or receipt) began, `form` = the
    connector's, for its rewriting and its single-valued fields. A read that began before the last applied one is
    dropped: what it says is older. `dated`: a document or event of a system that cannot be read; it is folded in by
    its own time and need not be the newest; `tolerance` = how wrong its clock may be.
    """
    if dated:
        return events.fold(record, split(body), at, min(read_start, now), coverage, form, tolerance)
    return observe_versions(record, [(body, at)], coverage, read_start, now=now, form=form)


def observe_versions(
    record: Record,
    versions: Sequence[tuple[Resource, datetime | None]],
    coverage: Coverage,
    read_start: datetime,
    *,
    now: datetime,
    form: Form = FULL,
) -> Record:
    """The record after one read that told several versions, oldest first (systems that have history)."""
    if record.read_at is not None and read_start < record.read_at:
        return record
    draft = Draft.of(record, form)
    for body, at in versions:
        when = Moment(at, read_start, record.read_at, now)
        listen(draft, split(body), coverage, when)
    intents = tuple(intent for intent in record.intents if intent.until >= read_start)
    return replace(draft.record(), intents=intents, read_at=read_start)


def edit(record: Record, base: Resource, body: Resource, *, at: datetime, base_stamp: datetime | None) -> Record:
    """A FHIR client's PUT or PATCH by id: what differs from the version that it was made from is asserted.

    A slot that is gone is a tombstone. Differences of spelling count: somebody typed them.
    """
    before, after = split(base), split(body)
    when = at if base_stamp is None else max(at, base_stamp + TICK)
    own = dict(record.own)
    for slot in before.keys() | after.keys():
        if _is_edited(slot, before.get(slot), after.get(slot)):
            own[slot] = Own(after.get(slot), when, base_stamp)
    return replace(record, own=own, read_at=latest(record.read_at, at))


def state(record: Record, body: Resource, coverage: Coverage, *, at: datetime) -> Record:
    """A statement of the caller's own record (conditional PUT or POST): what is new in it is asserted.

    Repeating what it stated before, or what we answered it, says nothing new. Absence removes only what it had
    stated itself.
    """
    stated = split(body)
    own: dict[str, Own | None] = dict(record.own)
    for slot, value in stated.items():
        if coverage.covers(slot):
            own[slot] = _stated(own.get(slot), record.shown.get(slot), slot, value, at)
    if coverage.absence:
        for slot, said in record.own.items():
            if slot not in stated and said.value is not None and coverage.covers(slot) and not is_united(slot):
                own[slot] = _asserted(said, record.shown.get(slot), None, at)
    kept = {slot: said for slot, said in own.items() if said is not None}
    return replace(record, own=kept, read_at=latest(record.read_at, at))


def show(record: Record, resource: Resource, stamps: Mapping[str, datetime | None]) -> Record:
    """The answer that we returned: the caller now knows every value of it, and that what is missing is gone."""
    slots = split(resource)
    shown = {slot: _answered(record.own.get(slot), value, stamps.get(slot)) for slot, value in slots.items()}
    gone = (record.own.keys() | record.shown.keys()) - slots.keys()
    shown |= {slot: Shown(None, None, stamps.get(slot), adopted=True) for slot in gone}
    return replace(record, shown=shown)


@dataclass(frozen=True, slots=True)
class Moment:
    """When a change that a read tells of was made: the source's own time, else the start of the read."""

    at: datetime | None
    read_start: datetime
    previous: datetime | None
    now: datetime

    def of_change(self, replaced: datetime | None) -> datetime | None:
        """Clamped to [previous read, now], later than what it replaces; None = unknown (first contact, no date)."""
        if self.at is None and self.previous is None and replaced is None:
            return None
        when = self.at or self.read_start
        if self.previous is not None:
            when = max(when, self.previous)
        when = min(when, self.now)
        return when if replaced is None else max(when, replaced + TICK)


def listen(
    draft: Draft, slots: Slots, coverage: Coverage, when: Moment, *, settled: Collection[str] = frozenset()
) -> None:
    """Take in what one version of their copy displays, `settled` slots (and the fields they fill) aside."""
    fields = [single for slot in settled if (single := draft.form.field_of(slot))]
    for slot, value in _heard(draft, slots, coverage).items():
        if slot not in settled and not any(single.holds(slot) for single in fields):
            _hear(draft, slot, value, when)


def _heard(draft: Draft, slots: Slots, coverage: Coverage) -> dict[str, Value]:
    """What it says slot by slot, with None for what was displayed and no longer is."""
    said = draft.by_field(slots, coverage)
    displayed = [slot for slot, shown in draft.shown.items() if shown.value is not None and slot not in said]
    return said | {slot: None for slot in displayed if draft.ends_by_absence(slot, coverage)}


def _hear(draft: Draft, slot: str, value: Value, when: Moment) -> None:
    """One slot of a read: nothing new, the effect of one of our sends, or their own new value."""
    shown = draft.shown.get(slot)
    if same(slot, value, shown.value if shown else None):
        if not _is_overtaken(draft, slot, shown, value, when):
            _respell(draft, slot, value)
    elif shown is not None and is_sent(draft.form, slot, shown, value):
        draft.shown[slot] = replace(shown, value=value)
    elif not draft.adopt(slot, value, when.read_start):
        _assert(draft, slot, value, when)


def _is_overtaken(draft: Draft, slot: str, shown: Shown | None, value: Value, when: Moment) -> bool:
    """Whether an older send took effect after the last one: what that one brought is not displayed."""
    if shown is None or not shown.adopted or is_sent(draft.form, slot, shown, value):
        return False
    return draft.adopt(slot, value, when.read_start)


def _assert(draft: Draft, slot: str, value: Value, when: Moment) -> None:
    said, shown = draft.own.get(slot), draft.shown.get(slot)
    whole = value
    if shown is not None and shown.sent is not None:
        whole = overlay(draft.form, slot, shown.sent, shown.value, value)
    moment = when.of_change(replaced_stamp(said, shown))
    draft.own[slot] = assertion(said, shown, whole, moment, when.read_start)
    draft.display(slot, Shown(value) if whole is value else Shown(value, sent=whole))


def _respell(draft: Draft, slot: str, value: Value) -> None:
    """Another spelling of what they displayed; in a slot of their own it replaces the old one and keeps the stamp."""
    shown, said = draft.shown.get(slot), draft.own.get(slot)
    if shown is None or exact(shown.value, value):
        return
    draft.shown[slot] = replace(shown, value=value)
    if said is not None and not shown.adopted and same(slot, said.value, value):
        draft.own[slot] = replace(said, value=value)


def _stated(said: Own | None, shown: Shown | None, slot: str, value: Value, at: datetime) -> Own | None:
    if said is not None and same(slot, said.value, value):
        return said if exact(said.value, value) else replace(said, value=value)
    if shown is not None and same(slot, shown.value, value):
        return said
    return _asserted(said, shown, value, at)


def _asserted(said: Own | None, shown: Shown | None, value: Value, at: datetime) -> Own:
    replaced = replaced_stamp(said, shown)
    return assertion(said, shown, value, at if replaced is None else max(at, replaced + TICK), at)


def _answered(said: Own | None, value: Value, stamp: datetime | None) -> Shown:
    """What the caller knows from our answer; its own value needs no second copy."""
    if said is not None and said.stamp == stamp and exact(said.value, value):
        return Shown(said.value)
    return Shown(value, value, stamp, adopted=True)


def _is_edited(slot: str, before: Value, after: Value) -> bool:
    if after is None:
        return before is not None and not is_united(slot)
    return not exact(before, after)
