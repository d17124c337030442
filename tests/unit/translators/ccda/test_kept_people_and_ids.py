"""People, places and ids of entries, in the elements that R4 has for them."""

from __future__ import annotations

from typing import Any

from gateway.fhir import gate
from tests.unit.translators.ccda.written import converted, of_type, only, section

ROOT = "2.16.840.1.113883.10.20.22.4."
NURSE = (
    '<assignedEntity><id root="2.999.1" extension="n-1"/><assignedPerson><name><given>Nan</given><family>Careful'
    "</family></name></assignedPerson></assignedEntity>"
)
DRUG = '<manufacturedMaterial><code code="309090" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial>'


def read(entry: str, *, code: str) -> Any:
    result = converted(section(code, entry))
    assert gate.check(result.bundle) == []
    return result


def url(resource: dict[str, Any]) -> dict[str, str]:
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}


def prescription(product: str, more: str = "") -> str:
    return (
        f'<substanceAdministration classCode="SBADM" moodCode="INT"><templateId root="{ROOT}16"/><id root="2.999.5"/>'
        f'<statusCode code="active"/><consumable><manufacturedProduct>{product}</manufacturedProduct></consumable>'
        f"{more}</substanceAdministration>"
    )


def planned(*more: str) -> str:
    code = '<code code="395170001" codeSystem="2.16.840.1.113883.6.96"/>'
    return (
        f'<act classCode="ACT" moodCode="INT"><templateId root="{ROOT}39"/>{code}<statusCode code="active"/>'
        f"{''.join(more)}</act>"
    )


def test_the_id_of_a_product_is_the_medications() -> None:
    result = read(prescription(f'<id root="2.999.6" extension="drug-1"/>{DRUG}'), code="10160-0")

    medication, request = only(result, "Medication"), only(result, "MedicationRequest")
    assert [one["value"] for one in medication["identifier"]] == ["drug-1"]
    assert medication["code"]["coding"][0]["code"] == "309090"
    assert request["medicationReference"] == url(medication)


def test_a_product_without_more_is_a_concept() -> None:
    result = read(prescription(f'<id nullFlavor="UNK"/>{DRUG}'), code="10160-0")

    assert of_type(result, "Medication") == []
    assert only(result, "MedicationRequest")["medicationCodeableConcept"]["coding"][0]["code"] == "309090"


def test_the_pharmacy_of_an_order_is_who_dispenses() -> None:
    pharmacy = '<representedOrganization><id root="2.999.7"/><name>Corner Pharmacy</name></representedOrganization>'
    supply = (
        f'<supply classCode="SPLY" moodCode="INT"><templateId root="{ROOT}17"/><quantity value="30"/>'
        f'<performer><assignedEntity><id root="2.999.8" extension="p-1"/>{pharmacy}</assignedEntity></performer>'
        "</supply>"
    )
    entry = prescription(DRUG, f'<entryRelationship typeCode="REFR">{supply}</entryRelationship>')
    result = read(entry, code="10160-0")

    assert only(result, "MedicationRequest")["dispenseRequest"]["performer"] == url(only(result, "Organization"))
    assert of_type(result, "Provenance") == [], "nobody dispensed anything yet"


def test_who_took_the_vital_signs_is_named_at_the_panel() -> None:
    pulse = (
        f'<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}27"/><id root="2.999.9"/>'
        '<code code="8867-4" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>'
        '<effectiveTime value="20240301"/><value xsi:type="PQ" value="60" unit="/min"/></observation>'
    )
    organizer = (
        f'<organizer classCode="CLUSTER" moodCode="EVN"><templateId root="{ROOT}26"/><id root="2.999.10"/>'
        f'<statusCode code="completed"/><effectiveTime value="20240301"/><performer>{NURSE}</performer>'
        f"<component>{pulse}</component></organizer>"
    )
    result = read(organizer, code="8716-3")

    [panel] = [one for one in of_type(result, "Observation") if "hasMember" in one]
    assert panel["performer"] == [url(only(result, "Practitioner"))]
    assert of_type(result, "Provenance") == []


