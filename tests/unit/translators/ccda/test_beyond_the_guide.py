"""Where HL7's guide maps nothing, US Core and FHIR decide: who pays, what was decided, what was supplied, relatives."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.fhir import gate
from gateway.translators.ccda import Converted

from .written import Resource, codes, converted, of_type, only, section

ROOT = "2.16.840.1.113883.10.20.22.4."
SUBSCRIBER = "http://terminology.hl7.org/CodeSystem/subscriber-relationship"


def insured(code: str, performers: str, *, order: str = "") -> str:
    return f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}60"/>
    <code code="48768-6" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>
    <entryRelationship typeCode="COMP">{order}<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}61"/>
    <id root="1.1" extension="pol"/><statusCode code="completed"/>{performers}
    <participant typeCode="COV"><participantRole><id root="1.1.7" extension="M-1"/>
    <code code="{code}" codeSystem="2.16.840.1.113883.5.111"/></participantRole></participant>
    </act></entryRelationship></act>"""


def payer(inner: str) -> str:
    return f"""<performer typeCode="PRF"><templateId root="{ROOT}87"/><assignedEntity>
    <id root="2.16.840.1.113883.6.300" extension="9"/><code code="PAYOR"/>{inner}</assignedEntity></performer>"""


def guarantor(inner: str) -> str:
    return f"""<performer typeCode="PRF"><templateId root="{ROOT}88"/><time><low value="2024"/></time>
    <assignedEntity classCode="ASSIGNED"><id root="1.1.9" extension="G-1"/><code code="GUAR"
    codeSystem="2.16.840.1.113883.5.110"/>{inner}</assignedEntity></performer>"""


INSURER = payer("<representedOrganization><name>Sample Insurance</name></representedOrganization>")


@pytest.mark.parametrize(
    ("code", "same"), [("SELF", "self"), ("SPS", "spouse"), ("DAU", "child"), ("MTH", "parent"), ("FAMDEP", None)]
)
def test_the_relationship_is_said_in_both_codes(code: str, same: str | None) -> None:
    coverage = only(converted(section("48768-6", insured(code, INSURER))), "Coverage")

    said = codes(coverage["relationship"])
    assert said[0][1] == code
    assert said[1:] == ([(SUBSCRIBER, same)] if same else [])


def test_which_policy_is_to_pay_first() -> None:
    second = insured("SELF", INSURER, order='<sequenceNumber value="2"/>')

    assert only(converted(section("48768-6", second)), "Coverage")["order"] == 2


def test_a_payer_with_a_number_alone_is_an_organization() -> None:
    result = converted(section("48768-6", insured("SELF", payer("<addr><city>Townsend</city></addr>"))))

    organization, coverage = only(result, "Organization"), only(result, "Coverage")
    assert organization["identifier"][0]["value"] == "9"
    assert organization["address"] == [{"city": "Townsend"}]
    assert coverage["payor"] == [{"reference": f"Organization/{organization['id']}"}]
    assert not of_type(result, "Practitioner")


def test_who_pays_the_rest_is_the_guarantor_of_an_account() -> None:
    person = "<assignedPerson><name><given>Gil</given><family>Guarantor</family></name></assignedPerson>"

    result = converted(section("48768-6", insured("SELF", INSURER + guarantor(person))))

    account, coverage, who = only(result, "Account"), only(result, "Coverage"), only(result, "RelatedPerson")
    assert who["name"][0]["family"] == "Guarantor"
    assert [code for one in who["relationship"] for _, code in codes(one)] == ["GUAR"]
    assert account["guarantor"] == [{"party": {"reference": f"RelatedPerson/{who['id']}"}, "period": {"start": "2024"}}]
    assert account["coverage"] == [{"coverage": {"reference": f"Coverage/{coverage['id']}"}}]
    assert account["subject"] == [{"reference": "Patient/p1"}]
    assert len(coverage["payor"]) == 1
    assert gate.check(result.bundle) == []


