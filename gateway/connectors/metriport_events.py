"""What Metriport's webhooks mean, by type, and how what they speak of is fetched (metriport.md, "Webhooks").

Their addresses die after one to ten minutes: everything is fetched in the job that works the message off, and asked for
again where that is possible.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gateway.connectors import event as events
from gateway.connectors import metriport_papers as papers
from gateway.connectors.call import Call, Found, Gather, Reply, refused, segment
from gateway.connectors.event import Event
from gateway.connectors.metriport_bundle import founds
from gateway.connectors.metriport_calls import PATIENTS, options_of
from gateway.connectors.metriport_files import Fetched, alive, file, plain
from gateway.connectors.protocol import Side
from gateway.errors import InvalidInput, PartnerRejected
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.translators.json import metriport as model

_GZIP = ("application/gzip", "application/x-gzip")
_BULK = "medical.bulk-patient-create"
_FAILED = ("failed", "error")
_WHOSE = "they told of a patient by an externalId that is not hers; a person must look"

Part = Mapping[str, Any]
Fetch = Callable[[Part, Part, Side], Gather]
"""(one patient's part, the whole event's data, side) -> what it speaks of."""


def kind_of(payload: Any) -> str:
    """`meta.type`; "" when there is none."""
    meta = payload.get("meta") if isinstance(payload, dict) else None
    found = meta.get("type") if isinstance(meta, dict) else None
    return found if isinstance(found, str) else ""


def event(payload: Any) -> Event:
    """By `meta.type`; one that we do not know is ignored, as their list grows. Raises InvalidInput when it is theirs
    by no sign."""
    kind = kind_of(payload)
    if not kind:
        raise InvalidInput("a webhook of Metriport's must have meta.type", expression="meta.type")
    meta = payload["meta"]
    name, at = events.text(meta.get("messageId")), events.instant(meta.get("when"))
    if kind not in FETCHES or not any(True for _ in _parts(payload)):
        return Event("ignored", id=name, at=at)
    return Event("gather", "Patient", None, payload, name, at)


def gather(event: Event, side: Side) -> Gather:
    """Every patient that the event names, and what it says of her."""
    parts = list(_parts(event.data))
    made: list[Found] = []
    for part in parts:
        try:
            made += yield from _of_one(part, event.data, side)
        except (PartnerRejected, InvalidInput) as error:
            if len(parts) == 1:
                raise
            made.append(_doubtful("Patient", events.text(part.get("patientId")) or "", error.message))
    return made


def _of_one(part: Part, told: Part, side: Side) -> Gather:
    kind = kind_of(told)
    if kind == _BULK:
        return (yield from _bulk(part, told, side))
    held = yield from _held(_owner(part))
    made = yield from FETCHES[kind](part, told, side)
    names = [events.text(one.get("externalId")) for one in (part, held)]
    if None not in names and names[0] != names[1]:
        made = [replace(one, doubt=_WHOSE) for one in made]
    return [_shown(held, side), *made]


def _doubtful(type_: str, remote_id: str, why: str) -> Found:
    """What cannot be had now: told to a person, while the rest of the event is taken."""
    return Found(type_, remote_id, {"resourceType": type_}, doubt=f"{why}; a person must look")


def _parts(payload: Part) -> Iterator[Part]:
    """The patients of an event: `payload`, `patients[]`, or the bulk create's own part."""
    listed = payload.get("patients")
    yield from _objects(
        listed if isinstance(listed, list) else [payload.get("payload"), payload.get("bulkPatientCreate")]
    )


