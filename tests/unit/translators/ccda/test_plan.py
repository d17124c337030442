"""What is planned, aimed at and feared: requests, goals, concerns, interventions; none of it has happened."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.fhir import gate

from .written import codes, converted, of_type, only, section

ROOT = "2.16.840.1.113883.10.20.22.4."
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
ECG = '<code code="29303009" codeSystem="2.16.840.1.113883.6.96" displayName="Electrocardiogram"/>'
AUTHOR = """<author><time value="20240430101500-0500"/><assignedAuthor>
    <id root="2.16.840.1.113883.4.6" extension="99"/>
<assignedPerson><name><given>Ida</given><family>Writer</family></name></assignedPerson></assignedAuthor></author>"""


def planned(element: str, template: str, mood: str, inner: str, attributes: str = "") -> str:
    return f"""<{element} classCode="ACT" moodCode="{mood}" {attributes}><templateId root="{ROOT}{template}"/>
    <id root="1.1" extension="plan-1"/>{inner}</{element}>"""


@pytest.mark.parametrize(
    ("element", "template", "mood", "intent"),
    [
        ("observation", "44", "INT", "plan"),
        ("observation", "44", "RQO", "order"),
        ("act", "39", "PRP", "proposal"),
        ("procedure", "41", "PRMS", "directive"),
        ("act", "140", "RQO", "order"),
        ("act", "130", "INT", "plan"),
    ],
)
def test_what_is_planned_is_a_service_request(element: str, template: str, mood: str, intent: str) -> None:
    inner = f'{ECG}<statusCode code="active"/><effectiveTime value="20240610"/><priorityCode code="UR"/>{AUTHOR}'

    result = converted(section("18776-5", planned(element, template, mood, inner)))

    request = only(result, "ServiceRequest")
    assert codes(request["code"]) == [(SNOMED, "29303009")]
    assert (request["status"], request["intent"], request["priority"]) == ("active", intent, "urgent")
    assert request["occurrenceDateTime"] == "2024-06-10"
    assert request["authoredOn"] == "2024-04-30T10:15:00-05:00"
    assert request["requester"]["reference"].startswith("Practitioner/")
    assert request["subject"] == {"reference": "Patient/p1"}
    assert "doNotPerform" not in request
    assert not of_type(result, "Procedure")
    assert gate.check(result.bundle) == []


def test_what_is_not_to_be_done_says_so() -> None:
    entry = planned("procedure", "41", "RQO", f'{ECG}<statusCode code="active"/>', 'negationInd="true"')

    assert only(converted(section("18776-5", entry)), "ServiceRequest")["doNotPerform"] is True


def test_a_planned_procedure_keeps_reason_instruction_and_preference() -> None:
    inner = f"""{ECG}<statusCode code="active"/>
    <entryRelationship typeCode="RSON"><observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}19"/>
    <value xsi:type="CD" code="29857009" codeSystem="2.16.840.1.113883.6.96"/></observation></entryRelationship>
    <entryRelationship typeCode="REFR"><observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}143"/>
    <code code="225773000" codeSystem="2.16.840.1.113883.6.96"/>
    <value xsi:type="CD" code="394849002" codeSystem="2.16.840.1.113883.6.96"/></observation></entryRelationship>
    <entryRelationship typeCode="SUBJ"><act classCode="ACT" moodCode="INT"><templateId root="{ROOT}20"/>
    <text>Come fasting</text></act></entryRelationship>"""

    result = converted(section("18776-5", planned("procedure", "41", "RQO", inner)))

    request = only(result, "ServiceRequest")
    preference = only(result, "Observation")
    assert codes(request["reasonCode"][0]) == [(SNOMED, "29857009")]
    assert request["patientInstruction"] == "Come fasting"
    assert request["supportingInfo"] == [{"reference": f"Observation/{preference['id']}"}]
    assert codes(preference["valueCodeableConcept"]) == [(SNOMED, "394849002")]


def test_a_plan_that_names_nothing_is_what_has_its_id_within() -> None:
    inner = f"""<entryRelationship typeCode="REFR"><procedure classCode="PROC" moodCode="EVN">
    <templateId root="{ROOT}14"/><id root="1.1" extension="plan-1"/>{ECG}<statusCode code="active"/></procedure>
    </entryRelationship>"""

    result = converted(section("18776-5", planned("procedure", "41", "RQO", inner)))

    request = only(result, "ServiceRequest")
    assert (request["intent"], request["status"]) == ("order", "active")
    assert codes(request["code"]) == [(SNOMED, "29303009")]
    assert not of_type(result, "Procedure")


def test_a_planned_encounter_did_not_happen() -> None:
    inner = '<code code="185349003" codeSystem="2.16.840.1.113883.6.96"/><effectiveTime value="20240701"/>'

    encounter = only(converted(section("18776-5", planned("encounter", "40", "INT", inner))), "Encounter")

    assert encounter["status"] == "planned"
    assert encounter["period"] == {"start": "2024-07-01"}
    assert codes(encounter["type"][0]) == [(SNOMED, "185349003")]


def test_a_planned_immunization_is_a_recommendation() -> None:
    vaccine = '<code code="140" codeSystem="2.16.840.1.113883.12.292"/>'
    inner = f"""<statusCode code="active"/><effectiveTime value="20241001"/><consumable><manufacturedProduct>
    <manufacturedMaterial>{vaccine}</manufacturedMaterial></manufacturedProduct></consumable>{AUTHOR}"""

    result = converted(section("18776-5", planned("substanceAdministration", "120", "INT", inner)))

    (wanted,) = only(result, "ImmunizationRecommendation")["recommendation"]
    assert codes(wanted["vaccineCode"][0]) == [("http://hl7.org/fhir/sid/cvx", "140")]
    assert wanted["dateCriterion"][0]["value"] == "2024-10-01"
    assert not of_type(result, "Immunization")
    assert gate.check(result.bundle) == []


@pytest.mark.parametrize("status", ["active", "completed"])
def test_an_immunization_that_is_intended_was_not_given(status: str) -> None:
    """Nor was it refused: the Immunization Activity has both moods (C-CDA R2.1)."""
    vaccine = '<code code="140" codeSystem="2.16.840.1.113883.12.292"/>'
    inner = f"""<statusCode code="{status}"/><effectiveTime value="20241001"/><repeatNumber value="2"/><consumable>
    <manufacturedProduct><manufacturedMaterial>{vaccine}</manufacturedMaterial></manufacturedProduct></consumable>"""

    result = converted(section("11369-6", planned("substanceAdministration", "52", "INT", inner)))

    (wanted,) = only(result, "ImmunizationRecommendation")["recommendation"]
    assert (wanted["dateCriterion"][0]["value"], wanted["doseNumberPositiveInt"]) == ("2024-10-01", 2)
    assert not of_type(result, "Immunization")


def test_a_planned_medication_is_a_request() -> None:
    inner = """<statusCode code="active"/><consumable><manufacturedProduct><manufacturedMaterial>
    <code code="197361" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial></manufacturedProduct>
    </consumable>"""

    result = converted(section("18776-5", planned("substanceAdministration", "42", "INT", inner)))

    request = only(result, "MedicationRequest")
    assert (request["intent"], request["status"]) == ("order", "active")
    assert not of_type(result, "MedicationAdministration")


def goal(inner: str, *, template: str = "121", mood: str = "GOL") -> str:
    return planned("observation", template, mood, inner)


@pytest.mark.parametrize(("code", "template"), [("61146-7", "121"), ("18776-5", "44")])
def test_a_goal_has_what_is_measured_and_what_is_to_be_reached(code: str, template: str) -> None:
    inner = f"""<code code="4548-4" codeSystem="2.16.840.1.113883.6.1" displayName="HbA1c"/>
    <statusCode code="active"/>
    <effectiveTime><low value="20240501"/><high value="20241101"/></effectiveTime>
    <value xsi:type="PQ" value="6.50" unit="%"/>{AUTHOR}
    <entryRelationship typeCode="RSON"><observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}143"/>
    <value xsi:type="CD" code="394849002" codeSystem="2.16.840.1.113883.6.96"/></observation></entryRelationship>"""

    result = converted(section(code, goal(inner, template=template)))

    aim = only(result, "Goal")
    (target,) = aim["target"]
    assert aim["lifecycleStatus"] == "active"
    assert codes(aim["description"]) == [(LOINC, "4548-4")]
    assert (aim["startDate"], target["dueDate"]) == ("2024-05-01", "2024-11-01")
    assert target["detailQuantity"]["value"] == Decimal("6.50")
    assert codes(aim["priority"])[0][1] == "high-priority"
    assert aim["expressedBy"]["reference"].startswith("Practitioner/")
    assert not of_type(result, "Observation"), "a goal is no measurement"
    assert gate.check(result.bundle) == []


CONCERN = f"""<entryRelationship typeCode="RSON"><act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}132"/>
<code code="75310-3" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="active"/><entryRelationship typeCode="REFR">
<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}4"/><value xsi:type="CD" code="13645005"
codeSystem="2.16.840.1.113883.6.96"/></observation></entryRelationship></act></entryRelationship>"""


def test_the_concern_for_which_there_is_a_goal_is_told_and_addressed() -> None:
    code = '<code code="59408-5" codeSystem="2.16.840.1.113883.6.1"/>'

    result = converted(section("61146-7", goal(code + CONCERN)))

    concern = only(result, "Condition")
    assert codes(concern["code"])[0][1] == "13645005"
    assert only(result, "Goal")["addresses"] == [{"reference": f"Condition/{concern['id']}"}]


def test_the_concern_for_which_something_is_ordered_is_told_beside_it() -> None:
    code = '<code code="59408-5" codeSystem="2.16.840.1.113883.6.1"/>'

    result = converted(section("18776-5", planned("observation", "44", "RQO", code + CONCERN)))

    order = only(result, "ServiceRequest")
    assert order["supportingInfo"] == [{"reference": f"Condition/{only(result, 'Condition')['id']}"}]
    assert "reasonCode" not in order


def test_a_negated_goal_is_none() -> None:
    entry = planned("observation", "121", "GOL", f'{ECG}<value xsi:type="ST">walk</value>', 'negationInd="true"')

    result = converted(section("61146-7", entry))

    assert not of_type(result, "Goal")
    assert result.report["sections"][0]["notUnderstood"]


def test_a_goal_in_words_is_described_by_them() -> None:
    inner = '<code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/><value xsi:type="ST">Walk to the shop</value>'

    aim = only(converted(section("61146-7", goal(inner))), "Goal")

    assert aim["description"] == {"text": "Walk to the shop"}
    assert "lifecycleStatus" not in aim
    assert aim["_lifecycleStatus"]["extension"][0]["valueCode"] == "unknown"


PROBLEM = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}4"/>
    <id root="1.1" extension="prob"/>
<code code="55607006" codeSystem="2.16.840.1.113883.6.96"/><effectiveTime><low value="2024"/></effectiveTime>
<value xsi:type="CD" code="233604007" codeSystem="2.16.840.1.113883.6.96"/></observation>"""


