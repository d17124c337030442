"""What Impilo takes as a patient, and how it lists them: the checks of its stand-in (Impilo API v3, Patients)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

SEXES = ("male", "female", "other", "unknown")
LARGEST_PAGE = 250
USUAL_PAGE = 15

_ADDRESS = ("lineOne", "lineTwo", "lineThree", "city", "state", "zipCode", "country", "note")
_SITE = ("name", "active", "phoneNumber", "address")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_SORTS = {"firstName": "firstName", "lastName": "lastName", "patientId": "id"}

Model = dict[str, Any]
Query = Mapping[str, str]


class Refusal(Exception):
    """What is answered instead: a status and a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def check(body: Any) -> Model:
    """A patient of POST, PUT or PATCH. Raises Refusal (400): all three require both names."""
    if not isinstance(body, dict):
        raise Refusal(400, "the body must be a JSON object")
    for name in ("firstName", "lastName"):
        if not (isinstance(body.get(name), str) and body[name].strip()):
            raise Refusal(400, f"{name} is required")
    for name, value in body.items():
        if name not in _CHECKS:
            raise Refusal(400, f"{name} is no field that can be written")
        if value is not None and not _CHECKS[name](value):
            raise Refusal(400, f"{name} is not valid")
    return dict(body)


def page_of(found: list[Model], query: Query) -> Model:
    """One page in the form of every list; pages are counted from 1."""
    page, size = _number(query, "page", 1), _number(query, "size", USUAL_PAGE)
    if page < 1 or not 1 <= size <= LARGEST_PAGE:
        raise Refusal(400, f"page starts at 1, size is 1 to {LARGEST_PAGE}")
    start = (page - 1) * size
    shown, total = found[start : start + size], len(found)
    return {
        "content": shown,
        "page": page,
        "size": size,
        "total": total,
        "first": page == 1,
        "last": start + size >= total,
    }


def select(patients: Iterable[Model], query: Query) -> list[Model]:
    """The patients that a list asks for, sorted. Raises Refusal for a parameter that there is not."""
    for name in query:
        if name not in _FILTERS and name not in ("sort", "sortDescending", "page", "size"):
            raise Refusal(400, f"{name} is no parameter of this list")
    sort = query.get("sort", "patientId")
    if sort not in _SORTS:
        raise Refusal(400, f"sort is one of {', '.join(_SORTS)}")
    asked = [(test, query[name]) for name, test in _FILTERS.items() if name in query]
    found = [one for one in patients if all(test(one, value) for test, value in asked)]
    return sorted(found, key=lambda one: one.get(_SORTS[sort]) or "", reverse=query.get("sortDescending") == "true")


def _number(query: Query, name: str, default: int) -> int:
    try:
        return int(query.get(name, default))
    except ValueError:
        raise Refusal(400, f"{name} must be a number") from None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_day(value: Any) -> bool:
    if not (isinstance(value, str) and _DAY.fullmatch(value)):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_address(value: Any) -> bool:
    return isinstance(value, dict) and all(
        name in _ADDRESS and (part is None or isinstance(part, str)) for name, part in value.items()
    )


def _is_site(value: Any) -> bool:
    return isinstance(value, dict) and all(name in _SITE for name in value)


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "externalIdentifier": _is_text,
    "firstName": _is_text,
    "lastName": _is_text,
    "dateOfBirth": _is_day,
    "email": lambda value: isinstance(value, str) and bool(_EMAIL.fullmatch(value)),
    "phoneNumber": _is_text,
    "sex": lambda value: value in SEXES,
    "address": _is_address,
    "site": _is_site,
    "archived": _is_flag,
    "enrolled": _is_flag,
}


def _equals(name: str) -> Callable[[Model, str], bool]:
    return lambda patient, asked: str(patient.get(name, "")) == asked


def _flag(name: str) -> Callable[[Model, str], bool]:
    return lambda patient, asked: str(bool(patient.get(name))).lower() == asked


def _in_address(name: str) -> Callable[[Model, str], bool]:
    return lambda patient, asked: (patient.get("address") or {}).get(name) == asked


_FILTERS: Mapping[str, Callable[[Model, str], bool]] = {
    "externalIdentifier": _equals("externalIdentifier"),
    "email": _equals("email"),
    "name": lambda patient, asked: asked.casefold() in f"{patient['firstName']} {patient['lastName']}".casefold(),
    "id": _equals("id"),
    "siteId": lambda patient, asked: str((patient.get("site") or {}).get("id", "")) == asked,
    "archived": _flag("archived"),
    "enrolled": _flag("enrolled"),
    "dateOfBirthMin": lambda patient, asked: (patient.get("dateOfBirth") or "") >= asked,
    "dateOfBirthMax": lambda patient, asked: "" < (patient.get("dateOfBirth") or "") <= asked,
    "postalCode": _in_address("zipCode"),
    "country": _in_address("country"),
}
