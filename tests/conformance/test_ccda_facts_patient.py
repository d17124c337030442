"""The patient of the full document and of those with less to say: every element of the header, read by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.ccda_facts import ARC, PATIENT_ID, Reading, Resource, extension, read, values

US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
CORE = "http://hl7.org/fhir/StructureDefinition"

FACTS: list[tuple[str, list[Any]]] = [
    ("id", [PATIENT_ID]),
    ("identifier.system", ["http://hl7.org/fhir/sid/us-ssn", f"urn:oid:{ARC}.1", "urn:ietf:rfc:3986"]),
    ("identifier.value", ["000-12-0077", "MRN-0042", "urn:uuid:8a7d2f60-1c52-4f0e-9d0b-6f1c7b1e4a42"]),
    ("gender", ["female"]),
    ("birthDate", ["1967-11-04"]),
    ("deceasedBoolean", [False]),
    ("maritalStatus.coding.system", ["http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"]),
    ("maritalStatus.coding.code", ["M"]),
    ("telecom.system", ["phone", "phone", "fax", "email"]),
    (
        "telecom.value",
        ["+1(202)555-0177", "+1-202-555-0178", "+1-202-555-0179", "rosalind.thornquist@example.org"],
    ),
    ("telecom.use", ["home", "mobile", "work"]),
    ("address.use", ["home", "old"]),
    ("address.line", ["41 Hollow Oak Road", "Apartment 3", "7 Ferry Quay"]),
    ("address.city", ["Brindlewick", "Port Sable"]),
    ("address.state", ["VT", "ME"]),
    ("address.postalCode", ["05999", "04999"]),
    ("address.country", ["US", "US"]),
    ("address.period.start", ["2009"]),
    ("address.period.end", ["2017-06"]),
    ("communication.language.coding.code", ["en-US", "fr"]),
    ("communication.preferred", [True, False]),
    ("contact.name.family", ["Bellweather"]),
    ("contact.name.given", ["Honor"]),
    ("contact.telecom.value", ["+1(202)555-0155"]),
    ("contact.address.line", ["9 Linden Close"]),
]


@pytest.fixture(scope="module")
def full() -> Reading:
    return read("full-ccd")


@pytest.fixture(scope="module")
def patient(full: Reading) -> Resource:
    return full.one("Patient")


@pytest.mark.parametrize(("path", "expected"), FACTS, ids=[path for path, _ in FACTS])
def test_fact(patient: Resource, path: str, expected: list[Any]) -> None:
    assert values(patient, path) == expected


def test_legal_name_has_title_both_given_names_and_degree(patient: Resource) -> None:
    (name,) = [each for each in patient["name"] if each.get("use") == "usual"]
    assert (name["given"], name["family"]) == (["Rosalind", "Adaeze"], "Thornquist")
    assert (name["prefix"], name["suffix"]) == (["Dr."], ["PhD"])


def test_what_she_is_called_is_no_legal_name(patient: Resource) -> None:
    (name,) = [each for each in patient["name"] if each.get("given") == ["Roz"]]
    assert name["use"] in ("nickname", "anonymous")  # CF-NameUse has both for a pseudonym


def test_name_at_birth_has_ended(patient: Resource) -> None:
    (name,) = [each for each in patient["name"] if each.get("family") == "Bellweather"]
    assert name["period"] == {"end": "1995-08-12"}
    assert name.get("use") in (None, "maiden", "old")


def test_time_of_birth_is_kept_beside_the_date(patient: Resource) -> None:
    (born,) = extension(patient["_birthDate"], f"{CORE}/patient-birthTime")
    assert born["valueDateTime"] == "1967-11-04T03:12:00-05:00"


@pytest.mark.parametrize(
    ("part", "codes"), [("ombCategory", {"2054-5", "2106-3"}), ("detailed", {"2056-0"})], ids=["category", "detailed"]
)
def test_race(patient: Resource, part: str, codes: set[str]) -> None:
    (race,) = extension(patient, f"{US_CORE}/us-core-race")
    assert {coding["code"] for coding in values(extension_parts(race, part), "valueCoding")} == codes


def test_race_in_words_once(patient: Resource) -> None:
    (race,) = extension(patient, f"{US_CORE}/us-core-race")
    (text,) = [each["valueString"] for each in race["extension"] if each["url"] == "text"]
    for word in ("Black or African American", "White"):
        assert word in text


def test_ethnicity(patient: Resource) -> None:
    (ethnicity,) = extension(patient, f"{US_CORE}/us-core-ethnicity")
    assert [each["valueCoding"]["code"] for each in ethnicity["extension"] if each["url"] == "ombCategory"] == [
        "2186-5"
    ]


def extension_parts(outer: Resource, url: str) -> Resource:
    """The parts of a complex extension with this url, as one node that `values` can walk."""
    return {"valueCoding": [each["valueCoding"] for each in extension(outer, url)]}


def test_sex_at_birth(patient: Resource) -> None:
    (sex,) = extension(patient, f"{US_CORE}/us-core-birthsex")
    assert sex["valueCode"] == "F"


def test_religion_and_place_of_birth(patient: Resource) -> None:
    (religion,) = extension(patient, f"{CORE}/patient-religion")
    assert values(religion, "valueCodeableConcept.coding.code") == ["1013"]
    (place,) = extension(patient, f"{CORE}/patient-birthPlace")
    assert (place["valueAddress"]["city"], place["valueAddress"]["state"]) == ("Port Sable", "ME")


def test_speaks_fair_french(patient: Resource) -> None:
    (french,) = [each for each in patient["communication"] if not each["preferred"]]
    (proficiency,) = extension(french, f"{CORE}/patient-proficiency")
    codes = {part["url"]: part["valueCoding"]["code"] for part in proficiency["extension"]}
    assert codes == {"type": "ESP", "level": "F"}


def test_guardian_is_her_mother(patient: Resource) -> None:
    (guardian,) = patient["contact"]
    assert set(values(guardian, "relationship.coding.code")) == {"GUARD", "MTH"}


def test_practice_manages_her_record(full: Reading, patient: Resource) -> None:
    practice = full.follow(patient["managingOrganization"]["reference"])
    assert (practice["resourceType"], practice["name"]) == ("Organization", "Brindlewick Family Practice")


def test_unknown_birth_date_and_gender_are_not_invented() -> None:
    noor = read("minimal").one("Patient")
    assert "birthDate" not in noor
    assert noor.get("gender") in (None, "unknown")
    assert (values(noor, "name.given"), values(noor, "name.family")) == (["Noor"], ["Vandersea"])


def test_year_of_birth_stays_a_year() -> None:
    assert read("times").one("Patient")["birthDate"] == "1988"


@pytest.mark.parametrize(
    ("document", "key"),
    [("demo-ccd", f"{ARC}.2^P-77-0001"), ("minimal", f"{ARC}.1^MRN-0100"), ("no-record-target", None)],
)
def test_remote_id(document: str, key: str | None) -> None:
    assert read(document).patient_key == key


def test_demo_patient_has_both_ids_and_the_new_phone() -> None:
    maria = read("demo-ccd").one("Patient")
    assert values(maria, "identifier.system") == [f"urn:oid:{ARC}.2", f"urn:oid:{ARC}.1"]
    assert values(maria, "identifier.value") == ["P-77-0001", "MRN-0001"]
    assert maria["telecom"] == [{"system": "phone", "value": "+1(202)555-0142", "use": "mobile"}]
    assert (values(maria, "name.family"), maria["birthDate"], maria["gender"]) == (["Example"], "1984-06-17", "female")
