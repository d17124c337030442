"""One document of every kind, written for the tests: its templates, its sections, and what its entries say."""

from __future__ import annotations

from dataclasses import dataclass

SNOMED, LOINC, RXNORM = "2.16.840.1.113883.6.96", "2.16.840.1.113883.6.1", "2.16.840.1.113883.6.88"
CVX, ACT = "2.16.840.1.113883.12.292", "2.16.840.1.113883.5.6"
ENTRY = "2.16.840.1.113883.10.20.22.4."
SECTION = "2.16.840.1.113883.10.20.22.2."
DOCUMENT = "2.16.840.1.113883.10.20.22.1."


def _entry(root: str, inner: str, *, name: str = "observation", kind: str = "OBS", mood: str = "EVN") -> str:
    template = f'<templateId root="{ENTRY}{root}"/>' if root else ""
    return f'<{name} classCode="{kind}" moodCode="{mood}">{template}{inner}</{name}>'


def _code(code: str, system: str, tag: str = "code") -> str:
    typed = ' xsi:type="CD"' if tag == "value" else ""
    return f'<{tag}{typed} code="{code}" codeSystem="{system}"/>'


def _within(kind: str, inner: str) -> str:
    return f'<entryRelationship typeCode="{kind}">{inner}</entryRelationship>'


_DONE = '<statusCode code="completed"/>'
_SINCE = '<effectiveTime><low value="20190304"/></effectiveTime>'
_AT = '<effectiveTime value="20240430"/>'


def problem(code: str) -> str:
    return _entry("4", f"{_code('55607006', SNOMED)}{_DONE}{_SINCE}{_code(code, SNOMED, 'value')}")


def concern(code: str) -> str:
    inner = f'{_code("CONC", ACT)}<statusCode code="active"/>{_SINCE}{_within("SUBJ", problem(code))}'
    return _entry("3", inner, name="act", kind="ACT")


def diagnosis(root: str, loinc: str, code: str) -> str:
    """Hospital admission and discharge, preoperative and postprocedure diagnoses."""
    return _entry(root, f"{_code(loinc, LOINC)}{_within('SUBJ', problem(code))}", name="act", kind="ACT")


def allergy(code: str) -> str:
    substance = f"""<participant typeCode="CSM"><participantRole classCode="MANU"><playingEntity classCode="MMAT">
    {_code(code, RXNORM)}</playingEntity></participantRole></participant>"""
    said = f"{_code('ASSERTION', '2.16.840.1.113883.5.4')}{_DONE}{_code('416098002', SNOMED, 'value')}{substance}"
    inner = f'{_code("CONC", ACT)}<statusCode code="active"/>{_within("SUBJ", _entry("7", said))}'
    return _entry("30", inner, name="act", kind="ACT")


def medication(code: str, mood: str = "EVN") -> str:
    product = f"""<consumable><manufacturedProduct classCode="MANU"><templateId root="{ENTRY}23"/>
    <manufacturedMaterial>{_code(code, RXNORM)}</manufacturedMaterial></manufacturedProduct></consumable>"""
    time = '<effectiveTime xsi:type="IVL_TS"><low value="20230101"/></effectiveTime>'
    inner = f'<statusCode code="active"/>{time}<doseQuantity value="1"/>{product}'
    return _entry("42" if mood == "INT" else "16", inner, name="substanceAdministration", kind="SBADM", mood=mood)


def discharge_medication(code: str) -> str:
    inner = f"{_code('10183-2', LOINC)}{_within('SUBJ', medication(code))}"
    return _entry("35", inner, name="act", kind="ACT")


def immunization(code: str) -> str:
    product = f"""<consumable><manufacturedProduct classCode="MANU"><templateId root="{ENTRY}54"/>
    <manufacturedMaterial>{_code(code, CVX)}</manufacturedMaterial></manufacturedProduct></consumable>"""
    return _entry("52", f"{_DONE}{_AT}{product}", name="substanceAdministration", kind="SBADM")


def result(code: str, value: str) -> str:
    said = f'{_code(code, LOINC)}{_DONE}{_AT}<value xsi:type="PQ" value="{value}" unit="mg/dL"/>'
    panel = f"{_code('24323-8', LOINC)}{_DONE}<component>{_entry('2', said)}</component>"
    return _entry("1", panel, name="organizer", kind="BATTERY")


