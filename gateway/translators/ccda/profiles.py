"""Which profile of US Core a resource meets: what `meta.profile` claims (US Core 6.1.0, and 3.1.1 where it has one).

A resource comes here with its stand-ins, so that what is mandatory is there. What is left to ask is what no reason can
stand in for: codes with a required binding, slices, units, and the invariants.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from gateway.fhir.json import Resource

from .values import LOINC, UCUM

_NPI, _CLIA = "http://hl7.org/fhir/sid/us-npi", "urn:oid:2.16.840.1.113883.4.7"
_NAIC = "urn:oid:2.16.840.1.113883.6.300"
_CLIA_FORM, _NAIC_FORM = re.compile(r"\d\dD\d{7}"), re.compile(r"\d{5}")
_RACES = "urn:oid:2.16.840.1.113883.6.238"
_DAY = len("2024-05-01")
_NOTES = frozenset(["LP29684-5", "LP29708-2", "LP7839-6"])
_LISTED = ("problem-list-item", "health-concern")
_OVER = frozenset(["inactive", "resolved", "remission"])

Test = Callable[[Resource], str | None]


def profile_of(resource: Resource) -> str | None:
    """The end of the profile's canonical (below `patient.CORE`), None where it meets none."""
    test = _TESTS.get(resource["resourceType"])
    return test(resource) if test else None


def _codes(concepts: Iterable[Any]) -> Iterable[str]:
    return [one["code"] for concept in concepts for one in concept.get("coding", ()) if "code" in one]


def _always(name: str) -> Test:
    return lambda _: name


def _told(name: str, *elements: str) -> Test:
    """Where these codes are told: no reason may stand in for a code with a required binding."""
    return lambda resource: name if all(element in resource for element in elements) else None


def _numbered(name: str) -> Test:
    """Where the numbers that a registry gave have its form (us-core-16 to us-core-19)."""
    return lambda resource: name if all(map(_is_sound, resource.get("identifier", ()))) else None


def _organization(resource: Resource) -> str | None:
    """An address of it has four lines at most."""
    short = all(len(one.get("line", ())) <= 4 for one in resource.get("address", ()))
    return _numbered("us-core-organization")(resource) if short else None


def _is_sound(identifier: Resource) -> bool:
    system, value = identifier.get("system"), identifier.get("value", "")
    if system == _NPI:
        return is_npi(value)
    if system == _CLIA:
        return _CLIA_FORM.fullmatch(value) is not None
    return system != _NAIC or _NAIC_FORM.fullmatch(value) is not None


def is_npi(value: str) -> bool:
    """Ten digits, the last of them the Luhn digit of the others behind 80840 (45 CFR 162.406)."""
    if len(value) != 10 or not (value.isascii() and value.isdigit()):
        return False
    doubled = [int(digit) * (2 if at % 2 == 0 else 1) for at, digit in enumerate(value)]
    return (24 + sum(one - 9 if one > 9 else one for one in doubled)) % 10 == 0


def _condition(resource: Resource) -> str | None:
    """con-3 and con-4: what is on the problem list has a status, what has abated is over."""
    said, status = _codes(resource.get("category", ())), _codes([resource.get("clinicalStatus", {})])
    if any(name.startswith("abatement") for name in resource) and _OVER.isdisjoint(status):
        return None
    if "encounter-diagnosis" in said:
        return "us-core-condition-encounter-diagnosis"
    listed = any(code in said for code in _LISTED) and ("clinicalStatus" in resource or "problem-list-item" not in said)
    return "us-core-condition-problems-health-concerns" if listed else None


def _report(resource: Resource) -> str | None:
    said = _codes(resource.get("category", ()))
    if "LAB" in said:
        return "us-core-diagnosticreport-lab"
    return None if _NOTES.isdisjoint(said) else "us-core-diagnosticreport-note"


def _document(resource: Resource) -> str | None:
    """A clinical note by its LOINC code."""
    kinds = [one for one in resource.get("type", {}).get("coding", ()) if one.get("system") == LOINC]
    return "us-core-documentreference" if kinds and "clinical-note" in _codes(resource["category"]) else None


