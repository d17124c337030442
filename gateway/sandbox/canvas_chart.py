"""The patients of the stand-in Canvas, as its FHIR API shows, takes and finds them (canvas.md, surface C).

Strict where the contract is: what it requires is required, what a write leaves out goes where it says so.
"""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any

Patient = dict[str, Any]

MRN = "http://canvasmedical.com"
BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
IDENTITY = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-genderIdentity"
OWN = "http://schemas.canvasmedical.com/fhir/extensions/"
CONSENT = f"{OWN}has-consent"
LISTS = ("telecom", "address", "contact")
"""An entry that a PUT leaves out is deleted."""

DROPPED = (f"{OWN}preferred-pharmacy", f"{OWN}patient-default-provider", f"{OWN}patient-default-location")
"""Extensions that a PUT drops by leaving them out."""

_PLAIN = ("active", "gender", "birthDate", "communication")
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_GENDER_OF = {"446141000124107": "female", "446151000124109": "male"}
_COUNTRY = {"us": "United States", "usa": "United States", "": "United States"}
_CONTACT_FLAGS = ("emergency-contact", "authorized-for-release-of-information")
_SEARCHED = ("identifier", "_id", "family", "given", "name", "birthDate", "email", "phone", "gender", "active")
SEARCH = frozenset({*_SEARCHED, "nickname", "_sort", "_has:CareTeam:participant:member", "_count", "_offset"})
_ALWAYS = {"start": "0001-01-01T00:00:00+00:00", "end": "9999-12-31T23:59:59.999999+00:00"}


