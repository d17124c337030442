"""Who reads what: sections by code, template or title; entries by template, code or section; the rest by element."""

from __future__ import annotations

import pytest

from gateway.fhir import gate
from gateway.translators.ccda.registry import entry

from .written import codes, converted, of_type, only, section

SNOMED = "http://snomed.info/sct"
FINDING = '<code code="386725007" codeSystem="2.16.840.1.113883.6.96"/>'


def statement(element: str, mood: str, inner: str = FINDING, attributes: str = "") -> str:
    return f"""<{element} classCode="ACT" moodCode="{mood}" {attributes}><templateId root="9.9.9.1"/>
    <id root="1.1" extension="any"/>{inner}</{element}>"""


@pytest.mark.parametrize(
    ("element", "mood", "kind"),
    [
        ("observation", "EVN", "Observation"),
        ("observation", "GOL", "Goal"),
        ("observation", "RQO", "ServiceRequest"),
        ("act", "EVN", "Procedure"),
        ("act", "INT", "ServiceRequest"),
        ("procedure", "EVN", "Procedure"),
        ("procedure", "RQO", "ServiceRequest"),
        ("encounter", "EVN", "Encounter"),
        ("encounter", "INT", "Encounter"),
        ("supply", "EVN", "DeviceUseStatement"),
        ("supply", "RQO", "DeviceRequest"),
    ],
)
def test_an_unknown_entry_is_read_by_element_and_mood_and_named(element: str, mood: str, kind: str) -> None:
    result = converted(section("99999-9", statement(element, mood)))

    (row,) = result.report["sections"]
    assert of_type(result, kind)
    assert (row["seen"], row["converted"], row["fallback"], row["notUnderstood"]) == (1, 0, 1, [])
    (told,) = row["fellBack"]
    assert told["xpath"].endswith(f"/section/entry/{element}")
    assert f"{element} {mood} with template 9.9.9.1" in told["reason"]
    assert gate.check(result.bundle) == []


def test_an_unknown_medication_is_read_by_its_element() -> None:
    drug = """<consumable><manufacturedProduct><manufacturedMaterial>
    <code code="197361" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial></manufacturedProduct>
    </consumable>"""

    result = converted(section("99999-9", statement("substanceAdministration", "EVN", drug)))

    assert codes(only(result, "MedicationRequest")["medicationCodeableConcept"])[0][1] == "197361"
    assert result.report["sections"][0]["fallback"] == 1


def test_an_unknown_entry_that_says_nothing_is_not_understood() -> None:
    result = converted(section("99999-9", statement("observation", "EVN", "")))

    (row,) = result.report["sections"]
    assert (row["converted"], row["fallback"], len(row["notUnderstood"]), row["fellBack"]) == (0, 0, 1, [])


def test_an_unknown_negated_observation_is_not_made_positive() -> None:
    result = converted(section("99999-9", statement("observation", "EVN", attributes='negationInd="true"')))

    assert not of_type(result, "Observation")


