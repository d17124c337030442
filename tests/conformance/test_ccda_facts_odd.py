"""Values as the field sends them: other types, broken units, null flavours, names as one string, states."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.ccda_facts import ARC, Reading, read, values

# entry's id, FHIR path, every value there
FACTS: list[tuple[str, str, list[Any]]] = [
    ("range", "valueRange.low.value", [10]),
    ("range", "valueRange.high.value", [20]),
    ("range", "valueQuantity", []),
    ("at-most", "valueQuantity.comparator", ["<="]),
    ("at-most", "valueQuantity.value", [20]),
    ("unit-ours", "valueQuantity.value", [7]),
    ("unit-ours", "valueQuantity.unit", ["tablets per day"]),
    ("unit-ours", "valueQuantity.code", []),  # no UCUM, so no code that says it is
    ("unit-ours", "valueQuantity.system", []),
    ("unit-pound", "valueQuantity.code", ["[lb_av]"]),
    ("unit-none", "valueQuantity.value", [12]),
    ("unit-none", "valueQuantity.system", []),
    ("unit-none", "valueQuantity.code", []),
    ("unit-one", "valueQuantity.code", ["1"]),
    ("real", "valueQuantity.code", []),
    ("no-number", "valueQuantity", []),
    ("boolean", "valueBoolean", [True]),
    ("ratio", "valueRatio.numerator.value", [1]),
    ("ratio", "valueRatio.denominator.value", [160]),
    ("moment", "valueDateTime", ["2026-01-09T14:00:00-05:00"]),
    ("words", "valueString", ["Trace of <blood> & protein"]),
    ("blank", "valueString", []),
    ("other-code", "valueCodeableConcept.text", ["Straw coloured"]),
    ("other-code", "valueCodeableConcept.coding.code", ["371244009"]),
    ("local-system", "valueCodeableConcept.coding.system", [f"urn:oid:{ARC}.97"]),
    ("nothing", "valueCodeableConcept", []),
    ("nothing", "dataAbsentReason.coding.code", ["masked"]),
    ("no-value", "status", ["final"]),
    ("ranges", "referenceRange.low.value", [70]),  # FHIR's range is the normal one, not the panic one
    ("ranges", "referenceRange.high.value", [99]),
    ("ranges", "interpretation", []),
    ("bad-reference", "code.coding.code", ["2345-7"]),
    ("bad-reference", "code.text", []),
    ("entered-in-error", "status", ["entered-in-error"]),
    ("once", "dosageInstruction.timing.event", ["2026-01-04T12:00:00-05:00"]),
    ("once", "dosageInstruction.timing.repeat", []),
    ("stopped", "status", ["stopped"]),
    ("paused", "status", ["on-hold"]),
    ("paused", "dosageInstruction.doseAndRate", []),
    ("error", "status", ["entered-in-error"]),
    ("dose-range", "dosageInstruction.doseAndRate.doseRange.low.value", [1]),
    ("dose-range", "dosageInstruction.doseAndRate.doseRange.high.value", [2]),
    ("dose-range", "dosageInstruction.doseAndRate.rateQuantity.code", ["mL/h"]),
    ("dose-range", "dosageInstruction.timing.repeat.period", []),
    ("ST-01", "clinicalStatus.coding.code", ["recurrence"]),
    ("ST-02", "clinicalStatus.coding.code", ["relapse"]),
    ("ST-03", "clinicalStatus.coding.code", ["remission"]),
    ("ST-04", "clinicalStatus.coding.code", ["inactive"]),
    ("ST-05", "clinicalStatus.coding.code", ["inactive"]),
    ("ST-06", "clinicalStatus.coding.code", ["inactive"]),
    ("ST-07", "clinicalStatus.coding.code", ["inactive"]),  # said to be active, but over since 2020 (CF-problems)
    ("ST-07", "abatementDateTime", ["2020-01"]),
    ("INNER", "code.coding.code", ["90560007"]),
]

PATIENT: list[tuple[str, list[Any]]] = [
    ("identifier.value", ["MRN-0110", "urn:uuid:5b1f0f4e-8a2e-4a55-9f61-60e2c8d1a0ff", "998991"]),
    (
        "identifier.system",
        [f"urn:oid:{ARC}.1", "urn:ietf:rfc:3986", "urn:oid:2.16.840.1.113883.19.5"],
    ),
    ("name.text", ["Wilhelmina Teasdale"]),
    ("name.given", ["Wilhelmina"]),
    ("name.suffix", []),
    (
        "telecom.value",
        ["+1(202)555-0187", "+1(202)555-0188", "https://example.org/teasdale", "+1(202)555-0189"],
    ),
    ("address.text", ["Behind the mill, Larkfield"]),
    ("address.line", ["12 Quay Street"]),
    ("address.state", []),
    ("gender", ["other"]),
    ("birthDate", ["1944-07"]),
    ("deceasedDateTime", ["2026-01-05"]),
    ("deceasedBoolean", []),
    ("maritalStatus.coding", []),
    ("communication", []),
]


@pytest.fixture(scope="module")
def odd() -> Reading:
    return read("odd-values")


@pytest.mark.parametrize(("entry", "path", "expected"), FACTS, ids=[f"{entry}-{path}" for entry, path, _ in FACTS])
def test_fact(odd: Reading, entry: str, path: str, expected: list[Any]) -> None:
    assert values(odd.entry(entry), path) == expected


@pytest.mark.parametrize(("path", "expected"), PATIENT, ids=[path for path, _ in PATIENT])
def test_patient(odd: Reading, path: str, expected: list[Any]) -> None:
    assert values(odd.one("Patient"), path) == expected


@pytest.mark.parametrize(
    ("entry", "digits"), [("unit-pound", "150.0"), ("real", "3.140"), ("negative", "-2.5"), ("unit-one", "1.015")]
)
def test_number_keeps_its_digits(odd: Reading, entry: str, digits: str) -> None:
    assert str(odd.entry(entry)["valueQuantity"]["value"]) == digits


def test_masked_number_is_nowhere(odd: Reading) -> None:
    assert "http://hl7.org/fhir/sid/us-ssn" not in str(odd.bundle)


def test_remote_id_passes_over_null_and_masked_ids(odd: Reading) -> None:
    assert odd.patient_key == f"{ARC}.1^MRN-0110"


def test_phone_without_a_scheme_has_some_system(odd: Reading) -> None:
    """A value needs a system (FHIR R4 cpt-2)."""
    systems = values(odd.one("Patient"), "telecom.system")
    assert systems[0] in ("phone", "other")
    assert systems[1:] == ["phone", "url", "pager"]


def test_no_race_is_made_of_one_she_did_not_say(odd: Reading) -> None:
    said = {node["code"] for each in odd.one("Patient").get("extension", []) for node in codings(each)}
    assert said <= {"ASKU", "UNK"}


def codings(outer: dict[str, Any]) -> list[dict[str, Any]]:
    return [part["valueCoding"] for part in outer.get("extension", []) if "valueCoding" in part]


def test_local_words_without_a_system_are_kept(odd: Reading) -> None:
    assert "Local words" in str(odd.entry("no-system")["valueCodeableConcept"])


def test_results_without_an_id_are_told_apart_by_what_they_say(odd: Reading) -> None:
    found = [r for r in odd.all("Observation") if values(r, "valueQuantity.value") in ([61], [62])]
    assert len({resource["id"] for resource in found}) == 2


def test_section_in_a_section_keeps_its_place(odd: Reading) -> None:
    (outer,) = [each for each in odd.one("Composition")["section"] if each["title"] == "Assessment"]
    (inner,) = outer["section"]
    assert inner["title"] == "Problems"
    assert [values(odd.follow(ref), "identifier.value") for ref in values(inner, "entry.reference")] == [["INNER"]]


def test_section_without_a_code_keeps_its_words(odd: Reading) -> None:
    (remarks,) = [each for each in odd.one("Composition")["section"] if each["title"] == "Remarks"]
    assert "A section without a code" in remarks["text"]["div"]
    assert "code" not in remarks
