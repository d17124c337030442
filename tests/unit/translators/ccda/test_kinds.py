"""Every kind of document: its type, its sections in their order with their narrative, and what its entries say."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.fhir import gate
from gateway.translators.ccda import Converted, convert

from .kinds import ENTRY, KINDS, LOINC, Kind, Part, concern, medication
from .written import PATIENT, codes, of_type, only

VERSIONS = {
    "R1.1": lambda root: f'<templateId root="{root}"/>',
    "R2.1": lambda root: f'<templateId root="{root}"/><templateId root="{root}" extension="2015-08-01"/>',
    "newer": lambda root: f'<templateId root="{root}" extension="2024-05-01"/>',
    "unknown": lambda root: '<templateId root="2.25.1"/>',
}


def written(kind: Kind, templates: str, body: str) -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:sdtc="urn:hl7-org:sdtc"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">{templates}
<id root="9.8.7" extension="{kind.code}"/><code code="{kind.code}" codeSystem="{LOINC}"/><title>{kind.name}</title>
<effectiveTime value="20240501120000-0500"/>{PATIENT}<component>{body}</component></ClinicalDocument>""".encode()


def structured(kind: Kind, version: str = "R2.1") -> Converted:
    held = "".join(f"<component>{part.xml()}</component>" for part in kind.parts)
    templates = VERSIONS[version](kind.root)
    return convert(written(kind, templates, f"<structuredBody>{held}</structuredBody>"), patient_id="p1")


def sections(listed: list[dict[str, Any]]) -> list[Any]:
    """The code of each with those within it, and that the words are there."""
    return [
        (one["code"]["coding"][0]["code"], "told in" in one["text"]["div"], sections(one.get("section", [])))
        for one in listed
    ]


def expected(parts: tuple[Part, ...]) -> list[Any]:
    return [(part.code, True, expected(part.inner)) for part in parts]