def _coverage(resource: Resource) -> str | None:
    member = "subscriberId" in resource or "MB" in _codes(one.get("type", {}) for one in resource.get("identifier", ()))
    return "us-core-coverage" if member and "status" in resource and len(resource["payor"]) == 1 else None


def _device(resource: Resource) -> str | None:
    """With a UDI it is one that is implanted: its identifier and one of what identifies its production (us-core-9)."""
    carriers = resource.get("udiCarrier", ())
    whole = all("deviceIdentifier" in one for one in carriers)
    made = {"lotNumber", "serialNumber", "manufactureDate", "expirationDate", "distinctIdentifier"} & set(resource)
    return "us-core-implantable-device" if carriers and whole and made else None


def _patient(resource: Resource) -> str | None:
    """Races and ethnicities of the CDC's list."""
    parts = [part for one in resource.get("extension", ()) for part in one.get("extension", ())]
    details = [part["valueCoding"].get("system") for part in parts if part["url"] == "detailed"]
    return "us-core-patient" if {*details} <= {_RACES} else None


def _provenance(resource: Resource) -> str | None:
    """provenance-1: who is a Practitioner or a Device would have to act for an organization."""
    who = [agent["who"].get("reference", "").partition("/")[0] for agent in resource["agent"]]
    return None if {"Practitioner", "Device"} & set(who) else "us-core-provenance"


def _related(resource: Resource) -> str | None:
    return "us-core-relatedperson" if "name" in resource or "relationship" in resource else None


def _dispense(resource: Resource) -> str | None:
    handed = resource.get("status") != "completed" or "whenHandedOver" in resource
    return "us-core-medicationdispense" if handed and "status" in resource else None


def _allergy(resource: Resource) -> str | None:
    """ait-1 and ait-2: a status, unless it is an error. A substance known to be harmless has no code (CF-allergies)."""
    error = "entered-in-error" in _codes([resource.get("verificationStatus", {})])
    told = "coding" in resource.get("clinicalStatus", {})
    return "us-core-allergyintolerance" if error != told and "code" in resource else None


def _observation(resource: Resource) -> str | None:
    said = _codes(resource["category"])
    if "status" not in resource or not _says_something(resource):
        return None
    if "vital-signs" in said:
        return _vital_sign(resource) if _exact_to_the_day(resource) else None
    for code in _codes([resource["code"]]):
        if "social-history" in said and code in _SOCIAL:
            return _SOCIAL[code](resource)
    if "laboratory" in said:
        return "us-core-observation-lab" if _exact_to_the_day(resource) else None
    if "survey" in said:
        return "us-core-observation-screening-assessment"
    if not _RESULTS.isdisjoint(said):
        return "us-core-observation-clinical-result"
    return "us-core-simple-observation" if said != ["unknown"] else None


def _says_something(resource: Resource) -> bool:
    """us-core-2: a value, the reason why there is none, parts or members; each part likewise (us-core-3, vs-3)."""
    return _has_value(resource) and all(map(_has_value, resource.get("component", ())))


def _has_value(held: Resource) -> bool:
    return not _TOLD.isdisjoint(held)


_TYPES = "Quantity CodeableConcept String Boolean Integer Range Ratio SampledData Time DateTime Period"
_TOLD = frozenset([*(f"value{kind}" for kind in _TYPES.split()), "dataAbsentReason", "component", "hasMember"])


def _exact_to_the_day(resource: Resource) -> bool:
    """vs-1, us-core-1."""
    return len(resource.get("effectiveDateTime") or "2024-05-01") >= _DAY


