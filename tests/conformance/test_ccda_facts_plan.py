"""What `care-plan.xml` says about its patient, fact by fact: what is, what is planned, whose it is."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.conformance.ccda_facts import PATIENT_ID, read, values

PATIENT = f"Patient/{PATIENT_ID}"


@pytest.mark.parametrize(
    ("entry", "kind", "facts"),
    [
        ("HC-1-P", "Condition", {"code.coding.code": ["44054006"], "onsetDateTime": ["2024-02-01"]}),
        ("RC-1", "Condition", {"code.text": ["May fall at night"], "onsetDateTime": ["2026-03-01"]}),
        ("GOAL-1", "Goal", {"lifecycleStatus": ["active"], "target.dueDate": ["2026-09-10"]}),
        ("INT-1-A", "Procedure", {"status": ["completed"], "code.coding.code": ["11816003"]}),
        ("HO-1", "Communication", {"topic.coding.code": ["432138007"], "sent": ["2026-03-11"]}),
        ("OUT-1", "Observation", {"valueQuantity.value": [Decimal("84.0")], "status": ["final"]}),
        ("PLAN-1", "ServiceRequest", {"intent": ["order"], "priority": ["urgent"], "status": ["active"]}),
        ("PLAN-2", "Encounter", {"status": ["planned"], "period.start": ["2026-06-15"]}),
        ("PLAN-3", "ImmunizationRecommendation", {"recommendation.vaccineCode.coding.code": ["140"]}),
        ("PLAN-4", "DeviceRequest", {"intent": ["order"], "occurrenceDateTime": ["2026-05-01"]}),
        ("PLAN-5", "ServiceRequest", {"patientInstruction": ["Check feet daily"]}),
        ("FS-1-A", "Observation", {"valueCodeableConcept.coding.code": ["165245003"]}),
        ("MS-1", "Observation", {"valueInteger": [3], "code.coding.code": ["55758-7"]}),
        ("FAM-1", "FamilyMemberHistory", {"condition.code.coding.code": ["22298006"], "deceasedBoolean": [True]}),
        ("COV-1", "Coverage", {"subscriberId": ["MEM-1"], "period.start": ["2026-01-01"]}),
        ("AD-1", "Consent", {"provision.code.coding.code": ["304253006"], "scope.coding.code": ["adr"]}),
        ("EQ-2", "DeviceUseStatement", {"status": ["completed"], "timingPeriod.start": ["2025-01-01"]}),
        ("SOC-1", "Observation", {"encounter.identifier.value": ["ENC-ELSEWHERE"]}),
        ("CT-1", "CareTeam", {"name": ["Diabetes team"], "participant.role.coding.code": ["PCP"]}),
        ("ADM-1", "MedicationAdministration", {"dosage.dose.value": [Decimal("4.0")], "status": ["completed"]}),
        ("NOTE-1", "DocumentReference", {"type.coding.code": ["11488-4"], "status": ["current"]}),
    ],
)
def test_fact(entry: str, kind: str, facts: dict[str, list[object]]) -> None:
    resource = read("care-plan").entry(entry, kind)

    assert {path: values(resource, path) for path in facts} == facts
    assert PATIENT in [
        name for of in ("subject", "patient", "beneficiary") for name in values(resource, f"{of}.reference")
    ]


def test_every_entry_is_read_and_none_by_its_element_alone() -> None:
    rows = read("care-plan").report["sections"]

    assert [row["title"] for row in rows if row["seen"] != row["converted"]] == []


def test_nothing_that_is_planned_has_happened() -> None:
    document = read("care-plan")

    assert [one["code"]["coding"][0]["code"] for one in document.all("Procedure")] == ["11816003", "233174007"]
    assert document.all("Immunization") == []
    assert {one["status"] for one in document.all("Encounter")} == {"planned"}


def test_what_the_mother_had_is_no_condition_of_the_patient() -> None:
    conditions = [code for one in read("care-plan").all("Condition") for code in values(one, "code.coding.code")]

    assert "22298006" not in conditions


def test_a_goal_is_tied_to_the_concern_that_it_addresses() -> None:
    document = read("care-plan")
    (concern,) = document.entry("GOAL-1", "Goal")["addresses"]

    assert document.follow(concern["reference"])["code"]["coding"][0]["code"] == "44054006"


def test_an_implant_has_its_number() -> None:
    devices = {values(one, "type.coding.code")[0]: one for one in read("care-plan").all("Device")}

    assert values(devices["14106009"], "udiCarrier.deviceIdentifier") == ["09999999000015"]
    assert set(devices) == {"14106009", "58938008", "87405001"}


def test_what_the_patient_says_of_herself_is_on_the_patient() -> None:
    said = {one["url"].rpartition("/")[2]: one for one in read("care-plan").one("Patient")["extension"]}

    assert said["us-core-sex"]["valueCode"] == "248152002"
    assert values(said["us-core-genderIdentity"], "valueCodeableConcept.coding.code") == ["446141000124107"]
