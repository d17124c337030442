"""Many resources in one call: refused exactly when one of them would be refused alone."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.fhir import gate
from gateway.fhir.gate_lot import are_valid
from tests.unit.fhir.gate_broken import BROKEN
from tests.unit.fhir.gate_samples import ALLERGY, CONDITION, ENCOUNTER, OBSERVATION, PATIENT, REQUEST

SAMPLES = [ALLERGY, CONDITION, ENCOUNTER, OBSERVATION, PATIENT, REQUEST]
TYPES = tuple(sorted(str(sample["resourceType"]) for sample in SAMPLES))


def lot(*more: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for one in (*SAMPLES, *more):
        found.setdefault(one["resourceType"], []).append(one)
    return found


def alone(resource: Any) -> bool:
    return isinstance(resource, dict) and resource.get("resourceType") in TYPES and "contained" not in resource


def test_valid_ones_pass_together() -> None:
    assert are_valid(lot(), TYPES)
    assert are_valid({}, TYPES)


@pytest.mark.parametrize("broken", [pytest.param(one, id=what) for what, one, _, _ in BROKEN if alone(one)])
def test_one_that_is_not_valid_is_enough(broken: Any) -> None:
    if gate.check_depth(broken) is None:
        assert not are_valid(lot(broken), TYPES)


def test_a_type_that_nobody_named_does_not_pass_unseen() -> None:
    assert gate.check({"resourceType": "Basic", "code": {"text": "x"}}) == []
    assert not are_valid(lot({"resourceType": "Basic", "code": {"text": "x"}}), TYPES)


def test_a_resource_among_those_of_another_type_does_not_pass() -> None:
    assert not are_valid({"Patient": [ENCOUNTER]}, TYPES)
