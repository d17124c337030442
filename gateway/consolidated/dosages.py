"""Amounts and dosages in words (FHIR R4 Quantity, Range, Ratio, Timing, Dosage): only what they say, in their units."""

from __future__ import annotations

from typing import Any

from gateway.fhir.json import Resource

from .words import concept


def quantity(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    unit = value.get("unit") or value.get("code") or ""
    return f"{value.get('comparator', '')}{value.get('value', '')} {unit}".strip()


def span(value: Any) -> str:
    """A Range, of which one end may be open."""
    low, high = (quantity(value.get(name)) for name in ("low", "high"))
    if low and high:
        return f"{low} to {high}"
    return f"from {low}" if low else f"up to {high}" if high else ""


def ratio(value: Any) -> str:
    return f"{quantity(value.get('numerator'))} : {quantity(value.get('denominator'))}"


def doses(value: Any) -> str:
    """What each says in words, else in numbers; what was administered has one dosage, not a list."""
    dosages = value if isinstance(value, list) else [value]
    return "; ".join(filter(None, (str(one.get("text") or _dosage(one)) for one in dosages)))


def _dosage(one: Resource) -> str:
    given = [rate for rate in one.get("doseAndRate") or [one] if isinstance(rate, dict)]
    parts = [amount for rate in given for amount in _amounts(rate)]
    parts += [_timing(one.get("timing") or {}), "as needed" if one.get("asNeededBoolean") else ""]
    parts += [f"as needed for {concept(one['asNeededCodeableConcept'])}" if one.get("asNeededCodeableConcept") else ""]
    parts += [concept(one.get("route")), concept(one.get("site")), concept(one.get("method"))]
    parts += [f"at most {ratio(one['maxDosePerPeriod'])}" if one.get("maxDosePerPeriod") else ""]
    parts += [concept(one.get("additionalInstruction")), str(one.get("patientInstruction", ""))]
    return ", ".join(filter(None, parts))


def _amounts(rate: Resource) -> list[str]:
    """Of Dosage.doseAndRate, or of MedicationAdministration.dosage."""
    dose = quantity(rate.get("doseQuantity") or rate.get("dose")) or span(rate.get("doseRange") or {})
    speed = quantity(rate.get("rateQuantity")) or span(rate.get("rateRange") or {})
    speed = speed or (ratio(rate["rateRatio"]) if rate.get("rateRatio") else "")
    return [part for part in (dose, f"rate {speed}" if speed else "") if part]


def _timing(timing: Resource) -> str:
    repeat = timing.get("repeat") or {}
    return concept(timing.get("code")) or ", ".join(filter(None, (_often(repeat), *_moments(repeat))))


def _often(repeat: Resource) -> str:
    """`2 x per 1 d`; how often within a period that names none is not said."""
    times = "-".join(str(repeat[key]) for key in ("frequency", "frequencyMax") if key in repeat)
    period = "-".join(str(repeat[key]) for key in ("period", "periodMax") if key in repeat)
    every = f"{period} {repeat.get('periodUnit', '')}".strip()
    if times and every:
        return f"{times} x per {every}"
    return f"every {every}" if every else f"{times} x" if times else ""


def _moments(repeat: Resource) -> list[str]:
    return [", ".join(map(str, repeat.get(key) or ())) for key in ("dayOfWeek", "timeOfDay", "when")]
