"""Functional and mental status, scales, and everything social, as observations or as facts about the patient."""

from __future__ import annotations

import pytest

from gateway.fhir import gate

from .written import codes, converted, of_type, only, section

ROOT = "2.16.840.1.113883.10.20.22.4."
SNOMED = "http://snomed.info/sct"
CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"


def observation(template: str, code: str, value: str, more: str = "", attributes: str = "") -> str:
    return f"""<observation classCode="OBS" moodCode="EVN" {attributes}><templateId root="{template}"/>
    <id root="1.1" extension="o-{template}"/>{code}<statusCode code="completed"/>{value}{more}</observation>"""


def coded(code: str) -> str:
    return f'<value xsi:type="CD" code="{code}" codeSystem="2.16.840.1.113883.6.96"/>'


def loinc(code: str) -> str:
    return f'<code code="{code}" codeSystem="2.16.840.1.113883.6.1"/>'


@pytest.mark.parametrize(
    ("kind", "template", "category"),
    [
        ("47420-5", "67", "functional-status"),
        ("47420-5", "128", "functional-status"),
        ("10190-7", "74", "cognitive-status"),
        ("29762-2", "109", "social-history"),
    ],
)
def test_a_status_is_an_observation_of_its_section(kind: str, template: str, category: str) -> None:
    time = '<effectiveTime value="20240401"/>'
    entry = observation(ROOT + template, loinc("54522-8"), time + coded("165245003"))

    result = converted(section(kind, entry))

    found = only(result, "Observation")
    assert [codes(one)[0][1] for one in found["category"]] == [category]
    assert codes(found["valueCodeableConcept"]) == [(SNOMED, "165245003")]
    assert (found["status"], found["effectiveDateTime"]) == ("final", "2024-04-01")
    assert gate.check(result.bundle) == []


@pytest.mark.parametrize(("kind", "template"), [("47420-5", "66"), ("10190-7", "75")])
def test_an_organizer_is_a_panel_of_its_members(kind: str, template: str) -> None:
    inner = observation(ROOT + "67", loinc("54522-8"), coded("165245003"))
    organizer = f"""<organizer classCode="CLUSTER" moodCode="EVN"><templateId root="{ROOT}{template}"/>
    <id root="1.1" extension="org"/><code code="d5" codeSystem="2.16.840.1.113883.6.254"/>
    <statusCode code="completed"/>
    <effectiveTime value="20240402"/><component>{inner}</component></organizer>"""

    result = converted(section(kind, organizer))

    panels = [one for one in of_type(result, "Observation") if "hasMember" in one]
    members = [one for one in of_type(result, "Observation") if "hasMember" not in one]
    assert [one["hasMember"] for one in panels] == [[{"reference": f"Observation/{members[0]['id']}"}]]
    assert members[0]["effectiveDateTime"] == "2024-04-02"
    assert codes(panels[0]["code"]) == [("urn:oid:2.16.840.1.113883.6.254", "d5")]


def test_a_scale_has_its_answers_as_members() -> None:
    answer = observation(ROOT + "86", loinc("44250-9"), '<value xsi:type="INT" value="2"/>')
    scale = observation(
        ROOT + "69",
        loinc("44249-1"),
        '<value xsi:type="INT" value="12"/>',
        f'<entryRelationship typeCode="COMP">{answer}</entryRelationship>',
    )

    result = converted(section("10190-7", scale))

    by_value = {one["valueInteger"]: one for one in of_type(result, "Observation")}
    assert by_value[12]["hasMember"] == [{"reference": f"Observation/{by_value[2]['id']}"}]
    assert "survey" in [codes(one)[0][1] for one in by_value[12]["category"]]


def test_a_functional_problem_of_r1_1_is_a_condition() -> None:
    entry = observation(ROOT + "68", loinc("75325-1"), coded("162891007"))

    assert codes(only(converted(section("47420-5", entry)), "Condition")["code"]) == [(SNOMED, "162891007")]


def test_a_negated_status_does_not_come_out_positive() -> None:
    entry = observation(ROOT + "67", loinc("54522-8"), coded("165245003"), attributes='negationInd="true"')

    result = converted(section("47420-5", entry))

    assert not of_type(result, "Observation")
    assert result.report["sections"][0]["notUnderstood"]


@pytest.mark.parametrize(
    ("template", "code", "value", "extension"),
    [
        (ROOT + "200", loinc("76689-9"), '<value xsi:type="CD" code="F"/>', {"url": "birthsex", "valueCode": "F"}),
        ("9.9", loinc("76689-9"), '<value xsi:type="CD" code="M"/>', {"url": "birthsex", "valueCode": "M"}),
        (ROOT + "507", loinc("46098-0"), coded("248152002"), {"url": "sex", "valueCode": "248152002"}),
    ],
)
def test_what_is_said_of_the_patient_himself(template: str, code: str, value: str, extension: dict[str, str]) -> None:
    patient = only(converted(section("29762-2", observation(template, code, value))), "Patient")

    assert {**extension, "url": f"{CORE}us-core-{extension['url']}"} in patient["extension"]