def _vital_sign(resource: Resource) -> str | None:
    """The profile of its code where value and unit are what that asks for, else that of all vital signs."""
    held = [one["valueQuantity"] for one in (resource, *resource.get("component", ())) if "valueQuantity" in one]
    if any(one.get("system") != UCUM for one in held):
        return None
    codes = _codes([resource["code"]])
    name, units = next((_VITAL_SIGNS[code] for code in codes if code in _VITAL_SIGNS), ("", frozenset()))
    if name == "us-core-blood-pressure":
        return name if _is_pressure(resource) else "us-core-vital-signs"
    fits = resource.get("valueQuantity", {}).get("code") in units and (name != _OXIMETRY or "2708-6" in codes)
    return name if fits else "us-core-vital-signs"


def _is_pressure(resource: Resource) -> bool:
    parts = [*_codes(one["code"] for one in resource.get("component", ()))]
    units = [one["valueQuantity"].get("code") for one in resource.get("component", ()) if "valueQuantity" in one]
    return parts.count("8480-6") == parts.count("8462-4") == 1 and {*units} <= {"mm[Hg]"}


_OXIMETRY = "us-core-pulse-oximetry"
_LENGTH, _PERCENT, _RATE = frozenset(["cm", "[in_i]"]), frozenset(["%"]), frozenset(["/min"])
_VITAL_SIGNS: dict[str, tuple[str, frozenset[str]]] = {
    "85354-9": ("us-core-blood-pressure", frozenset()),
    "39156-5": ("us-core-bmi", frozenset(["kg/m2"])),
    "8302-2": ("us-core-body-height", _LENGTH),
    "8310-5": ("us-core-body-temperature", frozenset(["Cel", "[degF]"])),
    "29463-7": ("us-core-body-weight", frozenset(["g", "kg", "[lb_av]"])),
    "9843-4": ("us-core-head-circumference", _LENGTH),
    "8867-4": ("us-core-heart-rate", _RATE),
    "59408-5": (_OXIMETRY, _PERCENT),
    "9279-1": ("us-core-respiratory-rate", _RATE),
    "8289-1": ("head-occipital-frontal-circumference-percentile", _PERCENT),
    "59576-9": ("pediatric-bmi-for-age", _PERCENT),
    "77606-2": ("pediatric-weight-for-height", _PERCENT),
}


def _at_once(name: str, *, states: tuple[str, ...] = ()) -> Test:
    """A coded statement at one time."""

    def test(resource: Resource) -> str | None:
        coded = "valueCodeableConcept" in resource and "effectivePeriod" not in resource
        return name if coded and (not states or resource["status"] in states) else None

    return test


_SOCIAL: dict[str, Test] = {
    "72166-2": _at_once("us-core-smokingstatus", states=("final", "entered-in-error")),
    "82810-3": _at_once("us-core-observation-pregnancystatus"),
    "76690-7": _at_once("us-core-observation-sexual-orientation"),
}
_RESULTS = frozenset(["imaging", "procedure", "exam"])

_TESTS: dict[str, Test] = {
    "AllergyIntolerance": _allergy,
    "CarePlan": _always("us-core-careplan"),
    "CareTeam": _always("us-core-careteam"),
    "Condition": _condition,
    "Coverage": _coverage,
    "Device": _device,
    "DiagnosticReport": _report,
    "DocumentReference": _document,
    "Encounter": _told("us-core-encounter", "status"),
    "Goal": _told("us-core-goal", "lifecycleStatus"),
    "Immunization": _told("us-core-immunization", "status"),
    "Location": _always("us-core-location"),
    "Medication": _told("us-core-medication", "code"),
    "MedicationDispense": _dispense,
    "MedicationRequest": _told("us-core-medicationrequest", "status", "intent"),
    "Observation": _observation,
    "Organization": _organization,
    "Patient": _patient,
    "Practitioner": _numbered("us-core-practitioner"),
    "PractitionerRole": _always("us-core-practitionerrole"),
    "Procedure": _told("us-core-procedure", "status"),
    "Provenance": _provenance,
    "RelatedPerson": _related,
    "ServiceRequest": _told("us-core-servicerequest", "status", "intent", "code"),
    "Specimen": _told("us-core-specimen", "type"),
}
