"""Who stands around the patient: relatives, payers, care teams; what he decided, and what was written about him."""

from __future__ import annotations

from base64 import b64decode
from decimal import Decimal

import pytest

from gateway.fhir import gate

from .written import codes, converted, of_type, only, section

ROOT = "2.16.840.1.113883.10.20.22.4."
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
INFARCT = '<value xsi:type="CD" code="22298006" codeSystem="2.16.840.1.113883.6.96"/>'
AUTHOR = """<author><time value="20240430101500-0500"/><assignedAuthor>
    <id root="2.16.840.1.113883.4.6" extension="99"/>
<assignedPerson><name><given>Ida</given><family>Writer</family></name></assignedPerson></assignedAuthor></author>"""


def relative(observation: str, person: str = "") -> str:
    return f"""<organizer classCode="CLUSTER" moodCode="EVN"><templateId root="{ROOT}45"/>
    <id root="1.1" extension="fam"/>
    <statusCode code="completed"/><subject><relatedSubject classCode="PRS">
    <code code="FTH" codeSystem="2.16.840.1.113883.5.111" displayName="Father"/>
    <subject><administrativeGenderCode code="M"/><birthTime value="1912"/>{person}</subject>
    </relatedSubject></subject><component>{observation}</component></organizer>"""


def had(more: str = "", attributes: str = "") -> str:
    return f"""<observation classCode="OBS" moodCode="EVN" {attributes}><templateId root="{ROOT}46"/>
    <id root="1.1" extension="f"/><code code="64572001" codeSystem="2.16.840.1.113883.6.96"/>{INFARCT}{more}
    </observation>"""


DIED = f"""<entryRelationship typeCode="CAUS"><observation classCode="OBS" moodCode="EVN">
    <templateId root="{ROOT}47"/>
<value xsi:type="CD" code="419099009" codeSystem="2.16.840.1.113883.6.96"/></observation></entryRelationship>"""
AT_57 = f"""<entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN">
    <templateId root="{ROOT}31"/>
<code code="445518008" codeSystem="2.16.840.1.113883.6.96"/><value xsi:type="PQ" value="57" unit="a"/></observation>
</entryRelationship>"""


def test_what_a_relative_had_is_his() -> None:
    result = converted(section("10157-6", relative(had(DIED + AT_57))))

    history = only(result, "FamilyMemberHistory")
    (condition,) = history["condition"]
    assert codes(history["relationship"])[0][1] == "FTH"
    assert (codes(history["sex"])[0][1], history["bornDate"]) == ("male", "1912")
    assert codes(condition["code"]) == [(SNOMED, "22298006")]
    assert condition["onsetAge"]["value"] == Decimal(57)
    assert condition["contributedToDeath"] is True
    assert history["deceasedBoolean"] is True
    assert not of_type(result, "Condition")
    assert not of_type(result, "Observation")
    assert gate.check(result.bundle) == []


def test_that_a_relative_lives_is_kept() -> None:
    history = only(
        converted(section("10157-6", relative(had(), '<sdtc:deceasedInd value="false"/>'))), "FamilyMemberHistory"
    )

    assert history["deceasedBoolean"] is False
    assert "contributedToDeath" not in history["condition"][0]


def test_what_a_relative_did_not_have_is_no_condition_of_his() -> None:
    history = only(converted(section("10157-6", relative(had(attributes='negationInd="true"')))), "FamilyMemberHistory")

    assert "condition" not in history