def test_the_holder_of_a_policy_with_the_day_of_birth() -> None:
    holder = """<participant typeCode="HLD"><participantRole><id root="1.1.7" extension="H-1"/><playingEntity><name>
    <given>Otto</given><family>Holder</family></name><sdtc:birthTime value="19441112"/></playingEntity>
    </participantRole></participant>"""

    person = only(converted(section("48768-6", insured("SPS", INSURER + holder))), "RelatedPerson")

    assert (person["name"][0]["family"], person["birthDate"]) == ("Holder", "1944-11-12")


def test_a_specimen_that_a_procedure_took() -> None:
    taken = f"""<procedure classCode="PROC" moodCode="EVN"><templateId root="{ROOT}14"/><id root="1.1" extension="op"/>
    <code code="274025005" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="completed"/><specimen><specimenRole>
    <id root="1.1.8" extension="S-1"/><specimenPlayingEntity><code code="309226005"
    codeSystem="2.16.840.1.113883.6.96"/></specimenPlayingEntity></specimenRole></specimen></procedure>"""

    specimen = only(converted(section("47519-4", taken)), "Specimen")

    assert (specimen["identifier"][0]["value"], codes(specimen["type"])[0][1]) == ("S-1", "309226005")


def test_a_patient_who_pays_is_nobody_else() -> None:
    herself = guarantor("<assignedPerson><name><given>Ada</given><family>Sample</family></name></assignedPerson>")
    same = herself.replace('root="1.1.9" extension="G-1"', 'root="1.2.3.4" extension="mrn-1"')

    result = converted(section("48768-6", insured("SELF", INSURER + same)))

    assert only(result, "Account")["guarantor"][0]["party"] == {"reference": "Patient/p1"}
    assert not of_type(result, "RelatedPerson")


def test_an_expected_coverage_has_the_ids_of_its_plan() -> None:
    planned = f"""<act classCode="ACT" moodCode="INT"><templateId root="{ROOT}129"/><id root="1.1" extension="plan"/>
    <code code="48768-6" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="active"/>
    <entryRelationship typeCode="COMP"><act classCode="ACT" moodCode="INT"><id root="1.1" extension="in"/>
    <code code="5" codeSystem="2.16.840.1.113883.3.221.5"/><statusCode code="active"/></act></entryRelationship>
    </act>"""

    coverage = only(converted(section("18776-5", planned)), "Coverage")

    assert [one["value"] for one in coverage["identifier"]] == ["in", "plan"]
    assert codes(coverage["type"]) == [("urn:oid:2.16.840.1.113883.3.221.5", "5")]


