"""What the demo's callers send. Everybody in it is invented."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

MRN_SYSTEM = "urn:oid:2.25.59778615075790855151715354782056170808.1"
"""Medical record numbers: the C-CDA document names Maria by the same one."""
MRN = "MRN-0001"
APP_SYSTEM = "https://app.example/patients"
APP_ID = "maria-1984"
VISIT_SYSTEM = "https://app.example/visits"
RESULT_SYSTEM = "https://app.example/results"
PARTNER_SYSTEM = "https://partner.example/patients"
PARTNER_ID = "pat_12345678"

SEED = {
    "firstName": "Alice",
    "lastName": "Example",
    "sexAtBirth": "F",
    "dateOfBirth": "1980-02-22",
    "partnerId": PARTNER_ID,
}

_PATIENT = "urn:uuid:7e1f6f0c-52c1-4cf5-9d0b-1a5d3c1f0a01"
_VISIT = "urn:uuid:7e1f6f0c-52c1-4cf5-9d0b-1a5d3c1f0a02"
_LOINC, _UCUM = "http://loinc.org", "http://unitsofmeasure.org"


def document() -> bytes:
    """A C-CDA visit summary of Maria from a clinic that knows her by its own number and her medical record number."""
    return Path(__file__).with_name("demo-ccd.xml").read_bytes()


def transaction() -> dict[str, Any]:
    """Maria, a visit and two results: every entry by condition, so that sending it twice makes nothing twice."""
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": MRN_SYSTEM, "value": MRN}, {"system": APP_SYSTEM, "value": APP_ID}],
        "name": [{"use": "official", "family": "Example", "given": ["Maria"]}],
        "gender": "female",
        "birthDate": "1984-06-17",
    }
    visit = {
        "resourceType": "Encounter",
        "identifier": [{"system": VISIT_SYSTEM, "value": "visit-1"}],
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": _PATIENT},
        "period": {"start": "2026-03-09", "end": "2026-03-09"},
    }
    entries = [
        _entry(_PATIENT, patient, "PUT", f"Patient?identifier={MRN_SYSTEM}|{MRN}"),
        _entry(_VISIT, visit, "PUT", f"Encounter?identifier={VISIT_SYSTEM}|visit-1"),
        _result("8867-4", "Heart rate", "72", "/min"),
        _result("8310-5", "Body temperature", "36.8", "Cel"),
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _result(code: str, display: str, value: str, unit: str) -> dict[str, Any]:
    observation = {
        "resourceType": "Observation",
        "identifier": [{"system": RESULT_SYSTEM, "value": f"visit-1-{code}"}],
        "status": "final",
        "code": {"coding": [{"system": _LOINC, "code": code, "display": display}]},
        "subject": {"reference": _PATIENT},
        "encounter": {"reference": _VISIT},
        "effectiveDateTime": "2026-03-09",
        "valueQuantity": {"value": Decimal(value), "unit": unit, "system": _UCUM, "code": unit},
    }
    entry = _entry(None, observation, "POST", "Observation")
    entry["request"]["ifNoneExist"] = f"identifier={RESULT_SYSTEM}|visit-1-{code}"
    return entry


def _entry(full_url: str | None, resource: dict[str, Any], method: str, url: str) -> dict[str, Any]:
    named = {"fullUrl": full_url} if full_url else {}
    return {**named, "resource": resource, "request": {"method": method, "url": url}}
