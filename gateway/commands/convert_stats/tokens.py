"""Tokens: one spelling for what a document and a Bundle say alike, so that the two can be compared."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

_DAY = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
"""A date that does not exist is no fact, but an error of the source."""

_TIME = re.compile(
    rf"\s*(\d{{4}}(?:0[1-9]|1[0-2])?|\d{{4}}{_DAY}(?:\d\d){{0,3}})(?:\.\d+)?\s*(Z|[+-]\d\d:?\d\d|[+-]\d\d)?\s*"
)
_NOT_DIGITS = re.compile(r"\D")
_WORD = re.compile(r"[^\W_]+")
ANY = "any"
"""Stands for whatever an element holds: where a code is translated, only the element can be told."""


def code(text: str) -> str:
    return f"code {' '.join(text.split())}"


def identifier(text: str) -> str:
    return f"id {' '.join(text.split()).removeprefix('urn:uuid:').removeprefix('urn:oid:').casefold()}"


def text(said: str) -> str:
    return f"text {' '.join(_WORD.findall(said.casefold()))}"


def person(words: str) -> str:
    """Given and family names in any order: a text-only name has no parts."""
    return f"name {' '.join(sorted(_WORD.findall(words.casefold())))}"


def telecom(written: str) -> str:
    scheme, colon, rest = written.partition(":")
    value = rest if colon and scheme.isalpha() else written
    return f"telecom {''.join(value.split()).casefold()}"


def quantity(digits: Any, unit: str | None = None) -> str | None:
    try:
        value = Decimal(str(digits).strip())
    except InvalidOperation:
        return None
    if not value.is_finite() or abs(value.adjusted()) > 40:
        return None
    return f"number {value.normalize()}" + (f" {' '.join(unit.split())}" if unit and unit.strip() else "")


def v3_time(written: str) -> str | None:
    """To the minute where the time has a zone, else to the day at most: FHIR has no time without a zone."""
    found = _TIME.fullmatch(written)
    if found is None:
        return None
    digits, zone = found.groups()
    return f"date {digits[:12] if zone and len(digits) >= 12 else digits[:8]}"


def fhir_times(written: str) -> tuple[str, ...]:
    """A FHIR date, dateTime or instant, to the minute and to the day."""
    digits = _NOT_DIGITS.sub("", written[:16])
    return (f"date {digits[:12]}", f"date {digits[:8]}")
