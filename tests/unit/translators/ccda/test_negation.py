"""What is negated is never told as so: not done, refuted or left to the narrative, of every kind of statement."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.fhir import gate

from .written import codes, converted, of_type, only, section

ROOT = "2.16.840.1.113883.10.20.22.4."
CODE = '<code code="58938008" codeSystem="2.16.840.1.113883.6.96"/>'
CHAIR = f"""<participant typeCode="PRD"><participantRole classCode="MANU"><templateId root="{ROOT}37"/>
<id root="1.1" extension="c"/><playingDevice>{CODE}</playingDevice></participantRole></participant>"""
DRUG = f"""<product><manufacturedProduct><templateId root="{ROOT}23"/><manufacturedMaterial>
<code code="197361" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial></manufacturedProduct></product>"""
PROBLEM = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}4"/>
<value xsi:type="CD" code="38341003" codeSystem="2.16.840.1.113883.6.96"/></observation>"""
ALLERGY = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}7"/>
<value xsi:type="CD" code="419199007" codeSystem="2.16.840.1.113883.6.96"/></observation>"""


def negated(element: str, template: str, inner: str, mood: str = "EVN") -> str:
    return f"""<{element} moodCode="{mood}" negationInd="true"><templateId root="{ROOT}{template}"/>
    <id root="1.1" extension="s"/>{inner}</{element}>"""


def said(template: str, code: str, value: str) -> str:
    return negated("observation", template, f'<code code="{code}"/><value xsi:type="CD" code="{value}"/>')


POLICY = f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}60"/>
<entryRelationship typeCode="COMP">{negated("act", "61", CODE)}</entryRelationship></act>"""


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("46264-8", negated("supply", "50", CHAIR)),
        ("18776-5", negated("supply", "43", CHAIR, "RQO")),
        ("10160-0", negated("supply", "18", f'<statusCode code="completed"/>{DRUG}')),
        ("48768-6", POLICY),
        ("75310-3", negated("act", "132", '<code code="75310-3"/><text>Worries about work</text>')),
        ("29762-2", said("200", "76689-9", "F")),
        ("29762-2", said("507", "46098-0", "248152002")),
        ("29762-2", said("506", "95370-3", "1004")),
    ],
)
def test_what_fhir_cannot_deny_is_left_to_the_narrative(kind: str, entry: str) -> None:
    result = converted(section(kind, entry))

    made = {one["resource"]["resourceType"] for one in result.bundle["entry"]}
    assert made <= {"Patient", "Composition", "Organization"}
    assert "extension" not in only(result, "Patient")
    assert [one for one in result.issues if one.diagnostics.startswith("negated")]
    assert gate.check(result.bundle) == []


@pytest.mark.parametrize(("template", "mood"), [("49", "EVN"), ("40", "INT")])
def test_a_visit_that_did_not_take_place(template: str, mood: str) -> None:
    entry = negated("encounter", template, f'{CODE}<effectiveTime value="20240501"/>', mood)

    assert only(converted(section("46240-8", entry)), "Encounter")["status"] == "cancelled"


def test_what_was_not_told() -> None:
    communication = only(converted(section("62387-6", negated("act", "141", CODE))), "Communication")

    assert communication["status"] == "not-done"


def test_a_concern_that_is_none_is_refuted() -> None:
    concern = only(converted(section("75310-3", negated("act", "132", CODE))), "Condition")

    assert codes(concern["verificationStatus"])[0][1] == "refuted"


def test_a_negated_concern_negates_its_problem() -> None:
    entry = negated("act", "3", f'<entryRelationship typeCode="SUBJ">{PROBLEM}</entryRelationship>')

    condition = only(converted(section("11450-4", entry)), "Condition")

    assert codes(condition["code"])[0][1] == "38341003"
    assert codes(condition["verificationStatus"])[0][1] == "refuted"


def test_a_negated_concern_negates_its_allergy() -> None:
    entry = negated("act", "30", f'<entryRelationship typeCode="SUBJ">{ALLERGY}</entryRelationship>')

    (allergy,) = of_type(converted(section("48765-2", entry)), "AllergyIntolerance")

    assert codes(allergy["code"])[0][1] == "716186003"


