"""The three forms of the Bundle hold the same resources; each is what FHIR asks of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.errors import InvalidInput, NotConformant
from gateway.fhir import gate
from gateway.translators.ccda import convert
from gateway.translators.ccda.bundles import FORMS
from tests.conftest import ROOT
from tests.unit.translators.ccda.written import PATIENT, converted, document, section

FULL = (ROOT / "fixtures/ccda/full-ccd.xml").read_bytes()
PROBLEM = """<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.4"/>
<id root="1.2.3" extension="{0}"/><code code="55607006" codeSystem="2.16.840.1.113883.6.96"/>
<statusCode code="completed"/><value code="{1}" codeSystem="2.16.840.1.113883.6.96"/></observation>"""


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(found := value.get("reference"), str):
            yield found
        value = [*value.values()]
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)


def urls(bundle: dict[str, Any]) -> list[str]:
    return [entry["request"]["url"] for entry in bundle["entry"]]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_sound_and_the_same_each_time(form: str) -> None:
    first, second = (convert(FULL, patient_id="p1", form=form) for _ in range(2))

    bundle = first.bundle
    assert first.encoded == second.encoded
    assert bundle["type"] == form
    assert gate.check(bundle) == []
    addresses = {entry["fullUrl"] for entry in bundle["entry"]}
    assert len(addresses) == len(bundle["entry"]) == len(convert(FULL, patient_id="p1").bundle["entry"])
    assert set(references(bundle)) <= (set(urls(bundle)) if form == "batch" else addresses)


def test_a_document_begins_with_its_composition() -> None:
    bundle = convert(FULL, patient_id="p1", form="document").bundle

    first = bundle["entry"][0]["resource"]
    assert first["resourceType"] == "Composition"
    assert bundle["timestamp"] == first["date"]
    assert bundle["identifier"]["system"] and bundle["identifier"]["value"]
    assert all("request" not in entry for entry in bundle["entry"])
    by_url = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    assert by_url[first["subject"]["reference"]]["resourceType"] == "Patient"
    assert all(one["reference"] in by_url for part in first["section"] for one in part.get("entry", ()))
    assert all("div" in part["text"] for part in first["section"] if "text" in part)


@pytest.mark.parametrize(
    ("time", "zone", "timestamp"),
    [
        ("20240501120000-0500", None, "2024-05-01T12:00:00-05:00"),
        ("202405011200", "-06:00", "2024-05-01T12:00:00-06:00"),
        ("20240501", "-06:00", None),
        ("20240501120000", None, None),
    ],
)
def test_the_timestamp_is_the_documents_own(time: str, zone: str | None, timestamp: str | None) -> None:
    data = document(time=time)
    if timestamp is None:
        with pytest.raises(NotConformant, match="instant"):
            convert(data, patient_id="p1", form="document", timezone=zone)
    else:
        assert convert(data, patient_id="p1", form="document", timezone=zone).bundle["timestamp"] == timestamp


@pytest.mark.parametrize(
    ("time", "timestamp"),
    [("20240501", "2024-05-02T08:00:00Z"), ("20240501120000-0500", "2024-05-01T12:00:00-05:00")],
)
def test_a_document_of_a_day_has_the_instant_at_which_it_is_assembled(time: str, timestamp: str) -> None:
    bundle = convert(document(time=time), patient_id="p1", form="document", assembled="2024-05-02T08:00:00Z").bundle

    assert bundle["timestamp"] == timestamp
    assert bundle["entry"][0]["resource"]["date"] == "2024-05-01" if time == "20240501" else timestamp


@pytest.mark.parametrize("assembled", ["now", "2024-05-02", "2024-05-02T08:00:00", "2024-13-02T08:00:00Z", ""])
def test_when_it_is_assembled_is_an_instant(assembled: str) -> None:
    with pytest.raises(InvalidInput, match="instant"):
        convert(document(), patient_id="p1", assembled=assembled)


def test_a_document_without_an_id_of_its_own_is_named_after_its_composition() -> None:
    data = document().replace(b'<id root="9.8.7" extension="doc-1"/>', b'<id nullFlavor="UNK"/>')
    bundle = convert(data, patient_id="p1", form="document").bundle

    assert bundle["identifier"] == {"system": "urn:ietf:rfc:3986", "value": bundle["entry"][0]["fullUrl"]}


CLINIC = """<custodian><assignedCustodian><representedCustodianOrganization><id root="1.5" extension="{}"/>
<name>Clinic</name></representedCustodianOrganization></assignedCustodian></custodian>"""


def test_a_transaction_finds_the_patient_and_the_document_by_their_own_identifiers() -> None:
    set_id = '<setId root="1.2.9" extension="s-1"/>'
    bundle = converted(header=set_id + PATIENT + CLINIC.format("a&amp;b"), form="transaction").bundle

    assert {"Composition?identifier=urn:oid:1.2.9%7Cs-1", "Patient?identifier=urn:oid:1.2.3.4%7Cmrn-1"} < set(
        urls(bundle)
    )
    (clinic,) = (e for e in bundle["entry"] if e["resource"]["resourceType"] == "Organization")
    assert [one["value"] for one in clinic["resource"]["identifier"]] == ["a&b", clinic["fullUrl"]]
    assert all("id" not in entry["resource"] for entry in bundle["entry"])


def test_a_statement_is_found_by_an_identifier_that_no_other_patient_has() -> None:
    """Samples and careless systems repeat an id on other statements, of other patients too."""
    told = section("11450-4", PROBLEM.format("a", "38341003"), PROBLEM.format("a", "44054006"))
    found = []
    for patient_id in ("p1", "p2"):
        bundle = converted(told, form="transaction", patient_id=patient_id).bundle
        for entry in bundle["entry"]:
            if entry["resource"]["resourceType"] == "Condition":
                own, ours = entry["resource"]["identifier"]
                assert own == {"system": "urn:oid:1.2.3", "value": "a"}
                assert entry["request"] == {
                    "method": "PUT",
                    "url": f"Condition?identifier=urn:ietf:rfc:3986%7C{ours['value']}",
                }
                assert ours == {"system": "urn:ietf:rfc:3986", "value": entry["fullUrl"]}
                found.append(ours["value"])

    assert len(set(found)) == 4


def test_what_a_binary_holds_stands_in_the_attachment_of_a_transaction() -> None:
    body = '<nonXMLBody><text mediaType="text/plain">words</text></nonXMLBody>'
    data = document().replace(b"<structuredBody></structuredBody>", body.encode())
    bundle = convert(data, patient_id="p1", form="transaction").bundle

    (reference,) = (e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DocumentReference")
    assert reference["content"] == [{"attachment": {"contentType": "text/plain", "data": "d29yZHM="}}]
    assert not any(entry["resource"]["resourceType"] == "Binary" for entry in bundle["entry"])


def test_what_has_no_identifier_in_fhir_is_created() -> None:
    author = '<author><time value="20240430"/><assignedAuthor><id root="1.7" extension="7"/></assignedAuthor></author>'
    bundle = converted(header=PATIENT + author, form="transaction").bundle

    (request,) = (e["request"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Provenance")
    assert request == {"method": "POST", "url": "Provenance"}


@pytest.mark.parametrize(
    "shared", ['<id root="2.16.840.1.113883.4.1" extension="123-45-6789"/>', '<id root="2.16.840.1.113883.19.5"/>']
)
def test_what_people_share_says_not_which_patient(shared: str) -> None:
    header = PATIENT.replace('<id root="1.2.3.4" extension="mrn-1"/>', shared)

    assert "Patient/p1" in urls(converted(header=header, form="transaction").bundle)


def test_such_a_patient_is_found_by_the_callers_id_if_nobody_else_can_have_it() -> None:
    header = PATIENT.replace('<id root="1.2.3.4" extension="mrn-1"/>', "")
    own = "0190a1b2-7c3d-7000-8000-00000000c0da"
    bundle = converted(header=header, form="transaction", patient_id=own).bundle

    assert f"Patient?identifier=urn:ietf:rfc:3986%7Curn:uuid:{own}" in urls(bundle)


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(InvalidInput, match="batch, document, transaction"):
        convert(FULL, patient_id="p1", form="collection")
