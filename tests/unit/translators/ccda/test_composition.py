"""What a section says of all that is in it: who wrote it, who may see it, whom it is about."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.fhir import gate
from gateway.translators.ccda import Converted, convert

from .kinds import author_of, concern, result
from .written import PATIENT, converted, document, of_type, only

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
RESTRICTED = [{"system": CONFIDENTIALITY, "code": "R"}]


def part(*entries: str, more: str = "", inner: str = "") -> str:
    held = "".join(f"<entry>{entry}</entry>" for entry in entries)
    return f"""<section><code code="11450-4" codeSystem="2.16.840.1.113883.6.1"/><text>as told</text>{more}{held}
    {inner}</section>"""


def confidential(code: str) -> str:
    return f'<confidentialityCode code="{code}" codeSystem="2.16.840.1.113883.5.25"/>'


RESTRICTING = confidential("R").encode()


def read(*parts: str, header: str = "") -> Converted:
    made = converted(*parts, header=header + PATIENT)
    assert gate.check(made.bundle) == []
    return made


def security(resource: dict[str, Any]) -> Any:
    return resource.get("meta", {}).get("security")


def test_what_stands_in_a_restricted_section_is_restricted() -> None:
    made = read(part(concern("38341003"), more=confidential("R")), part(concern("195967001")))

    conditions = {one["code"]["coding"][0]["code"]: security(one) for one in of_type(made, "Condition")}
    assert conditions == {"38341003": RESTRICTED, "195967001": None}
    assert security(only(made, "Composition")) == RESTRICTED
    assert security(only(made, "Patient")) is None


def test_the_parts_of_what_stands_there_too() -> None:
    made = read(part(result("2345-7", "95"), more=confidential("R")))

    assert [security(one) for one in of_type(made, "Observation", "DiagnosticReport")] == [RESTRICTED, RESTRICTED]


@pytest.mark.parametrize(
    ("document", "section", "expected"),
    [("R", None, "R"), ("V", "R", "R"), ("R", "N", None), ("N", "V", "V"), ("N", None, None)],
)
def test_a_section_has_the_label_of_its_document_unless_it_has_its_own(
    document: str, section: str | None, expected: str | None
) -> None:
    told = part(concern("38341003"), more=confidential(section) if section else "")
    made = read(told, header=confidential(document))

    labels = security(only(made, "Condition")) or [{}]
    assert labels[0].get("code") == expected
    strictest = max([one for one in (document, section) if one in ("R", "V")], default=None)
    assert (security(only(made, "Composition")) or [{}])[0].get("code") == strictest


def test_a_section_within_inherits_the_label() -> None:
    inner = f"<component>{part(concern('38341003'))}</component>"

    assert security(only(read(part(more=confidential("R"), inner=inner)), "Condition")) == RESTRICTED


def test_a_body_may_have_a_label_of_its_own() -> None:
    told = document(part(concern("38341003"))).replace(b"<structuredBody>", b"<structuredBody>" + RESTRICTING)
    made = convert(told, patient_id="p1")

    assert security(only(made, "Condition")) == security(only(made, "Composition")) == RESTRICTED


def test_a_body_that_is_no_xml_too() -> None:
    body = b"<nonXMLBody>" + RESTRICTING + b'<text mediaType="text/plain">words</text></nonXMLBody>'
    made = convert(document().replace(b"<structuredBody></structuredBody>", body), patient_id="p1")

    letter = only(made, "DocumentReference")
    assert letter["securityLabel"] == [{"coding": RESTRICTED}]
    assert [security(one) for one in (letter, *of_type(made, "Composition", "Binary"))] == [RESTRICTED] * 3


def test_who_wrote_a_section() -> None:
    made = read(part(more=author_of("Seven")))

    (section,) = only(made, "Composition")["section"]
    assert section["author"] == [{"reference": f"Practitioner/{only(made, 'Practitioner')['id']}"}]


def test_who_told_what_is_in_a_section() -> None:
    told = author_of("Rahn").replace("assignedAuthor", "assignedEntity").replace("author>", "informant>")
    made = read(part(more=told))

    (section,) = only(made, "Composition")["section"]
    (extension,) = section["extension"]
    assert extension["url"].endswith("/InformantExtension")
    assert extension["valueReference"] == {"reference": f"Practitioner/{only(made, 'Practitioner')['id']}"}


def test_a_section_about_a_relative_says_nothing_of_the_patient() -> None:
    subject = '<subject><relatedSubject classCode="PRS"><code code="NCHILD"/></relatedSubject></subject>'
    made = read(part(concern("38341003"), more=subject))

    assert of_type(made, "Condition") == []
    (row,) = made.report["sections"]
    assert [one["reason"] for one in row["notUnderstood"]] == ["about somebody else, as its section is"]
    assert "as told" in only(made, "Composition")["section"][0]["text"]["div"]
