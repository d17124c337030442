"""Where the examples of the mapping reference begin: a statement with as little as makes it one, in a document."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from lxml import etree

from tests.conformance.ccda_paths import Element, element_at

_ROOT = "2.16.840.1.113883.10.20.22.4."
_SUBJECT = 'entryRelationship typeCode="SUBJ"'
_CHILD = "entry/act/entryRelationship/observation"
NAMESPACES = (
    'xmlns="urn:hl7-org:v3" xmlns:sdtc="urn:hl7-org:sdtc" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
_LOINC = "2.16.840.1.113883.6.1"


class Start(NamedTuple):
    """An entry of a section (without a code: what stands in the header) and where in it the row's paths begin."""

    section: str
    entry: str
    path: str


def _templates(*roots: str) -> str:
    return "".join(f'<templateId root="{_ROOT}{root}"/>' for root in roots)


def _concern(root: str, inner: str) -> str:
    return f'<act classCode="ACT" moodCode="EVN">{_templates(root)}<{_SUBJECT}>{inner}</entryRelationship></act>'


def _observation(root: str, inner: str, mood: str = "EVN") -> str:
    return f'<observation classCode="OBS" moodCode="{mood}">{_templates(root)}{inner}</observation>'


def _administration(root: str, name: str) -> str:
    return (
        f'<substanceAdministration classCode="SBADM">{_templates(root)}<consumable><manufacturedProduct>'
        f"<manufacturedMaterial><name>{name}</name></manufacturedMaterial></manufacturedProduct></consumable>"
        "</substanceAdministration>"
    )


def _organizer(root: str, observation: str) -> str:
    inner = _observation(observation, '<code displayName="What was observed"/>')
    return f'<organizer classCode="CLUSTER" moodCode="EVN">{_templates(root)}<component>{inner}</component></organizer>'


_ALLERGY = _observation(
    "7",
    '<participant typeCode="CSM"><participantRole><playingEntity><name>Something</name></playingEntity>'
    "</participantRole></participant>",
)
_PROBLEM = _observation("4", '<value xsi:type="CD" displayName="Some trouble"/>')
_COMMENT = (
    f'<act classCode="ACT" moodCode="EVN">{_templates("64")}<code code="48767-8" codeSystem="{_LOINC}"/>'
    "<text>Some words</text></act>"
)
_PERSON = "<name><given>Ada</given><family>Sample</family></name>"
_RELATED_COMMENT = f'<entryRelationship typeCode="SUBJ">{_COMMENT}</entryRelationship>'
_COMMENTED = _PROBLEM.replace("</observation>", f"{_RELATED_COMMENT}</observation>")
_CODED = '<code displayName="What was observed"/>'
_PERFORMED = '<code displayName="What was done"/><performer><assignedEntity/></performer>'

STARTS = {
    "allergy": Start("48765-2", _concern("30", _ALLERGY), _CHILD),
    "encounter": Start(
        "46240-8",
        f'<encounter classCode="ENC" moodCode="EVN">{_templates("49")}<id root="2.25.1"/></encounter>',
        "entry/encounter",
    ),
    "immunization": Start("11369-6", _administration("52", "Some vaccine"), "entry/substanceAdministration"),
    "medication": Start("10160-0", _administration("16", "Some medicine"), "entry/substanceAdministration"),
    "note": Start(
        "34109-9",
        f'<act classCode="ACT" moodCode="EVN">{_templates("202")}<code code="34109-9" codeSystem="{_LOINC}"/>'
        "<text>Some words</text></act>",
        "entry/act",
    ),
    "problem": Start("11450-4", _concern("3", _PROBLEM), _CHILD),
    "comment": Start("11450-4", _concern("3", _COMMENTED), f"{_CHILD}/entryRelationship/act"),
    "procedure": Start(
        "47519-4",
        f'<procedure classCode="PROC" moodCode="EVN">{_templates("14")}<code displayName="What was done"/></procedure>',
        "entry/procedure",
    ),
    "performer": Start(
        "47519-4",
        f'<procedure classCode="PROC" moodCode="EVN">{_templates("14")}{_PERFORMED}</procedure>',
        "entry/procedure/performer/assignedEntity",
    ),
    "report": Start("30954-2", _organizer("1", "2"), "entry/organizer"),
    "result": Start("30954-2", _organizer("1", "2"), "entry/organizer/component/observation"),
    "social": Start("29762-2", _observation("38", _CODED), "entry/observation"),
    "smoking": Start("29762-2", _observation("78", _CODED), "entry/observation"),
    "pregnancy": Start(
        "29762-2",
        '<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.15.3.8"/>'
        '<code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/></observation>',
        "entry/observation",
    ),
    "intention": Start(
        "29762-2",
        _observation("281", f'<code code="86645-9" codeSystem="{_LOINC}"/>', "INT"),
        "entry/observation",
    ),
    "panel": Start("8716-3", _organizer("26", "27"), "entry/organizer"),
    "vital": Start("8716-3", _organizer("26", "27"), "entry/organizer/component/observation"),
    "narrative": Start("11450-4", "", "text"),
    "patient": Start("", "", "recordTarget/patientRole"),
    "document": Start("", "", "."),
    "visit": Start("", "", "componentOf/encompassingEncounter"),
}


def document(name: str) -> tuple[Element, Element]:
    """A new document and the element in it from which the paths go."""
    start = STARTS[name]
    root = etree.fromstring(_text(name))
    if not start.section:
        return root, root if start.path == "." else element_at(root, start.path)
    return root, element_at(root, f"component/structuredBody/component/section/{start.path}")


@cache
def _text(name: str) -> bytes:
    start = STARTS[name]
    held = f"<entry>{start.entry}</entry>" if start.entry else ""
    section = f'<section><code code="{start.section}" codeSystem="{_LOINC}"/><text/>{held}</section>'
    body = f"<component><structuredBody><component>{section}</component></structuredBody></component>"
    return (
        f'<ClinicalDocument {NAMESPACES}><id root="2.25.9"/><code code="34133-9" codeSystem="{_LOINC}"/>'
        '<effectiveTime value="20240501120000-0500"/><recordTarget><patientRole><id root="2.25.8" extension="P"/>'
        f"<patient>{_PERSON}</patient></patientRole></recordTarget>{body if start.section else ''}</ClinicalDocument>"
    ).encode()
