"""Metriport's patient model <-> FHIR Patient.

Source: metriport.md, "Patient model": names, `dob`, `genderAtBirth`, addresses, contacts, `personalIdentifiers` and our
id (`externalId`). The model has lists of addresses and contacts; the first of each is kept in step, others stay theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from gateway.fhir.form import ONE_NAME, Field, Form, choose
from gateway.fhir.issue import Issue
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage, Record
from gateway.fhir.slots import split, unwrap

from .left_out import odd, unplaced, unread, without_place
from .us_states import LICENSE_SYSTEMS, find_state

SSN = "http://hl7.org/fhir/sid/us-ssn"
BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"

PHONE = Field("telecom[phone]", tuple(f"telecom[phone{use}]" for use in (",mobile", ",home", "", ",work", ",temp")))
EMAIL = Field("telecom[email]", tuple(f"telecom[email{use}]" for use in (",home", "", ",work", ",mobile", ",temp")))
ADDRESS = Field("address[-]", tuple(f"address[{use}]" for use in ("home", "-", "temp", "work")))

_IDENTIFIERS = frozenset(f"identifier[{system}]" for system in (SSN, *LICENSE_SYSTEMS.values()))
_SINGLE = frozenset({"name", "birthDate", "gender", "address", "telecom[phone]", "telecom[email]"})
_TELECOMS = frozenset((*PHONE.prefer, *EMAIL.prefer))

READS = _SINGLE | _IDENTIFIERS
FORM = Form(
    reads=Coverage(READS),
    writes=_SINGLE | _TELECOMS | _IDENTIFIERS | {f"extension[{BIRTH_SEX}]"},
    fields=(ONE_NAME, PHONE, EMAIL, ADDRESS),
    parts={
        "name": frozenset({"family", "given"}),
        "address": frozenset({"line", "city", "state", "postalCode", "country"}),
        "telecom": frozenset({"value"}),
    },
)
"""What the model holds. genderAtBirth is read as `gender` only: which of the two it was there is not told."""

_GENDER = {"F": "female", "M": "male", "O": "other", "U": "unknown"}
_SEX = {"female": "F", "male": "M", "other": "O", "unknown": "U", "F": "F", "M": "M", "OTH": "O", "UNK": "U"}
_SEX |= {"ASKU": "U"}
_OUR_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_ZIP = re.compile(r"(\d{5})(?:-?\d{4})?", re.ASCII)
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_COUNTRY = frozenset({"US", "USA", "UNITED STATES", "UNITED STATES OF AMERICA"})
_PLACES = {
    "addressLine1": "Patient.address.line",
    "city": "Patient.address.city",
    "state": "Patient.address.state (of the USA)",
    "zip": "Patient.address.postalCode (5 digits)",
    "country": "Patient.address.country (USA)",
}
_SLOTS: Mapping[str, frozenset[str]] = {
    "firstName": frozenset({"name"}),
    "lastName": frozenset({"name"}),
    "dob": frozenset({"birthDate"}),
    "genderAtBirth": frozenset({"gender"}),
    "address": frozenset({"address"}),
    "contact": frozenset({"telecom[phone]", "telecom[email]"}),
    "personalIdentifiers": _IDENTIFIERS,
}
"""Field -> where it is read."""
_FIELDS = {"firstName": "Patient.name.given", "lastName": "Patient.name.family"}


@dataclass(frozen=True, slots=True)
class Model:
    """Their patient as FHIR. `coverage` = what this very body speaks about, `issues` = what of it is not here."""

    patient: Resource
    coverage: Coverage
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class Demographics:
    """A Patient as they want it; `missing` = what they require and our Patient lacks, as `Patient.address.city`."""

    body: dict[str, Any]
    missing: tuple[str, ...]


def from_partner(body: Mapping[str, Any], *, ours: str, theirs: str) -> Model:
    """Their patient -> Patient; absent keys of a whole patient say "there is none". `theirs` = the system of their ids:
    an externalId that cannot be ours is an identifier of `{theirs}/external-id`."""
    patient: Resource = {"resourceType": "Patient"}
    external = f"{theirs}/external-id"
    identifiers = _read_identifiers(body, ours, external)
    name, telecom, address = _read_name(body), _read_telecom(body), _read_address(body)
    for element, found in (("identifier", identifiers), ("name", name), ("telecom", telecom)):
        if found:
            patient[element] = found
    if gender := _GENDER.get(_text(body.get("genderAtBirth")) or ""):
        patient["gender"] = gender
    if is_day(body.get("dob")):
        patient["birthDate"] = body["dob"]
    if address:
        patient["address"] = [address]
    own = frozenset({f"identifier[{ours}/Patient]", f"identifier[{external}]"})
    left = set(_unread(body, patient))
    silent = {slot for name in left for slot in (own if name == "externalId" else _SLOTS[name])}
    return Model(patient, Coverage((READS | own) - silent), (*unread(left), *_unplaced(body)))


def to_partner(patient: Resource, *, our_id: str) -> Demographics:
    """Patient -> their demographics under our id. A day, an address or a sex is never invented: what is missing is
    named. The sex at birth is us-core-birthsex, else the administrative gender, else `U`, their word for unknown."""
    slots = split(patient)
    name = _chosen(ONE_NAME, slots)
    body: dict[str, Any] = {
        "firstName": " ".join(name.get("given") or ()),
        "lastName": name.get("family") or "",
        "dob": patient.get("birthDate") or "",
        "genderAtBirth": _sex(patient),
        "address": [_address(_chosen(ADDRESS, slots))],
        "externalId": our_id,
    }
    contact = {"phone": _phone(_chosen(PHONE, slots)), "email": _email(_chosen(EMAIL, slots))}
    if known := {key: value for key, value in contact.items() if value}:
        body["contact"] = [known]
    if identifiers := _identifiers(patient):
        body["personalIdentifiers"] = identifiers
    return Demographics(body, tuple(_missing(body)))


def merge(held: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """What a full replace has to hold so that only the first address and contact change: theirs beyond stay, and so do
    the identifiers that have no place here."""
    held, merged = _without_nulls(held), dict(body)
    odd = [one for one in _objects(held.get("personalIdentifiers")) if _system(one) is None]
    if odd:
        merged["personalIdentifiers"] = [*(body.get("personalIdentifiers") or []), *odd]
    addresses = held.get("address")
    beyond = {"address": addresses[1:] if isinstance(addresses, list) else [], "contact": _other_contacts(held, body)}
    for name, rest in beyond.items():
        first = body.get(name) or []
        if first or rest:
            merged[name] = [*first, *rest]
    return merged


def _other_contacts(held: Mapping[str, Any], body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Their contacts beyond the first, without a phone or mail that is read as the first: one that is the same would
    stand there twice, and one that is no longer known here ends there too."""
    contacts = _objects(held.get("contact"))
    rest = [dict(one) for one in contacts[1:]]
    ours = next(iter(_objects(body.get("contact"))), {})
    for system in ("phone", "email"):
        first = next((one for one in rest if _text(one.get(system))), None)
        leads = any(_text(one.get(system)) for one in contacts[:1])
        if first is not None and not leads and ours.get(system) in (None, _text(first[system])):
            del first[system]
    return [one for one in rest if one]