def said(value: Any) -> Iterator[str]:
    """Every code in a resource."""
    if isinstance(value, dict):
        if isinstance(code := value.get("code"), str):
            yield code
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        yield from said(inner)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_of_document(kind: Kind, version: str) -> None:
    result = structured(kind, version)

    composition = only(result, "Composition")
    assert gate.check(result.bundle) == []
    assert codes(composition["type"]) == [("http://loinc.org", kind.code)]
    assert composition["title"] == kind.name
    assert sections(composition["section"]) == expected(kind.parts)
    for resource_type, code in kind.facts:
        found = [one for one in of_type(result, resource_type) if code in said(one)]
        assert len(found) == 1, (resource_type, code)
        subject = found[0].get("subject", found[0].get("patient"))
        assert subject == {"reference": "Patient/p1"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_entry_of_it_is_understood(kind: Kind) -> None:
    rows = structured(kind).report["sections"]

    seen = sum(len(part.entries) for part in kind.parts)
    assert sum(row["seen"] for row in rows) == sum(row["converted"] for row in rows) == seen
    assert [row["notUnderstood"] for row in rows if row["notUnderstood"]] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_its_entries_are_linked_from_their_sections(kind: Kind) -> None:
    result = structured(kind)

    listed = only(result, "Composition")["section"]
    there = {entry["request"]["url"] for entry in result.bundle["entry"]}
    for part, section in zip(kind.parts, listed, strict=True):
        linked = {one["reference"] for one in section.get("entry", ())}
        assert linked <= there
        assert bool(linked) == bool(part.entries)


BARE = """<observation classCode="OBS" moodCode="EVN"><code code="55607006" codeSystem="2.16.840.1.113883.6.96"/>
<statusCode code="completed"/><value xsi:type="CD" code="38341003" codeSystem="2.16.840.1.113883.6.96"/>
</observation>"""
CCD = KINDS[0]


@pytest.mark.parametrize(
    "named",
    [
        '<templateId root="2.16.840.1.113883.10.20.22.2.5.1"/>',
        '<templateId root="2.16.840.1.113883.10.20.22.2.5"/>',
        '<templateId root="2.16.840.1.113883.10.20.22.2.5.1" extension="2015-08-01"/>',
        '<templateId root="2.16.840.1.113883.10.20.1.11"/>',
        '<templateId root="2.25.7"/><code code="11450-4" codeSystem="2.16.840.1.113883.6.1"/>',
        '<code nullFlavor="UNK"/><title>Problem List</title>',
        "<title>ACTIVE PROBLEMS:</title>",
    ],
)
def test_a_section_is_known_by_any_of_its_ids_its_code_or_its_title(named: str) -> None:
    body = f"<section>{named}<text>as told</text><entry>{BARE}</entry></section>"
    data = written(CCD, VERSIONS["R1.1"](CCD.root), f"<structuredBody><component>{body}</component></structuredBody>")

    condition = only(convert(data, patient_id="p1"), "Condition")

    assert codes(condition["code"]) == [("http://snomed.info/sct", "38341003")]


OLD = "2.16.840.1.113883.10.20.1."
C32 = '<templateId root="2.16.840.1.113883.3.88.11.32.1"/><templateId root="2.16.840.1.113883.10.20.1"/>'
OLD_PARTS = (
    (
        "11",
        "11450-4",
        f"""<act classCode="ACT" moodCode="EVN"><templateId root="{OLD}27"/><code nullFlavor="NA"/>
        <entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN"><templateId root="{OLD}28"/>
        <code code="64572001" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="completed"/>
        <effectiveTime><low value="1998"/></effectiveTime>
        <value xsi:type="CD" code="195967001" codeSystem="2.16.840.1.113883.6.96"/>
        <entryRelationship typeCode="REFR"><observation classCode="OBS" moodCode="EVN"><templateId root="{OLD}50"/>
        <code code="33999-4" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>
        <value xsi:type="CE" code="55561003" codeSystem="2.16.840.1.113883.6.96"/></observation></entryRelationship>
        </observation></entryRelationship></act>""",
    ),
    (
        "8",
        "10160-0",
        f"""<substanceAdministration classCode="SBADM" moodCode="EVN"><templateId root="{OLD}24"/>
        <statusCode code="active"/><effectiveTime xsi:type="IVL_TS"><low value="20050101"/></effectiveTime>
        <consumable><manufacturedProduct><templateId root="{OLD}53"/><manufacturedMaterial>
        <code code="307782" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial></manufacturedProduct>
        </consumable></substanceAdministration>""",
    ),
    (
        "14",
        "30954-2",
        f"""<organizer classCode="BATTERY" moodCode="EVN"><templateId root="{OLD}32"/>
        <code code="43789009" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="completed"/>
        <component><observation classCode="OBS" moodCode="EVN"><templateId root="{OLD}31"/>
        <code code="30313-1" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>
        <effectiveTime value="200003231430-0500"/><value xsi:type="PQ" value="13.2" unit="g/dL"/></observation>
        </component></organizer>""",
    ),
)


def test_a_c32_as_far_as_it_goes() -> None:
    held = "".join(
        f"""<component><section><templateId root="{OLD}{root}"/><code code="{code}" codeSystem="{LOINC}"/>
        <text>told in {code}</text><entry>{entry}</entry></section></component>"""
        for root, code, entry in OLD_PARTS
    )
    result = convert(written(CCD, C32, f"<structuredBody>{held}</structuredBody>"), patient_id="p1")

    condition, request = only(result, "Condition"), only(result, "MedicationRequest")
    (observation,) = of_type(result, "Observation")
    assert gate.check(result.bundle) == []
    assert codes(condition["code"]) == [("http://snomed.info/sct", "195967001")]
    assert condition["onsetDateTime"] == "1998"
    assert codes(condition["clinicalStatus"])[0][1] == "active"
    assert "307782" in said(request)
    assert codes(observation["code"]) == [("http://loinc.org", "30313-1")]
    assert observation["effectiveDateTime"] == "2000-03-23T14:30:00-05:00"
    assert str(observation["valueQuantity"]["value"]) == "13.2"
    assert [codes(one["code"])[0][1] for one in only(result, "Composition")["section"]] == [
        "11450-4",
        "10160-0",
        "30954-2",
    ]
    assert all(row["converted"] == row["seen"] == 1 for row in result.report["sections"])


def test_a_problem_with_the_templates_of_an_allergy_is_a_problem() -> None:
    """Some exports have IHE's and CCD's allergy templates on every problem."""
    own, others = f'<templateId root="{ENTRY}4"/>', f'<templateId root="{OLD}18"/><templateId root="{OLD}28"/>'
    told = Part("11450-4", "5.1", (concern("40930008").replace(own, others),))
    data = written(CCD, C32, f"<structuredBody><component>{told.xml()}</component></structuredBody>")
    result = convert(data, patient_id="p1")

    assert codes(only(result, "Condition")["code"]) == [("http://snomed.info/sct", "40930008")]
    assert of_type(result, "AllergyIntolerance") == []


def test_sections_of_sections_with_entries_on_every_level() -> None:
    inner = Part("10160-0", "1.1", (medication("314076"),))
    outer = Part("11450-4", "5.1", (concern("38341003"),), (inner,))
    data = written(CCD, "", f"<structuredBody><component>{outer.xml()}</component></structuredBody>")
    result = convert(data, patient_id="p1")

    (section,) = only(result, "Composition")["section"]
    assert [one["reference"].partition("/")[0] for one in section["entry"]] == ["Condition"]
    assert [one["reference"].partition("/")[0] for one in section["section"][0]["entry"]] == ["MedicationRequest"]


NOTE = Kind("Discharge letter", "2.16.840.1.113883.10.20.22.1.10", "18842-5", (), ())
RTF = r"{\rtf1\ansi A letter.}"


@pytest.mark.parametrize(
    ("text", "media_type", "begins"),
    [
        (
            '<text mediaType="application/pdf" representation="B64">JVBERi0x\n LjQK</text>',
            "application/pdf",
            b"%PDF-1.4",
        ),
        ('<text mediaType="application/pdf">JVBERi0xLjQK</text>', "application/pdf", b"%PDF-1"),
        ('<text mediaType="application/pdf" representation="B64">JVBERi0xLjQ</text>', "application/pdf", b"%PDF-1"),
        ('<text mediaType="text/plain">JVBERi0x</text>', "text/plain", b"JVBERi0x"),
        ("<text>plain words</text>", "text/plain", b"plain words"),
        ('<text mediaType="text/html">&lt;p&gt;words&lt;/p&gt;</text>', "text/html", b"<p>words</p>"),
        (f'<text mediaType="text/rtf">{RTF}</text>', "text/rtf", RTF.encode()),
        ('<text mediaType="text/rtf" representation="B64">e1xydGYxfQ==</text>', "text/rtf", rb"{\rtf1}"),
        ('<text mediaType="image/png" representation="B64">iVBORw0KGgo=</text>', "image/png", b"\x89PNG"),
        ('<text mediaType="image/jpeg" representation="B64">/9j/4AAQ</text>', "image/jpeg", b"\xff\xd8\xff"),
        ('<text mediaType="image/tiff">SUkqAA==</text>', "image/tiff", b"II*"),
        (
            '<text mediaType="text/plain" representation="B64" compression="GZ">H4sIAAAA</text>',
            "application/gzip",
            b"\x1f\x8b",
        ),
    ],
)
def test_a_body_that_is_no_xml(text: str, media_type: str, begins: bytes) -> None:
    data = written(NOTE, VERSIONS["R2.1"](NOTE.root), f"<nonXMLBody>{text}</nonXMLBody>")
    result = convert(data, patient_id="p1")

    binary, reference = only(result, "Binary"), only(result, "DocumentReference")
    assert binary["contentType"] == media_type
    assert b64decode(binary["data"]).startswith(begins)
    assert reference["content"] == [{"attachment": {"contentType": media_type, "url": f"Binary/{binary['id']}"}}]
    assert codes(reference["type"]) == [("http://loinc.org", "18842-5")]
    assert codes(reference["category"][0])[0][1] == "clinical-note"
    section = [{"entry": [{"reference": f"DocumentReference/{reference['id']}"}]}]
    assert only(result, "Composition")["section"] == section


def test_a_letter_has_what_its_header_says() -> None:
    worker = """<id root="1.7" extension="7"/><assignedPerson><name><family>Seven</family></name></assignedPerson>"""
    header = f"""<confidentialityCode code="R"/>{PATIENT}<author><time value="20240501"/><assignedAuthor>{worker}
    </assignedAuthor></author><custodian><assignedCustodian><representedCustodianOrganization><name>Clinic</name>
    </representedCustodianOrganization></assignedCustodian></custodian><legalAuthenticator><time value="20240502"/>
    <assignedEntity>{worker}</assignedEntity></legalAuthenticator><documentationOf><serviceEvent classCode="PCPR">
    <effectiveTime><low value="20240401"/><high value="20240430"/></effectiveTime></serviceEvent></documentationOf>
    <relatedDocument typeCode="RPLC"><parentDocument><id root="9.8.7" extension="old"/></parentDocument>
    </relatedDocument>
    <componentOf><encompassingEncounter><id root="1.9" extension="v"/><effectiveTime value="20240430"/>
    </encompassingEncounter></componentOf>"""
    body = "<nonXMLBody><text>plain words</text></nonXMLBody>"
    data = written(NOTE, VERSIONS["R2.1"](NOTE.root), body).decode().replace(PATIENT, header).encode()
    result = convert(data, patient_id="p1")

    reference, author = only(result, "DocumentReference"), only(result, "Practitioner")["id"]
    assert gate.check(result.bundle) == []
    assert reference["author"] == [{"reference": f"Practitioner/{author}"}]
    assert reference["authenticator"] == {"reference": f"Practitioner/{author}"}
    assert reference["custodian"] == {"reference": f"Organization/{only(result, 'Organization')['id']}"}
    assert reference["context"] == {
        "encounter": [{"reference": f"Encounter/{only(result, 'Encounter')['id']}"}],
        "period": {"start": "2024-04-01", "end": "2024-04-30"},
    }
    (replaced,) = reference["relatesTo"]
    assert (replaced["code"], replaced["target"]["identifier"]["value"]) == ("replaces", "old")
    assert codes(reference["securityLabel"][0])[0][1] == "R"
    labelled = [*of_type(result, "Binary", "DocumentReference", "Composition")]
    assert [one["meta"]["security"][0]["code"] for one in labelled] == ["R", "R", "R"]
    assert reference["docStatus"] == "final"
