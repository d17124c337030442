"""The parties of a header, each one resource however often they are named, and the document itself."""

from __future__ import annotations

import pytest

from gateway.translators.ccda import convert

from .written import codes, converted, document, of_type, only, section


def record(role: str) -> str:
    return f"<recordTarget><patientRole>{role}</patientRole></recordTarget>"


def patient(role: str) -> dict[str, object]:
    return only(converted(header=record(role)), "Patient")


def author(*, name: str = "<family>Seven</family>", more: str = "", organization: str = "") -> str:
    person = f"<assignedPerson><name><given>Henry</given>{name}</name></assignedPerson>" if name else ""
    return f"""<author><time value="20240501"/><assignedAuthor><id root="2.16.840.1.113883.4.6" extension="999"/>{more}
    {person}{organization}</assignedAuthor></author>"""


CLINIC = '<representedOrganization><id root="1.5" extension="c"/><name>Clinic</name></representedOrganization>'
WHO = '<recordTarget><patientRole><id root="1.2" extension="p"/></patientRole></recordTarget>'


def test_an_author_of_a_clinic_has_a_role_there() -> None:
    result = converted(header=WHO + author(organization=CLINIC))

    role = only(result, "PractitionerRole")
    assert role["practitioner"] == {"reference": f"Practitioner/{only(result, 'Practitioner')['id']}"}
    assert role["organization"] == {"reference": f"Organization/{only(result, 'Organization')['id']}"}
    assert only(result, "Composition")["author"] == [{"reference": f"PractitionerRole/{role['id']}"}]


def test_the_same_person_is_one_resource_with_all_that_was_said() -> None:
    second = author(more='<telecom value="tel:1"/>')

    result = converted(header=WHO + author(more='<telecom value="tel:2"/>') + second + second)

    assert [one["value"] for one in only(result, "Practitioner")["telecom"]] == ["2", "1"]


