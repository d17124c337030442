"""The gate on resources of our own making: each broken one is refused at its place, for its reason."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import NotConformant
from gateway.fhir import gate
from gateway.fhir.gate_types import REFUSED
from gateway.fhir.json import decode
from tests.unit.fhir.gate_broken import BROKEN
from tests.unit.fhir.gate_samples import CONDITION, DROP, OBSERVATION, PATIENT, VALID, bundled, changed, narrative


@pytest.mark.parametrize("resource", VALID, ids=lambda resource: resource["resourceType"])
def test_valid(resource: dict[str, Any]) -> None:
    assert gate.check(resource) == []
    gate.require(resource)


@pytest.mark.parametrize(
    ("resource", "expression", "code"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_broken(resource: Any, expression: str | None, code: str) -> None:
    found = gate.check(resource)
    assert (expression, code) in {(issue.expression, issue.code) for issue in found}
    assert len(found) <= 3
    assert all(issue.severity == "error" and issue.diagnostics.endswith(".") for issue in found)


def test_the_table_is_large_and_each_row_is_its_own() -> None:
    assert len(BROKEN) >= 60
    assert len({row[0] for row in BROKEN}) == len(BROKEN)


@pytest.mark.parametrize(
    "element",
    [
        {"deceasedDateTime": "2024"},
        {"_gender": {"extension": [{"url": "urn:x", "valueCode": "masked"}]}, "gender": DROP},
        {"birthDate": "2000-02-29"},
        {"birthDate": "1980"},
        {"multipleBirthInteger": -(2**31)},
        {"maritalStatus": {"extension": [{"url": "urn:x", "valueMeta": {"tag": [{"code": "x"}]}}]}},
        {"photo": [{"contentType": "image/png", "data": "YWJj\r\nZGVm ZA=="}]},
        {"generalPractitioner": [{"reference": "https://other.example.org/anything"}]},
        {"generalPractitioner": [{"reference": "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|9"}]},
        {"generalPractitioner": [{"identifier": {"value": "9"}}, {"display": "Dr Who"}]},
        {"extension": [{"id": "a", "url": "u", "_valueString": {"extension": [{"url": "v", "valueCode": "c"}]}}]},
        {"identifier": [{"period": {"start": "2023-06-21", "end": "2023-06-21T06:20:00Z"}}]},
        {"identifier": [{"period": {"start": "2023-06", "end": "2023"}}]},
    ],
)  # fmt: skip
def test_what_looks_odd_but_is_allowed(element: dict[str, Any]) -> None:
    assert gate.check(changed(PATIENT, **element)) == []


@pytest.mark.parametrize(
    "status",
    [
        {"text": "in words alone"},
        {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]},
        {"coding": [{"system": "urn:own", "code": "a"}, *CONDITION["clinicalStatus"]["coding"]]},
    ],
)
def test_a_status_may_have_words_a_reason_or_a_code_beside_that_of_its_list(status: dict[str, Any]) -> None:
    assert gate.check(changed(CONDITION, clinicalStatus=status)) == []


def test_required_primitive_by_its_twin_alone() -> None:
    masked = {
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]
    }
    assert gate.check(changed(OBSERVATION, status=DROP, _status=masked)) == []


def test_a_fault_is_told_without_the_value() -> None:
    secret = "Xyzzy-4711"
    for broken in (
        changed(PATIENT, gender=secret),
        changed(PATIENT, birthDate=secret),
        changed(PATIENT, name=secret),
        changed(PATIENT, generalPractitioner=[{"reference": secret}]),
        changed(PATIENT, **{secret: 1}),
        {"resourceType": secret},
        narrative(secret),
        bundled({"resourceType": secret}),
    ):
        (issue,) = gate.check(broken)
        assert secret not in issue.diagnostics
        assert secret not in (issue.expression or "")


def test_a_code_fault_says_what_is_allowed() -> None:
    (issue,) = gate.check(changed(PATIENT, gender="F"))
    assert issue.diagnostics == "gender must be one of male, female, other, unknown."


def test_a_reference_fault_names_the_types() -> None:
    (issue,) = gate.check(changed(OBSERVATION, subject={"reference": "Practitioner/1"}))
    assert "Patient or Group or Device or Location" in issue.diagnostics


@pytest.mark.parametrize("name", REFUSED)
def test_types_of_one_release_only_are_refused_by_name(name: str) -> None:
    (issue,) = gate.check({"resourceType": name})
    assert (issue.code, issue.expression) == ("not-supported", name)
    assert issue.diagnostics.startswith(f"{name} ")
    assert not gate.is_r4_type(name)


def test_is_r4_type() -> None:
    assert gate.is_r4_type("Patient")
    assert not gate.is_r4_type("patient")
    assert not gate.is_r4_type(None)
    assert len(gate.TYPES) == 126


def test_require_carries_the_issues() -> None:
    with pytest.raises(NotConformant) as refused:
        gate.require(changed(PATIENT, gender="F", birthDate="soon"))
    assert {issue.expression for issue in refused.value.issues} == {"Patient.gender", "Patient.birthDate"}
    assert refused.value.expression in {"Patient.gender", "Patient.birthDate"}


def test_limit() -> None:
    broken = changed(PATIENT, name=[{"family": ""}] * 50)
    assert len(gate.check(broken)) == 20
    assert len(gate.check(broken, limit=3)) == 3


def test_depth() -> None:
    assert gate.check_depth({"a": [{"b": 1}]}, limit=3) is None
    assert gate.check_depth({"a": [{"b": 1}]}, limit=2) is not None
    assert gate.check_depth(decode("[" * 100 + "]" * 100)) is None
    assert gate.check_depth(decode("[" * 101 + "]" * 101)) is not None
    assert gate.check_depth("text") is None


def test_nesting_of_a_hundred_thousand_levels_does_not_end_the_process() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"extension": [deep]}
    (issue,) = gate.check({"resourceType": "Patient", **deep})
    assert issue.code == "too-long"


def test_warm_builds_ahead() -> None:
    gate.warm(["Slot"])
    assert gate.check({"resourceType": "Slot"}) != []


def test_decimals_keep_their_digits() -> None:
    observation = decode(
        b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.50}}'
    )
    assert gate.check(observation) == []
    assert str(observation["valueQuantity"]["value"]) == "1.50"