def test_an_observation_of_family_history_alone_has_no_relative_made_up() -> None:
    history = only(converted(section("10157-6", had())), "FamilyMemberHistory")

    system, _ = codes(history["relationship"])[0]
    assert system == "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def policy(relationship: str = "SELF", holder: str = "") -> str:
    return f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}60"/>
    <code code="48768-6" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>
    <entryRelationship typeCode="COMP"><act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}61"/>
    <id root="1.1" extension="pol"/><code code="72" codeSystem="2.16.840.1.113883.3.221.5" displayName="PPO"/>
    <statusCode code="completed"/>
    <performer typeCode="PRF"><templateId root="{ROOT}87"/><assignedEntity>
    <id root="2.16.840.1.113883.6.300" extension="9"/>
    <code code="PAYOR"/><representedOrganization><name>Sample Insurance</name></representedOrganization>
    </assignedEntity></performer>
    <participant typeCode="COV"><time><low value="2024"/><high value="2025"/></time><participantRole>
    <id root="1.1.7" extension="M-1"/><code code="{relationship}" codeSystem="2.16.840.1.113883.5.111"/>
    </participantRole>
    </participant>{holder}
    <entryRelationship typeCode="REFR"><act classCode="ACT" moodCode="EVN">
    <templateId root="2.16.840.1.113883.10.20.1.19"/>
    <entryRelationship typeCode="SUBJ"><procedure classCode="PROC" moodCode="PRMS">
    <code code="73761001" codeSystem="2.16.840.1.113883.6.96"/></procedure></entryRelationship></act>
    </entryRelationship>
    </act></entryRelationship></act>"""


def test_a_policy_is_a_coverage_of_the_patient() -> None:
    result = converted(section("48768-6", policy()))

    coverage = only(result, "Coverage")
    (payer,) = [one for one in of_type(result, "Organization") if one.get("name") == "Sample Insurance"]
    assert (coverage["status"], coverage["subscriberId"]) == ("active", "M-1")
    assert codes(coverage["type"])[0][1] == "72"
    assert codes(coverage["relationship"])[0][1] == "SELF"
    assert coverage["beneficiary"] == coverage["subscriber"] == {"reference": "Patient/p1"}
    assert coverage["payor"] == [{"reference": f"Organization/{payer['id']}"}]
    assert coverage["period"] == {"start": "2024", "end": "2025"}
    assert gate.check(result.bundle) == []


def test_what_an_insurer_promised_is_no_order() -> None:
    result = converted(section("48768-6", policy()))

    assert not of_type(result, "ServiceRequest")
    assert not of_type(result, "Procedure")
    assert [one for one in result.issues if "authorization" in one.diagnostics]


def test_a_holder_who_is_not_the_patient_is_his_own_person() -> None:
    holder = """<participant typeCode="HLD"><participantRole><id root="1.1.7" extension="H-1"/><playingEntity><name>
    <given>Otto</given><family>Holder</family></name></playingEntity></participantRole></participant>"""

    result = converted(section("48768-6", policy("FAMDEP", holder)))

    person = only(result, "RelatedPerson")
    assert person["name"][0]["family"] == "Holder"
    assert only(result, "Coverage")["subscriber"] == {"reference": f"RelatedPerson/{person['id']}"}


def directive(value: str, attributes: str = "") -> str:
    return f"""<observation classCode="OBS" moodCode="EVN" {attributes}><templateId root="{ROOT}48"/>
    <id root="1.1" extension="ad"/><code code="75320-2" codeSystem="2.16.840.1.113883.6.1"/>
    <statusCode code="completed"/>
    <effectiveTime><low value="20240219"/><high nullFlavor="NA"/></effectiveTime>{value}{AUTHOR}
    <participant typeCode="VRF"><time value="20240220"/><participantRole><id root="1.1" extension="v"/>
    </participantRole>
    </participant><reference typeCode="REFR"><externalDocument><id root="1.1" extension="x"/>
    <text mediaType="application/pdf"><reference value="will.pdf"/></text></externalDocument></reference>
    </observation>"""


@pytest.mark.parametrize("organized", [False, True])
def test_an_advance_directive_is_a_consent(*, organized: bool) -> None:
    entry = directive('<value xsi:type="CD" code="304253006" codeSystem="2.16.840.1.113883.6.96"/>')
    if organized:
        entry = f"""<organizer classCode="CLUSTER" moodCode="EVN"><templateId root="{ROOT}108"/>
        <component>{entry}</component></organizer>"""

    result = converted(section("42348-3", entry))

    consent = only(result, "Consent")
    assert codes(consent["scope"])[0][1] == "adr"
    assert codes(consent["category"][0]) == [(LOINC, "75320-2")]
    assert codes(consent["provision"]["code"][0]) == [(SNOMED, "304253006")]
    assert consent["provision"]["period"] == {"start": "2024-02-19"}
    assert (consent["status"], consent["patient"]) == ("active", {"reference": "Patient/p1"})
    assert consent["verification"] == [{"verified": True, "verificationDate": "2024-02-20"}]
    assert consent["sourceAttachment"] == {"contentType": "application/pdf", "url": "will.pdf"}
    assert gate.check(result.bundle) == []


def test_a_negated_directive_is_none() -> None:
    entry = directive('<value xsi:type="CD" code="304253006"/>', 'negationInd="true"')

    assert not of_type(converted(section("42348-3", entry)), "Consent")


def test_a_care_team_has_its_members_in_their_functions() -> None:
    member = f"""<component><act classCode="PCPR" moodCode="EVN"><templateId root="{ROOT}500.1"/>
    <code code="85847-2" codeSystem="2.16.840.1.113883.6.1"/><effectiveTime><low value="20240101"/></effectiveTime>
    <performer typeCode="PRF"><sdtc:functionCode code="PCP" codeSystem="2.16.840.1.113883.5.88"/><assignedEntity>
    <id root="2.16.840.1.113883.4.6" extension="77"/><assignedPerson><name><given>Pia</given><family>Primary</family>
    </name></assignedPerson></assignedEntity></performer></act></component>"""
    organizer = f"""<organizer classCode="CLUSTER" moodCode="EVN"><templateId root="{ROOT}500"/>
    <id root="1.1" extension="team"/><code code="86744-0" codeSystem="2.16.840.1.113883.6.1">
    <originalText>Home team</originalText></code><statusCode code="active"/>
    <effectiveTime><low value="2024"/></effectiveTime>{member}</organizer>"""

    result = converted(section("85847-2", organizer))

    team, practitioner = only(result, "CareTeam"), only(result, "Practitioner")
    (one,) = team["participant"]
    assert (team["name"], team["status"], team["period"]) == ("Home team", "active", {"start": "2024"})
    assert one["member"] == {"reference": f"Practitioner/{practitioner['id']}"}
    assert codes(one["role"][0])[0][1] == "PCP"
    assert one["period"] == {"start": "2024-01-01"}
    assert gate.check(result.bundle) == []


def note(text: str) -> str:
    return f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}202"/><id root="1.1" extension="n"/>
    <code code="34109-9" codeSystem="2.16.840.1.113883.6.1">
    <translation code="11488-4" codeSystem="2.16.840.1.113883.6.1"/>
    </code>{text}<statusCode code="completed"/><effectiveTime value="20240430"/>{AUTHOR}</act>"""


