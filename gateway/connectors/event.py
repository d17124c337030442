"""Event: what a webhook told us (Standard Webhooks 1.0, "Payload structure": `{"type","timestamp","data"}`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.errors import InvalidInput
from gateway.fhir import times
from gateway.fhir.issue import Issue

Kind = Literal["changed", "deleted", "gather", "ignored"]
_WITH_OFFSET = re.compile(r"[0-9-]+T.+(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_KINDS: Mapping[str, Kind] = {"created": "changed", "updated": "changed", "changed": "changed", "deleted": "deleted"}


@dataclass(frozen=True, slots=True)
class Event:
    """`type` = the FHIR type it is about. `data` = their model as sent, perhaps partial. `id` = their event id and
    `at` = their time of it, where they give one. `gather` = what it speaks of has to be fetched, and may be more than
    one resource; `ignored` = well-formed, but about nothing that we keep in step; `issues`: what is not taken of it."""

    kind: Kind
    type: str | None = None
    remote_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None
    at: str | None = None
    issues: tuple[Issue, ...] = ()


def from_standard(payload: Any) -> Event:
    """`{"id","type":"patient.updated","timestamp","data":{"id",..}}`; a type that we do not know is `ignored`.

    Raises InvalidInput when it is no such object, or a change does not say of what.
    """
    if not isinstance(payload, dict) or not isinstance(payload.get("type"), str):
        raise InvalidInput("a webhook must be a JSON object with a type such as patient.updated")
    subject, _, verb = payload["type"].lower().rpartition(".")
    kind = _KINDS.get(verb, "ignored") if subject == "patient" else "ignored"
    event_id, at = text(payload.get("id")), instant(payload.get("timestamp"))
    if kind == "ignored":
        return Event("ignored", id=event_id, at=at)
    data = payload.get("data")
    remote_id = text(data.get("id")) if isinstance(data, dict) else None
    if not isinstance(data, dict) or remote_id is None:
        raise InvalidInput("a webhook about a patient must name it in data.id", expression="data.id")
    return Event(kind, "Patient", remote_id, data, event_id, at)


def text(value: Any) -> str | None:
    """An id as text: partners send numbers too; None for anything that is no id."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() or None if isinstance(value, str) else None


def instant(value: Any) -> str | None:
    """A partner's time as it wrote it; None for what is no date and time with its offset, which orders nothing."""
    if not isinstance(value, str) or not _WITH_OFFSET.fullmatch(value):
        return None
    try:
        times.parse(value)
    except InvalidInput:
        return None
    return value
