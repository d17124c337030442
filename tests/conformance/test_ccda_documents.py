"""Every public sample document becomes a Bundle that holds what FHIR R4 asks of it, the three broken ones too."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import NotConformant
from gateway.fhir import gate
from gateway.translators.ccda import convert
from tests.conftest import ROOT, shared_files
from tests.fuzz.law import empties, references

UNDECLARED = {
    "hl7-Entry_Reference_Example",
    "hl7-Health_Concerns_Link_to_Problems_Section_with_linkHTML_C-CDA2.1_",
    "hl7-Transfer_Summary_participant_Support_Example",
}
OURS = [
    ROOT / "fixtures" / "ccda" / name for name in ("full-ccd.xml", "r1-1-ccd.xml", "minimal.xml", "no-namespace.xml")
]
SAMPLES = shared_files("ccda/docs/*.xml")
WHOLE = [path for path in [*OURS, *SAMPLES] if path.is_file()]
BROKEN = [path for path in SAMPLES if path.stem in UNDECLARED]


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_a_document_becomes_a_sound_bundle(path: Path) -> None:
    data = path.read_bytes()

    result = convert(data, patient_id="p1")

    bundle = result.bundle
    urls = [entry["request"]["url"] for entry in bundle["entry"]]
    assert gate.check(bundle) == []
    assert len(set(urls)) == len(urls)
    assert len({entry["fullUrl"] for entry in bundle["entry"]}) == len(urls)
    assert set(references(bundle)) <= set(urls)
    assert list(empties(bundle)) == []
    assert "Patient/p1" in urls
    assert convert(data, patient_id="p1").encoded == result.encoded


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_the_report_accounts_for_every_entry(path: Path) -> None:
    result = convert(path.read_bytes(), patient_id="p1")

    for row in result.report["sections"]:
        assert row["seen"] == row["converted"] + row["fallback"] + len(row["notUnderstood"])
        assert all(missed["xpath"].startswith("/") and missed["reason"] for missed in row["notUnderstood"])


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_prefix_that_nobody_declared_is_told(path: Path) -> None:
    issues = convert(path.read_bytes(), patient_id="p1").issues
    assert any("prefixes that nobody declared: xsi" in issue.diagnostics for issue in issues)


@pytest.mark.parametrize("form", ["document", "transaction"])
@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_the_other_forms_are_as_sound(path: Path, form: str) -> None:
    try:
        bundle = convert(path.read_bytes(), patient_id="p1", form=form, timezone="-05:00").bundle
    except NotConformant as error:
        assert form == "document" and "instant" in error.message
        return
    addresses = {entry["fullUrl"] for entry in bundle["entry"]}
    assert gate.check(bundle) == []
    assert len(addresses) == len(bundle["entry"])
    assert set(references(bundle)) <= addresses
    assert list(empties(bundle)) == []


def test_most_of_what_the_samples_hold_is_understood() -> None:
    """What today's sections cover: a fall of this share is a regression."""
    if not SAMPLES:
        pytest.skip("needs the sample documents (GATEWAY_SHARED)")
    seen = converted = fallback = 0
    for path in WHOLE:
        for row in convert(path.read_bytes(), patient_id="p1").report["sections"]:
            seen, converted = seen + row["seen"], converted + row["converted"]
            fallback += row["fallback"]
    assert converted / seen >= 0.96
    assert fallback / seen <= 0.01
