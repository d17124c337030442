"""Test events of a stay, admit, transfer and discharge: what a partner's receiver can be tried with.

The stay is made up and says so (`HTEST`, v3-ActReason); nothing of it is stored as a fact about the patient.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Literal, get_args

import msgspec

from gateway import reading
from gateway.errors import InvalidInput
from gateway.fhir import json, times
from gateway.fhir.json import Resource
from gateway.store import Reader, Tx
from gateway.store.requests import Request, put_request
from gateway.store.subscribers import NewOutgoing, Subscriber, tell

from . import gather
from .queries import whom
from .tickets import ADT_LIFE, Tickets

KIND = "adt-test"
Stage = Literal["admit", "transfer", "discharge"]
_WARDS = (("Emergency Department", "department"), ("General Medical Ward", "unit"))
_TEST = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}
_CLASS = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP", "display": "inpatient encounter"}


class Stay(msgspec.Struct, frozen=True):
    """When it began; `stage` = how far it has come."""

    stage: Stage
    admitted: datetime
    event: str


def send(tx: Tx, subscriber: Subscriber, patient_id: str, stage: str, tickets: Tickets) -> str:
    """Queue the webhook; its message id. Raises Missing, and InvalidInput for another stage."""
    if stage not in get_args(Stage):
        raise InvalidInput(f"Invalid event: {', '.join(get_args(Stage))}, on [type]")
    rid = gather.patient_rid(tx, patient_id)
    stay = Stay(stage, tx.now - timedelta(days=2), str(uuid.uuid4()))  # type: ignore[arg-type]
    request_id, text = str(uuid.uuid4()), json.encode(msgspec.to_builtins(stay)).decode()
    put_request(tx, Request(request_id, KIND, subscriber.connector, patient_id, "asked", text, None, tx.now))
    kind = f"patient.{stage}"
    meta = {"messageId": stay.event, "requestId": request_id, "when": times.to_millis(tx.now), "type": kind}
    url = tickets.url(request_id, "adt", tx.now, ADT_LIFE)
    payload = {"url": url, **whom(tx, subscriber.connector, rid, patient_id), **_times(stay, tx.now)}
    body = json.encode({"meta": meta, "payload": payload})
    tell(tx, subscriber, [NewOutgoing(stay.event, kind, body, rid)])
    return stay.event


def content(reader: Reader, directory: reading.Known, row: Request) -> bytes:
    """A Bundle of type `message` whose first entry is the Encounter, then everything it refers to."""
    patient = json.raw(reading.read(reader, directory, "Patient", row.subject or "").body)
    stay = msgspec.convert(json.decode(row.asked.encode()), Stay)
    located = [(str(uuid.uuid5(uuid.NAMESPACE_URL, f"{row.request_id}/{name}")), name) for name, _ in _WARDS]
    wards = located if stay.stage != "admit" else located[:1]
    places = [{"resource": {"resourceType": "Location", "id": id_, "name": name}} for id_, name in wards]
    entries = [{"resource": _encounter(row, stay, wards)}, {"resource": patient}, *places]
    head = {"resourceType": "Bundle", "id": stay.event, "type": "message", "timestamp": times.to_millis(row.at)}
    return json.encode({**head, "entry": entries})


def _encounter(row: Request, stay: Stay, wards: list[tuple[str, str]]) -> Resource:
    over = stay.stage == "discharge"
    period = {"start": times.to_millis(stay.admitted)} | ({"end": times.to_millis(row.at)} if over else {})
    return {
        "resourceType": "Encounter",
        "id": row.request_id,
        "meta": {"security": [_TEST]},
        "status": "finished" if over else "in-progress",
        "class": _CLASS,
        "subject": {"reference": f"Patient/{row.subject}"},
        "period": period,
        "location": [{"location": {"reference": f"Location/{id_}", "display": name}} for id_, name in wards],
    }


def _times(stay: Stay, now: datetime) -> Resource:
    said: Resource = {"whenSourceSent": times.to_millis(now), "admitTimestamp": times.to_millis(stay.admitted)}
    if stay.stage != "admit":
        [first, second] = [{"name": name, "type": kind} for name, kind in _WARDS]
        moved = times.to_millis(stay.admitted + timedelta(hours=17))
        said["transfers"] = [{"timestamp": moved, "sourceLocation": first, "destinationLocation": second}]
    return said | ({"dischargeTimestamp": times.to_millis(now)} if stay.stage == "discharge" else {})
