"""The summary for people: no fact is shown as an empty row, and no value is left out."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.consolidated import dates, rows

PATIENT: dict[str, Any] = {"resourceType": "Patient", "id": "1", "deceasedBoolean": True}
ASPIRIN = {"resourceType": "Medication", "id": "m", "code": {"text": "Aspirin 81 mg"}}
TABLETS = {"doseQuantity": {"value": 2, "unit": "tablets"}}


def said(text: str) -> dict[str, Any]:
    return {"text": text}


def observed(**value: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": said("Titer"), **value}


SHOWN: list[tuple[dict[str, Any], str, str]] = [
    (
        {
            "resourceType": "FamilyMemberHistory",
            "relationship": said("Mother"),
            "condition": [{"code": said("Stroke")}],
        },
        "Mother",
        "Stroke",
    ),
    ({"resourceType": "CarePlan", "title": "Asthma plan", "category": [said("assess-plan")]}, "Asthma plan", ""),
    ({"resourceType": "CareTeam", "name": "Team A"}, "Team A", ""),
    ({"resourceType": "RelatedPerson", "name": [{"family": "Kin", "given": ["Jo"]}]}, "Jo Kin", ""),
    ({"resourceType": "Device", "deviceName": [{"name": "Pump", "type": "other"}]}, "Pump", ""),
    ({"resourceType": "Communication", "payload": [{"contentString": "Call back"}]}, "Call back", ""),
    ({"resourceType": "Coverage", "type": said("PPO"), "payor": [{"display": "Payer Inc"}]}, "PPO", "Payer Inc"),
    (
        {"resourceType": "MedicationRequest", "medicationReference": {"reference": "#m"}, "contained": [ASPIRIN]},
        "Aspirin 81 mg",
        "",
    ),
    (
        {
            "resourceType": "MedicationStatement",
            "medicationReference": {"reference": "Medication/9", "display": "Iron"},
        },
        "Iron",
        "",
    ),
    (
        {
            "resourceType": "MedicationRequest",
            "medicationCodeableConcept": said("Iron"),
            "doNotPerform": True,
            "dosageInstruction": [{"doseAndRate": [TABLETS]}],
        },
        "Iron",
        "not to be done; 2 tablets",
    ),
    (
        {
            "resourceType": "MedicationAdministration",
            "medicationCodeableConcept": said("Iron"),
            "dosage": {"dose": {"value": 5, "unit": "mg"}},
        },
        "Iron",
        "5 mg",
    ),
    (
        {"resourceType": "MedicationAdministration", "medicationCodeableConcept": said("Iron"), "dosage": said("once")},
        "Iron",
        "once",
    ),
    (
        {"resourceType": "AllergyIntolerance", "code": said("Nuts"), "criticality": "high"},
        "Nuts",
        "criticality high",
    ),
    (
        {
            "resourceType": "MedicationRequest",
            "category": [said("Community")],
            "medicationReference": {"reference": "#m"},
            "contained": [ASPIRIN],
            "dosageInstruction": [
                {
                    "doseAndRate": [{"doseRange": {"low": {"value": 1}, "high": {"value": 2, "unit": "tablets"}}}],
                    "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d", "when": ["CM"]}},
                    "asNeededBoolean": True,
                    "route": said("Oral"),
                }
            ],
            "dispenseRequest": {"quantity": {"value": 30, "unit": "tablets"}, "numberOfRepeatsAllowed": 0},
            "reasonCode": [said("Pain")],
        },
        "Aspirin 81 mg",
        "1 to 2 tablets, 2 x per 1 d, CM, as needed, Oral; dispense 30 tablets, repeats 0; because of Pain",
    ),
    (
        {
            "resourceType": "FamilyMemberHistory",
            "name": "Mary Roe",
            "relationship": said("Mother"),
            "deceasedAge": {"value": 60, "unit": "a"},
            "condition": [{"code": said("Stroke"), "onsetAge": {"value": 50, "unit": "a"}, "outcome": said("Coma")}],
        },
        "Mother",
        "Mary Roe; Stroke, onset at 50 a; outcome Coma; died at 60 a",
    ),
    (
        {
            "resourceType": "Condition",
            "code": said("Asthma"),
            "severity": said("Severe"),
            "bodySite": [said("Left lung")],
            "abatementDateTime": "2020-01",
            "note": [{"text": "Since birth"}],
        },
        "Asthma",
        "severity Severe; Left lung; until 2020-01; Since birth",
    ),
    (
        {
            "resourceType": "AllergyIntolerance",
            "code": said("Nuts"),
            "reaction": [{"manifestation": [said("Anaphylaxis"), said("Hives")], "severity": "severe"}],
        },
        "Nuts",
        "Anaphylaxis, Hives, severe",
    ),
    (
        {
            "resourceType": "Encounter",
            "type": [said("Visit")],
            "class": {"code": "IMP"},
            "period": {"start": "2023-01-10", "end": "2023-03-05"},
        },
        "Visit",
        "IMP; until 2023-03-05",
    ),
    (
        {
            "resourceType": "Goal",
            "category": [said("Dietary")],
            "description": said("HbA1c down"),
            "target": [{"detailQuantity": {"value": 7, "unit": "%"}, "dueDate": "2025-01-01"}],
        },
        "HbA1c down",
        "7 %, by 2025-01-01",
    ),
    (
        {
            "resourceType": "Immunization",
            "vaccineCode": said("Flu"),
            "statusReason": said("Refused"),
            "protocolApplied": [{"doseNumberPositiveInt": 2}],
        },
        "Flu",
        "dose 2; because of Refused",
    ),
    (
        observed(valueQuantity={"value": 0}, referenceRange=[{"low": {"value": 1, "unit": "mg"}}]),
        "Titer",
        "0; reference range from 1 mg",
    ),
    (
        {"resourceType": "DocumentReference", "type": said("Letter"), "description": "To the heart clinic"},
        "Letter",
        "To the heart clinic",
    ),
    (observed(valueRatio={"numerator": {"value": 1}, "denominator": {"value": 128}}), "Titer", "1 : 128"),
    (observed(valuePeriod={"start": "2024-01", "end": "2024-02"}), "Titer", "2024-01 to 2024-02"),
    (observed(valueTime="10:30:00"), "Titer", "10:30:00"),
    (
        observed(valueQuantity={"value": 9, "unit": "mg"}, interpretation=[said("High")]),
        "Titer",
        "9 mg; High",
    ),
]


@pytest.mark.parametrize(("resource", "what", "detail"), SHOWN)
def test_every_fact_says_what_it_is(resource: dict[str, Any], what: str, detail: str) -> None:
    [table] = rows.summary([PATIENT, resource]).tables
    [row] = table.rows
    assert row[1:3] == (what, detail)


def test_a_substance_that_does_no_harm_is_not_shown_as_an_allergy() -> None:
    """It has no code, only the extension that takes its place; its type alone would read as an allergy to something."""
    parts = [
        {"url": "substance", "valueCodeableConcept": said("Penicillin G")},
        {"url": "exposureRisk", "valueCodeableConcept": said("No Known Reaction Risk")},
    ]
    url = "http://hl7.org/fhir/StructureDefinition/allergyintolerance-substanceExposureRisk"
    none = {"resourceType": "AllergyIntolerance", "type": "allergy", "extension": [{"url": url, "extension": parts}]}
    [table] = rows.summary([PATIENT, none]).tables
    assert table.rows == [("", "Penicillin G: No Known Reaction Risk", "", "")]


def test_how_a_goal_stands_and_who_died_without_a_date_are_shown() -> None:
    goal = {"resourceType": "Goal", "lifecycleStatus": "active", "description": said("Walk")}
    found = rows.summary([PATIENT, goal])
    assert found.tables[0].rows == [("", "Walk", "", "active")] and ("Died", "yes") in found.who


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Consent", "dateTime": "2020-01-01"},
        {"resourceType": "ImagingStudy", "started": "2020-01-01"},
        {"resourceType": "QuestionnaireResponse", "authored": "2020-01-01"},
        {"resourceType": "Specimen", "collection": {"collectedDateTime": "2020-01-01"}},
        {"resourceType": "Claim", "billablePeriod": {"start": "2020-01-01", "end": "2020-02"}, "created": "2021-01-01"},
    ],
)
def test_each_type_lies_where_its_own_date_is(resource: dict[str, Any]) -> None:
    assert dates.date_of(resource) == "2020-01-01" and not dates.within(resource, "2024-05", None)


@pytest.mark.parametrize(
    ("period", "lies"),
    [
        ({"start": "2023-01-10", "end": "2023-03-05"}, True),
        ({"start": "2023-01-10"}, True),
        ({"start": "2023-01-10T08:00:00Z", "end": "2023-02"}, True),
        ({"start": "2023-01-10", "end": "2023-01-31"}, False),
        ({"start": "2023-03-01"}, False),
    ],
)
def test_what_goes_on_lies_in_every_day_of_it(period: dict[str, str], lies: bool) -> None:
    stay = {"resourceType": "Encounter", "period": period}
    taken = {"resourceType": "MedicationStatement", "effectivePeriod": period}
    booked = {"resourceType": "Appointment", **period}
    assert [dates.within(one, "2023-02-01", "2023-02-28") for one in (stay, taken, booked)] == [lies] * 3
