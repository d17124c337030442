"""Impilo's readings -> Observation (Impilo API v3, webhook types `reading.*`; docs/how-to/connect-impilo.md).

Units are not documented. Where the quantity can have one unit only (a blood pressure of 120/80, a saturation in per
cent, beats per minute) that is it; a weight, a temperature or a glucose value has the unit that the operator states,
and none without: a number whose unit is unknown stays one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from gateway.errors import InvalidInput
from gateway.fhir import times
from gateway.fhir.issue import Issue
from gateway.fhir.json import Resource
from gateway.translators.json.left_out import unplaced, unread

MANUAL = "https://app.impiloplatform.com/reading/manual"
DEVICES = "https://app.impiloplatform.com/device"

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d(?:\.\d+)?)?\s?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)

_LOINC = "http://loinc.org"
_UCUM = "http://unitsofmeasure.org"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


class Code(NamedTuple):
    """A LOINC code with its name."""

    code: str
    display: str


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of reading is told: `names` = the fields its value may stand in, `unit` None = the operator's."""

    code: Code
    names: tuple[str, ...] = ()
    unit: str | None = None
    parts: tuple[Kind, ...] = ()
    category: str = "vital-signs"


_HEART_RATE = Kind(Code("8867-4", "Heart rate"), ("heartRate",), "/min")
_GLUCOSE_BY_UNIT = {"mmol/L": Code("15074-8", "Glucose [Moles/volume] in Blood")}

KINDS: Mapping[str, Kind] = {
    "weight": Kind(Code("29463-7", "Body weight"), ("weight",)),
    "temperature": Kind(Code("8310-5", "Body temperature"), ("temperature",)),
    "bloodGlucose": Kind(
        Code("2339-0", "Glucose [Mass/volume] in Blood"), ("bloodGlucose", "glucose"), category="laboratory"
    ),
    "bloodOxygen": Kind(
        Code("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"),
        ("bloodOxygen", "oxygen", "spo2", "oxygenSaturation"),
        "%",
        (_HEART_RATE,),
    ),
    "bloodPressure": Kind(
        Code("85354-9", "Blood pressure panel with all children optional"),
        parts=(
            Kind(Code("8480-6", "Systolic blood pressure"), ("systolic",), "mm[Hg]"),
            Kind(Code("8462-4", "Diastolic blood pressure"), ("diastolic",), "mm[Hg]"),
            _HEART_RATE,
        ),
    ),
}
"""What is documented well enough to be told. Of ECG, peak flow and sleep nothing says what their payloads hold."""

UNITS: Mapping[str, Mapping[str, str]] = {
    "weight": {"kg": "kg", "[lb_av]": "lb", "g": "g"},
    "temperature": {"Cel": "°C", "[degF]": "°F"},
    "bloodGlucose": {"mg/dL": "mg/dL", "mmol/L": "mmol/L"},
}
"""Kind -> the UCUM units an operator may state, each as it is printed."""

_PRINTED = {"mm[Hg]": "mmHg", "/min": "beats/minute", "%": "%"} | {
    unit: printed for units in UNITS.values() for unit, printed in units.items()
}


def to_observation(kind: str, reading: Mapping[str, Any], *, patient: str, units: Mapping[str, str]) -> Resource:
    """A reading of a kind of KINDS. `patient` = their id of the patient; `units`: kind -> UCUM unit.

    Raises InvalidInput when it holds no value that we know the place of.
    """
    known = KINDS[kind]
    unit = known.unit or units.get(kind)
    observation: Resource = {
        "resourceType": "Observation",
        **_extensions(reading),
        "status": "final",
        "category": [{"coding": [{"system": _CATEGORY, "code": known.category}]}],
        "code": _concept(_GLUCOSE_BY_UNIT.get(unit or "", known.code) if kind == "bloodGlucose" else known.code),
        "subject": {"reference": f"Patient/{patient}"},
        **_effective(reading),
        **_value(known, unit, reading),
        **_device(reading),
        **_components(known, reading),
    }
    if not {"valueQuantity", "component"} & observation.keys():
        raise InvalidInput(f"a reading of the kind {kind} holds no number that we know the place of")
    return observation


def left_out(kind: str, reading: Mapping[str, Any]) -> tuple[Issue, ...]:
    """What of a reading the Observation does not hold. Of its patient nothing: she is read again."""
    known = KINDS[kind]
    values = (*known.names, *(name for part in known.parts for name in part.names))
    others = unplaced(reading, ("id", "readingTimestamp", "manual", "patient", "device", *values))
    return (*_untimed(reading), *others, *unplaced(reading.get("device"), ("id",), "device."))


def _untimed(reading: Mapping[str, Any]) -> Iterator[Issue]:
    at, told = reading.get("readingTimestamp"), _effective(reading).get("effectiveDateTime")
    if at not in (None, "") and told is None:
        yield from unread(["readingTimestamp"])
    elif told is not None and "T" not in told and str(at).strip() != told:
        yield Issue("warning", "value", "readingTimestamp has no zone: only its date was kept", "readingTimestamp")


def _value(kind: Kind, unit: str | None, reading: Mapping[str, Any]) -> Resource:
    number = next((found for name in kind.names if (found := _number(reading.get(name))) is not None), None)
    if number is None:
        return {}
    stated = {"unit": _PRINTED[unit], "system": _UCUM, "code": unit} if unit else {}
    return {"valueQuantity": {"value": number, **stated}}


def _components(kind: Kind, reading: Mapping[str, Any]) -> Resource:
    found = [
        {"code": _concept(part.code), **value} for part in kind.parts if (value := _value(part, part.unit, reading))
    ]
    return {"component": found} if found else {}


def _effective(reading: Mapping[str, Any]) -> Resource:
    """When it was measured. Of a time without a zone only the date is kept; what is no time is not told, nor is it
    replaced by another."""
    at = reading.get("readingTimestamp")
    match = _MOMENT.fullmatch(at.strip()) if isinstance(at, str) else None
    if match is None:
        return {}
    day, minute, second, zone = match.groups()
    told = f"{day}T{minute}{second or ':00'}{zone}" if zone else day
    try:
        times.parse(told)
    except InvalidInput:
        return {}
    return {"effectiveDateTime": told}


def _extensions(reading: Mapping[str, Any]) -> Resource:
    manual = reading.get("manual")
    return {"extension": [{"url": MANUAL, "valueBoolean": manual}]} if isinstance(manual, bool) else {}


def _device(reading: Mapping[str, Any]) -> Resource:
    device = reading.get("device")
    found = device.get("id") if isinstance(device, dict) else None
    if isinstance(found, bool) or not isinstance(found, int | str) or not str(found).strip():
        return {}
    return {"device": {"identifier": {"system": DEVICES, "value": str(found)}}}


def _number(value: Any) -> int | Decimal | None:
    return value if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


def _concept(code: Code) -> Resource:
    return {"coding": [{"system": _LOINC, "code": code.code, "display": code.display}]}
