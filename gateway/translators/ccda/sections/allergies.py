"""Allergies and Intolerances (LOINC 48765-2) -> AllergyIntolerance (C-CDA on FHIR, CF-allergies)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.translators.ccda.codes import CONCEPTS, Concept
from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.informants import informant
from gateway.translators.ccda.node import Element, Node
from gateway.translators.ccda.people import fits, recording
from gateway.translators.ccda.registry import entry, others, reader_by_template
from gateway.translators.ccda.statement import (
    PARTS,
    REACTION,
    SEVERITY,
    STATUS,
    Relations,
    coded_value,
    concepts,
    denied,
    encounter,
    happened,
    mapped,
    notes,
    of_another,
    of_kind,
    related,
    value_code,
)
from gateway.translators.ccda.values import (
    SNOMED,
    Value,
    absent,
    absent_concept,
    codeable,
    concept,
    distinct,
    identifiers,
    in_words,
    interval,
    kept,
    resolved,
)

CLINICAL = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
ABATEMENT = "http://hl7.org/fhir/StructureDefinition/allergyintolerance-abatement"
EXPOSURE_RISK = "http://hl7.org/fhir/StructureDefinition/allergyintolerance-substanceExposureRisk"
RISK_CODES = "http://terminology.hl7.org/CodeSystem/allerg-intol-substance-exp-risk"

_STATUS = frozenset([STATUS, "2.16.840.1.113883.10.20.22.4.28", "2.16.840.1.113883.10.20.1.39"])
_CRITICALITY = frozenset(["82606-5", "2.16.840.1.113883.10.20.22.4.145"])
_CONSUMED = ("CSM", None)
_ANY = frozenset(["105590001", "410942007"])
_LATEX = "1003774007"
_LATEX_CODES = frozenset(["111088007", "1003755004", "1314"])


@entry(
    "2.16.840.1.113883.10.20.22.4.30",
    "2.16.840.1.113883.3.88.11.83.6",
    "1.3.6.1.4.1.19376.1.5.3.1.4.5.3",
    sections=("48765-2",),
    element="act",
)
def allergy_concern(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Allergy Concern Act: a wrapper, the observations carry the content."""
    relations = related(act)
    where = encounter(relations, ctx)
    for kind, observation in relations:
        if _is_allergy(kind, observation) and happened(observation):
            yield allergy(observation, ctx, concern=act, where=where, remarks=notes(relations, ctx))
        else:
            others([(kind, observation)], ctx)


def _is_allergy(kind: str | None, statement: Node) -> bool:
    """What the concern is about; whatever its relationship, one that is known as an allergy or names a substance."""
    if not statement.element.tag.endswith("}observation"):
        return False
    return kind == "SUBJ" or reader_by_template(statement) is allergy_observation or _substance(statement) is not None


