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
from gateway.translators.json.usps import find_state

MRN: Final = "http://canvasmedical.com"
OWN: Final = "http://schemas.canvasmedical.com/fhir/extensions/"
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
_DEFAULT_PERIOD: Final = {"start": "1970-01-01", "end": "2100-12-31"}
_OUR_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_CONSENT: Final = f"{OWN}has-consent"
_CATEGORY: Final = "http://schemas.canvasmedical.com/fhir/contact-category"
_UNITED_STATES: Final = ("us", "usa", "united states", "united states of america", "")
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
    raw = {name: body[name] for name in _READ if name in body}
    raw["identifier"] = _mended(raw.get("identifier", []))
    if raw.get("resourceType") != "Patient" or not isinstance(raw.get("id"), str) or not raw["id"]:
        raise NotConformant("not a Patient with an id")
    gate.require({name: value for name, value in raw.items() if value != []})
    patient: Resource = {"resourceType": "Patient", **_plain(raw), **{name: _LISTED[name](raw) for name in _LISTED}}
    patient["identifier"] = _distinct([_identifier_of_ours(one, systems) for one in patient["identifier"]])
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
    payload |= {name: [to(one) for one in patient.get(name, [])] for name, to in _TO.items()}
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
            entries[at] = {"id": found["id"], **one}
    return [entries.get(at, one) for at, one in enumerate(wanted)]


def _taken(left: list[Resource], element: str, wanted: Resource, test: Test) -> Resource | None:
    found = next((entry for entry in left if test(element, entry, wanted)), None)
    if found is not None:
        left.remove(found)
    return found


def displays(element: str, item: Any) -> Any:
    """One value of an element as Canvas shows it, as far as it changes what it is given."""
    change = _DISPLAYS.get(element)
    return change(item) if change else item


