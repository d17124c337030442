"""What an entry tells of somebody else is no fact about the patient, whatever kind of entry it is (CDA R2 §4.4)."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from gateway.translators.ccda import convert
from gateway.translators.ccda.node import STATEMENTS, V3
from tests.conftest import ROOT

from .written import converted, of_type, section

SUBJECT = f"""<subject xmlns="{V3[1:-1]}"><relatedSubject classCode="PRS"><code code="MTH"
codeSystem="2.16.840.1.113883.5.111"/></relatedSubject></subject>"""
TEMPLATE = "2.16.840.1.113883.10.20.22.4."
PROBLEM = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{TEMPLATE}4"/>
<value xsi:type="CD" code="38341003" codeSystem="2.16.840.1.113883.6.96"/></observation>"""
DIRECTIVE = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{TEMPLATE}48"/>{SUBJECT}
<code code="304251008" codeSystem="2.16.840.1.113883.6.96"/></observation>"""
DIAGNOSIS = f"""<act classCode="ACT" moodCode="EVN"><templateId root="{TEMPLATE}80"/><code code="29308-4"/>{SUBJECT}
<entryRelationship typeCode="SUBJ">{PROBLEM}</entryRelationship></act>"""
DISPENSE = f"""<supply classCode="SPLY" moodCode="EVN"><templateId root="{TEMPLATE}18"/>{SUBJECT}</supply>"""
DRUG = """<consumable><manufacturedProduct><manufacturedMaterial>
<code code="197361" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial></manufacturedProduct></consumable>"""
DOCUMENTS = [ROOT / "fixtures" / "ccda" / f"{name}.xml" for name in ("full-ccd", "care-plan", "r1-1-ccd")]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_no_entry_becomes_a_fact_about_the_patient(path: Path) -> None:
    root = etree.fromstring(path.read_bytes())
    seen = 0
    for entry in root.iter(f"{V3}entry"):
        for statement in entry:
            if statement.tag in STATEMENTS and statement.find(f"{V3}subject") is None:
                statement.insert(0, etree.fromstring(SUBJECT))
                seen += 1

    result = convert(etree.tostring(root), patient_id="p1", trace=True)
    made = [one for one in result.report["resources"] if "/entry" in one["xpath"]]
    assert seen > 4
    assert {one["resource"].partition("/")[0] for one in made} <= {"FamilyMemberHistory"}
    assert len([one for one in result.issues if one.diagnostics.startswith("about somebody else")]) == seen


@pytest.mark.parametrize(
    ("kind", "outer", "gone"),
    [
        ("42348-3", '<organizer classCode="CLUSTER" moodCode="EVN"><component>{}</component></organizer>', DIRECTIVE),
        ("46240-8", '<encounter classCode="ENC" moodCode="EVN"><id root="1.1"/>{}</encounter>', DIAGNOSIS),
        (
            "10160-0",
            f'<substanceAdministration classCode="SBADM" moodCode="EVN">{DRUG}{{}}</substanceAdministration>',
            DISPENSE,
        ),
    ],
)
def test_nor_what_stands_within_one(kind: str, outer: str, gone: str) -> None:
    inner = gone if "component" in outer else f'<entryRelationship typeCode="COMP">{gone}</entryRelationship>'

    result = converted(section(kind, outer.format(inner)))

    assert of_type(result, "Consent", "Condition", "MedicationDispense") == []
    assert [one for one in result.issues if one.diagnostics.startswith("about somebody else")]
