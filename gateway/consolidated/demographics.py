"""Our Patient as clients of Metriport's shape read her, and whom their own id means (metriport.md, "Patient model")."""

from __future__ import annotations

from gateway import reading
from gateway.errors import InvalidInput, Missing
from gateway.fhir import json, times
from gateway.fhir.json import Resource
from gateway.store import Reader
from gateway.translators.json import metriport as model

from . import gather
from .queries import whom

EHRS = ("athenahealth", "canvas", "elation", "healthie")
_NAMES = ("firstName", "lastName", "dob", "genderAtBirth", "address", "contact", "personalIdentifiers")


def show(reader: Reader, directory: reading.Known, connector: str, patient_id: str) -> Resource:
    """What is known of her, and nothing for what is not. Raises Missing."""
    rid = gather.patient_rid(reader, patient_id)
    found = reading.read(reader, directory, "Patient", patient_id)
    patient = json.decode(found.body)
    body = model.to_partner(patient, our_id=patient_id).body
    body["address"] = [one for one in map(_known, body["address"]) if one]
    if not any(one.get("country") for one in patient.get("address") or ()):
        body["address"] = [{name: part for name, part in one.items() if name != "country"} for one in body["address"]]
    named = whom(reader, connector, rid, patient_id)
    ids = {"id": named.pop("patientId"), **named, "additionalIds": {}, "facilityIds": []}
    said = {name: body[name] for name in _NAMES if body.get(name)}
    first = reader.version(rid, 1)
    created = {"dateCreated": times.to_millis(first.at)} if first else {}
    return {**ids, **said, **created, "eTag": str(found.number)}


def _known(address: Resource) -> Resource:
    """Without the parts that nobody told; nothing at all where only the country would be left."""
    parts = {name: part for name, part in address.items() if part}
    return parts if parts.keys() - {"country"} else {}


def find(reader: Reader, connector: str, external_id: str | None, source: str | None) -> str:
    """Our id of whom the caller's system knows by that id. Raises Missing, and InvalidInput for an unknown source."""
    if not external_id:
        raise InvalidInput("Required, on [externalId]")
    if source and source not in EHRS:
        raise InvalidInput(f"Invalid source. Expected one of {', '.join(EHRS)}, on [source]")
    key = ("Patient", external_id)
    link = None if source else reader.links_of(connector, [key]).get(key)
    head = reader.heads_by_rid([link.rid]).get(link.rid) if link else None
    if head is None or head.deleted:
        raise Missing("Could not find patient")
    return head.id
