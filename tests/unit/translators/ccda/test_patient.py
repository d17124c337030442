"""recordTarget: what the document says of the patient, and nothing that it does not say."""

from __future__ import annotations

import pytest

from .written import codes, converted, only

WHY = {
    "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"},
    ]
}


def record(role: str) -> str:
    return f"<recordTarget><patientRole>{role}</patientRole></recordTarget>"


def patient(role: str) -> dict[str, object]:
    return only(converted(header=record(role)), "Patient")


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


def test_the_family_by_birth_is_no_part_of_the_name_of_today() -> None:
    found = patient(
        """<patient><name use="L"><given>Eve</given><family>Sample</family><family qualifier="BR">Fixture</family>
        </name></patient>"""
    )

    assert found["name"] == [
        {"use": "usual", "given": ["Eve"], "family": "Sample"},
        {"family": "Fixture", "_family": marked("BR")},
    ]


@pytest.mark.parametrize(
    ("one", "two", "families"),
    [
        ("BR", "SP", ["Two", "One"]),
        ("BR", "BR", ["One Two"]),
        ("BR", "", ["Two", "One"]),
        ("", "", ["One Two"]),
    ],
)
def test_two_families(one: str, two: str, families: list[str]) -> None:
    parts = f'<family qualifier="{one}">One</family><family qualifier="{two}">Two</family>'

    found = patient(f"<patient><name><given>Eve</given>{parts}</name></patient>")

    assert [name["family"] for name in found["name"]] == families  # type: ignore[attr-defined]


def test_the_parts_of_a_street_are_one_line() -> None:
    found = patient(
        """<addr><houseNumber>12</houseNumber><streetName>High</streetName><streetNameType>St</streetNameType>
        <unitType>Flat</unitType><unitID>4</unitID><city>Townsend</city></addr>"""
    )

    assert found["address"] == [{"line": ["12 High St", "Flat 4"], "city": "Townsend"}]


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
    ("code", "gender"),
    [
        ("code='F'", "female"),
        ("code='UN'", "other"),
        ("nullFlavor='UNK'", "unknown"),
        ("nullFlavor='OTH'", "other"),
        ("", "unknown"),
    ],
)
def test_gender(code: str, gender: str) -> None:
    assert patient(f"<patient><administrativeGenderCode {code}/></patient>")["gender"] == gender


def test_a_gender_that_nobody_knows_is_told_and_not_guessed() -> None:
    result = converted(header=record("<patient><administrativeGenderCode code='male'/></patient>"))

    assert only(result, "Patient")["gender"] == "unknown"
    (issue,) = [one for one in result.issues if "administrativeGenderCode" in one.diagnostics]
    assert (issue.severity, issue.expression) == (
        "warning",
        "/ClinicalDocument/recordTarget/patientRole/patient/administrativeGenderCode",
    )


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


@pytest.mark.parametrize(
    ("translations", "parts"),
    [
        (
            '<translation code="2106-3" codeSystem="2.16.840.1.113883.6.238" displayName="White"/>',
            [("ombCategory", "2106-3"), ("text", "White")],
        ),
        ('<translation code="W" codeSystem="OUR-RACES" displayName="White"/>', [("text", "White")]),
    ],
    ids=["the CDC's", "another list's"],
)
def test_a_race_that_only_a_translation_tells(translations: str, parts: list[tuple[str, str]]) -> None:
    """One of another list has its words alone: US Core has no room for its code."""
    found = patient(f'<patient><raceCode nullFlavor="OTH">{translations}</raceCode></patient>')

    (race,) = found["extension"]  # type: ignore[misc]
    said = [(part["url"], part.get("valueString") or part["valueCoding"]["code"]) for part in race["extension"]]
    assert said == parts