def vital_sign(code: str, value: str, unit: str) -> str:
    said = f'{_code(code, LOINC)}{_DONE}{_AT}<value xsi:type="PQ" value="{value}" unit="{unit}"/>'
    panel = f"{_code('46680005', SNOMED)}{_DONE}{_AT}<component>{_entry('27', said)}</component>"
    return _entry("26", panel, name="organizer", kind="CLUSTER")


def procedure(code: str) -> str:
    return _entry("14", f"{_code(code, SNOMED)}{_DONE}{_AT}", name="procedure", kind="PROC")


def planned(code: str) -> str:
    inner = f'{_code(code, SNOMED)}<statusCode code="active"/><effectiveTime value="20240601"/>'
    return _entry("41", inner, name="procedure", kind="PROC", mood="RQO")


def referral(code: str) -> str:
    inner = f'{_code(code, SNOMED)}<statusCode code="active"/>'
    return _entry("140", inner, name="act", kind="PCPR", mood="INT")


def goal(code: str) -> str:
    return _entry("121", f'{_code(code, LOINC)}<statusCode code="active"/>', mood="GOL")


def intervention(code: str) -> str:
    inner = f"{_code('362956003', SNOMED)}{_DONE}{_within('REFR', procedure(code))}"
    return _entry("131", inner, name="act", kind="ACT")


def outcome(code: str) -> str:
    return _entry("144", f'{_code(code, LOINC)}{_DONE}{_AT}<value xsi:type="PQ" value="98" unit="%"/>')


def smoking(code: str) -> str:
    return _entry("78", f"{_code('72166-2', LOINC)}{_DONE}{_AT}{_code(code, SNOMED, 'value')}")


def encounter(code: str) -> str:
    return _entry("49", f"{_code(code, SNOMED)}{_AT}", name="encounter", kind="ENC")


def relative(code: str) -> str:
    kin = f"""<subject><relatedSubject classCode="PRS">{_code("FTH", "2.16.840.1.113883.5.111")}</relatedSubject>
    </subject>"""
    said = _entry("46", f"{_code('64572001', SNOMED)}{_DONE}{_code(code, SNOMED, 'value')}")
    return _entry("45", f"{_DONE}{kin}<component>{said}</component>", name="organizer", kind="CLUSTER")


def author_of(family: str) -> str:
    return f"""<author><time value="20240501"/><assignedAuthor><id root="1.7" extension="{family}"/><assignedPerson>
    <name><family>{family}</family></name></assignedPerson></assignedAuthor></author>"""


@dataclass(frozen=True, slots=True)
class Part:
    """A section: the LOINC code, the end of its template id, its entries; parts within it."""

    code: str
    root: str
    entries: tuple[str, ...] = ()
    inner: tuple[Part, ...] = ()

    def xml(self) -> str:
        held = "".join(f"<entry>{entry}</entry>" for entry in self.entries)
        inner = "".join(f"<component>{part.xml()}</component>" for part in self.inner)
        return f"""<section><templateId root="{SECTION}{self.root}"/>{_code(self.code, LOINC)}<title>{self.code}</title>
        <text>told in {self.code}</text>{held}{inner}</section>"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of document; `facts`: the type of a resource and a code that stands in it."""

    name: str
    root: str
    code: str
    parts: tuple[Part, ...]
    facts: tuple[tuple[str, str], ...]


