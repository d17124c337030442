"""patient.csv: which cells a Patient gives."""

from __future__ import annotations

import pytest

from gateway.snapshots import patients

MARIA = {
    "resourceType": "Patient",
    "id": "0193a1c2",
    "meta": {"versionId": "3", "lastUpdated": "2026-01-02T03:04:05.000006Z"},
    "identifier": [{"system": "urn:oid:1.2.3", "value": "MRN-1"}, {"system": "https://a.example/ids", "value": "9"}],
    "active": False,
    "name": [
        {"use": "maiden", "family": "Before"},
        {"use": "usual", "family": "Often", "given": ["Mia"]},
        {"use": "official", "family": "Example", "given": ["Maria", "Luisa"]},
    ],
    "gender": "female",
    "birthDate": "1980-02",
}


def cells(patient: dict) -> dict[str, str]:
    return dict(zip(patients.HEADER, patients.row(patient), strict=True))


def test_a_patient_is_one_line_as_the_resource_says() -> None:
    assert cells(MARIA) == {
        "id": "0193a1c2",
        "version": "3",
        "lastUpdated": "2026-01-02T03:04:05.000006Z",
        "family": "Example",
        "given": "Maria Luisa",
        "gender": "female",
        "birthDate": "1980-02",
        "active": "false",
        "identifiers": "urn:oid:1.2.3|MRN-1;https://a.example/ids|9",
    }


def test_what_a_patient_does_not_say_stays_empty() -> None:
    row = cells({"resourceType": "Patient", "id": "1"})
    assert row.pop("id") == "1"
    assert set(row.values()) == {""}


@pytest.mark.parametrize(
    ("names", "family"),
    [
        ([{"use": "old", "family": "Old"}, {"family": "Plain"}], "Plain"),
        ([{"family": "Plain"}, {"use": "usual", "family": "Usual"}], "Usual"),
        ([{"use": "old", "family": "Old"}, {"use": "maiden", "family": "Maiden"}], "Old"),
        ([{"text": "Only text"}], ""),
    ],
)
def test_the_name_that_is_used_now_is_taken(names: list[dict], family: str) -> None:
    assert cells({"name": names})["family"] == family


def test_a_given_name_that_is_only_an_extension_is_left_out() -> None:
    absent = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason"}]}
    assert cells({"name": [{"given": [None, "Ann"], "_given": [absent, None]}]})["given"] == "Ann"


def test_separators_inside_an_identifier_can_be_told_from_those_between() -> None:
    listed = [{"system": "urn:a;b", "value": "x|y\\z"}, {"value": "no-system"}, {"system": "urn:no-value"}]
    assert patients.identifiers(listed) == r"urn:a\;b|x\|y\\z;|no-system"


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_what_a_spreadsheet_would_run_is_guarded(cell: str) -> None:
    assert patients.guarded(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "O'Neil", "a=b", "1980-02-22", "urn:oid:1|=1"])
def test_nothing_else_is_touched(cell: str) -> None:
    assert patients.guarded(cell) == cell
