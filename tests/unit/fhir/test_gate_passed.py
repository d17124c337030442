"""The gate, asked about the same bytes again."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import NotConformant
from gateway.fhir import json
from gateway.fhir.gate_passed import Passed

GOOD, BAD = b'{"resourceType":"Patient","gender":"female"}', b'{"resourceType":"Patient","gender":"F"}'
NEVER: Any = {"resourceType": "Patient", "gender": "never read"}
"""What would be refused if it were judged."""


def test_the_same_bytes_are_judged_once() -> None:
    passed = Passed()
    passed.require(json.decode(GOOD), GOOD)
    passed.require(NEVER, GOOD)
    with pytest.raises(NotConformant):
        passed.require(NEVER, GOOD + b" ")


def test_what_was_refused_is_refused_again() -> None:
    passed = Passed()
    for _ in range(2):
        with pytest.raises(NotConformant):
            passed.require(json.decode(BAD), BAD)


def test_only_so_many_are_remembered_and_the_oldest_goes_first() -> None:
    passed = Passed(most=2)
    for blanks in range(3):
        passed.require(json.decode(GOOD), GOOD + b" " * blanks)
    passed.require(NEVER, GOOD + b" ")
    passed.require(NEVER, GOOD + b"  ")
    with pytest.raises(NotConformant):
        passed.require(NEVER, GOOD)