@pytest.mark.parametrize("template", ["132", "136"])
def test_a_health_concern_is_a_condition_of_that_category(template: str) -> None:
    act = f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}{template}"/><id root="1.1" extension="hc"/>
    <code code="75310-3" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="active"/>
    <entryRelationship typeCode="REFR">{PROBLEM}</entryRelationship></act>"""

    condition = only(converted(section("75310-3", act)), "Condition")

    assert codes(condition["category"][0])[0][1] == "health-concern"
    assert codes(condition["code"]) == [(SNOMED, "233604007")]
    assert codes(condition["clinicalStatus"])[0][1] == "active"


def test_a_concern_in_words_alone_is_kept_in_them() -> None:
    act = f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}132"/><id root="1.1" extension="hc"/>
    <code code="75310-3" codeSystem="2.16.840.1.113883.6.1"/><text>Lives alone</text><statusCode code="active"/>
    </act>"""

    assert only(converted(section("75310-3", act)), "Condition")["code"] == {"text": "Lives alone"}


def test_a_concern_refers_to_the_entry_it_names() -> None:
    concern = f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}132"/><id root="1.1" extension="hc"/>
    <code code="75310-3" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="active"/>
    <entryRelationship typeCode="REFR">
    <act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}122"/><id root="1.1" extension="prob"/>
    <code nullFlavor="NP"/></act></entryRelationship></act>"""
    problems = f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}3"/>
    <entryRelationship typeCode="SUBJ">{PROBLEM}</entryRelationship></act>"""

    result = converted(section("75310-3", concern), section("11450-4", problems))

    condition = only(result, "Condition")
    listed = only(result, "Composition")["section"]
    assert listed[0]["entry"] == listed[1]["entry"] == [{"reference": f"Condition/{condition['id']}"}]


