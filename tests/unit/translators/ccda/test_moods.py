"""What is only planned is not told as done, and what is only thought of is no fact (CDA R2, ActMood)."""

from __future__ import annotations

import pytest

from .written import Converted, converted, of_type, only, section

ROOT = "2.16.840.1.113883.10.20.22.4."
SNOMED = 'codeSystem="2.16.840.1.113883.6.96"'
CODE = f'<code code="58938008" {SNOMED}/>'
HEIGHT = '<code code="8302-2" codeSystem="2.16.840.1.113883.6.1"/>'
DONE = '<statusCode code="completed"/><effectiveTime value="20240501"/>'
PRODUCT = """<manufacturedProduct><manufacturedMaterial>{}</manufacturedMaterial></manufacturedProduct>"""
DRUG = f'<product>{PRODUCT.format("""<code code="197361" codeSystem="2.16.840.1.113883.6.88"/>""")}</product>'
VACCINE = f'<consumable>{PRODUCT.format("""<code code="88" codeSystem="2.16.840.1.113883.12.292"/>""")}</consumable>'
CHAIR = f"""<participant typeCode="PRD"><participantRole classCode="MANU"><templateId root="{ROOT}37"/>
<playingDevice>{CODE}</playingDevice></participantRole></participant>"""
WHAT_IS = (
    *("Observation", "DiagnosticReport", "Condition", "AllergyIntolerance", "MedicationDispense", "Immunization"),
    *("DeviceUseStatement", "SupplyDelivery", "Procedure", "Communication", "Consent", "Encounter"),
)


def statement(element: str, template: str, mood: str, inner: str) -> str:
    return f"""<{element} moodCode="{mood}"><templateId root="{ROOT}{template}"/><id root="1.1" extension="{template}"/>
    {inner}</{element}>"""


def observed(template: str, mood: str, code: str = HEIGHT) -> str:
    value = f'<value xsi:type="CD" code="38341003" {SNOMED}/>'
    return statement("observation", template, mood, f"{code}{DONE}{value}")


def facts(result: Converted) -> list[str]:
    return [f"{one['resourceType']} {one.get('status')}" for one in of_type(result, *WHAT_IS)]


@pytest.mark.parametrize("mood", ["INT", "RQO", "PRP", "GOL"])
@pytest.mark.parametrize(
    ("kind", "element", "template", "inner", "told"),
    [
        ("10160-0", "supply", "18", f"{DONE}{DRUG}", ["MedicationRequest"]),
        ("46264-8", "supply", "50", f'{DONE}<quantity value="2"/>{CHAIR}', ["DeviceRequest"]),
        ("11369-6", "substanceAdministration", "52", f"{DONE}{VACCINE}", ["ImmunizationRecommendation"]),
        ("30954-2", "organizer", "1", f"{HEIGHT}{DONE}", ["ServiceRequest"]),
    ],
)
def test_what_is_ahead(mood: str, kind: str, element: str, template: str, inner: str, told: list[str]) -> None:
    result = converted(section(kind, statement(element, template, mood, inner)))

    assert facts(result) == []
    assert len(of_type(result, *told)) == 1


@pytest.mark.parametrize("kind", ["30954-2", "8716-3", "47420-5"])
def test_a_group_that_is_asked_for(kind: str) -> None:
    template = {"30954-2": "1", "8716-3": "26", "47420-5": "66"}[kind]
    parts = f"<component>{observed('2', 'EVN')}</component><component>{observed('44', 'INT')}</component>"

    result = converted(section(kind, statement("organizer", template, "RQO", f"{HEIGHT}{DONE}{parts}")))

    assert facts(result) == ["Observation final"]
    assert sorted(one["intent"] for one in of_type(result, "ServiceRequest")) == ["order", "plan"]


@pytest.mark.parametrize(
    ("kind", "outer"),
    [
        ("11450-4", ("act", "3")),
        ("75310-3", ("act", "132")),
        ("48765-2", ("act", "30")),
        ("46241-6", ("act", "34")),
    ],
)
def test_what_a_concern_holds_is_told_by_its_own_mood(kind: str, outer: tuple[str, str]) -> None:
    inner = observed("7" if kind == "48765-2" else "4", "INT", CODE)
    wrapped = f'<entryRelationship typeCode="SUBJ">{inner}</entryRelationship>'

    result = converted(section(kind, statement(*outer, "EVN", f'<code code="CONC"/>{wrapped}')))

    assert facts(result) == []
    assert only(result, "ServiceRequest")["intent"] == "plan"


def test_whom_somebody_is_to_tell() -> None:
    told = only(converted(section("18776-5", statement("act", "141", "INT", f"{CODE}{DONE}"))), "Communication")

    assert told["status"] == "preparation"


