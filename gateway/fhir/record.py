"""Record: one system's copy of a resource, two layers per slot (docs/explain/architecture.md, "Records in the middle").

*own* is what this system itself last asserted, *shown* is what it displays now and what we had sent to get that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

Value = Any
"""The JSON of a slot: the ordered list of all elements with its discriminator, or a scalar; None = a tombstone."""

Slots = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a payload form can speak about. `elements`: element names or slot names, None = every element.

    `absence`: whether a covered slot that is missing says "there is none" (a C-CDA, a partial webhook: False).
    """

    elements: frozenset[str] | None = None
    absence: bool = True

    def covers(self, slot: str) -> bool:
        """Whether the form can speak about this slot: by its own name or its element's (`telecom`, `deceased`)."""
        return self.elements is None or slot in self.elements or slot.partition("[")[0] in self.elements


@dataclass(frozen=True, slots=True)
class Own:
    """Asserted by the system itself. `at` None = unknown, loses to every known time. `base` = the newest foreign
    stamp that the system had been shown when it said so. `seen` = the newest time at which it is known to have said
    it: where `at` is unknown it cannot be later than that."""

    value: Value
    at: datetime | None
    base: datetime | None = None
    seen: datetime | None = None

    @property
    def stamp(self) -> datetime | None:
        """The latest time at which it can have been said: what counts as shown to others together with the value."""
        return self.at or self.seen


@dataclass(frozen=True, slots=True)
class Shown:
    """What the system displays now. `adopted` = it displays that because of us: `sent` is what we had sent to get
    that (None: a tombstone), `stamp` the time of change of the foreign value, `since` when we learned of it (`told`:
    by their own clock, from an event).

    Where `adopted` is False, `sent` may still name a fuller value that the system's form displays only in part.
    """

    value: Value
    sent: Value = None
    stamp: datetime | None = None
    adopted: bool = False
    since: datetime | None = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    """A send whose outcome is unknown: per slot the value and its stamp. Open until a read that began after `until`."""

    slots: Mapping[str, tuple[Value, datetime | None]]
    sent_at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """`bound`: for a form with one field without a discriminator, the slot that last filled it
    (`{"telecom[phone]": "telecom[phone,home]"}`). `intents`: oldest first."""

    connector: str
    type: str
    remote_id: str
    own: Mapping[str, Own] = field(default_factory=dict)
    shown: Mapping[str, Shown] = field(default_factory=dict)
    bound: Mapping[str, str] = field(default_factory=dict)
    intents: tuple[Intent, ...] = ()
    read_at: datetime | None = None
    """Start of the last read (or receipt) that was applied; None = never seen."""

    @property
    def intent(self) -> Intent | None:
        """The newest send whose outcome is open."""
        return self.intents[-1] if self.intents else None


def dump(record: Record) -> bytes:
    """A record's state as compact JSON; its key (connector, type, remote id) is kept beside it."""
    as_own = dict.fromkeys(slot for slot, shown in record.shown.items() if _shows_own(record, slot, shown))
    state = _State(
        own={slot: (o.value, _utc(o.at), _utc(o.base), _utc(o.seen)) for slot, o in record.own.items()},
        shown={slot: _dump_shown(shown) for slot, shown in record.shown.items() if slot not in as_own},
        as_own=list(as_own),
        bound=dict(record.bound),
        intents=[(dict(i.slots), _at(i.sent_at), _at(i.until)) for i in record.intents],
        read_at=_utc(record.read_at),
    )
    return _encoder.encode(state)


def load(connector: str, type: str, remote_id: str, data: bytes) -> Record:  # noqa: A002 - FHIR's word
    """The record that was dumped; an empty state is a record that was never seen."""
    if not data:
        return Record(connector, type, remote_id)
    state = _decoder.decode(data)
    own = {slot: Own(*parts) for slot, parts in state.own.items()}
    shown = {slot: Shown(*parts) for slot, parts in state.shown.items()}
    shown |= {slot: Shown(own[slot].value) for slot in state.as_own}
    intents = tuple(Intent(*parts) for parts in state.intents)
    return Record(connector, type, remote_id, own, shown, state.bound, intents, state.read_at)


class _State(msgspec.Struct, array_like=True, frozen=True):
    own: dict[str, tuple[Any, datetime | None, datetime | None, datetime | None]]
    shown: dict[str, tuple[Any, Any, datetime | None, bool, datetime | None, bool]]
    as_own: list[str]
    bound: dict[str, str]
    intents: list[tuple[dict[str, tuple[Any, datetime | None]], datetime, datetime]]
    read_at: datetime | None


_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(_State, float_hook=Decimal)


def _shows_own(record: Record, slot: str, shown: Shown) -> bool:
    """Most slots display what their system said itself: such a value is written once."""
    own = record.own.get(slot)
    return own is not None and own.value is shown.value and shown == Shown(own.value)


def _dump_shown(shown: Shown) -> tuple[Any, Any, datetime | None, bool, datetime | None, bool]:
    return shown.value, shown.sent, _utc(shown.stamp), shown.adopted, _utc(shown.since), shown.told


def _utc(at: datetime | None) -> datetime | None:
    return at if at is None or at.tzinfo is UTC else at.astimezone(UTC)


def _at(at: datetime) -> datetime:
    return at.astimezone(UTC)