def of_theirs(held: Mapping[str, Any]) -> dict[str, Any]:
    """Their patient as they would take it back unchanged."""
    names = ("firstName", "lastName", "dob", "genderAtBirth", "address", "contact", "personalIdentifiers", "externalId")
    return {name: value for name, value in _without_nulls(held).items() if name in names and value}


def _without_nulls(value: Any) -> Any:
    """As it may be sent: what they answer as null, a request leaves out."""
    if isinstance(value, Mapping):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [one for one in map(_without_nulls, value) if one not in (None, {})]
    return value


def is_day(value: Any) -> bool:
    """Whether it is a whole day as they write it (YYYY-MM-DD)."""
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _chosen(field: Field, slots: Mapping[str, Any]) -> dict[str, Any]:
    """The element that fills a field, as the form chooses it too."""
    slot = choose(field, slots, Record("", "Patient", ""))
    found = unwrap(slots[slot])[0] if slot else None
    return dict(found[0]) if isinstance(found, list) and found and isinstance(found[0], dict) else {}


def _phone(one: Mapping[str, Any]) -> str | None:
    """Ten digits; a number of another country has no place in their model and stays with us."""
    text = (one.get("value") or "").strip().removeprefix("tel:")
    digits = re.sub(r"\D", "", text, flags=re.ASCII)
    national = digits[1:] if len(digits) == 11 and digits.startswith("1") else digits
    abroad = text.startswith("+") and national == digits
    return national if len(national) == 10 and not abroad else None


def _email(one: Mapping[str, Any]) -> str | None:
    value = (one.get("value") or "").strip()
    return value if _MAIL.fullmatch(value) else None


def _sex(patient: Resource) -> str:
    listed = patient.get("extension") or ()
    birth = next((one.get("valueCode") for one in listed if one.get("url") == BIRTH_SEX), None)
    return _SEX.get(birth or patient.get("gender") or "", "U")


def _address(one: Mapping[str, Any]) -> dict[str, Any]:
    lines = [line for line in one.get("line") or () if line]
    code = _ZIP.fullmatch((one.get("postalCode") or "").strip())
    state = find_state(one.get("state") or "")
    address = {
        "addressLine1": lines[0] if lines else "",
        "addressLine2": ", ".join(lines[1:]),
        "city": one.get("city") or "",
        "state": state or "",
        "zip": code[1] if code else "",
        "country": "USA" if (one.get("country") or "US").strip().upper() in _COUNTRY else "",
    }
    return {key: value for key, value in address.items() if value or key != "addressLine2"}


