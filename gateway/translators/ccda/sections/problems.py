"""Problems (LOINC 11450-4) and diagnoses -> Condition (C-CDA on FHIR, CF-problems)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.informants import informant
from gateway.translators.ccda.node import V3, Node, child_of
from gateway.translators.ccda.observation import member
from gateway.translators.ccda.people import fits, recording
from gateway.translators.ccda.registry import entry, others, reader_by_template
from gateway.translators.ccda.statement import (
    AGE,
    DUE,
    NULLIFIED,
    PARTS,
    PRIORITY,
    RANK,
    SEVERITY,
    STATUS,
    Relations,
    coded_value,
    concepts,
    encounter,
    happened,
    mapped,
    notes,
    of_another,
    of_kind,
    related,
    value_code,
)
from gateway.translators.ccda.times import Interval
from gateway.translators.ccda.values import (
    SNOMED,
    Value,
    absent,
    absent_concept,
    codeable,
    concept,
    identifiers,
    interval,
    kept,
    quantity,
)

CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
CORE_CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/condition-category"
ASSERTED = "http://hl7.org/fhir/StructureDefinition/condition-assertedDate"

_STATUS = frozenset([STATUS, "2.16.840.1.113883.10.20.22.4.6", "2.16.840.1.113883.10.20.1.50"])
_ASSERTED = frozenset(["77975-1", "2.16.840.1.113883.10.20.22.4.502"])
_TRANSLATION = V3 + "translation"
PROBLEM = frozenset(["2.16.840.1.113883.10.20.22.4.4", "2.16.840.1.113883.10.20.1.28"])
ENTERED_IN_ERROR = concept("entered-in-error", VERIFICATION, "Entered in Error")
REFUTED = concept("refuted", VERIFICATION, "Refuted")
_CATEGORIES = {
    "problem-list-item": concept("problem-list-item", CATEGORY, "Problem List Item"),
    "encounter-diagnosis": concept("encounter-diagnosis", CATEGORY, "Encounter Diagnosis"),
    "health-concern": concept("health-concern", CORE_CATEGORY, "Health Concern"),
}
_BESIDE = PRIORITY | RANK | DUE
"""What is told of a problem and is no evidence of it."""
_ONGOING = frozenset(["active", "recurrence", "relapse"])
_ANY_PROBLEM = frozenset(["55607006", "404684003", "64572001", "282291009", "248536006"])
"""SNOMED CT Problem, Clinical finding, Disease, Diagnosis, Finding of function: negated they mean there is none."""


@entry(
    "2.16.840.1.113883.10.20.22.4.3",
    "2.16.840.1.113883.3.88.11.83.7",
    "1.3.6.1.4.1.19376.1.5.3.1.4.5.2",
    sections=("11450-4", "11348-0", "46239-0"),
    element="act",
)
def problem_concern(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Problem Concern Act: a wrapper, the observations carry the content."""
    yield from _conditions(act, ctx)


