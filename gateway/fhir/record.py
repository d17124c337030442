"""Record: one system's copy of a resource, two layers per slot (docs/explain/architecture.md, "Records in the middle").

*own* is what this system itself last asserted, *shown* is what it displays now and what we had sent to get that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

Value = Any
"""The JSON of a slot: the ordered list of all elements with its discriminator, or a scalar; None = a tombstone."""

Slots = Mapping[str, Value]
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a payload form can speak about. `elements`: element names or slot names, None = every element.

    `absence`: whether a covered slot that is missing says "there is none" (a C-CDA, a partial webhook: False).
    """

    elements: frozenset[str] | None = None
    absence: bool = True


@dataclass(frozen=True, slots=True)
class Own:
    """Asserted by the system itself. `at` None = unknown, loses to every known time. `base` = the newest foreign
    stamp that the system had been shown when it said so."""

    value: Value
    at: datetime | None
    base: datetime | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What the system displays now. `sent` = what we had sent to get that (None value when nothing), `stamp` = the
    time of change of the foreign value it adopted."""

    value: Value
    sent: Value = None
    stamp: datetime | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """A send whose outcome we do not know yet: per slot the value and its stamp. Open until a read began after `until`."""

    slots: Mapping[str, tuple[Value, datetime | None]]
    sent_at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """`bound`: for a form with one field without a discriminator, the slot that last filled it (`{"telecom[phone]": "telecom[phone,home]"}`)."""

    connector: str
    type: str
    remote_id: str
    own: Mapping[str, Own] = field(default=NOTHING)
    shown: Mapping[str, Shown] = field(default=NOTHING)
    bound: Mapping[str, str] = field(default=NOTHING)
    intent: Intent | None = None
    read_at: datetime | None = None
    """Start of the last read (or receipt) that was applied; None = never seen."""