@entry(
    "2.16.840.1.113883.10.20.22.4.7",
    "2.16.840.1.113883.10.20.24.3.90",
    "2.16.840.1.113883.10.20.1.18",
    "1.3.6.1.4.1.19376.1.5.3.1.4.6",
    sections=("48765-2",),
    element="observation",
)
def allergy_observation(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    yield allergy(observation, ctx)


def allergy(
    observation: Node,
    ctx: Context,
    *,
    concern: Node | None = None,
    where: Reference | None = None,
    remarks: Iterable[Value] = (),
) -> Reference | None:
    """Allergy - Intolerance Observation -> AllergyIntolerance; None when it names neither substance nor kind nor a
    reaction, or nobody knows of it. `remarks` are the comments on the concern."""
    substance = _substance(observation)
    negated = observation.negated or (concern is not None and concern.negated)
    relations = related(observation)
    what = _what(observation, substance, ctx, negated=negated)
    if not what and not negated and any(map(_is_told_reaction, relations)):
        what = {"code": coded_value(observation, ctx) or absent_concept(observation.get("value"))}
    if not what or observation.untold or of_another(observation, ctx):
        return None
    when = interval(observation.get("effectiveTime"), ctx)
    recorder, recorded = recording(observation, ctx)
    if recorder is None and recorded is None and concern is not None:
        recorder, recorded = recording(concern, ctx)
    kind, category = (_kind(table, observation) for table in ("allergy-type", "allergy-category"))
    abated = [{"url": ABATEMENT, "valueDateTime": when.high}] if when.high else []
    criticality = next(map(value_code, of_kind(_CRITICALITY, relations)), None)
    body = {
        "extension": [*what.pop("extension", []), *abated],
        "identifier": identifiers(observation.all("id")),
        **_statuses(observation, concern, relations),
        "type": kind.code if kind else None,
        "category": [category.code] if category else None,
        "criticality": found.code if (found := mapped("criticality", criticality)) else None,
        **what,
        "patient": ctx.patient,
        "encounter": encounter(relations, ctx) or where,
        "onsetDateTime": when.start,
        "recordedDate": recorded,
        "recorder": fits(recorder, "Practitioner", "PractitionerRole", "Patient", "RelatedPerson"),
        "asserter": informant(observation, ctx),
        "note": [*notes(relations, ctx), *remarks],
        "reaction": _reactions(relations, ctx),
    }
    others([one for one in relations if not _is_reaction(*one)], ctx)
    return ctx.add("AllergyIntolerance", kept(body), observation, code=_identifying(observation, substance))


def _kind(table: str, observation: Node) -> Concept | None:
    """By the value; older documents say it with the code."""
    return mapped(table, value_code(observation)) or mapped(table, observation.attribute("code", "code"))


def _substance(observation: Node) -> Node | None:
    """What is consumed; a place or a person may take part as well."""
    for participant in observation.nodes("participant"):
        role = participant.node("participantRole") if participant.element.get("typeCode") in _CONSUMED else None
        entity = role.node("playingEntity") if role else None
        if entity is not None:
            return entity
    return None


def _identifying(observation: Node, substance: Node | None) -> Element | None:
    code = substance.get("code") if substance else None
    return observation.get("value") if code is None else code


def _what(observation: Node, substance: Node | None, ctx: Context, *, negated: bool) -> Value:
    """`code`, or for a substance known to be harmless the extension that takes its place."""
    named = _named(substance, ctx)
    if negated:
        return _negated(observation, named if _is_one(substance) else None, ctx)
    if named:
        return {"code": named}
    said = coded_value(observation, ctx)
    if said and value_code(observation) not in CONCEPTS["allergy-propensity"]:
        return {"code": said}
    text = resolved(observation.get("text"), ctx)
    return {"code": {"text": text}} if text else {}


def _is_one(substance: Node | None) -> bool:
    """Whether a substance is told: a code that is null has words for what is denied, unless it is one that the code
    system does not have."""
    code = substance.get("code") if substance else None
    return code is None or code.get("nullFlavor") in (None, "OTH")


def _named(substance: Node | None, ctx: Context) -> Value | None:
    if substance is None:
        return None
    name = substance.text("name")
    return codeable(substance.get("code"), ctx) or ({"text": name} if name else None)


def _negated(observation: Node, named: Value | None, ctx: Context) -> Value:
    """No allergy to what the value names, or none to the named substance (CF-allergies, No known allergy). Some name
    the substance that is meant as "substance" or "drug": that is any."""
    if named is None or any(one["code"] in _ANY for one in named.get("coding", ())):
        none = mapped("no-known-allergy", value_code(observation))
        if none:
            return {"code": concept(none.code, SNOMED, none.display)}
        said = coded_value(observation, ctx)
        return {"code": said, "verificationStatus": concept("refuted", VERIFICATION, "Refuted")} if said else {}
    if any(one["code"] in _LATEX_CODES for one in named.get("coding", ())):
        return {"code": concept(_LATEX, SNOMED, "No known latex allergy")}
    risk = concept("no-known-reaction-risk", RISK_CODES, "No Known Reaction Risk")
    parts = [
        {"url": "substance", "valueCodeableConcept": named},
        {"url": "exposureRisk", "valueCodeableConcept": risk},
    ]
    return {"extension": [{"url": EXPOSURE_RISK, "extension": parts}]}


def _statuses(observation: Node, concern: Node | None, relations: Relations) -> Value:
    """Allergy Status wins over the concern's statusCode; one of the two statuses has to be there (ait-1)."""
    code = concern.attribute("statusCode", "code") if concern else None
    if code == "nullified" or observation.attribute("statusCode", "code") == "nullified":
        return {"verificationStatus": concept("entered-in-error", VERIFICATION, "Entered in Error")}
    status = next(map(value_code, of_kind(_STATUS, relations)), None)
    found = mapped("allergy-status", status) or mapped("allergy-clinical", code)
    return {"clinicalStatus": concept(found.code, CLINICAL, found.display) if found else absent()}


def _reactions(relations: Relations, ctx: Context) -> list[Value]:
    """Reaction Observations; a severity of the allergy itself counts for those that have none of their own."""
    overall = _severity(relations, ctx)
    found = []
    for kind, one in relations:
        if _is_reaction(kind, one) and not happened(one):
            others([(kind, one)], ctx, PARTS - REACTION)
        elif _is_reaction(kind, one) and not (one.untold or denied(one, ctx)):
            inner = related(one)
            found.append(_reaction(one, _severity(inner, ctx) or overall, inner, ctx))
    if overall and not found:
        return [{"manifestation": [absent_concept()], **overall}]
    return [reaction for reaction in found if reaction]


def _is_told_reaction(relation: tuple[str | None, Node]) -> bool:
    kind, one = relation
    return _is_reaction(kind, one) and "value" in one and happened(one) and not (one.untold or one.negated)


def _is_reaction(kind: str | None, statement: Node) -> bool:
    return kind == "MFST" or not REACTION.isdisjoint(statement.kinds)


def _reaction(observation: Node, severity: Value, inner: Relations, ctx: Context) -> Value | None:
    others(inner, ctx)
    manifestation = coded_value(observation, ctx)
    if manifestation is None and (text := resolved(observation.get("text"), ctx)):
        manifestation = {"text": text}
    if manifestation is None and not severity:
        return None
    more = concepts(observation.all("value")[1:], ctx)
    return kept(
        {
            "manifestation": distinct([manifestation or absent_concept(observation.get("value")), *more]),
            "onset": interval(observation.get("effectiveTime"), ctx).start,
            **severity,
            "note": notes(inner, ctx),
        }
    )


def _severity(relations: Relations, ctx: Context) -> Value:
    """One of FHIR's three; what lies between them or beyond ("mild to moderate", "fatal") in its own words."""
    said = of_kind(SEVERITY, relations)
    for one in said:
        if found := mapped("severity", value_code(one)):
            return {"severity": found.code}
    for one in said:
        if (value := coded_value(one, ctx)) and (words := in_words(value)):
            return {"description": words}
    return {}
