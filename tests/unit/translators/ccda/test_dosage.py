"""When and how much: every shape of effectiveTime that a medication may have (CDA R2 data types, GTS)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.fhir import gate
from gateway.translators.ccda import Converted

from .written import Resource, codes, converted, only, section

ROOT = "2.16.840.1.113883.10.20.22.4."
DRUG = """<consumable><manufacturedProduct><manufacturedMaterial><code code="197361"
codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial></manufacturedProduct></consumable>"""
NAMELESS = """<consumable><manufacturedProduct><manufacturedMaterial nullFlavor="NA"/></manufacturedProduct>
</consumable>"""


def taken(inner: str, *, product: str = DRUG, status: str = "active") -> str:
    return f"""<substanceAdministration classCode="SBADM" moodCode="EVN"><templateId root="{ROOT}16"/>
    <statusCode code="{status}"/>{inner}{product}</substanceAdministration>"""


def medication(inner: str, status: str = "active") -> Converted:
    return converted(section("10160-0", taken(inner, status=status)))


def doses(inner: str) -> list[Resource]:
    result = medication(inner)
    assert gate.check(result.bundle) == []
    return list(only(result, "MedicationRequest")["dosageInstruction"])


def event(code: str, offset: str = "") -> str:
    return f'<effectiveTime xsi:type="EIVL_TS" operator="A"><event code="{code}"/>{offset}</effectiveTime>'


DAYS = {"value": Decimal(10), "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"}


@pytest.mark.parametrize(
    ("time", "repeat"),
    [
        (event("ACM") + event("ACV"), {"when": ["ACM", "ACV"]}),
        (event("ACM") + event("ACM"), {"when": ["ACM"]}),
        ('<effectiveTime xsi:type="IVL_TS"><width value="10" unit="d"/></effectiveTime>', {"boundsDuration": DAYS}),
        (
            """<effectiveTime xsi:type="SXPR_TS"><comp xsi:type="IVL_TS"><low value="20240101"/></comp>
            <comp xsi:type="PIVL_TS" operator="A"><period value="8" unit="h"/></comp></effectiveTime>""",
            {"boundsPeriod": {"start": "2024-01-01"}, "frequency": 1, "period": 8, "periodUnit": "h"},
        ),
        (
            """<effectiveTime xsi:type="PIVL_TS"><phase><width value="30" unit="min"/></phase>
            <period value="1" unit="d"/></effectiveTime>""",
            {"frequency": 1, "period": 1, "periodUnit": "d", "duration": 30, "durationUnit": "min"},
        ),
    ],
)
def test_times_that_repeat(time: str, repeat: Resource) -> None:
    assert [dose["timing"] for dose in doses(time)] == [{"repeat": repeat}]


def test_a_dose_that_is_tapered_is_told_step_by_step() -> None:
    first = '<effectiveTime xsi:type="IVL_TS"><low value="20240101"/><high value="20240105"/></effectiveTime>'
    step = taken(f'{first}<doseQuantity value="2"/>', product=NAMELESS)

    told = doses(f'<doseQuantity value="1"/><entryRelationship typeCode="COMP">{step}</entryRelationship>')

    assert [one["doseAndRate"][0]["doseQuantity"]["value"] for one in told] == [1, 2]
    assert told[1]["timing"]["repeat"]["boundsPeriod"] == {"start": "2024-01-01", "end": "2024-01-05"}


@pytest.mark.parametrize(("status", "expected"), [("cancelled", "cancelled"), ("held", "on-hold"), ("new", "draft")])
def test_what_became_of_an_order(status: str, expected: str) -> None:
    assert only(medication("", status), "MedicationRequest")["status"] == expected


@pytest.mark.parametrize(
    ("precondition", "expected"),
    [
        ("<precondition><criterion><text>for pain</text></criterion></precondition>", {"text": "for pain"}),
        ("<precondition><criterion/></precondition>", True),
        ('<precondition nullFlavor="NI"/>', None),
    ],
)
def test_what_is_taken_as_needed(precondition: str, expected: object) -> None:
    dose = doses(f'{precondition}<doseQuantity value="1"/>')[0]

    assert (dose.get("asNeededCodeableConcept") or dose.get("asNeededBoolean")) == expected


def test_how_it_was_given_is_told_without_a_dose() -> None:
    entry = taken('<routeCode code="C38288" codeSystem="2.16.840.1.113883.3.26.1.1"/>', status="completed")

    result = converted(section("29549-3", entry))

    dosage = only(result, "MedicationAdministration")["dosage"]
    assert codes(dosage["route"])[0][1] == "C38288"
    assert dosage["dose"]["extension"][0]["valueCode"] == "unknown"
    assert gate.check(result.bundle) == []


def test_what_is_not_to_be_supplied_is_no_order() -> None:
    order = f"""<supply classCode="SPLY" moodCode="INT" negationInd="true"><templateId root="{ROOT}17"/>
    <quantity value="30"/></supply>"""

    result = medication(f'<entryRelationship typeCode="REFR">{order}</entryRelationship>')

    assert "dispenseRequest" not in only(result, "MedicationRequest")


@pytest.mark.parametrize(
    ("dose", "unit", "code"),
    [
        ('value="30.0" unit="1"><translation value="30.0"><originalText>units</originalText>', "units", "1"),
        ('value="30"><translation value="30.0"><originalText>units</originalText>', "units", None),
        ('value="75.0" unit="1"><translation value="75.0"><originalText>mg</originalText>', "mg", "mg"),
        ('value="3" unit="mL"><translation value="3"><originalText>units</originalText>', "mL", "mL"),
        ('value="3" unit="1"><translation value="9"><originalText>drops</originalText>', "1", "1"),
    ],
)
def test_what_is_counted_stands_in_the_words_of_a_translation(dose: str, unit: str, code: str | None) -> None:
    """Thirty units of insulin are not thirty of anything; another number is another quantity."""
    (found,) = doses(f"<doseQuantity {dose}</translation></doseQuantity>")

    amount = found["doseAndRate"][0]["doseQuantity"]
    assert (amount["unit"], amount.get("code")) == (unit, code)


def test_a_mixture_has_its_ingredients_and_their_strengths() -> None:
    """HL7 UV Medication Information, in a namespace of its own."""
    part = """<pharm:ingredient classCode="{}"><pharm:quantity><pharm:numerator value="1" unit="mg"/>
    <pharm:denominator value="1" unit="mL"/></pharm:quantity><pharm:ingredientSubstance>
    <pharm:code code="{}" codeSystem="2.16.840.1.113883.6.88"/></pharm:ingredientSubstance></pharm:ingredient>"""
    mixture = f"""<consumable><manufacturedProduct><manufacturedMaterial xmlns:pharm="urn:hl7-org:pharm">
    <code nullFlavor="OTH"/><name>Mouth wash</name><pharm:formCode code="385023001"/>{part.format("ACTI", "1362")}
    {part.format("IACT", "11295")}</manufacturedMaterial></manufacturedProduct></consumable>"""

    found = only(converted(section("10160-0", taken("", product=mixture))), "Medication")

    assert codes(found["form"])[0][1] == "385023001"
    said = [(codes(one["itemCodeableConcept"])[0][1], one["isActive"]) for one in found["ingredient"]]
    assert said == [("1362", True), ("11295", False)]
    strength = found["ingredient"][0]["strength"]
    assert (strength["numerator"]["unit"], strength["denominator"]["unit"]) == ("mg", "mL")
