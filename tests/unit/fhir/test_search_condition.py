"""Which conditions a conditional create, update, delete or reference may have."""

from __future__ import annotations

import pytest

from gateway.errors import InvalidInput
from gateway.fhir import condition
from gateway.fhir.condition import Condition


@pytest.mark.parametrize(
    ("query", "system", "value"),
    [
        ("identifier=http://mrn.example|7", "http://mrn.example", "7"),
        ("identifier=http%3A%2F%2Fmrn.example%7C7", "http://mrn.example", "7"),
        ("?identifier=a|7", "a", "7"),
        ("Patient?identifier=a|7", "a", "7"),
        ("identifier=7", None, "7"),
        ("identifier=|7", "", "7"),
        (r"identifier=a|7\,8", "a", "7,8"),
        ("identifier=Patient|7", "Patient", "7"),
        ("https://here.example/fhir/Patient?identifier=a|7", "a", "7"),
        ("identifier=a|7&_format=json&_pretty=true", "a", "7"),
    ],
)
def test_one_identifier(query: str, system: str | None, value: str) -> None:
    found = condition.parse("Patient", query, "https://here.example/fhir")
    assert found == Condition("Patient", system, value)
    assert found.row == ("*" if system is None else system, value)


def test_whatever_system_is_another_condition_than_none() -> None:
    asked = [condition.parse("Patient", query).row for query in ("identifier=7", "identifier=|7", "identifier=a|7")]
    assert len(set(asked)) == 3
    assert {asked[0], asked[2]} == set(condition.rows([("a", "7")]))
    assert {asked[0], asked[1]} == set(condition.rows([("", "7")]))


@pytest.mark.parametrize(
    "query",
    [
        "",
        "identifier",
        "identifier=",
        "identifier=a|",
        "identifier=a|1,a|2",
        "identifier=a|1&identifier=a|2",
        "identifier=a|1&birthdate=1980",
        "identifier:not=a|1",
        "_id=7",
        "name=x",
        "Observation?identifier=a|1",
        "identifier=%FF",
        "https://elsewhere.example/fhir/Patient?identifier=a|1",
        "identifier=a|1%00",
    ],
)
def test_every_other_condition_is_refused(query: str) -> None:
    """FHIR R4 §3.1.0.8.1: a condition that was not understood whole must not decide what is overwritten."""
    with pytest.raises(InvalidInput):
        condition.parse("Patient", query, "https://here.example/fhir")