def test_an_unknown_statement_within_another_is_kept_and_named() -> None:
    inner = statement("observation", "EVN", f'{FINDING}<value xsi:type="INT" value="7"/>')
    outer = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.2"/>
    <id root="1.1" extension="o"/><code code="2345-7" codeSystem="2.16.840.1.113883.6.1"/>
    <entryRelationship typeCode="REFR">{inner}</entryRelationship></observation>"""

    result = converted(section("30954-2", outer))

    (row,) = result.report["sections"]
    assert {one.get("valueInteger") for one in of_type(result, "Observation")} == {None, 7}
    assert (row["converted"], row["fallback"], len(row["fellBack"])) == (1, 0, 1)
    assert len(only(result, "Composition")["section"][0]["entry"]) == 2


PROBLEM = """<act classCode="ACT" moodCode="EVN"><templateId root="9.9.9.2"/><statusCode code="active"/>
<entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN"><id root="1.1" extension="p"/>
<code code="55607006" codeSystem="2.16.840.1.113883.6.96"/>
<value xsi:type="CD" code="195967001" codeSystem="2.16.840.1.113883.6.96"/></observation></entryRelationship></act>"""


@pytest.mark.parametrize(
    "head",
    [
        '<code code="11450-4" codeSystem="2.16.840.1.113883.6.1"/><title>Whatever</title>',
        '<templateId root="2.16.840.1.113883.10.20.22.2.5"/><title>Whatever</title>',
        '<templateId root="2.16.840.1.113883.10.20.22.2.5.1" extension="2099-01-01"/><code code="X1"/>',
        '<templateId root="2.16.840.1.113883.10.20.1.11"/>',
        "<title>Problem List</title>",
        "<title> ACTIVE  Problems: </title>",
    ],
)
def test_a_section_is_known_by_code_template_or_title(head: str) -> None:
    result = converted(f"<section>{head}<text>Asthma</text><entry>{PROBLEM}</entry></section>")

    condition = only(result, "Condition")
    assert codes(condition["code"]) == [(SNOMED, "195967001")]
    assert codes(condition["category"][0])[0][1] == "problem-list-item"
    assert result.report["sections"][0]["converted"] == 1


def test_two_readers_of_one_template_are_an_error() -> None:
    with pytest.raises(ValueError, match="is read by"):
        entry("2.16.840.1.113883.10.20.22.4.121")(lambda _statement, _ctx: ())


def referring(encounter: str) -> str:
    return f"""<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.78"/>
    <id root="1.1" extension="smoke"/><code code="72166-2" codeSystem="2.16.840.1.113883.6.1"/>
    <value xsi:type="CD" code="8517006" codeSystem="2.16.840.1.113883.6.96"/>
    <entryRelationship typeCode="SUBJ">{encounter}</entryRelationship></observation>"""


NAMED = '<encounter classCode="ENC" moodCode="EVN"><id root="1.1" extension="enc-1"/></encounter>'
ACTIVITY = """<encounter classCode="ENC" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.49"/>
<id root="1.1" extension="enc-1"/><code code="99213" codeSystem="2.16.840.1.113883.6.12"/>
<effectiveTime value="20240401"/></encounter>"""


def test_an_entry_refers_to_the_encounter_that_it_names() -> None:
    result = converted(section("29762-2", referring(NAMED)), section("46240-8", ACTIVITY))

    encounter = only(result, "Encounter")
    assert only(result, "Observation")["encounter"] == {"reference": f"Encounter/{encounter['id']}"}


def test_an_encounter_that_is_not_in_the_document_is_named_by_its_identifier() -> None:
    result = converted(section("29762-2", referring(NAMED)))

    named = only(result, "Observation")["encounter"]
    assert named == {"type": "Encounter", "identifier": {"system": "urn:oid:1.1", "value": "enc-1"}}
    assert not of_type(result, "Encounter")
    assert gate.check(result.bundle) == []


def test_a_security_label_is_on_what_it_labels_and_nowhere_else() -> None:
    label = """<entryRelationship typeCode="COMP"><organizer classCode="CLUSTER" moodCode="EVN">
    <templateId root="2.16.840.1.113883.3.3251.1.4"/><component><observation classCode="OBS" moodCode="EVN">
    <templateId root="2.16.840.1.113883.3.445.12"/><code code="SECCLASSOBS"/>
    <value xsi:type="CE" code="R" codeSystem="2.16.840.1.113883.5.25"/></observation></component></organizer>
    </entryRelationship>"""
    entries = [
        f"""<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.4"/>
        <id root="1.1" extension="{name}"/>
        <value xsi:type="CD" code="{code}" codeSystem="2.16.840.1.113883.6.96"/>{more}
        </observation>"""
        for name, code, more in (("a", "195967001", ""), ("b", "86406008", label))
    ]

    result = converted(section("11450-4", *entries))

    labels = {codes(one["code"])[0][1]: one.get("meta") for one in of_type(result, "Condition")}
    confidentiality = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    assert labels == {"195967001": None, "86406008": {"security": [{"system": confidentiality, "code": "R"}]}}
    assert not of_type(result, "Observation")


def visit(day: str, mood: str = "EVN", template: str = "49") -> str:
    return f"""<encounter classCode="ENC" moodCode="{mood}">
    <templateId root="2.16.840.1.113883.10.20.22.4.{template}"/><id root="1.1" extension="enc-1"/>
    <code code="99213" codeSystem="2.16.840.1.113883.6.12"/><effectiveTime value="{day}"/></encounter>"""


def test_two_visits_with_one_id_are_two() -> None:
    result = converted(section("46240-8", visit("20240401"), visit("20240501"), visit("20240401")))

    assert sorted(one["period"]["start"] for one in of_type(result, "Encounter")) == ["2024-04-01", "2024-05-01"]


def test_a_planned_visit_is_not_the_one_that_took_place() -> None:
    result = converted(section("46240-8", visit("20240401")), section("18776-5", visit("20240401", "INT", "40")))

    assert sorted(one["status"] for one in of_type(result, "Encounter")) == ["finished", "planned"]


TOLD = """<informant><relatedEntity classCode="PRS"><code code="MTH" codeSystem="2.16.840.1.113883.5.111"/>
<relatedPerson><name><given>Mia</given><family>Mother</family></name></relatedPerson></relatedEntity></informant>"""


def test_who_told_it_is_on_what_was_told() -> None:
    entry = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.4"/>
    <id root="1.1" extension="p"/><value xsi:type="CD" code="195967001" codeSystem="2.16.840.1.113883.6.96"/>{TOLD}
    </observation>"""

    result = converted(section("11450-4", entry))

    mother = only(result, "RelatedPerson")
    assert codes(mother["relationship"][0])[0][1] == "MTH"
    assert mother["patient"] == {"reference": "Patient/p1"}
    assert only(result, "Condition")["asserter"] == {"reference": f"RelatedPerson/{mother['id']}"}


AUTHOR = """<author><time value="20240430101500-0500"/><assignedAuthor>
<id root="2.16.840.1.113883.4.6" extension="99"/></assignedAuthor></author>"""


@pytest.mark.parametrize(("kind", "template", "performed"), [("8716-3", "27", True), ("30954-2", "2", False)])
def test_the_author_of_a_vital_sign_is_its_performer_and_of_a_result_not(
    kind: str, template: str, *, performed: bool
) -> None:
    entry = f"""<observation classCode="OBS" moodCode="EVN">
    <templateId root="2.16.840.1.113883.10.20.22.4.{template}"/><id root="1.1" extension="o"/>
    <code code="8310-5" codeSystem="2.16.840.1.113883.6.1"/><value xsi:type="PQ" value="37.0" unit="Cel"/>{AUTHOR}
    </observation>"""

    assert ("performer" in only(converted(section(kind, entry)), "Observation")) is performed
