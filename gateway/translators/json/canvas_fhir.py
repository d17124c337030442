"""Canvas' own way of writing a FHIR Patient <-> ours.

Source: canvas-medical/documentation, `_api/patient.md`. What Canvas shows by itself (the ids of entries, periods
without bounds, its defaults, its narrative) is no fact about the patient; what it keeps for itself (photo, preferred
pharmacy, default provider and location, business line) stays there. A write replaces whole lists, so it is merged with
what was just read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from gateway.errors import NotConformant
from gateway.fhir import gate
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage, Value
from gateway.fhir.spelling import same
from gateway.translators.json.canvas import BIRTH_SEX, one_name
from gateway.translators.json.canvas_entries import (
    OWN,
    displays,
    filled,
    name_text,
    only,
    to_address,
    to_contact,
    to_telecom,
    unbounded,
    without,
    without_consent,
    without_flags,
)

MRN: Final = "http://canvasmedical.com"
US_CORE: Final = "http://hl7.org/fhir/us/core/StructureDefinition/"
IDENTITY: Final = f"{US_CORE}us-core-genderIdentity"
CARRIED: Final = (
    BIRTH_SEX,
    IDENTITY,
    f"{US_CORE}us-core-race",
    f"{US_CORE}us-core-ethnicity",
    "http://hl7.org/fhir/StructureDefinition/tz-code",
    f"{OWN}sexual-orientation",
    f"{OWN}clinical-note",
    f"{OWN}administrative-note",
)
"""Extensions that are about the patient; the others that Canvas knows are its own business."""

ELEMENTS: Final = frozenset(
    {"identifier", "active", "name", "telecom", "gender", "birthDate", "address", "contact", "communication"}
)
EXTENSIONS: Final = frozenset(f"extension[{url}]" for url in CARRIED)
LISTS: Final = ("identifier", "telecom", "address", "contact")
"""Their entries have ids; a write without one of them takes it away."""

SILENT: Final[Mapping[str, Value]] = {
    "gender": "unknown",
    f"extension[{BIRTH_SEX}]": [{"url": BIRTH_SEX, "valueCode": "UNK"}],
}
"""What Canvas requires and has to be sent where nothing is known."""

_READ: Final = ("resourceType", "id", "extension", "deceasedBoolean", "deceasedDateTime", *sorted(ELEMENTS))
_NO_DATE: Final = "0001-01-01"
_OUR_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_USES: Final = ("official", "nickname")


Test = Callable[[str, Resource, Resource], bool]


@dataclass(frozen=True, slots=True)
class Systems:
    """`ours`: identifier system of our Patient ids. `partner`: the system under which Canvas keeps them
    (PARTNER_URL_BASE of its plugin), which may be another."""

    ours: str
    partner: str


@dataclass(frozen=True, slots=True)
class Model:
    """Their Patient as ours. `raw`: the elements of it that a write must repeat, as they were."""

    patient: Resource
    coverage: Coverage
    raw: Resource


def from_canvas(body: Mapping[str, Any], systems: Systems) -> Model:
    """Canvas' Patient -> ours. Raises NotConformant when it is none."""
    raw = {name: filled(body[name]) for name in _READ if name in body}
    if raw.get("resourceType") != "Patient" or not isinstance(raw.get("id"), str) or not raw["id"]:
        raise NotConformant("not a Patient with an id")
    mended = {**raw, "identifier": _mended(raw.get("identifier", []))}
    gate.require({name: value for name, value in mended.items() if value != []})
    patient: Resource = {"resourceType": "Patient", **_plain(raw), **{name: _LISTED[name](raw) for name in _LISTED}}
    patient["identifier"] = _identifiers_of_ours(patient["identifier"], systems)
    elements = ELEMENTS | EXTENSIONS | {"deceased"}
    if _is_overridden(raw):
        elements -= {"gender"}
        patient.pop("gender", None)
    kept = {name: value for name, value in patient.items() if value not in (None, [])}
    return Model(kept, Coverage(elements), raw)


