"""Observations: results and vital signs, their values by type, and what is no value."""

from __future__ import annotations

from decimal import Decimal

import pytest

from .written import codes, converted, of_type, only, section

LOINC = "http://loinc.org"


def result_observation(value: str, *, more: str = "", extension: str = "r") -> str:
    return f"""<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.2"/>
    <id root="1.1" extension="{extension}"/><code code="718-7" codeSystem="2.16.840.1.113883.6.1"/>
    <statusCode code="completed"/><effectiveTime value="20240501"/>{value}{more}</observation>"""


def organizer(*observations: str) -> str:
    components = "".join(f"<component>{observation}</component>" for observation in observations)
    return f"""<organizer classCode="BATTERY" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.1"/>
    <id root="1.1" extension="panel"/><code code="58410-2" codeSystem="2.16.840.1.113883.6.1"/>
    <statusCode code="completed"/>{components}</organizer>"""


def test_a_report_with_its_results() -> None:
    result = converted(
        section("30954-2", organizer(result_observation('<value xsi:type="PQ" value="13.50" unit="g/dL"/>')))
    )

    report, observation = only(result, "DiagnosticReport"), only(result, "Observation")
    assert report["result"] == [{"reference": f"Observation/{observation['id']}"}]
    assert report["effectiveDateTime"] == "2024-05-01"
    assert observation["status"] == "final"
    assert str(observation["valueQuantity"]["value"]) == "13.50"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('<value xsi:type="PQ" value="5"/>', {"valueQuantity": {"value": 5}}),
        ('<value xsi:type="PQ" value="5" unit="Puffs"/>', {"valueQuantity": {"value": 5, "unit": "Puffs"}}),
        ('<value xsi:type="PQ" value="10-20" unit="mg"/>', {"valueString": "10-20 mg"}),
        ('<value xsi:type="INT" value="7"/>', {"valueInteger": 7}),
        ('<value xsi:type="INT" value="0"/>', {"valueInteger": 0}),
        ('<value xsi:type="REAL" value="0.0"/>', {"valueQuantity": {"value": Decimal("0.0")}}),
        ('<value xsi:type="REAL" value="7.10"/>', {"valueQuantity": {"value": Decimal("7.10")}}),
        ('<value xsi:type="ST">clear</value>', {"valueString": "clear"}),
        ('<value xsi:type="ED">clear</value>', {"valueString": "clear"}),
        ('<value xsi:type="BL" value="true"/>', {"valueBoolean": True}),
        ('<value xsi:type="TS" value="201205"/>', {"valueDateTime": "2012-05"}),
        (
            '<value xsi:type="IVL_PQ"><low value="3"/></value>',
            {"valueQuantity": {"value": 3, "comparator": ">="}},
        ),
        (
            '<value xsi:type="IVL_PQ"><high value="3" inclusive="false"/></value>',
            {"valueQuantity": {"value": 3, "comparator": "<"}},
        ),
        (
            '<value xsi:type="IVL_PQ"><low value="3"/><high value="4"/></value>',
            {"valueRange": {"low": {"value": 3}, "high": {"value": 4}}},
        ),
        ('<value xsi:type="PQ" value="NaN"/>', {"valueString": "NaN"}),
        ('<value xsi:type="IVL_PQ"><center value="3"/></value>', {"valueQuantity": {"value": 3}}),
        (
            '<value xsi:type="IVL_INT"><low value="3"/><high value="4"/></value>',
            {"valueRange": {"low": {"value": 3}, "high": {"value": 4}}},
        ),
        (
            '<value xsi:type="RTO_QTY_QTY"><numerator value="1"/><denominator value="128"/></value>',
            {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}},
        ),
        (
            """<value xsi:type="PQ" nullFlavor="OTH"><translation nullFlavor="OTH" value="179">
            <originalText>x10e3/uL</originalText></translation></value>""",
            {"valueQuantity": {"value": 179, "unit": "x10e3/uL"}},
        ),
        ('<value xsi:type="INT" value="7"/><value xsi:type="INT" value="7"/>', {"valueInteger": 7}),
    ],
)
def test_values_by_their_type(value: str, expected: dict[str, object]) -> None:
    observation = only(converted(section("30954-2", result_observation(value))), "Observation")

    assert {name: found for name, found in observation.items() if name.startswith("value")} == expected


