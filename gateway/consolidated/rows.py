"""A patient's record as tables for people: one per kind of fact, each row its date, what, detail and status.

Nothing is worked out here: every cell is what the resource says, and what it does not say stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.fhir.json import Resource

from .dates import date_of

Row = tuple[str, str, str, str]
COLUMNS = ("Date", "What", "Detail", "Status")


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Summary:
    """`who`: what identifies the patient, as pairs."""

    title: str
    who: list[tuple[str, str]]
    tables: list[Table]


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


def summary(found: Sequence[Resource], named: Sequence[Resource] = ()) -> Summary:
    """Of a `gather.Record`: the Patient first, then her facts; and what those refer to."""
    patient, rest = found[0], found[1:]
    names = {f"{one['resourceType']}/{one.get('id')}": one for one in (*rest, *named)}
    kinds = sorted({one["resourceType"] for one in rest} - _LEFT_OUT, key=_place)
    by_kind = {kind: [one for one in rest if one["resourceType"] == kind] for kind in kinds}
    tables = [Table(_TITLES.get(kind, kind), _rows(ones, names)) for kind, ones in by_kind.items()]
    return Summary("Medical record summary", list(_who(patient)), tables)


def _place(kind: str) -> tuple[int, str]:
    known = list(_TITLES)
    return (known.index(kind) if kind in known else len(known), kind)


def _rows(found: Iterable[Resource], names: Mapping[str, Resource]) -> list[Row]:
    made = [(date_of(one) or "", _what(one, names), _detail(one), _status(one)) for one in found]
    return sorted(made, key=lambda row: row[0], reverse=True)


def _who(patient: Resource) -> Iterator[tuple[str, str]]:
    for name in patient.get("name") or ():
        yield f"Name ({name['use']})" if name.get("use") else "Name", _name(name)
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


def _name(name: Resource) -> str:
    if name.get("text") and not name.get("family"):
        return str(name["text"])
    parts = [*(name.get("prefix") or ()), *(name.get("given") or ()), name.get("family"), *(name.get("suffix") or ())]
    return " ".join(str(part) for part in parts if part)


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
    "category",
    "serviceType",
    "description",
    "event",
    "scope",
    "class",
)
_EXPOSURE_RISK = "http://hl7.org/fhir/StructureDefinition/allergyintolerance-substanceExposureRisk"
_NAMES = ("name", "deviceName", "payload", "questionnaire")


def _what(resource: Resource, names: Mapping[str, Resource]) -> str:
    named = [text for key in ("name", "title") if isinstance(text := resource.get(key), str)]
    coded = next(filter(None, (_concept(resource.get(key)) for key in _CODES)), "")
    return next(filter(None, (_risk(resource), *named, coded, _medicine(resource, names), _called(resource))), "")


def _risk(resource: Resource) -> str:
    """What is known of a substance where an allergy has no code: it may be that it does no harm."""
    held: Resource = next((one for one in resource.get("extension") or () if one.get("url") == _EXPOSURE_RISK), {})
    parts = {one.get("url"): _concept(one.get("valueCodeableConcept")) for one in held.get("extension") or ()}
    return ": ".join(filter(None, (parts.get("substance"), parts.get("exposureRisk"))))


def _medicine(resource: Resource, names: Mapping[str, Resource]) -> str:
    """What a reference to a medication leads to, in the record or within the resource; else what it calls it or
    where it points: an empty cell would hide that something was prescribed."""
    given = resource.get("medicationReference") or {}
    inner = {f"#{one.get('id')}": one for one in resource.get("contained") or ()}
    reference = str(given.get("reference"))
    named = names.get(reference) or inner.get(reference) or {}
    return _concept(named.get("code")) or str(given.get("display") or given.get("reference", ""))


def _called(resource: Resource) -> str:
    """The names of people and devices, and what a message says."""
    given = [resource.get(key) for key in _NAMES]
    listed = [one for value in given for one in (value if isinstance(value, list) else [value])]
    return ", ".join(filter(None, map(_spoken, listed)))


def _spoken(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value or "")
    told = (value.get(key) for key in ("name", "contentString", "display"))
    return next((str(one) for one in told if isinstance(one, str)), "") or _name(value)


def _concept(value: Any) -> str:
    """A CodeableConcept, a Coding, a list of either, or a text."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(_concept, value)))
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return ""
    codings = value.get("coding") or [value]
    shown = next((one for one in codings if isinstance(one, dict) and one.get("display")), None)
    coded = next((one for one in codings if isinstance(one, dict) and one.get("code")), None)
    return str(value.get("text") or (shown or {}).get("display") or (coded or {}).get("code") or "")


_VALUES: Mapping[str, Callable[[Any], str]] = {
    "valueQuantity": lambda value: _quantity(value),
    "valueCodeableConcept": _concept,
    "valueString": str,
    "valueInteger": str,
    "valueBoolean": lambda value: "yes" if value else "no",
    "valueDateTime": str,
    "valueTime": str,
    "valuePeriod": lambda value: f"{value.get('start', '')} to {value.get('end', '')}",
    "valueRange": lambda value: f"{_quantity(value.get('low'))} to {_quantity(value.get('high'))}",
    "valueRatio": lambda value: f"{_quantity(value.get('numerator'))} : {_quantity(value.get('denominator'))}",
    "valueSampledData": lambda value: str(value.get("data", "")),
    "interpretation": _concept,
    "doNotPerform": lambda value: "not to be done" if value else "",
    "doseQuantity": lambda value: _quantity(value),
    "dosage": lambda value: _doses(value),
    "dosageInstruction": lambda value: _doses(value),
    "reaction": lambda value: "; ".join(_concept(one.get("manifestation")) for one in value),
    "criticality": lambda value: f"criticality {value}",
    "condition": lambda value: "; ".join(_concept(one.get("code")) for one in value if isinstance(one, dict)),
    "payor": lambda value: ", ".join(filter(None, map(_spoken, value))),
    "conclusion": str,
    "lotNumber": lambda value: f"lot {value}",
    "dataAbsentReason": lambda value: f"not known: {_concept(value)}",
}


def _detail(resource: Resource) -> str:
    parts = [show(resource[key]) for key, show in _VALUES.items() if resource.get(key) is not None]
    parts += [f"{_concept(one.get('code'))}: {_detail(one)}" for one in resource.get("component") or ()]
    attachments = [one.get("attachment") or {} for one in resource.get("content") or () if isinstance(one, dict)]
    parts += [str(one["title"]) for one in attachments if one.get("title")]
    return "; ".join(filter(None, parts))


def _doses(value: Any) -> str:
    """What each says in words, else its amounts; what was administered has one dosage, not a list."""
    dosages = value if isinstance(value, list) else [value]
    return "; ".join(filter(None, (str(one.get("text") or _amounts(one)) for one in dosages)))


def _amounts(dosage: Resource) -> str:
    given = [one for one in dosage.get("doseAndRate") or [dosage.get("dose")] if isinstance(one, dict)]
    return ", ".join(filter(None, (_quantity(one.get("doseQuantity", one)) for one in given)))


def _quantity(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    unit = value.get("unit") or value.get("code") or ""
    return f"{value.get('comparator', '')}{value.get('value', '')} {unit}".strip()


_STATES = ("clinicalStatus", "verificationStatus", "status", "lifecycleStatus", "achievementStatus")


def _status(resource: Resource) -> str:
    said = [_concept(resource.get(key)) for key in _STATES]
    return ", ".join(filter(None, said))
