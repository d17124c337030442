"""What systems write of a patient that the guide does not have: null parts, other schemes, languages in words."""

from __future__ import annotations

import pytest

from .written import converted, only

ABSENT = {
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}],
}
"""US Core wants a name: where none is told, that it is not known."""


def patient(role: str) -> dict[str, object]:
    return only(converted(header=f"<recordTarget><patientRole>{role}</patientRole></recordTarget>"), "Patient")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ('<given nullFlavor="UNK">unknown</given><family>Hill</family>', [{"family": "Hill"}]),
        ('<given>Ada</given><family nullFlavor="MSK">Masked</family>', [{"given": ["Ada"]}]),
        ('<given nullFlavor="UNK">unknown</given><family nullFlavor="NI">none</family>', [ABSENT]),
    ],
)
def test_a_null_part_of_a_name_is_none(name: str, expected: object) -> None:
    assert patient(f"<patient><name>{name}</name></patient>").get("name") == expected


@pytest.mark.parametrize(
    ("addr", "expected"),
    [
        ('<streetAddressLine nullFlavor="MSK">x</streetAddressLine><city>Troy</city>', [{"city": "Troy"}]),
        ('<city nullFlavor="UNK">unknown</city><state>NY</state>', [{"state": "NY"}]),
        ('<city nullFlavor="UNK">unknown</city>', None),
    ],
)
def test_a_null_part_of_an_address_is_none(addr: str, expected: object) -> None:
    assert patient(f"<addr>{addr}</addr><patient/>").get("address") == expected


@pytest.mark.parametrize(
    ("written", "system", "value"), [("email:a@b.org", "email", "a@b.org"), ("phone:7", "phone", "7")]
)
def test_a_scheme_in_words(written: str, system: str, value: str) -> None:
    assert patient(f'<telecom value="{written}"/><patient/>')["telecom"] == [{"system": system, "value": value}]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('nullFlavor="OTH"><originalText>Quechua</originalText>', {"text": "Quechua"}),
        ('code="English">', {"text": "English"}),
        ('code="sgn-ase">', {"coding": [{"system": "urn:ietf:bcp:47", "code": "sgn-ase"}]}),
    ],
)
def test_a_language_in_words(code: str, expected: object) -> None:
    spoken = f"<languageCommunication><languageCode {code}</languageCode></languageCommunication>"

    assert patient(f"<patient>{spoken}</patient>")["communication"] == [{"language": expected}]
