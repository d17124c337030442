"""US Core 3.1.1 and 6.1: what is mandatory is there, or the reason why it is not; every claim of a profile is true."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gateway.translators.ccda import convert
from tests.conformance.ccda_facts import DOCUMENTS
from tests.conformance.test_ccda_documents import SAMPLES, WHOLE
from tests.conformance.us_core import ABSENT, OBSERVATION_CATEGORY, faults
from tests.conformance.us_core_profiles import BY_URL, profile_of

ALL = sorted({*WHOLE, *DOCUMENTS})
WHY = {"extension": [{"url": ABSENT, "valueCode": "unknown"}]}
LAB = [{"coding": [{"system": OBSERVATION_CATEGORY, "code": "laboratory"}]}]
CODE = {"coding": [{"system": "http://loinc.org", "code": "2345-7"}]}
TESTED = {
    "resourceType": "Observation",
    "status": "final",
    "category": LAB,
    "code": CODE,
    "subject": {"reference": "P"},
}
NPI = "http://hl7.org/fhir/sid/us-npi"


def resources(path: Path) -> list[dict[str, Any]]:
    """But the Patient whom the document does not name: of him there is the caller's id alone."""
    found = [entry["resource"] for entry in convert(path.read_bytes(), patient_id="p1").bundle["entry"]]
    return [one for one in found if one.keys() - {"extension"} != {"resourceType", "id"}]


def claims(resource: dict[str, Any]) -> list[str]:
    return list(resource.get("meta", {}).get("profile", ()))


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_nothing_mandatory_is_missing(path: Path) -> None:
    found = [(one, profile) for one in resources(path) if (profile := profile_of(one))]

    assert [fault for one, profile in found for fault in faults(one, profile)] == []


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_every_claim_is_true(path: Path) -> None:
    claimed = [(one, url) for one in resources(path) for url in claims(one)]

    assert {url for _, url in claimed} <= set(BY_URL)
    assert [fault for one, url in claimed for fault in faults(one, BY_URL[url], claimed=True)] == []


@pytest.mark.skipif(not SAMPLES, reason="needs the sample documents (GATEWAY_SHARED)")
def test_what_meets_its_profile_claims_it() -> None:
    silent: Counter[str] = Counter()
    for path in SAMPLES:
        for one in resources(path):
            profile = profile_of(one)
            if profile and not claims(one) and not faults(one, profile, claimed=True):
                silent[profile.name] += 1

    assert silent == {}


@pytest.mark.parametrize(
    ("resource", "seen"),
    [
        ({"resourceType": "Goal", "_lifecycleStatus": WHY, "description": {}}, "subject is missing"),
        ({"resourceType": "Patient", "identifier": [{"value": "1"}]}, "identifier.system is missing"),
        ({"resourceType": "Patient", "name": [{"text": "Ada"}]}, "us-core-8"),
        ({"resourceType": "Practitioner", "name": [{"text": "Ada"}]}, "name.family is missing"),
        ({"resourceType": "Practitioner", "identifier": [{"system": NPI, "value": "1234567890"}]}, "has not its form"),
        ({"resourceType": "CareTeam", "participant": [{"member": WHY}]}, "participant.role is missing"),
        ({"resourceType": "Observation", "status": "final"}, "category is missing"),
        (TESTED, "us-core-2"),
        ({**TESTED, "effectiveDateTime": "2024-05", "valueString": "a"}, "us-core-1"),
        ({"resourceType": "AllergyIntolerance", "code": CODE}, "ait-1"),
        ({"resourceType": "Condition", "code": CODE, "abatementDateTime": "2020"}, "con-4"),
        ({"resourceType": "Condition", "clinicalStatus": CODE}, "clinicalStatus is none of"),
        ({"resourceType": "Immunization", "vaccineCode": CODE}, "primarySource is missing"),
        ({"resourceType": "Provenance", "agent": [{"who": {"reference": "Device/1"}}]}, "provenance-1"),
    ],
)
def test_what_is_missing_is_seen(resource: dict[str, Any], seen: str) -> None:
    profile = profile_of(resource)

    assert profile is not None
    assert any(seen in fault for fault in faults(resource, profile, claimed=True))


def test_the_reason_stands_in_for_what_is_missing() -> None:
    patient = {"identifier": [{"_system": WHY, "_value": WHY}], "name": [WHY], "gender": "unknown"}
    profile = profile_of({"resourceType": "Patient"})

    assert profile is not None
    assert faults({"resourceType": "Patient", **patient}, profile) == []


@pytest.mark.parametrize(("number", "sound"), [("1234567893", True), ("1234567890", False), ("12345", False)])
def test_the_check_digit_of_a_provider(number: str, sound: bool) -> None:
    practitioner = {
        "resourceType": "Practitioner",
        "identifier": [{"system": NPI, "value": number}],
        "name": [{"family": "A"}],
    }
    profile = profile_of(practitioner)

    assert profile is not None
    assert (faults(practitioner, profile, claimed=True) == []) is sound
