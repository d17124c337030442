"""Codes and quantities of which HL7's mapping says nothing: each stands in an element that says what it is."""

from __future__ import annotations

import pytest

from .written import codes, converted, of_type, only, section

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
C_CDA = "2.16.840.1.113883.10.20.22.4."


def coded(name: str, code: str, *, root: str = "2.16.840.1.113883.6.96", kind: str = "") -> str:
    return f'<{name} {kind} code="{code}" codeSystem="{root}"/>'


def value(code: str) -> str:
    return coded("value", code, kind='xsi:type="CD"')


def result(more: str) -> str:
    return f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{C_CDA}2"/><id root="1.1" extension="r"/>
    <code code="5792-7" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>
    <effectiveTime value="20240501"/><value xsi:type="PQ" value="50" unit="mg/dL"/>{more}</observation>"""


SPECIMEN = """<specimen typeCode="SPC"><specimenRole><id root="1.6" extension="s-1"/><specimenPlayingEntity>
<code code="119376003" codeSystem="2.16.840.1.113883.6.96"/></specimenPlayingEntity></specimenRole></specimen>"""


def test_a_normal_value_that_is_a_code_keeps_its_words_and_its_code() -> None:
    normal = '<value xsi:type="CO" code="260385009" codeSystem="2.16.840.1.113883.6.96" displayName="Negative"/>'
    entry = result(f"<referenceRange><observationRange>{normal}</observationRange></referenceRange>")

    (range_,) = only(converted(section("30954-2", entry)), "Observation")["referenceRange"]

    assert range_["text"] == "Negative"
    assert codes(range_["extension"][0]["valueCodeableConcept"]) == [(SNOMED, "260385009")]


def test_the_specimen_of_a_result_is_its_own() -> None:
    told = converted(section("30954-2", result(SPECIMEN)))

    specimen = only(told, "Specimen")
    assert codes(specimen["type"]) == [(SNOMED, "119376003")]
    assert only(told, "Observation")["specimen"] == {"reference": f"Specimen/{specimen['id']}"}


def test_a_procedure_within_a_report_is_a_procedure() -> None:
    """Only one that collects a specimen is told by the specimen alone."""
    drawn = f"""<procedure classCode="PROC" moodCode="EVN"><templateId root="{C_CDA}14"/><id root="1.1" extension="p"/>
    {coded("code", "43789009")}<statusCode code="completed"/></procedure>"""
    battery = f"""<organizer classCode="BATTERY" moodCode="EVN"><templateId root="{C_CDA}1"/>
    <statusCode code="completed"/>
    <component>{result("")}</component><component>{drawn}</component></organizer>"""

    assert codes(only(converted(section("30954-2", battery)), "Procedure")["code"]) == [(SNOMED, "43789009")]


def test_what_a_procedure_showed_is_an_observation_beside_it() -> None:
    ecg = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{C_CDA}13"/><id root="1.1" extension="e"/>
    {coded("code", "268400002")}<statusCode code="completed"/><effectiveTime value="20240501"/>{value("251135002")}
    </observation>"""

    told = converted(section("47519-4", ecg))

    done, shown = only(told, "Procedure"), only(told, "Observation")
    assert shown["partOf"] == [{"reference": f"Procedure/{done['id']}"}]
    assert codes(shown["code"]) == [(SNOMED, "268400002")]
    assert codes(shown["valueCodeableConcept"]) == [(SNOMED, "251135002")]


def test_what_was_not_done_shows_nothing_and_says_why() -> None:
    reason = f"""<entryRelationship typeCode="REFR"><observation classCode="OBS" moodCode="EVN">
    <templateId root="2.16.840.1.113883.10.20.24.3.88"/><code code="77301-0" codeSystem="2.16.840.1.113883.6.1"/>
    {value("105480006")}</observation></entryRelationship>"""
    ecg = f"""<observation classCode="OBS" moodCode="EVN" negationInd="true"><templateId root="{C_CDA}13"/>
    <id root="1.1" extension="e"/>{coded("code", "268400002")}{value("251135002")}{reason}</observation>"""

    told = converted(section("47519-4", ecg))

    done = only(told, "Procedure")
    assert done["status"] == "not-done"
    assert codes(done["statusReason"]) == [(SNOMED, "105480006")]
    assert "reasonCode" not in done
    assert of_type(told, "Observation") == []


def test_a_procedure_that_failed_says_so_in_its_outcome() -> None:
    failed = f'<entryRelationship typeCode="SUBJ" inversionInd="true"><act>{coded("code", "103709008")}</act>'
    entry = f"""<procedure classCode="PROC" moodCode="EVN"><templateId root="{C_CDA}14"/><id root="1.1" extension="p"/>
    {coded("code", "73761001")}<statusCode code="aborted"/>{failed}</entryRelationship></procedure>"""

    done = only(converted(section("47519-4", entry)), "Procedure")

    assert done["status"] == "stopped"
    assert codes(done["outcome"]) == [(SNOMED, "103709008")]


