"""A nullFlavor is never a value, whatever stands beside it (CDA R2 data types, ANY); values of rare types."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from .test_dosage import medication
from .written import Resource, converted, only, section

ROOT = "2.16.840.1.113883.10.20.22.4."
SNOMED = 'codeSystem="2.16.840.1.113883.6.96"'


def observed(value: str, when: str = '<effectiveTime value="20240501"/>') -> Resource:
    entry = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}2"/>
    <code code="2345-7" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>{when}{value}</observation>"""
    return only(converted(section("30954-2", entry)), "Observation")


@pytest.mark.parametrize("flavor", ["UNK", "NI", "NASK", "MSK"])
@pytest.mark.parametrize("kind", ["PQ", "INT", "REAL", "BL", "TS", "ST", "CD", "IVL_TS"])
def test_a_null_value_is_none(kind: str, flavor: str) -> None:
    value = {"TS": "20240501", "IVL_TS": "20240501", "BL": "true"}.get(kind, "5")
    held = f'code="{value}"' if kind == "CD" else f'value="{value}"'

    observation = observed(f'<value xsi:type="{kind}" nullFlavor="{flavor}" {held}/>')

    assert [name for name in observation if name.startswith("value")] == []
    assert "dataAbsentReason" in observation


def test_a_null_time_is_none() -> None:
    value = '<value xsi:type="PQ" value="5" unit="cm"/>'

    assert "effectiveDateTime" not in observed(value, '<effectiveTime nullFlavor="UNK" value="20240501"/>')


def test_a_null_dose_is_none() -> None:
    request = only(medication('<doseQuantity nullFlavor="UNK" value="5" unit="mg"/>'), "MedicationRequest")

    assert "dosageInstruction" not in request


def test_a_null_status_is_none() -> None:
    status = f"""<entryRelationship typeCode="REFR"><observation classCode="OBS" moodCode="EVN">
    <templateId root="{ROOT}6"/><code code="33999-4"/><value xsi:type="CD" nullFlavor="UNK" code="413322009" {SNOMED}/>
    </observation></entryRelationship>"""
    entry = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}4"/>
    <statusCode code="completed"/><effectiveTime><low value="2020"/><high nullFlavor="NI" value="2024"/></effectiveTime>
    <value xsi:type="CD" code="38341003" {SNOMED}/>{status}</observation>"""

    condition = only(converted(section("11450-4", entry)), "Condition")

    assert not {"clinicalStatus", "abatementDateTime", "_abatementDateTime"} & condition.keys()


CM: dict[str, Any] = {"unit": "cm", "system": "http://unitsofmeasure.org", "code": "cm"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('<value xsi:type="BL" value="1"/>', {"valueBoolean": True}),
        ('<value xsi:type="BL" value="0"/>', {"valueBoolean": False}),
        ('<value xsi:type="II" root="1.2.3" extension="A-7"/>', {"valueString": "A-7"}),
        (
            '<value xsi:type="IVL_PQ"><low value="5.0" unit="cm"/><width value="2" unit="cm"/></value>',
            {"valueRange": {"low": {"value": Decimal("5.0"), **CM}, "high": {"value": Decimal("7.0"), **CM}}},
        ),
        (
            '<value xsi:type="IVL_PQ"><high value="5" unit="cm"/><width value="2" unit="cm"/></value>',
            {"valueRange": {"low": {"value": 3, **CM}, "high": {"value": 5, **CM}}},
        ),
        (
            '<value xsi:type="IVL_PQ"><low value="5" unit="cm"/><width value="2" unit="mm"/></value>',
            {"valueQuantity": {"value": 5, **CM, "comparator": ">="}},
        ),
    ],
)
def test_values_of_rare_types(value: str, expected: Resource) -> None:
    observation = observed(value)

    assert {name: held for name, held in observation.items() if name.startswith("value")} == expected


def test_a_unit_alone_is_no_value() -> None:
    observation = observed('<value xsi:type="PQ" unit="mg/dL"/>')

    assert "valueString" not in observation
    assert "dataAbsentReason" in observation
