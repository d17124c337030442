"""Keys: the identifiers that may say who somebody is (docs/explain/architecture.md, "Who is meant: identifiers").

A number that names a card, a plan, a family or an account is never a key, whatever the configuration lists.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from gateway.fhir.json import Json, Resource


class Key(NamedTuple):
    """A normalised identifier: `system` and `value` as two spellings of the same one have them."""

    system: str
    value: str


NEVER_SYSTEMS = {
    "urn:oid:2.16.840.1.113883.4.1": "a social security number",
    "http://hl7.org/fhir/sid/us-ssn": "a social security number",
    "urn:oid:2.16.840.1.113883.4.572": "a Medicare number",
    "http://hl7.org/fhir/sid/us-medicare": "a Medicare number",
    "http://hl7.org/fhir/sid/us-mbi": "a Medicare number",
    "urn:oid:2.16.840.1.113883.4.927": "a Medicare number",
    "urn:oid:2.16.840.1.113883.4.6": "a provider's number",
    "http://hl7.org/fhir/sid/us-npi": "a provider's number",
}
NEVER_ARCS = {
    "urn:oid:2.16.840.1.113883.19": "HL7's arc for examples",
    "urn:oid:2.16.840.1.113883.4.3": "a driver's licence",
}
NEVER_SCHEMES = {
    "tel": "a phone number",
    "sms": "a phone number",
    "phone": "a phone number",
    "mailto": "an e-mail address",
    "email": "an e-mail address",
}
"""Where a system is such a scheme, or has it (`tel:`)."""

NEVER_TYPES = {
    "SS": "a social security number",
    "SB": "a social beneficiary number",
    "DL": "a driver's licence",
    "LN": "a licence",
    "MB": "a member number",
    "SN": "a subscriber number",
    "NIIP": "an insurance number",
    "MA": "a Medicaid number",
    "MC": "a Medicare number",
    "MCN": "a microchip number",
    "AN": "an account number",
    "GI": "a guarantor's number",
    "GN": "a guarantor's number",
    "VN": "a visit number",
    "BC": "a bank card",
    "TAX": "a tax number",
}
"""Identifier.type codes of HL7 table 0203 (http://terminology.hl7.org/CodeSystem/v2-0203)."""

_TABLE_0203 = ("http://terminology.hl7.org/CodeSystem/v2-0203", "http://hl7.org/fhir/v2/0203")

# fmt: off
PLACEHOLDERS = frozenset({
    "unknown", "unk", "unkn", "unspecified", "undefined", "undisclosed", "none", "nil", "null", "nan", "na", "nav",
    "ni", "noid", "nomrn", "nossn", "test", "testing", "testpatient", "dummy", "sample", "example", "anonymous",
    "anon", "temp", "temporary", "tbd", "tba", "pending", "notapplicable", "notavailable", "notassigned",
    "notprovided", "notknown", "notonfile", "refused", "declined", "patient", "identifier", "mrn", "id", "ssn",
})
# fmt: on
"""What people type where a number is asked for, without its punctuation."""

_OID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*))+", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_AUTHORITY = re.compile(r"(https?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@dataclass(frozen=True, slots=True)
class KeySystems:
    """The systems whose identifiers decide: `ours` (`{public url}/fhir/Patient`) and what the configuration lists."""

    ours: str
    listed: frozenset[str]

    def __contains__(self, system: str) -> bool:
        return system in self.listed


def key_systems(ours: str, configured: Iterable[str] = ()) -> KeySystems:
    """Ours, each connector's own id system and the listed ones, normalised; those that are never keys left out."""
    own = normal_system(ours)
    systems = {own, *map(normal_system, configured)}
    return KeySystems(own, frozenset(one for one in systems if never_system(one) is None))


@lru_cache(maxsize=1024)  # few systems come again and again
def normal_system(system: str) -> str:
    """One spelling per system: `1.2.3` and `URN:OID:1.2.3` are `urn:oid:1.2.3`; scheme and host in lower case."""
    text = system.strip()
    lower = text.lower()
    if _OID.fullmatch(text):
        return f"urn:oid:{text}"
    if _UUID.fullmatch(lower):
        return f"urn:uuid:{lower}"
    if lower.startswith(("urn:oid:", "urn:uuid:")):
        return lower
    match = _AUTHORITY.fullmatch(text)
    return f"{match[1].lower()}://{match[2].lower()}{match[3]}" if match else text


def normal_value(value: str) -> str:
    """One spelling per value: composed characters, single blanks, none around. Letter case stays, as Identifier.value
    is case sensitive (FHIR R4 §2.24.0.13)."""
    return " ".join(unicodedata.normalize("NFC", value).split())


@lru_cache(maxsize=1024)
def never_system(system: str) -> str | None:
    """Why a normalised system can never be a key; None when it can."""
    arc = next((why for root, why in NEVER_ARCS.items() if system == root or system.startswith(f"{root}.")), None)
    return arc or NEVER_SYSTEMS.get(system) or NEVER_SCHEMES.get(system.partition(":")[0].lower())


@lru_cache(maxsize=1024)  # asked several times while one message is worked out
def is_placeholder(value: str) -> bool:
    """Whether a value stands for none: `0000`, `999-99-9999`, `n/a`, `TEST`."""
    plain = "".join(char for char in value.casefold() if char.isalnum())
    if not plain or plain in PLACEHOLDERS:
        return True
    return len(set(plain)) == 1 and (plain[0] in "0x" or len(plain) > 3)


def key_identifiers(resource: Resource, systems: KeySystems) -> list[Key]:
    """The identifiers of a Patient that decide who it is, normalised, each once, in its order."""
    usable = (_key(one) for one in _usable(resource))
    return list(dict.fromkeys(key for key in usable if key.system in systems))


def other_identifiers(resource: Resource, systems: KeySystems) -> list[tuple[str, str]]:
    """Those of systems that nobody listed, as written (as the search index has them): they decide only together with
    name and birth date."""
    found = ((one["system"], one["value"]) for one in _usable(resource) if _key(one).system not in systems)
    return list(dict.fromkeys(found))


def contradict(a: Iterable[Key], b: Iterable[Key]) -> bool:
    """Whether a key system gave both a number, and none that both have: two people, or one who was registered twice."""
    ours, theirs = set(a), set(b)
    shared = {key.system for key in ours} & {key.system for key in theirs}
    return not shared <= {key.system for key in ours & theirs}


def _usable(resource: Resource) -> Iterator[dict[str, Json]]:
    found = resource.get("identifier")
    for one in found if isinstance(found, list) else ():
        if _is_complete(one) and one.get("use") not in ("old", "temp") and never(one) is None:
            yield one


def _is_complete(identifier: Json) -> bool:
    return isinstance(identifier, dict) and all(
        isinstance(identifier.get(part), str) and identifier[part].strip() for part in ("system", "value")
    )


def _key(identifier: dict[str, Json]) -> Key:
    return Key(normal_system(identifier["system"]), normal_value(identifier["value"]))


def never(identifier: dict[str, Json]) -> str | None:
    """Why an identifier with system and value can never be a key; None when its system may make it one."""
    value = identifier["value"]
    if is_placeholder(value):
        return "a placeholder"
    if _EMAIL.fullmatch(value):
        return "an e-mail address"
    scheme = NEVER_SCHEMES.get(value.partition(":")[0].strip().lower()) if ":" in value else None
    return scheme or never_system(normal_system(identifier["system"])) or _never_type(identifier.get("type"))


def _never_type(concept: Json) -> str | None:
    codings = concept.get("coding") if isinstance(concept, dict) else None
    for coding in codings if isinstance(codings, list) else ():
        if isinstance(coding, dict) and coding.get("system", _TABLE_0203[0]) in _TABLE_0203:
            why = NEVER_TYPES.get(str(coding.get("code")))
            if why:
                return why
    return None
