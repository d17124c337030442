"""A study of images with its series, as a Diagnostic Imaging Report names them."""

from __future__ import annotations

from gateway.fhir import gate

from .written import codes, converted, of_type, only, section

DIR = "2.16.840.1.113883.10.20.6.2."
DCM = 'codeSystem="1.2.840.10008.2.16.4"'
MODALITY = f'<qualifier><name code="121139" {DCM}/><value code="CR" {DCM}/></qualifier>'
IMAGE = f"""<observation classCode="DGIMG" moodCode="EVN"><templateId root="{DIR}8"/><id root="1.2.3.30"/>
<code code="1.2.840.10008.5.1.4.1.1.1" codeSystem="1.2.840.10008.2.6.1"/></observation>"""


def series(inner: str, *, uid: str = '<id root="1.2.3.20"/>', qualifier: str = MODALITY) -> str:
    return f"""<entryRelationship typeCode="COMP"><act classCode="ACT" moodCode="EVN">{uid}<code code="113015" {DCM}>
    {qualifier}</code><entryRelationship typeCode="COMP">{inner}</entryRelationship></act></entryRelationship>"""


def study(inner: str, attributes: str = "") -> str:
    entry = f"""<act classCode="ACT" moodCode="EVN" {attributes}><templateId root="{DIR}6"/><id root="1.2.3.10"/>
    <code code="113014" {DCM}/><effectiveTime value="20240501"/>{inner}</act>"""
    return section("55111-9", entry)


def test_a_study_has_its_series_and_their_images() -> None:
    result = converted(study(series(IMAGE)))

    made = only(result, "ImagingStudy")
    assert made["identifier"] == [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3.10"}]
    assert (made["status"], made["started"]) == ("unknown", "2024-05-01")
    (one,) = made["series"]
    assert one["uid"] == "1.2.3.20"
    assert codes({"coding": [one["modality"]]}) == [("http://dicom.nema.org/resources/ontology/DCM", "CR")]
    sop_class = {"system": "urn:oid:1.2.840.10008.2.6.1", "code": "1.2.840.10008.5.1.4.1.1.1"}
    assert one["instance"] == [{"uid": "1.2.3.30", "sopClass": sop_class}]
    assert of_type(result, "Observation"), "what is told of the image"
    assert gate.check(result.bundle) == []


def test_a_series_that_does_not_say_how_it_was_made_or_which_it_is() -> None:
    made = only(converted(study(series(IMAGE, qualifier=""))), "ImagingStudy")
    assert "extension" in made["series"][0]["modality"]

    nameless = converted(study(series(IMAGE, uid="")))
    assert "series" not in only(nameless, "ImagingStudy")
    assert of_type(nameless, "Observation")
    assert gate.check(nameless.bundle) == []


def test_a_study_that_was_not_made_is_none() -> None:
    assert not of_type(converted(study(series(IMAGE), 'negationInd="true"')), "ImagingStudy", "Observation")