def directive(participants: str, reference: str = "") -> str:
    return f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}48"/>
    <id root="1.1" extension="ad"/><code code="75320-2" codeSystem="2.16.840.1.113883.6.1"/>
    <statusCode code="completed"/><value xsi:type="CD" code="304253006" codeSystem="2.16.840.1.113883.6.96"/>
    {participants}{reference}</observation>"""


def test_the_people_in_an_advance_directive() -> None:
    agent = """<participant typeCode="CST"><participantRole classCode="AGNT">
    <code code="MTH" codeSystem="2.16.840.1.113883.5.111"/><telecom value="tel:+15550100"/>
    <playingEntity><name><given>Mia</given><family>Agent</family></name></playingEntity></participantRole>
    </participant>"""
    doctor = """<participant typeCode="VRF"><time value="20240220"/><participantRole>
    <id root="2.16.840.1.113883.4.6" extension="99"/><playingEntity><name><given>Ida</given>
    <family>Doctor</family></name></playingEntity></participantRole></participant>"""

    result = converted(section("42348-3", directive(agent + doctor)))

    consent, person = only(result, "Consent"), only(result, "RelatedPerson")
    (actor,) = consent["provision"]["actor"]
    assert codes(actor["role"])[0][1] == "CST"
    assert actor["reference"] == {"reference": f"RelatedPerson/{person['id']}"}
    assert (person["name"][0]["family"], person["telecom"][0]["value"]) == ("Agent", "+15550100")
    assert consent["verification"] == [{"verified": True, "verificationDate": "2024-02-20"}]
    assert gate.check(result.bundle) == []


def test_the_document_of_a_directive_is_named_where_it_is_not_to_be_had() -> None:
    reference = """<reference typeCode="REFR"><externalDocument><id root="1.1.5" extension="will"/></externalDocument>
    </reference>"""

    consent = only(converted(section("42348-3", directive("", reference))), "Consent")

    assert consent["sourceReference"]["identifier"]["value"] == "will"


def supply(mood: str, inner: str) -> str:
    template = "50" if mood == "EVN" else "43"
    return f"""<supply classCode="SPLY" moodCode="{mood}"><templateId root="{ROOT}{template}"/>
    <id root="1.1" extension="s"/><statusCode code="completed"/>
    <effectiveTime xsi:type="IVL_TS"><high value="20240501"/></effectiveTime><quantity value="2"/>
    <participant typeCode="PRD"><participantRole classCode="MANU"><templateId root="{ROOT}37"/>{inner}
    <playingDevice><code code="58938008" codeSystem="2.16.840.1.113883.6.96"/></playingDevice></participantRole>
    </participant></supply>"""


def test_how_many_were_supplied() -> None:
    result = converted(section("46264-8", supply("EVN", '<id root="1.1" extension="chair"/>')))

    device, delivery = only(result, "Device"), only(result, "SupplyDelivery")
    assert delivery["suppliedItem"] == {
        "quantity": {"value": Decimal(2)},
        "itemReference": {"reference": f"Device/{device['id']}"},
    }
    assert (delivery["status"], delivery["patient"]) == ("completed", {"reference": "Patient/p1"})
    assert delivery["occurrencePeriod"] == {"end": "2024-05-01"}
    assert only(result, "DeviceUseStatement")["device"] == delivery["suppliedItem"]["itemReference"]
    assert gate.check(result.bundle) == []


def test_how_many_are_asked_for() -> None:
    result = converted(section("18776-5", supply("RQO", '<id root="1.1" extension="chair"/>')))

    (parameter,) = only(result, "DeviceRequest")["parameter"]
    assert parameter["valueQuantity"] == {"value": Decimal(2)}
    assert gate.check(result.bundle) == []


def test_a_udi_says_lot_and_serial_number() -> None:
    udi = "(01)00848486001048(17)260512(10)ABC123(21)77"
    identifier = f'<id root="2.16.840.1.113883.3.3719" extension="{udi}"/>'

    device = only(converted(section("46264-8", supply("EVN", identifier))), "Device")

    assert (device["lotNumber"], device["serialNumber"]) == ("ABC123", "77")
    assert device["udiCarrier"] == [{"deviceIdentifier": "00848486001048", "carrierHRF": udi}]
    assert "expirationDate" not in device, "two digits of a year are none"


def family(inner: str) -> Resource:
    entry = f"""<organizer classCode="CLUSTER" moodCode="EVN"><templateId root="{ROOT}45"/>
    <statusCode code="completed"/><subject><relatedSubject classCode="PRS">
    <code code="FTH" codeSystem="2.16.840.1.113883.5.111"/></relatedSubject></subject><component>
    <observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}46"/>
    <code code="64572001" codeSystem="2.16.840.1.113883.6.96"/>
    <value xsi:type="CD" code="22298006" codeSystem="2.16.840.1.113883.6.96"/>{inner}</observation></component>
    </organizer>"""
    return only(converted(section("10157-6", entry)), "FamilyMemberHistory")


def test_what_a_relative_died_of_by_its_code_alone() -> None:
    history = family("""<entryRelationship typeCode="CAUS"><observation classCode="OBS" moodCode="EVN">
    <code code="ASSERTION"/><value xsi:type="CD" code="419099009" codeSystem="2.16.840.1.113883.6.96"/></observation>
    </entryRelationship>""")

    assert (history["deceasedBoolean"], history["condition"][0]["contributedToDeath"]) == (True, True)


def test_an_age_without_a_unit_gets_none() -> None:
    history = family("""<entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN">
    <code code="397659008"/><value xsi:type="INT" value="57"/></observation></entryRelationship>""")

    assert history["condition"][0]["onsetString"] == "57"
    assert "onsetAge" not in history["condition"][0]


def plan(*entries: str, text: str = "<text>See you in a week</text>") -> Converted:
    asked = f"""<act classCode="ACT" moodCode="RQO"><templateId root="{ROOT}39"/><id root="1.1" extension="a"/>
    <code code="183616001" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="active"/></act>"""
    wanted = f"""<observation classCode="OBS" moodCode="GOL"><templateId root="{ROOT}121"/>
    <id root="1.1" extension="g"/>
    <code code="3141-9" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="active"/></observation>"""
    result = converted(section("18776-5", *(entries or (asked, wanted)), text=text))
    assert gate.check(result.bundle) == []
    return result


def test_a_section_of_plans_is_a_care_plan() -> None:
    result = plan()

    care, goal, request = only(result, "CarePlan"), only(result, "Goal"), only(result, "ServiceRequest")
    assert codes(care["category"][0]) == [("http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "assess-plan")]
    assert (care["status"], care["intent"], care["subject"]) == ("unknown", "plan", {"reference": "Patient/p1"})
    assert care["goal"] == [{"reference": f"Goal/{goal['id']}"}]
    assert "See you in a week" in care["text"]["div"]
    (held,) = only(result, "Composition")["section"]
    assert {"reference": f"CarePlan/{care['id']}"} in held["entry"]
    assert {"reference": f"ServiceRequest/{request['id']}"} in held["entry"]


def test_where_nothing_is_planned_there_is_no_plan() -> None:
    visit = f'<encounter classCode="ENC" moodCode="INT"><templateId root="{ROOT}40"/><id root="1.1"/></encounter>'

    assert not of_type(plan(visit), "CarePlan")
    assert not of_type(converted(section("18776-5", text="<text>No plan</text>")), "CarePlan")


def test_the_one_time_of_a_pregnancy() -> None:
    pregnant = """<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.15.3.8"/>
    <code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/><statusCode code="completed"/>
    <effectiveTime><low value="20240101"/><high value="20240901"/></effectiveTime>
    <value xsi:type="CD" code="77386006" codeSystem="2.16.840.1.113883.6.96"/></observation>"""

    result = converted(section("29762-2", pregnant))

    observation = only(result, "Observation")
    assert observation["effectiveDateTime"] == "2024-01-01"
    assert "effectivePeriod" not in observation
    assert [one for one in result.issues if "pregnancy" in one.diagnostics]


def test_how_often_at_hours_that_are_up_to_the_ward() -> None:
    dose = f"""<substanceAdministration classCode="SBADM" moodCode="EVN"><templateId root="{ROOT}16"/>
    <id root="1.1" extension="m"/><effectiveTime xsi:type="PIVL_TS" institutionSpecified="true" operator="A">
    <period value="8" unit="h"/></effectiveTime><consumable><manufacturedProduct><manufacturedMaterial>
    <code code="197361" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial></manufacturedProduct></consumable>
    </substanceAdministration>"""

    (told,) = only(converted(section("10160-0", dose)), "MedicationRequest")["dosageInstruction"]

    repeat = told["timing"]["repeat"]
    assert (repeat["frequency"], repeat["period"], repeat["periodUnit"]) == (1, Decimal(8), "h")
    assert repeat["extension"] == [
        {"url": "http://hl7.org/fhir/StructureDefinition/timing-exact", "valueBoolean": False}
    ]
