"""The profiles of US Core 3.1.1 and 6.1.0: what is mandatory, what must hold, and which a resource would have."""

from __future__ import annotations

from collections.abc import Iterator

from tests.conformance import us_core_rules as rules
from tests.conformance.us_core import (
    CONDITION_CATEGORY,
    LOINC,
    Profile,
    Resource,
    Rule,
    bound,
    categories,
    categorized,
    coded,
    codings,
    invariant,
    one_of,
    told,
)

CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/"
THO = "http://terminology.hl7.org/CodeSystem/"
V2_0074 = f"{THO}v2-0074"
PREGNANCY, SMOKING, OCCUPATION, ORIENTATION, INTENT = "82810-3", "72166-2", "11341-5", "76690-7", "86645-9"
NOTES = ("LP29684-5", "LP29708-2", "LP7839-6")

_VERIFIED = "unconfirmed confirmed refuted entered-in-error"
_COURSE = "active recurrence relapse inactive remission resolved"
_OBSERVATION = ("status", "category", "code", "subject")
_VALUED = (invariant("us-core-2: no value and no reason", rules.has_value),)
_VITAL: tuple[Rule, ...] = (
    *_VALUED,
    categorized("vital-signs"),
    invariant("vs-1: not to the day", rules.to_the_day),
    invariant("vs-3: a part without value", rules.parts_have_values),
)

_CODED_AT_ONCE = (
    invariant("no code as its value", lambda one: "valueCodeableConcept" in one),
    invariant("not at one time", lambda one: "effectivePeriod" not in one),
)

VITALS: dict[str, tuple[str, ...]] = {
    "us-core-blood-pressure": ("85354-9",),
    "us-core-bmi": ("39156-5",),
    "us-core-body-height": ("8302-2",),
    "us-core-body-temperature": ("8310-5",),
    "us-core-body-weight": ("29463-7",),
    "us-core-head-circumference": ("9843-4",),
    "us-core-heart-rate": ("8867-4",),
    "us-core-pulse-oximetry": ("59408-5",),
    "us-core-respiratory-rate": ("9279-1",),
    "head-occipital-frontal-circumference-percentile": ("8289-1",),
    "pediatric-bmi-for-age": ("59576-9",),
    "pediatric-weight-for-height": ("77606-2",),
}
UNITS: dict[str, frozenset[str]] = {
    "us-core-bmi": frozenset(["kg/m2"]),
    "us-core-body-height": frozenset(["cm", "[in_i]"]),
    "us-core-body-temperature": frozenset(["Cel", "[degF]"]),
    "us-core-body-weight": frozenset(["g", "kg", "[lb_av]"]),
    "us-core-head-circumference": frozenset(["cm", "[in_i]"]),
    "us-core-heart-rate": frozenset(["/min"]),
    "us-core-pulse-oximetry": frozenset(["%"]),
    "us-core-respiratory-rate": frozenset(["/min"]),
    "head-occipital-frontal-circumference-percentile": frozenset(["%"]),
    "pediatric-bmi-for-age": frozenset(["%"]),
    "pediatric-weight-for-height": frozenset(["%"]),
}


def _in_its_unit(name: str) -> Rule:
    def rule(one: Resource) -> Iterator[str]:
        amount = one.get("valueQuantity")
        if amount is not None and name in UNITS and amount.get("code") not in UNITS[name]:
            yield f"{amount.get('code')} is none of its units"

    return rule


def _vital(name: str) -> Profile:
    strict: tuple[Rule, ...] = (rules.quantities_are_ucum, _in_its_unit(name), coded(LOINC, *VITALS[name]))
    if name == "us-core-blood-pressure":
        strict += (rules.pressures,)
    if name == "us-core-pulse-oximetry":
        strict += (coded(LOINC, "2708-6"),)
    return Profile(name, (*_OBSERVATION, "effective"), _VITAL, strict)


