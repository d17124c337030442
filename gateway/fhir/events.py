"""Events: documents and dated events of systems that cannot be read, folded in by their own time, not by arrival."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from gateway.fhir.draft import TICK, Draft, assertion, is_sent, latest
from gateway.fhir.form import Form
from gateway.fhir.record import Coverage, Own, Record, Shown, Slots, Value
from gateway.fhir.spelling import canonical, same


@dataclass(frozen=True, slots=True)
class Event:
    """`when`: by their clock, which may be wrong by `tolerance`; None = unknown. `received`: by ours."""

    when: datetime | None
    received: datetime
    tolerance: timedelta

    @property
    def at(self) -> datetime | None:
        """The time of change: nothing was said later than we heard of it."""
        return min(self.when, self.received) if self.when else None

    @property
    def latest(self) -> datetime | None:
        """The latest time by our clock at which it can have happened."""
        return self.when + self.tolerance if self.when else None

    def is_before(self, shown: Shown) -> bool:
        """Whether it tells of a time before they took over what they display now."""
        return shown.since is not None and (self.when is None or self.when <= shown.since)

    def is_surely_before(self, shown: Shown) -> bool:
        """The same, whatever their clock is worth."""
        newest = self.when if shown.told else self.latest
        return shown.since is not None and (newest is None or newest <= shown.since)

    def is_after(self, shown: Shown) -> bool:
        """Whether it certainly tells of a time when they had been shown that."""
        if self.when is None or shown.since is None:
            return self.when is not None
        return self.when - (timedelta(0) if shown.told else self.tolerance) > shown.since


_PLAIN: Final = frozenset({"active", "gender", "birthDate", "deceased[x]", "maritalStatus", "multipleBirth[x]"})


def fold(
    record: Record,
    slots: Slots,
    at: datetime | None,
    received: datetime,
    coverage: Coverage,
    form: Form,
    tolerance: timedelta,
) -> Record:
    """The record after an event of time `at`: per slot the newest own statement stands, whatever came first.

    Without a date it is of the time it was received, and of unknown time at first contact.
    """
    event = Event(at or (received if record.read_at else None), received, tolerance)
    draft = Draft.of(record, form)
    said = draft.by_field(slots, coverage)
    for slot, value in said.items():
        _fold(draft, slot, value, event)
    for slot in (draft.own.keys() | draft.shown.keys() | _named(coverage)) - said.keys():
        if draft.ends_by_absence(slot, coverage):
            _end(draft, slot, event)
    return replace(draft.record(), read_at=latest(record.read_at, received))


def _named(coverage: Coverage) -> set[str]:
    """The slots that an event speaks about by name: leaving one out says something even where nothing is known yet."""
    return {name for name in coverage.elements or () if "[" in name or name in _PLAIN}


def _end(draft: Draft, slot: str, event: Event) -> None:
    """They say that there is none. Where none was known that only keeps an older event from counting."""
    own, shown = draft.own.get(slot), draft.shown.get(slot)
    if own is None and (shown is None or (shown.value is None and not shown.adopted)):
        draft.shown[slot] = Shown(None, since=latest(event.when, shown.since if shown else None), told=True)
    elif own is None or own.value is not None or (shown is not None and shown.value is not None):
        _fold(draft, slot, None, event)


def _fold(draft: Draft, slot: str, value: Value, event: Event) -> None:
    own, shown = draft.own.get(slot), draft.shown.get(slot)
    if own is not None and same(slot, own.value, value):
        _repeat(draft, slot, own, shown, event)
    elif shown is not None and _displays(draft, slot, shown, value):
        _echo(draft, slot, own, shown, event)
    elif own is not None and _is_old(own, slot, value, event.when):
        draft.own[slot] = _informed(draft, slot, _changed_after(own, event.when), value, event)
    elif shown is not None and event.is_before(shown) and not shown.adopted:
        _ended_after(draft, slot, value, shown, event)
    elif draft.intended(slot, value, event.latest):
        _landed(draft, slot, value, shown, event)
    else:
        _assert(draft, slot, value, event)


def _ended_after(draft: Draft, slot: str, value: Value, shown: Shown, event: Event) -> None:
    """An older event than the one that said there is none: if it tells of one of our sends, they removed that."""
    found = draft.intended(slot, value, event.latest)
    if found is not None and shown.since is not None:
        at = min(shown.since, event.received)
        draft.own[slot] = _after(assertion(None, None, None, at, shown.since), found[2])


def _displays(draft: Draft, slot: str, shown: Shown, value: Value) -> bool:
    return shown.adopted and (same(slot, shown.value, value) or is_sent(draft.form, slot, shown, value))


def _landed(draft: Draft, slot: str, value: Value, shown: Shown | None, event: Event) -> None:
    """They tell of a send whose outcome was open. Where it may have come after what we take them to display, that is
    sent once more."""
    if shown is None or not event.is_surely_before(shown):
        told = event.when is not None
        draft.adopt(slot, value, event.when or event.received, told=told, sent_by=event.latest)


def _repeat(draft: Draft, slot: str, own: Own, shown: Shown | None, event: Event) -> None:
    """They say again what they said before: no change, unless we had changed their display in between, and that again
    is no change of theirs where it is us who restored their value."""
    if shown is not None and not same(slot, shown.value, own.value) and not event.is_before(shown):
        if draft.intended(slot, own.value, event.latest):
            _landed(draft, slot, own.value, shown, event)
        else:
            _assert(draft, slot, own.value, event)
    elif event.when is not None and event.at is not None:
        newest = event.when if own.at is None else latest(own.seen, event.when)
        draft.own[slot] = replace(own, at=min(event.at, own.at or event.at), seen=newest)


def _echo(draft: Draft, slot: str, own: Own | None, shown: Shown, event: Event) -> None:
    """They tell of our own send, by their clock: what they said later than that replaced it."""
    if event.when is None:
        return
    if own is not None and own.seen is not None and own.seen > event.when:
        draft.own[slot] = _after(own, shown.stamp)
        draft.display(slot, Shown(own.value))
    else:
        since = latest(shown.since, event.when) if shown.told else event.when
        draft.shown[slot] = replace(shown, since=since, told=True)


def _informed(draft: Draft, slot: str, own: Own, value: Value, event: Event) -> Own:
    """An older event that tells of one of our sends: their own value replaced that."""
    found = draft.intended(slot, value, event.latest)
    return _after(own, found[2]) if found else own


def _after(own: Own, stamp: datetime | None) -> Own:
    """Their own value, said in the knowledge of a foreign one."""
    if stamp is None:
        return own
    return replace(own, at=max(own.at, stamp + TICK) if own.at else None, base=latest(own.base, stamp))


def _assert(draft: Draft, slot: str, value: Value, event: Event) -> None:
    own, shown = draft.own.get(slot), draft.shown.get(slot)
    known = shown if shown is not None and event.is_after(shown) else None
    said = assertion(own, known, value, event.at, event.when or event.received)
    draft.own[slot] = said if known is None or not known.adopted else _after(said, known.stamp)
    if shown is None or not event.is_before(shown):
        draft.display(slot, Shown(value))


def _is_old(own: Own, slot: str, value: Value, when: datetime | None) -> bool:
    """Whether their own value was stated later; an unknown time is before every known one."""
    if own.at is None:
        return False
    newest = own.seen or own.at
    if when is None or when != newest:
        return when is None or when < newest
    return _bytes(slot, own.value) >= _bytes(slot, value)


def _changed_after(own: Own, when: datetime | None) -> Own:
    """An older, different statement between two equal ones: their value dates from the later one."""
    if when is None or own.at is None or when <= own.at:
        return own
    return replace(own, at=own.seen or own.at)


def _bytes(slot: str, value: Value) -> bytes:
    return b"" if value is None else canonical(slot, value)
