"""Canvas' Patient <-> ours: facts come over, what Canvas shows by itself does not, and nothing of theirs is lost."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from gateway.connectors import canvas_fhir
from gateway.errors import NotConformant
from gateway.fhir import gate
from gateway.fhir.form import echoes
from gateway.fhir.json import Resource
from gateway.translators.json import canvas_fhir as model
from gateway.translators.json.canvas import BIRTH_SEX
from gateway.translators.json.canvas_entries import OWN, displays
from gateway.translators.json.canvas_fhir import CARRIED, IDENTITY, MRN, Systems
from gateway.translators.json.usps import find_state

OURS = "https://gateway.example/fhir/Patient"
SAME = Systems(OURS, OURS)
OTHER = Systems(OURS, "https://partner.example")
OUR_ID = "01a21436-6fbd-74f7-bc6f-c31f2cd8eb7e"
CONSENT = f"{OWN}has-consent"
PHARMACY = {"url": f"{OWN}preferred-pharmacy", "extension": [{"url": "ncpdp-id", "valueIdentifier": {"value": "1"}}]}
ALWAYS = {"start": "0001-01-01T00:00:00+00:00", "end": "9999-12-31T23:59:59.999999+00:00"}


def sex(code: str) -> Resource:
    return {"url": BIRTH_SEX, "valueCode": code}


THEIRS: Resource = {
    "resourceType": "Patient",
    "id": "7162fd82487e4dc8aa2581ddbca91892",
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
    "extension": [sex("F"), PHARMACY, {"url": f"{OWN}clinical-note", "valueString": "Likes tea"}],
    "identifier": [
        {"use": "usual", "type": {"text": "MRN"}, "system": MRN, "value": "963277285"},
        {
            "id": "i-1",
            "use": "usual",
            "system": "HealthCo",
            "value": "s1",
            "period": {"start": "1970-01-01", "end": "2100-12-31"},
        },
    ],
    "active": True,
    "name": [
        {"use": "official", "family": "Jones", "given": ["Samantha", "Ann"], "period": ALWAYS},
        {"use": "nickname", "given": ["Sammy"], "period": ALWAYS},
        {"use": "maiden", "family": "Miller", "period": ALWAYS},
    ],
    "telecom": [
        {
            "id": "t-1",
            "extension": [{"url": CONSENT, "valueBoolean": False}],
            "system": "phone",
            "value": "5554320555",
            "use": "mobile",
            "rank": 1,
        },
        {
            "id": "t-2",
            "extension": [{"url": CONSENT, "valueBoolean": True}],
            "system": "email",
            "value": "s@example.com",
            "use": "work",
        },
    ],
    "gender": "female",
    "birthDate": "1980-11-13",
    "deceasedBoolean": False,
    "address": [
        {"id": "a-1", "use": "home", "type": "both", "line": ["12 Oak St."], "city": "Larkfield", "state": "CA"}
    ],
    "photo": [{"url": "https://canvas.example/photo"}],
    "contact": [
        {
            "id": "c-1",
            "extension": [{"url": f"{OWN}emergency-contact", "valueBoolean": False}],
            "name": {"text": "Dan Jones"},
            "telecom": [{"system": "phone", "value": "5551234567"}],
        }
    ],
    "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en", "display": "English"}]}}],
}


def theirs(**more: Any) -> Resource:
    return {name: value for name, value in {**deepcopy(THEIRS), **more}.items() if value is not None}


def ours(**more: Any) -> Resource:
    return {
        name: value
        for name, value in {**model.from_canvas(theirs(), SAME).patient, **more}.items()
        if value is not None
    }


def ids(element: str, payload: Resource) -> list[str | None]:
    return [one.get("id") for one in payload.get(element, [])]


# Theirs -> ours.


def test_what_is_about_the_patient_comes_over_and_is_valid() -> None:
    patient = model.from_canvas(theirs(), SAME).patient
    assert gate.check(patient) == []
    assert patient["identifier"] == [
        {"use": "usual", "type": {"text": "MRN"}, "system": MRN, "value": "963277285"},
        {"use": "usual", "system": "HealthCo", "value": "s1"},
    ]
    assert patient["name"] == [
        {"use": "official", "family": "Jones", "given": ["Samantha", "Ann"]},
        {"use": "nickname", "given": ["Sammy"]},
    ]
    assert patient["telecom"][0] == {"system": "phone", "value": "5554320555", "use": "mobile", "rank": 1}
    assert patient["telecom"][1]["extension"] == [{"url": CONSENT, "valueBoolean": True}], "consent is a fact"
    assert patient["extension"] == [sex("F"), {"url": f"{OWN}clinical-note", "valueString": "Likes tea"}]
    assert not {"text", "photo", "deceasedBoolean", "id"} & patient.keys()
    assert patient["contact"] == [
        {"name": {"text": "Dan Jones"}, "telecom": [{"system": "phone", "value": "5551234567"}]}
    ]


@pytest.mark.parametrize(
    ("shown", "kept"),
    [
        ({"gender": "unknown"}, "gender"),
        ({"birthDate": "0001-01-01"}, "birthDate"),
        ({"extension": [sex("UNK")]}, "extension"),
        ({"deceasedBoolean": False}, "deceasedBoolean"),
    ],
)
def test_what_only_says_that_nothing_is_known_says_nothing(shown: Resource, kept: str) -> None:
    assert kept not in model.from_canvas(theirs(**shown), SAME).patient


def test_a_death_is_a_fact() -> None:
    assert model.from_canvas(theirs(deceasedBoolean=True), SAME).patient["deceasedBoolean"] is True
    dated = model.from_canvas(theirs(deceasedBoolean=None, deceasedDateTime="2020-01-02"), SAME)
    assert dated.patient["deceasedDateTime"] == "2020-01-02" and dated.coverage.covers("deceased[x]")


def test_a_gender_identity_hides_the_gender() -> None:
    identity = {"url": IDENTITY, "valueCodeableConcept": {"coding": [{"system": "urn:x", "code": "1"}]}}
    told = model.from_canvas(theirs(extension=[sex("M"), identity], gender="female"), SAME)
    assert "gender" not in told.patient and not told.coverage.covers("gender")
    assert identity in told.patient["extension"]
    told = model.from_canvas(theirs(extension=[sex("F"), identity], gender="female"), SAME)
    assert told.patient["gender"] == "female", "the sex at birth says so too"


def test_our_id_is_known_under_the_partners_system() -> None:
    listed = [
        {"id": "i", "system": "https://partner.example", "value": OUR_ID},
        {"id": "j", "system": OURS, "value": OUR_ID},
    ]
    told = model.from_canvas(theirs(identifier=listed), OTHER)
    assert told.patient["identifier"] == [{"system": OURS, "value": OUR_ID}]
    partners = [{"id": "i", "use": "usual", "system": "https://partner.example", "value": "pat_1"}]
    told = model.from_canvas(theirs(identifier=partners), OTHER)
    assert told.patient["identifier"] == [{"use": "usual", "system": "https://partner.example", "value": "pat_1"}]


def test_free_text_as_a_system_becomes_a_uri() -> None:
    told = model.from_canvas(theirs(identifier=[{"id": "i", "system": "Health Co", "value": "1"}]), SAME)
    assert told.patient["identifier"] == [{"system": "Health%20Co", "value": "1"}]


@pytest.mark.parametrize(
    "broken",
    [
        {"resourceType": "Person"},
        {"id": None},
        {"id": ""},
        {"name": "Jones"},
        {"identifier": "x"},
        {"identifier": [{"system": 5}]},
        {"birthDate": "yesterday"},
        {"gender": "F"},
        {"extension": [{"valueCode": "x"}]},
    ],
    ids=str,
)
def test_what_is_no_patient_is_refused(broken: Resource) -> None:
    with pytest.raises(NotConformant):
        model.from_canvas(theirs(**broken), SAME)


def test_what_is_null_or_empty_is_left_out() -> None:
    odd = {"telecom": [None, {}], "address": [{"line": [], "city": "Larkfield"}], "contact": None, "extension": [{}]}
    patient = model.from_canvas(theirs(**odd), SAME).patient
    assert patient["address"] == [{"city": "Larkfield"}] and not {"telecom", "contact", "extension"} & patient.keys()


# Ours -> theirs.


def test_a_create_has_what_is_required_and_only_what_is_taken() -> None:
    bare = {"resourceType": "Patient", "name": [{"family": "Bell", "given": ["Ann"]}], "birthDate": "1990"}
    assert model.to_canvas({**bare, "maritalStatus": {"text": "x"}, "deceasedBoolean": True}, SAME) == {
        "resourceType": "Patient",
        "extension": [sex("UNK")],
        "name": [{"use": "official", "family": "Bell", "given": ["Ann"]}],
        "gender": "unknown",
        "birthDate": "1990",
    }


def test_the_official_name_is_the_official_one_else_the_usual_else_the_first() -> None:
    names = [{"family": "A", "given": ["A"]}, {"use": "usual", "family": "B", "given": ["B"]}]
    assert model.to_canvas(ours(name=names), SAME)["name"][0] == {"use": "official", "family": "B", "given": ["B"]}
    nick = [{"use": "nickname", "given": ["N"]}, {"family": "A", "given": ["A"]}]
    assert [one["use"] for one in model.to_canvas(ours(name=nick), SAME)["name"]] == ["official", "nickname"]


def test_their_number_is_never_sent_back() -> None:
    for raw in (None, model.from_canvas(theirs(), SAME).raw):
        payload = model.to_canvas(ours(), SAME, raw=raw)
        assert MRN not in {one["system"] for one in payload["identifier"]}


def test_our_id_goes_out_under_the_partners_system() -> None:
    body = ours(identifier=[{"system": OURS, "value": OUR_ID}])
    assert model.to_canvas(body, SAME)["identifier"] == [{"system": OURS, "value": OUR_ID}]
    assert model.to_canvas(body, OTHER)["identifier"] == [{"system": "https://partner.example", "value": OUR_ID}]
    with_theirs = [{"system": "https://partner.example", "value": "pat_1"}, {"system": OURS, "value": OUR_ID}]
    assert model.to_canvas(ours(identifier=with_theirs), OTHER)["identifier"] == with_theirs


def test_an_address_fits_their_fields() -> None:
    given = {"use": "home", "line": ["1", "2", "3"], "state": "new york", "period": {"start": "2020"}, "text": "x"}
    [address] = model.to_canvas(ours(address=[given]), SAME)["address"]
    assert address == {"use": "home", "line": ["1", "2", "3"], "state": "NY"}
    assert "address" not in model.to_canvas(ours(address=[{"use": "home", "text": "by the lake"}]), SAME)
    [abroad] = model.to_canvas(ours(address=[{"state": "Bavaria", "country": "DE"}]), SAME)["address"]
    assert abroad == {"country": "DE"}


@pytest.mark.parametrize(
    ("given", "sent"),
    [("555 123 4567", "5551234567"), ("+1 (555) 123-4567", "5551234567"), ("+44 20 7946 0958", None), ("12345", None)],
)
def test_a_contacts_phone_has_ten_digits_or_stays_here(given: str, sent: str | None) -> None:
    contact = {"name": {"given": ["Dan"], "family": "Bell"}, "telecom": [{"system": "phone", "value": given}]}
    [one] = model.to_canvas(ours(contact=[contact]), SAME)["contact"]
    assert one["name"] == {"text": "Dan Bell"}
    assert one.get("telecom") == ([{"system": "phone", "value": sent}] if sent else None)


def test_a_contact_without_a_name_stays_here() -> None:
    nameless = {"relationship": [{"text": "Mother"}], "telecom": [{"system": "email", "value": "m@example.com"}]}
    named = {"name": {"text": "Dan"}}
    assert model.to_canvas(ours(contact=[nameless, named]), SAME)["contact"] == [named]
    assert echoes(canvas_fhir.form, "contact", [named, nameless], [named]), "and is not taken for removed"


def test_an_entry_of_theirs_that_we_could_not_send_stays_there() -> None:
    odd = {"id": "i-2", "value": "no system"}
    raw = model.from_canvas(theirs(identifier=[*THEIRS["identifier"], odd]), SAME).raw
    assert model.to_canvas(ours(), SAME, raw=raw)["identifier"] == [THEIRS["identifier"][1], odd]


@pytest.mark.parametrize(
    "lacking", [{"name": None}, {"name": [{"family": "Bell"}]}, {"name": [{"given": ["Ann"]}]}, {"birthDate": None}]
)
def test_what_they_require_is_asked_for(lacking: Resource) -> None:
    with pytest.raises(NotConformant):
        model.to_canvas(ours(**lacking), SAME)


# A PUT: read, merged, written.


def test_nothing_changed_repeats_what_was_read() -> None:
    raw = model.from_canvas(theirs(), SAME).raw
    payload = model.to_canvas(ours(), SAME, raw=raw)
    for name in ("telecom", "address", "contact"):
        assert payload[name] == THEIRS[name]
    assert payload["identifier"] == THEIRS["identifier"][1:] and payload["id"] == THEIRS["id"]
    assert {one["url"] for one in payload["extension"]} == {one["url"] for one in THEIRS["extension"]}
    assert [one["use"] for one in payload["name"]] == ["official", "nickname", "maiden"]
    assert not {"text", "photo", "deceasedBoolean", "meta"} & payload.keys(), "left out, they stay as they are"


def test_a_changed_entry_keeps_its_id_a_new_one_has_none_a_dropped_one_goes() -> None:
    raw = model.from_canvas(theirs(), SAME).raw
    mobile = {"system": "phone", "value": "5550000000", "use": "mobile"}
    home = {"system": "phone", "value": "5551111111", "use": "home"}
    payload = model.to_canvas(ours(telecom=[home, mobile], address=None), SAME, raw=raw)
    assert payload["telecom"] == [home, {"id": "t-1", **mobile}], "consent was given for another number"
    assert "address" not in payload


def test_another_spelling_is_no_change() -> None:
    raw = model.from_canvas(theirs(), SAME).raw
    phone = {"system": "phone", "value": "+1 (555) 432-0555", "use": "mobile"}
    contact = {"name": {"given": ["Dan"], "family": "Jones"}, "telecom": [{"system": "phone", "value": "555-123-4567"}]}
    home = {"use": "home", "line": ["12 OAK ST."], "city": "Larkfield", "state": "California", "country": "US"}
    payload = model.to_canvas(ours(telecom=[phone], contact=[contact], address=[home]), SAME, raw=raw)
    assert payload["telecom"] == THEIRS["telecom"][:1]
    assert (payload["contact"], payload["address"]) == (THEIRS["contact"], THEIRS["address"])


def test_two_entries_of_one_place_each_keep_theirs() -> None:
    two = [{"id": f"t-{n}", "system": "phone", "value": f"555000000{n}", "use": "home"} for n in (1, 2)]
    raw = model.from_canvas(theirs(telecom=two), SAME).raw
    second = {"system": "phone", "value": "5550000002", "use": "home"}
    third = {"system": "phone", "value": "5550000003", "use": "home"}
    payload = model.to_canvas(ours(telecom=[third, second]), SAME, raw=raw)
    assert payload["telecom"] == [{"id": "t-1", **third}, two[1]]


def test_free_text_as_a_system_stays_as_they_wrote_it() -> None:
    """An update of anything else must not rename the systems of their identifiers."""
    held = {"id": "i-9", "use": "usual", "system": "Health Co, East", "value": "s1"}
    read = model.from_canvas(theirs(identifier=[held]), SAME)
    assert model.to_canvas(read.patient, SAME, raw=read.raw)["identifier"] == [held]
    changed = {**read.patient, "identifier": [{**read.patient["identifier"][0], "value": "s2"}]}
    assert model.to_canvas(changed, SAME, raw=read.raw)["identifier"] == [{**held, "value": "s2"}]


def test_what_we_do_not_know_stays_as_they_have_it() -> None:
    raw = model.from_canvas(theirs(), SAME).raw
    payload = model.to_canvas(ours(extension=None, gender=None), SAME, raw=raw)
    assert sex("F") in payload["extension"] and payload["gender"] == "female"


# What they show of what they were given.


@pytest.mark.parametrize(
    ("element", "sent", "shown"),
    [
        ("birthDate", "1980", "1980-01-01"),
        ("birthDate", "1980-11", "1980-11-01"),
        ("identifier", {"system": "s", "value": "1"}, {"use": "usual", "system": "s", "value": "1"}),
        ("address", {"line": ["1", "2", "3"]}, {"line": ["1", "2, 3"], "country": "United States", "type": "both"}),
        ("telecom", {"system": "phone", "value": "1"}, {"system": "phone", "value": "1", "rank": 1}),
    ],
)
def test_what_they_make_of_it_is_no_edit(element: str, sent: Any, shown: Any) -> None:
    assert displays(element, sent) == displays(element, shown)


@pytest.mark.parametrize(
    ("element", "sent", "shown"),
    [
        ("birthDate", "1980", "1980-02-22"),
        ("birthDate", "1980-11-13", "1980-11-01"),
        ("identifier", {"system": "s", "value": "1"}, {"use": "old", "system": "s", "value": "1"}),
        ("address", {"line": ["1"]}, {"line": ["1"], "country": "Canada"}),
        ("address", {"line": ["1"], "state": "CA"}, {"line": ["1"]}),
        ("telecom", {"system": "phone", "value": "1"}, {"system": "phone", "value": "2"}),
    ],
)
def test_an_edit_is_an_edit(element: str, sent: Any, shown: Any) -> None:
    assert displays(element, sent) != displays(element, shown)


def test_race_gets_a_text_of_theirs() -> None:
    url = CARRIED[2]
    coding = {"system": "urn:oid:2.16.840.1.113883.6.238", "code": "2131-1"}
    sent = {"url": url, "extension": [{"url": "ombCategory", "valueCoding": coding}]}
    shown = {
        "url": url,
        "extension": [
            {"url": "ombCategory", "valueCoding": {**coding, "display": "Other Race"}},
            {"url": "text", "valueString": "Other Race"},
        ],
    }
    assert displays("extension", sent) == displays("extension", shown)
    assert displays("extension", {**sent, "extension": []}) != displays("extension", shown)


@pytest.mark.parametrize(
    ("text", "code"), [("CA", "CA"), ("ca", "CA"), ("District  of Columbia", "DC"), ("Bavaria", None)]
)
def test_states(text: str, code: str | None) -> None:
    assert find_state(text) == code