def test_gender_identity_and_tribe() -> None:
    identity = observation("2.16.840.1.113883.10.20.34.3.45", loinc("76691-5"), coded("446151000124109"))
    tribe = observation(
        ROOT + "506", loinc("95370-3"), '<value xsi:type="CD" code="7" codeSystem="2.16.840.1.113883.5.140"/>'
    )

    result = converted(section("29762-2", identity, tribe))

    said = {one["url"]: one for one in only(result, "Patient")["extension"]}
    assert codes(said[f"{CORE}us-core-genderIdentity"]["valueCodeableConcept"]) == [(SNOMED, "446151000124109")]
    (part,) = said[f"{CORE}us-core-tribal-affiliation"]["extension"]
    assert codes(part["valueCodeableConcept"])[0][1] == "7"
    assert not of_type(result, "Observation")
    assert gate.check(result.bundle) == []


@pytest.mark.parametrize(
    ("template", "code", "value"),
    [
        ("78", "72166-2", "8517006"),
        ("85", "11367-0", "266919005"),
        ("501", "76690-7", "20430005"),
        ("503", "11341-5", "158744004"),
        ("281", "86645-9", "454391000124103"),
    ],
)
def test_social_history_keeps_question_and_answer(template: str, code: str, value: str) -> None:
    entry = observation(ROOT + template, loinc(code), coded(value))

    found = only(converted(section("29762-2", entry)), "Observation")

    assert codes(found["code"])[0][1] == code
    assert codes(found["valueCodeableConcept"]) == [(SNOMED, value)]
    assert codes(found["category"][0])[0][1] == "social-history"


@pytest.mark.parametrize("template", ["78", "85"])
def test_what_is_asserted_of_a_smoker_is_how_much_he_smokes(template: str) -> None:
    """R1.1 says ASSERTION; "the code in FHIR should be 72166-2" (CF-social, Smoking Status and Tobacco Use)."""
    asserted = """<code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"><originalText>Tobacco use</originalText>
    </code>"""

    found = only(converted(section("29762-2", observation(ROOT + template, asserted, coded("8517006")))), "Observation")

    assert codes(found["code"]) == [("http://loinc.org", "72166-2")]
    assert found["code"]["text"] == "Tobacco use"


def test_a_fact_about_somebody_else_is_none_about_the_patient() -> None:
    subject = "<subject><relatedSubject classCode='PRS'><code code='FTH'/></relatedSubject></subject>"
    entries = [
        observation(ROOT + "38", loinc("11367-0"), coded("8517006"), subject),
        observation(ROOT + "4", loinc("75325-1"), coded("22298006"), subject),
    ]

    result = converted(section("29762-2", entries[0]), section("11450-4", entries[1]))

    assert not of_type(result, "Observation")
    assert not of_type(result, "Condition")
    assert [len(one["notUnderstood"]) for one in result.report["sections"]] == [1, 1]
    assert len([one for one in result.issues if "somebody else" in one.diagnostics]) == 2


def test_the_time_that_a_section_tells_of_is_no_result() -> None:
    entry = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}201"/>
    <code code="82607-3" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>
    <value xsi:type="IVL_TS"><low value="2020"/><high value="2024"/></value></observation>"""

    observation = only(converted(section("30954-2", entry)), "Observation")

    assert observation["valuePeriod"] == {"start": "2020", "end": "2024"}
    assert [one["coding"][0]["code"] for one in observation["category"]] == ["unknown"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('<code code="96607-7" codeSystem="2.16.840.1.113883.6.1"/>', ["96607-7"]),
        ('<code code="46680005"><translation code="96607-7"/></code>', ["46680005", "96607-7"]),
        ('<code code="46680005"><translation code="74728-7"/></code>', ["85353-1"]),
    ],
)
def test_an_average_blood_pressure_is_not_the_panel_of_all_vital_signs(code: str, expected: list[str]) -> None:
    part = """<component><observation classCode="OBS" moodCode="EVN"><code code="96608-5"/>
    <value xsi:type="PQ" value="128" unit="mm[Hg]"/></observation></component>"""
    entry = f"""<organizer classCode="CLUSTER" moodCode="EVN"><templateId root="{ROOT}26"/>
    <id root="1.1" extension="average"/>{code}{part}</organizer>"""

    found = of_type(converted(section("8716-3", entry)), "Observation")

    panel = next(one for one in found if "hasMember" in one)
    assert [one["code"] for one in panel["code"]["coding"]] == expected