def test_a_value_that_is_null_has_a_reason_and_no_value() -> None:
    observation = only(
        converted(section("30954-2", result_observation('<value xsi:type="PQ" nullFlavor="ASKU"/>'))), "Observation"
    )

    assert observation["dataAbsentReason"]["coding"][0]["code"] == "asked-unknown"
    assert not any(name.startswith("value") for name in observation)


def test_reference_range_and_interpretation() -> None:
    more = """<interpretationCode code="H" codeSystem="2.16.840.1.113883.5.83"/><referenceRange><observationRange>
    <value xsi:type="IVL_PQ"><low value="12.0" unit="g/dL"/><high value="15.5" unit="g/dL"/></value>
    </observationRange></referenceRange>"""

    observation = only(
        converted(section("30954-2", result_observation('<value xsi:type="PQ" value="16" unit="g/dL"/>', more=more))),
        "Observation",
    )

    (expected,) = observation["referenceRange"]
    assert (str(expected["low"]["value"]), str(expected["high"]["value"])) == ("12.0", "15.5")
    assert codes(observation["interpretation"][0])[0][1] == "H"


def test_a_range_that_is_not_the_normal_one_says_so() -> None:
    more = """<referenceRange><observationRange><value xsi:type="IVL_PQ"><low value="400" unit="mg/dL"/></value>
    <interpretationCode code="HH" codeSystem="2.16.840.1.113883.5.83"/></observationRange></referenceRange>
    <referenceRange><observationRange><value xsi:type="CD" code="10828004" displayName="Positive"
    codeSystem="2.16.840.1.113883.6.96"/><interpretationCode code="A" codeSystem="2.16.840.1.113883.5.83"/>
    </observationRange></referenceRange>"""

    entry = result_observation('<value xsi:type="PQ" value="95" unit="mg/dL"/>', more=more)

    high, coded = only(converted(section("30954-2", entry)), "Observation")["referenceRange"]
    assert [codes(one["type"])[0][1] for one in (high, coded)] == ["HH", "A"]
    assert high["low"]["value"] == 400
    assert (coded["text"], "extension" in coded) == ("Positive", False)


def test_vital_signs_are_a_panel_with_members() -> None:
    vitals = organizer(
        result_observation('<value xsi:type="PQ" value="120" unit="mm[Hg]"/>', extension="s"),
        result_observation('<value xsi:type="PQ" value="80" unit="mm[Hg]"/>', extension="d"),
    ).replace("22.4.1", "22.4.26")

    observations = of_type(converted(section("8716-3", vitals)), "Observation")

    (panel,) = [one for one in observations if "hasMember" in one]
    assert codes(panel["code"]) == [(LOINC, "85353-1")]
    assert len(panel["hasMember"]) == 2
    assert all(one["category"][0]["coding"][0]["code"] == "vital-signs" for one in observations)


def test_a_negated_observation_is_never_a_positive_one() -> None:
    positive = result_observation('<value xsi:type="ST">growth</value>')
    entry = positive.replace("<observation ", '<observation negationInd="true" ')

    result = converted(section("30954-2", entry))

    assert of_type(result, "Observation") == []
    assert any("negated" in issue.diagnostics for issue in result.issues)
    assert result.report["sections"][0]["notUnderstood"]


def test_several_values_are_components_of_the_same_code() -> None:
    values = '<value xsi:type="INT" value="3"/><value xsi:type="ST">few</value>'

    observation = only(converted(section("30954-2", result_observation(values))), "Observation")

    code = observation["code"]
    assert observation["component"] == [{"code": code, "valueInteger": 3}, {"code": code, "valueString": "few"}]
    assert not [name for name in observation if name.startswith(("value", "dataAbsentReason"))]