class CanvasError(Exception):
    """A refusal: status, OperationOutcome code and text as the contract's table has them."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


def unprocessable(text: str) -> CanvasError:
    return CanvasError(422, "business-rule", text)


@dataclass
class Chart:
    """`held`: Canvas id -> Patient as read, without what every read adds. `last_updated`: whether reads tell it."""

    held: dict[str, Patient] = field(default_factory=dict)
    modified: dict[str, datetime] = field(default_factory=dict)
    last_updated: bool = False
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(100_000_001))

    def create(self, body: Any) -> str:
        """A new patient; its id."""
        asked = _checked(body)
        patient_id = uuid.uuid4().hex
        number = str(next(self._numbers))
        self._store(patient_id, _merged({"resourceType": "Patient", "active": True, "mrn": number}, asked))
        return patient_id

    def update(self, patient_id: str, body: Any, unmodified_since: str | None = None) -> None:
        """A PUT: required elements again, lists replaced, optional elements left out stay."""
        current = self.get(patient_id)
        if unmodified_since is not None and self.modified[patient_id].replace(microsecond=0) > _http_date(
            unmodified_since
        ):
            raise CanvasError(412, "conflict", "Resource updated since If-Unmodified-Since date")
        asked = _checked(body)
        if asked.get("id", patient_id) != patient_id:
            raise CanvasError(400, "invalid", "Bad request")
        self._store(patient_id, _merged(current, asked))

    def edit(self, patient_id: str, change: Callable[[Patient], None]) -> None:
        """A change by a user of Canvas itself."""
        patient = deepcopy(self.get(patient_id))
        change(patient)
        self._store(patient_id, patient)

    def get(self, patient_id: str) -> Patient:
        try:
            return self.held[patient_id]
        except KeyError:
            raise CanvasError(404, "not-found", f"Unknown Patient resource '{patient_id}'") from None

    def read(self, patient_id: str) -> Patient:
        """As the API shows her."""
        shown = deepcopy(self.get(patient_id))
        number = shown.pop("mrn")
        head: Patient = {"resourceType": "Patient", "id": patient_id}
        if self.last_updated:
            head["meta"] = {"lastUpdated": self.modified[patient_id].isoformat(timespec="milliseconds")}
        head["text"] = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Patient</div>'}
        shown["identifier"] = [_mrn(number), *shown.get("identifier", [])]
        shown["name"] = [{**name, "period": _ALWAYS} for name in shown["name"]]
        shown["gender"] = _gender(shown)
        if photo := shown.pop("photo", None):
            shown["photo"] = [{"url": f"https://canvas.example/Patient/{patient_id}/files/photo"} for _ in photo]
        return {**head, **shown, "deceasedBoolean": False}

    def search(self, wanted: Mapping[str, list[str]]) -> list[str]:
        """The ids that fit, oldest first. A repeated parameter means and."""
        for name in wanted:
            if name not in SEARCH:
                raise CanvasError(400, "invalid", "Bad request")
        return [one for one in self.held if all(self._fits(one, *pair) for pair in _pairs(wanted))]

    def external(self, patient_id: str, system: str) -> str | None:
        """The first external identifier of a system."""
        listed = self.get(patient_id).get("identifier", [])
        return next((one["value"] for one in listed if one["system"] == system), None)

    def add_identifier(self, patient_id: str, system: str, value: str) -> None:
        def add(patient: Patient) -> None:
            patient.setdefault("identifier", []).append(_identifier({"system": system, "value": value}, None))

        self.edit(patient_id, add)

    def _store(self, patient_id: str, patient: Patient) -> None:
        self.held[patient_id] = patient
        self.modified[patient_id] = self.clock()

    def _fits(self, patient_id: str, name: str, value: str) -> bool:
        if name == "_id":
            return patient_id == value
        if name.startswith("_has"):
            return False
        return name.startswith("_") or _MATCHES[name](self.read(patient_id), value)


# What a write must hold.


def _checked(body: Any) -> Patient:
    if not isinstance(body, dict) or body.get("resourceType") != "Patient":
        raise CanvasError(400, "invalid", "Bad request")
    _check_required(body)
    for one in body.get("identifier", []):
        _check_identifier(one)
    for one in body.get("address", []):
        if one.get("state") is not None and not re.fullmatch(r"[A-Z]{2}", one["state"]):
            raise unprocessable("address.state must be two letters")
    for one in body.get("contact", []):
        _check_contact(one)
    return body


def _check_required(body: Patient) -> None:
    sexes = [one.get("valueCode") for one in body.get("extension", []) if one.get("url") == BIRTH_SEX]
    if len(sexes) != 1 or sexes[0] not in ("M", "F", "OTH", "UNK"):
        raise unprocessable("birthsex extension is required")
    official = [name for name in body.get("name", []) if name.get("use") == "official"]
    if len(official) != 1 or not official[0].get("family") or not (official[0].get("given") or [""])[0]:
        raise unprocessable("an official name with family and given is required")
    if body.get("gender") not in ("male", "female", "other", "unknown"):
        raise unprocessable("gender is required")
    if not isinstance(body.get("birthDate"), str) or not _DATE.fullmatch(body["birthDate"]):
        raise unprocessable("birthDate is required")
    try:
        date.fromisoformat(_whole(body["birthDate"]))
    except ValueError:
        raise unprocessable("birthDate is no date") from None


def _check_identifier(one: Patient) -> None:
    if not one.get("system") or not one.get("value"):
        raise unprocessable("identifier needs system and value")
    if one["system"] == MRN:
        raise unprocessable("the medical record number cannot be written")


def _check_contact(one: Patient) -> None:
    if not (one.get("name") or {}).get("text"):
        raise unprocessable("contact.name.text is required")
    for telecom in one.get("telecom", []):
        if telecom.get("system") == "phone" and not re.fullmatch(r"\d{10}", str(telecom.get("value"))):
            raise unprocessable("a contact's phone must be 10 digits")


# What a write makes of a patient.


def _merged(current: Patient, asked: Patient) -> Patient:
    merged = deepcopy(current)
    for name in _PLAIN:
        if name in asked:
            merged[name] = deepcopy(asked[name])
    merged["birthDate"] = _whole(asked["birthDate"])
    merged["name"] = [*_names(asked), *_other_names(current, asked)]
    merged["extension"] = _extensions(current, asked)
    merged["identifier"] = _identifiers(current, asked)
    for name in LISTS:
        merged[name] = [_entry(name, one, current.get(name, [])) for one in asked.get(name, [])]
    if asked.get("photo"):
        merged["photo"] = asked["photo"]
    return {name: value for name, value in merged.items() if value != []}


def _whole(text: str) -> str:
    """Partial dates become the 1st."""
    return text + "-01" * ((10 - len(text)) // 3)


def _names(asked: Patient) -> list[Patient]:
    return [{key: name[key] for key in ("use", "family", "given") if key in name} for name in asked["name"]]


def _other_names(current: Patient, asked: Patient) -> list[Patient]:
    uses = {name.get("use") for name in asked["name"]}
    return [name for name in current.get("name", []) if name.get("use") not in uses]


def _extensions(current: Patient, asked: Patient) -> list[Patient]:
    given = {one["url"]: _extension(one) for one in asked.get("extension", [])}
    kept = [one for one in current.get("extension", []) if one["url"] not in given and one["url"] not in DROPPED]
    return [*given.values(), *kept]


def _extension(one: Patient) -> Patient:
    """Race and ethnicity are shown with a text of Canvas' own."""
    parts = one.get("extension")
    if not parts or not one["url"].endswith(("us-core-race", "us-core-ethnicity")):
        return deepcopy(one)
    coded = [deepcopy(part) for part in parts if "valueCoding" in part]
    for part in coded:
        part["valueCoding"].setdefault("display", f"Display of {part['valueCoding'].get('code')}")
    return {
        "extension": [*coded, {"url": "text", "valueString": coded[0]["valueCoding"]["display"]}],
        "url": one["url"],
    }


