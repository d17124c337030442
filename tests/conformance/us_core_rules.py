"""Invariants of US Core and of the R4 resources under it that a translator can break, each by its published key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.conformance.us_core import (
    CORE,
    LOINC,
    UCUM,
    Resource,
    codings,
    is_absent,
    named,
)

VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
ALLERGY_VERIFICATION = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
GONE = frozenset(["inactive", "resolved", "remission"])
RACES = frozenset(["1002-5", "2028-9", "2054-5", "2076-8", "2106-3", "UNK", "ASKU"])
ETHNICITIES = frozenset(["2135-2", "2186-5", "UNK", "ASKU"])
SYSTOLIC, DIASTOLIC = "8480-6", "8462-4"


def code_of(concept: Any, system: str | None = None) -> set[str | None]:
    return {code for one, code in codings(concept) if system in (None, one)}


def is_error(resource: Resource, system: str) -> bool:
    return "entered-in-error" in code_of(resource.get("verificationStatus"), system)


def condition_3(one: Resource) -> bool:
    """clinicalStatus is there for what is on the problem list and no error."""
    on_list = any("problem-list-item" in code_of(category) for category in one.get("category", ()))
    return "clinicalStatus" in one or is_error(one, VERIFICATION) or not on_list


def condition_4(one: Resource) -> bool:
    """What has abated is over."""
    abated = any(key.lstrip("_").startswith("abatement") for key in one)
    return not abated or bool(code_of(one.get("clinicalStatus")) & GONE)


def condition_5(one: Resource) -> bool:
    return not (is_error(one, VERIFICATION) and "clinicalStatus" in one)


def allergy_1(one: Resource) -> bool:
    return "clinicalStatus" in one or is_error(one, ALLERGY_VERIFICATION)


def allergy_2(one: Resource) -> bool:
    return not (is_error(one, ALLERGY_VERIFICATION) and "clinicalStatus" in one)


def is_named(one: Resource) -> bool:
    """Each name has family or given, or says why not (us-core-8, us-core-6)."""
    return all({"family", "given"} & set(name) or is_absent(name) or "_family" in name for name in one.get("name", ()))


def has_value(one: Resource) -> bool:
    """us-core-2, vs-2: a value, a reason, parts or members."""
    return bool(named(one, "value")) or any(key in one for key in ("dataAbsentReason", "component", "hasMember"))


def parts_have_values(one: Resource) -> bool:
    """us-core-3 of 3.1.1, vs-3."""
    return all(named(part, "value") or "dataAbsentReason" in part for part in one.get("component", ()))


def to_the_day(one: Resource) -> bool:
    """vs-1: when, at least to the day; a reason instead is accepted, as the source may have none."""
    moment = one.get("effectiveDateTime")
    return moment is None or len(moment) >= len("2024-05-01")


def quantities_are_ucum(one: Resource) -> Iterator[str]:
    """A vital sign's quantity has value, unit, UCUM and code."""
    for holder in (one, *one.get("component", ())):
        amount = holder.get("valueQuantity")
        if amount is not None and not (amount.get("system") == UCUM and amount.get("code") and "value" in amount):
            yield "valueQuantity is not UCUM"


def pressures(one: Resource) -> Iterator[str]:
    """us-core-blood-pressure: both components, once each."""
    parts = [code for part in one.get("component", ()) for code in code_of(part.get("code"), LOINC)]
    for code in (SYSTOLIC, DIASTOLIC):
        if parts.count(code) != 1:
            yield f"component {code} is there {parts.count(code)} times"


def extensions(one: Resource) -> Iterator[str]:
    """us-core-race and -ethnicity: a text, categories of the list only; us-core-birthsex: its codes."""
    for extension in one.get("extension", ()):
        name = extension["url"].removeprefix(CORE)
        if name in ("us-core-race", "us-core-ethnicity"):
            yield from _grouped(name, extension["extension"])
        elif name == "us-core-birthsex" and extension.get("valueCode") not in ("F", "M", "OTH", "UNK", "ASKU"):
            yield "birthsex is none of its codes"


def _grouped(name: str, parts: list[Resource]) -> Iterator[str]:
    allowed, most = (RACES, 6) if name == "us-core-race" else (ETHNICITIES, 1)
    groups = [part["valueCoding"]["code"] for part in parts if part["url"] == "ombCategory"]
    if [part["url"] for part in parts].count("text") != 1:
        yield f"{name} has no text"
    if len(groups) > most or not allowed.issuperset(groups):
        yield f"{name} has the categories {groups}"


def acts_for_somebody(one: Resource) -> bool:
    """provenance-1 of 3.1.1: who is a practitioner or a device acts for somebody."""
    return all(
        "onBehalfOf" in agent
        for agent in one.get("agent", ())
        if str(agent.get("who", {}).get("reference")).partition("/")[0] in ("Practitioner", "Device")
    )


def lines(one: Resource) -> bool:
    """An address has at most four lines."""
    return all(len(address.get("line", ())) <= 4 for address in one.get("address", ()))


def is_npi(number: str) -> bool:
    """us-core-16, us-core-17: ten digits whose last one checks the others, which stand behind 80840."""
    if not re.fullmatch(r"[0-9]{10}", number):
        return False
    digits = [int(digit) for digit in reversed("80840" + number)]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


def registered(one: Resource) -> Iterator[str]:
    """us-core-16 to us-core-19: numbers that a registry gives have its form."""
    forms = {
        "http://hl7.org/fhir/sid/us-npi": is_npi,
        "urn:oid:2.16.840.1.113883.4.7": re.compile("[0-9]{2}D[0-9]{7}").fullmatch,
        "urn:oid:2.16.840.1.113883.6.300": re.compile("[0-9]{5}").fullmatch,
    }
    for held in one.get("identifier", ()):
        if (form := forms.get(held.get("system"))) and not form(held["value"]):
            yield f"a number of {held['system']} has not its form"


def is_implanted(one: Resource) -> bool:
    """us-core-9 of 3.1.1: a UDI with its device identifier, and one of what identifies its production."""
    produced = ("manufactureDate", "expirationDate", "lotNumber", "serialNumber", "distinctIdentifier")
    carriers = one.get("udiCarrier", ())
    return all("deviceIdentifier" in carrier for carrier in carriers) and any(name in one for name in produced)


def listed(one: Resource) -> Iterator[str]:
    """The details of race and ethnicity are of the CDC's list (required)."""
    for extension in one.get("extension", ()):
        for part in extension.get("extension", ()):
            if part["url"] == "detailed" and part["valueCoding"].get("system") != "urn:oid:2.16.840.1.113883.6.238":
                yield f"{extension['url']} has a detail of another list"
