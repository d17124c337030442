"""CampDoc's objects <-> FHIR: profile <-> Patient, registration -> EpisodeOfCare or PractitionerRole, group ->
Organization, user -> RelatedPerson, review -> Observation.

Source: DocNetwork API v2 (docnetwork/api, v2/chapters). `sex` is Male, Female or null; times without a zone are UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from gateway.errors import PartnerRejected
from gateway.fhir.issue import Issue
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage
from gateway.translators.json.left_out import odd, unplaced, unread

HOST = "https://app.campdoc.com"
CARRIED = frozenset({"name", "birthDate", "gender", "active"})
NAME_PARTS = frozenset({"family", "given"})

_GENDERS = {"Male": "male", "Female": "female"}
_SEXES = {gender: sex for sex, gender in _GENDERS.items()}
_UNSAYABLE = ("other", "unknown")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_ZONELESS = re.compile(r"(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2}(?:\.\d+)?)")
_OUR_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_KINDS: Mapping[str, type] = dict.fromkeys(("identifier", "givenName", "middleName", "familyName", "dob", "sex"), str)
_KNOWN = (*_KINDS, "id", "deactivated")
_NAME_ORDER = {"official": 0, "usual": 1}


@dataclass(frozen=True, slots=True)
class Systems:
    """The identifier systems of one organization; `ours` = that of our Patient ids."""

    organization: str
    ours: str

    def of(self, kind: str) -> str:
        """`profile`, `profile-identifier`, `group`, `group-identifier` or `registration`."""
        return f"{HOST}/organizations/{self.organization}/{kind}"


@dataclass(frozen=True, slots=True)
class Translated:
    """A profile as Patient; `coverage` = what it speaks about, `issues` = what of it is not here."""

    patient: Resource
    coverage: Coverage
    issues: tuple[Issue, ...] = ()


def from_profile(profile: Mapping[str, Any], systems: Systems) -> Translated:
    """A key that is absent, or cannot be read, is not covered. A sex of null says nothing: it also stands for what
    CampDoc has no word for, and that is kept here."""
    left = odd(profile, _KINDS)
    read = {name: value for name, value in profile.items() if name not in left}
    patient: Resource = {"resourceType": "Patient"}
    covered = {"active"}
    if profile.get("deactivated"):
        patient["active"] = False
    _read_identifier(read, systems, patient, covered)
    if {"givenName", "familyName"} <= read.keys() and "middleName" not in left:
        covered.add("name")
        patient |= _names(read)
    if gender := _GENDERS.get(_text(read.get("sex")) or ""):
        covered.add("gender")
        patient["gender"] = gender
    _read_birth_date(read, patient, covered)
    left |= {name for name, slot in (("sex", "gender"), ("dob", "birthDate")) if read.get(name) and slot not in covered}
    return Translated(patient, Coverage(frozenset(covered)), (*unread(left), *unplaced(profile, _KNOWN)))


def to_profile(patient: Resource) -> dict[str, Any]:
    """Patient -> the fields that can be set, null for what there is none of.

    Other and unknown gender are null; a birth date without a day is left out, as a day is never invented. Raises
    PartnerRejected without a given and a family name, which CampDoc requires.
    """
    name = _one_name(patient)
    given = [part for part in name.get("given") or [] if part]
    if not given or not name.get("family"):
        raise PartnerRejected("CampDoc needs a given and a family name of a patient")
    profile = {
        "givenName": given[0],
        "middleName": " ".join(given[1:]) or None,
        "familyName": name["family"],
        "sex": _SEXES.get(patient.get("gender", "")),
    }
    born = patient.get("birthDate")
    if born is None or _DAY.fullmatch(born):
        profile["dob"] = born
    if patient.get("active") is True:
        profile["deactivated"] = None
    return profile


def fields_of(slots: Iterable[str]) -> set[str]:
    """The fields in which slots of a Patient are kept."""
    return {name for slot in slots for name in _FIELDS.get(slot.partition("[")[0], ())}


_FIELDS: Mapping[str, tuple[str, ...]] = {
    "name": ("givenName", "middleName", "familyName"),
    "birthDate": ("dob",),
    "gender": ("sex",),
    "active": ("deactivated",),
}


def from_answer(profile: Mapping[str, Any], sent: Resource, systems: Systems) -> Translated:
    """What they display after a write: a sex of null is what we sent for a gender that they have no word for."""
    translated = from_profile(profile, systems)
    if profile.get("sex") is None and "sex" in profile:
        kept = {"gender": sent["gender"]} if sent.get("gender") in _UNSAYABLE else {}
        elements = (translated.coverage.elements or frozenset()) | {"gender"}
        return Translated({**translated.patient, **kept}, Coverage(elements), translated.issues)
    return translated


def from_group(group: Mapping[str, Any], systems: Systems) -> Resource:
    """group -> Organization; the tree is partOf."""
    identifiers = [{"system": systems.of("group"), "value": str(group["id"])}]
    if named := _text(group.get("groupIdentifier")):
        identifiers.append({"system": systems.of("group-identifier"), "value": named})
    organization: Resource = {"resourceType": "Organization", "identifier": identifiers}
    if name := _text(group.get("name")):
        organization["name"] = name
    if group.get("parentID") is not None:
        organization["partOf"] = {"reference": f"Organization/{group['parentID']}"}
    return organization


def from_registration(registration: Mapping[str, Any], systems: Systems) -> Resource:
    """A patient's registration -> EpisodeOfCare, a provider's -> PractitionerRole."""
    made = _role if registration.get("type") == "provider" else _episode
    return made(registration, systems)


def from_user(user: Mapping[str, Any], profile_id: str) -> Resource:
    """A user of a profile -> RelatedPerson; how she is related, CampDoc does not say."""
    person: Resource = {"resourceType": "RelatedPerson", "patient": {"reference": f"Patient/{profile_id}"}}
    given, family = _text(user.get("givenName")), _text(user.get("familyName"))
    if given or family:
        person["name"] = [({"family": family} if family else {}) | ({"given": [given]} if given else {})]
    if email := _text(user.get("email")):
        person["telecom"] = [{"system": "email", "value": email}]
    return person


def from_review(review: Mapping[str, Any], profile_id: str) -> Resource:
    """The review of a health form -> Observation: what was reviewed, how it came out, when and by whom."""
    provider = review.get("provider")
    name = _text(provider.get("name")) if isinstance(provider, Mapping) else None
    at, status = to_instant(review.get("timestamp")), _text(review.get("status"))
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": f"Health form review: {_text(review.get('label')) or 'unnamed'}"},
        "subject": {"reference": f"Patient/{profile_id}"},
        **({"effectiveDateTime": at} if at else {}),
        **({"performer": [{"display": name}]} if name else {}),
        **({"valueString": status} if status else {}),
    }


def left_out_of_review(review: Mapping[str, Any]) -> tuple[Issue, ...]:
    """What of a review the Observation does not hold."""
    provider = unplaced(review.get("provider"), ("name",), "provider.")
    return (*unplaced(review, ("label", "status", "timestamp", "provider")), *provider)


def to_instant(text: Any) -> str | None:
    """Their time as a FHIR instant: `2018-01-01 17:30:17.829` is UTC; None for what is no time."""
    if not isinstance(text, str):
        return None
    match = _ZONELESS.fullmatch(text)
    written = f"{match[1]}T{match[2]}Z" if match else text
    try:
        aware = datetime.fromisoformat(written).tzinfo is not None
    except ValueError:
        return None
    return written if aware else None


def _episode(registration: Mapping[str, Any], systems: Systems) -> Resource:
    waits = registration.get("waitlisted")
    status = "cancelled" if registration.get("deactivated") else "waitlist" if waits else "active"
    episode: Resource = {
        "resourceType": "EpisodeOfCare",
        "identifier": [_registration_id(registration, systems)],
        "status": status,
        "patient": {"reference": f"Patient/{registration['profileID']}"},
        **_group("managingOrganization", registration),
        **_period(registration),
    }
    if name := _text(registration.get("groupName")):
        episode["type"] = [{"text": name}]
    return episode


def _role(registration: Mapping[str, Any], systems: Systems) -> Resource:
    """The provider is named by her profile's id only: a Practitioner of her own is not known."""
    profile = {"system": systems.of("profile"), "value": str(registration["profileID"])}
    return {
        "resourceType": "PractitionerRole",
        "identifier": [_registration_id(registration, systems)],
        "active": not registration.get("deactivated"),
        "practitioner": {"identifier": profile},
        **_group("organization", registration),
        **_period(registration),
    }


