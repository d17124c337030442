"""What a statement says of another, or has beside its code: reasons, reactions, priorities, comments, places, data."""

from __future__ import annotations

import pytest

from gateway.fhir import gate

from .written import codes, converted, of_type, only, section

ROOT = "2.16.840.1.113883.10.20.22.4."
SNOMED = 'codeSystem="2.16.840.1.113883.6.96"'
GIVEN = f"""<substanceAdministration classCode="SBADM" moodCode="EVN"><templateId root="{ROOT}16"/>
<id root="1.1" extension="given"/><consumable><manufacturedProduct><manufacturedMaterial><code code="197361"
codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial></manufacturedProduct></consumable>
</substanceAdministration>"""
SUBSTANCE = """<participant typeCode="CSM"><participantRole classCode="MANU"><playingEntity><code code="2670"
codeSystem="2.16.840.1.113883.6.88"/></playingEntity></participantRole></participant>"""


def within(kind: str, inner: str) -> str:
    return f'<entryRelationship typeCode="{kind}">{inner}</entryRelationship>'


def allergy(inner: str) -> str:
    return f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}7"/><id root="1.1" extension="a"/>
    <value xsi:type="CD" code="419199007" {SNOMED}/>{inner}</observation>"""


def test_a_place_is_not_what_somebody_is_allergic_to() -> None:
    place = """<participant typeCode="LOC"><participantRole classCode="SDLOC"><playingEntity><name>Clinic</name>
    </playingEntity></participantRole></participant>"""

    found = only(converted(section("48765-2", allergy(place + SUBSTANCE))), "AllergyIntolerance")

    assert codes(found["code"])[0][1] == "2670"


def test_an_allergy_of_somebody_else_is_none_of_the_patient() -> None:
    subject = "<subject><relatedSubject classCode='PRS'><code code='FTH'/></relatedSubject></subject>"

    result = converted(section("48765-2", allergy(subject + SUBSTANCE)))

    assert not of_type(result, "AllergyIntolerance")


def test_what_was_given_for_a_reaction_is_told_beside_it() -> None:
    reaction = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}9"/>
    <value xsi:type="CD" code="247472004" {SNOMED}/>{within("RSON", GIVEN)}</observation>"""

    result = converted(section("48765-2", allergy(SUBSTANCE + within("MFST", reaction))))

    assert codes(only(result, "MedicationRequest")["medicationCodeableConcept"])[0][1] == "197361"
    assert len(only(result, "AllergyIntolerance")["reaction"]) == 1


def test_a_reaction_of_two_manifestations() -> None:
    reaction = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}9"/>
    <value xsi:type="CD" code="247472004" {SNOMED}/><value xsi:type="CD" code="267036007" {SNOMED}/></observation>"""

    found = only(converted(section("48765-2", allergy(SUBSTANCE + within("MFST", reaction)))), "AllergyIntolerance")

    assert [codes(one)[0][1] for one in found["reaction"][0]["manifestation"]] == ["247472004", "267036007"]


def test_a_reason_that_is_another_entry_is_referred_to() -> None:
    problem = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}4"/><id root="1.1" extension="p"/>
    <value xsi:type="CD" code="233604007" {SNOMED}/></observation>"""
    named = f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}122"/><id root="1.1" extension="p"/>
    <code nullFlavor="NP"/></act>"""
    done = f"""<procedure classCode="PROC" moodCode="EVN"><templateId root="{ROOT}14"/><id root="1.1" extension="op"/>
    <code code="80146002" {SNOMED}/>{within("RSON", named)}</procedure>"""
    taken = GIVEN.replace("</substanceAdministration>", f"{within('RSON', named)}</substanceAdministration>")
    asked = done.replace("EVN", "RQO", 1).replace("4.14", "4.41").replace("op", "plan")

    result = converted(
        section("11450-4", problem), section("47519-4", done), section("10160-0", taken), section("18776-5", asked)
    )

    condition = {"reference": f"Condition/{only(result, 'Condition')['id']}"}
    for kind in ("Procedure", "MedicationRequest", "ServiceRequest"):
        assert only(result, kind)["reasonReference"] == [condition]


@pytest.mark.parametrize("inner", ["", within("COMP", GIVEN)])
def test_the_priority_of_a_problem_is_an_observation(inner: str) -> None:
    priority = within(
        "REFR",
        f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}143"/><code code="225773000" {SNOMED}/>
        <value xsi:type="CD" code="394849002" {SNOMED}/></observation>""",
    )
    problem = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}4"/>
    <value xsi:type="CD" code="233604007" {SNOMED}/>{priority}{inner}</observation>"""

    result = converted(section("11450-4", problem))

    assert codes(only(result, "Observation")["valueCodeableConcept"])[0][1] == "394849002"
    assert "evidence" not in only(result, "Condition")


def test_a_visit_with_its_priority_and_the_time_in_each_place() -> None:
    entry = f"""<encounter classCode="ENC" moodCode="EVN"><templateId root="{ROOT}49"/><id root="1.1" extension="e"/>
    <code code="99213" codeSystem="2.16.840.1.113883.6.12">
    <translation code="GENRL" codeSystem="2.16.840.1.113883.5.4"/></code>
    <effectiveTime value="20240101"/><priorityCode code="EL" codeSystem="2.16.840.1.113883.5.7"/>
    <participant typeCode="LOC"><time><low value="20240101"/></time><participantRole classCode="SDLOC">
    <playingEntity><name>Ward 3</name></playingEntity></participantRole></participant></encounter>"""

    visit = only(converted(section("46240-8", entry)), "Encounter")

    assert codes(visit["priority"])[0][1] == "EL"
    assert [code for _, code in codes(visit["type"][0])] == ["99213", "GENRL"]
    assert visit["location"][0]["period"] == {"start": "2024-01-01"}


def test_a_directive_with_two_decisions() -> None:
    entry = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}48"/>
    <code code="304251008" {SNOMED}/>
    <value xsi:type="CD" code="304253006" {SNOMED}/><value xsi:type="ST">no tube</value></observation>"""

    decided = only(converted(section("42348-3", entry)), "Consent")["provision"]["code"]

    assert [one.get("text") or codes(one)[0][1] for one in decided] == ["304253006", "no tube"]