KINDS = (
    Kind(
        "Continuity of Care Document",
        f"{DOCUMENT}2",
        "34133-9",
        (
            Part("48765-2", "6.1", (allergy("7980"),)),
            Part("10160-0", "1.1", (medication("314076"),)),
            Part("11450-4", "5.1", (concern("38341003"),)),
            Part("30954-2", "3.1", (result("2345-7", "95"),)),
            Part("29762-2", "17", (smoking("8517006"),)),
            Part("8716-3", "4.1", (vital_sign("8302-2", "170", "cm"),)),
            Part("11369-6", "2.1", (immunization("140"),)),
            Part("46240-8", "22.1", (encounter("185349003"),)),
        ),
        (
            ("AllergyIntolerance", "7980"),
            ("MedicationRequest", "314076"),
            ("Condition", "38341003"),
            ("DiagnosticReport", "24323-8"),
            ("Observation", "2345-7"),
            ("Observation", "8517006"),
            ("Observation", "8302-2"),
            ("Immunization", "140"),
            ("Encounter", "185349003"),
        ),
    ),
    Kind(
        "Consultation Note",
        f"{DOCUMENT}4",
        "11488-4",
        (
            Part("10164-2", "20"),
            Part("51847-2", "9", (planned("73761001"),)),
            Part("11450-4", "5.1", (concern("195967001"),)),
        ),
        (("ServiceRequest", "73761001"), ("Condition", "195967001")),
    ),
    Kind(
        "Discharge Summary",
        f"{DOCUMENT}8",
        "18842-5",
        (
            Part("8648-8", "16"),
            Part("11535-2", "24", (diagnosis("33", "11535-2", "233604007"),)),
            Part("46241-6", "43", (diagnosis("34", "46241-6", "386661006"),)),
            Part("10183-2", "11.1", (discharge_medication("617314"),)),
            Part("8653-8", "41"),
        ),
        (("Condition", "233604007"), ("Condition", "386661006"), ("MedicationRequest", "617314")),
    ),
    Kind(
        "History and Physical",
        f"{DOCUMENT}3",
        "34117-2",
        (
            Part("10154-3", "13"),
            Part("10157-6", "15", (relative("22298006"),)),
            Part("11348-0", "20", (problem("46635009"),)),
            Part("29545-1", "10", (), (Part("10190-7", "56"),)),
        ),
        (("FamilyMemberHistory", "22298006"), ("Condition", "46635009")),
    ),
    Kind(
        "Operative Note",
        f"{DOCUMENT}7",
        "11504-8",
        (
            Part("59774-0", "25"),
            Part("10219-4", "34", (diagnosis("65", "10219-4", "74400008"),)),
            Part("10218-6", "35", ()),
            Part("29554-3", "27", ()),
            Part("55109-3", "37", (problem("131148009"),)),
            Part("47519-4", "7.1", (procedure("80146002"),)),
        ),
        (("Condition", "74400008"), ("Condition", "131148009"), ("Procedure", "80146002")),
    ),
    Kind(
        "Procedure Note",
        f"{DOCUMENT}6",
        "28570-0",
        (
            Part("59769-0", "36", (diagnosis("51", "59769-0", "68496003"),)),
            Part("59768-2", "29", ()),
            Part("47519-4", "7.1", (procedure("73761001"),)),
        ),
        (("Condition", "68496003"), ("Procedure", "73761001")),
    ),
    Kind(
        "Progress Note",
        f"{DOCUMENT}9",
        "11506-3",
        (
            Part("61150-9", "40"),
            Part("61149-1", "41"),
            Part("51848-0", "8"),
            Part("18776-5", "10", (medication("197361", "INT"),)),
        ),
        (("MedicationRequest", "197361"),),
    ),
    Kind(
        "Referral Note",
        f"{DOCUMENT}14",
        "57133-1",
        (Part("42349-1", "1", (referral("183519002"),)), Part("11450-4", "5.1", (concern("44054006"),))),
        (("ServiceRequest", "183519002"), ("Condition", "44054006")),
    ),
    Kind(
        "Transfer Summary",
        f"{DOCUMENT}13",
        "18761-7",
        (
            Part("48765-2", "6.1", (allergy("2670"),)),
            Part("8648-8", "64"),
            Part("10160-0", "1.1", (medication("860975"),)),
        ),
        (("AllergyIntolerance", "2670"), ("MedicationRequest", "860975")),
    ),
    Kind(
        "Care Plan",
        f"{DOCUMENT}15",
        "52521-2",
        (
            Part("75310-3", "58", (concern("84114007"),)),
            Part("61146-7", "60", (goal("59408-5"),)),
            Part("62387-6", "21.2.3", (intervention("57485005"),)),
            Part("11383-7", "61", (outcome("59408-5"),)),
        ),
        (("Condition", "84114007"), ("Goal", "59408-5"), ("Procedure", "57485005"), ("Observation", "59408-5")),
    ),
    Kind(
        "Diagnostic Imaging Report",
        f"{DOCUMENT}5",
        "18748-4",
        (Part("18782-3", "", (), (Part("19005-8", ""),)), Part("55113-5", "")),
        (),
    ),
    Kind(
        "Patient Generated Document",
        "2.16.840.1.113883.10.20.29.1",
        "51855-5",
        (Part("29762-2", "17", (smoking("266919005"),)),),
        (("Observation", "266919005"),),
    ),
)
