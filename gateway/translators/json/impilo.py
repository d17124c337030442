"""Impilo's patient model <-> FHIR Patient (Impilo API v3, Patients; docs/how-to/connect-impilo.md).

Impilo holds one name, one phone, one e-mail and one address. What it alone knows (`enrolled`, `site`, the note of an
address) is read and never written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.fhir.issue import Issue
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage
from gateway.translators.json.canvas import one_name, to_date
from gateway.translators.json.left_out import odd, unplaced, unread

__all__ = ["Model", "Systems", "from_impilo", "one_name", "to_impilo"]

ID_SYSTEM = "https://app.impiloplatform.com/patient"
EXTERNAL_SYSTEM = f"{ID_SYSTEM}/externalIdentifier"
ENROLLED = f"{ID_SYSTEM}/enrolled"
ADDRESS_NOTE = f"{ID_SYSTEM}/address-note"

NAME_PARTS = frozenset({"family", "given"})
ADDRESS_PARTS = frozenset({"line", "city", "state", "postalCode", "country"})
CARRIED = frozenset({"name", "birthDate", "gender", "telecom[phone]", "telecom[email]", "address", "active"})

_SEXES = frozenset({"male", "female", "other", "unknown"})
_LINES = ("lineOne", "lineTwo", "lineThree")
_ADDRESS = {"city": "city", "state": "state", "zipCode": "postalCode", "country": "country"}
_KINDS: Mapping[str, type] = {
    **dict.fromkeys(("externalIdentifier", "firstName", "lastName", "name", "dateOfBirth"), str),
    **dict.fromkeys(("email", "phoneNumber", "sex"), str),
    **dict.fromkeys(("address", "site"), dict),
    **dict.fromkeys(("archived", "enrolled"), bool),
}
_KNOWN = (*_KINDS, "id", "gender", "updatedAt")
_SITE = ("name", "active", "phoneNumber")
_OUR_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Systems:
    """The identifier systems of the external identifier: `ours` where it is one of our ids, else `external`."""

    ours: str
    external: str


@dataclass(frozen=True, slots=True)
class Model:
    """Their model as FHIR. `coverage` = what it speaks about, `issues` = what of it is not here."""

    patient: Resource
    coverage: Coverage
    issues: tuple[Issue, ...] = ()


def from_impilo(data: Mapping[str, Any], systems: Systems, *, whole: bool, known: Resource | None = None) -> Model:
    """Their model -> Patient. `whole`: a read, where a missing field says "there is none"; of an event it says nothing.
    `name` and `gender`, as one page of theirs has them, are taken for what they mean. `known` completes half a name.

    A value that is none of the model's (a sex that FHIR does not know, a date that is no date, a number for a text) is
    not covered.
    """
    named = data if "gender" not in data or "sex" in data else {**data, "sex": data["gender"]}
    reading = _Reading(named, systems, whole, known or {}, unread=set(_odd(named)))
    for read in _READERS:
        read(reading)
    issues = (*unread(reading.unread), *unplaced(data, _KNOWN), *unplaced(data.get("site"), _SITE, "site."))
    return Model(reading.patient, Coverage(frozenset(reading.elements)), issues)


def _odd(data: Mapping[str, Any]) -> frozenset[str]:
    """An address is read as a whole, so one odd part of it is enough."""
    address = data.get("address")
    parts = odd(address, dict.fromkeys((*_LINES, *_ADDRESS, "note"), str)) if isinstance(address, dict) else ()
    return odd(data, _KINDS) | ({"address"} if parts else frozenset())


def to_impilo(patient: Resource) -> dict[str, Any]:
    """Patient -> every field of theirs that we write, None for what there is none of. A birth date that is no whole day
    is left out: a day is never invented. The rest of a fourth and further address line stands in the third."""
    name = one_name(patient)
    model: dict[str, Any] = {
        "firstName": " ".join(name.get("given") or []) or None,
        "lastName": name.get("family"),
        "dateOfBirth": patient.get("birthDate"),
        "sex": patient.get("gender"),
        "phoneNumber": telecom(patient, "phone"),
        "email": telecom(patient, "email"),
        "address": _to_address((patient.get("address") or [{}])[0]),
        "archived": not patient["active"] if "active" in patient else None,
    }
    born = patient.get("birthDate")
    if born and len(born) < len("1980-01-01"):
        del model["dateOfBirth"]
    return model


def fields_of(slots: Iterable[str]) -> set[str]:
    """The fields in which slots are kept."""
    return {name for slot in slots for prefix, name in _FIELDS if slot.startswith(prefix)}


def telecom(patient: Resource, system: str) -> str | None:
    """The one phone number or e-mail address that they are shown."""
    return next((one.get("value") for one in patient.get("telecom") or [] if one.get("system") == system), None)


def is_our_id(value: str) -> bool:
    """Whether an external identifier has the form of our ids (UUIDv7)."""
    return bool(_OUR_ID.fullmatch(value))


_FIELDS = (
    ("name", "firstName"),
    ("name", "lastName"),
    ("birthDate", "dateOfBirth"),
    ("gender", "sex"),
    ("telecom[phone", "phoneNumber"),
    ("telecom[email", "email"),
    ("address", "address"),
    ("active", "archived"),
    ("identifier[", "externalIdentifier"),
)


@dataclass(slots=True)
class _Reading:
    """One translation: what is read, and what came of it so far. `unread`: fields of which nothing is said."""

    data: Mapping[str, Any]
    systems: Systems
    whole: bool
    known: Resource
    unread: set[str]
    patient: Resource = field(default_factory=lambda: {"resourceType": "Patient"})
    elements: set[str] = field(default_factory=set)

    def speaks_of(self, name: str) -> bool:
        return name not in self.unread and (self.whole or name in self.data)

    def text(self, name: str) -> str | None:
        return _text(self.data.get(name))

    def add(self, slot: str, element: str, *values: Any) -> None:
        """The slot is spoken about, and these are the values in its list."""
        self.elements.add(slot)
        if values:
            self.patient.setdefault(element, []).extend(values)

    def put(self, element: str, value: Any) -> None:
        """The element is spoken about; None = there is none."""
        self.elements.add(element)
        if value is not None:
            self.patient[element] = value


def _read_name(reading: _Reading) -> None:
    """Half a name says nothing unless the other half is known; the same name in one text is no edit of it."""
    halves = ({"firstName", "lastName"} & reading.data.keys()) - reading.unread
    shown = one_name(reading.known)
    parts = {part: shown[part] for part in ("family", "given") if shown.get(part)}
    if "name" in reading.data.keys() - reading.unread and not halves:
        text = reading.text("name")
        same = text and text.split() == [*parts.get("given", []), *parts.get("family", "").split()]
        return reading.add("name", "name", *([parts if same else {"text": text}] if text else []))
    if len(halves) < 2 and not parts:
        reading.unread |= halves if not {"firstName", "lastName"} & reading.unread else set()
        return None
    family = reading.text("lastName") if "lastName" in halves else shown.get("family")
    given = (reading.text("firstName") or "").split() if "firstName" in halves else shown.get("given")
    name = ({"family": family} if family else {}) | ({"given": given} if given else {})
    return reading.add("name", "name", *([name] if name else []))


def _read_birth_date(reading: _Reading) -> None:
    given = reading.text("dateOfBirth")
    found = to_date(given) if given else None
    if given and not found:
        reading.unread.add("dateOfBirth")
    if reading.speaks_of("dateOfBirth"):
        reading.put("birthDate", found)


def _read_sex(reading: _Reading) -> None:
    given = (reading.text("sex") or "").lower()
    if given and given not in _SEXES:
        reading.unread.add("sex")
    if reading.speaks_of("sex"):
        reading.put("gender", given or None)


def _read_telecom(reading: _Reading) -> None:
    for name, system in (("phoneNumber", "phone"), ("email", "email")):
        if reading.speaks_of(name):
            value = reading.text(name)
            reading.add(f"telecom[{system}]", "telecom", *([{"system": system, "value": value}] if value else []))


def _read_address(reading: _Reading) -> None:
    if not reading.speaks_of("address"):
        return
    given = reading.data.get("address")
    address = given if isinstance(given, dict) else {}
    lines = [line for name in _LINES if (line := _text(address.get(name)))]
    parts = {ours: part for theirs, ours in _ADDRESS.items() if (part := _text(address.get(theirs)))}
    found = ({"line": lines} if lines else {}) | parts
    reading.add("address", "address", *([found] if found else []))
    note = _text(address.get("note"))
    reading.add(f"extension[{ADDRESS_NOTE}]", "extension", *_extension(ADDRESS_NOTE, "valueString", note))


def _read_flags(reading: _Reading) -> None:
    archived, enrolled = reading.data.get("archived"), reading.data.get("enrolled")
    if isinstance(archived, bool):
        reading.put("active", not archived)
    if reading.speaks_of("enrolled"):
        reading.add(f"extension[{ENROLLED}]", "extension", *_extension(ENROLLED, "valueBoolean", enrolled))


def _read_site(reading: _Reading) -> None:
    """A site has no id of its own, so it cannot be an Organization of its own either: it is contained."""
    if not reading.speaks_of("site"):
        return
    given = reading.data.get("site")
    site = given if isinstance(given, dict) else {}
    name = _text(site.get("name"))
    reading.put("managingOrganization", {"reference": "#site", "display": name} if name else None)
    if name:
        phone = _text(site.get("phoneNumber"))
        active = {"active": site["active"]} if isinstance(site.get("active"), bool) else {}
        telecom_ = {"telecom": [{"system": "phone", "value": phone}]} if phone else {}
        organization = {"resourceType": "Organization", "id": "site", **active, "name": name, **telecom_}
        reading.patient["contained"] = [organization]


def _read_external(reading: _Reading) -> None:
    """Whose identifier it is, its form tells. One that is not ours leaves no room for ours, so then nothing is said
    about ours."""
    if not reading.speaks_of("externalIdentifier"):
        return
    value, systems = reading.text("externalIdentifier"), reading.systems
    reading.elements.add(f"identifier[{systems.external}]")
    if value is None or is_our_id(value):
        reading.elements.add(f"identifier[{systems.ours}]")
    if value is not None:
        system = systems.ours if is_our_id(value) else systems.external
        reading.patient["identifier"] = [{"system": system, "value": value}]


_READERS: Sequence[Callable[[_Reading], None]] = (
    _read_name,
    _read_birth_date,
    _read_sex,
    _read_telecom,
    _read_address,
    _read_flags,
    _read_site,
    _read_external,
)


def _extension(url: str, kind: str, value: Any) -> list[Resource]:
    return [] if value is None else [{"url": url, kind: value}]


def _to_address(address: Mapping[str, Any]) -> dict[str, Any] | None:
    if not address:
        return None
    lines = [*(address.get("line") or []), None, None, None]
    rest = [line for line in lines[2:] if line]
    shown = [*lines[:2], ", ".join(rest) or None]
    parts = {theirs: address.get(ours) for theirs, ours in _ADDRESS.items()}
    return {**dict(zip(_LINES, shown, strict=True)), **parts}


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
