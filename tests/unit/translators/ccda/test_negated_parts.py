"""Members, references, plans and parts of devices that are negated are not told as so."""

from __future__ import annotations

import pytest

from .test_negation import CHAIR, CODE, DRUG, ROOT, negated
from .written import converted, of_type, only, section

SOMEBODY = """<performer><assignedEntity><id root="1.6" extension="doc"/><assignedPerson><name><family>Hill</family>
</name></assignedPerson></assignedEntity></performer>"""
OF_DEVICE = "codeSystem='2.16.840.1.113883.3.26.1.1'"


def within(inner: str, kind: str = "COMP") -> str:
    return f'<entryRelationship typeCode="{kind}">{inner}</entryRelationship>'


def test_who_is_no_member_of_a_team() -> None:
    member = negated("act", "500.1", f"<code code='92707-9'/>{SOMEBODY}")
    team = f"""<organizer classCode="CLUSTER" moodCode="EVN"><templateId root="{ROOT}500"/>
    <component>{member}</component></organizer>"""

    result = converted(section("85847-2", team))

    assert "extension" in only(result, "CareTeam")["participant"][0]["member"]
    assert [one for one in result.issues if one.diagnostics.startswith("negated")]


def test_a_serial_number_that_a_device_does_not_have() -> None:
    serial = negated("observation", "319", f'<code code="C101671" {OF_DEVICE}/><value xsi:type="ED">S-1</value>')
    udi = f"""<organizer classCode="CLUSTER" moodCode="EVN"><templateId root="{ROOT}311"/>
    <component>{serial}</component>
    </organizer>"""
    entry = f"""<procedure classCode="PROC" moodCode="EVN"><templateId root="{ROOT}14"/>{CODE}{CHAIR}{within(udi)}
    </procedure>"""

    assert "serialNumber" not in only(converted(section("46264-8", entry)), "Device")


def test_an_encounter_in_which_it_was_not_found() -> None:
    where = negated("encounter", "", "").replace(f'<templateId root="{ROOT}"/>', "")
    problem = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}4"/>
    <value xsi:type="CD" code="38341003"/>{within(where)}</observation>"""

    assert "encounter" not in only(converted(section("11450-4", problem)), "Condition")


@pytest.mark.parametrize(
    ("kind", "entry", "made"),
    [
        ("34109-9", negated("act", "202", '<code code="34109-9"/><text>Words</text>'), "DocumentReference"),
        ("18776-5", negated("act", "129", within(f'<act moodCode="INT">{CODE}</act>'), "INT"), "Coverage"),
    ],
)
def test_a_note_or_plan_that_there_is_not(kind: str, entry: str, made: str) -> None:
    result = converted(section(kind, entry))

    assert of_type(result, made) == []
    assert [one for one in result.issues if one.diagnostics.startswith("negated")]


def test_a_supply_that_is_not_ordered_is_in_the_report() -> None:
    supply = within(negated("supply", "17", '<quantity value="30"/>', "INT"), "REFR")
    drug = DRUG.replace("product>", "consumable>", 1).replace("</product>", "</consumable>")
    entry = (
        f'<substanceAdministration moodCode="INT"><templateId root="{ROOT}16"/>{drug}{supply}</substanceAdministration>'
    )

    result = converted(section("10160-0", entry))

    assert "dispenseRequest" not in only(result, "MedicationRequest")
    assert [one for one in result.issues if one.diagnostics.startswith("negated")]
