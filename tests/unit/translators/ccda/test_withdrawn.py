"""What was withdrawn (statusCode) is not told as if it held (CDA R2, ActStatus)."""

from __future__ import annotations

import pytest

from gateway.fhir import gate

from .test_moods import CODE, VACCINE, observed, statement
from .written import codes, converted, of_type, only, section

DRUG = VACCINE.replace("2.16.840.1.113883.12.292", "2.16.840.1.113883.6.88")
GONE = '<statusCode code="{}"/>'
DEAD = '<value xsi:type="CD" code="419099009" codeSystem="2.16.840.1.113883.6.96"/><effectiveTime value="2024"/>'
INNER = f'<entryRelationship typeCode="COMP">{observed("2", "EVN")}</entryRelationship>'
TAKEN = f"""<entryRelationship typeCode="SUBJ">{statement("substanceAdministration", "16", "EVN", DRUG)}
</entryRelationship>"""
POLICY = f"""<entryRelationship typeCode="COMP">{statement("act", "61", "EVN", CODE)}</entryRelationship>"""


@pytest.mark.parametrize("status", ["nullified", "cancelled", "aborted"])
@pytest.mark.parametrize(
    ("kind", "template", "inner"),
    [
        ("11450-4", "79", DEAD),
        ("29762-2", "200", '<code code="76689-9"/><value xsi:type="CD" code="F"/>'),
        ("29762-2", "506", '<code code="95370-3"/><value xsi:type="CD" code="170"/>'),
    ],
)
def test_nothing_is_said_of_the_patient(status: str, kind: str, template: str, inner: str) -> None:
    result = converted(section(kind, statement("observation", template, "EVN", f"{GONE.format(status)}{inner}")))

    assert not {"deceasedDateTime", "deceasedBoolean", "extension"} & only(result, "Patient").keys()
    assert [one for one in result.issues if one.diagnostics.startswith("withdrawn")]


@pytest.mark.parametrize("status", ["nullified", "cancelled", "aborted"])
def test_a_vaccination_that_is_planned_no_more_is_not_recommended(status: str) -> None:
    entry = statement("substanceAdministration", "120", "INT", f"{GONE.format(status)}{VACCINE}")

    result = converted(section("18776-5", entry))

    assert of_type(result, "ImmunizationRecommendation", "Immunization") == []
    assert [one for one in result.issues if one.diagnostics.startswith("withdrawn")]


@pytest.mark.parametrize(
    ("kind", "template", "inner"),
    [("10183-2", "35", TAKEN), ("62387-6", "131", INNER), ("48768-6", "60", POLICY), ("47420-5", "", INNER)],
)
def test_what_a_wrapper_holds(kind: str, template: str, inner: str) -> None:
    result = converted(section(kind, statement("act", template, "EVN", f"{GONE.format('nullified')}{inner}")))

    assert of_type(result, "MedicationRequest", "Observation", "Coverage", "Procedure") == []
    assert [one for one in result.issues if one.diagnostics.startswith("withdrawn")]


def test_a_concern_in_words() -> None:
    act = statement("act", "132", "EVN", f'<code code="75310-3"/><text>Worry</text>{GONE.format("nullified")}')

    concern = only(result := converted(section("75310-3", act)), "Condition")

    assert codes(concern["verificationStatus"])[0][1] == "entered-in-error"
    assert "clinicalStatus" not in concern
    assert gate.check(result.bundle) == []


@pytest.mark.parametrize(
    ("kind", "template", "part"), [("30954-2", "1", "2"), ("8716-3", "26", "27"), ("47420-5", "66", "67")]
)
def test_what_a_group_holds_that_was_entered_in_error(kind: str, template: str, part: str) -> None:
    coded = (f'<code code="{code}" codeSystem="2.16.840.1.113883.6.1"/>' for code in ("8480-6", "8462-4", "8302-2"))
    parts = [observed(part, "EVN", code) for code in coded]
    held = "".join(f"<component>{one}</component>" for one in parts)

    result = converted(section(kind, statement("organizer", template, "EVN", f"{GONE.format('nullified')}{held}")))

    made = of_type(result, "Observation", "DiagnosticReport")
    assert {one["status"] for one in made} == {"entered-in-error"}