def _missing(body: Mapping[str, Any]) -> list[str]:
    """Our elements that would have to say something, in the order of their model."""
    missing = [place for name, place in _FIELDS.items() if not body[name].strip()]
    if not is_day(body["dob"]):
        missing.append("Patient.birthDate (a whole day)")
    [address] = body["address"]
    if not any(address[name] for name in ("addressLine1", "city", "state", "zip")):
        return [*missing, "Patient.address"]
    return missing + [place for name, place in _PLACES.items() if not address[name]]


def _identifiers(patient: Resource) -> list[dict[str, str]]:
    found = []
    states = {system: state for state, system in LICENSE_SYSTEMS.items()}
    for one in patient.get("identifier") or ():
        system, value = one.get("system"), one.get("value")
        if value and system == SSN:
            found.append({"type": "ssn", "value": value})
        elif value and system in states:
            found.append({"type": "driversLicense", "state": states[system], "value": value})
    return found


def _unread(body: Mapping[str, Any], patient: Resource) -> Iterator[str]:
    """The fields that say something in a way that cannot be read: that is not "there is none"."""
    yield from odd(body, dict.fromkeys(("firstName", "lastName", "externalId"), str))
    for name, element in (("dob", "birthDate"), ("genderAtBirth", "gender")):
        if body.get(name) not in (None, "") and element not in patient:
            yield name
    for name in ("address", "contact", "personalIdentifiers"):
        if not isinstance(body.get(name), list | dict | None):
            yield name


def _unplaced(body: Mapping[str, Any]) -> Iterator[Issue]:
    """What else they tell of her. Of addresses and contacts only the first are read."""
    yield from unplaced(body, (*_SLOTS, "externalId", "id", "eTag", "dateCreated"))
    for at, one in enumerate(_objects(body.get("personalIdentifiers"))):
        if _system(one) is None:
            yield without_place(f"personalIdentifiers[{at}]")
    for at, _ in enumerate(_objects(body.get("address"))[1:], 1):
        yield without_place(f"address[{at}]")
    contacts = _objects(body.get("contact"))
    for system in ("phone", "email"):
        for at in [at for at, one in enumerate(contacts) if _text(one.get(system))][1:]:
            yield without_place(f"contact[{at}].{system}")


def _read_identifiers(body: Mapping[str, Any], ours: str, external: str) -> list[Resource]:
    listed = body.get("personalIdentifiers")
    systems = [(_system(one), one.get("value")) for one in _objects(listed)]
    found = [{"system": system, "value": value} for system, value in systems if system and _text(value)]
    own = _text(body.get("externalId"))
    return found + (
        [{"system": f"{ours}/Patient" if _OUR_ID.fullmatch(own) else external, "value": own}] if own else []
    )


def _system(one: Mapping[str, Any]) -> str | None:
    if one.get("type") == "ssn":
        return SSN
    licensed = one.get("type") == "driversLicense"
    return LICENSE_SYSTEMS.get(find_state(str(one.get("state"))) or "") if licensed else None


def _read_name(body: Mapping[str, Any]) -> list[Resource]:
    """Several names stand in one text, parted by commas or blanks."""
    given = (_text(body.get("firstName")) or "").replace(",", " ").split()
    family = " ".join((_text(body.get("lastName")) or "").replace(",", " ").split())
    name = ({"family": family} if family else {}) | ({"given": given} if given else {})
    return [name] if name else []


def _read_telecom(body: Mapping[str, Any]) -> list[Resource]:
    """The first phone and the first address of mail, wherever they stand."""
    contacts = _objects(body.get("contact"))
    found = []
    for system in ("phone", "email"):
        value = next((text for one in contacts if (text := _text(one.get(system)))), None)
        if value:
            found.append({"system": system, "value": value})
    return found


def _read_address(body: Mapping[str, Any]) -> Resource | None:
    addresses = _objects(body.get("address"))
    if not addresses:
        return None
    first = addresses[0]
    lines = [line for name in ("addressLine1", "addressLine2") if (line := _text(first.get(name)))]
    parts = {
        "line": lines,
        "city": _text(first.get("city")),
        "state": _text(first.get("state")),
        "postalCode": _text(first.get("zip")),
        "country": _text(first.get("country")),
    }
    return {key: value for key, value in parts.items() if value} or None


def _objects(value: Any) -> list[Mapping[str, Any]]:
    """A list of objects, or one of them; anything else is none."""
    listed = value if isinstance(value, list) else [value]
    return [one for one in listed if isinstance(one, dict)]


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
