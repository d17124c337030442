"""What codes, names and references are called, as they say it themselves."""

from __future__ import annotations

from typing import Any

from gateway.fhir.json import Resource


def concept(value: Any) -> str:
    """A CodeableConcept, a Coding, a list of either, or a text."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(concept, value)))
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return ""
    codings = value.get("coding") or [value]
    shown = next((one for one in codings if isinstance(one, dict) and one.get("display")), None)
    coded = next((one for one in codings if isinstance(one, dict) and one.get("code")), None)
    return str(value.get("text") or (shown or {}).get("display") or (coded or {}).get("code") or "")


def person(name: Resource) -> str:
    """A HumanName."""
    if name.get("text") and not name.get("family"):
        return str(name["text"])
    parts = [*(name.get("prefix") or ()), *(name.get("given") or ()), name.get("family"), *(name.get("suffix") or ())]
    return " ".join(str(part) for part in parts if part)


def spoken(value: Any) -> str:
    """What a person, device, message or reference is called; of a list all of them."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(spoken, value)))
    if not isinstance(value, dict):
        return str(value or "")
    told = (value.get(key) for key in ("name", "contentString", "display"))
    return next((str(one) for one in told if isinstance(one, str)), "") or person(value)
