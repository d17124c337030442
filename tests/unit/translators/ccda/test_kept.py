"""Facts for which R4 has little room are kept in what it has: ages, instructions, kinds of allergy, specimens."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.fhir import gate
from tests.unit.translators.ccda.written import codes, converted, of_type, only, section

ROOT = "2.16.840.1.113883.10.20.22.4."
SNOMED = 'codeSystem="2.16.840.1.113883.6.96"'
DRUG = 'codeSystem="2.16.840.1.113883.6.88"'


def read(code: str, entry: str) -> Any:
    result = converted(section(code, entry))
    assert gate.check(result.bundle) == []
    return result


def observation(template: str, *parts: str, code: str = "", **attributes: str) -> str:
    said = "".join(f' {name}="{value}"' for name, value in attributes.items())
    named = code or '<code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/>'
    return (
        f'<observation classCode="OBS" moodCode="EVN"{said}><templateId root="{ROOT}{template}"/>{named}'
        f'<statusCode code="completed"/>{"".join(parts)}</observation>'
    )


def value(code: str, name: str = "") -> str:
    return f'<value xsi:type="CD" code="{code}" displayName="{name}" {SNOMED}/>'


def related(kind: str, statement: str) -> str:
    return f'<entryRelationship typeCode="{kind}">{statement}</entryRelationship>'


def concern(template: str, inner: str) -> str:
    return (
        f'<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}{template}"/><statusCode code="active"/>'
        f"{related('SUBJ', inner)}</act>"
    )


def allergy(*parts: str, substance: str = "", code: str = "", **attributes: str) -> Any:
    named = (
        f'<participant typeCode="CSM"><participantRole classCode="MANU"><playingEntity classCode="MMAT">{substance}'
        "</playingEntity></participantRole></participant>"
    )
    told = observation("7", *parts, named if substance else "", code=code, **attributes)
    return only(read("48765-2", concern("30", told)), "AllergyIntolerance")


def test_the_age_at_onset_stays_beside_the_date() -> None:
    age = observation("31", '<value xsi:type="PQ" value="57" unit="a"/>', code=f'<code code="445518008" {SNOMED}/>')
    problem = observation(
        "4", '<effectiveTime><low value="2007"/></effectiveTime>', value("38341003"), related("SUBJ", age)
    )
    result = read("11450-4", concern("3", problem))

    condition, observed = only(result, "Condition"), only(result, "Observation")
    assert condition["onsetDateTime"] == "2007"
    assert condition["evidence"] == [{"detail": [{"reference": f"Observation/{observed['id']}"}]}]
    assert (observed["valueQuantity"]["value"], observed["valueQuantity"]["code"]) == (57, "a")
    assert codes(observed["code"]) == [("http://snomed.info/sct", "445518008")]


def test_the_kind_of_allergy_that_older_documents_say_with_the_code() -> None:
    found = allergy(
        value("282100009", "Adverse reaction to substance"),
        substance=f'<code code="7980" {DRUG}/>',
        code=f'<code code="416098002" {SNOMED}/>',
    )
    assert (found["type"], found["category"]) == ("allergy", ["medication"])
    assert codes(found["code"])[0][1] == "7980"


@pytest.mark.parametrize("any_substance", ["105590001", "410942007"])
def test_none_to_any_substance_is_no_known_allergy(any_substance: str) -> None:
    found = allergy(value("419199007"), substance=f'<code code="{any_substance}" {SNOMED}/>', negationInd="true")
    assert codes(found["code"]) == [("http://snomed.info/sct", "716186003")]
    assert "extension" not in found


def test_a_severity_that_fhir_has_no_code_for_keeps_its_words() -> None:
    severe = observation("8", value("371923003", "Mild to moderate"))
    found = allergy(value("419199007"), related("SUBJ", severe), substance=f'<code code="7980" {DRUG}/>')
    [reaction] = found["reaction"]
    assert reaction["description"] == "Mild to moderate" and "severity" not in reaction


def test_a_coded_instruction_within_an_immunization_is_asked_for_by_itself() -> None:
    told = (
        f'<act classCode="ACT" moodCode="INT"><templateId root="{ROOT}20"/><code code="171044003" {SNOMED}/>'
        "<text>Fever is common</text><statusCode code='completed'/></act>"
    )
    given = (
        f'<substanceAdministration classCode="SBADM" moodCode="EVN"><templateId root="{ROOT}52"/><id root="2.999.1"/>'
        '<statusCode code="completed"/><effectiveTime value="20240301"/><consumable><manufacturedProduct>'
        '<manufacturedMaterial><code code="88" codeSystem="2.16.840.1.113883.12.292"/></manufacturedMaterial>'
        f"</manufacturedProduct></consumable>{related('SUBJ', told)}</substanceAdministration>"
    )
    result = read("11369-6", given)

    assert only(result, "Immunization")["education"] == [{"documentType": "Fever is common"}]
    asked = only(result, "ServiceRequest")
    assert codes(asked["code"]) == [("http://snomed.info/sct", "171044003")]
    assert asked["patientInstruction"] == "Fever is common"


def test_the_specimen_that_a_procedure_took() -> None:
    taken = (
        '<specimen typeCode="SPC"><specimenRole classCode="SPEC"><id root="2.999.7"/><specimenPlayingEntity>'
        f'<code code="309226005" {SNOMED}/></specimenPlayingEntity></specimenRole></specimen>'
    )
    done = (
        f'<procedure classCode="PROC" moodCode="EVN"><templateId root="{ROOT}14"/><id root="2.999.6"/>'
        f'<code code="274025005" {SNOMED}/><statusCode code="completed"/><effectiveTime value="2024"/>'
        f"{taken}</procedure>"
    )
    result = read("47519-4", done)

    specimen = only(result, "Specimen")
    assert codes(specimen["type"]) == [("http://snomed.info/sct", "309226005")]
    assert specimen["subject"] == {"reference": "Patient/p1"}
    [listed] = of_type(result, "Composition")[0]["section"]
    assert {"reference": f"Specimen/{specimen['id']}"} in listed["entry"]


def sign(code: str, amount: str, *more: str, time: str = "20240301101500+0000") -> str:
    return observation(
        "27",
        f'<effectiveTime value="{time}"/><value xsi:type="PQ" value="{amount}" unit="mm[Hg]"/>',
        *more,
        code=f'<id root="2.999.8" extension="{code}"/><code code="{code}" codeSystem="2.16.840.1.113883.6.1"/>',
    )


def signs(*held: str) -> Any:
    parts = "".join(f"<component>{one}</component>" for one in held)
    return read(
        "8716-3",
        f'<organizer classCode="CLUSTER" moodCode="EVN"><templateId root="{ROOT}26"/><id root="2.999.9"/>'
        f'<statusCode code="completed"/><effectiveTime value="20240301101500+0000"/>{parts}</organizer>',
    )


def test_systolic_and_diastolic_of_one_measurement_are_one() -> None:
    high = '<interpretationCode code="H" codeSystem="2.16.840.1.113883.5.83"/>'
    result = signs(sign("8480-6", "148", high), sign("8867-4", "71"), sign("8462-4", "91"))

    panel, pressure = (
        next(one for one in of_type(result, "Observation") if codes(one["code"])[0][1] == code)
        for code in ("85353-1", "85354-9")
    )
    systolic, diastolic = pressure["component"]
    assert [codes(one["code"])[0][1] for one in (systolic, diastolic)] == ["8480-6", "8462-4"]
    assert [one["valueQuantity"]["value"] for one in (systolic, diastolic)] == [148, 91]
    assert codes(systolic["interpretation"][0])[0][1] == "H" and "interpretation" not in diastolic
    assert "valueQuantity" not in pressure and pressure["effectiveDateTime"] == "2024-03-01T10:15:00+00:00"
    assert [one["value"] for one in pressure["identifier"]] == ["8480-6", "8462-4"]
    assert "us-core-blood-pressure" in pressure["meta"]["profile"][0]
    assert len(of_type(result, "Observation")) == 3 and len(panel["hasMember"]) == 2


def test_each_part_of_a_pressure_says_its_own_value_whatever_the_type() -> None:
    said = [
        observation(
            "27",
            '<effectiveTime value="20240301101500+0000"/><value xsi:type="ST">not measurable</value>',
            code=f'<code code="{code}" codeSystem="2.16.840.1.113883.6.1"/>',
        )
        for code in ("8480-6", "8462-4")
    ]

    pressure = next(one for one in of_type(signs(*said), "Observation") if codes(one["code"])[0][1] == "85354-9")

    assert [one["valueString"] for one in pressure["component"]] == ["not measurable", "not measurable"]
    assert "valueString" not in pressure


@pytest.mark.parametrize(
    "diastolic",
    [
        sign("8462-4", "91", time="20240301111500+0000"),
        sign("8462-4", "91", f'<targetSiteCode code="368208006" {SNOMED}/>'),
        sign("8462-4", "91") + "</component><component>" + sign("8462-4", "88"),
    ],
    ids=["another time", "another arm", "two of them"],
)
def test_what_may_be_two_measurements_stays_apart(diastolic: str) -> None:
    told = [codes(one["code"])[0][1] for one in of_type(signs(sign("8480-6", "148"), diastolic), "Observation")]
    assert "85354-9" not in told and {"8480-6", "8462-4", "85353-1"} == set(told)


def indicated(*parts: str, template: str = "19") -> Any:
    said = f'<templateId root="{ROOT}{template}"/>{"".join(parts)}'
    inner = f'<observation classCode="OBS" moodCode="EVN">{said}</observation>'
    visit = f"""<encounter classCode="ENC" moodCode="INT"><templateId root="{ROOT}40"/>
    <id root="2.999.3" extension="v"/>{related("RSON", inner)}</encounter>"""
    return only(read("18776-5", visit), "Encounter").get("reasonCode")


@pytest.mark.parametrize(
    ("parts", "template", "expected"),
    [
        (
            (f'<code code="185349003" {SNOMED}/>', "<text>Next year</text>"),
            "19",
            [{"coding": [{"system": "http://snomed.info/sct", "code": "185349003"}], "text": "Next year"}],
        ),
        (("<text>Next year</text>",), "19", [{"text": "Next year"}]),
        ((f'<code code="404684003" {SNOMED}/>',), "19", None),
        ((f'<code code="404684003" {SNOMED}/><value xsi:type="CD" nullFlavor="UNK"/>',), "19", None),
        ((f'<code code="185349003" {SNOMED}/>',), "86", None),
    ],
)
def test_an_indication_without_a_value_is_told_by_its_code(
    parts: tuple[str, ...], template: str, expected: Any
) -> None:
    assert indicated(*parts, template=template) == expected


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (f'<code code="745752" {DRUG} displayName="albuterol"/>', "Proventil"),
        (f'<code code="745752" {DRUG} displayName="Proventil"/>', None),
        (f'<code code="745752" {DRUG}><originalText>puffer</originalText></code>', "puffer"),
    ],
)
def test_the_name_by_which_a_drug_is_sold(code: str, text: str | None) -> None:
    entry = f"""<substanceAdministration classCode="SBADM" moodCode="INT"><templateId root="{ROOT}16"/><consumable>
    <manufacturedProduct><manufacturedMaterial>{code}<name>Proventil</name></manufacturedMaterial></manufacturedProduct>
    </consumable></substanceAdministration>"""

    concept = only(read("10160-0", entry), "MedicationRequest")["medicationCodeableConcept"]

    assert (codes(concept)[0][1], concept.get("text")) == ("745752", text)


def test_a_comment_on_a_discharge_medication() -> None:
    remark = f'<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}64"/><text>Stop if a rash comes</text></act>'
    drug = f"""<substanceAdministration classCode="SBADM" moodCode="EVN"><templateId root="{ROOT}16"/><consumable>
    <manufacturedProduct><manufacturedMaterial><code code="745752" {DRUG}/></manufacturedMaterial></manufacturedProduct>
    </consumable></substanceAdministration>"""
    entry = f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}35"/>{related("SUBJ", drug)}
    {related("SUBJ", remark)}{related("REFR", observation("2", value("1"), code='<code code="2345-7"/>'))}</act>"""

    result = read("10183-2", entry)

    assert only(result, "MedicationRequest")["note"] == [{"text": "Stop if a rash comes"}]
    assert codes(only(result, "Observation")["code"])[0][1] == "2345-7"


