"""The header: the patient, and the parties, each one resource however often they are named."""

from __future__ import annotations

import pytest

from .written import codes, converted, of_type, only, section


def record(role: str) -> str:
    return f"<recordTarget><patientRole>{role}</patientRole></recordTarget>"


def patient(role: str) -> dict[str, object]:
    return only(converted(header=record(role)), "Patient")


def author(*, name: str = "<family>Seven</family>", more: str = "", organization: str = "") -> str:
    person = f"<assignedPerson><name><given>Henry</given>{name}</name></assignedPerson>" if name else ""
    return f"""<author><time value="20240501"/><assignedAuthor><id root="2.16.840.1.113883.4.6" extension="999"/>{more}
    {person}{organization}</assignedAuthor></author>"""


CLINIC = '<representedOrganization><id root="1.5" extension="c"/><name>Clinic</name></representedOrganization>'
WHY = {
    "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"},
    ]
}
WHO = '<recordTarget><patientRole><id root="1.2" extension="p"/></patientRole></recordTarget>'


def test_every_id_of_the_patient_and_no_null_one() -> None:
    found = patient(
        """<id root="1.2.3" extension="a"/><id root="2.16.840.1.113883.4.1" extension="111-00-1234"/>
        <id nullFlavor="UNK"/><id root="0C1A6151-9A57-4F6F-8F0C-1A610F6F0F0C"/>"""
    )

    assert found["identifier"] == [
        {"system": "urn:oid:1.2.3", "value": "a"},
        {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "111-00-1234"},
        {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:0c1a6151-9a57-4f6f-8f0c-1a610f6f0f0c"},
    ]


@pytest.mark.parametrize(
    ("ids", "key"),
    [
        ('<id root="1.2.3" extension="a"/>', "1.2.3^a"),
        ('<id root="2.16.840.1.113883.4.1" extension="1"/><id root="1.2.3" extension="a"/>', "1.2.3^a"),
        ('<id root="1.2.9" nullFlavor="UNK"/><id root="1.2.3" extension="a"/>', "1.2.3^a"),
        ('<id root="2.16.840.1.113883.4.1" extension="1"/>', None),
        ("", None),
    ],
)
def test_the_key_of_the_patient_is_never_the_social_security_number(ids: str, key: str | None) -> None:
    assert converted(header=record(ids)).patient_key == key


@pytest.mark.parametrize(
    ("telecom", "expected"),
    [
        ('value="tel:+1(555)867-5309" use="MC"', {"system": "phone", "value": "+1(555)867-5309", "use": "mobile"}),
        ('value="mailto:a@example.org"', {"system": "email", "value": "a@example.org"}),
        ('value="(555) 867-5309" use="HP"', {"system": "phone", "value": "(555) 867-5309", "use": "home"}),
        ('value="tel:1" use="PG"', {"system": "pager", "value": "1", "use": "mobile"}),
        ('value="https://example.org/a"', {"system": "url", "value": "https://example.org/a"}),
    ],
)
def test_telecoms(telecom: str, expected: dict[str, str]) -> None:
    assert patient(f"<telecom {telecom}/>")["telecom"] == [expected]


@pytest.mark.parametrize("telecom", ['nullFlavor="UNK"', 'value="tel:"', 'value=""'])
def test_no_telecom_of_nothing(telecom: str) -> None:
    assert "telecom" not in patient(f"<telecom {telecom}/>")


def test_a_name_with_all_its_parts() -> None:
    found = patient(
        """<patient><name use="L"><prefix>Dr.</prefix><given>Ada</given><given>B.</given><family>Sample</family>
        <suffix>Jr.</suffix><validTime><low value="2001"/></validTime></name><name>Mononym</name></patient>"""
    )

    assert found["name"] == [
        {
            "use": "usual",
            "prefix": ["Dr."],
            "given": ["Ada", "B."],
            "family": "Sample",
            "suffix": ["Jr."],
            "period": {"start": "2001"},
        },
        {"text": "Mononym", **WHY},
    ]


def marked(code: str) -> dict[str, object]:
    url = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-qualifier"
    return {"extension": [{"url": url, "valueCode": code}]}


def test_what_a_part_of_a_name_is_stands_beside_it() -> None:
    found = patient(
        """<patient><name use="L"><given qualifier="BR">Eve</given><family qualifier="SP">Sample</family></name>
        <name><given>Eve</given><family qualifier="BR">Fixture</family><validTime><high value="2004"/></validTime>
        </name></patient>"""
    )

    assert found["name"] == [
        {"use": "usual", "given": ["Eve"], "_given": [marked("BR")], "family": "Sample", "_family": marked("SP")},
        {"given": ["Eve"], "family": "Fixture", "_family": marked("BR"), "period": {"end": "2004"}},
    ]


def test_what_somebody_is_called_by_is_a_nickname_too() -> None:
    found = patient(
        """<patient><name use="L"><given>Patricia</given><given qualifier="CL">Patty</given>
        <family>Sample</family></name></patient>"""
    )

    assert found["name"] == [
        {"use": "usual", "given": ["Patricia", "Patty"], "family": "Sample"},
        {"use": "nickname", "given": ["Patty"], "family": "Sample"},
    ]


@pytest.mark.parametrize(
    ("use", "qualifier", "expected"),
    [("P", 'qualifier="CL"', "nickname"), ("A", "", "nickname"), ("P", "", "anonymous"), ("C", "", "official")],
)
def test_the_use_of_a_name(use: str, qualifier: str, expected: str) -> None:
    found = patient(f'<patient><name use="{use}"><given {qualifier}>Bo</given></name></patient>')

    assert [name["use"] for name in found["name"]] == [expected]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ('<sdtc:multipleBirthInd value="true"/>', {"multipleBirthBoolean": True}),
        (
            '<sdtc:multipleBirthInd value="true"/><sdtc:multipleBirthOrderNumber value="2"/>',
            {"multipleBirthInteger": 2},
        ),
        ('<sdtc:multipleBirthOrderNumber nullFlavor="UNK"/>', {}),
    ],
)
def test_one_of_several_born(said: str, expected: dict[str, object]) -> None:
    found = patient(f"<patient>{said}</patient>")

    assert {name: value for name, value in found.items() if name.startswith("multipleBirth")} == expected