def _group(element: str, registration: Mapping[str, Any]) -> Resource:
    group = registration.get("groupID")
    return {element: {"reference": f"Organization/{group}"}} if group is not None else {}


def _registration_id(registration: Mapping[str, Any], systems: Systems) -> Resource:
    return {"system": systems.of("registration"), "value": str(registration["id"])}


def _period(registration: Mapping[str, Any]) -> Resource:
    start, end = to_instant(registration.get("created")), to_instant(registration.get("deactivated"))
    period = ({"start": start} if start else {}) | ({"end": end} if end else {})
    return {"period": period} if period else {}


def _read_identifier(profile: Mapping[str, Any], systems: Systems, patient: Resource, covered: set[str]) -> None:
    """The organization's own key. One in the form of our ids is ours: so a profile that was made under it is found."""
    if "identifier" not in profile:
        return
    own, ours = systems.of("profile-identifier"), f"{systems.ours}/Patient"
    covered |= {f"identifier[{own}]", f"identifier[{ours}]"}
    value = _text(profile["identifier"])
    if value:
        also = [{"system": ours, "value": value}] if _OUR_ID.fullmatch(value) else []
        patient["identifier"] = [{"system": own, "value": value}, *also]


def _names(profile: Mapping[str, Any]) -> Resource:
    first, family = _text(profile["givenName"]), _text(profile["familyName"])
    middle = (_text(profile.get("middleName")) or "").split()
    given = [*([first] if first else []), *middle]
    name = ({"family": family} if family else {}) | ({"given": given} if given else {})
    return {"name": [name]} if name else {}


def _read_birth_date(profile: Mapping[str, Any], patient: Resource, covered: set[str]) -> None:
    born = profile.get("dob")
    if "dob" in profile and (born is None or _is_day(born)):
        covered.add("birthDate")
        patient |= {"birthDate": born} if born else {}


def _is_day(born: Any) -> bool:
    try:
        return isinstance(born, str) and bool(_DAY.fullmatch(born) and date.fromisoformat(born))
    except ValueError:
        return False


def _one_name(patient: Resource) -> dict[str, Any]:
    names: list[dict[str, Any]] = patient.get("name") or [{}]
    return min(names, key=lambda name: _NAME_ORDER.get(name.get("use", ""), len(_NAME_ORDER)))


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