def _objects(value: Any) -> list[Part]:
    """The objects of a list; none of what is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _held(patient_id: str) -> Generator[Call, Reply, dict[str, Any]]:
    """Their patient as she now stands."""
    reply = yield Call("GET", f"{PATIENTS}/{segment(patient_id)}")
    held = reply.find_object() if reply.ok else None
    if held is None or events.text(held.get("id")) != patient_id:
        raise refused("reading a patient", reply)
    return held


def _shown(held: Mapping[str, Any], side: Side) -> Found:
    read = model.from_partner(held, ours=side.ours, theirs=side.id_system)
    version = events.text(held.get("eTag"))
    return Found("Patient", str(held["id"]), read.patient, None, version, read.coverage, read.issues)


# --- by type ----------------------------------------------------------------------------------------------------------


def _network(part: Part, told: Part, side: Side) -> Gather:
    """What a source of a network query brought. The first data come while it is still at work."""
    told_of = part.get("source")
    source: Part = told_of if isinstance(told_of, dict) else {}
    if source.get("status") in _FAILED or not part.get("consolidatedDataUrl"):
        return []
    at = events.instant(source.get("completedAt")) or _when(told)
    return (yield from _consolidated(part["consolidatedDataUrl"], part, side, (), at))


def _consolidated_data(part: Part, told: Part, side: Side) -> Gather:
    """The answer to a consolidated query: data as JSON (plain or gzip), or a summary to read; none = no data."""
    bundle = part.get("bundle")
    if not isinstance(bundle, dict) or part.get("status") in _FAILED:
        return []
    made: list[Found] = []
    for at, attachments in enumerate(_attachments(bundle)):
        data = next((one for one in attachments if _media(one) in ("application/json", "application/fhir+json")), None)
        data = data or next((one for one in attachments if _media(one) in _GZIP), None)
        if data is not None:
            made += yield from _consolidated(data["url"], part, side, _filters(part), _when(told))
        else:
            for one in attachments:
                made += yield from _summary(one, part, side, at)
    return made


def _attachments(bundle: Part) -> Iterator[list[Part]]:
    for [resource] in (_objects([entry.get("resource")]) or [{}] for entry in _objects(bundle.get("entry"))):
        listed = _objects([one.get("attachment") for one in _objects(resource.get("content"))])
        yield [one for one in listed if isinstance(one.get("url"), str)]


def _media(attachment: Part) -> str:
    return str(attachment.get("contentType", "")).partition(";")[0].strip().lower()


def _filters(part: Part) -> tuple[tuple[str, str], ...]:
    filters = part.get("filters")
    names = ("resources", "dateFrom", "dateTo")
    found = [(name, filters.get(name)) for name in names] if isinstance(filters, dict) else []
    return tuple((name, value) for name, value in found if isinstance(value, str) and value)


def _consolidated(url: Any, part: Part, side: Side, params: tuple[tuple[str, str], ...], at: str | None) -> Gather:
    """The Bundle at an address, as it was when that was made; once that is dead, the data as they stand now."""
    patient = _owner(part)
    then = yield from alive(url)
    if then is not None:
        return _dated(founds(json.decode(plain(then.body)), patient, side.id_system), at)
    reply = yield Call("GET", f"{PATIENTS}/{segment(patient)}/consolidated", params=params)
    if not reply.ok:
        raise refused("fetching consolidated data", reply)
    return founds(json.decode(plain(reply.body)), patient, side.id_system)


def _dated(listed: list[Found], at: str | None) -> list[Found]:
    """As they were at that time: an event that comes late undoes nothing newer."""
    return [replace(one, at=at, dated=True) for one in listed] if at else listed


def _when(told: Part) -> str | None:
    return events.instant(told["meta"].get("when"))


def _summary(attachment: Part, part: Part, side: Side, at: int) -> Gather:
    reply = yield from file(attachment["url"])
    media, patient = _media(attachment), _owner(part)
    return papers.found(f"summary-{patient}-{media.rpartition('/')[2]}-{at}", media, reply, patient, {}, side)


def _documents(part: Part, _: Part, side: Side) -> Gather:
    """Every document that the event names, unless the connector's options leave documents out."""
    made: list[Found] = []
    listed = part.get("documents") if options_of(side).documents else ()
    for one in _objects(listed):
        name = events.text(one.get("id"))
        try:
            reply = yield from _document(one)
        except PartnerRejected as error:
            made.append(_doubtful("DocumentReference", name or "", error.message))
            continue
        made += papers.found(name or "", str(one.get("mimeType") or ""), reply, _owner(part), one, side) if name else []
    return made


def _document(one: Part) -> Fetched:
    """By its address, and by its name once that is dead or where none was told."""
    reply = yield from alive(one.get("url"))
    if reply is None:
        params = (("fileName", str(one.get("fileName", ""))),)
        told = yield Call("GET", "/medical/v1/document/download-url", params=params)
        if not told.ok:
            raise refused("asking for a document", told)
        reply = yield from file((told.find_object() or {}).get("url"))
    return reply


def _message(part: Part, told: Part, side: Side) -> Gather:
    """An ADT message: a Bundle of type message, the Encounter first, then everything it refers to."""
    reply = yield from file(part.get("url"))
    at = events.instant(part.get("whenSourceSent")) or _when(told)
    return _dated(founds(json.decode(plain(reply.body)), _owner(part), side.id_system), at)


def _communication(part: Part, told: Part, side: Side) -> Gather:
    """A secure message as it now stands."""
    name = events.text(part.get("messageId"))
    reply = yield from alive(part.get("url"))
    if reply is None and name is not None:
        reply = yield Call("GET", f"/medical/v1/message/{segment(name)}")
    if reply is None or not reply.ok:
        raise PartnerRejected("a message cannot be fetched: its address may have died")
    body = json.decode(reply.body)
    bundle = body if isinstance(body, dict) and body.get("resourceType") == "Bundle" else _bundle_of(body, _owner(part))
    return _dated(founds(bundle, _owner(part), side.id_system), _when(told))


def _bulk(part: Part, _: Part, side: Side) -> Gather:
    """The patients that a bulk create made, each once and read where it now stands."""
    if part.get("status") in _FAILED or not part.get("result"):
        return []
    reply = yield from file(part["result"])
    rows = csv.DictReader(io.StringIO(reply.body.decode("utf-8-sig", "replace")))
    made: list[Found] = []
    for patient in dict.fromkeys(filter(None, (events.text(row.get("patientId")) for row in rows))):
        try:
            made.append(_shown((yield from _held(patient)), side))
        except PartnerRejected as error:
            made.append(_doubtful("Patient", patient, error.message))
    return made


FETCHES: Mapping[str, Fetch] = {
    **dict.fromkeys(
        ("network-query.hie", "network-query.hie.first-data-ready", "network-query.pharmacy", "network-query.lab"),
        _network,
    ),
    "medical.consolidated-data": _consolidated_data,
    **dict.fromkeys(
        (
            "medical.document-download",
            "medical.document-bulk-download-urls",
            "medical.document-bulk-download-paged",
        ),
        _documents,
    ),
    _BULK: _bulk,
    **dict.fromkeys(
        ("patient.admit", "patient.transfer", "patient.discharge", "patient.laboratory", "patient.pharmacy"), _message
    ),
    "message.status": _communication,
    "message.received": _communication,
}
"""Others say nothing that has to be fetched: medical.document-conversion (the data comes with the next query),
ias.identity.verified (kept as a message; `metriport identities` reads it there)."""


def _bundle_of(body: Any, patient: str) -> Resource:
    """With the patient of the event where the message itself names nobody."""
    if not isinstance(body, dict):
        raise InvalidInput("what they sent is no resource")
    about = {} if body.get("subject") else {"subject": {"reference": f"Patient/{patient}"}}
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": body | about}]}


def _owner(part: Part) -> str:
    patient = events.text(part.get("patientId"))
    if patient is None:
        raise InvalidInput("the event does not say about which patient it is", expression="patientId")
    return patient
