"""Deliver: what a system's record lacks of the resource, and what follows from the answer to sending it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from gateway.fhir.draft import Draft, latest
from gateway.fhir.form import Form
from gateway.fhir.json import Resource
from gateway.fhir.observe import Moment, listen
from gateway.fhir.record import Coverage, Intent, Record, Shown, Slots, Value
from gateway.fhir.slots import labelled, split
from gateway.fhir.spelling import same

_ECHOES: Final = 8


def diff(record: Record, rendered: Slots) -> dict[str, Value]:
    """The slots to send: neither displayed nor already sent. A tombstone is None."""
    return {slot: value for slot, value in rendered.items() if _is_due(record, slot, value)}


def intend(
    record: Record,
    due: Slots,
    stamps: Mapping[str, datetime | None],
    *,
    sent_at: datetime,
    until: datetime,
    carried: Slots | None = None,
) -> Record:
    """The record with a send announced; to be stored before anything leaves. `until`: when it must have ended.

    `carried`: everything that the write holds, where it cannot leave out what is not due.
    """
    slots = {slot: (value, stamps.get(slot)) for slot, value in {**(carried or {}), **due}.items()}
    return replace(record, intents=(*record.intents, Intent(slots, sent_at, until)))


def accept(
    record: Record,
    answered: Resource | None,
    due: Slots,
    stamps: Mapping[str, datetime | None],
    form: Form,
    *,
    at: datetime,
    coverage: Coverage | None = None,
) -> Record:
    """The record after the newest send was accepted.

    `answered` = what they display now, in the words of `coverage` (the form's reads by default): it becomes shown, and
    where it tells of more than we sent, that is observed. Without a body what was due counts as sent, and reading
    their side back through observe tells what became of it. Where they said something else since the send was
    announced, the answer may be older than that: the send stays open, and the next read decides. After any read since
    then the answer tells nothing beyond what we sent.
    """
    spoken = coverage or form.reads
    slots = None if answered is None else split(answered)
    newer = _said_since(record, due)
    draft = Draft.of(replace(record, intents=record.intents if newer else _open(record, form)), form)
    said = None if slots is None else draft.by_field(slots, spoken)
    for slot, value in due.items():
        if slot in newer:
            continue
        displayed = _displayed(draft, slot, value, said, spoken)
        draft.display(slot, Shown(displayed, value, stamps.get(slot), adopted=True, since=at))
    if slots is not None and not _read_since(record):
        listen(draft, slots, spoken, Moment(None, at, record.read_at, at), settled=due.keys())
    return replace(draft.record(), read_at=latest(record.read_at, at))


def _said_since(record: Record, due: Slots) -> set[str]:
    """The slots in which a read told of their own new value after the send was announced."""
    if record.intent is None:
        return set()
    own = {slot: said for slot in due if (said := record.own.get(slot)) is not None and said.seen is not None}
    return {slot for slot, said in own.items() if said.seen and said.seen > record.intent.sent_at}


def _read_since(record: Record) -> bool:
    """Whether a read that was applied began after the send was announced."""
    return record.intent is not None and record.read_at is not None and record.read_at > record.intent.sent_at


def _open(record: Record, form: Form) -> tuple[Intent, ...]:
    """The sends that may still show up: of a system that is never read, the last accepted ones as well, as the events
    that they cause may come at any time."""
    return record.intents[:-1] if form.readable else record.intents[-_ECHOES:]


def void(record: Record) -> Record:
    """The newest send had no effect: refused for its precondition (412), or never left."""
    return replace(record, intents=record.intents[:-1])


def _displayed(draft: Draft, slot: str, value: Value, said: Slots | None, spoken: Coverage) -> Value:
    """What they display of a slot we sent: as answered, else as before; of what they never speak about, as sent."""
    single = draft.form.field_of(slot)
    before = draft.bound.get(single.slot, single.slot) if single else slot
    if not (spoken.covers(slot) or (single and spoken.covers(single.slot))):
        return value
    if said is None:
        shown = draft.shown.get(before)
        return labelled(slot, shown.value) if shown else None
    if before in said:
        return labelled(slot, said[before])
    return None if spoken.absence else value


def _is_due(record: Record, slot: str, value: Value) -> bool:
    shown = record.shown.get(slot)
    if shown is None:
        return value is not None
    if same(slot, value, shown.value):
        return False
    return not ((shown.adopted or shown.sent is not None) and same(slot, value, shown.sent))