@pytest.mark.parametrize(
    ("use", "expected"),
    [("PST HP", {"use": "home", "type": "postal"}), ("PHYS", {"type": "physical"}), ("BAD", {"use": "old"})],
)
def test_the_use_and_the_kind_of_an_address(use: str, expected: dict[str, str]) -> None:
    found = patient(f'<addr use="{use}"><city>Ames</city></addr>')

    assert found["address"] == [{"city": "Ames", **expected}]


def test_an_address_and_a_telecom_have_their_time() -> None:
    time = "<useablePeriod xsi:type='IVL_TS'><low value='2019'/><high value='202003'/></useablePeriod>"
    found = patient(f"<addr><city>Ames</city>{time}</addr><telecom value='tel:1'>{time}</telecom>")

    assert found["address"] == [{"city": "Ames", "period": {"start": "2019", "end": "2020-03"}}]
    assert found["telecom"] == [{"system": "phone", "value": "1", "period": {"start": "2019", "end": "2020-03"}}]


def test_languages_with_how_well_and_which_first() -> None:
    code = 'codeSystem="2.16.840.1.113883.5.{}"'
    found = patient(
        f"""<patient><languageCommunication><languageCode code="en-US"/><modeCode code="ESP" {code.format(60)}/>
        <proficiencyLevelCode code="G" {code.format(61)}/><preferenceInd value="1"/></languageCommunication>
        <languageCommunication><languageCode code="fr"/><preferenceInd value="false"/></languageCommunication>
        </patient>"""
    )

    first, second = found["communication"]  # type: ignore[misc]
    assert codes(first["language"]) == [("urn:ietf:bcp:47", "en-US")]
    assert (first["preferred"], second["preferred"]) == (True, False)
    parts = {part["url"]: part["valueCoding"]["code"] for part in first["extension"][0]["extension"]}
    assert parts == {"level": "G", "type": "ESP"}
    assert "extension" not in second


def test_the_guardian_and_the_clinic_of_the_patient() -> None:
    found = patient(
        """<patient><guardian><code code="FTH" codeSystem="2.16.840.1.113883.5.111"/><telecom value="tel:1" use="HP"/>
        <guardianPerson><name><given>Boris</given></name></guardianPerson></guardian></patient>
        <providerOrganization><id root="1.5"/><name>Clinic</name></providerOrganization>"""
    )

    (guardian,) = found["contact"]  # type: ignore[misc]
    assert [code for one in guardian["relationship"] for _, code in codes(one)] == ["GUARD", "FTH"]
    assert guardian["name"] == {"given": ["Boris"]}
    assert str(found["managingOrganization"]).startswith("{'reference': 'Organization/")


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("<addr><city>Ames</city></addr>", {"city": "Ames"}),
        ("<name>Harbour Hospital</name>", {"text": "Harbour Hospital"}),
    ],
)
def test_where_the_patient_was_born(place: str, expected: dict[str, str]) -> None:
    found = patient(f"<patient><birthplace><place>{place}</place></birthplace></patient>")

    (extension,) = found["extension"]  # type: ignore[misc]
    assert extension["url"].endswith("/patient-birthPlace")
    assert extension["valueAddress"] == expected


@pytest.mark.parametrize(
    ("code", "gender"), [("code='F'", "female"), ("code='UN'", "other"), ("nullFlavor='UNK'", "unknown"), ("", None)]
)
def test_gender(code: str, gender: str | None) -> None:
    assert patient(f"<patient><administrativeGenderCode {code}/></patient>").get("gender") == gender


def test_a_time_of_birth_goes_to_its_extension() -> None:
    found = patient('<patient><birthTime value="198002220415-0500"/></patient>')

    assert found["birthDate"] == "1980-02-22"
    assert "1980-02-22T04:15:00-05:00" in str(found["_birthDate"])


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ('<sdtc:deceasedInd value="true"/>', {"deceasedBoolean": True}),
        ('<sdtc:deceasedInd value="false"/>', {"deceasedBoolean": False}),
        ('<sdtc:deceasedInd value="true"/><sdtc:deceasedTime value="2020"/>', {"deceasedDateTime": "2020"}),
        ('<sdtc:deceasedInd nullFlavor="UNK"/>', {}),
    ],
)
def test_deceased(said: str, expected: dict[str, object]) -> None:
    found = patient(f"<patient>{said}</patient>")

    assert {name: value for name, value in found.items() if name.startswith("deceased")} == expected


def test_race_has_its_category_its_detail_and_a_text() -> None:
    found = patient(
        """<patient><raceCode code="2106-3" codeSystem="2.16.840.1.113883.6.238" displayName="White"/>
        <sdtc:raceCode code="2108-9" codeSystem="2.16.840.1.113883.6.238" displayName="European"/></patient>"""
    )

    (race,) = found["extension"]  # type: ignore[misc]
    parts = [(part["url"], part.get("valueString") or part["valueCoding"]["code"]) for part in race["extension"]]
    assert parts == [("ombCategory", "2106-3"), ("detailed", "2108-9"), ("text", "White, European")]


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
