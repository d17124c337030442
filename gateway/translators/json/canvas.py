"""Canvas' patient synchronisation: the seed request and the partner's `/patients/v2` model <-> FHIR Patient.

Source: canvas-medical/canvas-plugins, example_patient_sync. The model knows a first name, a last name, a birth date,
a sex at birth and our id (`externalId`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from gateway.errors import NotConformant
from gateway.fhir.issue import Issue
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage
from gateway.fhir.spelling import fold
from gateway.translators.json.left_out import odd

CARRIED = frozenset({"name", "birthDate"})
NAME_PARTS = frozenset({"family", "given"})
BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"

_SEX = {"F": "F", "FEMALE": "F", "M": "M", "MALE": "M", "O": "O", "OTHER": "O", "U": "U", "UNKNOWN": "U"}
_BIRTH_SEX_CODE = {"F": "F", "M": "M", "O": "OTH", "U": "UNK"}
_GENDER = {"F": "female", "M": "male", "O": "other", "U": "unknown"}
SEX_SLOTS = frozenset({"gender", f"extension[{BIRTH_SEX}]"})

_DATE = re.compile(r"(\d{4})(?:([-/.])(\d{1,2})(?:\2(\d{1,2}))?)?(?:[T ]\d{2}.*)?")
_COMPACT_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_FULL_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_CALLED = ("externalId", "firstName", "lastName", "dateOfBirth", "sexAtBirth")
_LONGEST_ID = 255
_NAME_ORDER = {"official": 0, "usual": 1}


@dataclass(frozen=True, slots=True)
class Seed:
    """The seed request as FHIR. `partner_id` is the sender's own id of the patient, its remote id with us."""

    patient: Resource
    coverage: Coverage
    partner_id: str
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """The partner's model as FHIR. `coverage` = what the keys that were present can speak about."""

    patient: Resource
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class Told:
    """What Canvas tells its partner: part of a patient, nothing by what it leaves out, and Canvas' own id. `identity`:
    who that is as far as it is said, half a name too."""

    patient: Resource
    coverage: Coverage
    canvas_id: str | None
    identity: Resource


def from_seed(body: Any, *, stated: str | None = None) -> Seed:
    """`{"firstName","lastName","sexAtBirth","dateOfBirth","partnerId"}` -> Patient.

    `stated`: the identifier system under which the partner id is one of the patient's own identifiers, as Canvas keeps
    it; None where the link to the sender shows it.

    Raises NotConformant naming the field: a name or partner id that is missing, blank or no string, a date that is
    none. A sex at birth that nobody knows is null with an issue; null and missing say nothing.
    """
    if not isinstance(body, dict):
        raise NotConformant("the body must be a JSON object")
    name = {"family": _required(body, "lastName"), "given": _required(body, "firstName").split()}
    partner_id = _required(body, "partnerId")
    if not partner_id.strip("."):
        raise NotConformant("partnerId must hold more than dots", expression="partnerId")
    birth_date = _seed_date(body.get("dateOfBirth"))
    sex, issues = _seed_sex(body.get("sexAtBirth"))
    patient: Resource = {"resourceType": "Patient", **_sex_extension(sex), "name": [name], **_gender(sex)}
    if birth_date:
        patient["birthDate"] = birth_date
    elements = {"name"} | ({"birthDate"} if birth_date else set()) | (SEX_SLOTS if sex else set())
    if stated is not None:
        patient["identifier"] = [{"system": stated, "value": partner_id}]
        elements.add(f"identifier[{stated}]")
    return Seed(patient, Coverage(frozenset(elements)), partner_id, issues)


def from_partner(body: Mapping[str, Any], *, ours: str, known: Resource | None = None) -> Model:
    """The partner's model -> Patient. A key that is absent is not covered, null or blank says "there is none".

    `known` = what they were last seen to show: half a name is completed from it.
    """
    patient: Resource = {"resourceType": "Patient"}
    elements: set[str] = set()
    _read_sex(body, patient, elements)
    _read_external_id(body, patient, elements, system=f"{ours}/Patient")
    _read_name(body, patient, elements, known)
    _read_birth_date(body, patient, elements)
    return Model(patient, Coverage(frozenset(elements)))