def test_a_refusal_that_is_told_as_a_value() -> None:
    why = observation("53", value("182895007", "Drug declined by patient"))
    entry = f"""<substanceAdministration classCode="SBADM" moodCode="EVN" negationInd="true">
    <templateId root="{ROOT}52"/><effectiveTime><high value="20240101"/></effectiveTime><consumable>
    <manufacturedProduct><manufacturedMaterial><code code="88" codeSystem="2.16.840.1.113883.12.292"/>
    </manufacturedMaterial></manufacturedProduct></consumable>{related("RSON", why)}</substanceAdministration>"""

    result = read("11369-6", entry)

    refused = only(result, "Immunization")
    assert codes(refused["statusReason"]) == [("http://snomed.info/sct", "182895007")]
    assert [one for one in result.issues if one.diagnostics.startswith("by when it was given")]


def test_when_it_was_given_stands_in_any_of_its_times() -> None:
    times = """<effectiveTime xsi:type="PIVL_TS"><period value="6" unit="h"/></effectiveTime>
    <effectiveTime xsi:type="IVL_TS"><low value="20240101"/><high value="20240103"/></effectiveTime>"""
    entry = f"""<substanceAdministration classCode="SBADM" moodCode="EVN"><templateId root="{ROOT}16"/>{times}
    <consumable><manufacturedProduct><manufacturedMaterial><code code="745752" {DRUG}/></manufacturedMaterial>
    </manufacturedProduct></consumable></substanceAdministration>"""

    given = only(read("29549-3", entry), "MedicationAdministration")

    assert given["effectivePeriod"] == {"start": "2024-01-01", "end": "2024-01-03"}


def test_a_refusal_in_another_relationship() -> None:
    why = observation("53", code='<code code="IMMUNE" codeSystem="2.16.840.1.113883.5.8"/>')
    entry = f"""<substanceAdministration classCode="SBADM" moodCode="EVN" negationInd="true">
    <templateId root="{ROOT}52"/><consumable><manufacturedProduct><manufacturedMaterial>
    <code code="88" codeSystem="2.16.840.1.113883.12.292"/></manufacturedMaterial></manufacturedProduct></consumable>
    {related("SUBJ", why)}</substanceAdministration>"""

    assert codes(only(read("11369-6", entry), "Immunization")["statusReason"])[0][1] == "IMMUNE"