def test_a_supply_is_ordered_whatever_the_mood_of_the_order() -> None:
    supply = f"""<entryRelationship typeCode="REFR">{statement("supply", "17", "RQO", '<quantity value="30"/>')}
    </entryRelationship>"""
    drug = DRUG.replace("product>", "consumable>", 1).replace("</product>", "</consumable>")
    entry = statement("substanceAdministration", "16", "INT", f"{drug}{supply}")

    assert only(converted(section("10160-0", entry)), "MedicationRequest")["dispenseRequest"]["quantity"]["value"] == 30


@pytest.mark.parametrize("mood", ["DEF", "EVN.CRT", "EXPEC", "RSK"])
@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("11450-4", observed("4", "@")),
        ("30954-2", observed("2", "@")),
        ("30954-2", statement("organizer", "1", "EVN", f"<component>{observed('2', '@')}</component>")),
        ("8716-3", statement("organizer", "26", "EVN", f"<component>{observed('27', '@')}</component>")),
        ("47519-4", statement("procedure", "14", "@", f"{CODE}{DONE}")),
        ("11369-6", statement("substanceAdministration", "52", "@", f"{DONE}{VACCINE}")),
        ("42349-1", statement("act", "", "@", f"{CODE}{DONE}")),
    ],
)
def test_what_is_only_thought_of(mood: str, kind: str, entry: str) -> None:
    result = converted(section(kind, entry.replace("@", mood)))

    made = {one["resource"]["resourceType"] for one in result.bundle["entry"]}
    assert made <= {"Patient", "Composition", "Organization", "Provenance"}
    assert [one for one in result.issues if one.diagnostics.startswith("a definition or criterion")]


def within(inner: str, kind: str = "SUBJ") -> str:
    return f'<entryRelationship typeCode="{kind}">{inner}</entryRelationship>'


@pytest.mark.parametrize("mood", ["INT", "DEF"])
def test_a_directive_that_is_only_planned(mood: str) -> None:
    entry = statement("organizer", "108", "EVN", f"<component>{observed('48', mood)}</component>")

    result = converted(section("42348-3", entry))

    assert of_type(result, "Consent") == []
    assert len(of_type(result, "ServiceRequest")) == (mood == "INT")


@pytest.mark.parametrize("mood", ["INT", "DEF"])
def test_a_reaction_that_nobody_had(mood: str) -> None:
    allergy = f"{CODE}{DONE}<value xsi:type='CD' code='91935009' {SNOMED}/>{within(observed('9', mood), 'MFST')}"

    result = converted(section("48765-2", statement("observation", "7", "EVN", allergy)))

    assert "reaction" not in only(result, "AllergyIntolerance")
    assert [one for one in result.issues if one.code == "not-supported"] or of_type(result, "ServiceRequest")


def test_a_status_that_is_only_thought_of() -> None:
    status = within(observed("6", "DEF", '<code code="33999-4"/>').replace("38341003", "413322009"), "REFR")
    problem = f"{CODE}<value xsi:type='CD' code='38341003' {SNOMED}/>{status}"

    result = converted(section("11450-4", statement("observation", "4", "EVN", problem)))

    assert "clinicalStatus" not in only(result, "Condition")
    assert [one for one in result.issues if one.diagnostics.startswith("a definition or criterion")]


def test_what_a_relative_has_not_had() -> None:
    kin = '<subject><relatedSubject classCode="PRS"><code code="FTH"/></relatedSubject></subject>'
    entry = statement("organizer", "45", "EVN", f"{kin}<component>{observed('46', 'INT')}</component>")

    result = converted(section("10157-6", entry))

    assert "condition" not in only(result, "FamilyMemberHistory")
    assert [one for one in result.issues if one.diagnostics.startswith("what a relative has not had")]


@pytest.mark.parametrize(("template", "mood"), [("2.16.840.1.113883.10.20.1.20", "DEF"), (f"{ROOT}60", "EVN")])
def test_a_coverage_is_told_in_the_mood_that_its_template_has(template: str, mood: str):
    policy = f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}61"/><id root="1.2" extension="POL"/>
        <code code="MB" codeSystem="2.16.840.1.113883.6.255.1336"/><statusCode code="completed"/></act>"""
    activity = f"""<act classCode="ACT" moodCode="{mood}"><templateId root="{template}"/><id root="1.2" extension="A"/>
        <code code="48768-6" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>
        <entryRelationship typeCode="COMP">{policy}</entryRelationship></act>"""
    result = converted(section("48768-6", activity))
    assert only(result, "Coverage")["identifier"][0]["value"] == "POL"