def from_call(body: Any, *, ours: str, known: Resource | None = None) -> Told:
    """`{"externalId","firstName","lastName","dateOfBirth"}` as Canvas sends it, externalId its own id -> Patient.

    `known` = what Canvas was last seen to show: a first name that it shows with a middle name keeps that. Raises
    NotConformant naming the field.
    """
    if not isinstance(body, dict):
        raise NotConformant("the body must be a JSON object")
    given = {name: text for name in _CALLED if (text := _given_text(body, name)) is not None}
    canvas_id = given.pop("externalId", None)
    if canvas_id is not None and (not canvas_id.strip(".") or len(canvas_id) > _LONGEST_ID):
        raise NotConformant("externalId is no id", expression="externalId")
    if "dateOfBirth" in given and to_date(given["dateOfBirth"]) is None:
        raise NotConformant("dateOfBirth is not a date such as 1980-02-22", expression="dateOfBirth")
    told = from_partner(given, ours=ours, known=known)
    if "firstName" in given and told.patient.get("name"):
        told.patient["name"][0]["given"] = _all_given(given["firstName"], one_name(known or {}).get("given") or [])
    elements = (told.coverage.elements or frozenset()) | {f"identifier[{ours}/Patient]"}
    half = {} if "name" in told.patient else _read_half(given)
    return Told(told.patient, Coverage(elements, absence=False), canvas_id, {**told.patient, **half})


def _read_half(given: Mapping[str, str]) -> Resource:
    """The one half of a name that there is."""
    family, first = given.get("lastName"), given.get("firstName")
    name = ({"family": family} if family else {}) | ({"given": [first]} if first else {})
    return {"name": [name]} if name else {}


def _given_text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise NotConformant(f"{name} must be a string", expression=name)
    return _text(value)


def _all_given(first: str, shown: list[str]) -> list[str]:
    """The first name with the middle names that are known to follow it."""
    return shown if shown and fold(first) in (fold(shown[0]), fold(" ".join(shown))) else [first]


def to_partner(patient: Resource, *, our_id: str, update: bool) -> dict[str, Any]:
    """Patient -> the partner's model; our id is always included.

    Partial writes are not relied on: an update names every field, null for what there is none of. A partial birth
    date is left out: the model holds whole days only, and a day is never invented.
    """
    name = one_name(patient)
    model: dict[str, Any] = {
        "externalId": our_id,
        "firstName": " ".join(name.get("given") or []) or None,
        "lastName": name.get("family"),
        "dateOfBirth": patient.get("birthDate"),
    }
    if patient.get("birthDate") and not _FULL_DATE.fullmatch(patient["birthDate"]):
        del model["dateOfBirth"]
    return model if update else {key: value for key, value in model.items() if value is not None}


def to_seed(patient: Resource, *, partner_id: str) -> dict[str, Any]:
    """Patient -> what the plugin takes: the first given name, a whole birth date, and the sex where it is known."""
    name = one_name({"name": [one for one in patient.get("name", []) if one.get("use") != "nickname"] or [{}]})
    born = patient.get("birthDate", "")
    seed = {
        "firstName": (name.get("given") or [None])[0],
        "lastName": name.get("family"),
        "sexAtBirth": _sex_at_birth(patient),
        "dateOfBirth": born if _FULL_DATE.fullmatch(born) else None,
        "partnerId": partner_id,
    }
    return {key: value for key, value in seed.items() if value is not None}


def sex_of(letter: str | None) -> Resource:
    """F, M, O or U as the elements of a Patient; nothing for none."""
    return _sex_extension(letter) | _gender(letter)


def _sex_at_birth(patient: Resource) -> str | None:
    """By the sex at birth only: gender is another fact."""
    codes = [one.get("valueCode") for one in patient.get("extension", []) if one.get("url") == BIRTH_SEX]
    return next((letter for letter, code in _BIRTH_SEX_CODE.items() if code in codes), None)