def test_text_that_is_base64_is_no_text() -> None:
    value = '<value xsi:type="ED" mediaType="text/plain" representation="B64">aGVsbG8=</value>'

    observation = only(converted(section("30954-2", result_observation(value))), "Observation")

    assert observation["extension"][0]["valueAttachment"] == {"contentType": "text/plain", "data": "aGVsbG8="}
    assert "valueString" not in observation


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('<value xsi:type="PQ" value="5" unit="mg"/>', {"text": "5 mg"}),
        ('<value><low value="5"/></value>', {"low": {"value": 5}}),
        ('<value xsi:type="ST">few</value>', {"text": "few"}),
    ],
)
def test_ranges_by_their_type(value: str, expected: dict[str, object]) -> None:
    more = f"<referenceRange><observationRange>{value}</observationRange></referenceRange>"

    entry = result_observation('<value xsi:type="INT" value="7"/>', more=more)

    assert only(converted(section("30954-2", entry)), "Observation")["referenceRange"] == [expected]


def test_what_a_qualifier_adds_is_told_in_words() -> None:
    side = """<qualifier><name code="272741003" displayName="Laterality"/><value code="7771000" displayName="Left"/>
    </qualifier>"""
    site = f'<targetSiteCode code="7569003" codeSystem="2.16.840.1.113883.6.96" displayName="Finger">{side}'
    value = '<value xsi:type="INT" value="7"/>'

    entries = [
        result_observation(value, more=f"{site}</targetSiteCode>", extension="a"),
        result_observation(value, more=f"{site}<originalText>ring finger, left</originalText></targetSiteCode>"),
    ]

    found = of_type(converted(section("30954-2", *entries)), "Observation")
    assert [one["bodySite"]["text"] for one in found] == ["Finger, Laterality: Left", "ring finger, left"]


def test_when_a_specimen_was_taken() -> None:
    taken = """<procedure classCode="PROC" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.415"/>
    <code code="17636008" codeSystem="2.16.840.1.113883.6.96"/><effectiveTime value="202401010830-0500"/>
    <methodCode code="28520004" codeSystem="2.16.840.1.113883.6.96"/><performer><assignedEntity><assignedPerson><name>
    <family>Draw</family></name></assignedPerson></assignedEntity></performer><specimen><specimenRole>
    <specimenPlayingEntity><code code="119297000" codeSystem="2.16.840.1.113883.6.96"/>
    </specimenPlayingEntity></specimenRole></specimen>
    </procedure>"""

    result = converted(section("30954-2", organizer(taken, result_observation(""))))

    specimen, who = only(result, "Specimen"), only(result, "Practitioner")
    assert specimen["collection"]["collector"] == {"reference": f"Practitioner/{who['id']}"}
    assert specimen["collection"]["collectedDateTime"] == "2024-01-01T08:30:00-05:00"
    assert codes(specimen["collection"]["method"])[0][1] == "28520004"


def test_the_kind_of_a_report_that_says_it() -> None:
    kind = '<sdtc:category code="RAD" codeSystem="2.16.840.1.113883.12.74"/>'
    entry = organizer(result_observation("")).replace("<component>", f"{kind}<component>", 1)

    report = only(converted(section("30954-2", entry)), "DiagnosticReport")

    assert codes(report["category"][0]) == [("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD")]


def test_vital_signs_that_were_an_error() -> None:
    entry = """<organizer classCode="CLUSTER" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.26"/>
    <statusCode code="nullified"/><component><observation classCode="OBS" moodCode="EVN">
    <code code="8867-4" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="nullified"/>
    <value xsi:type="PQ" value="80" unit="/min"/></observation></component></organizer>"""

    found = of_type(converted(section("8716-3", entry)), "Observation")

    assert [one["status"] for one in found] == ["entered-in-error", "entered-in-error"]


def test_what_supports_an_observation_is_what_it_is_derived_from() -> None:
    """A finding of social history and the questionnaire behind it (C-CDA R2.1 §3.101, SPRT)."""
    scale = """<entryRelationship typeCode="SPRT"><observation classCode="OBS" moodCode="EVN">
    <templateId root="2.16.840.1.113883.10.20.22.4.69"/><id root="1.1" extension="scale"/>
    <code code="88028-6" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>
    <effectiveTime value="20240501"/></observation></entryRelationship>"""
    finding = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.38"/>
    <code code="8689-2" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>
    <effectiveTime value="20240501"/>{scale}</observation>"""

    found = {codes(one["code"])[0][1]: one for one in of_type(converted(section("29762-2", finding)), "Observation")}

    assert found["8689-2"]["derivedFrom"] == [{"reference": f"Observation/{found['88028-6']['id']}"}]
    assert "hasMember" not in found["8689-2"]
