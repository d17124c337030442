"""A statement with a nullFlavor says that nobody knows of it: it never becomes the fact that it holds (CDA R2, ANY)."""

from __future__ import annotations

import pytest

from gateway.fhir import gate

from .written import codes, converted, of_type, only, section

ROOT = "2.16.840.1.113883.10.20.22.4."
SNOMED = 'codeSystem="2.16.840.1.113883.6.96"'
NULLS = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
DRUG = """<manufacturedProduct><manufacturedMaterial><code code="197361" codeSystem="2.16.840.1.113883.6.88"/>
</manufacturedMaterial></manufacturedProduct>"""


def untold(element: str, template: str, inner: str, *, flavor: str = "NI", mood: str = "EVN") -> str:
    return f"""<{element} moodCode="{mood}" nullFlavor="{flavor}"><templateId root="{template}"/>
    <id root="1.1" extension="s"/>{inner}</{element}>"""


def said(code: str, value: str) -> str:
    return f'<code code="{code}" {SNOMED}/><statusCode code="completed"/><value xsi:type="CD" code="{value}" {SNOMED}/>'


def around(template: str, inner: str) -> str:
    return f"""<act moodCode="EVN"><templateId root="{ROOT}{template}"/><statusCode code="active"/>
    <entryRelationship typeCode="SUBJ">{inner}</entryRelationship></act>"""


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("47519-4", untold("procedure", f"{ROOT}14", "<code nullFlavor='NI'/><text>No procedures</text>")),
        ("47519-4", untold("procedure", f"{ROOT}14", f'<code code="80146002" {SNOMED}/>')),
        ("47519-4", untold("act", f"{ROOT}12", f'<code code="80146002" {SNOMED}/>')),
        ("10160-0", untold("substanceAdministration", f"{ROOT}16", f"<consumable>{DRUG}</consumable>")),
        ("11369-6", untold("substanceAdministration", f"{ROOT}52", f"<consumable>{DRUG}</consumable>")),
        ("46240-8", untold("encounter", f"{ROOT}49", f'<code code="185347001" {SNOMED}/>')),
        ("18776-5", untold("act", f"{ROOT}39", f'<code code="386053000" {SNOMED}/>', mood="RQO")),
        ("11450-4", around("3", untold("observation", f"{ROOT}4", said("55607006", "38341003")))),
        ("48765-2", around("30", untold("observation", f"{ROOT}7", said("ASSERTION", "419199007")))),
        ("61146-7", untold("observation", f"{ROOT}121", said("29463-7", "1"), mood="GOL")),
        ("42348-3", untold("observation", f"{ROOT}48", said("304251008", "304253006"))),
        ("10157-6", untold("observation", f"{ROOT}46", said("64572001", "22298006"))),
    ],
)
def test_what_nobody_knows_of_is_no_resource(kind: str, entry: str) -> None:
    result = converted(section(kind, entry))

    assert {one["resource"]["resourceType"] for one in result.bundle["entry"]} == {"Patient", "Composition"}
    assert [len(one["notUnderstood"]) for one in result.report["sections"]] == [1]


def test_the_value_of_an_observation_that_nobody_knows_is_what_is_not_known() -> None:
    entry = untold("observation", f"{ROOT}2", said("718-7", "260385009"), flavor="ASKU")

    observation = only(converted(section("30954-2", entry)), "Observation")

    assert "valueCodeableConcept" not in observation
    assert codes(observation["dataAbsentReason"])[0][1] == "asked-unknown"


def test_whether_she_is_pregnant_is_not_known() -> None:
    """HL7's example "Unknown if Pregnant" has the null flavor on the observation, and the value all the same."""
    entry = untold("observation", "2.16.840.1.113883.10.20.15.3.8", said("ASSERTION", "77386006"), flavor="UNK")

    observation = only(converted(section("29762-2", entry)), "Observation")

    assert codes(observation["valueCodeableConcept"]) == [(NULLS, "UNK")]
    assert "dataAbsentReason" not in observation


def test_what_an_act_of_which_nobody_knows_holds_speaks_for_itself() -> None:
    problem = (
        f"""<observation moodCode="EVN"><templateId root="{ROOT}4"/>{said("55607006", "38341003")}</observation>"""
    )
    entry = untold("act", f"{ROOT}3", f'<entryRelationship typeCode="SUBJ">{problem}</entryRelationship>')

    result = converted(section("11450-4", entry))

    assert codes(only(result, "Condition")["code"])[0][1] == "38341003"
    assert gate.check(result.bundle) == []


def test_a_status_that_nobody_knows_is_none() -> None:
    status = untold("observation", f"{ROOT}6", said("33999-4", "55561003"), flavor="UNK")
    problem = f"""<observation moodCode="EVN"><templateId root="{ROOT}4"/>{said("55607006", "38341003")}
    <entryRelationship typeCode="REFR">{status}</entryRelationship></observation>"""

    assert "clinicalStatus" not in only(converted(section("11450-4", problem)), "Condition")


def test_a_part_that_nobody_knows_of_is_left_out() -> None:
    given = untold("substanceAdministration", f"{ROOT}16", f"<consumable>{DRUG}</consumable>")
    done = f"""<procedure moodCode="EVN"><templateId root="{ROOT}14"/><code code="80146002" {SNOMED}/>
    <entryRelationship typeCode="COMP">{given}</entryRelationship></procedure>"""

    result = converted(section("47519-4", done))

    assert of_type(result, "Procedure")
    assert not of_type(result, "MedicationRequest")


@pytest.mark.parametrize(
    ("template", "value"), [("79", "419099009"), ("200", "F"), ("507", "248152002"), ("506", "1004")]
)
@pytest.mark.parametrize("how", ['nullFlavor="UNK"', 'negationInd="true"', ""])
def test_what_is_not_told_of_the_patient_is_nothing_of_his(template: str, value: str, how: str) -> None:
    """That he is dead, of which sex and of which tribe he is; told of somebody else where it is told at all."""
    subject = "" if how else "<subject><relatedSubject classCode='PRS'><code code='MTH'/></relatedSubject></subject>"
    entry = f"""<observation moodCode="EVN" {how}><templateId root="{ROOT}{template}"/>{subject}
    {said("ASSERTION", value)}</observation>"""

    patient = only(converted(section("29762-2", entry)), "Patient")

    assert not {"extension", "deceasedBoolean", "deceasedDateTime"} & set(patient)
