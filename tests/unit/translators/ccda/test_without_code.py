"""Statements whose own code nobody knows, and that still say something: an implant, an allergy with its reaction."""

from __future__ import annotations

import pytest

from gateway.fhir import gate

from .written import codes, converted, of_type, only, section

ROOT = "2.16.840.1.113883.10.20.22.4."
SNOMED = 'codeSystem="2.16.840.1.113883.6.96"'
NULL = '<code nullFlavor="UNK"/><statusCode code="completed"/><effectiveTime value="20111005"/>'
IMPLANT = f"""<participant typeCode="DEV"><participantRole classCode="MANU"><templateId root="{ROOT}37"/>
<id root="2.16.840.1.113883.3.3719" extension="(01)00643169007222"/><playingDevice/></participantRole></participant>"""
HIVES = f"""<entryRelationship typeCode="MFST"><observation classCode="OBS" moodCode="EVN" {{}}>
<templateId root="{ROOT}9"/><value xsi:type="CD" code="247472004" {SNOMED}/></observation></entryRelationship>"""


def procedure(more: str, attributes: str = "") -> str:
    return f"""<procedure classCode="PROC" moodCode="EVN" {attributes}><templateId root="{ROOT}14"/>
    <id root="1.1" extension="p"/>{NULL}{more}</procedure>"""


def test_an_implant_is_told_where_nobody_knows_the_procedure() -> None:
    """Epic writes its list of implants so."""
    result = converted(section("46264-8", procedure(IMPLANT)))

    done, device = only(result, "Procedure"), only(result, "Device")
    assert device["udiCarrier"][0]["deviceIdentifier"] == "00643169007222"
    assert codes(done["code"])[0][1] == "unknown"
    assert done["focalDevice"] == [{"manipulated": {"reference": f"Device/{device['id']}"}}]
    assert gate.check(result.bundle) == []


@pytest.mark.parametrize(("more", "attributes"), [("", ""), (IMPLANT, 'nullFlavor="NI"')])
def test_a_procedure_of_which_nobody_knows_is_none(more: str, attributes: str) -> None:
    assert of_type(converted(section("46264-8", procedure(more, attributes))), "Procedure", "Device") == []


def test_what_an_observation_without_a_code_holds() -> None:
    answer = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}86"/>
    <code code="44250-9" codeSystem="2.16.840.1.113883.6.1"/><value xsi:type="INT" value="2"/></observation>"""
    scale = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}69"/>{NULL}
    <entryRelationship typeCode="COMP">{answer}</entryRelationship></observation>"""

    assert only(converted(section("47420-5", scale)), "Observation")["valueInteger"] == 2


def allergy(reaction: str, value: str = 'code="416098002"') -> str:
    return f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}7"/>
    <value xsi:type="CD" {value} {SNOMED}/>{reaction}</observation>"""


@pytest.mark.parametrize(("value", "code"), [('code="416098002"', "416098002"), ('nullFlavor="UNK"', "unknown")])
def test_an_allergy_to_nobody_knows_what_with_its_reaction(value: str, code: str) -> None:
    result = converted(section("48765-2", allergy(HIVES.format(""), value)))

    told = only(result, "AllergyIntolerance")
    assert codes(told["code"])[0][1] == code
    assert codes(told["reaction"][0]["manifestation"][0])[0][1] == "247472004"
    assert gate.check(result.bundle) == []


@pytest.mark.parametrize("reaction", ["", HIVES.format('negationInd="true"'), HIVES.format('nullFlavor="NI"')])
def test_an_allergy_to_nobody_knows_what_is_none(reaction: str) -> None:
    assert of_type(converted(section("48765-2", allergy(reaction))), "AllergyIntolerance") == []