def one_name(patient: Resource) -> dict[str, Any]:
    """The name that a model with one name shows: official, else usual, else the first; {} when there is none."""
    names: list[dict[str, Any]] = patient.get("name") or [{}]
    return min(names, key=lambda name: _NAME_ORDER.get(name.get("use", ""), len(_NAME_ORDER)))


def _required(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise NotConformant(f"{name} is required: a string that is not blank", expression=name)
    return value.strip()


def _seed_date(value: Any) -> str | None:
    if value is None or value == "":
        return None
    found = to_date(value) if isinstance(value, str) else None
    if found is None:
        raise NotConformant("dateOfBirth is not a date such as 1980-02-22", expression="dateOfBirth")
    return found


def _seed_sex(value: Any) -> tuple[str | None, tuple[Issue, ...]]:
    if not value:
        return None, ()
    sex = _SEX.get(value.strip().upper()) if isinstance(value, str) else None
    if sex:
        return sex, ()
    note = "sexAtBirth is none of F, M, O, U (or FEMALE, MALE, OTHER, UNKNOWN) and was left out"
    return None, (Issue("warning", "value", note, "sexAtBirth"),)


def to_date(text: str) -> str | None:
    """A FHIR date with the precision of the text (`1980-2-5` -> `1980-02-05`, `1980` stays), None when it is none.

    A time of day is dropped, as a birth date has none; orders other than year first are ambiguous and refused.
    """
    match = _COMPACT_DATE.fullmatch(text.strip())
    if match:
        year, month, day = match.groups()
    elif match := _DATE.fullmatch(text.strip()):
        year, _, month, day = match.groups()
    else:
        return None
    try:
        whole = date(int(year), int(month or 1), int(day or 1)).isoformat()
    except ValueError:
        return None
    return whole if day else whole[:7] if month else whole[:4]


def _sex_extension(sex: str | None) -> Resource:
    return {"extension": [{"url": BIRTH_SEX, "valueCode": _BIRTH_SEX_CODE[sex]}]} if sex else {}


def _gender(sex: str | None) -> Resource:
    return {"gender": _GENDER[sex]} if sex else {}


def _read_sex(body: Mapping[str, Any], patient: Resource, elements: set[str]) -> None:
    value = body.get("sexAtBirth")
    sex = _SEX.get(value.strip().upper()) if isinstance(value, str) else None
    if sex:
        patient.update(_sex_extension(sex) | _gender(sex))
        elements |= SEX_SLOTS


def _read_external_id(body: Mapping[str, Any], patient: Resource, elements: set[str], *, system: str) -> None:
    if "externalId" not in body or odd(body, {"externalId": str}):
        return
    elements.add(f"identifier[{system}]")
    value = _text(body["externalId"])
    if value:
        patient["identifier"] = [{"system": system, "value": value}]


def _read_name(body: Mapping[str, Any], patient: Resource, elements: set[str], known: Resource | None) -> None:
    """Half a name is completed with the other half that they show; without that it says nothing."""
    present = ({"firstName", "lastName"} & body.keys()) - odd(body, {"firstName": str, "lastName": str})
    shown = one_name(known or {})
    if not present or (len(present) == 1 and not shown):
        return
    elements.add("name")
    family = _text(body["lastName"]) if "lastName" in present else shown.get("family")
    given = (_text(body["firstName"]) or "").split() if "firstName" in present else shown.get("given")
    if given or family:
        patient["name"] = [({"family": family} if family else {}) | ({"given": given} if given else {})]


def _read_birth_date(body: Mapping[str, Any], patient: Resource, elements: set[str]) -> None:
    if "dateOfBirth" not in body or odd(body, {"dateOfBirth": str}):
        return
    value = _text(body["dateOfBirth"])
    found = to_date(value) if value else None
    if value and not found:
        return
    elements.add("birthDate")
    if found:
        patient["birthDate"] = found


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
