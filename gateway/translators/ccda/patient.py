"""recordTarget -> Patient (C-CDA R2.1 §1.1 US Realm Header; C-CDA on FHIR, CF-patient)."""

from __future__ import annotations

import re

from gateway.fhir.json import Resource

from .codes import CONCEPTS, language_tag
from .context import Context
from .demographics import address, addresses, human_name, human_names, telecoms
from .node import V3, Element, Node, children, folded
from .people import organization
from .values import TRUTH, Value, codeable, coding, concept, count, identifiers, kept, resolved

CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
EXTENSION = "http://hl7.org/fhir/StructureDefinition/"
ROLES = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
NULLS = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
SSN = "2.16.840.1.113883.4.1"
CDC = "urn:oid:2.16.840.1.113883.6.238"

_RACES = frozenset(["1002-5", "2028-9", "2054-5", "2076-8", "2106-3"])
_ETHNICITIES = frozenset(["2135-2", "2186-5"])
_ORIGINAL_TEXT, _TRANSLATION = V3 + "originalText", V3 + "translation"
_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
_UNSAID = {"UNK": "Unknown", "ASKU": "Asked but no answer"}


def patient(role: Node, ctx: Context) -> Resource:
    """The Patient of a patientRole, with the caller's id."""
    person = role.node("patient") or Node(role.element)
    body = {
        "resourceType": "Patient",
        "id": ctx.patient_id,
        "extension": _extensions(person, ctx),
        "identifier": identifiers(role.all("id")),
        "name": human_names(person.all("name"), ctx),
        "telecom": telecoms(role.all("telecom"), ctx),
        "gender": _gender(person.get("administrativeGenderCode"), ctx),
        **_birth(person.get("birthTime"), ctx),
        **_deceased(person, ctx),
        "address": addresses(role.all("addr"), ctx),
        "maritalStatus": codeable(person.get("maritalStatusCode"), ctx),
        **_multiple_birth(person),
        "contact": [contact for guardian in person.nodes("guardian") if (contact := _guardian(guardian, ctx))],
        "communication": [said for one in person.nodes("languageCommunication") if (said := _language(one, ctx))],
        "managingOrganization": organization(role.get("providerOrganization"), ctx),
    }
    return kept(body)


def patient_key(role: Node | None) -> str | None:
    """The document's own id for its patient: `root^extension` of the first id that is no SSN and no null."""
    for one in role.all("id") if role else ():
        root, extension = one.get("root"), one.get("extension")
        if root and extension and root != SSN and not one.get("nullFlavor"):
            return f"{root}^{extension}"
        if root and not extension and not one.get("nullFlavor") and root != SSN:
            return f"{root}^"
    return None


def _gender(code: Element | None, ctx: Context) -> str | None:
    """FHIR has four; a code that is none of HL7's table is told and not guessed at."""
    if code is None:
        return None
    if flavor := code.get("nullFlavor"):
        return "other" if flavor == "OTH" else "unknown"
    said = code.get("code")
    found = CONCEPTS["gender"].get((said or "").strip())
    if said and found is None:
        ctx.issue("warning", "code-invalid", "administrativeGenderCode is none that HL7's table has", code)
    return found.code if found else None


def _birth(time: Element | None, ctx: Context) -> Value:
    """The date; a time of birth that has a zone goes to the extension for it."""
    said = ctx.moment(time)
    if said is None or time is None:
        return {}
    if len(said) <= 10:
        return {"birthDate": said}
    return {
        "birthDate": said[:10],
        "_birthDate": {"extension": [{"url": f"{EXTENSION}patient-birthTime", "valueDateTime": said}]},
    }


def _deceased(person: Node, ctx: Context) -> Value:
    """The time wins over the indicator: R4 has room for one."""
    if time := ctx.moment(person.get("sdtc:deceasedTime")):
        return {"deceasedDateTime": time}
    said = TRUTH.get(person.attribute("sdtc:deceasedInd", "value"))
    return {} if said is None else {"deceasedBoolean": said}


def _multiple_birth(person: Node) -> Value:
    """The place among the children wins over the indicator: R4 has room for one."""
    if place := count(person.attribute("sdtc:multipleBirthOrderNumber", "value")):
        return {"multipleBirthInteger": place}
    said = TRUTH.get(person.attribute("sdtc:multipleBirthInd", "value"))
    return {} if said is None else {"multipleBirthBoolean": said}


