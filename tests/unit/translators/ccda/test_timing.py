"""Times that FHIR can say only in part: nothing else is told in their place, and the report names what is not told."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.fhir import gate

from .test_dosage import doses, medication, taken
from .written import Converted, Resource, converted, only, section

DOSE = '<doseQuantity value="1"/>'


def every(period: str, phase: str = "") -> str:
    return f'<effectiveTime xsi:type="PIVL_TS" operator="A">{phase}<period {period}/></effectiveTime>'


def between(low: str, high: str) -> str:
    return f'<effectiveTime xsi:type="PIVL_TS" operator="A"><period><low {low}/><high {high}/></period></effectiveTime>'


def event(code: str, minutes: int) -> str:
    offset = f'<offset><low value="{minutes}" unit="min"/></offset>'
    return f'<effectiveTime xsi:type="EIVL_TS" operator="A"><event code="{code}"/>{offset}</effectiveTime>'


def days(low: str, rest: str) -> str:
    return f'<effectiveTime xsi:type="IVL_TS"><low value="{low}"/>{rest}</effectiveTime>'


def lost(result: Converted) -> list[str]:
    return [one.diagnostics for one in result.issues if one.diagnostics.endswith("stays in the narrative only")]


def repeated(inner: str) -> tuple[Resource, list[str]]:
    result = medication(inner + DOSE)
    assert gate.check(result.bundle) == []
    dose = only(result, "MedicationRequest")["dosageInstruction"][0]
    return dose.get("timing", {}).get("repeat", {}), lost(result)


@pytest.mark.parametrize(
    ("code", "minutes", "expected"),
    [
        ("CM", 30, {"when": ["PCM"], "offset": 30}),
        ("CV", -60, {"when": ["ACV"], "offset": 60}),
        ("C", -15, {"when": ["AC"], "offset": 15}),
        ("ACM", -30, {"when": ["ACM"], "offset": 30}),
        ("HS", -30, {"when": ["HS"], "offset": 30}),
        ("PCD", 45, {"when": ["PCD"], "offset": 45}),
    ],
)
def test_how_long_before_or_after_a_meal(code: str, minutes: int, expected: Resource) -> None:
    """FHIR has no offset from the meal itself (tim-9); the medication must not be left out for it."""
    assert repeated(event(code, minutes)) == (expected, [])


@pytest.mark.parametrize(
    ("times", "when"),
    [
        (event("CM", 30) + event("CD", 60), ["PCM", "PCD"]),
        (event("WAKE", -30), ["WAKE"]),
        (event("ACM", 30).replace('unit="min"', 'unit="mo"'), ["ACM"]),
    ],
)
def test_an_offset_that_cannot_be_told(times: str, when: list[str]) -> None:
    repeat, report = repeated(times)

    assert repeat == {"when": when}
    assert len(report) == 1


@pytest.mark.parametrize(
    "times",
    [
        every('value="12" unit="h"') + every('value="1" unit="wk"'),
        every('value="1" unit="d"', '<phase value="202401010800"/>')
        + every('value="1" unit="d"', '<phase value="202401012000"/>'),
        every('value="0" unit="h"'),
        every('value="3" unit="fortnights"'),
        between('value="1" unit="d"', 'value="1" unit="mo"'),
    ],
)
def test_a_frequency_that_cannot_be_told_is_not_told_as_another(times: str) -> None:
    repeat, report = repeated(times)

    assert not {"frequency", "period", "periodMax"} & repeat.keys()
    assert report == ["how often it is to be taken stays in the narrative only"]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (between('value="1" unit="d"', 'value="36" unit="h"'), {"period": 24, "periodMax": 36, "periodUnit": "h"}),
        (every('value="12" unit="hr"'), {"period": 12, "periodUnit": "h"}),
        (every('value="1" unit="d"') + every('value="1" unit="d"'), {"period": 1, "periodUnit": "d"}),
    ],
)
def test_periods_in_one_unit(times: str, expected: Resource) -> None:
    assert repeated(times) == ({"frequency": 1, **expected}, [])


@pytest.mark.parametrize(
    "times",
    [
        days("20240101", '<width value="10" unit="d"/>'),
        days("20240101", "") + days("20240201", '<high value="20240203"/>'),
    ],
)
def test_a_span_that_cannot_be_told(times: str) -> None:
    repeat, report = repeated(times)

    assert repeat == {"boundsPeriod": {"start": "2024-01-01"}}
    assert len(report) == 1


def test_what_nobody_knows_is_no_loss() -> None:
    times = '<effectiveTime xsi:type="PIVL_TS"><period nullFlavor="UNK"/></effectiveTime>'

    assert repeated(times) == ({}, [])


def test_a_hospital_that_chooses_the_hours() -> None:
    times = every('value="8" unit="h"').replace("<effectiveTime", '<effectiveTime institutionSpecified="1"')

    assert repeated(times)[0]["extension"][0]["valueBoolean"] is False


def test_a_dose_whose_unit_ucum_does_not_have() -> None:
    dose = '<doseQuantity nullFlavor="OTH"><translation value="2" displayName="Tablet"/></doseQuantity>'

    assert doses(dose)[0]["doseAndRate"][0]["doseQuantity"] == {"value": 2, "unit": "Tablet"}


def needed(value: str) -> str:
    return f'<precondition typeCode="PRCN"><criterion>{value}</criterion></precondition>'


def test_two_reasons_to_take_it() -> None:
    result = medication(needed('<value xsi:type="ST">for wheeze</value>') + needed("<text>for cough</text>") + DOSE)

    dose = only(result, "MedicationRequest")["dosageInstruction"][0]
    assert dose["asNeededCodeableConcept"] == {"text": "for wheeze"}
    assert len(lost(result)) == 1


def supply(inner: str) -> str:
    held = f'<supply classCode="SPLY" moodCode="INT">{inner}</supply>'
    return f'<entryRelationship typeCode="REFR">{held}</entryRelationship>'


@pytest.mark.parametrize(
    ("number", "expected"),
    [('value="0"', 0), ('value="1"', 0), ('value="6"', 5), ('nullFlavor="NI"', None)],
)
def test_refills(number: str, expected: Any) -> None:
    entry = taken(supply(f'<repeatNumber {number}/><quantity value="30"/>'))

    request = only(converted(section("10160-0", entry)), "MedicationRequest")["dispenseRequest"]

    assert request.get("numberOfRepeatsAllowed") == expected


def test_as_many_refills_as_there_may_be() -> None:
    number = '<repeatNumber><low value="0"/><high value="3"/></repeatNumber>'
    entry = taken(supply(f'{number}<quantity value="30"/>') + supply('<quantity value="90"/>'))

    result = converted(section("10160-0", entry))

    request = only(result, "MedicationRequest")["dispenseRequest"]
    assert (request["numberOfRepeatsAllowed"], request["quantity"]["value"]) == (2, 30)
    assert len(lost(result)) == 1
