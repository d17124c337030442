"""Format rewriting: how a system stores what it was sent in its own spelling (a knob of every stand-in).

Written from what systems do, without the gateway's spelling table, so that both cannot err alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_PHONES = frozenset({"phone", "fax", "sms", "pager"})
_NAMES = frozenset({"family", "given", "firstName", "lastName", "city", "line"})
_LISTS = frozenset({"telecom", "address", "name", "contact"})
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_UTC = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)Z")

Rewriter = Callable[[str, Any, Mapping[str, Any]], Any]
"""(key, value, the object it is in) -> the value as stored."""


def rewrite(body: Any, formats: tuple[str, ...]) -> Any:
    """A JSON body as a system with these `formats` (phone, case, dates, order) would keep it."""
    for name in formats:
        body = _walk(body, FORMATS[name])
    return body


def _walk(value: Any, rewriter: Rewriter) -> Any:
    if isinstance(value, list):
        return [_walk(one, rewriter) for one in value]
    if not isinstance(value, dict):
        return value
    return {key: _walk(rewriter(key, one, value), rewriter) for key, one in value.items()}


def _phone(key: str, value: Any, holder: Mapping[str, Any]) -> Any:
    """`(555) 010-2030` -> `555-010-2030`, the country code kept."""
    numbered = (key == "value" and holder.get("system") in _PHONES) or "phone" in key.lower()
    if not (numbered and isinstance(value, str)):
        return value
    digits = re.sub(r"\D", "", value)
    return f"{digits[:-7]}-{digits[-7:-4]}-{digits[-4:]}".lstrip("-") if len(digits) >= 10 else value


def _case(key: str, value: Any, _: Mapping[str, Any]) -> Any:
    if key not in _NAMES:
        return value
    if isinstance(value, list):
        return [one.upper() if isinstance(one, str) else one for one in value]
    return value.upper() if isinstance(value, str) else value


def _dates(key: str, value: Any, holder: Mapping[str, Any]) -> Any:
    """A plain day gets a midnight (not in FHIR, whose birthDate has none); UTC is written as an offset."""
    if not isinstance(value, str):
        return value
    if key == "dateOfBirth" and _DAY.fullmatch(value) and "resourceType" not in holder:
        return f"{value}T00:00:00.000Z"
    return _UTC.sub(r"\1+00:00", value) if _UTC.fullmatch(value) and key != "lastUpdated" else value


def _order(key: str, value: Any, _: Mapping[str, Any]) -> Any:
    """Lists whose order says nothing come sorted the other way round."""
    return sorted(value, key=repr, reverse=True) if key in _LISTS and isinstance(value, list) else value


FORMATS: Mapping[str, Rewriter] = {"phone": _phone, "case": _case, "dates": _dates, "order": _order}