NOTE = """<act classCode="ACT" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.202"/>
<id root="1.1" extension="n"/><code code="34109-9" codeSystem="2.16.840.1.113883.6.1"/>{}</act>"""


@pytest.mark.parametrize(
    ("text", "kind", "data"),
    [
        (
            'mediaType="application/pdf" representation="B64">JVBERi0=<reference value="#n"/>',
            "application/pdf",
            "JVBERi0=",
        ),
        (
            'mediaType="application/pdf" representation="B64"><reference value="#n"/>JVBERi0=',
            "application/pdf",
            "JVBERi0=",
        ),
        ('mediaType="text/plain"><reference value="#n"/>', "text/plain", "SGVsbG8="),
    ],
)
def test_a_note_has_its_data_beside_the_place_in_the_narrative(text: str, kind: str, data: str) -> None:
    """C-CDA R2.1 Note Activity: the reference to the narrative is there, whether the data are or not."""
    words = '<text><paragraph ID="n">Hello</paragraph></text>'

    result = converted(section("34109-9", NOTE.format(f"<text {text}</text>"), text=words))

    attachment = only(result, "DocumentReference")["content"][0]["attachment"]
    binaries = of_type(result, "Binary")
    assert attachment["contentType"] == kind
    assert (binaries[0] if binaries else attachment)["data"] == data


def test_what_was_not_told_and_not_pictured() -> None:
    told = f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}141"/><code code="432138007" {SNOMED}/>
    <statusCode code="cancelled"/></act>"""
    picture = """<observationMedia classCode="OBS" moodCode="EVN"><id root="1.1" extension="m"/>
    <statusCode code="cancelled"/><value mediaType="image/png"><reference value="a.png"/></value></observationMedia>"""
    part = f"""<regionOfInterest classCode="ROIOVL" moodCode="EVN"><id root="1.1" extension="roi"/><code code="POLY"/>
    {within("SUBJ", picture)}</regionOfInterest>"""

    result = converted(section("62387-6", told), section("30954-2", part))

    assert only(result, "Communication")["status"] == "not-done"
    assert only(result, "Media")["status"] == "not-done"
    assert gate.check(result.bundle) == []


REACTED = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{
    ROOT
}9"/><id root="1.1" extension="reacted"/>
<code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/><value xsi:type="CD" code="247472004" {SNOMED}/>
{
    within(
        "SUBJ",
        f'<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}8"/><code code="SEV"/>'
        f'<value xsi:type="CD" code="24484000" {SNOMED}/></observation>',
    )
}</observation>"""


