"""Impilo's webhooks: where they are registered, and what an event means (impilo.md, Webhooks)."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

from gateway.connectors import event as events
from gateway.connectors.call import AWAY, Call, Reply, refused, segment
from gateway.connectors.event import Event
from gateway.connectors.protocol import Hook, Side
from gateway.errors import InvalidInput
from gateway.fhir.issue import Issue
from gateway.translators.json import impilo_readings as readings
from gateway.translators.json.left_out import without_place

_PATIENT_EVENTS = ("patient.created", "patient.updated")
EVENTS = (*_PATIENT_EVENTS, *(f"reading.{kind}" for kind in readings.KINDS))
"""What we subscribe to."""

LARGEST_PAGE = 250

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
    if kind not in _PATIENT_EVENTS and not (kind.startswith("reading.") and reading in readings.KINDS):
        return Event("ignored", id=told, issues=_not_taken(kind))
    remote_id = events.text(data.get("id")) if isinstance(data, dict) else None
    if not isinstance(data, dict) or remote_id is None:
        raise InvalidInput("a webhook must name in its payload's id what it is about", expression="payload.id")
    if kind in _PATIENT_EVENTS:
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


def register(hook: Hook, side: Side) -> Generator[Call, Reply, str | None]:  # noqa: ARG001 (the protocol's signature)
    """One webhook per type, as far as there is none; the secret once, as a second is refused."""
    if hook.secret is not None:
        reply = yield Call("POST", "/webhook-secret", {"secret": hook.secret})
        if not reply.ok and reply.status not in (400, 409):
            raise refused("setting the webhook secret", reply)
    ids = {str(one.get("type")): events.text(one.get("id")) for one in (yield from _webhooks(hook))}
    for kind in EVENTS:
        if kind not in ids:
            reply = yield Call("POST", "/webhook", {"type": kind, "url": hook.url})
            if not reply.ok and reply.status != 409:
                raise refused(f"registering a webhook for {kind}", reply)
            ids[kind] = events.text((reply.find_object() or {}).get("id"))
    return ",".join(one for kind in EVENTS if (one := ids[kind])) or None


def unregister(hook: Hook, side: Side) -> Generator[Call, Reply, None]:  # noqa: ARG001
    for named in [events.text(one.get("id")) for one in (yield from _webhooks(hook))]:
        if named is None:
            continue  # without an id the address would be that of all of them
        reply = yield Call("DELETE", f"/webhook/{segment(named)}")
        if not reply.ok and reply.status not in AWAY:
            raise refused("taking a webhook off", reply)


def _webhooks(hook: Hook) -> Generator[Call, Reply, list[dict[str, Any]]]:
    """Those that lead to us."""
    reply = yield Call("GET", "/webhook", params=(("size", str(LARGEST_PAGE)),))
    bare = reply.find(list[dict[str, Any]]) if reply.ok else None  # which of both shapes it has is not documented
    listed = content(reply, "listing webhooks") if bare is None else bare
    return [one for one in listed if one.get("url") == hook.url]


def content(reply: Reply, what: str) -> list[dict[str, Any]]:
    """The items of a page of theirs."""
    answer = reply.find_object() if reply.ok else None
    listed = answer.get("content") if answer else None
    if not isinstance(listed, list):
        raise refused(what, reply)
    return [one for one in listed if isinstance(one, dict)]