def test_two_people_with_one_id_stay_two() -> None:
    result = converted(header=WHO + author() + author(name="<family>Eight</family>"))

    assert sorted(one["name"][0]["family"] for one in of_type(result, "Practitioner")) == ["Eight", "Seven"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_same_person_with_one_more_id_is_one(order: tuple[int, int]) -> None:
    more = '<id root="1.5" extension="7"/><telecom value="1"/>'
    authors = [author(), author(name="<family>SEVEN</family>", more=more)]

    result = converted(header=WHO + authors[order[0]] + authors[order[1]])

    person = only(result, "Practitioner")
    assert [one["value"] for one in person["identifier"]] == ["999", "7"]
    assert person["telecom"][0]["value"] == "1"
    assert only(result, "Composition")["author"] == [{"reference": f"Practitioner/{person['id']}"}]


def test_two_of_one_name_who_have_each_a_number_of_their_own_stay_two() -> None:
    header = WHO + author(more='<id root="1.5" extension="7"/>') + author(more='<id root="1.5" extension="8"/>')

    assert len(of_type(converted(header=header), "Practitioner")) == 2
    assert len(of_type(converted(header=header + author()), "Practitioner")) == 3, "nobody knows which of them"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_someone_without_name_is_the_one_with_the_same_id(order: tuple[int, int]) -> None:
    authors = [author(), author(name="", more='<telecom value="tel:1"/>')]

    result = converted(header=WHO + authors[order[0]] + authors[order[1]])

    person = only(result, "Practitioner")
    assert person["name"][0]["family"] == "Seven"
    assert person["telecom"][0]["value"] == "1"
    assert {one["reference"] for one in only(result, "Composition")["author"]} == {f"Practitioner/{person['id']}"}


def test_a_patient_who_writes_is_the_patient() -> None:
    own = '<author><assignedAuthor><id root="1.2" extension="p"/></assignedAuthor></author>'

    assert only(converted(header=WHO + own), "Composition")["author"] == [{"reference": "Patient/p1"}]


RECEIVER = """<informationRecipient><intendedRecipient>{}<informationRecipient><name><given>Henry</given>
<family>Seven</family></name></informationRecipient><receivedOrganization><name>Clinic</name></receivedOrganization>
</intendedRecipient></informationRecipient>"""


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_somebody_named_without_an_id_is_the_one_of_that_name(order: tuple[int, int]) -> None:
    parts = [author(organization=CLINIC), RECEIVER.format("")]

    result = converted(header=WHO + parts[order[0]] + parts[order[1]])

    assert only(result, "Practitioner")["identifier"][0]["value"] == "999"
    assert only(result, "Organization")["identifier"][0]["value"] == "c"
    assert only(result, "PractitionerRole")["practitioner"]["reference"].startswith("Practitioner/")


@pytest.mark.parametrize("apart", ['<telecom value="tel:2"/>', "two"])
def test_somebody_without_an_id_of_whom_something_else_is_told_is_another(apart: str) -> None:
    one = author(more='<telecom value="tel:1"/>')
    other = author().replace('extension="999"', 'extension="888"') if apart == "two" else ""

    result = converted(header=WHO + one + other + RECEIVER.format("" if apart == "two" else apart))

    assert len(of_type(result, "Practitioner")) == (3 if apart == "two" else 2)


@pytest.mark.parametrize(
    "himself",
    [
        '<id nullFlavor="NA"/><code code="ONESELF" codeSystem="2.16.840.1.113883.5.111"/>',
        '<id root="9.9"/><sdtc:patient><id root="1.2" extension="p"/></sdtc:patient>',
    ],
)
def test_a_patient_who_writes_as_himself_is_the_patient(himself: str) -> None:
    own = f"<author><assignedAuthor>{himself}</assignedAuthor></author>"
    result = converted(header=WHO + own)

    assert only(result, "Composition")["author"] == [{"reference": "Patient/p1"}]
    assert of_type(result, "Practitioner") == []


def test_a_mother_who_writes_is_a_related_person() -> None:
    code = '<code code="MTH" codeSystem="2.16.840.1.113883.5.111"/>'
    result = converted(header=WHO + author(more=code))

    mother = only(result, "RelatedPerson")
    assert mother["name"][0]["family"] == "Seven"
    assert [code for one in mother["relationship"] for _, code in codes(one)] == ["MTH"]
    assert only(result, "Composition")["author"] == [{"reference": f"RelatedPerson/{mother['id']}"}]
    assert of_type(result, "PractitionerRole") == []


def test_a_degree_is_a_qualification() -> None:
    result = converted(header=WHO + author(name='<family>Seven</family><suffix qualifier="AC">MD</suffix>'))

    practitioner = only(result, "Practitioner")
    assert practitioner["name"][0]["suffix"] == ["MD"]
    assert practitioner["qualification"] == [{"code": {"text": "MD"}}]


def test_the_other_names_of_an_organization() -> None:
    clinic = CLINIC.replace("<name>Clinic</name>", "<name>Clinic</name><name>The Old Clinic</name>")

    assert only(converted(header=WHO + author(organization=clinic)), "Organization")["alias"] == ["The Old Clinic"]


@pytest.mark.parametrize(
    ("code", "status"),
    [("completed", "final"), ("active", "preliminary"), ("nullified", "entered-in-error"), ("aborted", "preliminary")],
)
def test_the_status_of_the_document(code: str, status: str) -> None:
    assert only(converted(header=f'<sdtc:statusCode code="{code}"/>{WHO}'), "Composition")["status"] == status


def test_software_is_a_device() -> None:
    software = """<author><assignedAuthor><id root="1.7"/><assignedAuthoringDevice>
    <softwareName>Maker 1.0</softwareName></assignedAuthoringDevice></assignedAuthor></author>"""

    assert only(converted(header=WHO + software), "Device")["deviceName"][0]["name"] == "Maker 1.0"


def test_where_software_stands_and_whose_it_is() -> None:
    software = f"""<author><assignedAuthor><id root="1.7"/><addr><city>Ames</city></addr><assignedAuthoringDevice>
    <softwareName>Maker 1.0</softwareName></assignedAuthoringDevice>{CLINIC}</assignedAuthor></author>"""
    result = converted(header=WHO + software)

    device, place = only(result, "Device"), only(result, "Location")
    assert device["location"] == {"reference": f"Location/{place['id']}"}
    assert place["address"] == {"city": "Ames"}
    assert device["owner"] == {"reference": f"Organization/{only(result, 'Organization')['id']}"}


def test_a_person_and_the_software_in_one_author_are_both() -> None:
    device = "<assignedAuthoringDevice><softwareName>Maker 1.0</softwareName></assignedAuthoringDevice>"
    result = converted(header=WHO + author(organization=device))

    writer, software = only(result, "Practitioner"), only(result, "Device")
    assert only(result, "Composition")["author"] == [
        {"reference": f"Practitioner/{writer['id']}"},
        {"reference": f"Device/{software['id']}"},
    ]
    assert "identifier" not in software


@pytest.mark.parametrize(
    ("type_code", "code"), [("RPLC", "replaces"), ("APND", "appends"), ("XFRM", "transforms"), ("X", None)]
)
def test_the_document_before(type_code: str, code: str | None) -> None:
    related = f"""<setId root="9.8" extension="own"/><relatedDocument typeCode="{type_code}"><parentDocument>
    <id root="9.8.7" extension="old"/><setId root="9.8" extension="{{}}"/></parentDocument></relatedDocument>"""
    same, other = (only(converted(header=related.format(one) + WHO), "Composition") for one in ("own", "another"))

    told = [(one["code"], one["targetIdentifier"]["value"]) for one in same.get("relatesTo", ())]
    assert told == ([(code, "old")] if code else [])
    assert len(other.get("relatesTo", ())) == (2 if code else 0)


def test_an_event_that_is_no_care_is_named_by_its_id() -> None:
    event = """<documentationOf><serviceEvent classCode="ACT"><id root="1.8" extension="study"/>
    <code code="113014" codeSystem="1.2.840.10008.2.16.4"/></serviceEvent></documentationOf>"""
    (told,) = only(converted(header=WHO + event), "Composition")["event"]

    assert told["detail"] == [{"identifier": {"system": "urn:oid:1.8", "value": "study"}}]


def test_an_organization_has_no_home() -> None:
    custodian = """<custodian><assignedCustodian><representedCustodianOrganization><name>Clinic</name>
    <telecom use="HP" value="tel:1"/><addr use="HP"><city>Ames</city></addr></representedCustodianOrganization>
    </assignedCustodian></custodian>"""

    clinic = only(converted(header=WHO + custodian), "Organization")

    assert clinic["address"] == [{"city": "Ames"}]
    assert clinic["telecom"] == [{"system": "phone", "value": "1"}]


def test_a_document_that_says_little_says_so_in_fhir() -> None:
    composition = only(converted(section("11450-4"), header=WHO), "Composition")

    assert composition["author"][0]["extension"][0]["valueCode"] == "unknown"
    assert composition["date"] == "2024-05-01T12:00:00-05:00"
    assert codes(composition["type"]) == [("http://loinc.org", "34133-9")]


def test_a_time_without_zone_is_told_once() -> None:
    times = '<patient><birthTime value="198002220415"/><sdtc:deceasedTime value="202002220415"/></patient>'

    result = converted(header=record(times))
    zoned = converted(header=record(times), timezone="-05:00")

    assert only(result, "Patient")["deceasedDateTime"] == "2020-02-22"
    assert sum("without a zone" in issue.diagnostics for issue in result.issues) == 1
    assert only(zoned, "Patient")["deceasedDateTime"] == "2020-02-22T04:15:00-05:00"
    assert not any("without a zone" in issue.diagnostics for issue in zoned.issues)


def test_blanks_in_a_language_cost_nothing_else() -> None:
    spoken = '<languageCommunication><languageCode code=" en  US"/></languageCommunication></patient>'
    data = document(section("11450-4")).replace(b"</patient>", spoken.encode())
    data = data.replace(b"<title>Summary", b'<languageCode code="en-US "/><title>Summary')

    result = convert(data, patient_id="p1")

    assert only(result, "Composition")["language"] == "en-US"
    assert only(result, "Patient")["birthDate"] == "1980-02-22"


@pytest.mark.parametrize(
    ("said", "tag"),
    [("eng", "en"), ("SPA", "es"), ("ger", "de"), ("deu-AT", "de-AT"), ("hmn", "hmn"), ("fr-CA", "fr-CA")],
)
def test_a_language_of_three_letters_is_the_one_of_two(said: str, tag: str) -> None:
    """RFC 5646 §2.2.1: BCP 47 has no `eng`; Hmong has three letters only."""
    spoken = f'<languageCommunication><languageCode code="{said}"/></languageCommunication></patient>'
    data = document(section("11450-4")).replace(b"</patient>", spoken.encode())
    data = data.replace(b"<title>Summary", f'<languageCode code="{said}"/><title>Summary'.encode())

    result = convert(data, patient_id="p1")

    assert only(result, "Composition")["language"] == tag
    (told,) = only(result, "Patient")["communication"]
    assert codes(told["language"]) == [("urn:ietf:bcp:47", tag)]


def test_a_file_may_have_blanks_in_its_name() -> None:
    body = '<component><nonXMLBody><text mediaType="application/pdf "><reference value="op note.pdf"/></text>'
    data = document().replace(b"<component><structuredBody></structuredBody>", f"{body}</nonXMLBody>".encode())

    (content,) = only(convert(data, patient_id="p1"), "DocumentReference")["content"]

    assert content["attachment"] == {"contentType": "application/pdf", "url": "op%20note.pdf"}


def test_who_is_related_has_the_class_without_blanks() -> None:
    told = """<informant><relatedEntity classCode="PRS "><relatedPerson><name><given>Mum</given><family>Sample</family>
    </name></relatedPerson></relatedEntity></informant>"""

    (relationship,) = only(converted(header=WHO + told), "RelatedPerson")["relationship"]

    assert codes(relationship)[0][1] == "PRS"
