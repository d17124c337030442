"""What `--stats` counts as kept, lost and invented: a Bundle that is changed by hand is found out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.commands.convert_stats import measure_folder
from gateway.commands.convert_stats.kept import Measure, measure
from gateway.commands.convert_stats.source import read
from tests.conftest import ROOT
from tests.unit.translators.ccda.written import converted, document, section

XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
RESULT = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.2"/>
<id root="1.2.3" extension="r1"/><code code="2345-7" codeSystem="2.16.840.1.113883.6.1" displayName="Glucose"/>
<statusCode code="completed"/><effectiveTime value="20240102"/><value xsi:type="PQ" {XSI} value="95" unit="mg/dL"/>
</observation>"""
ORGANIZER = f"""<organizer classCode="BATTERY" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.1"/>
<id root="1.2.3" extension="o1"/><code code="24323-8" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>
<component>{RESULT}</component></organizer>"""
SECTION = section("30954-2", ORGANIZER)


def measured(change: Callable[[dict[str, Any]], None]) -> Measure:
    """The measure of a document with one result, whose Observation was changed."""
    bundle = converted(SECTION).bundle
    change(next(one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "Observation"))
    data = document(SECTION)
    return measure(read(data), bundle, data)


def lost(found: Measure) -> set[tuple[str, str]]:
    return {key for key in found.lost if key[0] != "header"}


def test_what_the_converter_kept_is_found() -> None:
    found = measured(lambda observation: None)

    assert lost(found) == set()
    assert found.invented == {}
    assert found.seen["statement"] == found.kept["statement"] == 2
    assert found.seen["narrative"] == found.kept["narrative"] == 2


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda body: body.pop("valueQuantity"), "value (quantity)"),
        (lambda body: body["valueQuantity"].update(value=59), "value (quantity)"),
        (lambda body: body["valueQuantity"].update(unit="g", code="g"), "value (quantity)"),
        (lambda body: body.pop("effectiveDateTime"), "effectiveTime (date)"),
        (lambda body: body["code"]["coding"][0].update(code="2345-8"), "code (code)"),
        (lambda body: body.pop("identifier"), "id (id)"),
        (lambda body: body.update(note=[body.pop("valueQuantity")]), "value (quantity)"),
    ],
)
def test_a_fact_that_is_missing_or_stands_elsewhere_is_lost(change: Any, part: str) -> None:
    assert ("Result", part) in lost(measured(change))


def test_a_resource_of_another_patient_keeps_nothing() -> None:
    found = measured(lambda body: body.update(subject={"reference": "Patient/other"}))

    assert ("Result", " (statement)") in lost(found)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda body: body.update(effectiveDateTime="2024-01-02T00:00:00Z"), "date"),
        (lambda body: body["valueQuantity"].update(value=96), "number"),
        (lambda body: body["code"]["coding"].append({"system": "http://loinc.org", "code": "9-9"}), "code"),
        (lambda body: body["identifier"].append({"value": "r2"}), "id"),
    ],
)
def test_a_value_without_a_source_is_invented(change: Any, what: str) -> None:
    assert [one.split()[0] for one in measured(change).invented] == [what]


def _of(entry: str, code: str) -> Measure:
    told = section(code, entry)
    data = document(told)
    return measure(read(data), converted(told).bundle, data)


def test_what_stands_in_an_extension_of_an_element_does_not_count() -> None:
    """A normal value that is a code: R4 has room for its words alone."""
    negative = (
        f'<value xsi:type="CO" {XSI} code="260385009" codeSystem="2.16.840.1.113883.6.96" displayName="Negative"/>'
    )
    ranged = RESULT.replace("</observation>", f"<referenceRange><observationRange>{negative}</observationRange>")

    assert lost(_of(f"{ranged}</referenceRange></observation>", "30954-2")) == {("Result", "referenceRange (code)")}


def test_no_known_problem_is_kept_by_the_code_that_says_so() -> None:
    problem = f"""<observation classCode="OBS" moodCode="EVN" negationInd="true">
    <templateId root="2.16.840.1.113883.10.20.22.4.4"/><id root="1.2.3" extension="none"/>
    <code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/>
    <value xsi:type="CD" {XSI} code="55607006" codeSystem="2.16.840.1.113883.6.96"/></observation>"""

    found = _of(problem, "11450-4")

    assert lost(found) == set()
    assert found.kept["negation"] == found.seen["negation"] == 1


def test_a_folder_is_measured(tmp_path: Path) -> None:
    (tmp_path / "one.xml").write_bytes((ROOT / "fixtures/ccda/full-ccd.xml").read_bytes())
    (tmp_path / "two.xml").write_bytes(b"<nothing/>")

    found = measure_folder(tmp_path)

    assert found.documents == 2
    assert [*found.refused] == ["two.xml"]
    assert found.to_json()["invented"] == []
    assert found.to_json()["kept"]["narrative"]["kept"] == found.to_json()["kept"]["narrative"]["seen"] > 0


def stated(*entries: str, code: str) -> Measure:
    """The measure of a document with these entries."""
    held = section(code, *entries)
    return measure(read(document(held)), converted(held).bundle, document(held))


def pregnancy(extension: str, attributes: str = "") -> str:
    return f"""<observation classCode="OBS" moodCode="EVN" {attributes}>
    <templateId root="2.16.840.1.113883.10.20.15.3.8"/><id root="1.2.3" extension="{extension}"/>
    <code code="ASSERTION"/><statusCode code="completed"/><effectiveTime value="20240102"/>
    <value xsi:type="CD" {XSI} code="77386006" codeSystem="2.16.840.1.113883.6.96"/></observation>"""


def test_not_pregnant_is_the_contrary_and_the_pregnancy_beside_it_is_another_statement() -> None:
    found = stated(pregnancy("p1"), pregnancy("p2", 'negationInd="true"'), code="29762-2")

    assert lost(found) == set()
    assert found.kept["negation"] == found.seen["negation"] == 1


@pytest.mark.parametrize("when", ["2024-01-02T10:30:00Z", "20240102T10:30:00Z", "2024-01-02"])
def test_a_time_in_the_form_of_xml_is_not_invented(when: str) -> None:
    entry = RESULT.replace("20240102", when)

    assert stated(entry, code="30954-2").invented == {}


def test_a_dose_of_one_is_a_number_without_a_unit() -> None:
    entry = """<substanceAdministration classCode="SBADM" moodCode="EVN">
    <templateId root="2.16.840.1.113883.10.20.22.4.16"/><id root="1.2.3" extension="m"/><statusCode code="active"/>
    <doseQuantity value="30" unit="1"><translation value="30"><originalText>mg</originalText></translation>
    </doseQuantity><consumable><manufacturedProduct><manufacturedMaterial>
    <code code="197361" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial></manufacturedProduct></consumable>
    </substanceAdministration>"""

    assert lost(stated(entry, code="10160-0")) == set()