def test_that_she_is_not_pregnant_is_a_value_of_its_own() -> None:
    entry = f"""<observation classCode="OBS" moodCode="EVN" negationInd="true">
    <templateId root="2.16.840.1.113883.10.20.15.3.8"/><id root="1.1" extension="p"/>
    <code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/><statusCode code="completed"/>
    <effectiveTime value="20240410"/>{value("77386006")}</observation>"""

    told = only(converted(section("29762-2", entry)), "Observation")

    assert codes(told["code"]) == [(LOINC, "82810-3")]
    assert codes(told["valueCodeableConcept"]) == [(SNOMED, "60001007")]


def test_the_rank_of_a_diagnosis_is_a_category() -> None:
    entry = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{C_CDA}4"/><id root="1.1" extension="d"/>
    <code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/>{coded("priorityCode", "8319008")}{value("195662009")}
    </observation>"""

    told = only(converted(section("11450-4", entry)), "Condition")

    assert (SNOMED, "8319008") in [code for one in told["category"] for code in codes(one)]


@pytest.mark.parametrize("outer", ["procedure", "supply"])
def test_the_code_of_an_instruction_stands_beside_what_it_is_told_with(outer: str) -> None:
    told = f"""<entryRelationship typeCode="SUBJ" inversionInd="true"><act classCode="ACT" moodCode="INT">
    <templateId root="{C_CDA}20"/>{coded("code", "171044003")}<text>Keep it dry</text><statusCode code="completed"/>
    </act></entryRelationship>"""
    entry = f"""<{outer} moodCode="EVN"><templateId root="{C_CDA}{"14" if outer == "procedure" else "50"}"/>
    <id root="1.1" extension="o"/>{coded("code", "73761001")}<statusCode code="completed"/>{told}</{outer}>"""

    asked = only(converted(section("47519-4", entry)), "ServiceRequest")

    assert codes(asked["code"]) == [(SNOMED, "171044003")]
    assert asked["patientInstruction"] == "Keep it dry"


def test_a_priority_keeps_the_code_that_it_was_told_in() -> None:
    preferred = f"""<entryRelationship typeCode="REFR"><observation classCode="OBS" moodCode="EVN">
    <templateId root="{C_CDA}143"/>{coded("code", "225773000")}{value("394849002")}
    </observation></entryRelationship>"""
    entry = f"""<observation classCode="OBS" moodCode="GOL"><templateId root="{C_CDA}121"/>
    <id root="1.1" extension="g"/>
    <code code="29463-7" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="active"/>{preferred}</observation>"""

    priority = only(converted(section("61146-7", entry)), "Goal")["priority"]

    assert codes(priority) == [
        ("http://terminology.hl7.org/CodeSystem/goal-priority", "high-priority"),
        (SNOMED, "394849002"),
    ]


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ('codeSystem="ICD9CM"', "http://hl7.org/fhir/sid/icd-9-cm"),
        ('codeSystemName="SNOMED-CT"', SNOMED),
        ('codeSystem="2.16.840.1.113883.6.90" codeSystemName="LOINC"', "http://hl7.org/fhir/sid/icd-10-cm"),
        ('codeSystem="OUR-OWN-LIST" codeSystemName="LOINC"', None),
    ],
)
def test_a_code_whose_system_is_told_by_its_name(system: str, expected: str | None) -> None:
    """Some write the name where the OID belongs, some have the name alone; the OID decides where there is one."""
    entry = result("").replace('codeSystem="2.16.840.1.113883.6.1"', system)

    ((found, code),) = codes(only(converted(section("30954-2", entry)), "Observation")["code"])

    assert (found, code) == (expected, "5792-7")


def sided(code: str, name: str, side: str, text: str = "") -> str | None:
    qualifier = f"<qualifier><name {name}/><value {side}/></qualifier>"
    system = 'codeSystem="2.16.840.1.113883.6.96"'
    site = f'<targetSiteCode code="71341001" {system} {code}>{text}{qualifier}</targetSiteCode>'
    entry = f"""<procedure classCode="PROC" moodCode="EVN"><templateId root="{C_CDA}14"/>{coded("code", "1")}{site}
    </procedure>"""
    body_site: dict[str, str] = only(converted(section("47519-4", entry)), "Procedure")["bodySite"][0]
    return body_site.get("text")


@pytest.mark.parametrize(
    ("code", "name", "side", "text", "expected"),
    [
        ('displayName="Femur"', 'displayName="Laterality"', 'displayName="Left"', "", "Femur, Laterality: Left"),
        ('displayName="Femur"', 'code="272741003"', 'displayName="Left"', "", "Femur, Left"),
        ('displayName="Femur"', 'code="272741003"', 'code="24028007"', "", "Femur, Right"),
        ("", 'code="272741003"', 'code="7771000"', "", "71341001, Left"),
        ("", 'code="272741003"', 'code="7771000"', "<originalText>femur (left)</originalText>", "femur (left)"),
        ("", 'code="272741003"', 'code="7771000"', "<originalText>cleft femur</originalText>", "cleft femur, Left"),
        ('displayName="Femur"', 'code="272741003"', 'nullFlavor="UNK" displayName="Left"', "", None),
    ],
)
def test_the_side_is_told_whatever_words_there_are(
    code: str, name: str, side: str, text: str, expected: str | None
) -> None:
    assert sided(code, name, side, text) == expected
