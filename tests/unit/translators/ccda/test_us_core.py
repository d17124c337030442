"""What US Core asks for beyond R4: reasons in place of what nobody said, and claims that are no more than the truth."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.translators.ccda import convert
from gateway.translators.ccda.profiles import is_npi, profile_of
from gateway.translators.documents import read

from .written import PATIENT, converted, document, of_type, only, section

NAMELESS = '<recordTarget><patientRole><id extension="77"/><patient/></patientRole></recordTarget>'
WHY = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
TEMPERATURE = """<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.27"/>
<code code="8310-5" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>
<effectiveTime value="{time}"/><value xsi:type="PQ" value="37" unit="{unit}"/></observation>"""


def claimed(resource: dict[str, Any]) -> list[str]:
    return [url.rpartition("/")[2] for url in resource.get("meta", {}).get("profile", ())]


def test_a_reason_stands_where_the_document_says_nothing_of_the_patient() -> None:
    patient = only(converted(header=NAMELESS), "Patient")

    assert patient["identifier"] == [{"value": "77", "_system": WHY}]
    assert patient["name"] == [WHY]


def test_where_only_a_code_of_a_list_may_stand_it_is_the_one_for_what_nobody_knows() -> None:
    """R4 §4.1.5.1: a reason is no code of the list. US Core, Missing Data: `unknown` is, where the list has it."""
    apart = b'<nonXMLBody><text><reference value="note.pdf"/></text></nonXMLBody>'
    made = convert(document(header=NAMELESS).replace(b"<structuredBody></structuredBody>", apart), patient_id="p1")
    patient, note = only(made, "Patient"), only(made, "DocumentReference")

    assert patient["gender"] == "unknown" and "_gender" not in patient
    assert note["content"] == [{"attachment": {"url": "note.pdf", "contentType": "application/octet-stream"}}]


def test_a_patient_who_becomes_a_part_of_a_record_has_no_reasons_in_him() -> None:
    taken = read(document(header=NAMELESS), "clinic", b"secret", 1_000_000).converted

    assert only(taken, "Patient").keys() == {"resourceType", "id", "identifier"}


@pytest.mark.parametrize(("system", "claim"), [("2.16.840.1.113883.6.238", ["us-core-patient"]), ("1.2.3", [])])
def test_a_race_of_another_list_stays_and_the_claim_goes(system: str, claim: list[str]) -> None:
    race = f'<raceCode code="2108-9" codeSystem="{system}" displayName="European"/>'
    header = PATIENT.replace("</patient>", f"{race}</patient>")
    patient = only(converted(header=header), "Patient")

    assert patient["extension"][0]["extension"][0]["valueCoding"]["code"] == "2108-9"
    assert claimed(patient) == claim


def test_nobody_named_is_the_callers_own_patient() -> None:
    assert only(converted(header=""), "Patient") == {"resourceType": "Patient", "id": "p1"}


def test_security_labels_stay_beside_a_claim() -> None:
    labelled = TEMPERATURE.format(time="20240501", unit="Cel")
    made = only(converted(section("8716-3", labelled)), "Observation")

    assert claimed(made) == ["us-core-body-temperature"]


@pytest.mark.parametrize(
    ("time", "unit", "expected"),
    [
        ("20240501", "[degF]", ["us-core-body-temperature"]),
        ("20240501", "K", ["us-core-vital-signs"]),
        ("20240501", "degrees", []),
        ("202405", "Cel", []),
    ],
)
def test_a_vital_sign_claims_what_its_unit_and_time_allow(time: str, unit: str, expected: list[str]) -> None:
    (made,) = of_type(converted(section("8716-3", TEMPERATURE.format(time=time, unit=unit))), "Observation")

    assert claimed(made) == expected


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ({"resourceType": "Provenance", "agent": [{"who": {"reference": "PractitionerRole/1"}}]}, "us-core-provenance"),
        ({"resourceType": "Provenance", "agent": [{"who": {"reference": "Practitioner/1"}}]}, None),
        ({"resourceType": "Coverage", "status": "active", "payor": [WHY]}, None),
        ({"resourceType": "Coverage", "status": "active", "payor": [WHY], "subscriberId": "1"}, "us-core-coverage"),
        ({"resourceType": "Device", "type": {}}, None),
        ({"resourceType": "Device", "udiCarrier": [{"deviceIdentifier": "1"}]}, None),
        (
            {"resourceType": "Device", "udiCarrier": [{"deviceIdentifier": "1"}], "lotNumber": "2"},
            "us-core-implantable-device",
        ),
        ({"resourceType": "MedicationDispense", "status": "completed"}, None),
        ({"resourceType": "Goal", "_lifecycleStatus": WHY}, None),
        ({"resourceType": "Organization", "address": [{"line": ["1", "2", "3", "4", "5"]}]}, None),
        ({"resourceType": "AllergyIntolerance", "clinicalStatus": WHY}, None),
        ({"resourceType": "AllergyIntolerance", "clinicalStatus": {"coding": []}}, None),
        (
            {"resourceType": "AllergyIntolerance", "clinicalStatus": {"coding": []}, "code": {}},
            "us-core-allergyintolerance",
        ),
        ({"resourceType": "Consent"}, None),
    ],
)
def test_a_claim_is_no_more_than_the_truth(resource: dict[str, Any], name: str | None) -> None:
    assert profile_of(resource) == name


@pytest.mark.parametrize(
    ("number", "sound"),
    [("1234567893", True), ("1245319599", True), ("1234567890", False), ("123", False), ("", False)],
)
def test_numbers_of_providers(number: str, sound: bool) -> None:
    assert is_npi(number) is sound
