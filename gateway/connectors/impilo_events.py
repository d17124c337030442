"""Impilo's webhooks: what an event means (impilo.md, Webhooks)."""

from __future__ import annotations

import re
from typing import Any

from gateway.connectors import event as events
from gateway.connectors.event import Event
from gateway.errors import InvalidInput
from gateway.fhir.issue import Issue
from gateway.translators.json import impilo_readings as readings
from gateway.translators.json.left_out import without_place

PATIENT_EVENTS = ("patient.created", "patient.updated")

_READING = re.compile(r"reading\.[A-Za-z]{1,64}", re.ASCII)


def event(payload: Any) -> Event:
    """`{"id","type","payload"}` of their guide, or `{"event","data"}` of their tutorial. A reading is gathered, with
    the patient it belongs to; whatever else they tell of is ignored."""
    if not isinstance(payload, dict):
        raise InvalidInput("a webhook must be a JSON object")
    kind = payload.get("type", payload.get("event"))
    data = payload.get("payload", payload.get("data"))
    if not isinstance(kind, str):
        raise InvalidInput("a webhook must say its type")
    told = events.text(payload.get("id")) if "type" in payload else None
    reading = kind.removeprefix("reading.")
    if kind not in PATIENT_EVENTS and not (kind.startswith("reading.") and reading in readings.KINDS):
        return Event("ignored", id=told, issues=_not_taken(kind))
    remote_id = events.text(data.get("id")) if isinstance(data, dict) else None
    if not isinstance(data, dict) or remote_id is None:
        raise InvalidInput("a webhook must name in its payload's id what it is about", expression="payload.id")
    if kind in PATIENT_EVENTS:
        return Event("changed", "Patient", remote_id, data, told, events.instant(data.get("updatedAt")))
    return Event("gather", "Observation", f"{reading}-{remote_id}", {"kind": reading, "reading": data}, told)


def _not_taken(kind: str) -> tuple[Issue, ...]:
    """A reading of another kind is a fact about a patient, so that it is told that nobody made anything of it."""
    if not kind.startswith("reading."):
        return ()
    return (without_place(kind if _READING.fullmatch(kind) else "reading.(a kind)"),)


def event_id(payload: Any) -> str | None:
    """The id of the event, which the tutorial's envelope has none of, and its type: what comes again has both."""
    told = events.text(payload.get("id")) if isinstance(payload, dict) and "type" in payload else None
    return f"{told} {events.text(payload['type']) or ''}".strip() if told else None