def whole_date(text: Any) -> Any:
    """Partial birth dates become the 1st there."""
    return text + "-01" * ((10 - len(text)) // 3) if isinstance(text, str) and len(text) in (4, 7) else text


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
    return [_without(one, "id", *_unbounded(one)) for one in raw.get("identifier", [])]


def _unbounded(one: Resource) -> tuple[str, ...]:
    return ("period",) if one.get("period") == _DEFAULT_PERIOD else ()


def _identifier_of_ours(one: Resource, systems: Systems) -> Resource:
    """Our own id, under whichever system Canvas keeps it."""
    if one.get("system") in (systems.partner, systems.ours) and _OUR_ID.fullmatch(one.get("value", "")):
        return {"system": systems.ours, "value": one["value"]}
    return one


def _distinct(items: list[Resource]) -> list[Resource]:
    return [one for at, one in enumerate(items) if one not in items[:at]]


def _names_of(raw: Resource) -> list[Resource]:
    return [_without(one, "id", "period") for one in raw.get("name", []) if one.get("use") in _USES]


def _telecoms_of(raw: Resource) -> list[Resource]:
    return [_without_consent(_without(one, "id")) for one in raw.get("telecom", [])]


def _without_consent(one: Resource) -> Resource:
    """Consent that was not given is what it shows of everybody."""
    kept = [each for each in one.get("extension", []) if each["url"] != _CONSENT or each.get("valueBoolean")]
    return {**_without(one, "extension"), **({"extension": kept} if kept else {})}


def _addresses_of(raw: Resource) -> list[Resource]:
    return [_without(one, "id") for one in raw.get("address", [])]


def _contacts_of(raw: Resource) -> list[Resource]:
    return [_without_flags(_without(one, "id")) for one in raw.get("contact", [])]


def _without_flags(one: Resource) -> Resource:
    kept = [each for each in one.get("extension", []) if each.get("valueBoolean") is not False]
    return {**_without(one, "extension"), **({"extension": kept} if kept else {})}


_LISTED: Final[Mapping[str, Callable[[Resource], list[Resource]]]] = {
    "extension": _extensions_of,
    "identifier": _identifiers_of,
    "name": _names_of,
    "telecom": _telecoms_of,
    "address": _addresses_of,
    "contact": _contacts_of,
}


def _without(one: Resource, *names: str) -> Resource:
    return {name: value for name, value in one.items() if name not in names}


def _only(one: Resource, *names: str) -> Resource:
    return {name: one[name] for name in names if name in one}


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
    return [_only(one, "use", "system", "value", "period") for one in named if one["system"] != MRN]


def _names_to(patient: Resource, held: Resource) -> list[Resource]:
    names = patient.get("name", [])
    official = one_name({"name": [one for one in names if one.get("use") != "nickname"] or [{}]})
    shown = [{"use": "official", **_only(official, "family", "given")}] if official else []
    shown += [{"use": "nickname", **_only(one, "family", "given")} for one in names if one.get("use") == "nickname"]
    uses = {one["use"] for one in shown}
    return [*shown, *(_without(one, "period") for one in held.get("name", []) if one.get("use") not in uses)]


def _telecom_to(one: Resource) -> Resource:
    return _only(one, "extension", "system", "value", "use", "rank")


def _address_to(one: Resource) -> Resource:
    """Two lines at most, the state as two letters or not at all."""
    kept = _only(one, "use", "type", "line", "city", "state", "postalCode", "country")
    state = find_state(kept.pop("state", "") or "")
    return kept | ({"state": state} if state else {})


def _contact_to(one: Resource) -> Resource:
    telecoms = [kept for each in one.get("telecom", []) if (kept := _contact_telecom(each))]
    shown = _only(one, "extension") | {"name": {"text": _name_text(one.get("name", {}))}}
    if relationship := [_only(each, "coding", "text") for each in one.get("relationship", [])]:
        shown["relationship"] = relationship
    return shown | ({"telecom": telecoms} if telecoms else {})


def _contact_telecom(one: Resource) -> Resource | None:
    """A contact's phone has exactly 10 digits there; another one cannot be kept there."""
    if one.get("system") != "phone":
        return _only(one, "system", "value") if one.get("value") else None
    digits = re.sub(r"\D", "", one.get("value", ""))
    national = digits[1:] if len(digits) == 11 and digits.startswith("1") else digits
    return {"system": "phone", "value": national} if len(national) == 10 else None


def _name_text(name: Resource) -> str:
    return name.get("text") or " ".join([*name.get("given", []), *([name["family"]] if name.get("family") else [])])


_TO: Final[Mapping[str, Callable[[Resource], Resource]]] = {
    "telecom": _telecom_to,
    "address": _address_to,
    "contact": _contact_to,
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
        return bool(_name_text(theirs.get("name", {})) == _name_text(wanted.get("name", {})))
    return all(theirs.get(key) == wanted.get(key) for key in keys)


# What Canvas shows of what it was given.


def _identifier_shown(one: Any) -> Any:
    shown = _without(one, "type", "assigner", *_unbounded(one))
    return _without(shown, "use") if shown.get("use") == "usual" else shown


def _telecom_shown(one: Any) -> Any:
    shown = _without_consent(_only(one, "extension", "system", "value", "use", "rank"))
    return _without(shown, "rank") if shown.get("rank") == 1 else shown


def _address_shown(one: Any) -> Any:
    shown = _address_to(one)
    lines = shown.get("line") or []
    country = str(shown.pop("country", "")).strip()
    shown |= {"line": [*lines[:1], ", ".join(lines[1:])]} if len(lines) > 2 else {}
    shown = _without(shown, "type") if shown.get("type") == "both" else shown
    return shown | ({} if country.lower() in _UNITED_STATES else {"country": country})


def _contact_shown(one: Any) -> Any:
    return _without_flags(_contact_to(one))


def _communication_shown(one: Any) -> Any:
    return [coding.get("code") for coding in one.get("language", {}).get("coding", [])] or one


def _extension_shown(one: Any) -> Any:
    """Race and ethnicity get a text and displays of its own."""
    parts = [each["valueCoding"] for each in one.get("extension", []) if "valueCoding" in each]
    if not parts or not one["url"].endswith(("us-core-race", "us-core-ethnicity")):
        return one
    return {"url": one["url"], "codes": [[part.get("system"), part.get("code")] for part in parts]}


_DISPLAYS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "identifier": _identifier_shown,
    "telecom": _telecom_shown,
    "address": _address_shown,
    "contact": _contact_shown,
    "communication": _communication_shown,
    "extension": _extension_shown,
    "birthDate": whole_date,
}