@pytest.mark.parametrize("kind", ["CAUS", "MFST"])
def test_how_somebody_reacted_to_a_vaccine(kind: str) -> None:
    """The activity's template has its Reaction Observation with typeCode CAUS, HL7's mapping with MFST."""
    entry = f"""<substanceAdministration classCode="SBADM" moodCode="EVN"><templateId root="{ROOT}52"/>
    <effectiveTime value="20240101"/><consumable><manufacturedProduct><manufacturedMaterial><code code="140"
    codeSystem="2.16.840.1.113883.12.292"/></manufacturedMaterial></manufacturedProduct></consumable>
    {within(kind, REACTED)}</substanceAdministration>"""

    result = converted(section("11369-6", entry))

    severity, reacted = of_type(result, "Observation")
    assert only(result, "Immunization")["reaction"] == [{"detail": {"reference": f"Observation/{reacted['id']}"}}]
    assert reacted["hasMember"] == [{"reference": f"Observation/{severity['id']}"}]
    assert codes(severity["valueCodeableConcept"])[0][1] == "24484000"


def test_a_reaction_to_a_procedure_is_a_complication_of_it() -> None:
    entry = f"""<procedure classCode="PROC" moodCode="EVN"><templateId root="{ROOT}14"/>
    <code code="116859006" {SNOMED}/>{within("COMP", REACTED)}</procedure>"""

    result = converted(section("47519-4", entry))

    reacted = of_type(result, "Observation")[-1]
    assert only(result, "Procedure")["complication"] == [reacted["valueCodeableConcept"]]
    assert reacted["hasMember"], "how severe it was"


def test_a_note_of_a_visit_belongs_to_it() -> None:
    visit = f"""<encounter classCode="ENC" moodCode="EVN"><templateId root="{ROOT}49"/><id root="1.1" extension="e"/>
    {within("COMP", NOTE.format("<text>Well</text>"))}</encounter>"""

    result = converted(section("46240-8", visit))

    where = {"reference": f"Encounter/{only(result, 'Encounter')['id']}"}
    assert only(result, "DocumentReference")["context"]["encounter"] == [where]


def test_who_signed_a_note_and_when() -> None:
    signer = """<text>Well</text><participant typeCode="LA"><time value="20240502"/><participantRole><id root="1.7"
    extension="7"/><playingEntity><name><family>Seven</family></name></playingEntity></participantRole></participant>"""

    result = converted(section("34109-9", NOTE.format(signer)))

    who = {"reference": f"Practitioner/{only(result, 'Practitioner')['id']}"}
    assert only(result, "DocumentReference")["authenticator"] == who
    signed = only(result, "Provenance")
    assert signed["occurredDateTime"] == "2024-05-02"
    assert [(codes(one["type"])[0][1], one["who"]) for one in signed["agent"]] == [("legal", who)]


def in_words(template: str) -> str:
    return f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}{template}"/>
    <value xsi:type="ST">Sore knee</value></observation>"""


def test_what_is_told_in_words_alone() -> None:
    problem, relative, allergic = in_words("4"), in_words("46"), allergy(SUBSTANCE + within("MFST", in_words("9")))
    done = f"""<procedure classCode="PROC" moodCode="EVN"><templateId root="{ROOT}14"/><code code="80146002" {SNOMED}/>
    {within("RSON", in_words("19"))}</procedure>"""

    result = converted(
        section("11450-4", problem),
        section("10157-6", relative),
        section("48765-2", allergic),
        section("47519-4", done),
    )

    words = {"text": "Sore knee"}
    assert only(result, "Condition")["code"] == words
    assert only(result, "FamilyMemberHistory")["condition"] == [{"code": words}]
    assert only(result, "AllergyIntolerance")["reaction"] == [{"manifestation": [words]}]
    assert only(result, "Procedure")["reasonCode"] == [words]


@pytest.mark.parametrize(
    ("status", "told", "expected"),
    [
        ("completed", "55561003", "active"),
        ("completed", "421139008", "on-hold"),
        ("completed", "73425007", "completed"),
        ("aborted", "55561003", "stopped"),
        ("active", "55561003", "active"),
        ("active", "421139008", "on-hold"),
        ("active", "73425007", "completed"),
        ("active", "392521001", "completed"),
    ],
)
def test_a_medication_is_taken_whose_entry_is_completed(status: str, told: str, expected: str) -> None:
    """CCD 1.0, Medication Status Observation."""
    observation = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.1.47"/>
    <code code="33999-4" codeSystem="2.16.840.1.113883.6.1"/>
    <value xsi:type="CE" code="{told}" {SNOMED}/></observation>"""
    entry = GIVEN.replace("<consumable>", f'<statusCode code="{status}"/><consumable>').replace(
        "</substanceAdministration>", f"{within('REFR', observation)}</substanceAdministration>"
    )

    assert only(converted(section("10160-0", entry)), "MedicationRequest")["status"] == expected