def _extensions(person: Node, ctx: Context) -> list[Value]:
    races = [*person.all("raceCode"), *person.all("sdtc:raceCode")]
    groups = [*person.all("ethnicGroupCode"), *person.all("sdtc:ethnicGroupCode")]
    found = [
        _category("us-core-race", races, _RACES, ctx, most=5),
        _category("us-core-ethnicity", groups, _ETHNICITIES, ctx, most=1),
    ]
    if religion := codeable(person.get("religiousAffiliationCode"), ctx):
        found.append({"url": f"{EXTENSION}patient-religion", "valueCodeableConcept": religion})
    if birthplace := _birthplace(person, ctx):
        found.append({"url": f"{EXTENSION}patient-birthPlace", "valueAddress": birthplace})
    return [extension for extension in found if extension]


def _category(name: str, codes: list[Element], categories: frozenset[str], ctx: Context, *, most: int) -> Value | None:
    """US Core race and ethnicity: OMB categories, details, and a text of all that was said."""
    parts: list[Value] = []
    texts: list[str] = []
    for code in codes:
        said, text = _group(code, ctx)
        if text and text not in texts:
            texts.append(text)
        if said:
            url = "ombCategory" if said["code"] in categories or said["code"] in _UNSAID else "detailed"
            part = {"url": url, "valueCoding": said}
            if part not in parts and (url == "detailed" or sum(one["url"] == url for one in parts) < most):
                parts.append(part)
    if not texts:
        return None
    return {"url": CORE + name, "extension": [*parts, {"url": "text", "valueString": ", ".join(texts)}]}


def _group(code: Element, ctx: Context) -> tuple[Value | None, str | None]:
    """What it says and in which words. A null one is told by its translations: one of the CDC's is as good as a code
    of its own, those of other lists have their words alone, as US Core has no room for them."""
    said = coding(code) or _unsaid(code)
    text, name = None, code.get("displayName")
    for child in children(code):
        if child.tag == _ORIGINAL_TEXT:
            text = resolved(child, ctx)
        elif said is None and child.tag == _TRANSLATION:
            told = coding(child) or {}
            said = told if told.get("system") == CDC else None
            name = name or told.get("display")
    return said, text or name or (said or {}).get("display") or (said or {}).get("code")


def _unsaid(code: Element) -> Value | None:
    flavor = code.get("nullFlavor") or ""
    display = _UNSAID.get(flavor)
    return {"system": NULLS, "code": flavor, "display": display} if display else None


def _birthplace(person: Node, ctx: Context) -> Value | None:
    place = person.node("birthplace")
    inner = place.node("place") if place else None
    if inner is None:
        return None
    name = inner.text("name")
    return address(inner.get("addr"), ctx) or ({"text": name} if name else None)


def _guardian(guardian: Node, ctx: Context) -> Value | None:
    person = guardian.node("guardianPerson")
    roles = [codeable(guardian.get("code"), ctx)]
    if person and (related := person.node("sdtc:asPatientRelationship")):
        roles.append(codeable(related.get("code"), ctx))
    contact = kept(
        {
            "name": human_name(person.get("name"), ctx) if person else None,
            "telecom": telecoms(guardian.all("telecom"), ctx),
            "address": address(guardian.get("addr"), ctx),
            "organization": organization(guardian.get("guardianOrganization"), ctx),
        }
    )
    if not contact:
        return None
    return {"relationship": [concept("GUARD", ROLES, "guardian"), *(role for role in roles if role)], **contact}


def _language(spoken: Node, ctx: Context) -> Value | None:
    """A tag as BCP 47 has it, else the words."""
    code = language_tag(folded(spoken.attribute("languageCode", "code")))
    language = concept(code, "urn:ietf:bcp:47") if code and _TAG.fullmatch(code) else {"text": code}
    if not code:
        words = codeable(spoken.get("languageCode"), ctx)
        if words is None or "text" not in words:
            return None
        language = {"text": words["text"]}
    return kept(
        {
            "extension": _proficiency(spoken),
            "language": language,
            "preferred": TRUTH.get(spoken.attribute("preferenceInd", "value")),
        }
    )


def _proficiency(spoken: Node) -> list[Value] | None:
    parts = [
        {"url": url, "valueCoding": said}
        for url, name in (("level", "proficiencyLevelCode"), ("type", "modeCode"))
        if (said := coding(spoken.get(name)))
    ]
    return [{"url": f"{EXTENSION}patient-proficiency", "extension": parts}] if parts else None
