"""The 150 KB document: the rows it was written from come back as resources, each with its own code, date and value."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest

from tests.conformance.ccda_facts import Reading, fixture, read, values
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def bench() -> Reading:
    return read("bench-ccd-150k")


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module("big_ccd_rows")


def test_checked_in_document_is_what_its_generator_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    data: bytes = importlib.import_module("make_big_ccd").document()
    assert data == fixture("bench-ccd-150k").read_bytes()
    assert 145_000 <= len(data) <= 160_000


def dashed(digits: str) -> str:
    """A TS of a date as FHIR writes it."""
    return "-".join(part for part in (digits[:4], digits[4:6], digits[6:8]) if part)


def test_problems(bench: Reading, rows: ModuleType) -> None:
    for number, (snomed, _, icd, _, low, high) in enumerate(rows.PROBLEMS, 1):
        condition = bench.entry(f"P{number}", "Condition")
        assert values(condition, "code.coding.code") == [snomed, icd]
        assert condition["onsetDateTime"] == dashed(low)
        assert condition.get("abatementDateTime") == (dashed(high) or None)
        assert values(condition, "clinicalStatus.coding.code") == ["resolved" if high else "active"]
    assert len(bench.all("Condition")) == len(rows.PROBLEMS)


def test_allergies(bench: Reading, rows: ModuleType) -> None:
    for number, (substance, _, reaction, severity, low) in enumerate(rows.ALLERGIES, 1):
        allergy = bench.entry(f"A{number}", "AllergyIntolerance")
        assert values(allergy, "code.coding.code") == [substance[1]]
        assert values(allergy, "reaction.manifestation.coding.code") == [reaction[0]]
        assert values(allergy, "reaction.severity") == [severity[2].lower()]
        assert allergy["onsetDateTime"] == dashed(low)
    assert len(bench.all("AllergyIntolerance")) == len(rows.ALLERGIES)


def test_medications(bench: Reading, rows: ModuleType) -> None:
    for number, (rxnorm, _, low, high, *_) in enumerate(rows.MEDICATIONS, 1):
        request = bench.entry(f"M{number}", "MedicationRequest")
        assert values(request, "medicationCodeableConcept.coding.code") == [rxnorm]
        assert values(request, "dosageInstruction.timing.repeat.boundsPeriod.start") == [dashed(low)]
        assert request["status"] == ("completed" if high else "active")
    assert len(bench.all("MedicationRequest")) == len(rows.MEDICATIONS)


def test_immunizations(bench: Reading, rows: ModuleType) -> None:
    said = {(values(each, "vaccineCode.coding.code")[0], each["lotNumber"]) for each in bench.all("Immunization")}
    assert said == {(cvx, lot) for cvx, _, _, lot in rows.VACCINES}


def test_results_keep_value_unit_range_and_flag(bench: Reading, rows: ModuleType) -> None:
    for number, (panel, _, tests) in enumerate(rows.PANELS, 1):
        report = bench.entry(f"R{number}", "DiagnosticReport")
        assert values(report, "code.coding.code") == [panel[1]]
        assert len(report["result"]) == len(tests)
        for index, (loinc, _, value, unit, low, high) in enumerate(tests):
            result = bench.entry(f"R{number}.{index}", "Observation")
            said = [str(each) for path in RESULT for each in values(result, path)]
            flag = "L" if float(value) < float(low) else "H" if float(value) > float(high) else "N"
            assert said == [loinc, value, unit, low, high, flag]


RESULT = (
    "code.coding.code",
    "valueQuantity.value",
    "valueQuantity.code",
    "referenceRange.low.value",
    "referenceRange.high.value",
    "interpretation.coding.code",
)


def test_vital_signs(bench: Reading, rows: ModuleType) -> None:
    for number, (_, measured) in enumerate(rows.MEASURED, 1):
        for (loinc, _, unit), value in zip(rows.VITALS, measured, strict=True):
            sign = _measured(bench.entry(f"V{number}.{loinc}", "Observation"), loinc)
            assert (str(sign["valueQuantity"]["value"]), sign["valueQuantity"]["code"]) == (value, unit)


def _measured(sign: dict[str, Any], loinc: str) -> dict[str, Any]:
    """Itself, or the component of a blood pressure."""
    parts = [one for one in sign.get("component", ()) if one["code"]["coding"][0]["code"] == loinc]
    return parts[0] if parts else sign


def test_nothing_is_left_over(bench: Reading) -> None:
    assert [each for section in bench.report["sections"] for each in section["notUnderstood"]] == []
    assert bench.issues == ()
