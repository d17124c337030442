"""What is sent: a Patient by identifier with 20 Observations, 21 KB, every one a person of her own."""

from __future__ import annotations

import random

from gateway.fhir import json

MRN = "urn:oid:2.25.271828182845904523536028747135266249775"
OBSERVATIONS = 20
_CODES = (("8867-4", "Heart rate", "/min"), ("8310-5", "Body temperature", "Cel"), ("29463-7", "Body weight", "kg"))
_NOTE = "Taken seated after five minutes of rest; device checked on the same day. "


def bundle(number: int, *, edit: str = "") -> bytes:
    """The transaction of person `number`; `edit` changes her family name and every value."""
    rng = random.Random(f"{number}{edit}")
    patient_url = f"urn:uuid:00000000-0000-4000-8000-{number:012x}"
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": MRN, "value": f"B{number:08d}"}, {"system": "urn:bench:chart", "value": str(number)}],
        "name": [{"use": "official", "family": f"Family{number}{edit}", "given": [f"Given{number}"]}],
        "telecom": [{"system": "phone", "use": "home", "value": f"+1 555 {number:07d}"}],
        "gender": "female",
        "birthDate": f"19{number % 90 + 10}-0{number % 9 + 1}-1{number % 10}",
        "address": [{"use": "home", "line": [f"{number} Long Street"], "city": "Springfield", "postalCode": "12345"}],
    }
    entries = [_put(patient_url, patient, f"Patient?identifier={MRN}|B{number:08d}")]
    entries += [_observation(number, at, patient_url, rng) for at in range(OBSERVATIONS)]
    return json.encode({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def _put(url: str, resource: dict[str, object], condition: str) -> dict[str, object]:
    return {"fullUrl": url, "resource": resource, "request": {"method": "PUT", "url": condition}}


def _observation(number: int, at: int, patient_url: str, rng: random.Random) -> dict[str, object]:
    code, display, unit = _CODES[at % 3]
    value = f"{number}-{at}"
    resource = {
        "resourceType": "Observation",
        "identifier": [{"system": "urn:bench:observation", "value": value}],
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "vital-signs",
                        "display": "Vital Signs",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": display}], "text": display},
        "subject": {"reference": patient_url},
        "effectiveDateTime": f"2026-0{at % 9 + 1}-11T10:{at:02d}:00Z",
        "valueQuantity": {
            "value": rng.randrange(100, 2000) / 10,
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
        "note": [{"text": _NOTE * 3}],
    }
    url = f"urn:uuid:{at + 1:08x}-0000-4000-8000-{number:012x}"
    return _put(url, resource, f"Observation?identifier=urn:bench:observation|{value}")