@pytest.mark.parametrize(("kind", "template"), [("30954-2", "1"), ("8716-3", "26"), ("47420-5", "66")])
def test_a_comment_on_a_panel_is_kept(kind: str, template: str) -> None:
    comment = """<act classCode="ACT" moodCode="EVN"><code code="48767-8" codeSystem="2.16.840.1.113883.6.1"/>
    <text>hemolyzed</text></act>"""
    entry = f"""<organizer classCode="CLUSTER" moodCode="EVN"><templateId root="{ROOT}{template}"/>
    <component><observation classCode="OBS" moodCode="EVN"><code code="8867-4" codeSystem="2.16.840.1.113883.6.1"/>
    <value xsi:type="PQ" value="80" unit="/min"/></observation></component>
    <component>{comment}</component></organizer>"""

    result = converted(section(kind, entry))

    (panel,) = [one for one in of_type(result, "Observation", "DiagnosticReport") if {"hasMember", "result"} & {*one}]
    assert [one.get("valueAnnotation", one) for one in panel.get("extension") or panel["note"]] == [
        {"text": "hemolyzed"}
    ]
    assert gate.check(result.bundle) == []


MOTHER = "<subject><relatedSubject classCode='PRS'><code code='MTH'/></relatedSubject></subject>"
VACCINE = """<consumable><manufacturedProduct><manufacturedMaterial><code code="140"
codeSystem="2.16.840.1.113883.12.292"/></manufacturedMaterial></manufacturedProduct></consumable>"""
PULSE = """<component><observation classCode="OBS" moodCode="EVN"><code code="8867-4"
codeSystem="2.16.840.1.113883.6.1"/><value xsi:type="PQ" value="80" unit="/min"/></observation></component>"""


def of_the_mother(element: str, template: str, inner: str, mood: str = "EVN") -> str:
    return f'<{element} moodCode="{mood}"><templateId root="{ROOT}{template}"/>{MOTHER}{inner}</{element}>'


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("10160-0", GIVEN.replace("<consumable>", f"{MOTHER}<consumable>")),
        ("29549-3", GIVEN.replace("<consumable>", f"{MOTHER}<consumable>")),
        ("11369-6", of_the_mother("substanceAdministration", "52", VACCINE)),
        ("18776-5", of_the_mother("substanceAdministration", "120", VACCINE, "INT")),
        ("46240-8", of_the_mother("encounter", "49", f'<code code="185347001" {SNOMED}/>')),
        ("18776-5", of_the_mother("procedure", "41", f'<code code="80146002" {SNOMED}/>', "RQO")),
        ("30954-2", of_the_mother("organizer", "1", PULSE)),
        ("8716-3", of_the_mother("organizer", "26", PULSE)),
        ("47420-5", of_the_mother("organizer", "66", PULSE)),
        ("48765-2", of_the_mother("act", "30", within("SUBJ", allergy(SUBSTANCE)))),
        ("11450-4", of_the_mother("act", "3", within("SUBJ", allergy("").replace("4.7", "4.4")))),
    ],
)
def test_what_is_told_of_somebody_else_is_never_the_patients(kind: str, entry: str) -> None:
    result = converted(section(kind, entry))

    assert {one["resource"]["resourceType"] for one in result.bundle["entry"]} == {"Patient", "Composition"}
    assert [len(one["notUnderstood"]) for one in result.report["sections"]] == [1]
    assert [one for one in result.issues if "somebody else" in one.diagnostics]


@pytest.mark.parametrize("kind", ["REFR", "RSON"])
def test_how_urgent_a_medication_is_stands_beside_it(kind: str) -> None:
    urgent = f"""<observation classCode="OBS" moodCode="EVN"><code code="225773000" {SNOMED}/>
    <value xsi:type="CD" code="394849002" {SNOMED}/></observation>"""
    taken = GIVEN.replace("</substanceAdministration>", f"{within(kind, urgent)}</substanceAdministration>")

    result = converted(section("10160-0", taken))

    assert codes(only(result, "Observation")["valueCodeableConcept"])[0][1] == "394849002"
    assert "reasonCode" not in only(result, "MedicationRequest")