def test_who_is_responsible_for_what_is_planned_and_where_it_is_to_be() -> None:
    responsible = (
        '<participant typeCode="RESP"><participantRole classCode="ASSIGNED"><id root="2.999.11" extension="r-1"/>'
        '<playingEntity classCode="PSN"><name><given>Rae</given><family>Sponsible</family></name></playingEntity>'
        "</participantRole></participant>"
    )
    where = (
        '<participant typeCode="LOC"><participantRole classCode="SDLOC"><addr><city>Sampleton</city></addr>'
        '<playingEntity classCode="PLC"><name>Day Clinic</name></playingEntity></participantRole></participant>'
    )
    result = read(planned(responsible, where), code="18776-5")

    request = only(result, "ServiceRequest")
    assert request["performer"] == [url(only(result, "Practitioner"))]
    assert request["locationReference"] == [url(only(result, "Location"))]
    assert only(result, "Location")["name"] == "Day Clinic"


def test_the_author_of_a_comment_is_the_person_though_he_has_a_role() -> None:
    """Annotation.author refers to no PractitionerRole in R4."""
    who = NURSE.replace("assignedEntity", "assignedAuthor").replace(
        "</assignedAuthor>",
        "<representedOrganization><name>Day Clinic</name></representedOrganization></assignedAuthor>",
    )
    comment = (
        f'<entryRelationship typeCode="SUBJ"><act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}64"/>'
        '<code code="48767-8" codeSystem="2.16.840.1.113883.6.1"/><text>Call back</text>'
        f'<author><time value="20240302"/>{who}</author></act></entryRelationship>'
    )
    result = read(planned(comment), code="18776-5")

    [note] = only(result, "ServiceRequest")["note"]
    assert note == {"authorReference": url(only(result, "Practitioner")), "time": "2024-03-02", "text": "Call back"}


def test_the_specimen_of_a_procedure_is_not_lost() -> None:
    specimen = (
        '<specimen><specimenRole classCode="SPEC"><id root="2.999.12" extension="s-1"/><specimenPlayingEntity>'
        '<code code="309226005" codeSystem="2.16.840.1.113883.6.96"/></specimenPlayingEntity></specimenRole></specimen>'
    )
    procedure = (
        f'<procedure classCode="PROC" moodCode="EVN"><templateId root="{ROOT}14"/><id root="2.999.13"/>'
        '<code code="73761001" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="completed"/>'
        f'<effectiveTime value="20240301"/>{specimen}</procedure>'
    )
    result = read(procedure, code="47519-4")

    made = only(result, "Specimen")
    assert [one["value"] for one in made["identifier"]] == ["s-1"]
    assert made["subject"] == {"reference": "Patient/p1"}
    assert url(made) in only(result, "Composition")["section"][0]["entry"]


def test_a_planned_coverage_has_the_ids_of_plan_and_policy() -> None:
    inner = (
        '<act classCode="ACT" moodCode="INT"><id root="2.999.15"/>'
        '<code code="111" codeSystem="2.16.840.1.113883.3.221.5"/><statusCode code="active"/></act>'
    )
    act = (
        f'<act classCode="ACT" moodCode="INT"><templateId root="{ROOT}129"/><id root="2.999.14"/>'
        '<code code="48768-6" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="active"/>'
        f'<entryRelationship typeCode="COMP">{inner}</entryRelationship></act>'
    )
    coverage = only(read(act, code="18776-5"), "Coverage")

    assert sorted(one["value"] for one in coverage["identifier"]) == ["urn:oid:2.999.14", "urn:oid:2.999.15"]


def test_who_is_named_in_three_ways_is_one_and_everybody_refers_to_him() -> None:
    """By a number alone, by it and his name, and by both with a number that all know: the middle one becomes the last
    after the first became the middle one."""
    number, known = '<id root="2.999.7" extension="d-1"/>', '<id root="2.16.840.1.113883.4.6" extension="1234567893"/>'
    named = "<assignedPerson><name><given>Otto</given><family>Berg</family></name></assignedPerson>"
    written = [number, number + named, number + known + named]
    performers = [f'<performer typeCode="PRF"><assignedEntity>{who}</assignedEntity></performer>' for who in written]
    entries = [
        f'<procedure classCode="PROC" moodCode="EVN"><templateId root="{ROOT}14"/><id root="2.999.8" extension="{at}"/>'
        f'<code code="8000{at}" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="completed"/>{who}</procedure>'
        for at, who in enumerate(performers)
    ]
    result = converted(section("47519-4", *entries))

    doctor = only(result, "Practitioner")
    assert {one["value"] for one in doctor["identifier"]} == {"d-1", "1234567893"}
    assert [one["performer"] for one in of_type(result, "Procedure")] == [[{"actor": url(doctor)}]] * 3
