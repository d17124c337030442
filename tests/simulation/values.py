"""Values: everything that is ever typed in a story carries a number of its own, so that its way can be followed."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

NAME = "name[official]"
HOME, MOBILE, EMAIL = "telecom[phone,home]", "telecom[phone,mobile]", "telecom[email]"
BIRTH, ADDRESS, MARITAL = "birthDate", "address[home]", "maritalStatus"
SLOTS = (NAME, HOME, MOBILE, EMAIL, BIRTH, ADDRESS, MARITAL)

_LABELS: dict[str, dict[str, str]] = {
    NAME: {"use": "official"},
    HOME: {"system": "phone", "use": "home"},
    MOBILE: {"system": "phone", "use": "mobile"},
    EMAIL: {"system": "email"},
    ADDRESS: {"use": "home"},
    "name[-]": {},
    "telecom[phone]": {"system": "phone"},
}
_DAY_ZERO = date(1900, 1, 1)


def typed(slot: str, number: int) -> Any:
    """What somebody types into a slot, in FHIR."""
    if slot == BIRTH:
        return (_DAY_ZERO + timedelta(days=number)).isoformat()
    if slot == MARITAL:
        return {"text": f"status {number}"}
    return [{**_LABELS[slot], **_typed(slot, number)}]


def _typed(slot: str, number: int) -> dict[str, Any]:
    if slot == NAME:
        return {"family": f"Née{number}", "given": [f"Zoë{number}", f"Ann{number}"]}
    if slot == ADDRESS:
        return {"line": [f"{number} Main St"]}
    return {"value": f"u{number}@example.org" if slot == EMAIL else f"+1 555-{number:07d}"}


def number_in(kind: str, text: str) -> int:
    """The number that a typed text carries, whatever a system made of its spelling."""
    if kind == "birthDate":
        return (date.fromisoformat(text) - _DAY_ZERO).days
    digits = re.sub(r"\D", "", text)
    return int(digits[-7:]) if kind == "phone" else int(digits)


def put(resource: dict[str, Any], slot: str, value: Any) -> None:
    """Make a slot of a FHIR Patient hold the value, None = nothing."""
    element, label = slot.partition("[")[0], _LABELS.get(slot)
    if label is None:
        kept = value
    else:
        kept = [item for item in resource.get(element, []) if not _has(item, label)] + (value or [])
    if kept:
        resource[element] = kept
    else:
        resource.pop(element, None)


def _has(item: dict[str, Any], label: dict[str, str]) -> bool:
    return {key: item[key] for key in ("system", "use") if key in item} == label


def kind_of(slot: str) -> str:
    """The slots that one field of a small system can stand for are of one kind."""
    element = slot.partition("[")[0]
    if element == "telecom":
        return "email" if slot == EMAIL else "phone"
    return element


def numbers(resource: dict[str, Any] | None) -> dict[str, set[int]]:
    """Kind -> the numbers that a resource displays."""
    found: dict[str, set[int]] = {}
    for element, value in (resource or {}).items():
        for item in value if isinstance(value, list) else [value]:
            if text := _text(element, item):
                kind = item["system"] if element == "telecom" else element
                found.setdefault(kind, set()).add(number_in(kind, text))
    return found


def _text(element: str, item: Any) -> str | None:
    if element == "name":
        return item.get("family")
    if element == "address":
        return item["line"][0]
    if element == "telecom":
        return item["value"]
    return item["text"] if element == "maritalStatus" else item if element == "birthDate" else None


def given_numbers(resource: dict[str, Any] | None) -> set[int]:
    """The numbers in given names, which a small form shows in part."""
    names = (resource or {}).get("name", [])
    return {number_in("name", given) for name in names for given in name.get("given", [])}