def test_how_urgent_something_is_is_no_reason_for_it() -> None:
    urgent = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}143"/>
    <code code="225773000" {SNOMED}/><value xsi:type="CD" code="394849002" {SNOMED}/></observation>"""
    asked = f"""<procedure classCode="PROC" moodCode="RQO"><templateId root="{ROOT}41"/>
    <code code="80146002" {SNOMED}/>{within("RSON", urgent)}</procedure>"""

    result = converted(section("18776-5", asked))

    request = only(result, "ServiceRequest")
    assert "reasonCode" not in request
    assert request["supportingInfo"] == [{"reference": f"Observation/{only(result, 'Observation')['id']}"}]


@pytest.mark.parametrize("who", ['<code code="ONESELF"/>', '<code code="SELF"/>'])
def test_a_patient_who_is_his_own_subject_is_no_other(who: str) -> None:
    himself = MOTHER.replace("<code code='MTH'/>", who)
    entry = GIVEN.replace("<consumable>", f"{himself}<consumable>")

    assert only(converted(section("10160-0", entry, text=f"<text>as told</text>{himself}")), "MedicationRequest")


@pytest.mark.parametrize(("mood", "made"), [("EVN", "MedicationDispense"), ("INT", "MedicationRequest")])
def test_a_drug_that_is_supplied_is_no_device(mood: str, made: str) -> None:
    supply = f"""<supply classCode="SPLY" moodCode="{mood}"><quantity value="30"/><product><manufacturedProduct>
    <manufacturedMaterial><code code="197361" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial>
    </manufacturedProduct></product></supply>"""

    result = converted(section("10160-0", supply))

    assert only(result, made)
    assert not of_type(result, "Device")


def test_a_directive_that_does_not_exist_is_none() -> None:
    entry = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}48"/>
    <code code="304251008" {SNOMED}/><value xsi:type="BL" value="false"/></observation>"""

    result = converted(section("42348-3", entry))

    assert not of_type(result, "Consent")
    assert [one for one in result.issues if "directive" in one.diagnostics]


REMARK = """<act classCode="ACT" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.64"/>
<code code="48767-8"/><text>Seen by a neurologist</text></act>"""


@pytest.mark.parametrize(
    ("code", "root", "kind"),
    [
        ("11450-4", "3", "Condition"),
        ("75310-3", "132", "Condition"),
        ("11535-2", "33", "Condition"),
        ("48765-2", "30", "AllergyIntolerance"),
    ],
)
def test_a_remark_on_a_concern_is_one_on_what_it_is_about(code: str, root: str, kind: str) -> None:
    problem = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}4"/><id root="1.1" extension="p"/>
    <value xsi:type="CD" code="37796009" {SNOMED}/></observation>"""
    content = allergy(SUBSTANCE) if kind == "AllergyIntolerance" else problem
    act = f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}{root}"/><code code="CONC"/>
    {within("SUBJ", content)}{within("SUBJ", REMARK)}</act>"""

    result = converted(section(code, act))

    assert only(result, kind)["note"] == [{"text": "Seen by a neurologist"}]


def test_a_concern_that_is_the_reason_tells_why() -> None:
    def problem(code: str, attributes: str = "") -> str:
        return f"""<observation classCode="OBS" moodCode="EVN" {attributes}><templateId root="{ROOT}4"/>
        <value xsi:type="CD" code="{code}" {SNOMED}/></observation>"""

    said = within("SUBJ", problem("37796009")) + within("SUBJ", problem("38341003", 'negationInd="true"'))
    concern = f'<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}3"/><code code="CONC"/>{said}</act>'
    kind = '<observation classCode="OBS" moodCode="EVN"><code code="73639000"/></observation>'
    entry = GIVEN.replace("</consumable>", f"</consumable>{within('RSON', concern)}{within('SUBJ', kind)}")

    result = converted(section("10160-0", entry))

    request = only(result, "MedicationRequest")
    assert [codes(one)[0][1] for one in request["reasonCode"]] == ["37796009"]
    assert [codes(one)[0][1] for one in request["category"]] == ["73639000"]
    assert not of_type(result, "Observation", "Condition")


def test_a_pregnancy_on_the_problem_list_has_its_due_date_beside_it() -> None:
    due = """<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.15.3.1"/>
    <code code="11778-8" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>
    <value xsi:type="TS" value="20240919"/></observation>"""
    problem = f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}4"/>
    <value xsi:type="CD" code="77386006" {SNOMED}/>{within("REFR", due)}</observation>"""

    result = converted(section("11450-4", problem))

    assert only(result, "Observation")["valueDateTime"] == "2024-09-19"
    assert "evidence" not in only(result, "Condition")


def test_a_chief_complaint_is_known_by_its_code() -> None:
    complaint = """<observation classCode="OBS" moodCode="EVN"><code code="8661-1" codeSystem="2.16.840.1.113883.6.1"/>
    <statusCode code="completed"/><value xsi:type="CD" nullFlavor="UNK"><originalText>Cough</originalText></value>
    </observation>"""

    result = converted(section("29299-5", complaint))

    assert only(result, "Observation")["valueCodeableConcept"] == {"text": "Cough"}
    assert result.report["sections"][0]["fellBack"] == []
