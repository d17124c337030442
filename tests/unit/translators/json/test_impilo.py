"""Impilo's model and readings as FHIR and back: what is said, and what is not made up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gateway.errors import InvalidInput
from gateway.fhir import gate
from gateway.translators.json import impilo as model
from gateway.translators.json.impilo_readings import KINDS, left_out, to_observation

SYSTEMS = model.Systems("https://gateway.example/fhir/Patient", model.EXTERNAL_SYSTEM)
FULL: dict[str, Any] = {
    "id": 5,
    "externalIdentifier": "clinic-9",
    "firstName": "Jo Ann",
    "lastName": "Sample",
    "dateOfBirth": "1987-09-13",
    "email": "jo@example.com",
    "phoneNumber": "111-222-3333",
    "address": {"lineOne": "12 Market Street", "lineTwo": "Suite 1", "city": "Springfield", "zipCode": "19137"},
    "sex": "unknown",
}


def test_the_documented_patient() -> None:
    found = model.from_impilo(FULL, SYSTEMS, whole=True).patient
    gate.require(found)
    assert found["name"] == [{"family": "Sample", "given": ["Jo", "Ann"]}] and found["gender"] == "unknown"
    assert found["address"] == [{"line": ["12 Market Street", "Suite 1"], "city": "Springfield", "postalCode": "19137"}]
    back = model.to_impilo(found)
    shown = {name: value for name, value in FULL.items() if name not in ("id", "externalIdentifier", "address")}
    assert {name: back[name] for name in shown} == shown


def test_the_seeds_model_with_name_and_gender() -> None:
    data = {"id": "12345", "name": "John Doe", "dateOfBirth": "1990-01-01", "gender": "male"}
    found = model.from_impilo(data, SYSTEMS, whole=False)
    assert found.patient == {
        "resourceType": "Patient",
        "name": [{"text": "John Doe"}],
        "birthDate": "1990-01-01",
        "gender": "male",
    }
    assert found.coverage.elements == {"name", "birthDate", "gender"}, "and nothing else is spoken about"


@pytest.mark.parametrize(
    ("data", "slot"),
    [({"sex": "F"}, "gender"), ({"dateOfBirth": "13.09.1987"}, "birthDate"), ({"lastName": "X"}, "name")],
)
def test_what_is_not_understood_or_half_is_not_spoken_about(data: dict[str, Any], slot: str) -> None:
    found = model.from_impilo(data, SYSTEMS, whole=False)
    assert found.patient == {"resourceType": "Patient"} and not found.coverage.covers(slot)


@pytest.mark.parametrize(
    ("field", "value", "slot"),
    [
        ("phoneNumber", 5551234567, "telecom[phone]"),
        ("email", ["jo@example.com"], "telecom[email]"),
        ("firstName", 7, "name"),
        ("lastName", {}, "name"),
        ("dateOfBirth", 19870913, "birthDate"),
        ("sex", 1, "gender"),
        ("address", "12 Market Street", "address"),
        ("address", {"lineOne": "12 Market Street", "zipCode": 19137}, "address"),
        ("site", "North Clinic", "managingOrganization"),
        ("archived", "false", "active"),
        ("enrolled", "yes", f"extension[{model.ENROLLED}]"),
        ("externalIdentifier", 9, f"identifier[{model.EXTERNAL_SYSTEM}]"),
    ],
)
def test_what_is_of_another_kind_than_theirs_takes_nothing_away(field: str, value: Any, slot: str) -> None:
    """A read says that there is none by null, or by leaving it out."""
    found = model.from_impilo({**FULL, field: value}, SYSTEMS, whole=True)
    gate.require(found.patient)
    assert not found.coverage.covers(slot) and [one.expression for one in found.issues] == [field]
    assert "1" not in found.issues[0].diagnostics, "the value is not repeated"
    none = model.from_impilo({**FULL, field: None}, SYSTEMS, whole=True)
    assert none.issues == () and (field == "archived" or field.endswith("Name") or none.coverage.covers(slot))


def test_what_has_no_place_is_named() -> None:
    site = {"name": "North", "active": True, "address": {"city": "Alder"}}
    more = {"site": site, "nickname": "Jo", "updatedAt": "2026-01-01T00:00:00Z", "gender": "unknown", "tags": []}
    found = model.from_impilo({**FULL, **more}, SYSTEMS, whole=True)
    assert [one.expression for one in found.issues] == ["nickname", "site.address"]
    assert model.from_impilo(FULL, SYSTEMS, whole=True).issues == ()
    unknown = model.from_impilo({**FULL, "sex": "X", "dateOfBirth": "soon"}, SYSTEMS, whole=True)
    assert [one.expression for one in unknown.issues] == ["dateOfBirth", "sex"]


def test_what_a_reading_holds_beyond_its_observation_is_named() -> None:
    reading = {"id": 1, "readingTimestamp": "2026-01-01T00:00:00Z", "weight": 70, "manual": True, "patient": {"id": 5}}
    assert left_out("weight", {**reading, "item": {}, "device": {"id": 3}, "site": {}}) == ()
    device = {"id": 3, "serialNumber": "S-3"}
    found = left_out("weight", {**reading, "readingTimestamp": "soon", "item": {"sku": "x"}, "device": device})
    assert [one.expression for one in found] == ["readingTimestamp", "item", "device.serialNumber"]


def test_half_a_name_says_nothing_beside_one_that_is_known_as_a_text() -> None:
    """Nobody knows which of its words it would replace, and the family name would be gone."""
    known = {"resourceType": "Patient", "name": [{"text": "Jo Sample"}]}
    found = model.from_impilo({"firstName": "Bob"}, SYSTEMS, whole=False, known=known)
    assert "name" not in found.patient and not found.coverage.covers("name[-]")
    assert [one.expression for one in found.issues] == ["firstName"]


@pytest.mark.parametrize(
    ("text", "name"), [("Jo Ann  Sample", {"family": "Sample", "given": ["Jo", "Ann"]}), ("Jo Doe", {"text": "Jo Doe"})]
)
def test_the_name_they_have_in_two_fields_told_in_one_is_no_edit(text: str, name: dict[str, Any]) -> None:
    known = {"resourceType": "Patient", "name": [{"family": "Sample", "given": ["Jo", "Ann"]}]}
    assert model.from_impilo({"name": text}, SYSTEMS, whole=False, known=known).patient["name"] == [name]


def test_half_a_name_is_completed_by_what_is_known() -> None:
    known = {"resourceType": "Patient", "name": [{"family": "Sample", "given": ["Jo"]}]}
    found = model.from_impilo({"lastName": "Other"}, SYSTEMS, whole=False, known=known)
    assert found.patient["name"] == [{"family": "Other", "given": ["Jo"]}]


def test_a_read_without_a_field_says_that_there_is_none() -> None:
    found = model.from_impilo({"id": 1, "firstName": "A", "lastName": "B"}, SYSTEMS, whole=True)
    assert {"telecom[phone]", "birthDate", "address", "gender"} <= (found.coverage.elements or set())
    assert not found.coverage.covers("active"), "no word of archived is not: in use"


@pytest.mark.parametrize("day", ["1980", "1980-02"])
def test_a_day_of_birth_is_never_made_up(day: str) -> None:
    assert "dateOfBirth" not in model.to_impilo({"resourceType": "Patient", "birthDate": day})


def test_more_than_three_lines_are_kept_in_three() -> None:
    lines = ["c/o Example", "Hall", "Stair B", "Door 4"]
    address = model.to_impilo({"resourceType": "Patient", "address": [{"line": lines}]})["address"]
    assert (address["lineOne"], address["lineTwo"], address["lineThree"]) == ("c/o Example", "Hall", "Stair B, Door 4")


def reading(kind: str, units: dict[str, str] | None = None, **values: Any) -> dict[str, Any]:
    body = {"id": 1, "readingTimestamp": "2026-03-04T08:30:00Z", "manual": True, "device": {"id": 3}, **values}
    found = to_observation(kind, body, patient="5", units=units or {})
    gate.require(found)
    return found


def test_a_weight_has_the_unit_that_the_operator_states_and_none_without() -> None:
    assert reading("weight", weight=Decimal("1.10"))["valueQuantity"] == {"value": Decimal("1.10")}
    told = reading("weight", {"weight": "[lb_av]"}, weight=160)["valueQuantity"]
    assert told == {"value": 160, "unit": "lb", "system": "http://unitsofmeasure.org", "code": "[lb_av]"}


def test_a_blood_pressure_is_one_panel() -> None:
    found = reading("bloodPressure", systolic=120, diastolic=80)
    assert found["code"]["coding"][0]["code"] == "85354-9" and "valueQuantity" not in found
    assert [one["valueQuantity"]["code"] for one in found["component"]] == ["mm[Hg]", "mm[Hg]"]


def test_glucose_in_moles_has_the_code_for_moles() -> None:
    assert reading("bloodGlucose", bloodGlucose=97)["code"]["coding"][0]["code"] == "2339-0"
    assert reading("bloodGlucose", {"bloodGlucose": "mmol/L"}, bloodGlucose=5)["code"]["coding"][0]["code"] == "15074-8"


@pytest.mark.parametrize("kind", KINDS)
def test_a_reading_without_its_number_is_refused(kind: str) -> None:
    with pytest.raises(InvalidInput, match="no number"):
        reading(kind)
    with pytest.raises(InvalidInput, match="no number"):
        reading(kind, **dict.fromkeys((*KINDS[kind].names, "systolic"), "high"))


def test_where_it_comes_from_is_kept() -> None:
    found = reading("temperature", temperature=37)
    assert found["extension"][0]["valueBoolean"] is True and found["device"]["identifier"]["value"] == "3"
    assert found["subject"] == {"reference": "Patient/5"} and found["effectiveDateTime"] == "2026-03-04T08:30:00Z"
    undated = to_observation("weight", {"weight": 70, "readingTimestamp": "readingTimestamp"}, patient="5", units={})
    assert "effectiveDateTime" not in undated, "what is no time is not replaced by another"


@pytest.mark.parametrize(
    ("given", "told", "named"),
    [
        ("2026-03-04T08:30:00.125-05:00", "2026-03-04T08:30:00.125-05:00", []),
        ("2026-03-04T08:30Z", "2026-03-04T08:30:00Z", []),
        ("2026-03-04 08:30:00", "2026-03-04", ["readingTimestamp"]),
        ("2026-03-04T08:30:00", "2026-03-04", ["readingTimestamp"]),
        ("2026-03-04", "2026-03-04", []),
        ("2026-02-30T08:30:00Z", None, ["readingTimestamp"]),
        (1772612600000, None, ["readingTimestamp"]),
        (None, None, []),
    ],
)
def test_a_time_is_told_as_far_as_it_is_sure(given: Any, told: str | None, named: list[str]) -> None:
    """FHIR R4 §2.24.0.1: a time of day has a zone. A reading without one keeps its date."""
    body = {"weight": 70, "readingTimestamp": given}
    observation = to_observation("weight", body, patient="5", units={})
    assert observation.get("effectiveDateTime") == told
    gate.require(observation)
    assert [one.expression for one in left_out("weight", body)] == named
