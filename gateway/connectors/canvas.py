"""Canvas' partner API `/patients/v2`: API key; our id always included; an existing patient answers 409 with its id.

Source: canvas-medical/canvas-plugins, example_patient_sync; we take Canvas' side of it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

from gateway.connectors import event as events
from gateway.connectors.call import Accepted, Call, Push, Read, Reply, Seen, absent, refused, segment
from gateway.connectors.event import Event
from gateway.connectors.protocol import Item, Side, Target
from gateway.errors import Conflict, PartnerUnknown
from gateway.fhir.form import ONE_NAME, Form
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage
from gateway.identity.agree import agrees
from gateway.translators.json import canvas as model

PROFILE = "canvas"
PATIENTS = "/patients/v2"

form = Form(
    reads=Coverage(model.CARRIED | model.SEX_SLOTS),
    writes=model.CARRIED,
    fields=(ONE_NAME,),
    parts={"name": model.NAME_PARTS},
)


def accepts(resource_type: str) -> bool:
    return resource_type == "Patient"


def read(target: Target, side: Side) -> Read:
    """GET by their id, before a link by ours: the partner knows both."""
    reply = yield Call("GET", f"{PATIENTS}/{segment(target.remote_id or target.id)}")
    if (none := absent(reply)) is not None:
        return none
    found = reply.find_object() if reply.ok else None
    remote_id = events.text(found.get("id")) if found else None
    if found is None or remote_id is None:
        raise refused("reading a patient", reply)
    return _seen(remote_id, found, side, target.known)


def push(item: Item, side: Side) -> Push:
    """Update the patient it knows, create the one it does not; a duplicate is linked and updated."""
    if item.remote_id is not None:
        return (yield from _update(item, side, item.remote_id))
    reply = yield Call("POST", PATIENTS, model.to_partner(item.body, our_id=item.id, update=False))
    if reply.status == 409:
        existing = yield from _existing(item, side, reply)
        return (yield from _update(item, side, existing))
    if not reply.ok:
        raise refused("creating a patient", reply)
    return (yield from _created(item, side, reply))


def event(payload: Any) -> Event:
    return events.from_standard(payload)


def translate(data: Mapping[str, Any], target: Target, side: Side) -> Seen:
    """An event's own data: only what it names is covered, and nothing by absence."""
    seen = _seen(target.remote_id or "", data, side, target.known)
    elements = seen.coverage.elements if seen.coverage else frozenset()
    return replace(seen, coverage=Coverage(elements, absence=False))


def _update(item: Item, side: Side, remote_id: str) -> Push:
    body = model.to_partner(item.body, our_id=item.id, update=True)
    reply = yield Call(side.update, f"{PATIENTS}/{segment(remote_id)}", body)
    if not reply.ok:
        raise refused("updating a patient", reply)
    return _accepted(remote_id, reply.find_object(), side, item.body)


def _created(item: Item, side: Side, reply: Reply) -> Push:
    answer = reply.find_object()
    remote_id = events.text(answer.get("id")) if answer else None
    if remote_id is None:
        # Accepted without saying as what: the id is needed before anything else is sent.
        remote_id = yield from _find(item)
    if remote_id is None:
        raise PartnerUnknown("creating a patient was accepted without an id, and it cannot be found by ours")
    return _accepted(remote_id, answer, side, item.body)


def _existing(item: Item, side: Side, reply: Reply) -> Generator[Call, Reply, str]:
    """Whom they mean: under the id they name, else found by ours, and never somebody whom all else tells apart."""
    answer = reply.find_object()
    named = events.text(answer.get("id")) if answer else None
    held = yield from _held(named or item.id)
    remote_id = named or (events.text(held.get("id")) if held else None)
    if remote_id is None:
        raise Conflict("they hold this patient already, but neither say under which id nor find it by ours")
    theirs = model.from_partner(held or {}, ours=side.ours).patient
    if not agrees(theirs, item.body).ok and theirs.keys() & {"name", "birthDate"}:
        raise Conflict("held: the patient whom they call a duplicate agrees neither in name nor in birth date")
    return remote_id


def _find(item: Item) -> Generator[Call, Reply, str | None]:
    answer = yield from _held(item.id)
    return events.text(answer.get("id")) if answer else None


def _held(asked: str) -> Generator[Call, Reply, dict[str, Any] | None]:
    reply = yield Call("GET", f"{PATIENTS}/{segment(asked)}")
    return reply.find_object() if reply.ok else None


def _accepted(remote_id: str, answer: dict[str, Any] | None, side: Side, sent: Resource) -> Accepted:
    if not answer or not answer.keys() & {"firstName", "lastName", "dateOfBirth"}:
        return Accepted(remote_id)
    seen = _seen(remote_id, answer, side, sent)
    return Accepted(remote_id, seen.body, seen.at, coverage=seen.coverage)


def _seen(remote_id: str, data: Mapping[str, Any], side: Side, known: Resource | None) -> Seen:
    translated = model.from_partner(data, ours=side.ours, known=known)
    return Seen(remote_id, translated.patient, coverage=translated.coverage)