def to_canvas(patient: Resource, systems: Systems, *, raw: Resource | None = None) -> Resource:
    """Ours -> what a create, or with `raw` a full update, holds.

    Raises NotConformant for a patient without what Canvas requires: family and given name, and a birth date.
    """
    held = raw or {}
    payload: Resource = {"resourceType": "Patient", **({"id": held["id"]} if raw else {})}
    payload["extension"] = _extensions_to(patient, held)
    payload["identifier"] = _identifiers_to(patient, systems)
    for name in ("active", "communication"):
        if name in patient:
            payload[name] = patient[name]
    payload["name"] = _names_to(patient, held)
    payload["gender"] = patient.get("gender") or held.get("gender") or "unknown"
    payload["birthDate"] = patient.get("birthDate") or held.get("birthDate")
    for name, to in _TO.items():
        payload[name] = [made for one in patient.get(name, []) if (made := to(one))]
    _check(payload)
    if raw is not None:
        payload |= {name: merged(name, held.get(name, []), payload.get(name, [])) for name in LISTS}
    return {name: value for name, value in payload.items() if value != []}


def merged(element: str, theirs: list[Resource], wanted: list[Resource]) -> list[Resource]:
    """The wanted entries under the ids that Canvas gave them: unchanged ones as they stand there, then changed ones,
    then new ones without an id. What Canvas holds beyond that goes; its own number is never sent back."""
    left = [one for one in theirs if "id" in one]
    entries: dict[int, Resource] = {}
    for at, one in enumerate(wanted):
        if found := _taken(left, element, one, _is_same):
            entries[at] = found
    for at, one in enumerate(wanted):
        if at not in entries and (found := _taken(left, element, one, _is_meant)):
            entries[at] = {"id": found["id"], **one, **only(found, "system")}
    return [*(entries.get(at, one) for at, one in enumerate(wanted)), *_unspoken(element, left)]


def _unspoken(element: str, left: list[Resource]) -> list[Resource]:
    """What Canvas holds and we could not send ourselves is no reason to take it away."""
    return [one for one in left if element == "identifier" and not (one.get("system") and one.get("value"))]


def _taken(left: list[Resource], element: str, wanted: Resource, test: Test) -> Resource | None:
    found = next((entry for entry in left if test(element, entry, wanted)), None)
    if found is not None:
        left.remove(found)
    return found


# What Canvas shows -> ours.


def _is_overridden(raw: Resource) -> bool:
    """A gender identity is shown as the gender, whatever was written to that; only with the sex at birth behind it
    does the gender tell more."""
    extensions = raw.get("extension", [])
    sex = next((one.get("valueCode") for one in extensions if one["url"] == BIRTH_SEX), None)
    confirmed = {"F": "female", "M": "male"}.get(sex or "") == raw.get("gender")
    return not confirmed and any(one["url"] == IDENTITY for one in extensions)


def _mended(identifiers: Any) -> Any:
    """Their systems are free text; a FHIR uri has no blanks."""
    if not isinstance(identifiers, list):
        return identifiers
    return [_with_uri(one) if isinstance(one, dict) else one for one in identifiers]


def _with_uri(one: Resource) -> Resource:
    system = one.get("system")
    if not isinstance(system, str) or not re.search(r"\s", system):
        return one
    return {**one, "system": re.sub(r"\s", lambda blank: quote(blank[0]), system.strip())}


def _plain(raw: Resource) -> Resource:
    plain: Resource = {name: raw[name] for name in ("active", "communication") if name in raw}
    if raw.get("gender") != "unknown":
        plain["gender"] = raw.get("gender")
    if raw.get("birthDate") != _NO_DATE:
        plain["birthDate"] = raw.get("birthDate")
    if raw.get("deceasedDateTime"):
        plain["deceasedDateTime"] = raw["deceasedDateTime"]
    elif raw.get("deceasedBoolean"):
        plain["deceasedBoolean"] = True  # false is what it shows of everybody
    return {name: value for name, value in plain.items() if value is not None}


def _extensions_of(raw: Resource) -> list[Resource]:
    carried = [one for one in raw.get("extension", []) if one["url"] in CARRIED]
    return [one for one in carried if not (one["url"] == BIRTH_SEX and one.get("valueCode") == "UNK")]


def _identifiers_of(raw: Resource) -> list[Resource]:
    return [without(one, "id", *unbounded(one)) for one in _mended(raw.get("identifier", []))]


