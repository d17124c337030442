"""The seed request and the partner's model as FHIR, by what they mean clinically."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import NotConformant
from gateway.translators.json.canvas import BIRTH_SEX, from_partner, from_seed, to_date, to_partner

OURS = "https://gateway.example/fhir"
SEED = {
    "firstName": "Alice",
    "lastName": "Example",
    "sexAtBirth": "F",
    "dateOfBirth": "1980-02-22",
    "partnerId": "pat_12345678",
}


def seed(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in (SEED | changes).items() if value is not ...}


@pytest.mark.parametrize("field", ["firstName", "lastName", "dateOfBirth", "externalId"])
def test_what_a_partner_shows_in_another_kind_than_theirs_takes_nothing_away(field: str) -> None:
    body = {"id": "pat_1", "externalId": "p", "firstName": "Ann", "lastName": "Bell", "dateOfBirth": "1990-01-01"}
    read = from_partner({**body, field: 7}, ours=OURS)
    slots = {"dateOfBirth": "birthDate", "externalId": f"identifier[{OURS}/Patient]"}
    assert not read.coverage.covers(slots.get(field, "name"))


def test_the_seed_request_is_a_patient() -> None:
    read = from_seed(SEED)
    assert read.patient == {
        "resourceType": "Patient",
        "extension": [{"url": BIRTH_SEX, "valueCode": "F"}],
        "name": [{"family": "Example", "given": ["Alice"]}],
        "gender": "female",
        "birthDate": "1980-02-22",
    }
    assert read.partner_id == "pat_12345678"
    assert read.issues == ()
    assert all(read.coverage.covers(slot) for slot in ("name[-]", "gender", "birthDate", f"extension[{BIRTH_SEX}]"))
    assert not read.coverage.covers("telecom[phone]")


@pytest.mark.parametrize(
    ("said", "code", "gender"),
    [
        ("F", "F", "female"),
        ("female", "F", "female"),
        (" Male ", "M", "male"),
        ("m", "M", "male"),
        ("other", "OTH", "other"),
        ("O", "OTH", "other"),
        ("U", "UNK", "unknown"),
        ("Unknown", "UNK", "unknown"),
    ],
)
def test_sex_at_birth(said: str, code: str, gender: str) -> None:
    patient = from_seed(seed(sexAtBirth=said)).patient
    assert patient["extension"] == [{"url": BIRTH_SEX, "valueCode": code}]
    assert patient["gender"] == gender


@pytest.mark.parametrize("said", ["", None, ...])
def test_no_sex_at_birth_says_nothing(said: Any) -> None:
    read = from_seed(seed(sexAtBirth=said))
    assert "gender" not in read.patient and "extension" not in read.patient
    assert not read.coverage.covers("gender")
    assert read.issues == ()


@pytest.mark.parametrize("said", ["X", "woman", 7, ["F"]])
def test_an_unknown_sex_at_birth_is_left_out_with_an_issue(said: Any) -> None:
    read = from_seed(seed(sexAtBirth=said))
    assert "gender" not in read.patient
    assert [issue.expression for issue in read.issues] == ["sexAtBirth"]


@pytest.mark.parametrize("field", ["firstName", "lastName", "partnerId"])
@pytest.mark.parametrize("value", [..., None, "", "   ", 5, ["Alice"], {"a": 1}])
def test_a_required_field_that_is_no_text_is_named(field: str, value: Any) -> None:
    with pytest.raises(NotConformant) as refused:
        from_seed(seed(**{field: value}))
    assert refused.value.status == 422
    assert refused.value.expression == field


@pytest.mark.parametrize("partner_id", [".", ".."])
def test_a_partner_id_that_would_change_an_address_is_refused(partner_id: str) -> None:
    with pytest.raises(NotConformant, match="partnerId"):
        from_seed(seed(partnerId=partner_id))


@pytest.mark.parametrize("body", [None, [], "text", 3, [SEED]])
def test_a_seed_that_is_no_object_is_refused(body: Any) -> None:
    with pytest.raises(NotConformant):
        from_seed(body)


@pytest.mark.parametrize(
    "value", ["yesterday", "1980-13-01", "1980-02-30", "22/02/1980", "19800230", 19800222, True, "80"]
)
def test_what_is_no_date_is_refused(value: Any) -> None:
    with pytest.raises(NotConformant) as refused:
        from_seed(seed(dateOfBirth=value))
    assert refused.value.expression == "dateOfBirth"
    assert "30" not in refused.value.message, "a message never holds payload"


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("1980-02-22", "1980-02-22"),
        ("1980-2-5", "1980-02-05"),
        ("19800222", "1980-02-22"),
        ("1980/02/22", "1980-02-22"),
        ("1980.02.22", "1980-02-22"),
        ("1980-02-22T10:30:00Z", "1980-02-22"),
        ("1980-02-22 10:30", "1980-02-22"),
        ("1980-02", "1980-02"),
        ("1980", "1980"),
        ("2000-02-29", "2000-02-29"),
        ("1900-02-29", None),
        ("1980-02/22", None),
        ("", None),
    ],
)
def test_dates_keep_their_precision(said: str, read: str | None) -> None:
    assert to_date(said) == read


def test_no_birth_date_says_nothing() -> None:
    for value in (None, "", ...):
        read = from_seed(seed(dateOfBirth=value))
        assert "birthDate" not in read.patient
        assert not read.coverage.covers("birthDate")


def test_several_first_names_are_several_given_names() -> None:
    assert from_seed(seed(firstName=" Mary  Ann ")).patient["name"][0]["given"] == ["Mary", "Ann"]


def test_the_partners_model_is_a_patient() -> None:
    read = from_partner(
        {"id": "pat_1", "externalId": "our-1", "firstName": "Ann", "lastName": "Bell", "dateOfBirth": "1990-01-02"},
        ours=OURS,
    )
    assert read.patient["name"] == [{"family": "Bell", "given": ["Ann"]}]
    assert read.patient["birthDate"] == "1990-01-02"
    assert read.patient["identifier"] == [{"system": f"{OURS}/Patient", "value": "our-1"}]
    assert read.coverage.absence
    assert not read.coverage.covers("gender")


def test_a_key_that_is_absent_is_not_covered_but_null_is() -> None:
    read = from_partner({"id": "pat_1", "dateOfBirth": None}, ours=OURS)
    assert read.coverage.covers("birthDate") and "birthDate" not in read.patient
    assert not read.coverage.covers("name[-]")


def test_half_a_name_is_completed_from_what_they_show() -> None:
    known = {"name": [{"family": "Bell", "given": ["Ann", "Mae"]}]}
    read = from_partner({"lastName": "Cole"}, ours=OURS, known=known)
    assert read.patient["name"] == [{"family": "Cole", "given": ["Ann", "Mae"]}]
    read = from_partner({"firstName": "Beth"}, ours=OURS, known=known)
    assert read.patient["name"] == [{"family": "Bell", "given": ["Beth"]}]


def test_half_a_name_without_the_other_half_erases_nothing() -> None:
    read = from_partner({"lastName": "Cole"}, ours=OURS)
    assert not read.coverage.covers("name[-]")
    assert "name" not in read.patient


def test_a_birth_date_that_cannot_be_read_is_not_taken_as_none() -> None:
    assert not from_partner({"dateOfBirth": "last spring"}, ours=OURS).coverage.covers("birthDate")


def test_sex_at_birth_is_read_where_they_show_it() -> None:
    assert from_partner({"sexAtBirth": "m"}, ours=OURS).patient["gender"] == "male"


def test_our_id_is_in_every_body() -> None:
    for update in (False, True):
        assert to_partner({"resourceType": "Patient"}, our_id="our-1", update=update)["externalId"] == "our-1"


def test_a_create_leaves_out_what_there_is_none_of_and_an_update_says_so() -> None:
    patient = {"resourceType": "Patient", "name": [{"family": "Bell"}]}
    assert to_partner(patient, our_id="o", update=False) == {"externalId": "o", "lastName": "Bell"}
    assert to_partner(patient, our_id="o", update=True) == {
        "externalId": "o",
        "firstName": None,
        "lastName": "Bell",
        "dateOfBirth": None,
    }


def test_of_several_names_the_official_one_is_sent() -> None:
    names = [
        {"use": "nickname", "given": ["Al"]},
        {"use": "usual", "family": "Usual", "given": ["U"]},
        {"use": "official", "family": "Example", "given": ["Alice", "Marie"]},
    ]
    sent = to_partner({"name": names}, our_id="o", update=False)
    assert (sent["firstName"], sent["lastName"]) == ("Alice Marie", "Example")
    assert to_partner({"name": names[:2]}, our_id="o", update=False)["lastName"] == "Usual"


@pytest.mark.parametrize("partial", ["1980", "1980-02"])
def test_a_day_is_never_invented(partial: str) -> None:
    assert "dateOfBirth" not in to_partner({"birthDate": partial}, our_id="o", update=True)


words = st.text(st.characters(categories=["Lu", "Ll"]), min_size=1, max_size=8)


@given(given=st.lists(words, min_size=1, max_size=3), family=words, day=st.dates())
def test_what_is_sent_and_shown_again_is_the_same_patient(given: list[str], family: str, day: Any) -> None:
    patient = {"resourceType": "Patient", "name": [{"family": family, "given": given}], "birthDate": day.isoformat()}
    model = to_partner(patient, our_id="o", update=True)
    read = from_partner(model, ours=OURS).patient
    assert (read["name"], read["birthDate"]) == (patient["name"], patient["birthDate"])


odd_values = (
    st.sampled_from([None, "", " ", "x", "..", "2001-01-01", 0, -1, True, [], ["x"], {}, {"a": None}]) | st.text()
)
keys = st.sampled_from(["firstName", "lastName", "dateOfBirth", "sexAtBirth", "externalId", "id"])


@given(st.dictionaries(keys, odd_values))
def test_reading_a_partners_answer_never_fails(body: dict[str, Any]) -> None:
    patient = from_partner(body, ours=OURS).patient
    assert all(patient.values()), "no empty element"