REACTION = '<value xsi:type="CD" code="{}" codeSystem="2.16.840.1.113883.6.96"/>'
WHY = negated("observation", "19", REACTION.format("233604007"))
HIVES = negated("observation", "9", REACTION.format("247472004"))
ITCHING = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}9"/>{REACTION.format("418290006")}
</observation>"""


def within(kind: str, inner: str) -> str:
    return f'<entryRelationship typeCode="{kind}">{inner}</entryRelationship>'


def denied_in_words(flavor: str, words: str) -> dict[str, Any]:
    substance = f"""<participant typeCode="CSM"><participantRole><playingEntity><code nullFlavor="{flavor}">
    <originalText>{words}</originalText></code></playingEntity></participantRole></participant>"""
    entry = ALLERGY.replace("<observation ", '<observation negationInd="true" ')
    told = converted(section("48765-2", entry.replace("</observation>", f"{substance}</observation>")))
    return only(told, "AllergyIntolerance")


def test_an_allergy_to_nothing_in_words() -> None:
    """A null code is no substance, whatever words it has: it is any (CF-allergies, CF-NoKnownAllergies)."""
    assert codes(denied_in_words("NA", "No known allergies")["code"])[0][1] == "716186003"


def test_an_allergy_that_is_denied_to_what_has_no_code() -> None:
    (risk,) = denied_in_words("OTH", "Grandma's soap")["extension"]

    assert risk["extension"][0]["valueCodeableConcept"] == {"text": "Grandma's soap"}


def test_a_reaction_that_did_not_occur_is_none() -> None:
    told = f"<text>Allergic to latex</text>{within('MFST', HIVES)}{within('MFST', ITCHING)}"
    entry = ALLERGY.replace("</observation>", f"{told}</observation>")

    allergy = only(converted(section("48765-2", entry)), "AllergyIntolerance")

    assert [codes(one["manifestation"][0])[0][1] for one in allergy["reaction"]] == ["418290006"]


@pytest.mark.parametrize(
    ("kind", "entry", "made"),
    [
        ("47519-4", f'<procedure moodCode="EVN"><templateId root="{ROOT}14"/>{CODE}', "Procedure"),
        ("46240-8", f'<encounter moodCode="EVN"><templateId root="{ROOT}49"/>{CODE}', "Encounter"),
        ("18776-5", f'<procedure moodCode="RQO"><templateId root="{ROOT}41"/>{CODE}', "ServiceRequest"),
    ],
)
def test_what_was_no_reason_is_none(kind: str, entry: str, made: str) -> None:
    ending = entry[1:].split(" ", 1)[0]

    found = only(converted(section(kind, f"{entry}{within('RSON', WHY)}</{ending}>")), made)

    assert "reasonCode" not in found


def test_what_did_not_come_of_it_is_no_outcome() -> None:
    outcome = within("OUTC", negated("observation", "2", REACTION.format("385669000")))
    entry = f'<procedure moodCode="EVN"><templateId root="{ROOT}14"/>{CODE}{outcome}</procedure>'

    assert "outcome" not in only(converted(section("47519-4", entry)), "Procedure")


def test_a_relative_who_is_not_dead() -> None:
    alive = within("CAUS", negated("observation", "47", REACTION.format("419099009")))
    entry = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}46"/>
    {REACTION.format("22298006")}{alive}</observation>"""

    history = only(converted(section("10157-6", entry)), "FamilyMemberHistory")

    assert "deceasedBoolean" not in history
    assert "contributedToDeath" not in history["condition"][0]


GIVEN = """<substanceAdministration moodCode="EVN"><consumable><manufacturedProduct><manufacturedMaterial>
<code code="197361" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial></manufacturedProduct></consumable>
</substanceAdministration>"""
DONE = f'<procedure moodCode="EVN"><templateId root="{ROOT}14"/>{CODE}</procedure>'


@pytest.mark.parametrize(
    ("kind", "template", "inner"),
    [
        ("10183-2", "35", within("SUBJ", GIVEN)),
        ("48768-6", "60", within("COMP", POLICY.replace('negationInd="true"', ""))),
        ("62387-6", "131", within("COMP", DONE)),
        ("47519-4", "9999", within("COMP", DONE)),
    ],
)
def test_what_a_negated_act_holds_is_not_so(kind: str, template: str, inner: str) -> None:
    result = converted(section(kind, negated("act", template, inner)))

    assert {one["resource"]["resourceType"] for one in result.bundle["entry"]} == {"Patient", "Composition"}


@pytest.mark.parametrize(
    ("value", "code", "refuted"),
    [
        ('nullFlavor="NA"><originalText>No known problems</originalText>', "160245001", False),
        ('nullFlavor="OTH"><originalText>Grandma\'s curse</originalText>', None, True),
    ],
)
def test_a_problem_that_is_denied_in_words(value: str, code: str | None, *, refuted: bool) -> None:
    entry = negated("observation", "4", f'<value xsi:type="CD" {value}</value>')

    condition = only(converted(section("11450-4", entry)), "Condition")

    assert [one for _, one in codes({"coding": [], **condition["code"]})] == ([code] if code else [])
    assert ("verificationStatus" in condition) == refuted


