"""Metriport's patient model <-> FHIR Patient."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.fhir import gate
from gateway.translators.json import metriport as model
from gateway.translators.json.us_states import LICENSE_SYSTEMS, find_state

OURS = "https://gateway.example/fhir"
THEIRS = "https://metriport.example"
OUR_ID = "01a2144a-8ac0-7300-87ab-0caf900395c9"
CALIFORNIA = "urn:oid:2.16.840.1.113883.4.3.6"
HELD: dict[str, Any] = {
    "id": "0190-1",
    "eTag": "e-1",
    "externalId": OUR_ID,
    "firstName": "Josita, Ana",
    "lastName": "Juarez,Diaz",
    "dob": "1949-06-09",
    "genderAtBirth": "F",
    "personalIdentifiers": [
        {"type": "driversLicense", "state": "CA", "value": "D1"},
        {"type": "ssn", "value": "000-12-0077"},
    ],
    "address": [
        {
            "addressLine1": "1 Mill Lane",
            "addressLine2": "Flat 2",
            "city": "Alder",
            "state": "OH",
            "zip": "43999",
            "country": "USA",
        },
        {"addressLine1": "2 Quay", "city": "Alder", "state": "OH", "zip": "43999", "country": "USA"},
    ],
    "contact": [{"email": "j@mail.example"}, {"phone": "2025550123"}],
}


def test_their_patient_as_fhir() -> None:
    read = model.from_partner(HELD, ours=OURS, theirs=THEIRS)
    assert gate.check(read.patient) == []
    assert read.patient == {
        "resourceType": "Patient",
        "identifier": [
            {"system": CALIFORNIA, "value": "D1"},
            {"system": model.SSN, "value": "000-12-0077"},
            {"system": f"{OURS}/Patient", "value": OUR_ID},
        ],
        "name": [{"family": "Juarez Diaz", "given": ["Josita", "Ana"]}],
        "telecom": [{"system": "phone", "value": "2025550123"}, {"system": "email", "value": "j@mail.example"}],
        "gender": "female",
        "birthDate": "1949-06-09",
        "address": [
            {"line": ["1 Mill Lane", "Flat 2"], "city": "Alder", "state": "OH", "postalCode": "43999", "country": "USA"}
        ],
    }
    assert read.coverage.absence and read.coverage.covers("telecom[phone]") and not read.coverage.covers("photo")


@pytest.mark.parametrize(
    "body", [{}, {"firstName": 7, "address": "x", "contact": {}, "dob": "soon", "genderAtBirth": "X"}]
)
def test_what_is_no_patient_says_nothing(body: dict[str, Any]) -> None:
    assert model.from_partner(body, ours=OURS, theirs=THEIRS).patient == {"resourceType": "Patient"}


@pytest.mark.parametrize("dob", ["1949-06", "1949-06-09T00:00:00.000Z", "06/09/1949", "1949-02-30", 1949, [], {}])
def test_a_birth_date_that_cannot_be_read_says_nothing(dob: Any) -> None:
    """Least of all that there is none: what is known here would be taken away."""
    read = model.from_partner({**HELD, "dob": dob}, ours=OURS, theirs=THEIRS)
    assert "birthDate" not in read.patient and not read.coverage.covers("birthDate")
    assert read.coverage.covers("gender")


@pytest.mark.parametrize("sex", ["X", "female", 7, [], {}, [{}]])
def test_a_sex_that_cannot_be_read_says_nothing(sex: Any) -> None:
    read = model.from_partner({**HELD, "genderAtBirth": sex}, ours=OURS, theirs=THEIRS)
    assert "gender" not in read.patient and not read.coverage.covers("gender")
    assert read.coverage.covers("birthDate")


@pytest.mark.parametrize(
    ("field", "value", "slot"),
    [
        ("firstName", 7, "name"),
        ("lastName", ["Juarez"], "name"),
        ("address", "1 Mill Lane", "address"),
        ("contact", 2025550123, "telecom[phone]"),
        ("personalIdentifiers", "D1", f"identifier[{model.SSN}]"),
        ("externalId", 7, f"identifier[{OURS}/Patient]"),
    ],
)
def test_what_is_of_another_kind_than_theirs_takes_nothing_away(field: str, value: Any, slot: str) -> None:
    read = model.from_partner({**HELD, field: value}, ours=OURS, theirs=THEIRS)
    assert gate.check(read.patient) == [] and not read.coverage.covers(slot)
    assert [one.expression for one in read.issues if one.severity == "warning"] == [field]
    assert not any(str(value) in one.diagnostics for one in read.issues)
    assert read.coverage.covers("birthDate") and read.coverage.covers("gender")


def test_what_has_no_place_is_named_and_nothing_else() -> None:
    def named(**more: Any) -> list[str | None]:
        return [one.expression for one in model.from_partner({**HELD, **more}, ours=OURS, theirs=THEIRS).issues]

    assert named() == ["address[1]"], "of what they hold the second address alone"
    contact = [{"phone": "2025550123"}, {"phone": "2025550124", "email": "j@mail.example"}]
    assert named(contact=contact) == ["address[1]", "contact[1].phone"]
    more = {"additionalIds": {"canvas": ["c-1"]}, "facilityIds": ["f-1"], "dateCreated": "2026-01-01", "note": ""}
    assert named(**more) == ["additionalIds", "facilityIds", "address[1]"]
    assert named(personalIdentifiers=[{"type": "passport", "value": "P1"}]) == ["personalIdentifiers[0]", "address[1]"]
    assert named(**{"Ada Juarez": "x"}) == ["(a field)", "address[1]"], "a name in the place of a field is not repeated"


@pytest.mark.parametrize("name", ["dob", "genderAtBirth"])
def test_what_a_whole_patient_lacks_there_is_none_of(name: str) -> None:
    for body in ({key: value for key, value in HELD.items() if key != name}, {**HELD, name: None}):
        read = model.from_partner(body, ours=OURS, theirs=THEIRS)
        assert read.coverage.covers("birthDate") and read.coverage.covers("gender")


def test_an_external_id_of_somebody_else_is_theirs() -> None:
    read = model.from_partner({"externalId": "chart-7"}, ours=OURS, theirs=THEIRS)
    assert read.patient["identifier"] == [{"system": f"{THEIRS}/external-id", "value": "chart-7"}]
    assert read.coverage.covers(f"identifier[{THEIRS}/external-id]")


def test_there_and_back_is_the_same() -> None:
    patient = model.from_partner(HELD, ours=OURS, theirs=THEIRS).patient
    written = model.to_partner(patient, our_id=OUR_ID)
    assert written.missing == ()
    assert model.from_partner(written.body, ours=OURS, theirs=THEIRS).patient == patient


def test_a_full_replace_keeps_what_is_beyond_the_first() -> None:
    written = model.to_partner(model.from_partner(HELD, ours=OURS, theirs=THEIRS).patient, our_id=OUR_ID)
    beyond = {"phone": "2025550124", "email": "k@mail.example"}
    merged = model.merge({**HELD, "contact": [*HELD["contact"], beyond]}, written.body)
    assert merged["address"][1] == HELD["address"][1]
    assert merged["contact"] == [{"phone": "2025550123", "email": "j@mail.example"}, beyond], "none twice, none lost"


def test_a_full_replace_keeps_the_identifiers_that_cannot_be_read() -> None:
    odd = [{"type": "passport", "value": "P1"}, {"type": "driversLicense", "state": "ZZ", "value": "D2"}]
    known = HELD["personalIdentifiers"]
    held = {**HELD, "personalIdentifiers": [odd[0], *known, odd[1]]}
    assert model.merge(held, {"personalIdentifiers": known})["personalIdentifiers"] == [*known, *odd]
    assert model.merge(held, {})["personalIdentifiers"] == odd
    assert "personalIdentifiers" not in model.merge(HELD, {})


def test_what_is_in_step_is_taken_away_wherever_it_stands() -> None:
    """The first phone and the first mail are read from any contact: one that is no longer known here ends there too."""
    held = {"contact": [{"phone": "2025550180"}, {"email": "old@x.example"}, {"phone": "2025550181"}]}
    read = model.from_partner(held, ours=OURS, theirs=THEIRS).patient
    assert [one["value"] for one in read["telecom"]] == ["2025550180", "old@x.example"]
    merged = model.merge(held, {"contact": [{"phone": "2025550199"}]})
    assert merged == {"contact": [{"phone": "2025550199"}, {"phone": "2025550181"}]}
    kept = {"contact": [{"phone": "2025550199", "email": "new@x.example"}]}
    assert model.merge(held, kept)["contact"] == [*kept["contact"], *held["contact"][1:]], "theirs beyond stay"
    assert model.merge({"contact": [{"email": "old@x.example"}]}, {}) == {}


def test_nulls_are_not_sent_back() -> None:
    """They answer null where there is nothing; in a request that is not the same as leaving it out."""
    second = {"addressLine1": "2 Way", "addressLine2": None, "city": "Alder", "state": "OH", "zip": "43999"}
    held = {
        "firstName": "Ada",
        "externalId": None,
        "personalIdentifiers": None,
        "address": [{"addressLine1": "1 Way", "addressLine2": None}, second],
        "contact": [{"phone": "2025550180", "email": None}, {"phone": None, "email": None}, None],
    }
    told = {name: value for name, value in second.items() if value is not None}
    first = {"addressLine1": "1 Way"}
    assert model.of_theirs(held) == {
        "firstName": "Ada",
        "address": [first, told],
        "contact": [{"phone": "2025550180"}],
    }
    assert model.merge(held, {"address": [first]}) == {"address": [first, told]}


BORN = {"url": model.BIRTH_SEX, "valueCode": "F"}


@pytest.mark.parametrize(
    ("patient", "sex"),
    [
        ({"gender": "male", "extension": [BORN]}, "F"),
        ({"gender": "other"}, "O"),
        ({"gender": "unknown"}, "U"),
        ({}, "U"),
        ({"extension": [{**BORN, "valueCode": "UNK"}]}, "U"),
    ],
)
def test_the_sex_at_birth_is_what_is_known_of_it(patient: dict[str, Any], sex: str) -> None:
    assert model.to_partner({"resourceType": "Patient", **patient}, our_id="1").body["genderAtBirth"] == sex


@pytest.mark.parametrize(
    ("birth_date", "address", "missing"),
    [
        (
            "1980-02",
            {"line": ["1"], "city": "A", "state": "OH", "postalCode": "43999"},
            ["Patient.birthDate (a whole day)"],
        ),
        (
            "1980-02-30",
            {"line": ["1"], "city": "A", "state": "OH", "postalCode": "43999"},
            ["Patient.birthDate (a whole day)"],
        ),
        ("1980-02-22", {"city": "A", "state": "OH"}, ["Patient.address.line", "Patient.address.postalCode (5 digits)"]),
        (
            "1980-02-22",
            {"line": ["1"], "city": "A", "state": "Bavaria", "postalCode": "80331"},
            ["Patient.address.state (of the USA)"],
        ),
        (
            "1980-02-22",
            {"line": ["1"], "city": "A", "state": "OH", "postalCode": "43999", "country": "DE"},
            ["Patient.address.country (USA)"],
        ),
    ],
)
def test_what_is_missing_is_named_and_never_invented(
    birth_date: str, address: dict[str, Any], missing: list[str]
) -> None:
    name = [{"family": "Quill", "given": ["Ada"]}]
    patient = {"resourceType": "Patient", "name": name, "birthDate": birth_date, "address": [address]}
    assert list(model.to_partner(patient, our_id="1").missing) == missing


@pytest.mark.parametrize(
    ("value", "sent"),
    [("+1 (202) 555-0142", "2025550142"), ("202.555.0142", "2025550142"), ("+49 89 123456", None), ("call me", None)],
)
def test_a_phone_has_ten_digits_there(value: str, sent: str | None) -> None:
    patient = {"resourceType": "Patient", "telecom": [{"system": "phone", "value": value}]}
    contact = model.to_partner(patient, our_id="1").body.get("contact")
    assert contact == ([{"phone": sent}] if sent else None)


def test_the_states_of_the_usa() -> None:
    assert len(LICENSE_SYSTEMS) == 56 and LICENSE_SYSTEMS["CA"] == CALIFORNIA
    assert [find_state(text) for text in ("oh", " Ohio ", "District of Columbia", "", "Bavaria")] == [
        "OH",
        "OH",
        "DC",
        None,
        None,
    ]
