"""Clinical facts, section by section: what the source says comes out, what it does not say does not."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.fhir import gate

from .written import codes, converted, of_type, only, section

SNOMED = "http://snomed.info/sct"
ASTHMA = 'code="195967001" codeSystem="2.16.840.1.113883.6.96"'


def concern(observation: str, *, status: str = "active", template: str = "2.16.840.1.113883.10.20.22.4.3") -> str:
    return f"""<act classCode="ACT" moodCode="EVN"><templateId root="{template}"/><statusCode code="{status}"/>
    <entryRelationship typeCode="SUBJ">{observation}</entryRelationship></act>"""


def problem(
    *,
    value: str = 'code="195967001" codeSystem="2.16.840.1.113883.6.96"',
    time: str = "",
    more: str = "",
    negated: str = "",
) -> str:
    return f"""<observation classCode="OBS" moodCode="EVN" {negated}><templateId root="2.16.840.1.113883.10.20.22.4.4"/>
    <id root="1.1" extension="p"/><code code="55607006" codeSystem="2.16.840.1.113883.6.96"/>
    <effectiveTime>{time}</effectiveTime><value xsi:type="CD" {value}/>{more}</observation>"""


def status_observation(code: str) -> str:
    return f"""<entryRelationship typeCode="REFR"><observation classCode="OBS" moodCode="EVN">
    <code code="33999-4" codeSystem="2.16.840.1.113883.6.1"/>
    <value xsi:type="CD" code="{code}" codeSystem="2.16.840.1.113883.6.96"/></observation></entryRelationship>"""


def clinical(condition: dict[str, object]) -> str | None:
    status = condition.get("clinicalStatus")
    return status["coding"][0]["code"] if isinstance(status, dict) else None


@pytest.mark.parametrize(
    ("concern_status", "observed", "time", "expected"),
    [
        ("active", None, '<low value="2012"/>', "active"),
        ("completed", None, '<low value="2012"/>', "inactive"),
        ("active", "413322009", '<low value="2012"/>', "resolved"),
        ("completed", "55561003", '<low value="2012"/>', "active"),
        ("active", None, '<low value="2012"/><high value="2013"/>', "inactive"),
        ("active", "277022003", '<low value="2012"/><high value="2013"/>', "remission"),
        ("active", None, '<low value="2012"/><high nullFlavor="UNK"/>', "inactive"),
        ("", None, '<low value="2012"/><high value="2013"/>', "resolved"),
        ("", None, '<low value="2012"/>', None),
    ],
)
def test_clinical_status_of_a_problem(
    concern_status: str, observed: str | None, time: str, expected: str | None
) -> None:
    more = status_observation(observed) if observed else ""

    condition = only(
        converted(section("11450-4", concern(problem(time=time, more=more), status=concern_status))), "Condition"
    )

    assert clinical(condition) == expected


def test_a_problem_keeps_code_dates_and_category() -> None:
    time = '<low value="20120806"/><high value="20130101120000-0500"/>'

    condition = only(converted(section("11450-4", concern(problem(time=time)))), "Condition")

    assert codes(condition["code"]) == [(SNOMED, "195967001")]
    assert condition["onsetDateTime"] == "2012-08-06"
    assert condition["abatementDateTime"] == "2013-01-01T12:00:00-05:00"
    assert [codes(one)[0][1] for one in condition["category"]] == ["problem-list-item", "55607006"]
    assert condition["subject"] == {"reference": "Patient/p1"}
    assert condition["identifier"] == [{"system": "urn:oid:1.1", "value": "p"}]


def test_resolved_at_an_unknown_time_says_so() -> None:
    condition = only(converted(section("11450-4", concern(problem(time='<high nullFlavor="UNK"/>')))), "Condition")

    assert condition["_abatementDateTime"]["extension"][0]["valueCode"] == "unknown"
    assert "abatementDateTime" not in condition


def test_a_negated_problem_is_refuted() -> None:
    condition = only(converted(section("11450-4", concern(problem(negated='negationInd="true"')))), "Condition")

    assert condition["verificationStatus"]["coding"][0]["code"] == "refuted"


def test_no_known_problems() -> None:
    value = 'code="55607006" codeSystem="2.16.840.1.113883.6.96"'

    entry = concern(problem(value=value, negated='negationInd="true"'))
    condition = only(converted(section("11450-4", entry)), "Condition")

    assert codes(condition["code"]) == [(SNOMED, "160245001")]
    assert "verificationStatus" not in condition


@pytest.mark.parametrize("flavor", ["NI", "UNK", "NA"])
def test_a_problem_that_names_none_is_no_resource(flavor: str) -> None:
    result = converted(section("11450-4", concern(problem(value=f'nullFlavor="{flavor}"'))))

    assert of_type(result, "Condition") == []
    assert result.report["sections"][0]["notUnderstood"]


def test_age_at_onset_stands_in_for_the_date() -> None:
    age = """<entryRelationship typeCode="SUBJ" inversionInd="true"><observation classCode="OBS" moodCode="EVN">
    <templateId root="2.16.840.1.113883.10.20.22.4.31"/><code code="445518008" codeSystem="2.16.840.1.113883.6.96"/>
    <value xsi:type="PQ" value="57" unit="a"/></observation></entryRelationship>"""

    undated = only(converted(section("11450-4", concern(problem(more=age)))), "Condition")
    dated = only(converted(section("11450-4", concern(problem(time='<low value="2012"/>', more=age)))), "Condition")

    assert undated["onsetAge"]["value"] == 57
    assert undated["onsetAge"]["code"] == "a"
    assert "onsetAge" not in dated


def test_an_interval_that_runs_backwards_is_reported_and_not_repaired() -> None:
    result = converted(section("11450-4", concern(problem(time='<low value="20130101"/><high value="20120101"/>'))))

    condition = only(result, "Condition")
    assert (condition["onsetDateTime"], condition["abatementDateTime"]) == ("2013-01-01", "2012-01-01")
    assert any("ends before it starts" in issue.diagnostics for issue in result.issues)


def allergy(substance: str | None, *, kind: str = "419199007", negated: str = "", more: str = "") -> str:
    participant = f"""<participant typeCode="CSM"><participantRole classCode="MANU"><playingEntity classCode="MMAT">
    {substance}</playingEntity></participantRole></participant>"""
    observation = f"""<observation classCode="OBS" moodCode="EVN" {negated}>
    <templateId root="2.16.840.1.113883.10.20.22.4.7"/><id root="1.1" extension="a"/>
    <effectiveTime><low value="2008"/></effectiveTime>
    <value xsi:type="CD" code="{kind}" codeSystem="2.16.840.1.113883.6.96"/>{participant if substance else ""}{more}
    </observation>"""
    return concern(observation, template="2.16.840.1.113883.10.20.22.4.30")


PENICILLIN = '<code code="7980" codeSystem="2.16.840.1.113883.6.88" displayName="Penicillin G"/>'
NOTHING = '<code nullFlavor="NA"/>'


def test_an_allergy_names_its_substance_kind_and_category() -> None:
    found = only(converted(section("48765-2", allergy(PENICILLIN, kind="416098002"))), "AllergyIntolerance")

    assert codes(found["code"]) == [("http://www.nlm.nih.gov/research/umls/rxnorm", "7980")]
    assert (found["type"], found["category"]) == ("allergy", ["medication"])
    assert found["onsetDateTime"] == "2008"
    assert clinical(found) == "active"


@pytest.mark.parametrize(
    ("kind", "none"), [("419199007", "716186003"), ("416098002", "409137002"), ("414285001", "429625007")]
)
def test_no_known_allergies(kind: str, none: str) -> None:
    entry = allergy(NOTHING, kind=kind, negated='negationInd="true"')

    assert codes(only(converted(section("48765-2", entry)), "AllergyIntolerance")["code"]) == [(SNOMED, none)]


def test_a_substance_that_is_known_to_be_harmless_is_never_an_allergy_to_it() -> None:
    """The extension forbids a code beside it (inv-1), so that no profile of US Core is met (CF-allergies)."""
    found = only(converted(section("48765-2", allergy(PENICILLIN, negated='negationInd="true"'))), "AllergyIntolerance")

    assert "code" not in found
    assert "meta" not in found
    (risk,) = found["extension"]
    parts = {part["url"]: codes(part["valueCodeableConcept"])[0][1] for part in risk["extension"]}
    assert parts == {"substance": "7980", "exposureRisk": "no-known-reaction-risk"}


def test_reaction_with_its_severity() -> None:
    severity = """<entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN"><code code="SEV"/>
    <value xsi:type="CD" code="24484000" codeSystem="2.16.840.1.113883.6.96"/></observation></entryRelationship>"""
    reaction = f"""<entryRelationship typeCode="MFST" inversionInd="true"><observation classCode="OBS" moodCode="EVN">
    <value xsi:type="CD" code="247472004" codeSystem="2.16.840.1.113883.6.96"/>{severity}</observation>
    </entryRelationship>"""

    found = only(converted(section("48765-2", allergy(PENICILLIN, more=reaction))), "AllergyIntolerance")

    (only_one,) = found["reaction"]
    assert codes(only_one["manifestation"][0]) == [(SNOMED, "247472004")]
    assert only_one["severity"] == "severe"


def medication(*, mood: str = "EVN", negated: str = "", more: str = "", status: str = "active") -> str:
    return f"""<substanceAdministration classCode="SBADM" moodCode="{mood}" {negated}>
    <templateId root="2.16.840.1.113883.10.20.22.4.16"/><id root="1.1" extension="m"/><statusCode code="{status}"/>
    <effectiveTime xsi:type="IVL_TS"><low value="20240501"/><high value="20240601"/></effectiveTime>
    <effectiveTime xsi:type="PIVL_TS" operator="A"><period value="12" unit="h"/></effectiveTime>
    <routeCode code="C38288" codeSystem="2.16.840.1.113883.3.26.1.1"/><doseQuantity value="1.50" unit="mg"/>
    <consumable><manufacturedProduct><manufacturedMaterial><code code="197361" codeSystem="2.16.840.1.113883.6.88"/>
    </manufacturedMaterial></manufacturedProduct></consumable>{more}</substanceAdministration>"""


def test_a_medication_with_dose_route_and_timing() -> None:
    found = only(converted(section("10160-0", medication())), "MedicationRequest")

    (dosage,) = found["dosageInstruction"]
    assert codes(found["medicationCodeableConcept"]) == [("http://www.nlm.nih.gov/research/umls/rxnorm", "197361")]
    assert (found["status"], found["intent"]) == ("active", "plan")
    amount = dosage["doseAndRate"][0]["doseQuantity"]
    assert str(amount["value"]) == "1.50"
    assert amount["code"] == "mg"
    assert dosage["timing"]["repeat"] == {
        "boundsPeriod": {"start": "2024-05-01", "end": "2024-06-01"},
        "frequency": 1,
        "period": Decimal(12),
        "periodUnit": "h",
    }
    assert codes(dosage["route"])[0][1] == "C38288"


def test_an_order_and_one_that_must_not_be_given() -> None:
    order = only(
        converted(section("10160-0", medication(mood="INT", negated='negationInd="true"'))), "MedicationRequest"
    )

    assert order["intent"] == "order"
    assert order["doNotPerform"] is True


def test_a_single_dispense_has_no_repeats() -> None:
    supply = """<entryRelationship typeCode="REFR"><supply classCode="SPLY" moodCode="INT"><repeatNumber value="1"/>
    <quantity value="30"/></supply></entryRelationship>"""

    order = only(converted(section("10160-0", medication(mood="INT", more=supply))), "MedicationRequest")

    assert order["dispenseRequest"] == {"numberOfRepeatsAllowed": 0, "quantity": {"value": 30}}


def test_a_vehicle_needs_a_medication_of_its_own() -> None:
    vehicle = """<participant typeCode="CSM"><participantRole classCode="MANU"><playingEntity classCode="MMAT">
    <code code="324049" codeSystem="2.16.840.1.113883.6.88"/></playingEntity></participantRole></participant>"""

    result = converted(section("10160-0", medication(more=vehicle), medication(more=vehicle, status="completed")))

    drug = only(result, "Medication")
    assert drug["ingredient"][0]["isActive"] is False
    for request in of_type(result, "MedicationRequest"):
        assert request["medicationReference"] == {"reference": f"Medication/{drug['id']}"}


def immunization(*, negated: str = "", more: str = "") -> str:
    return f"""<substanceAdministration classCode="SBADM" moodCode="EVN" {negated}>
    <templateId root="2.16.840.1.113883.10.20.22.4.52"/><id root="1.1" extension="i"/><statusCode code="completed"/>
    <effectiveTime value="20100815"/><consumable><manufacturedProduct><manufacturedMaterial>
    <code code="88" codeSystem="2.16.840.1.113883.12.292"/><lotNumberText>L-1</lotNumberText></manufacturedMaterial>
    </manufacturedProduct></consumable>{more}</substanceAdministration>"""


def test_an_immunization() -> None:
    found = only(converted(section("11369-6", immunization())), "Immunization")

    assert (found["status"], found["occurrenceDateTime"], found["lotNumber"]) == ("completed", "2010-08-15", "L-1")
    assert codes(found["vaccineCode"]) == [("http://hl7.org/fhir/sid/cvx", "88")]


def test_an_immunization_that_was_refused_is_not_done_and_says_why() -> None:
    reason = """<entryRelationship typeCode="RSON"><observation classCode="OBS" moodCode="EVN">
    <templateId root="2.16.840.1.113883.10.20.22.4.53"/><code code="PATOBJ" codeSystem="2.16.840.1.113883.5.8"/>
    </observation></entryRelationship>"""

    entry = immunization(negated='negationInd="true"', more=reason)
    found = only(converted(section("11369-6", entry)), "Immunization")

    assert found["status"] == "not-done"
    assert codes(found["statusReason"])[0][1] == "PATOBJ"


@pytest.mark.parametrize(("root", "sections"), [("1.2.3.4.5", 1), ("2.16.840.1.113883.10.20.1.27", 1)])
def test_a_section_is_known_by_its_code_when_nobody_knows_the_template(root: str, sections: int) -> None:
    result = converted(section("11450-4", concern(problem(), template=root)))

    assert len(of_type(result, "Condition")) == sections


def test_an_act_of_ccd_r1_is_an_allergy_in_the_section_of_allergies() -> None:
    entry = allergy(PENICILLIN).replace("2.16.840.1.113883.10.20.22.4.30", "2.16.840.1.113883.10.20.1.27")

    assert len(of_type(converted(section("48765-2", entry)), "AllergyIntolerance")) == 1


def test_the_encounter_of_the_header_and_its_entry_are_one() -> None:
    header = """<recordTarget><patientRole><id root="1.2.3.4" extension="mrn-1"/></patientRole></recordTarget>
    <componentOf><encompassingEncounter><id root="5.5" extension="e"/>
    <code code="IMP" codeSystem="2.16.840.1.113883.5.4"/>
    <effectiveTime><low value="20240501"/></effectiveTime></encompassingEncounter></componentOf>"""
    entry = """<encounter classCode="ENC" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.49"/>
    <id root="5.5" extension="e"/><code code="99222" codeSystem="2.16.840.1.113883.6.12"/>
    <effectiveTime><low value="20240501"/><high value="20240503"/></effectiveTime></encounter>"""

    result = converted(section("46240-8", entry), header=header)

    encounter = only(result, "Encounter")
    assert encounter["class"]["code"] == "IMP"
    assert codes(encounter["type"][0])[0][1] == "99222"
    assert only(result, "Composition")["encounter"] == {"reference": f"Encounter/{encounter['id']}"}


def test_a_procedure_that_was_not_done() -> None:
    entry = """<procedure classCode="PROC" moodCode="EVN" negationInd="true"><id root="1.1" extension="x"/>
    <templateId root="2.16.840.1.113883.10.20.22.4.14"/><code code="80146002" codeSystem="2.16.840.1.113883.6.96"/>
    <statusCode code="completed"/></procedure>"""

    found = only(converted(section("47519-4", entry)), "Procedure")

    assert found["status"] == "not-done"
    assert found["_performedDateTime"]["extension"][0]["valueCode"] == "unknown"


def test_birth_sex_is_an_extension_of_the_patient() -> None:
    entry = """<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.200"/>
    <code code="76689-9" codeSystem="2.16.840.1.113883.6.1"/>
    <value xsi:type="CD" code="F" codeSystem="2.16.840.1.113883.5.1"/></observation>"""

    result = converted(section("29762-2", entry))

    assert {one["url"].rpartition("/")[2]: one["valueCode"] for one in only(result, "Patient")["extension"]} == {
        "us-core-birthsex": "F"
    }
    assert of_type(result, "Observation") == []


def test_what_no_code_reads_is_in_the_report_and_in_the_narrative() -> None:
    goal = '<templateId root="2.16.840.1.113883.10.20.22.4.121"/>'
    entry = f'<observation classCode="OBS" moodCode="GOL">{goal}</observation>'

    result = converted(section("61146-7", entry, text="<text>Walk more</text>"))

    (row,) = result.report["sections"]
    assert (row["code"], row["seen"], row["converted"], row["fallback"]) == ("61146-7", 1, 0, 0)
    (missed,) = row["notUnderstood"]
    assert missed["xpath"] == "/ClinicalDocument/component/structuredBody/component/section/entry/observation"
    assert "2.16.840.1.113883.10.20.22.4.121" in missed["reason"]
    assert "Walk more" in only(result, "Composition")["section"][0]["text"]["div"]


@pytest.mark.parametrize(
    ("flavor", "reason"),
    [("NASK", "notasked"), ("MSK", "withheld"), ("ASKU", "unavailable"), ("NAV", "unavailable"), ("NI", None)],
)
def test_a_section_says_why_it_is_empty_as_far_as_fhir_has_a_code(flavor: str, reason: str | None) -> None:
    empty = section("8716-3").replace("<section>", f'<section nullFlavor="{flavor}">')

    composition = only(converted(empty), "Composition")

    (found,) = composition["section"]
    assert gate.check(composition) == []
    system = "http://terminology.hl7.org/CodeSystem/list-empty-reason"
    assert ("emptyReason" in found) == (reason is not None)
    assert reason is None or codes(found["emptyReason"]) == [(system, reason)]


def test_a_section_with_an_entry_is_not_called_empty() -> None:
    unread = '<observation classCode="OBS" moodCode="GOL"/>'
    odd = section("8716-3", unread).replace("<section>", '<section nullFlavor="NASK">')

    (found,) = only(converted(odd), "Composition")["section"]

    assert "emptyReason" not in found
    assert found["text"]["div"].endswith(">as told</div>")


TOO_LONG = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.2"/>
<code code="718-7" codeSystem="2.16.840.1.113883.6.1"/><value xsi:type="ST">{"x" * 1_100_000}</value></observation>"""