def _identifiers(current: Patient, asked: Patient) -> list[Patient]:
    before = {one["id"]: one for one in current.get("identifier", [])}
    written = [_identifier(one, before) for one in asked.get("identifier", [])]
    ids = {one["id"] for one in written}
    today = datetime.now(UTC).date().isoformat()
    kept = [one for one in before.values() if one["id"] not in ids and one["period"]["end"] <= today]
    return [*written, *kept]


def _identifier(one: Patient, before: Mapping[str, Patient] | None) -> Patient:
    period = {"start": "1970-01-01", "end": "2100-12-31", **one.get("period", {})}
    entry_id = _id_of(one, before or {})
    return {"id": entry_id, "use": one.get("use", "usual"), "system": one["system"], "value": one["value"]} | {
        "period": period
    }


def _id_of(one: Patient, before: Mapping[str, Patient]) -> str:
    """With an id it is an update of that entry, without one a new entry."""
    if "id" not in one:
        return str(uuid.uuid4())
    if one["id"] not in before:
        raise unprocessable("an entry with that id does not exist")
    return str(one["id"])


def _entry(name: str, one: Patient, current: list[Patient]) -> Patient:
    entry = {"id": _id_of(one, {each["id"]: each for each in current})}
    return entry | _ENTRIES[name](deepcopy(one))


def _telecom(one: Patient) -> Patient:
    consent = next((each for each in one.get("extension", []) if each["url"] == CONSENT), None)
    value = one["value"]
    if one.get("system") == "phone" and len(digits := re.sub(r"\D", "", value).removeprefix("1")) == 10:
        value = digits
    shown = {"extension": [consent or {"url": CONSENT, "valueBoolean": False}], "system": one["system"], "value": value}
    return shown | {name: one[name] for name in ("use", "rank") if name in one}


def _address(one: Patient) -> Patient:
    lines = one.get("line", [])
    joined = [lines[0], ", ".join(lines[1:])] if len(lines) > 1 else lines
    shown = {name: one[name] for name in ("use", "type", "city", "state", "postalCode") if name in one}
    country = one.get("country", "")
    return shown | ({"line": joined} if joined else {}) | {"country": _COUNTRY.get(country.lower(), country)}


def _contact(one: Patient) -> Patient:
    given = {each["url"]: each for each in one.get("extension", [])}
    for flag in _CONTACT_FLAGS:
        given.setdefault(OWN + flag, {"url": OWN + flag, "valueBoolean": False})
    shown = {"extension": list(given.values()), "name": {"text": one["name"]["text"]}}
    for name in ("relationship", "telecom"):
        if one.get(name):
            shown[name] = one[name]
    return shown


_ENTRIES: Mapping[str, Callable[[Patient], Patient]] = {
    "telecom": _telecom,
    "address": _address,
    "contact": _contact,
}


def _http_date(text: str) -> datetime:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        raise CanvasError(400, "invalid", "Bad request") from None


def _mrn(number: str) -> Patient:
    coding = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}
    return {
        "use": "usual",
        "type": {"coding": [coding]},
        "system": MRN,
        "value": number,
        "assigner": {"display": "Canvas Medical"},
    }


def _gender(patient: Patient) -> str:
    """Gender identity overrides gender."""
    for one in patient.get("extension", []):
        if one["url"] == IDENTITY:
            codes = [coding.get("code") for coding in one["valueCodeableConcept"].get("coding", [])]
            return next((_GENDER_OF[code] for code in codes if code in _GENDER_OF), "other")
    return str(patient["gender"])


# Search.


def _pairs(wanted: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, values in wanted.items() for value in values]


def _identified(patient: Patient, token: str) -> bool:
    system, bar, value = token.rpartition("|")
    return any(
        (not bar or not system or one["system"] == system) and (not value or one["value"] == value)
        for one in patient["identifier"]
    )


def _named(*parts: str, use: str | None = None) -> Callable[[Patient, str], bool]:
    def fits(patient: Patient, value: str) -> bool:
        names = [name for name in patient["name"] if use is None or name.get("use") == use]
        texts = [text for name in names for part in parts for text in _texts(name.get(part))]
        return any(text.lower().startswith(value.lower()) for text in texts)

    return fits


def _texts(part: Any) -> list[str]:
    return part if isinstance(part, list) else [part] if part else []


def _reached(system: str) -> Callable[[Patient, str], bool]:
    return lambda patient, value: any(
        one["system"] == system and one["value"] == value for one in patient.get("telecom", [])
    )


_MATCHES: Mapping[str, Callable[[Patient, str], bool]] = {
    "identifier": _identified,
    "family": _named("family"),
    "given": _named("given"),
    "name": _named("family", "given"),
    "nickname": _named("given", use="nickname"),
    "birthDate": lambda patient, value: bool(patient["birthDate"] == value),
    "gender": lambda patient, value: bool(patient["gender"] == value),
    "active": lambda patient, value: str(patient["active"]).lower() == value,
    "email": _reached("email"),
    "phone": _reached("phone"),
}