@entry(
    "2.16.840.1.113883.10.20.22.4.33",
    "2.16.840.1.113883.10.20.22.4.34",
    "2.16.840.1.113883.10.20.22.4.65",
    "2.16.840.1.113883.10.20.22.4.51",
    "2.16.840.1.113883.10.20.22.4.80",
    sections=("46241-6", "11535-2", "10219-4", "10218-6", "59769-0"),
    element="act",
)
def diagnosis(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Admission, discharge, preoperative and encounter diagnoses: Problem Observations that belong to an encounter."""
    yield from _conditions(act, ctx, category="encounter-diagnosis")


def _conditions(act: Node, ctx: Context, *, category: str | None = None) -> Iterator[Reference | None]:
    """The problems that an act is about; what else it holds stands beside them."""
    relations = related(act)
    where = encounter(relations, ctx)
    for kind, one in relations:
        if not (one.element.tag.endswith("}observation") and happened(one) and _is_problem(one)):
            others([(kind, one)], ctx)
        elif PARTS.isdisjoint(one.kinds):
            yield condition(one, ctx, concern=act, category=category, where=where, remarks=notes(relations, ctx))


def _is_problem(observation: Node) -> bool:
    """By its first template; a Priority Preference never is. One that has the template of an allergy as well (IHE's are
    kinds of problems, and systems put them on every problem) is an allergy only if it names a substance."""
    if not PRIORITY.isdisjoint(observation.kinds):
        return False
    if reader_by_template(observation) in (None, problem):
        return True
    return not PROBLEM.isdisjoint(observation.kinds) and "participant" not in observation


@entry(
    *PROBLEM,
    "2.16.840.1.113883.10.20.22.4.19",
    sections=("11450-4", "11348-0"),
    element="observation",
)
def problem(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    yield condition(observation, ctx)


def condition(
    observation: Node,
    ctx: Context,
    *,
    concern: Node | None = None,
    category: str | None = None,
    where: Reference | None = None,
    remarks: Iterable[Value] = (),
) -> Reference | None:
    """A Problem Observation as Condition; None when it does not say which problem, or nobody knows of it. `remarks` are
    the comments on the concern."""
    said = coded_value(observation, ctx) or codeable(observation.get("value"), ctx)
    if said is None or observation.untold or of_another(observation, ctx):
        return None
    relations = related(observation)
    when = interval(observation.get("effectiveTime"), ctx)
    recorder, recorded = recording(observation, ctx)
    if recorder is None and recorded is None and concern is not None:
        recorder, recorded = recording(concern, ctx)
    body = {
        "extension": _asserted(relations, ctx),
        "identifier": identifiers(observation.all("id")),
        **_statuses(observation, concern, relations, when),
        "category": _categories(observation, ctx, category),
        "severity": _severity(relations, ctx),
        "code": said,
        "bodySite": concepts(observation.all("targetSiteCode"), ctx),
        "subject": ctx.patient,
        "encounter": encounter(relations, ctx) or where,
        **_onset(relations, when),
        **_abatement(when),
        "recordedDate": recorded,
        "recorder": fits(recorder, "Practitioner", "PractitionerRole", "Patient", "RelatedPerson"),
        "asserter": informant(observation, ctx),
        "evidence": _evidence(relations, when, ctx) if relations else None,
        "note": [*notes(relations, ctx), *remarks],
    }
    if _is_negated(observation, concern) and _is_any(observation):
        body["code"] = concept("160245001", SNOMED, "No current problems or disability")
    return ctx.add("Condition", kept(body), observation, code=observation.get("value"))


def _is_negated(observation: Node, concern: Node | None) -> bool:
    """The problem itself, or the concern of which it is the content."""
    return observation.negated or (concern is not None and concern.negated)


def _is_any(observation: Node) -> bool:
    """Whether it is any problem that is denied: a null value has words for that, unless it is one that the code system
    does not have."""
    value = observation.get("value")
    flavor = None if value is None else value.get("nullFlavor")
    untold = flavor not in (None, "OTH") and value is not None and child_of(value, _TRANSLATION) is None
    return untold or value_code(observation) in _ANY_PROBLEM


def _evidence(relations: Relations, when: Interval, ctx: Context) -> list[Value]:
    """Assessment scales and other observations about the problem, the age beside a date of onset too, as R4 has room
    for one of the two; what else is related stands beside it."""
    ages = of_kind(AGE, relations) if when.start else []
    others([one for one in relations if not _BESIDE.isdisjoint(one[1].kinds)], ctx, PARTS - DUE)
    observed = [
        *others([one for one in relations if _BESIDE.isdisjoint(one[1].kinds)], ctx),
        *(member(one, ctx, categories=None) for one in ages),
    ]
    return [{"detail": [one]} for one in observed if fits(one, "Observation")]


def _statuses(observation: Node, concern: Node | None, relations: Relations, when: Interval) -> Value:
    """Problem Status wins over the concern's statusCode; what has ended is not active (CF-problems)."""
    code = concern.attribute("statusCode", "code") if concern else None
    if not NULLIFIED.isdisjoint((code, observation.attribute("statusCode", "code"))):
        return {"verificationStatus": ENTERED_IN_ERROR}
    status = next(map(value_code, of_kind(_STATUS, relations)), None)
    found = mapped("problem-status", status) or mapped("condition-clinical", code)
    clinical = found.code if found else None
    if when.ended and (clinical is None or clinical in _ONGOING):
        clinical = "inactive" if clinical else "resolved"
    refuted = _is_negated(observation, concern) and not _is_any(observation)
    return {
        "clinicalStatus": concept(clinical, CLINICAL, clinical.capitalize()) if clinical else None,
        "verificationStatus": REFUTED if refuted else None,
    }


def _categories(observation: Node, ctx: Context, category: str | None) -> list[Value]:
    """From the section, or from what wraps it; the kind of problem where the observation says one, and its rank among
    the diagnoses (`priorityCode`: principal, secondary), for which a Condition has no element of its own."""
    known = mapped("problem-category", ctx.section.kind)
    name = category or (known.code if known else None)
    found = []
    if name:
        found.append(_CATEGORIES[name])
    code = observation.get("code")
    kind = codeable(code, ctx) if code is not None and code.get("code") != "ASSERTION" else None
    told = [one for one in (kind, codeable(observation.get("priorityCode"), ctx)) if one]
    return [*found, *told] or [absent_concept()]


def _severity(relations: Relations, ctx: Context) -> Value | None:
    found = of_kind(SEVERITY, relations)
    return coded_value(found[0], ctx) if found else None


def _onset(relations: Relations, when: Interval) -> Value:
    """The date, else the age at onset: R4 has room for one."""
    if when.start:
        return {"onsetDateTime": when.start}
    for one in of_kind(AGE, relations):
        if (age := quantity(one.get("value"))) and "system" in age:
            return {"onsetAge": age}
    return {}


def _abatement(when: Interval) -> Value:
    if when.high:
        return {"abatementDateTime": when.high}
    return {"_abatementDateTime": absent()} if when.ended else {}


def _asserted(relations: Relations, ctx: Context) -> list[Value]:
    """Date of Diagnosis Act -> condition-assertedDate."""
    for act in of_kind(_ASSERTED, relations):
        if date := interval(act.get("effectiveTime"), ctx).start:
            return [{"url": ASSERTED, "valueDateTime": date}]
    return []
