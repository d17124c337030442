"""What went wrong in other converters, each a test: what they refused, turned round, padded, lost or made up."""

from __future__ import annotations

import re

import pytest

from gateway.fhir import json
from gateway.translators.ccda import convert

from .written import PATIENT, codes, converted, document, of_type, only, section

SNOMED, RXNORM, UCUM = (
    "http://snomed.info/sct",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
    "http://unitsofmeasure.org",
)
C_CDA = "2.16.840.1.113883.10.20.22"


def result(extension: str, value: str, *, template: str = f"{C_CDA}.4.2", time: str = "20240501") -> str:
    return f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{template}"/>
    <id root="1.1" extension="{extension}"/><code code="718-7" codeSystem="2.16.840.1.113883.6.1"/>
    <statusCode code="completed"/><effectiveTime value="{time}"/>{value}</observation>"""


def allergy(*, negated: bool = False, template: str = f"{C_CDA}.4.7") -> str:
    denied = ' negationInd="true"' if negated else ""
    return f"""<act classCode="ACT" moodCode="EVN"><templateId root="{C_CDA}.4.30"/><statusCode code="active"/>
    <entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN"{denied}>
    <templateId root="{template}"/>
    <id root="1.1" extension="allergy"/><code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/>
    <value xsi:type="CD" code="416098002" codeSystem="2.16.840.1.113883.6.96"/><participant typeCode="CSM">
    <participantRole classCode="MANU"><playingEntity><code code="70618" codeSystem="2.16.840.1.113883.6.88"/>
    </playingEntity>    </participantRole></participant></observation></entryRelationship></act>"""


def immunization(*, negated: bool) -> str:
    return f"""<substanceAdministration classCode="SBADM" moodCode="EVN" negationInd="{str(negated).lower()}">
    <templateId root="{C_CDA}.4.52"/><id root="1.1" extension="flu"/><statusCode code="completed"/>
    <effectiveTime value="20231001"/><consumable><manufacturedProduct><manufacturedMaterial>
    <code code="140" codeSystem="2.16.840.1.113883.12.292"/></manufacturedMaterial></manufacturedProduct></consumable>
    </substanceAdministration>"""


PQ = '<value xsi:type="PQ" value="13.5" unit="g/dL"/>'


def test_one_bad_entry_fails_nothing_but_itself() -> None:
    bad = f'<observation><templateId root="{C_CDA}.4.2"/><effectiveTime value="yesterday"/></observation>'

    told = converted(section("30954-2", bad, "<nonsense/>", result("good", PQ)))

    assert only(told, "Observation")["identifier"][0]["value"] == "good"
    assert told.report["sections"][0]["seen"] == 3


def test_what_a_document_shall_have_and_has_not_fails_nothing() -> None:
    """Neither ids nor title nor time in the header, no status, text or id in the entry."""
    bare = f"""<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">{PATIENT}
    <component><structuredBody><component><section><code code="30954-2"/><entry><observation>
    <code code="718-7" codeSystem="2.16.840.1.113883.6.1"/>{PQ}</observation></entry></section></component>
    </structuredBody></component></ClinicalDocument>"""

    told = convert(bare.encode(), patient_id="p1")

    assert only(told, "Observation")["valueQuantity"]["code"] == "g/dL"


def test_a_negated_immunization_is_never_one_that_was_given() -> None:
    assert only(converted(section("11369-6", immunization(negated=True))), "Immunization")["status"] == "not-done"
    assert only(converted(section("11369-6", immunization(negated=False))), "Immunization")["status"] == "completed"


def test_a_negated_allergy_is_never_an_allergy() -> None:
    told = only(converted(section("48765-2", allergy(negated=True))), "AllergyIntolerance")

    assert "code" not in told
    (risk,) = told["extension"]
    assert "no-known-reaction-risk" in str(risk)


def test_a_date_is_not_padded_to_midnight() -> None:
    told = converted(section("30954-2", result("a", PQ, time="20240501"), result("b", PQ, time="202405")))

    assert {one["effectiveDateTime"] for one in of_type(told, "Observation")} == {"2024-05-01", "2024-05"}
    assert not re.search(r"T00:00:00(?:Z|\+00:00)", json.encode(told.bundle).decode())


def test_the_substance_is_the_code_of_the_allergy() -> None:
    told = only(converted(section("48765-2", allergy())), "AllergyIntolerance")

    assert codes(told["code"]) == [(RXNORM, "70618")]
    assert told["type"] == "allergy"


def test_a_quantity_has_its_unit_as_a_code() -> None:
    quantity = only(converted(section("30954-2", result("a", PQ))), "Observation")["valueQuantity"]

    assert (quantity["unit"], quantity["system"], quantity["code"]) == ("g/dL", UCUM, "g/dL")


@pytest.mark.parametrize(
    "marks",
    [
        f'<templateId root="{C_CDA}.2.6.1"/>',
        f'<templateId root="{C_CDA}.2.6"/>',
        '<templateId root="2.16.840.1.113883.10.20.1.2"/>',
        '<code code="48765-2" codeSystem="2.16.840.1.113883.6.1"/>',
        "<title>Allergies</title>",
    ],
    ids=["entries required", "entries optional", "CCD 1.0", "code alone", "title alone"],
)
def test_a_section_is_found_by_any_of_its_ids(marks: str) -> None:
    """Its entries follow no template that anybody knows: the section says what they are."""
    entry = allergy(template="9.9.9").replace(f'<templateId root="{C_CDA}.4.30"/>', "")

    told = converted(f"<section>{marks}<text>told</text><entry>{entry}</entry></section>")

    assert codes(only(told, "AllergyIntolerance")["code"]) == [(RXNORM, "70618")]


def test_a_document_of_release_1_1_is_not_refused() -> None:
    """The same templates without an extension, under the root of the first release."""
    header = f'<templateId root="{C_CDA}.1.2"/><realmCode code="US"/>{PATIENT}'

    assert only(converted(section("30954-2", result("a", PQ)), header=header), "Observation")["status"] == "final"


@pytest.mark.parametrize("kind", ["application/pdf", "text/plain", "text/rtf", "image/jpeg"])
def test_a_body_that_is_no_xml_is_not_refused(kind: str) -> None:
    body = f'<nonXMLBody><text mediaType="{kind}" representation="B64">JVBERi0=</text></nonXMLBody>'
    data = document().replace(b"<structuredBody></structuredBody>", body.encode())

    told = convert(data, patient_id="p1")

    assert only(told, "DocumentReference")["content"][0]["attachment"]["contentType"] == kind
    assert only(told, "Binary")["data"] == "JVBERi0="


def test_the_encounter_of_the_header_is_not_there_twice() -> None:
    times = '<effectiveTime><low value="20240401"/><high value="20240403"/></effectiveTime>'
    header = f"""{PATIENT}<componentOf><encompassingEncounter><id root="1.5" extension="visit"/>
    <code code="IMP" codeSystem="2.16.840.1.113883.5.4"/>{times}</encompassingEncounter></componentOf>"""
    entry = f"""<encounter classCode="ENC" moodCode="EVN"><templateId root="{C_CDA}.4.49"/>
    <id root="1.5" extension="visit"/><code code="99223" codeSystem="2.16.840.1.113883.6.12"/>{times}</encounter>"""

    only(converted(section("46240-8", entry), header=header), "Encounter")


def test_no_data_available_is_no_resource() -> None:
    nothing = f"""<observation classCode="OBS" moodCode="EVN" nullFlavor="NI"><templateId root="{C_CDA}.4.2"/>
    <id nullFlavor="NI"/><code nullFlavor="NI"/><text>No data available</text><value xsi:type="CD" nullFlavor="NI"/>
    </observation>"""
    empty = '<section nullFlavor="NI"><code code="30954-2"/><text>No data available</text></section>'

    told = converted(section("30954-2", nothing), empty)

    assert {entry["resource"]["resourceType"] for entry in told.bundle["entry"]} == {"Composition", "Patient"}


def test_ids_do_not_change_from_one_conversion_to_the_next() -> None:
    entries = (result("a", PQ), result("b", PQ), allergy())
    first, again = (converted(section("30954-2", *one)) for one in (entries, entries[::-1]))

    ids = [{entry["fullUrl"] for entry in told.bundle["entry"]} for told in (first, again)]
    assert ids[0] == ids[1]
    assert json.encode(first.bundle) == json.encode(converted(section("30954-2", *entries)).bundle)


def test_an_oid_that_nobody_knows_is_no_url() -> None:
    entry = result("a", PQ).replace("2.16.840.1.113883.6.1", "1.3.6.1.4.1.99999.7")

    told = only(converted(section("30954-2", entry)), "Observation")

    assert codes(told["code"]) == [("urn:oid:1.3.6.1.4.1.99999.7", "718-7")]
    assert told["identifier"][0]["system"] == "urn:oid:1.1"


@pytest.mark.parametrize("kind", ["COMP", "REFR", ""])
@pytest.mark.parametrize("template", [f"{C_CDA}.4.7", "1.2.3.4"])
def test_an_allergy_keeps_its_substance_and_its_concern_in_any_relationship(kind: str, template: str) -> None:
    entry = allergy(template=template).replace('typeCode="SUBJ"', f'typeCode="{kind}"')
    denied = allergy(template=template, negated=True).replace('typeCode="SUBJ"', f'typeCode="{kind}"')

    told, untold = (only(converted(section("48765-2", one)), "AllergyIntolerance") for one in (entry, denied))
    ordinary = only(converted(section("48765-2", allergy())), "AllergyIntolerance")

    assert told["code"] == ordinary["code"]
    assert codes(told["clinicalStatus"])[0][1] == "active"
    assert untold.get("code") != ordinary["code"]
