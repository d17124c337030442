"""A patient's record as tables for people: one per kind of fact, each row its date, what, detail and status.

Nothing is worked out here: every cell is what the resource says, and what it does not say stays empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.fhir.json import Resource

from .dates import date_of
from .details import detail
from .words import concept, person, spoken

Row = tuple[str, str, str, str]
COLUMNS = ("Date", "What", "Detail", "Status")


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Summary:
    """`who`: what identifies the patient, as pairs; `limits`: what it was narrowed down to, as pairs, so that nobody
    takes a part of the record for the whole."""

    title: str
    who: list[tuple[str, str]]
    tables: list[Table]
    limits: Sequence[tuple[str, str]] = ()

    @property
    def nothing(self) -> str:
        """What is said where there is no table."""
        return "Nothing of what was asked for is shown." if self.limits else "Nothing else is known."


_TITLES: Mapping[str, str] = {
    "AllergyIntolerance": "Allergies and intolerances",
    "Condition": "Problems",
    "MedicationStatement": "Medications",
    "MedicationRequest": "Prescriptions",
    "MedicationDispense": "Dispensed medications",
    "MedicationAdministration": "Administered medications",
    "Immunization": "Immunizations",
    "Procedure": "Procedures",
    "DiagnosticReport": "Reports",
    "Observation": "Observations",
    "Encounter": "Encounters",
    "EpisodeOfCare": "Episodes of care",
    "Appointment": "Appointments",
    "CarePlan": "Care plans",
    "Goal": "Goals",
    "FamilyMemberHistory": "Family history",
    "Coverage": "Coverage",
    "DocumentReference": "Documents",
}
_LEFT_OUT = frozenset({"Patient", "Composition", "Provenance", "Binary", "AuditEvent"})


def summary(
    found: Sequence[Resource], named: Sequence[Resource] = (), limits: Sequence[tuple[str, str]] = ()
) -> Summary:
    """Of a `gather.Record`: the Patient first, then her facts; and what those refer to."""
    patient, rest = found[0], found[1:]
    names = {f"{one['resourceType']}/{one.get('id')}": one for one in (*rest, *named)}
    kinds = sorted({one["resourceType"] for one in rest} - _LEFT_OUT, key=_place)
    by_kind = {kind: [one for one in rest if one["resourceType"] == kind] for kind in kinds}
    tables = [Table(_TITLES.get(kind, kind), _rows(ones, names)) for kind, ones in by_kind.items()]
    return Summary("Medical record summary", list(_who(patient)), tables, limits)


def _place(kind: str) -> tuple[int, str]:
    known = list(_TITLES)
    return (known.index(kind) if kind in known else len(known), kind)


def _rows(found: Iterable[Resource], names: Mapping[str, Resource]) -> list[Row]:
    return sorted((_row(one, names) for one in found), key=lambda row: row[0], reverse=True)


def _row(one: Resource, names: Mapping[str, Resource]) -> Row:
    what = _what(one, names)
    return date_of(one) or "", what, detail(one, what), _status(one)


def _who(patient: Resource) -> Iterator[tuple[str, str]]:
    for name in patient.get("name") or ():
        yield f"Name ({name['use']})" if name.get("use") else "Name", person(name)
    for label, key in (("Born", "birthDate"), ("Gender", "gender"), ("Died", "deceasedDateTime")):
        if patient.get(key):
            yield label, str(patient[key])
    if patient.get("deceasedBoolean"):
        yield "Died", "yes"
    for one in patient.get("address") or ():
        yield "Address", _address(one)
    for one in patient.get("telecom") or ():
        yield str(one.get("system", "Contact")).capitalize(), str(one.get("value", ""))
    for one in patient.get("identifier") or ():
        yield "Identifier", " ".join(str(one[key]) for key in ("value", "system") if one.get(key))


def _address(address: Resource) -> str:
    parts = [*(address.get("line") or ()), *(address.get(key) for key in ("city", "state", "postalCode", "country"))]
    return ", ".join(str(part) for part in parts if part) or str(address.get("text", ""))


_CODES = (
    "code",
    "vaccineCode",
    "medicationCodeableConcept",
    "type",
    "title",
    "relationship",
    "serviceType",
    "description",
    "category",
    "event",
    "scope",
    "class",
)
_EXPOSURE_RISK = "http://hl7.org/fhir/StructureDefinition/allergyintolerance-substanceExposureRisk"
_TITLED = ("name", "title")
_NAMES = ("name", "deviceName", "payload", "questionnaire")


def _what(resource: Resource, names: Mapping[str, Resource]) -> str:
    keys = ("relationship", *_TITLED) if resource["resourceType"] == "FamilyMemberHistory" else _TITLED
    titled = [concept(value) for key in keys if isinstance(value := resource.get(key), (str, dict))]
    coded = next(filter(None, (concept(resource.get(key)) for key in _CODES)), "")
    return next(filter(None, (_risk(resource), *titled, _medicine(resource, names), coded, _called(resource))), "")


def _risk(resource: Resource) -> str:
    """What is known of a substance where an allergy has no code: it may be that it does no harm."""
    held: Resource = next((one for one in resource.get("extension") or () if one.get("url") == _EXPOSURE_RISK), {})
    parts = {one.get("url"): concept(one.get("valueCodeableConcept")) for one in held.get("extension") or ()}
    return ": ".join(filter(None, (parts.get("substance"), parts.get("exposureRisk"))))


def _medicine(resource: Resource, names: Mapping[str, Resource]) -> str:
    """What a reference to a medication leads to, in the record or within the resource; else what it calls it or
    where it points: an empty cell would hide that something was prescribed."""
    given = resource.get("medicationReference") or {}
    inner = {f"#{one.get('id')}": one for one in resource.get("contained") or ()}
    reference = str(given.get("reference"))
    named = names.get(reference) or inner.get(reference) or {}
    return concept(named.get("code")) or str(given.get("display") or given.get("reference", ""))


def _called(resource: Resource) -> str:
    """The names of people and devices, and what a message says."""
    return ", ".join(filter(None, (spoken(resource.get(key)) for key in _NAMES)))


_STATES = ("clinicalStatus", "verificationStatus", "status", "lifecycleStatus", "achievementStatus")


def _status(resource: Resource) -> str:
    said = [concept(resource.get(key)) for key in _STATES]
    return ", ".join(filter(None, said))
