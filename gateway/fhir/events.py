"""Events: documents and dated events of systems that cannot be read, folded in by their own time, not by arrival."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from gateway.fhir.draft import Draft, assertion, is_sent, latest
from gateway.fhir.form import Form
from gateway.fhir.record import Coverage, Own, Record, Shown, Slots, Value
from gateway.fhir.spelling import canonical, same

_PLAIN: Final = frozenset({"active", "gender", "birthDate", "deceased[x]", "maritalStatus", "multipleBirth[x]"})


def fold(
    record: Record, slots: Slots, at: datetime | None, received: datetime, coverage: Coverage, form: Form
) -> Record:
    """The record after an event of time `at`: per slot the newest own statement stands, whatever came first.

    Without a date it is of the time it was received, and of unknown time at first contact.
    """
    when = at or (received if record.read_at else None)
    draft = Draft.of(record, form)
    said = draft.by_field(slots, coverage)
    for slot, value in said.items():
        _fold(draft, slot, value, when, received)
    for slot in (draft.own.keys() | draft.shown.keys() | _named(coverage)) - said.keys():
        if draft.ends_by_absence(slot, coverage):
            _end(draft, slot, when, received)
    return replace(draft.record(), read_at=latest(record.read_at, received))


def _named(coverage: Coverage) -> set[str]:
    """The slots that an event speaks about by name: leaving one out says something even where nothing is known yet."""
    return {name for name in coverage.elements or () if "[" in name or name in _PLAIN}


def _end(draft: Draft, slot: str, when: datetime | None, received: datetime) -> None:
    """They say that there is none. Where none was known that only keeps an older event from counting."""
    own, shown = draft.own.get(slot), draft.shown.get(slot)
    if own is None and (shown is None or (shown.value is None and not shown.adopted)):
        draft.shown[slot] = Shown(None, since=latest(when, shown.since if shown else None))
    elif own is None or own.value is not None or (shown is not None and shown.value is not None):
        _fold(draft, slot, None, when, received)


def _fold(draft: Draft, slot: str, value: Value, when: datetime | None, received: datetime) -> None:
    own, shown = draft.own.get(slot), draft.shown.get(slot)
    if own is not None and same(slot, own.value, value):
        _repeat(draft, slot, own, shown, when, received)
    elif own is not None and _is_old(own, slot, value, when):
        draft.own[slot] = _changed_after(own, when)
    elif shown is not None and (same(slot, shown.value, value) or is_sent(draft.form, slot, shown, value)):
        return
    elif shown is not None and _is_before(when, shown):
        if shown.adopted and not draft.intends(slot, value):
            _assert(draft, slot, value, when, received)
    elif not draft.adopt(slot, value, when or received):
        _assert(draft, slot, value, when, received)


def _repeat(draft: Draft, slot: str, own: Own, shown: Shown | None, when: datetime | None, received: datetime) -> None:
    """They say again what they said before: no change, unless we had changed their display in between."""
    if shown is not None and not same(slot, shown.value, own.value) and not _is_before(when, shown):
        _assert(draft, slot, own.value, when, received)
    elif when is not None:
        first = min(when, received, own.at or when)
        draft.own[slot] = replace(own, at=first, seen=when if own.at is None else latest(own.seen, when))


def _assert(draft: Draft, slot: str, value: Value, when: datetime | None, received: datetime) -> None:
    own, shown = draft.own.get(slot), draft.shown.get(slot)
    before = shown is not None and _is_before(when, shown)
    at = min(when, received) if when else None
    draft.own[slot] = assertion(own, None if before else shown, value, at, when or received)
    if not before:
        draft.display(slot, Shown(value))


def _is_before(when: datetime | None, shown: Shown) -> bool:
    """Whether an event tells of a time before they took over what they display now."""
    return shown.since is not None and (when is None or when <= shown.since)


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
