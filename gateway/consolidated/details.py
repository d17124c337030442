"""What a resource says beside its date, name and status: the detail of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.fhir.json import Resource

from .dosages import doses, quantity, ratio, span
from .words import concept, spoken

Show = Callable[[Any], str]


def _labelled(label: str, show: Show) -> Show:
    return lambda value: f"{label} {text}" if (text := show(value)) else ""


def _each(show: Callable[[Resource], str]) -> Show:
    """Of the objects of a list."""

    def shown(values: Any) -> str:
        listed = values if isinstance(values, list) else ()
        return "; ".join(filter(None, (show(one) for one in listed if isinstance(one, dict))))

    return shown


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _period(value: Any) -> str:
    return f"{value.get('start', '')} to {value.get('end', '')}"


def _normal(one: Resource) -> str:
    """One of an Observation."""
    return f"{concept(one.get('type')) or 'reference range'} {one.get('text') or span(one)}".strip()


def _reaction(one: Resource) -> str:
    said = (concept(one.get("substance")), concept(one.get("manifestation")), str(one.get("description", "")))
    return _joined(*said, str(one.get("severity", "")))


def _supply(value: Any) -> str:
    """What a MedicationRequest lets be dispensed."""
    repeats = value.get("numberOfRepeatsAllowed")
    return _joined(quantity(value.get("quantity")), "" if repeats is None else f"repeats {repeats}")


def _target(one: Resource) -> str:
    aim = quantity(one.get("detailQuantity")) or span(one.get("detailRange") or {}) or str(one.get("detailString", ""))
    due = f"by {one['dueDate']}" if one.get("dueDate") else ""
    return _joined(concept(one.get("measure")), aim or concept(one.get("detailCodeableConcept")), due)


def _activity(one: Resource) -> str:
    planned = one.get("detail") or {}
    named = concept(planned.get("code")) or str(planned.get("description", ""))
    return _joined(named or spoken(one.get("reference")), str(planned.get("status", "")))


def _dose_number(one: Resource) -> str:
    number = one.get("doseNumberPositiveInt", one.get("doseNumberString"))
    return _joined(str(one.get("series", "")), "" if number is None else f"dose {number}")


def _had(one: Resource) -> str:
    """A condition of a relative."""
    return _joined(concept(one.get("code")), detail(one, ""))


_SHOWN: Mapping[str, Show] = {
    "valueQuantity": quantity,
    "valueCodeableConcept": concept,
    "valueString": str,
    "valueInteger": str,
    "valueBoolean": lambda value: "yes" if value else "no",
    "valueDateTime": str,
    "valueTime": str,
    "valuePeriod": _period,
    "valueRange": span,
    "valueRatio": ratio,
    "valueSampledData": lambda value: str(value.get("data", "")),
    "interpretation": concept,
    "referenceRange": _each(_normal),
    "doNotPerform": lambda value: "not to be done" if value else "",
    "name": spoken,
    "class": concept,
    "severity": _labelled("severity", concept),
    "bodySite": concept,
    "doseQuantity": quantity,
    "dosage": doses,
    "dosageInstruction": doses,
    "quantity": _labelled("quantity", quantity),
    "daysSupply": _labelled("for", quantity),
    "dispenseRequest": _labelled("dispense", _supply),
    "route": concept,
    "reaction": _each(_reaction),
    "criticality": _labelled("criticality", str),
    "condition": _each(_had),
    "deceasedBoolean": lambda value: "died" if value else "",
    "deceasedAge": _labelled("died at", quantity),
    "deceasedDate": _labelled("died", str),
    "deceasedString": _labelled("died", str),
    "onsetAge": _labelled("onset at", quantity),
    "onsetRange": _labelled("onset at", span),
    "onsetString": _labelled("onset", str),
    "abatementDateTime": _labelled("until", str),
    "abatementAge": _labelled("until", quantity),
    "abatementRange": _labelled("until", span),
    "abatementString": _labelled("until", str),
    **dict.fromkeys(
        ("period", "effectivePeriod", "performedPeriod", "occurrencePeriod", "abatementPeriod"),
        _labelled("until", lambda value: str(value.get("end", ""))),
    ),
    "hospitalization": _labelled("discharged to", lambda value: concept(value.get("dischargeDisposition"))),
    "payor": spoken,
    "conclusion": str,
    "conclusionCode": concept,
    "outcome": _labelled("outcome", concept),
    "complication": _labelled("complication", concept),
    "lotNumber": _labelled("lot", str),
    "protocolApplied": _each(_dose_number),
    "isSubpotent": lambda value: "subpotent" if value else "",
    "target": _each(_target),
    "activity": _each(_activity),
    "reasonCode": _labelled("because of", concept),
    "statusReason": _labelled("because of", concept),
    "description": concept,
    "dataAbsentReason": _labelled("not known:", concept),
    "note": _each(lambda one: str(one.get("text", ""))),
}


def detail(resource: Resource, what: str) -> str:
    """Without what its row says already."""
    parts = [show(resource[key]) for key, show in _SHOWN.items() if resource.get(key) is not None]
    parts += [f"{concept(one.get('code'))}: {detail(one, '')}" for one in resource.get("component") or ()]
    attachments = [one.get("attachment") or {} for one in resource.get("content") or () if isinstance(one, dict)]
    parts += [str(one["title"]) for one in attachments if one.get("title")]
    return "; ".join(dict.fromkeys(part for part in parts if part and part != what))
