"""The mapping file of the state's EHR, as JSON and as XML, as an operator would write it."""

from __future__ import annotations

from typing import Any

CVX = "http://hl7.org/fhir/sid/cvx"

PATIENT: dict[str, Any] = {
    "path": "/people",
    "at": "changed",
    "envelope": "data",
    "wrap": "person",
    "find": "externalId",
    "list": {
        "items": "data",
        "next": "meta.next",
        "cursor": "after",
        "size": "max",
        "limit": 2,
        "since": "changedSince",
    },
    "fields": {
        "identifier[ours].value": "externalId",
        "name.family": "last",
        "name.given": "first",
        "birthDate": {"path": "dob", "transform": "date", "format": "MM/DD/YYYY"},
        "gender": {"path": "sex", "transform": "gender", "form": "letter"},
        "telecom[phone].value": {"path": "mobile", "transform": "phone"},
        "address.line[0]": "street",
        "address.city": "town",
    },
}
APPOINTMENT: dict[str, Any] = {
    "path": "/bookings",
    "at": "changed",
    "envelope": "data",
    "wrap": "booking",
    "find": "externalId",
    "list": {"items": "data", "next": "meta.next", "cursor": "after", "since": "changedSince"},
    "fields": {
        "identifier[ours].value": "externalId",
        "status": {
            "path": "state",
            "transform": "code",
            "codes": {"confirmed": "booked", "called off": "cancelled", "done": "fulfilled", "missed": "noshow"},
        },
        "participant[Patient].actor": {"path": "personId", "transform": "reference", "type": "Patient"},
        "participant[Patient].status": {"transform": "constant", "value": "accepted"},
        "start": {"path": "startsAt", "transform": "instant", "zone": "America/New_York"},
        "end": {"path": "endsAt", "transform": "instant", "zone": "America/New_York"},
        "description": "vaccine",
    },
}
IMMUNIZATION: dict[str, Any] = {
    "path": "/shots",
    "at": "changed",
    "envelope": "data",
    "wrap": "shot",
    "find": "externalId",
    "list": {"items": "data", "next": "meta.next", "cursor": "after", "since": "changedSince"},
    "fields": {
        "identifier[ours].value": "externalId",
        "status": {"transform": "constant", "value": "completed"},
        f"vaccineCode.coding[{CVX}].code": "cvx",
        "vaccineCode.text": "vaccineName",
        "patient": "personId",
        "occurrenceDateTime": {"path": "givenOn", "transform": "date"},
        "lotNumber": "lot",
    },
}
EVENT: dict[str, Any] = {
    "type": "kind",
    "data": "model",
    "id": "eventId",
    "types": {
        "person.created": "Patient",
        "person.updated": "Patient",
        "person.removed": {"type": "Patient", "deleted": True},
        "booking.created": "Appointment",
        "booking.updated": "Appointment",
        "shot.created": "Immunization",
        "shot.updated": "Immunization",
        "report.ready": "ignored",
    },
}
MAPPING: dict[str, Any] = {
    "Patient": PATIENT,
    "Appointment": APPOINTMENT,
    "Immunization": IMMUNIZATION,
    "event": EVENT,
    "subscribe": {"events": list(EVENT["types"])},
}


def as_xml() -> dict[str, Any]:
    """The same system as a service of an older kind: ids are attributes, lists are elements, empty says none."""
    shapes = {}
    for name, one in (("Patient", "person"), ("Appointment", "booking"), ("Immunization", "shot")):
        shape = {key: value for key, value in MAPPING[name].items() if key not in ("envelope", "wrap")}
        listed = {**shape["list"], "items": f"data.{one}"}
        shapes[name] = {**shape, "id": "@id", "list": listed, "empty": "blank", "xml": {"root": one}}
    return {**shapes, "event": EVENT}