@pytest.mark.parametrize(("text", "titles"), [("<text>as told</text>", ["Results", "Plan"]), ("", ["Plan"])])
def test_an_entry_that_would_not_be_valid_costs_only_itself(text: str, titles: list[str]) -> None:
    """Its section stays for the sake of its words; without any it is left out, the Composition never."""
    result = converted(section("30954-2", TOO_LONG, text=text, title="Results"), section("18776-5", title="Plan"))

    assert of_type(result, "Observation") == []
    assert [found["title"] for found in only(result, "Composition")["section"]] == titles
    assert gate.check(only(result, "Composition")) == []
    assert result.report["sections"][0]["converted"] == 0
    assert [issue.severity for issue in result.issues] == ["error"]


def test_an_offset_that_no_integer_holds_is_no_offset() -> None:
    entry = """<substanceAdministration classCode="SBADM" moodCode="EVN">
    <templateId root="2.16.840.1.113883.10.20.22.4.16"/>
    <effectiveTime xsi:type="EIVL_TS"><event code="ACM"/><offset value="99999999999" unit="h"/></effectiveTime>
    <consumable><manufacturedProduct><manufacturedMaterial><code code="1" codeSystem="2.16.840.1.113883.6.88"/>
    </manufacturedMaterial></manufacturedProduct></consumable></substanceAdministration>"""

    (dose,) = only(converted(section("10160-0", entry)), "MedicationRequest")["dosageInstruction"]

    assert dose["timing"]["repeat"] == {"when": ["ACM"]}