def test_that_nothing_was_implanted_makes_no_device() -> None:
    device = f"""<participant typeCode="DEV"><participantRole classCode="MANU"><templateId root="{ROOT}37"/>
    <id nullFlavor="NA" root="2.16.840.1.113883.3.3719"/><playingDevice>{CODE}</playingDevice>
    </participantRole></participant>"""
    entry = f"""<procedure classCode="PROC" moodCode="EVN" negationInd="true"><templateId root="{ROOT}14"/>
    <code code="71388002"/><statusCode code="completed"/>{device}</procedure>"""

    result = converted(section("46264-8", entry))

    procedure = only(result, "Procedure")
    assert procedure["status"] == "not-done"
    assert [codes(one)[0][1] for one in procedure["usedCode"]] == ["58938008"]
    assert not of_type(result, "Device")


def part(template: str, code: str, value: str) -> str:
    return f'<entryRelationship typeCode="SUBJ">{said(template, code, value)}</entryRelationship>'


SEVERE, RESOLVED = part("8", "SEV", "24484000"), part("6", "33999-4", "413322009")
AGED = f"""<entryRelationship typeCode="SUBJ">{
    negated("observation", "31", '<code code="445518008"/><value xsi:type="PQ" value="57" unit="a"/>')
}</entryRelationship>"""
DUE = f"""<entryRelationship typeCode="REFR">{
    negated("observation", "", '<code code="11778-8"/><value xsi:type="TS" value="20241201"/>')
}</entryRelationship>"""
FAILED = f"""<entryRelationship typeCode="COMP">{
    negated("act", "", '<code code="103709008" codeSystem="2.16.840.1.113883.6.96"/>')
}</entryRelationship>"""


@pytest.mark.parametrize(
    ("kind", "entry", "element", "untrue"),
    [
        ("11450-4", PROBLEM.replace("</observation>", f"{SEVERE}</observation>"), "Condition", "severity"),
        ("11450-4", PROBLEM.replace("</observation>", f"{RESOLVED}</observation>"), "Condition", "clinicalStatus"),
        ("11450-4", PROBLEM.replace("</observation>", f"{AGED}</observation>"), "Condition", "onsetAge"),
        (
            "48765-2",
            ALLERGY.replace("419199007", "91935009").replace(
                "</observation>", f"{part('145', '82606-5', 'CRITH')}</observation>"
            ),
            "AllergyIntolerance",
            "criticality",
        ),
        (
            "29762-2",
            PROBLEM.replace(f"{ROOT}4", f"{ROOT}293").replace("</observation>", f"{DUE}</observation>"),
            "Observation",
            "component",
        ),
        (
            "47519-4",
            f'<procedure moodCode="EVN"><templateId root="{ROOT}14"/>{CODE}{FAILED}</procedure>',
            "Procedure",
            "outcome",
        ),
    ],
)
def test_a_part_that_is_denied_is_not_told_as_so(kind: str, entry: str, element: str, untrue: str) -> None:
    result = converted(section(kind, entry))

    assert untrue not in only(result, element)
    assert [one for one in result.issues if one.diagnostics.startswith("negated")]


def test_what_a_relative_is_denied_to_have_had() -> None:
    had = PROBLEM.replace(f"{ROOT}4", f"{ROOT}46").replace("</observation>", f"{AGED}</observation>")
    kin = '<subject><relatedSubject classCode="PRS"><code code="FTH"/></relatedSubject></subject>'
    entry = f"""<organizer moodCode="EVN"><templateId root="{ROOT}45"/>{kin}<component>{had}</component></organizer>"""

    result = converted(section("10157-6", entry))

    assert "onsetAge" not in only(result, "FamilyMemberHistory")["condition"][0]
    assert [one for one in result.issues if one.diagnostics.startswith("negated")]


def test_an_instruction_that_is_denied_is_not_given() -> None:
    told = negated("act", "20", f"{CODE}<text>Take with food</text>", "INT")
    drug = DRUG.replace("product>", "consumable>")
    entry = f"""<substanceAdministration moodCode="INT"><templateId root="{ROOT}16"/>{drug}
    <entryRelationship typeCode="SUBJ">{told}</entryRelationship></substanceAdministration>"""

    result = converted(section("10160-0", entry))

    assert "dosageInstruction" not in only(result, "MedicationRequest")
    assert only(result, "ServiceRequest")["doNotPerform"] is True
    assert only(result, "ServiceRequest")["patientInstruction"] == "Take with food"


def test_a_negated_diagnosis_of_a_visit_is_refuted() -> None:
    act = negated(
        "act", "80", f'<code code="29308-4"/><entryRelationship typeCode="SUBJ">{PROBLEM}</entryRelationship>'
    )
    entry = f"""<encounter moodCode="EVN"><templateId root="{ROOT}49"/><id root="1.2" extension="e"/>
    <entryRelationship typeCode="COMP">{act}</entryRelationship></encounter>"""

    result = converted(section("46240-8", entry))

    assert only(result, "Condition")["verificationStatus"]["coding"][0]["code"] == "refuted"
    assert [one for one in result.issues if one.diagnostics.startswith("negated")] == []
