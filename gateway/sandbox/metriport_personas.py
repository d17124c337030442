"""What the sandbox's networks know of a patient: the five personas by first name, nobody else (metriport.md, "Sandbox
personas"). The documents are in fixtures/ccda/personas, the FHIR is made here from the same facts."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from gateway.fhir import json

_FOLDER = Path(__file__).with_name("personas")
_SPACE = uuid.UUID("5d0f7c8e-41a6-4a51-9f0a-0d9a3be0c4f7")
_SCT, _LOINC, _RX = "http://snomed.info/sct", "http://loinc.org", "http://www.nlm.nih.gov/research/umls/rxnorm"
_ICD, _CVX = "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/cvx"
_UCUM = "http://unitsofmeasure.org"
_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_VITALS = {
    "8480-6": ("Systolic blood pressure", "mm[Hg]"),
    "8462-4": ("Diastolic blood pressure", "mm[Hg]"),
    "29463-7": ("Body weight", "kg"),
}
_LETTERS = (("57133-1", "Referral letter"), ("18842-5", "Discharge summary"), ("52521-2", "Overall plan of care"))

Resource = dict[str, Any]
Facts = Mapping[str, Any]

SOURCES = {
    "hie": frozenset({"Condition", "AllergyIntolerance", "Immunization", "Encounter", "Practitioner", "Observation"}),
    "pharmacy": frozenset({"MedicationRequest"}),
    "lab": frozenset({"DiagnosticReport", "Observation"}),
}
"""Which types each network brings; all of them bring the Patient."""


@cache
def personas() -> Mapping[str, Facts]:
    """First name -> facts."""
    found: Mapping[str, Facts] = json.decode((_FOLDER / "personas.json").read_bytes())
    return found


def find(first_name: str) -> Facts | None:
    """First name decides."""
    return personas().get(first_name.split()[0] if first_name.split() else "")


def demographics(patient: Mapping[str, Any]) -> Resource:
    """Their own Patient, as it stands in consolidated data."""
    address = patient["address"][0]
    return {
        "resourceType": "Patient",
        "id": patient["id"],
        "name": [{"family": patient["lastName"], "given": [patient["firstName"]]}],
        "gender": {"F": "female", "M": "male", "O": "other", "U": "unknown"}[patient["genderAtBirth"]],
        "birthDate": patient["dob"],
        "address": [
            {
                "line": [address["addressLine1"]],
                "city": address["city"],
                "state": address["state"],
                "postalCode": address["zip"],
                "country": address["country"],
            }
        ],
    }


def known(patient: Mapping[str, Any]) -> list[Resource]:
    """Everything the networks hold of this patient; empty for those who are no persona."""
    facts = find(patient["firstName"])
    if facts is None:
        return []
    made = _Made(patient["id"])
    parts = (made.practitioner, made.conditions, made.allergies, made.medications, made.immunizations, made.encounters)
    return [one for part in (*parts, made.vitals, made.results) for one in part(facts)]


def files(first_name: str) -> list[tuple[str, str, bytes, str, str]]:
    """(file name, media type, content, LOINC, title): one C-CDA, three letters, two pictures; none for others."""
    if find(first_name) is None:
        return []
    stem = first_name.split()[0].lower()
    listed = [(f"{stem}.xml", "application/xml", "34133-9", "Summarization of episode note")]
    listed += [(f"{stem}-{at}.pdf", "application/pdf", *letter) for at, letter in enumerate(_LETTERS, 1)]
    listed += [(f"{stem}-{at}.png", "image/png", "18748-4", "Diagnostic imaging study") for at in (1, 2)]
    return [(name, media, (_FOLDER / name).read_bytes(), code, title) for name, media, code, title in listed]


def encounter(patient: Mapping[str, Any], event: str, times: Mapping[str, Any]) -> list[Resource]:
    """The entries of an admit, transfer or discharge: the Encounter first, then everything it refers to."""
    made = _Made(patient["id"])
    place = {"resourceType": "Location", "id": made.id("ward"), "name": "Alder County Hospital", "status": "active"}
    doctor = next(made.practitioner({}))
    condition = made.condition({"sct": "29857009", "display": "Chest pain", "since": times["admit"][:10]}, "adt")
    period = {"start": times["admit"]} | ({"end": times["discharge"]} if event == "discharge" else {})
    visit = made.of(
        "Encounter",
        "stay",
        status="finished" if event == "discharge" else "in-progress",
        **{"class": {"system": _ACT, "code": "IMP", "display": "inpatient encounter"}},
        subject=made.subject,
        period=period,
        reasonCode=[{"text": "Chest pain"}],
        location=[{"location": {"reference": f"Location/{place['id']}", "display": place["name"]}}],
        participant=[{"individual": {"reference": f"Practitioner/{doctor['id']}"}}],
        diagnosis=[{"condition": {"reference": f"Condition/{condition['id']}"}, "rank": 1}],
    )
    return [visit, demographics(patient), place, doctor, condition]


class _Made:
    """Resources of one patient; their ids are the same every time."""

    def __init__(self, patient_id: str) -> None:
        self.patient_id = patient_id
        self.subject = {"reference": f"Patient/{patient_id}", "type": "Patient"}

    def id(self, *parts: object) -> str:
        return str(uuid.uuid5(_SPACE, "\n".join((self.patient_id, *map(str, parts)))))

    def of(self, kind: str, key: object, **elements: Any) -> Resource:
        return {"resourceType": kind, "id": self.id(kind, key), **elements}

    def practitioner(self, _: Facts) -> Iterator[Resource]:
        yield self.of(
            "Practitioner",
            "author",
            identifier=[{"system": "http://hl7.org/fhir/sid/us-npi", "value": "9990000051"}],
            name=[{"family": "Farrow", "given": ["Imelda"]}],
        )

    def condition(self, one: Facts, name: object) -> Resource:
        codings = [_coding(_SCT, one["sct"], one["display"])]
        codings += [_coding(_ICD, one["icd"], one["display"])] if "icd" in one else []
        status = _coding("http://terminology.hl7.org/CodeSystem/condition-clinical", "active", "Active")
        return self.of(
            "Condition",
            name,
            clinicalStatus={"coding": [status]},
            code={"coding": codings, "text": one["display"]},
            subject=self.subject,
            onsetDateTime=one["since"],
        )

    def conditions(self, facts: Facts) -> Iterator[Resource]:
        for at, one in enumerate(facts["conditions"]):
            yield self.condition(one, at)

    def allergies(self, facts: Facts) -> Iterator[Resource]:
        status = _coding("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active", "Active")
        for at, one in enumerate(facts["allergies"]):
            yield self.of(
                "AllergyIntolerance",
                at,
                clinicalStatus={"coding": [status]},
                code={"coding": [_coding(_RX, one["rx"], one["display"])], "text": one["display"]},
                patient=self.subject,
                onsetDateTime=one["since"],
                reaction=[{"manifestation": [{"coding": [_coding(_SCT, *one["reaction"])]}]}],
            )

    def medications(self, facts: Facts) -> Iterator[Resource]:
        author = self.id("Practitioner", "author")
        for at, one in enumerate(facts["medications"]):
            repeat = {"frequency": 1, "period": int(one["hours"]), "periodUnit": "h"}
            dose = {"value": int(one["dose"]), "unit": one["unit"], "system": _UCUM, "code": one["unit"]}
            yield self.of(
                "MedicationRequest",
                at,
                status="active",
                intent="order",
                medicationCodeableConcept={"coding": [_coding(_RX, one["rx"], one["display"])]},
                subject=self.subject,
                authoredOn=one["since"],
                requester={"reference": f"Practitioner/{author}"},
                dosageInstruction=[{"timing": {"repeat": repeat}, "doseAndRate": [{"doseQuantity": dose}]}],
            )

    def immunizations(self, facts: Facts) -> Iterator[Resource]:
        for at, one in enumerate(facts["immunizations"]):
            yield self.of(
                "Immunization",
                at,
                status="completed",
                vaccineCode={"coding": [_coding(_CVX, one["cvx"], one["display"])]},
                patient=self.subject,
                occurrenceDateTime=one["at"],
            )

    def encounters(self, facts: Facts) -> Iterator[Resource]:
        for at, one in enumerate(facts["encounters"]):
            yield self.of(
                "Encounter",
                at,
                status="finished",
                **{"class": _coding(_ACT, "AMB", "ambulatory")},
                subject=self.subject,
                period={"start": one["at"], "end": one["end"]},
                reasonCode=[{"text": one["reason"]}],
            )

    def vitals(self, facts: Facts) -> Iterator[Resource]:
        for number, one in enumerate(facts["vitals"]):
            for loinc, value in one["values"].items():
                display, unit = _VITALS[loinc]
                yield self._observation(f"v{number}.{loinc}", (loinc, display), one["at"], (value, unit), "vital-signs")

    def results(self, facts: Facts) -> Iterator[Resource]:
        for number, panel in enumerate(facts["results"]):
            tests = [
                self._observation(
                    f"r{number}.{at}",
                    (one["ln"], one["display"]),
                    panel["at"],
                    (one["value"], one["unit"]),
                    "laboratory",
                )
                for at, one in enumerate(panel["tests"])
            ]
            yield from tests
            yield self.of(
                "DiagnosticReport",
                number,
                status="final",
                code={"coding": [_coding(_LOINC, *panel["panel"])]},
                subject=self.subject,
                effectiveDateTime=panel["at"],
                result=[{"reference": f"Observation/{one['id']}"} for one in tests],
            )

    def _observation(self, name: str, code: tuple[str, str], at: str, value: tuple[str, str], kind: str) -> Resource:
        category = _coding("http://terminology.hl7.org/CodeSystem/observation-category", kind, kind)
        number, unit = value
        return self.of(
            "Observation",
            name,
            status="final",
            category=[{"coding": [category]}],
            code={"coding": [_coding(_LOINC, *code)]},
            subject=self.subject,
            effectiveDateTime=at,
            valueQuantity={"value": json.decode(number), "unit": unit, "system": _UCUM, "code": unit},
        )


def _coding(system: str, code: str, display: str) -> Resource:
    return {"system": system, "code": code, "display": display}