def test_an_entry_that_is_named_and_not_there_is_not_understood() -> None:
    concern = f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}132"/>
    <entryRelationship typeCode="REFR">
    <act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}122"/><id root="1.1" extension="elsewhere"/>
    </act></entryRelationship></act>"""

    result = converted(section("75310-3", concern))

    assert "entry" not in only(result, "Composition")["section"][0]
    assert len(result.report["sections"][0]["notUnderstood"]) == 1


def test_an_intervention_is_what_it_holds() -> None:
    done = f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}12"/><id root="1.1" extension="i"/>
    <code code="423171007" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="completed"/></act>"""
    act = f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}131"/>
    <code code="362956003" codeSystem="2.16.840.1.113883.6.96"/>
    <entryRelationship typeCode="REFR">{done}</entryRelationship></act>"""

    procedure = only(converted(section("62387-6", act)), "Procedure")

    assert codes(procedure["code"]) == [(SNOMED, "423171007")]
    assert procedure["status"] == "completed"


def test_an_instruction_alone_is_a_request_to_the_patient() -> None:
    act = f"""<act classCode="ACT" moodCode="INT"><templateId root="{ROOT}20"/>
    <code code="311401005" codeSystem="2.16.840.1.113883.6.96"/><text>Drink enough</text>
    <statusCode code="completed"/></act>"""

    request = only(converted(section("69730-0", act)), "ServiceRequest")

    assert codes(request["code"]) == [(SNOMED, "311401005")]
    assert request["patientInstruction"] == "Drink enough"
    assert request["status"] == "completed"


def test_what_is_sought_is_a_note_whatever_its_type() -> None:
    values = [
        '<value xsi:type="PQ" value="5" unit="mg/dL"/>',
        '<value xsi:type="CD" code="260385009" codeSystem="2.16.840.1.113883.6.96" displayName="Negative"/>',
    ]
    code = '<code code="2345-7" codeSystem="2.16.840.1.113883.6.1"/>'

    result = converted(section("18776-5", *(planned("observation", "44", "RQO", code + one) for one in values)))

    assert [one["note"] for one in of_type(result, "ServiceRequest")] == [[{"text": "5 mg/dL"}], [{"text": "Negative"}]]


def test_to_whom_somebody_is_referred() -> None:
    inner = """<code code="306206005" codeSystem="2.16.840.1.113883.6.96"/><participant typeCode="REFT">
    <participantRole><id root="1.1" extension="cardio"/><playingEntity><name><given>Cara</given>
    <family>Dio</family></name></playingEntity></participantRole></participant>"""

    result = converted(section("42349-1", planned("act", "140", "INT", inner)))

    who = {"reference": f"Practitioner/{only(result, 'Practitioner')['id']}"}
    assert only(result, "ServiceRequest")["performer"] == [who]


def test_how_urgent_a_medication_is() -> None:
    inner = """<priorityCode code="UR" codeSystem="2.16.840.1.113883.5.7"/><consumable><manufacturedProduct>
    <manufacturedMaterial><code code="197361" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial>
    </manufacturedProduct></consumable>"""

    result = converted(section("18776-5", planned("substanceAdministration", "42", "INT", inner)))

    assert only(result, "MedicationRequest")["priority"] == "urgent"


def test_how_a_procedure_was_done() -> None:
    inner = """<code code="80146002" codeSystem="2.16.840.1.113883.6.96"/><methodCode code="51316009"
    codeSystem="2.16.840.1.113883.6.96"/>"""

    (method,) = only(converted(section("47519-4", planned("procedure", "14", "EVN", inner))), "Procedure")["extension"]

    assert method["url"].endswith("procedure-method")
    assert codes(method["valueCodeableConcept"]) == [(SNOMED, "51316009")]


PULSE = """<code code="8867-4" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="active"/>
<value xsi:type="PQ" value="60" unit="/min"/>"""


@pytest.mark.parametrize(("mood", "made"), [("INT", "ServiceRequest"), ("RQO", "ServiceRequest"), ("GOL", "Goal")])
@pytest.mark.parametrize("template", ["2", "27", "38", "67", "69"])
def test_an_observation_that_is_ahead_was_not_made(template: str, mood: str, made: str) -> None:
    result = converted(section("18776-5", planned("observation", template, mood, PULSE)))

    assert only(result, made)
    assert not of_type(result, "Observation")


@pytest.mark.parametrize(("kind", "template"), [("30954-2", "1"), ("8716-3", "26")])
def test_a_panel_holds_what_is_still_to_be_observed(kind: str, template: str) -> None:
    wanted = planned("observation", "2", "RQO", PULSE)
    made = planned("observation", "2", "EVN", PULSE).replace("plan-1", "made-1")
    panel = f"<component>{wanted}</component><component>{made}</component>"

    result = converted(section(kind, planned("organizer", template, "EVN", panel)))

    assert only(result, "ServiceRequest")
    assert len([one for one in of_type(result, "Observation") if "valueQuantity" in one]) == 1


@pytest.mark.parametrize("mood", ["INT", "APT", "ARQ"])
def test_a_visit_that_is_ahead_is_planned(mood: str) -> None:
    inner = '<code code="185349003" codeSystem="2.16.840.1.113883.6.96"/><effectiveTime value="20300701"/>'

    visit = only(converted(section("46240-8", planned("encounter", "49", mood, inner))), "Encounter")

    assert visit["status"] == "planned"


def test_what_a_procedure_is_to_show_is_no_observation() -> None:
    inner = f'{PULSE.replace("8867-4", "268400002")}<effectiveTime value="20300701"/>'

    result = converted(section("47519-4", planned("observation", "13", "INT", inner)))

    assert not of_type(result, "Observation")


@pytest.mark.parametrize("turned", [False, True])
def test_what_came_of_a_goal(*, turned: bool) -> None:
    """The outcome names the goal (GEVL, evaluates goal), before or after it."""
    named = f"""<entryRelationship typeCode="GEVL"><act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}122"/>
    <id root="1.1" extension="goal"/><code nullFlavor="NP"/></act></entryRelationship>"""
    sections = [
        section("61146-7", planned("observation", "121", "GOL", PULSE).replace("plan-1", "goal")),
        section("11383-7", planned("observation", "144", "EVN", PULSE + named)),
    ]

    result = converted(*(sections[::-1] if turned else sections))

    outcome = {"reference": f"Observation/{only(result, 'Observation')['id']}"}
    assert only(result, "Goal")["outcomeReference"] == [outcome]
    assert gate.check(result.bundle) == []


def test_how_something_is_to_be_done_is_a_detail_of_the_order() -> None:
    method = '<methodCode code="51316009" codeSystem="2.16.840.1.113883.6.96"/>'

    result = converted(section("18776-5", planned("procedure", "41", "INT", ECG + method)))

    assert [codes(one) for one in only(result, "ServiceRequest")["orderDetail"]] == [[(SNOMED, "51316009")]]
