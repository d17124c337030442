"""Which identifiers may say who somebody is."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.identity.keys import (
    Key,
    contradict,
    is_placeholder,
    key_identifiers,
    key_systems,
    never,
    never_system,
    normal_system,
    normal_value,
    other_identifiers,
)

OURS = "https://gateway.example/fhir/Patient"
MRN = "http://mrn.example"
SYSTEMS = key_systems(OURS, [MRN, "2.25.1234"])
TABLE = "http://terminology.hl7.org/CodeSystem/v2-0203"


def patient(*identifiers: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": list(identifiers)}


def ident(system: Any, value: Any, **more: Any) -> dict[str, Any]:
    return {"system": system, "value": value, **more}


def typed(code: str, table: str = TABLE) -> dict[str, Any]:
    return {"coding": [{"system": table, "code": code}]}


def test_ours_and_the_listed_systems_are_keys() -> None:
    body = patient(ident(MRN, "7"), ident(OURS, "018f"), ident("http://other.example", "9"))
    assert key_identifiers(body, SYSTEMS) == [(MRN, "7"), (OURS, "018f")]
    assert other_identifiers(body, SYSTEMS) == [("http://other.example", "9")]


@pytest.mark.parametrize("system", ["2.25.1234", "urn:oid:2.25.1234", "URN:OID:2.25.1234", " urn:oid:2.25.1234 "])
def test_an_oid_is_one_system_however_it_is_written(system: str) -> None:
    assert key_identifiers(patient(ident(system, "A 1")), SYSTEMS) == [("urn:oid:2.25.1234", "A 1")]


def test_two_spellings_are_one_key() -> None:
    body = patient(ident(MRN, "A 1"), ident("HTTP://MRN.example ", " A  1\t"))
    assert key_identifiers(body, SYSTEMS) == [(MRN, "A 1")]


def test_letter_case_of_a_value_and_of_a_path_counts() -> None:
    assert normal_value("a1") != normal_value("A1")
    assert normal_system("http://X.example/Mrn") == "http://x.example/Mrn"
    assert normal_system("http://x.example/Mrn") != normal_system("http://x.example/mrn")


def test_composed_and_decomposed_characters_are_one_value() -> None:
    assert normal_value("Zoe\u0308") == normal_value("Zo\u00eb")


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        ("urn:uuid:6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        ("1.2.03", "1.2.03"),
        ("local", "local"),
    ],
)
def test_systems_of_other_forms(system: str, expected: str) -> None:
    assert normal_system(system) == expected


@pytest.mark.parametrize("use", ["old", "temp"])
def test_an_old_or_temporary_identifier_is_no_key(use: str) -> None:
    body = patient(ident(MRN, "7", use=use), ident("http://other.example", "9", use=use))
    assert key_identifiers(body, SYSTEMS) == []
    assert other_identifiers(body, SYSTEMS) == []


@pytest.mark.parametrize(
    "system",
    [
        "urn:oid:2.16.840.1.113883.4.1",
        "2.16.840.1.113883.4.1",
        "http://hl7.org/fhir/sid/us-ssn",
        "HTTP://HL7.org/fhir/sid/us-ssn",
        "2.16.840.1.113883.19",
        "urn:oid:2.16.840.1.113883.19.5.99999.2",
        "2.16.840.1.113883.4.3.36",
        "http://hl7.org/fhir/sid/us-mbi",
        "tel:",
        "mailto",
    ],
)
def test_some_systems_are_never_keys_even_when_listed(system: str) -> None:
    systems = key_systems(OURS, [system])
    assert systems.listed == {OURS}
    body = patient(ident(system, "A-4711"))
    assert key_identifiers(body, systems) == []
    assert other_identifiers(body, systems) == []
    assert never_system(normal_system(system))


@pytest.mark.parametrize("system", ["2.16.840.1.113883.190", "2.16.840.1.113883.1.9", "2.16.840.1.113883.4.10"])
def test_a_neighbour_of_such_an_arc_may_be_one(system: str) -> None:
    assert key_identifiers(patient(ident(system, "A-4711")), key_systems(OURS, [system])) != []


@pytest.mark.parametrize("code", ["SS", "SB", "DL", "MB", "SN", "NIIP", "AN", "VN"])
@pytest.mark.parametrize("table", [TABLE, "http://hl7.org/fhir/v2/0203"])
def test_numbers_of_a_card_plan_or_account_are_never_keys(code: str, table: str) -> None:
    assert key_identifiers(patient(ident(MRN, "A-4711", type=typed(code, table))), SYSTEMS) == []
    assert key_identifiers(patient(ident(MRN, "A-4711", type={"coding": [{"code": code}]})), SYSTEMS) == []


@pytest.mark.parametrize("kind", [typed("MR"), typed("PI"), typed("SS", "http://local.example"), {"text": "SS"}, {}])
def test_a_record_number_is_a_key_by_its_system(kind: dict[str, Any]) -> None:
    assert key_identifiers(patient(ident(MRN, "A-4711", type=kind)), SYSTEMS) == [(MRN, "A-4711")]


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "0000",
        "000-00-0000",
        "999-99-9999",
        "9999",
        "XXXX",
        "unknown",
        "UNK",
        "N/A",
        "n.a.",
        "Test",
        "none",
        "-",
        "?",
    ],
)
def test_placeholders(value: str) -> None:
    assert is_placeholder(value)
    assert key_identifiers(patient(ident(MRN, value)), SYSTEMS) == []


@pytest.mark.parametrize("value", ["1", "12", "111", "MRN-0001", "pat_12345678", "12345", "test-17", "0001", "Ж1"])
def test_short_or_odd_numbers_are_none(value: str) -> None:
    assert not is_placeholder(value)


@pytest.mark.parametrize("value", ["ada@mail.example", "mailto:ada", "tel:+15550100"])
def test_a_phone_number_or_mail_address_is_never_a_key(value: str) -> None:
    assert never(ident(MRN, value))
    assert key_identifiers(patient(ident(MRN, value)), SYSTEMS) == []


def test_a_value_with_a_colon_may_be_one() -> None:
    assert key_identifiers(patient(ident(MRN, "ward:7")), SYSTEMS) == [(MRN, "ward:7")]


@pytest.mark.parametrize(
    "identifier",
    [ident(MRN, ""), ident(MRN, "  "), {"system": MRN}, {"value": "7"}, ident("", "7"), None, "7", ident(1, 2), []],
)
def test_an_incomplete_identifier_is_no_key(identifier: Any) -> None:
    assert key_identifiers(patient(identifier), SYSTEMS) == []
    assert other_identifiers(patient(identifier), SYSTEMS) == []


def test_others_are_told_as_the_index_has_them() -> None:
    body = patient(ident("URN:OID:1.2.3", "a  1"), ident("URN:OID:1.2.3", "a  1"))
    assert other_identifiers(body, SYSTEMS) == [("URN:OID:1.2.3", "a  1")]


@pytest.mark.parametrize(
    ("a", "b", "apart"),
    [
        ({"s": "1"}, {"s": "2"}, True),
        ({"s": "1"}, {"s": "1"}, False),
        ({"s": "1"}, {"t": "2"}, False),
        ({"s": "12"}, {"s": "23"}, False),
        ({"s": "1", "t": "1"}, {"s": "1", "t": "2"}, True),
        ({}, {"s": "1"}, False),
    ],
)
def test_a_key_system_tells_two_apart(a: dict[str, str], b: dict[str, str], *, apart: bool) -> None:
    """Each digit is a number of that system."""
    ours, theirs = ([Key(system, value) for system in one for value in one[system]] for one in (a, b))
    assert contradict(ours, theirs) is contradict(theirs, ours) is apart
