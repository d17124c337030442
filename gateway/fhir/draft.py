"""Draft: a record while something is being observed, and what every way of observing shares."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from gateway.fhir.form import Form, echoes
from gateway.fhir.record import Coverage, Own, Record, Shown, Slots, Value
from gateway.fhir.slots import is_united, labelled

Time = datetime | None
TICK: Final = timedelta(microseconds=1)


@dataclass(slots=True)
class Draft:
    """Copies of a record's layers, to be changed and made a record again."""

    source: Record
    form: Form
    own: dict[str, Own] = field(default_factory=dict)
    shown: dict[str, Shown] = field(default_factory=dict)
    bound: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Record, form: Form) -> Draft:
        return cls(record, form, dict(record.own), dict(record.shown), dict(record.bound))

    def record(self) -> Record:
        return replace(self.source, own=self.own, shown=self.shown, bound=self.bound)

    def by_field(self, slots: Slots, coverage: Coverage) -> dict[str, Value]:
        """What was said and is covered, with a single-valued field under the slot that it is bound to."""
        said = {slot: value for slot, value in slots.items() if coverage.covers(slot)}
        for single in self.form.fields:
            given = [slot for slot in said if single.holds(slot)]
            if given:
                bound = self.bound.get(single.slot, single.slot)
                values = [said.pop(slot) for slot in given]
                said[bound] = labelled(bound, values[0])
        return said

    def ends_by_absence(self, slot: str, coverage: Coverage) -> bool:
        """Whether leaving the slot out says that there is none."""
        single = self.form.field_of(slot)
        covered = coverage.covers(slot) or (single is not None and coverage.covers(single.slot))
        return coverage.absence and covered and not is_united(slot)

    def display(self, slot: str, shown: Shown) -> None:
        """They display this now; a single-valued field displays nothing else, and is bound to this slot."""
        single = self.form.field_of(slot)
        if single is not None:
            self.shown = {other: value for other, value in self.shown.items() if not single.holds(other)}
            self.bound[single.slot] = slot
        self.shown[slot] = shown

    def adopt(self, slot: str, value: Value, since: datetime, *, told: bool = False, sent_by: Time = None) -> bool:
        """Take a display as the effect of the newest open send that it equals; False if it equals none.

        `told` = by an event of time `since`; a send that was not made by `sent_by` cannot have caused it.
        """
        found = self.intended(slot, value, sent_by)
        if found is None:
            return False
        target, sent, stamp = found
        self.display(target, Shown(labelled(target, value), sent, stamp, adopted=True, since=since, told=told))
        return True

    def intended(self, slot: str, value: Value, sent_by: Time = None) -> tuple[str, Value, Time] | None:
        """The newest open send that this display can be the effect of: its slot, value and stamp."""
        single = self.form.field_of(slot)
        for intent in reversed(self.source.intents):
            if sent_by is not None and intent.sent_at > sent_by:
                continue
            for target, (sent, stamp) in intent.slots.items():
                if target != slot and not (single and single.holds(target)):
                    continue
                if echoes(self.form, target, sent, labelled(target, value)):
                    return target, sent, stamp
        return None


def is_sent(form: Form, slot: str, shown: Shown, value: Value) -> bool:
    """Whether a display is what we had last sent: a late or fuller effect of it, no edit."""
    return (shown.adopted or shown.sent is not None) and echoes(form, slot, shown.sent, value)


def assertion(said: Own | None, shown: Shown | None, value: Value, when: datetime | None, seen: datetime) -> Own:
    """A system's own new value; its base is the newest foreign stamp that it had been shown in this slot."""
    foreign = shown.stamp if shown is not None and shown.adopted else None
    return Own(value, when, latest(said.base if said else None, foreign), seen)


def replaced_stamp(said: Own | None, shown: Shown | None) -> datetime | None:
    """The stamp of the value that they displayed until now."""
    if shown is not None and shown.adopted:
        return shown.stamp
    return said.stamp if said else None


def latest(a: datetime | None, b: datetime | None) -> datetime | None:
    """The later of two times, either of which may be unknown."""
    return max((one for one in (a, b) if one is not None), default=None)
