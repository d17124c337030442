"""The next export of the same patient updates what the last one made: ids hang on what an entry is."""

from __future__ import annotations

import pytest

from tests.conformance.ccda_facts import Reading, fixture, read, reading, values

PR_1_ACTIVE = '<value xsi:type="CD" code="55561003" codeSystem="2.16.840.1.113883.6.96" displayName="Active"/>'
PR_1_RESOLVED = (
    '<value xsi:type="CD" code="413322009" codeSystem="2.16.840.1.113883.6.96" displayName="Problem resolved"/>'
)


def exported(*changes: tuple[str, str]) -> Reading:
    """The full document as the same system would write it later; every change must be found, once."""
    text = fixture("full-ccd").read_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return reading(text.encode())


@pytest.fixture(scope="module")
def later() -> Reading:
    text = fixture("full-ccd").read_text()
    problem = text.index('extension="PR-1"')
    status = text.index(PR_1_ACTIVE, problem)
    text = text[:status] + PR_1_RESOLVED + text[status + len(PR_1_ACTIVE) :]
    text = text.replace('extension="FULL-3"', 'extension="FULL-4"').replace(
        "20260302164500-0500", "20260420093000-0400"
    )
    return reading(text.encode())


def test_resolved_problem_is_the_same_condition(later: Reading) -> None:
    before, after = read("full-ccd").entry("PR-1"), later.entry("PR-1")
    assert after["id"] == before["id"]
    assert values(before, "clinicalStatus.coding.code") == ["active"]
    assert values(after, "clinicalStatus.coding.code") == ["resolved"]


def test_nothing_else_is_new(later: Reading) -> None:
    before = {resource["id"] for resource in read("full-ccd").all() if resource["resourceType"] != "Composition"}
    after = {resource["id"] for resource in later.all() if resource["resourceType"] != "Composition"}
    assert after == before


def test_corrected_result_is_the_same_observation() -> None:
    after = exported(('value="1.10"', 'value="1.12"')).entry("R-2")
    assert after["id"] == read("full-ccd").entry("R-2")["id"]
    assert str(after["valueQuantity"]["value"]) == "1.12"


def test_new_text_of_the_narrative_is_no_new_entry() -> None:
    after = exported((">High blood pressure<", ">Blood pressure too high<")).entry("PR-1")
    assert after["id"] == read("full-ccd").entry("PR-1")["id"]
    assert after["code"]["text"] == "Blood pressure too high"


def test_another_result_at_another_time_is_another_observation() -> None:
    """One id for every test of a kind happens in the field: code and time are part of what an entry is."""
    text = fixture("full-ccd").read_text()
    start = text.index('extension="R-10"')
    moved = text[:start] + text[start:].replace('value="20260227"', 'value="20260327"', 1)
    assert reading(moved.encode()).entry("R-10")["id"] != read("full-ccd").entry("R-10")["id"]