def test_where_a_team_meets_is_no_member_and_its_leader_is_one_once() -> None:
    lead = '<id root="1.1" extension="lead"/>'
    organizer = f"""<organizer classCode="CLUSTER" moodCode="EVN"><templateId root="{ROOT}500"/>
    <participant typeCode="PPRF"><participantRole>{lead}</participantRole></participant>
    <participant typeCode="LOC"><participantRole><id root="1.1" extension="place"/><playingEntity><name>Home</name>
    </playingEntity></participantRole></participant><component><act classCode="PCPR" moodCode="EVN">
    <templateId root="{ROOT}500.1"/><performer><assignedEntity>{lead}<assignedPerson><name><given>Lea</given>
    <family>Der</family></name></assignedPerson></assignedEntity></performer></act></component></organizer>"""

    result = converted(section("85847-2", organizer))

    (member,) = only(result, "CareTeam")["participant"]
    assert member["member"] == {"reference": f"Practitioner/{only(result, 'Practitioner')['id']}"}


def test_a_note_is_a_document_with_its_words() -> None:
    words = '<text><paragraph ID="n1">Feels well.</paragraph></text>'

    result = converted(section("11488-4", note('<text><reference value="#n1"/></text>'), text=words))

    document = only(result, "DocumentReference")
    (content,) = document["content"]
    assert codes(document["type"]) == [(LOINC, "11488-4")]
    assert codes(document["category"][0])[0][1] == "clinical-note"
    assert b64decode(content["attachment"]["data"]) == b"Feels well."
    assert content["attachment"]["contentType"] == "text/plain"
    assert document["date"] == "2024-04-30T10:15:00-05:00"
    assert document["context"]["period"] == {"start": "2024-04-30", "end": "2024-04-30"}
    assert document["author"][0]["reference"].startswith("Practitioner/")
    assert gate.check(result.bundle) == []


def test_a_note_with_a_table_keeps_it() -> None:
    words = '<text><table ID="n1"><tbody><tr><td>Weight</td><td>80</td></tr></tbody></table></text>'

    result = converted(section("34109-9", note('<text><reference value="#n1"/></text>'), text=words))

    (content,) = only(result, "DocumentReference")["content"]
    assert content["attachment"]["contentType"] == "application/xhtml+xml"
    assert b"<td>80</td>" in b64decode(content["attachment"]["data"])


def test_an_embedded_note_is_as_it_was() -> None:
    result = converted(section("34109-9", note('<text mediaType="text/plain" representation="B64">SGVsbG8=</text>')))

    assert only(result, "DocumentReference")["content"][0]["attachment"]["contentType"] == "text/plain"
    assert only(result, "Binary")["data"] == "SGVsbG8="


def test_a_handoff_is_a_communication() -> None:
    act = f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}141"/>
    <code code="432138007" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="completed"/>
    <effectiveTime value="20240430"/>{AUTHOR}<participant typeCode="IRCP"><participantRole>
    <id root="1.1" extension="r"/>
    <playingEntity><name><given>Rita</given><family>Receiver</family></name></playingEntity></participantRole>
    </participant></act>"""

    result = converted(section("18776-5", act))

    told = only(result, "Communication")
    assert codes(told["topic"]) == [(SNOMED, "432138007")]
    assert (told["status"], told["sent"]) == ("completed", "2024-04-30")
    assert told["sender"] != told["recipient"][0]
    assert gate.check(result.bundle) == []