def _identifiers_of_ours(listed: list[Resource], systems: Systems) -> list[Resource]:
    """Our own id once, under whichever system Canvas keeps it, perhaps twice."""
    ours = [
        {"system": systems.ours, "value": one["value"]}
        for one in listed
        if one.get("system") in (systems.partner, systems.ours) and _OUR_ID.fullmatch(one.get("value", ""))
    ]
    known = {one["value"] for one in ours}
    others = [one for one in listed if one.get("system") not in (systems.partner, systems.ours)]
    others += [one for one in listed if one not in others and one.get("value") not in known]
    return [*others, *(one for at, one in enumerate(ours) if one not in ours[:at])]


def _names_of(raw: Resource) -> list[Resource]:
    return [without(one, "id", "period") for one in raw.get("name", []) if one.get("use") in _USES]


def _telecoms_of(raw: Resource) -> list[Resource]:
    return [without_consent(without(one, "id")) for one in raw.get("telecom", [])]


def _addresses_of(raw: Resource) -> list[Resource]:
    return [without(one, "id") for one in raw.get("address", [])]


def _contacts_of(raw: Resource) -> list[Resource]:
    return [without_flags(without(one, "id")) for one in raw.get("contact", [])]


_LISTED: Final[Mapping[str, Callable[[Resource], list[Resource]]]] = {
    "extension": _extensions_of,
    "identifier": _identifiers_of,
    "name": _names_of,
    "telecom": _telecoms_of,
    "address": _addresses_of,
    "contact": _contacts_of,
}


# Ours -> what Canvas takes.


def _extensions_to(patient: Resource, held: Resource) -> list[Resource]:
    """Ours, then what it holds beside them: left out, some of that would be dropped."""
    given = [one for one in patient.get("extension", []) if one["url"] in CARRIED]
    urls = {one["url"] for one in given}
    kept = [one for one in held.get("extension", []) if one["url"] not in urls]
    filled = [*given, *kept]
    known = any(one["url"] == BIRTH_SEX for one in filled)
    return filled if known else [{"url": BIRTH_SEX, "valueCode": "UNK"}, *filled]


def _identifiers_to(patient: Resource, systems: Systems) -> list[Resource]:
    """Ours under Canvas' name for it, unless that name belongs to another partner's id of the same patient."""
    listed = [one for one in patient.get("identifier", []) if one.get("system") and one.get("value")]
    taken = any(one["system"] == systems.partner != systems.ours for one in listed)
    named = [
        {**one, "system": systems.partner} if one["system"] == systems.ours and not taken else one for one in listed
    ]
    return [only(one, "use", "system", "value", "period") for one in named if one["system"] != MRN]


def _names_to(patient: Resource, held: Resource) -> list[Resource]:
    names = patient.get("name", [])
    official = one_name({"name": [one for one in names if one.get("use") != "nickname"] or [{}]})
    shown = [{"use": "official", **only(official, "family", "given")}] if official else []
    shown += [{"use": "nickname", **only(one, "family", "given")} for one in names if one.get("use") == "nickname"]
    uses = {one["use"] for one in shown}
    return [*shown, *(without(one, "period") for one in held.get("name", []) if one.get("use") not in uses)]


_TO: Final[Mapping[str, Callable[[Resource], Resource | None]]] = {
    "telecom": to_telecom,
    "address": to_address,
    "contact": to_contact,
}


def _check(payload: Resource) -> None:
    official: Resource = next((one for one in payload["name"] if one["use"] == "official"), {})
    if not official.get("family") or not (official.get("given") or [""])[0]:
        raise NotConformant("Canvas takes no patient without family and given name", expression="Patient.name")
    if not payload["birthDate"]:
        raise NotConformant("Canvas takes no patient without a birth date", expression="Patient.birthDate")


# Which entry of theirs is which of ours.


def _is_same(element: str, theirs: Resource, wanted: Resource) -> bool:
    """It shows what we want already: it stays untouched, its consent and its flags too."""
    shown = _LISTED[element]({element: [theirs]})[0]
    return same(element, [displays(element, shown)], [displays(element, wanted)])


def _is_meant(element: str, theirs: Resource, wanted: Resource) -> bool:
    """It fills the same place, so it is changed instead of replaced."""
    keys = {"identifier": ("system",), "telecom": ("system", "use"), "address": ("use",)}.get(element)
    if keys is None:
        return bool(name_text(theirs.get("name", {})) == name_text(wanted.get("name", {})))
    return all(_with_uri(theirs).get(key) == wanted.get(key) for key in keys)
