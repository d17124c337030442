"""The visit of which a document is a part, and the same visit in an entry: one Encounter."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.fhir import gate

from .kinds import ENTRY, SNOMED
from .written import PATIENT, codes, converted, of_type, only, section

WORKER = """<assignedEntity><id root="1.6" extension="{0}"/><assignedPerson><name><family>{0}</family></name>
</assignedPerson></assignedEntity>"""
ACT = '<code code="{}" codeSystem="2.16.840.1.113883.5.4"/>'
VISIT = f"""<componentOf><encompassingEncounter><id root="5.5" extension="v-1"/>{ACT.format("IMP")}
<effectiveTime><low value="202404281000-0500"/></effectiveTime>
<sdtc:admissionReferralSourceCode code="7" codeSystem="2.16.840.1.113883.12.23"/>
<responsibleParty>{WORKER.format("Rahn")}</responsibleParty>
<encounterParticipant typeCode="ATND"><time><low value="20240428"/></time>{WORKER.format("Atkins")}
</encounterParticipant>
<location><healthCareFacility><id root="1.8" extension="ward"/><code code="HOSP" codeSystem="2.16.840.1.113883.5.111"/>
<location><name>Ward 4</name><addr><city>Ames</city></addr></location>
<serviceProviderOrganization><id root="1.9" extension="h"/><name>Hospital</name></serviceProviderOrganization>
</healthCareFacility></location></encompassingEncounter></componentOf>"""


def activity(*, extension: str = "v-1", time: str = "", more: str = "") -> str:
    return f"""<encounter classCode="ENC" moodCode="EVN"><templateId root="{ENTRY}49"/>
    <id root="5.5" extension="{extension}"/><code code="32485007" codeSystem="{SNOMED}"/>
    <effectiveTime>{time}</effectiveTime>{more}</encounter>"""


def read(*entries: str) -> Any:
    result = converted(section("46240-8", *entries), header=PATIENT + VISIT)
    assert gate.check(result.bundle) == []
    return result


def test_the_visit_of_the_header() -> None:
    result = read()
    made = only(result, "Encounter")

    assert made["class"]["code"] == "IMP"
    assert made["status"] == "in-progress"
    assert made["period"] == {"start": "2024-04-28T10:00:00-05:00"}
    assert codes(made["hospitalization"]["admitSource"])[0][1] == "7"
    responsible, attending = made["participant"]
    assert codes(responsible["type"][0])[0][1] == "RESP"
    assert codes(attending["type"][0])[0][1] == "ATND"
    assert attending["period"] == {"start": "2024-04-28"}
    people = {f"Practitioner/{one['id']}": one["name"][0]["family"] for one in of_type(result, "Practitioner")}
    assert [people[one["individual"]["reference"]] for one in (responsible, attending)] == ["Rahn", "Atkins"]
    ward = only(result, "Location")
    assert (ward["name"], ward["address"], ward["identifier"][0]["value"]) == ("Ward 4", {"city": "Ames"}, "ward")
    assert made["location"] == [{"location": {"reference": f"Location/{ward['id']}"}}]
    assert made["serviceProvider"] == {"reference": f"Organization/{only(result, 'Organization')['id']}"}
    assert only(result, "Composition")["encounter"] == {"reference": f"Encounter/{made['id']}"}


def test_the_entry_of_the_same_visit_completes_it() -> None:
    ended = '<low value="202404281000-0500"/><high value="202404301200-0500"/>'
    discharged = '<sdtc:dischargeDispositionCode code="01" codeSystem="2.16.840.1.113883.12.112"/>'
    result = read(activity(time=ended, more=discharged))
    made = only(result, "Encounter")

    assert made["status"] == "finished"
    assert made["period"]["end"] == "2024-04-30T12:00:00-05:00"
    assert codes(made["type"][0]) == [("http://snomed.info/sct", "32485007")]
    assert sorted(made["hospitalization"]) == ["admitSource", "dischargeDisposition"]
    composition = only(result, "Composition")
    assert composition["encounter"] in composition["section"][0]["entry"]


@pytest.mark.parametrize(
    ("extension", "time"), [("v-2", '<low value="202404281000-0500"/>'), ("v-1", '<low value="20230101"/>')]
)
def test_another_visit_stays_another(extension: str, time: str) -> None:
    assert len(of_type(read(activity(extension=extension, time=time)), "Encounter")) == 2


def test_the_rank_of_a_diagnosis_is_no_evidence_of_it() -> None:
    rank = """<entryRelationship typeCode="REFR"><observation classCode="OBS" moodCode="EVN">
    <templateId root="2.16.840.1.113883.10.20.24.3.166"/><code code="263486008" codeSystem="2.16.840.1.113883.6.96"/>
    <value xsi:type="INT" value="2"/></observation></entryRelationship>"""
    problem = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ENTRY}4"/>
    <code code="282291009" codeSystem="{SNOMED}"/><statusCode code="completed"/>
    <value xsi:type="CD" code="444814009" codeSystem="{SNOMED}"/>{rank}</observation>"""
    diagnosis = f"""<entryRelationship typeCode="COMP"><act classCode="ACT" moodCode="EVN">
    <templateId root="{ENTRY}80"/>
    <code code="29308-4"/><entryRelationship typeCode="SUBJ">{problem}</entryRelationship></act></entryRelationship>"""

    result = converted(section("46240-8", activity(more=diagnosis)))

    condition = only(result, "Condition")
    assert only(result, "Encounter")["diagnosis"] == [
        {"condition": {"reference": f"Condition/{condition['id']}"}, "rank": 2}
    ]
    assert "evidence" not in condition


def test_from_where_the_patient_came_and_whither_he_went() -> None:
    def place(kind: str, name: str) -> str:
        return f"""<participant typeCode="{kind}"><participantRole classCode="SDLOC"><playingEntity classCode="PLC">
        <name>{name}</name></playingEntity></participantRole></participant>"""

    result = converted(section("46240-8", activity(more=place("ORG", "Home") + place("DST", "Rehab"))))

    names = {f"Location/{one['id']}": one["name"] for one in of_type(result, "Location")}
    moved = only(result, "Encounter")["hospitalization"]
    assert {end: names[moved[end]["reference"]] for end in moved} == {"origin": "Home", "destination": "Rehab"}
    assert "location" not in only(result, "Encounter")
