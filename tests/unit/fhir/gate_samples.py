"""Valid resources of our own making, and ways to change them."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "meta": {"versionId": "1", "lastUpdated": "2024-02-29T10:00:00.123+01:00"},
    "text": {"status": "generated", "div": f"<div {XHTML}><p class='x'>Ada &amp; <b>co</b></p></div>"},
    "identifier": [{"use": "usual", "system": "urn:oid:1.2.3", "value": "7", "period": {"start": "2020"}}],
    "active": True,
    "name": [
        {
            "family": "Roe",
            "given": ["Ada", None],
            "_given": [None, {"extension": [{"url": "urn:x", "valueBoolean": True}]}],
        }
    ],
    "telecom": [{"system": "phone", "value": "555", "rank": 1}],
    "gender": "female",
    "birthDate": "1980-02-29",
    "_birthDate": {"extension": [{"url": "http://example.org/birthTime", "valueDateTime": "1980-02-29T08:00:00Z"}]},
    "contact": [{"name": {"family": "Roe"}, "gender": "male"}],
    "generalPractitioner": [{"reference": "Practitioner/1"}],
    "managingOrganization": {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"},
}

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2024-05-01T08:00:00Z",
    "valueQuantity": {
        "value": Decimal("120.0"),
        "unit": "mmHg",
        "system": "http://unitsofmeasure.org",
        "code": "mm[Hg]",
    },
    "referenceRange": [{"low": {"value": 90}}],
}

ENCOUNTER: dict[str, Any] = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
REQUEST: dict[str, Any] = {
    "resourceType": "MedicationRequest",
    "status": "active",
    "intent": "order",
    "medicationCodeableConcept": {"text": "aspirin"},
    "subject": {"reference": "Patient/p1"},
}
ALLERGY: dict[str, Any] = {
    "resourceType": "AllergyIntolerance",
    "patient": {"reference": "Patient/p1"},
    "clinicalStatus": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]
    },
}
ALLERGY_IN_ERROR = {
    "coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification", "code": "entered-in-error"}
    ]
}
CONDITION: dict[str, Any] = {
    "resourceType": "Condition",
    "subject": {"reference": "Patient/p1"},
    "clinicalStatus": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
    },
}
TRANSACTION: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
            "resource": PATIENT,
            "request": {"method": "PUT", "url": "Patient?identifier=urn:oid:1.2.3|7"},
        },
        {"resource": OBSERVATION, "request": {"method": "POST", "url": "Observation"}},
    ],
}
PARAMETERS: dict[str, Any] = {
    "resourceType": "Parameters",
    "parameter": [{"name": "x", "part": [{"name": "y", "resource": PATIENT}]}],
}
CONTAINER: dict[str, Any] = {
    **OBSERVATION,
    "contained": [{"resourceType": "Practitioner", "id": "dr", "name": [{"family": "Who"}]}],
    "performer": [{"reference": "#dr"}],
}
VALID = [PATIENT, OBSERVATION, ENCOUNTER, REQUEST, ALLERGY, CONDITION, TRANSACTION, PARAMETERS, CONTAINER]

DROP = object()


def changed(resource: dict[str, Any], **elements: Any) -> dict[str, Any]:
    """A copy with elements replaced, or dropped."""
    merged = {**deepcopy(resource), **elements}
    return {name: value for name, value in merged.items() if value is not DROP}


def narrative(div: str) -> dict[str, Any]:
    return changed(PATIENT, text={"status": "generated", "div": div})


def extended(*extensions: dict[str, Any]) -> dict[str, Any]:
    return changed(PATIENT, extension=list(extensions))


def nested_extension(depth: int) -> dict[str, Any]:
    extension: dict[str, Any] = {"url": "urn:x", "valueString": "end"}
    for _ in range(depth):
        extension = {"url": "urn:x", "extension": [extension]}
    return extended(extension)


def bundled(resource: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": PATIENT}, {"resource": resource}]}


REQUESTED = {"method": "GET", "url": "Patient/1"}