ALL = (
    Profile(
        "us-core-allergyintolerance",
        ("patient", "reaction.manifestation"),
        (
            invariant("ait-1", rules.allergy_1),
            invariant("ait-2", rules.allergy_2),
            bound("verificationStatus", f"{THO}allergyintolerance-verification", _VERIFIED),
        ),
        (told("code"), bound("clinicalStatus", f"{THO}allergyintolerance-clinical", "active inactive resolved")),
    ),
    Profile(
        "us-core-careplan",
        ("text.status", "text.div", "status", "intent", "category", "subject"),
        (categorized("assess-plan", system=f"{CATEGORY}careplan-category"),),
    ),
    Profile("us-core-careteam", ("subject", "participant", "participant.role", "participant.member")),
    *(
        Profile(
            name,
            ("category", "code", "subject"),
            (
                invariant("con-4", rules.condition_4),
                invariant("con-5", rules.condition_5),
                bound("clinicalStatus", f"{THO}condition-clinical", _COURSE),
                bound("verificationStatus", f"{THO}condition-ver-status", f"{_VERIFIED} provisional differential"),
            ),
            (found, invariant("con-3", rules.condition_3)),
        )
        for name, found in (
            ("us-core-condition-encounter-diagnosis", categorized("encounter-diagnosis", system=CONDITION_CATEGORY)),
            ("us-core-condition-problems-health-concerns", lambda one: _problem(one)),
        )
    ),
    Profile(
        "us-core-coverage",
        ("status", "beneficiary", "relationship", "payor", "class.type", "class.value"),
        (),
        (
            told("status"),
            invariant("us-core-15: no member id", lambda one: "subscriberId" in one or bool(_member(one))),
            invariant("one payor", lambda one: len(one["payor"]) == 1),
        ),
    ),
    Profile(
        "us-core-implantable-device",
        ("type", "patient"),
        (),
        (invariant("us-core-9: a UDI without its parts", rules.is_implanted),),
    ),
    Profile(
        "us-core-diagnosticreport-lab",
        ("status", "category", "code", "subject", "effective", "issued"),
        (categorized("LAB", system=V2_0074),),
    ),
    Profile(
        "us-core-diagnosticreport-note",
        ("status", "category", "code", "subject", "effective", "issued"),
    ),
    Profile(
        "us-core-documentreference",
        (
            *("status", "type", "category", "subject", "content", "content.attachment"),
            *("content.attachment.contentType", "content.attachment.url|data"),
        ),
        (),
        (lambda one: _typed_document(one),),
    ),
    Profile(
        "us-core-encounter",
        ("status", "class", "type", "subject", "identifier.system", "identifier.value", "location.location"),
    ),
    Profile("us-core-goal", ("lifecycleStatus", "description", "subject"), (), (told("lifecycleStatus"),)),
    Profile(
        "us-core-immunization",
        ("status", "vaccineCode", "patient", "occurrence", "primarySource"),
        (one_of("status", "completed", "entered-in-error", "not-done"),),
    ),
    Profile("us-core-location", ("name",)),
    Profile(
        "us-core-medicationdispense",
        ("status", "medication", "subject"),
        (
            invariant(
                "us-core-20: completed, and not when",
                lambda one: one.get("status") != "completed" or "whenHandedOver" in one or "_whenHandedOver" in one,
            ),
        ),
    ),
    Profile("us-core-medication", ("code",)),
    Profile("us-core-medicationrequest", ("status", "intent", "medication", "subject", "authoredOn", "requester")),
    Profile(
        "us-core-observation-lab",
        _OBSERVATION,
        (*_VALUED, categorized("laboratory"), invariant("us-core-3", rules.parts_have_values)),
        (invariant("us-core-1: not to the day", rules.to_the_day),),
    ),
    Profile("us-core-vital-signs", (*_OBSERVATION, "effective"), _VITAL, (rules.quantities_are_ucum,)),
    *map(_vital, VITALS),
    Profile(
        "us-core-smokingstatus",
        (*_OBSERVATION, "effective", "issued", "value|dataAbsentReason"),
        (categorized("social-history"),),
        (
            one_of("status", "final", "entered-in-error"),
            coded(LOINC, SMOKING),
            *_CODED_AT_ONCE,
        ),
    ),
    Profile(
        "us-core-observation-pregnancystatus",
        (*_OBSERVATION, "effective", "value|dataAbsentReason"),
        (categorized("social-history"), coded(LOINC, PREGNANCY)),
        _CODED_AT_ONCE,
    ),
    Profile("us-core-observation-clinical-result", _OBSERVATION, _VALUED),
    Profile("us-core-observation-screening-assessment", _OBSERVATION, (*_VALUED, categorized("survey"))),
    Profile(
        "us-core-simple-observation",
        _OBSERVATION,
        _VALUED,
        (invariant("its category is not known", lambda one: categories(one) != {"unknown"}),),
    ),
    Profile(
        "us-core-observation-sexual-orientation",
        (*_OBSERVATION, "effective"),
        (*_VALUED, coded(LOINC, ORIENTATION)),
        _CODED_AT_ONCE,
    ),
    Profile(
        "us-core-observation-occupation",
        (*_OBSERVATION, "effective", "value|dataAbsentReason"),
        (categorized("social-history"),),
    ),
    Profile(
        "us-core-observation-pregnancyintent",
        (*_OBSERVATION, "effective", "value|dataAbsentReason"),
        (categorized("social-history"),),
    ),
    Profile(
        "us-core-organization",
        ("active", "name"),
        (),
        (rules.registered, invariant("an address of more than four lines", rules.lines)),
    ),
    Profile(
        "us-core-patient",
        (
            *(
                "identifier",
                "identifier.system",
                "identifier.value",
                "name",
                "gender",
                "telecom.system",
                "telecom.value",
            ),
            "communication.language",
        ),
        (invariant("us-core-8: a name without family and given", rules.is_named), rules.extensions),
        (rules.listed,),
    ),
    Profile(
        "us-core-practitioner",
        ("identifier", "identifier.system", "identifier.value", "name", "name.family"),
        (),
        (rules.registered,),
    ),
    Profile("us-core-practitionerrole", ("practitioner", "organization")),
    Profile(
        "us-core-procedure",
        ("status", "code", "subject", "performed"),
    ),
    Profile(
        "us-core-provenance",
        ("target", "target.reference", "recorded", "agent", "agent.who", "agent.type"),
        (),
        (invariant("provenance-1", rules.acts_for_somebody),),
    ),
    Profile("us-core-questionnaireresponse", ("questionnaire", "status", "subject", "authored", "item.linkId")),
    Profile(
        "us-core-relatedperson",
        ("active", "patient"),
        (invariant("us-core-14: no name and no relationship", lambda one: "name" in one or "relationship" in one),),
    ),
    Profile("us-core-servicerequest", ("status", "intent", "code", "subject")),
    Profile("us-core-specimen", ("type",)),
)
PROFILES = {profile.name: profile for profile in ALL}
BY_URL = {profile.url: profile for profile in ALL}


