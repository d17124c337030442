"""Slots: where a Patient falls apart, and what travels together."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.fhir.slots import WHOLE, element_of, is_united, join, labelled, split

OFFICIAL = {"use": "official", "family": "Example", "given": ["Alice"]}
BARE = {"family": "Example", "given": ["Alice"]}
HOME = {"system": "phone", "use": "home", "value": "1"}
UNLABELLED = {"system": "phone", "value": "2"}


def patient(**elements):
    return {"resourceType": "Patient", **elements}


@pytest.mark.parametrize(
    ("element", "slots"),
    [
        ({"name": [OFFICIAL, BARE]}, {"name[official]": [OFFICIAL], "name[-]": [BARE]}),
        ({"telecom": [HOME, UNLABELLED]}, {"telecom[phone,home]": [HOME], "telecom[phone]": [UNLABELLED]}),
        ({"identifier": [{"value": "7"}]}, {"identifier[-]": [{"value": "7"}]}),
        ({"address": [{"use": "home", "city": "A"}]}, {"address[home]": [{"use": "home", "city": "A"}]}),
        ({"extension": [{"url": "u", "valueCode": "F"}]}, {"extension[u]": [{"url": "u", "valueCode": "F"}]}),
        ({"deceasedBoolean": False}, {"deceased[x]": {"deceasedBoolean": False}}),
        ({"active": False}, {"active": False}),
        ({"maritalStatus": {"text": "M"}}, {"maritalStatus": {"text": "M"}}),
        ({"photo": [], "gender": None}, {}),
    ],
)
def test_elements_fall_apart_by_discriminator(element, slots):
    assert split(patient(**element)) == slots


def test_a_twin_travels_with_its_element():
    body = patient(birthDate="1980-02-22", _birthDate={"extension": [{"url": "t"}]})
    assert split(body).keys() == {"birthDate"}
    assert join("Patient", split(body)) == body
    unknown = patient(_birthDate={"extension": [{"url": "absent"}]})
    assert split(unknown).keys() == {"birthDate"}
    assert join("Patient", split(unknown)) == unknown


def test_the_two_forms_of_a_choice_are_one_slot():
    """Else a date of death from one system and deceased=false of another would both end up in one Patient."""
    assert split(patient(deceasedBoolean=False)).keys() == split(patient(deceasedDateTime="2020")).keys()


def test_contained_travels_with_what_refers_to_it():
    doctor = {"resourceType": "Practitioner", "id": "gp", "qualification": [{"issuer": {"reference": "#school"}}]}
    school = {"resourceType": "Organization", "id": "school"}
    body = patient(generalPractitioner=[{"reference": "#gp"}], contained=[doctor, school], gender="female")
    slots = split(body)
    assert slots.keys() == {"generalPractitioner", "gender"}
    assert slots["generalPractitioner"]["#"] == [doctor, school]
    assert join("Patient", slots) == body


def test_contained_resources_of_two_systems_with_one_id_stay_apart():
    mine = split(patient(generalPractitioner=[{"reference": "#1"}], contained=[{"resourceType": "P", "id": "1"}]))
    other = {"resourceType": "O", "id": "1"}
    theirs = split(patient(managingOrganization={"reference": "#1"}, contained=[other]))
    whole = join("Patient", {**mine, **theirs})
    names = {item["resourceType"]: item["id"] for item in whole["contained"]}
    assert len(set(names.values())) == 2
    assert whole["generalPractitioner"] == [{"reference": f"#{names['P']}"}]
    assert whole["managingOrganization"] == {"reference": f"#{names['O']}"}


def test_one_that_only_refers_to_the_patient_keeps_its_id_from_another_of_it():
    """What nothing refers to is a slot of its own; `#1` of the other system must not come to mean it."""
    kin = {"resourceType": "RelatedPerson", "id": "1", "patient": {"reference": "#"}}
    other = {"resourceType": "Organization", "id": "1"}
    mine = split(patient(contained=[kin]))
    theirs = split(patient(managingOrganization={"reference": "#1"}, contained=[other]))
    whole = join("Patient", {**mine, **theirs})
    [renamed] = [item for item in whole["contained"] if item["resourceType"] == "Organization"]
    assert kin in whole["contained"] and renamed["id"] != "1"
    assert whole["managingOrganization"] == {"reference": f"#{renamed['id']}"}


def test_ids_and_versions_are_nobodys_slots():
    body = patient(id="1", meta={"versionId": "3", "lastUpdated": "2026-01-01T00:00:00Z", "source": "urn:x"})
    assert split(body) == {"meta.source": "urn:x"}


def test_tags_security_and_profiles_are_united():
    security = [{"code": "R"}, {"display": "VIP"}]
    meta = {"tag": [{"system": "s", "code": "a"}, {"code": "b"}], "profile": ["urn:p"], "security": security}
    slots = split(patient(meta=meta))
    assert slots.keys() == {
        "meta.tag[s|a]",
        "meta.tag[|b]",
        "meta.profile[urn:p]",
        "meta.security[|R]",
        "meta.security[|VIP]",
    }
    assert all(is_united(slot) for slot in slots)
    assert join("Patient", slots)["meta"] == meta


def test_any_other_resource_is_one_slot():
    body = {"resourceType": "Observation", "valueQuantity": {"value": Decimal("1.50")}}
    stored = {**body, "id": "1", "meta": {"versionId": "1", "tag": [{"code": "t"}]}}
    assert split(stored) == {WHOLE: {**body, "meta": {"tag": [{"code": "t"}]}}}
    assert join("Observation", split(stored)) == {**body, "meta": {"tag": [{"code": "t"}]}}


def test_joining_leaves_tombstones_out_and_keeps_one_order():
    slots = {"telecom[phone]": [UNLABELLED], "name[-]": [BARE], "gender": None, "name[official]": [OFFICIAL]}
    whole = join("Patient", slots)
    assert list(whole) == ["resourceType", "name", "telecom"]
    assert whole["name"] == [OFFICIAL, BARE]
    assert join("Patient", dict(reversed(slots.items()))) == whole


@pytest.mark.parametrize(
    ("slot", "given", "expected"),
    [
        ("telecom[phone,home]", [UNLABELLED], [{"value": "2", "system": "phone", "use": "home"}]),
        ("telecom[phone]", [HOME], [{"value": "1", "system": "phone"}]),
        ("name[-]", [OFFICIAL], [BARE]),
        ("birthDate", "1980", "1980"),
        ("name[official]", None, None),
    ],
)
def test_a_value_takes_the_label_of_its_slot(slot, given, expected):
    assert labelled(slot, given) == expected


def test_the_element_of_a_slot():
    assert [element_of(slot) for slot in ("telecom[phone,home]", "birthDate", "meta.tag[a|b]", "deceased[x]")] == [
        "telecom", "birthDate", "meta.tag", "deceased",
    ]  # fmt: skip
