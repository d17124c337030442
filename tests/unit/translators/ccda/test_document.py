"""What is no CDA document is refused with one clear error that says where, never what."""

from __future__ import annotations

import pytest

from gateway.errors import InvalidInput, NotConformant, TooLarge, Unparsable
from gateway.translators.ccda import convert
from gateway.translators.ccda.document import MAX_DEPTH

from .written import PATIENT, converted, document, of_type, only, section

BOMB = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;&l;&l;&l;&l;&l;&l;">]>
<ClinicalDocument xmlns="urn:hl7-org:v3"><title>&m;</title></ClinicalDocument>"""


def refused(data: bytes, kind: type[InvalidInput] = Unparsable, **options: object) -> str:
    with pytest.raises(kind) as caught:
        convert(data, patient_id="p1", **options)  # type: ignore[arg-type]
    return caught.value.message


@pytest.mark.parametrize("data", [b"", b"  \n ", b"hello", b"{}", b"<a>", b"\xff\xfe\x00"])
def test_what_is_no_xml(data: bytes) -> None:
    assert refused(data)


def test_the_place_of_a_fault_is_told_and_not_the_text() -> None:
    message = refused(b"<ClinicalDocument>\n  <secret></public></ClinicalDocument>")

    assert "line 2" in message
    assert "secret" not in message


@pytest.mark.parametrize(
    "prolog",
    [b"", b"<!-- <ClinicalDocument> -->\n", b"<?pi x?><!-- a --><?pi y?>  ", b"\xef\xbb\xbf<?xml version='1.0'?>"],
)
def test_a_doctype_is_refused_wherever_it_hides(prolog: bytes) -> None:
    assert "DOCTYPE" in refused(prolog + b"<!DOCTYPE a []><ClinicalDocument/>")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_doctype_is_refused_in_wide_characters_too(encoding: str) -> None:
    assert refused(BOMB.decode().replace('<?xml version="1.0"?>', "").encode(encoding))


@pytest.mark.parametrize("name", ["UTF-7", "utf-32", "ebcdic-cp-us", "x" * 30])
def test_an_encoding_in_which_one_could_hide_is_refused(name: str) -> None:
    assert "encoding" in refused(f'<?xml version="1.0" encoding="{name}"?><ClinicalDocument/>'.encode())


def test_the_same_characters_are_only_text_in_the_body() -> None:
    text = "<text><![CDATA[<!DOCTYPE html>]]> and <!-- <!DOCTYPE x> --> more</text>"

    composition = only(converted(section("11450-4", text=text)), "Composition")

    assert "&lt;!DOCTYPE html&gt;" in composition["section"][0]["text"]["div"]


def test_another_root_is_refused() -> None:
    assert "ClinicalDocument" in refused(b"<feed xmlns='urn:hl7-org:v3'/>")
    assert "ClinicalDocument" in refused(b"<ClinicalDocument xmlns='http://example.org/'/>")


def test_a_root_without_namespace_is_read_and_reported() -> None:
    data = document(section("11450-4")).replace(b' xmlns="urn:hl7-org:v3"', b"")

    result = convert(data, patient_id="p1")

    assert only(result, "Patient")["birthDate"] == "1980-02-22"
    assert any("no namespace" in issue.diagnostics for issue in result.issues)


def test_a_prefix_is_as_good_as_a_default_namespace() -> None:
    plain = document(section("11450-4")).decode().replace('xmlns="urn:', 'xmlns:h="urn:')
    prefixed = plain.replace("<", "<h:").replace("<h:/", "</h:").replace("<h:?", "<?")

    assert only(convert(prefixed.encode(), patient_id="p1"), "Patient")["birthDate"] == "1980-02-22"


def test_more_bytes_than_the_limit() -> None:
    assert refused(document(), TooLarge, limit=100)


def test_eleven_megabytes_in_one_text_are_accepted() -> None:
    text = '<text mediaType="application/pdf" representation="B64">' + "A" * 11_000_000 + "</text>"

    result = convert(unstructured(text), patient_id="p1")

    assert only(result, "Binary")["data"] == "A" * 11_000_000


def unstructured(text: str) -> bytes:
    return document().replace(b"<structuredBody></structuredBody>", f"<nonXMLBody>{text}</nonXMLBody>".encode())


@pytest.mark.parametrize(
    ("text", "kind", "data"),
    [
        ('<text mediaType="application/pdf" representation="B64">JVBE\nRi0=</text>', "application/pdf", "JVBERi0="),
        ('<text mediaType="text/plain">plain words</text>', "text/plain", "cGxhaW4gd29yZHM="),
    ],
)
def test_a_body_that_is_no_xml_is_a_document_of_its_own(text: str, kind: str, data: str) -> None:
    result = convert(unstructured(text), patient_id="p1")

    binary, reference = only(result, "Binary"), only(result, "DocumentReference")
    assert (binary["contentType"], binary["data"]) == (kind, data)
    (content,) = reference["content"]
    assert content["attachment"] == {"contentType": kind, "url": f"Binary/{binary['id']}"}
    assert reference["subject"] == {"reference": "Patient/p1"}
    assert reference["date"] == "2024-05-01T12:00:00-05:00"


def test_a_body_elsewhere_is_referred_to() -> None:
    text = '<text mediaType="application/pdf"><reference value="ref.pdf"/></text>'

    reference = only(convert(unstructured(text), patient_id="p1"), "DocumentReference")

    assert reference["content"] == [{"attachment": {"contentType": "application/pdf", "url": "ref.pdf"}}]


@pytest.mark.parametrize("text", ["", "<text/>", '<text representation="B64">not base64!</text>'])
def test_a_body_of_nothing_is_no_document(text: str) -> None:
    assert of_type(convert(unstructured(text), patient_id="p1"), "DocumentReference") == []


@pytest.mark.parametrize("size", [0, 9_500_000])
def test_nesting_without_end_is_refused(size: int) -> None:
    """Small documents are stopped by the parser, large ones, whose limits are off, by us."""
    deep = "<a>" * (MAX_DEPTH + 50) + "</a>" * (MAX_DEPTH + 50)

    assert refused(
        f"<ClinicalDocument xmlns='urn:hl7-org:v3'>{' ' * size}{deep}</ClinicalDocument>".encode(), InvalidInput
    )


def test_nesting_up_to_the_limit_is_converted() -> None:
    depth = 200
    deep = "<content>" * depth + "far down" + "</content>" * depth

    result = converted(section("11450-4", text=f"<text>{deep}</text>"))

    assert "far down" in only(result, "Composition")["section"][0]["text"]["div"]


def test_sections_nested_deeper_than_fhir_may_be_lose_the_composition_and_nothing_else() -> None:
    nested = section("10164-2", text="<text>innermost</text>")
    for _ in range(60):
        nested = f'<section><code code="10164-2"/><component>{nested}</component></section>'

    result = converted(nested)

    assert only(result, "Patient")["birthDate"] == "1980-02-22"
    assert of_type(result, "Composition") == []
    assert any(issue.severity == "error" for issue in result.issues)


@pytest.mark.parametrize("patient_id", ["", "a/b", "x" * 65, "ä", "a b", "a\n"])
def test_a_patient_id_that_is_no_fhir_id(patient_id: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        convert(document(), patient_id=patient_id)
    assert caught.value.status == 400


def test_without_a_patient_there_is_one_with_the_callers_id_only() -> None:
    result = converted(section("11450-4"), header="")

    assert only(result, "Patient") == {"resourceType": "Patient", "id": "p1"}
    assert any("recordTarget" in issue.diagnostics for issue in result.issues)
    assert result.patient_key is None


def test_without_a_patient_ingestion_refuses() -> None:
    assert "recordTarget" in refused(document(header=""), NotConformant, require_patient=True)


def test_of_two_patients_the_first_is_read_and_that_is_said() -> None:
    result = converted(header=PATIENT + PATIENT.replace("Ada", "Bea"))

    assert only(result, "Patient")["name"][0]["given"] == ["Ada"]
    assert any("more than one recordTarget" in issue.diagnostics for issue in result.issues)