def _problem(one: Resource) -> Iterator[str]:
    if not categories(one) & {"problem-list-item", "health-concern"}:
        yield "category is neither problem-list-item nor health-concern"


def _member(one: Resource) -> list[Resource]:
    return [held for held in one.get("identifier", ()) if any(code == "MB" for _, code in codings(held.get("type")))]


def _typed_document(one: Resource) -> Iterator[str]:
    """The type is of LOINC, or UNK (required)."""
    if not any(system == LOINC or code == "UNK" for system, code in codings(one.get("type"))):
        yield "type is no LOINC code"
    if "clinical-note" not in categories(one):
        yield "category has no clinical-note"


_ONLY = {
    "AllergyIntolerance": "us-core-allergyintolerance",
    "CarePlan": "us-core-careplan",
    "CareTeam": "us-core-careteam",
    "Coverage": "us-core-coverage",
    "DocumentReference": "us-core-documentreference",
    "Encounter": "us-core-encounter",
    "Goal": "us-core-goal",
    "Immunization": "us-core-immunization",
    "Location": "us-core-location",
    "Medication": "us-core-medication",
    "MedicationDispense": "us-core-medicationdispense",
    "MedicationRequest": "us-core-medicationrequest",
    "Organization": "us-core-organization",
    "Patient": "us-core-patient",
    "Practitioner": "us-core-practitioner",
    "PractitionerRole": "us-core-practitionerrole",
    "Procedure": "us-core-procedure",
    "Provenance": "us-core-provenance",
    "QuestionnaireResponse": "us-core-questionnaireresponse",
    "RelatedPerson": "us-core-relatedperson",
    "ServiceRequest": "us-core-servicerequest",
    "Specimen": "us-core-specimen",
}
_CODES = {
    SMOKING: "us-core-smokingstatus",
    PREGNANCY: "us-core-observation-pregnancystatus",
    OCCUPATION: "us-core-observation-occupation",
    ORIENTATION: "us-core-observation-sexual-orientation",
    INTENT: "us-core-observation-pregnancyintent",
}
_BY_CATEGORY = (
    ("laboratory", "us-core-observation-lab"),
    ("survey", "us-core-observation-screening-assessment"),
    ("imaging", "us-core-observation-clinical-result"),
    ("procedure", "us-core-observation-clinical-result"),
    ("exam", "us-core-observation-clinical-result"),
)


def profile_of(resource: Resource) -> Profile | None:
    """Which profile such a resource would have, whether it claims it or not."""
    kind = resource["resourceType"]
    if kind == "Condition":
        diagnosis = "encounter-diagnosis" in categories(resource)
        return PROFILES[f"us-core-condition-{'encounter-diagnosis' if diagnosis else 'problems-health-concerns'}"]
    if kind == "DiagnosticReport":
        return PROFILES[f"us-core-diagnosticreport-{'lab' if 'LAB' in categories(resource) else 'note'}"]
    if kind == "Device":
        return PROFILES["us-core-implantable-device"] if "patient" in resource else None
    if kind == "Observation":
        return PROFILES[_observation(resource)]
    return PROFILES[_ONLY[kind]] if kind in _ONLY else None


def _observation(one: Resource) -> str:
    said, code = categories(one), rules.code_of(one.get("code"), LOINC)
    if "vital-signs" in said:
        return next((name for name, known in VITALS.items() if code & set(known)), "us-core-vital-signs")
    if known := code & set(_CODES):
        return _CODES[str(min(map(str, known)))]
    return next((name for category, name in _BY_CATEGORY if category in said), "us-core-simple-observation")
