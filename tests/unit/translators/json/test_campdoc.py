"""CampDoc's objects <-> FHIR (DocNetwork API v2): nothing invented, nothing lost."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import PartnerRejected
from gateway.fhir import gate
from gateway.translators.json.campdoc import (
    Systems,
    from_answer,
    from_group,
    from_profile,
    from_registration,
    from_review,
    from_user,
    left_out_of_review,
    to_instant,
    to_profile,
)

SYSTEMS = Systems("77", "https://gateway.example/fhir")
OWN = "https://app.campdoc.com/organizations/77/profile-identifier"
OURS = "https://gateway.example/fhir/Patient"
OUR_ID = "01990000-0000-7000-8000-00000000000a"
NORA: dict[str, Any] = {
    "id": 10813,
    "givenName": "Nora",
    "middleName": "Jo Bell",
    "familyName": "Winterfeld",
    "dob": "2014-03-09",
    "sex": "Female",
    "phase": "future",
    "identifier": "camp-7",
    "completeness": 61,
}
REGISTRATION: dict[str, Any] = {
    "id": 9,
    "profileID": 10813,
    "groupID": 502,
    "type": "patient",
    "waitlisted": False,
    "groupName": "Otters",
    "groupIdentifier": "otters-1",
    "created": "2026-01-02 03:04:05.678",
    "updated": "2026-01-03 00:00:00.000",
    "deactivated": None,
}


def patient(**more: Any) -> dict[str, Any]:
    name = {"family": "Winterfeld", "given": ["Nora", "Jo", "Bell"]}
    return {"resourceType": "Patient", "name": [name], "birthDate": "2014-03-09", "gender": "female", **more}


def test_a_profile_is_a_patient() -> None:
    made = from_profile(NORA, SYSTEMS)
    gate.require(made.patient)
    assert made.patient == patient(identifier=[{"system": OWN, "value": "camp-7"}])
    slots = {"name", "birthDate", "gender", "active", f"identifier[{OWN}]", f"identifier[{OURS}]"}
    assert made.coverage.elements == slots


def test_an_identifier_in_the_form_of_our_ids_is_ours_as_well() -> None:
    made = from_profile({**NORA, "identifier": OUR_ID}, SYSTEMS).patient
    assert made["identifier"] == [{"system": OWN, "value": OUR_ID}, {"system": OURS, "value": OUR_ID}]
    other = "7b0c2f1e-3c55-4d8e-9a52-0d7f6a1c9b11"
    assert len(from_profile({**NORA, "identifier": other}, SYSTEMS).patient["identifier"]) == 1, "not of our making"


@pytest.mark.parametrize("sex", [None, "male", "X", 5, ["Male"], {}])
def test_a_sex_that_is_none_of_theirs_says_nothing(sex: Any) -> None:
    made = from_profile({**NORA, "sex": sex}, SYSTEMS)
    assert "gender" not in made.patient
    assert made.coverage.elements is not None and "gender" not in made.coverage.elements


@pytest.mark.parametrize("field", ["givenName", "middleName", "familyName", "dob", "identifier", "sex"])
@pytest.mark.parametrize("value", [7, ["x"], {}])
def test_what_is_of_another_kind_than_theirs_takes_nothing_away(field: str, value: Any) -> None:
    made = from_profile({**NORA, field: value}, SYSTEMS)
    gate.require(made.patient)
    slot = {"dob": "birthDate", "identifier": f"identifier[{OWN}]", "sex": "gender"}.get(field, "name")
    assert not made.coverage.covers(slot)
    assert [one.expression for one in made.issues] == [field, "phase", "completeness"]


def test_what_has_no_place_is_named() -> None:
    assert [one.expression for one in from_profile(NORA, SYSTEMS).issues] == ["phase", "completeness"]
    bare = {name: value for name, value in NORA.items() if name not in ("phase", "completeness")}
    assert from_profile({**bare, "deactivated": None}, SYSTEMS).issues == ()
    review = {"label": "Medical", "status": "Yes", "timestamp": None, "provider": {"name": "Jo"}, "sticky": None}
    assert left_out_of_review(review) == ()
    more = left_out_of_review({**review, "sticky": False, "provider": {"name": "Jo", "email": "jo@camp.example"}})
    assert [one.expression for one in more] == ["sticky", "provider.email"]


@pytest.mark.parametrize("field", ["givenName", "familyName", "dob", "identifier"])
def test_a_key_that_is_absent_says_nothing(field: str) -> None:
    made = from_profile({name: value for name, value in NORA.items() if name != field}, SYSTEMS)
    slot = {"dob": "birthDate", "identifier": f"identifier[{OWN}]"}.get(field, "name")
    assert made.coverage.elements is not None and slot not in made.coverage.elements


def test_null_says_there_is_none() -> None:
    made = from_profile({**NORA, "dob": None, "middleName": None, "identifier": None}, SYSTEMS)
    assert made.coverage.elements is not None and "birthDate" in made.coverage.elements
    assert "birthDate" not in made.patient and made.patient["name"][0]["given"] == ["Nora"]


@pytest.mark.parametrize("dob", ["2014", "09/03/2014", 20140309, "2014-3-9", "2014-02-30"])
def test_a_date_in_another_form_is_left_open(dob: Any) -> None:
    made = from_profile({**NORA, "dob": dob}, SYSTEMS)
    assert "birthDate" not in made.patient
    assert made.coverage.elements is not None and "birthDate" not in made.coverage.elements


def test_a_deactivated_profile_is_not_active() -> None:
    assert from_profile({**NORA, "deactivated": "2026-01-01 00:00:00.000"}, SYSTEMS).patient["active"] is False


def test_a_patient_is_a_profile_and_comes_back_the_same() -> None:
    profile = to_profile(patient())
    assert profile == {
        "givenName": "Nora",
        "middleName": "Jo Bell",
        "familyName": "Winterfeld",
        "sex": "Female",
        "dob": "2014-03-09",
    }
    assert from_profile(profile, SYSTEMS).patient == patient()


def test_of_several_names_the_official_one_is_shown() -> None:
    names = [{"use": "nickname", "given": ["No"]}, {"use": "official", "family": "Wint", "given": ["Nora"]}]
    assert to_profile(patient(name=names))["familyName"] == "Wint"


@pytest.mark.parametrize("name", [[], [{"family": "Wint"}], [{"given": ["Nora"]}], [{"family": "W", "given": [None]}]])
def test_who_lacks_half_a_name_cannot_be_sent(name: list[Any]) -> None:
    with pytest.raises(PartnerRejected):
        to_profile(patient(name=name))


@pytest.mark.parametrize("gender", ["other", "unknown"])
def test_a_gender_without_a_word_there_is_null_there_and_kept_here(gender: str) -> None:
    sent = patient(gender=gender)
    profile = to_profile(sent)
    assert profile["sex"] is None
    shown = from_answer({**NORA, **profile}, sent, SYSTEMS)
    assert shown.patient["gender"] == gender
    assert shown.coverage.elements is not None and "gender" in shown.coverage.elements


def test_an_answer_of_null_to_no_gender_is_none() -> None:
    sent = patient()
    del sent["gender"]
    shown = from_answer({**NORA, "sex": None}, sent, SYSTEMS)
    assert "gender" not in shown.patient
    assert shown.coverage.elements is not None and "gender" in shown.coverage.elements


def test_a_day_that_nobody_knows_is_left_out_and_none_is_null() -> None:
    assert "dob" not in to_profile(patient(birthDate="2014-03"))
    sent = patient()
    del sent["birthDate"]
    assert to_profile(sent)["dob"] is None


def test_only_who_is_active_again_is_taken_back() -> None:
    assert to_profile(patient(active=True))["deactivated"] is None
    assert "deactivated" not in to_profile(patient(active=False)) and "deactivated" not in to_profile(patient())


def test_a_group_is_an_organization() -> None:
    group = {"id": 502, "name": "Otters", "parentID": 501, "parents": [1, 501, 502], "groupIdentifier": "otters-1"}
    made = from_group(group, SYSTEMS)
    gate.require(made)
    assert made["partOf"] == {"reference": "Organization/501"}
    assert [one["value"] for one in made["identifier"]] == ["502", "otters-1"]
    root = from_group({"id": 1, "name": None, "parentID": None, "groupIdentifier": None}, SYSTEMS)
    gate.require(root)
    assert root.keys() == {"resourceType", "identifier"}


@pytest.mark.parametrize(
    ("change", "status", "end"),
    [
        ({}, "active", None),
        ({"waitlisted": True}, "waitlist", None),
        ({"deactivated": "2026-02-01 10:00:00.000"}, "cancelled", "2026-02-01T10:00:00.000Z"),
    ],
)
def test_a_registration_is_an_episode_of_care(change: dict[str, Any], status: str, end: str | None) -> None:
    made = from_registration({**REGISTRATION, **change}, SYSTEMS)
    gate.require(made)
    assert (made["status"], made["patient"]) == (status, {"reference": "Patient/10813"})
    assert made["managingOrganization"] == {"reference": "Organization/502"}
    assert made["period"] == {"start": "2026-01-02T03:04:05.678Z"} | ({"end": end} if end else {})
    assert made["type"] == [{"text": "Otters"}]


def test_a_providers_registration_is_a_role() -> None:
    made = from_registration({**REGISTRATION, "type": "provider"}, SYSTEMS)
    gate.require(made)
    assert made["resourceType"] == "PractitionerRole" and made["active"] is True
    assert made["practitioner"]["identifier"]["value"] == "10813"


def test_a_user_is_a_related_person() -> None:
    made = from_user({"email": "mona@example.org", "givenName": "Mona", "familyName": "Rask"}, "7")
    gate.require(made)
    assert made["name"] == [{"family": "Rask", "given": ["Mona"]}]
    gate.require(from_user({"email": None}, "7"))


@pytest.mark.parametrize("provider", [None, {}, {"name": None}, "Jo", {"name": "Jo Reed"}])
@pytest.mark.parametrize("timestamp", [None, "soon", "2014-07-15T13:55:33.941Z"])
def test_a_review_is_an_observation(provider: Any, timestamp: Any) -> None:
    made = from_review({"label": "Medical", "status": "No", "timestamp": timestamp, "provider": provider}, "7")
    gate.require(made)
    assert made["code"] == {"text": "Health form review: Medical"} and made["valueString"] == "No"
    assert ("effectiveDateTime" in made) == (timestamp is not None and timestamp != "soon")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2018-01-01 17:30:17.829", "2018-01-01T17:30:17.829Z"),
        ("2017-12-01T13:23:57.57", "2017-12-01T13:23:57.57Z"),
        ("2018-09-14T20:08:25.345Z", "2018-09-14T20:08:25.345Z"),
        ("2018-09-14T20:08:25+02:00", "2018-09-14T20:08:25+02:00"),
        ("2018-01-01", None),
        ("2018-13-01 17:30:17", None),
        ("soon", None),
        (None, None),
        (5, None),
    ],
)
def test_times_without_a_zone_are_utc(text: Any, instant: str | None) -> None:
    assert to_instant(text) == instant


@pytest.mark.parametrize("at", [True, "2026-02-03", "last week"])
@pytest.mark.parametrize("waitlisted", [True, False])
def test_who_is_deactivated_is_not_active_whenever_that_was(at: Any, waitlisted: bool) -> None:
    made = from_registration({**REGISTRATION, "deactivated": at, "waitlisted": waitlisted}, SYSTEMS)
    gate.require(made)
    assert made["status"] == "cancelled" and made["period"] == {"start": "2026-01-02T03:04:05.678Z"}


@pytest.mark.parametrize("kind", ["patient", "provider"])
def test_a_registration_in_no_group_names_none(kind: str) -> None:
    """One odd row of a list costs none of the others."""
    without = {name: value for name, value in REGISTRATION.items() if name != "groupID"}
    for row in (without, {**without, "groupID": None}):
        made = from_registration({**row, "type": kind}, SYSTEMS)
        gate.require(made)
        assert not {"managingOrganization", "organization"} & made.keys()
