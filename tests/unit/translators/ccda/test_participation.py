"""Everybody whom a header names, in his role: relatives, enterers, care teams, consents, and when they did it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.fhir import gate
from tests.unit.translators.ccda.written import PATIENT, codes, converted, of_type, only

CCDA = "http://hl7.org/fhir/us/ccda/StructureDefinition/"
NAME = "<name><given>{0}</given><family>Helper</family></name>"
WORKER = '<assignedEntity><id root="2.16.840.1.113883.4.6" extension="{1}"/><assignedPerson>' + NAME
WORKER += "</assignedPerson></assignedEntity>"
MOTHER = f"""<relatedEntity classCode="PRS"><code code="MTH" codeSystem="2.16.840.1.113883.5.111"/>
<telecom use="HP" value="tel:555-0100"/><relatedPerson>{NAME.format("Mona")}</relatedPerson></relatedEntity>"""


def read(*parts: str) -> Any:
    result = converted(header=PATIENT + "".join(parts))
    assert gate.check(result.bundle) == []
    return result


def referred(result: Any, name: str) -> list[str]:
    found = only(result, "Composition").get("extension", [])
    return [one["valueReference"]["reference"] for one in found if one["url"] == f"{CCDA}{name}Extension"]


def url(resource: dict[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def test_a_relative_who_told_is_a_related_person() -> None:
    result = read(f"<informant>{MOTHER}</informant>")

    mother = only(result, "RelatedPerson")
    assert mother["patient"] == {"reference": "Patient/p1"}
    assert [code for one in mother["relationship"] for _, code in codes(one)] == ["MTH", "PRS"]
    assert mother["name"] == [{"family": "Helper", "given": ["Mona"]}]
    assert mother["telecom"] == [{"system": "phone", "value": "555-0100", "use": "home"}]
    assert referred(result, "Informant") == [url(mother)]


def test_the_same_relative_in_two_roles_is_one() -> None:
    supporter = MOTHER.replace("relatedEntity", "associatedEntity").replace("relatedPerson", "associatedPerson")
    result = read(f"<informant>{MOTHER}</informant><participant typeCode='IND'>{supporter}</participant>")

    assert referred(result, "Participant") == referred(result, "Informant") == [url(only(result, "RelatedPerson"))]


def test_what_is_told_of_a_relative_in_each_role_is_united() -> None:
    emergency = MOTHER.replace("relatedEntity", "associatedEntity").replace("relatedPerson", "associatedPerson")
    emergency = emergency.replace('classCode="PRS"', 'classCode="ECON"').replace("555-0100", "555-0101")
    result = read(f"<informant>{MOTHER}</informant><participant typeCode='IND'>{emergency}</participant>")
    mother = only(result, "RelatedPerson")

    assert [one["value"] for one in mother["telecom"]] == ["555-0100", "555-0101"]
    assert [code for one in mother["relationship"] for _, code in codes(one)] == ["MTH", "PRS", "ECON"]


def test_two_relatives_of_one_name_are_two() -> None:
    other = MOTHER.replace('code="MTH"', 'code="GRMTH"')
    result = read(f"<informant>{MOTHER}</informant><informant>{other}</informant>")

    assert len(of_type(result, "RelatedPerson")) == 2


@pytest.mark.parametrize("himself", ['<id root="1.2.3.4" extension="mrn-1"/>', '<code code="SELF"/>'])
def test_the_patient_among_the_participants_is_the_patient(himself: str) -> None:
    entity = f"<associatedEntity classCode='POLHOLD'>{himself}</associatedEntity>"
    assert referred(read(f"<participant typeCode='HLD'>{entity}</participant>"), "Participant") == ["Patient/p1"]


def test_a_relative_of_whom_nothing_is_said_is_none() -> None:
    result = read('<informant><relatedEntity classCode="PRS"><relatedPerson/></relatedEntity></informant>')

    assert of_type(result, "RelatedPerson") == []


def test_who_entered_is_there_with_the_time() -> None:
    entered = f'<dataEnterer><time value="20240501113000-0500"/>{WORKER.format("Ed", "1")}</dataEnterer>'
    result = read(entered)

    assert referred(result, "DataEnterer") == [url(only(result, "Practitioner"))]
    made = only(result, "Provenance")
    assert made["recorded"] == made["occurredDateTime"] == "2024-05-01T11:30:00-05:00"
    assert codes(made["agent"][0]["type"])[0][1] == "enterer"
    assert made["target"] == [{"reference": url(only(result, "Composition"))}]


def test_an_author_with_a_date_only_gets_no_invented_instant() -> None:
    author = WORKER.format("Ann", "2").replace("assignedEntity", "assignedAuthor")
    made = only(read(f'<author><time value="20240501"/>{author}</author>'), "Provenance")

    assert made["occurredDateTime"] == "2024-05-01"
    assert "recorded" not in made
    assert made["_recorded"]["extension"][0]["valueCode"] == "unknown"


def test_an_author_at_the_time_of_the_document_needs_no_provenance() -> None:
    author = WORKER.format("Ann", "2").replace("assignedEntity", "assignedAuthor")
    result = read(f'<author><time value="20240501120000-0500"/>{author}</author>')

    assert of_type(result, "Provenance") == []
    assert only(result, "Composition")["date"] == "2024-05-01T12:00:00-05:00"


@pytest.mark.parametrize(("time", "told"), [("20240301", True), ("20241001", False)])
def test_who_has_verified_it_and_who_is_still_to(time: str, told: bool) -> None:
    verifier = (
        WORKER.format("Vera", "6").replace("assignedEntity", "associatedEntity").replace("assigned", "associated")
    )
    review = '<functionCode code="425268008" codeSystem="2.16.840.1.113883.6.96"/>'
    result = read(f'<participant typeCode="VRF">{review}<time value="{time}"/>{verifier}</participant>')

    role = only(result, "PractitionerRole")
    assert codes(role["code"][0]) == [("http://snomed.info/sct", "425268008")]
    assert referred(result, "Participant") == [url(role)]
    agents = [one["agent"][0] for one in of_type(result, "Provenance")]
    assert [(codes(one["type"])[0][1], one["who"]["reference"]) for one in agents] == told * [("verifier", url(role))]


def test_since_when_somebody_cares() -> None:
    carer = MOTHER.replace("relatedEntity", "associatedEntity").replace("relatedPerson", "associatedPerson")
    function = '<functionCode code="407543004" codeSystem="2.16.840.1.113883.6.96"/>'
    result = read(f"<participant typeCode='IND'>{function}<time><low value='2019'/></time>{carer}</participant>")

    mother = only(result, "RelatedPerson")
    assert mother["period"] == {"start": "2019"}
    assert [code for one in mother["relationship"] for _, code in codes(one)] == ["MTH", "PRS", "407543004"]


def test_who_holds_the_policy_and_the_insurer() -> None:
    insurer = '<scopingOrganization><id root="1.4" extension="i"/><name>Mutual</name></scopingOrganization>'
    person = f"<associatedPerson>{NAME.format('Hank')}</associatedPerson>"
    holder = (
        f'<associatedEntity classCode="POLHOLD"><id root="1.4.1" extension="p-7"/>{person}{insurer}</associatedEntity>'
    )
    result = read(f"<participant typeCode='HLD'><time><low value='2024'/></time>{holder}</participant>")

    related, mutual = only(result, "RelatedPerson"), only(result, "Organization")
    assert related["identifier"][0]["value"] == "p-7"
    assert related["period"] == {"start": "2024"}
    assert [code for one in related["relationship"] for _, code in codes(one)] == ["POLHOLD"]
    assert mutual["name"] == "Mutual"
    assert referred(result, "Participant") == [url(related), url(mutual)]


def test_who_is_to_receive_it() -> None:
    person = f"<informationRecipient>{NAME.format('Rita')}</informationRecipient>"
    owner = "<receivedOrganization><name>Their Clinic</name></receivedOrganization>"
    result = read(
        f"<informationRecipient><intendedRecipient>{person}{owner}</intendedRecipient></informationRecipient>"
    )

    role = only(result, "PractitionerRole")
    assert referred(result, "InformationRecipient") == [url(role)]
    assert role["organization"] == {"reference": url(only(result, "Organization"))}


def test_who_provides_care_is_the_care_team() -> None:
    performer = f"""<performer typeCode="PRF"><functionCode code="PCP" codeSystem="2.16.840.1.113883.5.88"/>
    <time><low value="20230101"/></time>{WORKER.format("Pia", "3")}</performer>"""
    unsaid = f'<performer typeCode="PRF">{WORKER.format("Sam", "4")}</performer>'
    period = '<effectiveTime><low value="2023"/><high value="20240501"/></effectiveTime>'
    result = read(
        f'<documentationOf><serviceEvent classCode="PCPR">{period}{performer}{unsaid}</serviceEvent></documentationOf>'
    )

    team = only(result, "CareTeam")
    first, second = team["participant"]
    assert team["subject"] == {"reference": "Patient/p1"}
    assert team["period"] == {"start": "2023", "end": "2024-05-01"}
    assert "status" not in team
    assert codes(first["role"][0])[0][1] == "PCP"
    assert first["period"] == {"start": "2023-01-01"}
    assert codes(second["role"][0])[0][1] == "unknown"
    assert only(result, "Composition")["event"][0]["detail"] == [{"reference": url(team)}]


def test_who_performed_another_event_is_no_care_team() -> None:
    performer = f"<performer typeCode='PRF'>{WORKER.format('Max', '5')}</performer>"
    event = f"<serviceEvent classCode='ACT'>{performer}</serviceEvent>"
    result = read(f"<documentationOf>{event}</documentationOf>")

    assert of_type(result, "CareTeam") == []
    extension = only(result, "Composition")["event"][0]["extension"]
    assert extension == [
        {"url": f"{CCDA}PerformerExtension", "valueReference": {"reference": url(only(result, "Practitioner"))}}
    ]


def test_consent_is_no_more_than_its_code_says() -> None:
    code = '<code code="64293-4" codeSystem="2.16.840.1.113883.6.1"/>'
    consent = f'<consent><id root="1.9"/>{code}<statusCode code="{{}}"/></consent>'
    result = read(f"<authorization>{consent.format('completed')}</authorization>")

    made = only(result, "Consent")
    assert made["status"] == "active"
    assert codes(made["category"][0]) == [("http://loinc.org", "64293-4")]
    assert codes(made["scope"])[0][1] == "unknown"
    assert referred(result, "Authorization") == [url(made)]
    unknown = only(read(f"<authorization>{consent.format('held')}</authorization>"), "Consent")
    assert "status" not in unknown


def test_the_order_that_a_document_fulfils() -> None:
    asked = '<id root="1.8" extension="o-1"/><priorityCode code="UR"/>'
    result = read(f"<inFulfillmentOf><order>{asked}</order></inFulfillmentOf>")

    order = only(result, "ServiceRequest")
    assert (order["status"], order["intent"], order["priority"]) == ("unknown", "order", "urgent")
    assert order["identifier"][0]["value"] == "o-1"
    assert referred(result, "Order") == [url(order)]


def test_versions_of_a_document_share_their_identifier() -> None:
    result = read('<setId root="9.8.7" extension="set-1"/><versionNumber value="3"/>')

    composition = only(result, "Composition")
    assert composition["identifier"]["value"] == "set-1"
    assert composition["extension"][0]["valueString"] == "3"
    assert result.bundle["identifier"]["value"] == "doc-1"


def test_somebody_of_an_organization_whose_name_nobody_says() -> None:
    owner = '<representedOrganization><id root="1.7"/><name>The Clinic</name></representedOrganization>'
    entity = f'<assignedEntity><id root="1.6" extension="77"/><telecom value="tel:555-0199"/>{owner}</assignedEntity>'
    result = read(f"<dataEnterer>{entity}</dataEnterer>")

    role = only(result, "PractitionerRole")
    assert role["identifier"][0]["value"] == "77"
    assert role["telecom"][0]["value"] == "555-0199"
    assert role["practitioner"]["extension"][0]["valueCode"] == "unknown"
    assert of_type(result, "Practitioner") == []
