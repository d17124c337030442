"""The personas of Metriport's sandbox: our C-CDA of each converts whole, and says what the facts say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.fhir import gate, json
from gateway.translators.ccda import convert

FOLDER = Path(__file__).resolve().parents[3] / "fixtures" / "ccda" / "personas"
PERSONAS: dict[str, Any] = json.decode((FOLDER / "personas.json").read_bytes())


def of(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


@pytest.mark.parametrize("name", sorted(PERSONAS))
def test_a_persona(name: str) -> None:
    facts = PERSONAS[name]
    converted = convert((FOLDER / f"{name.lower()}.xml").read_bytes(), patient_id="p")
    bundle = converted.bundle
    assert converted.issues == ()
    assert [problem for entry in bundle["entry"] for problem in gate.check(entry["resource"])] == []
    [patient] = of(bundle, "Patient")
    asked = facts["patient"]
    assert patient["name"][0]["family"] == asked["lastName"] and patient["birthDate"] == asked["dob"]
    assert {code(one["code"], "sct") for one in of(bundle, "Condition")} == {one["sct"] for one in facts["conditions"]}
    assert sorted(one["onsetDateTime"] for one in of(bundle, "Condition")) == sorted(
        one["since"] for one in facts["conditions"]
    )
    given = {code(one["medicationCodeableConcept"], "rxnorm") for one in of(bundle, "MedicationRequest")}
    assert given == {one["rx"] for one in facts["medications"]}
    values = {
        code(one["code"], "loinc"): str(one["valueQuantity"]["value"])
        for each in of(bundle, "Observation")
        for one in (each, *each.get("component", ()))
        if "valueQuantity" in one
    }
    wanted = {test["ln"]: test["value"] for panel in facts["results"] for test in panel["tests"]}
    assert values == wanted | facts["vitals"][0]["values"]
    for kind, count in (("AllergyIntolerance", 1), ("Immunization", 1), ("Encounter", 1), ("DiagnosticReport", 1)):
        assert len(of(bundle, kind)) == count, kind


def code(concept: dict[str, Any], system: str) -> str:
    names = {"sct": "http://snomed.info/sct", "loinc": "http://loinc.org"}
    wanted = names.get(system, "http://www.nlm.nih.gov/research/umls/rxnorm")
    return next(one["code"] for one in concept["coding"] if one["system"] == wanted)
