"""Times: FHIR date, dateTime and instant as ranges of real time (FHIR R4 §2.24.0.1, §3.1.1.5.7).

A partial date is the whole of what it names: `1980-02` is a month, `10:15Z` a minute. Precision is never invented.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from gateway.errors import InvalidInput

_FORM = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,18}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)
_LAST = datetime.max.replace(tzinfo=UTC)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WHAT = "not a date or time: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with Z or an offset"


@dataclass(frozen=True, slots=True)
class Range:
    """From `start` up to but without `end`, both aware, in UTC."""

    start: datetime
    end: datetime


def parse(text: str) -> Range:
    """What a FHIR date, dateTime or instant covers; one without a zone is read as UTC. Raises InvalidInput."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise InvalidInput(_WHAT)
    try:
        start = _start(match).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(_WHAT) from None
    return Range(start, _end(start, match))


def _start(match: re.Match[str]) -> datetime:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    leap = second == "60"  # FHIR allows a leap second; Python has none: it is the moment after :59
    at = datetime(
        int(year),
        int(month or 1),
        int(day or 1),
        int(hour or 0),
        int(minute or 0),
        59 if leap else int(second or 0),
        int((fraction or "0")[:6].ljust(6, "0")),
        tzinfo=_zone(zone),
    )
    return at + timedelta(seconds=1) if leap else at


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    if minutes > 14 * 60 or int(text[4:6]) > 59:
        raise ValueError("no such offset")
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _end(start: datetime, match: re.Match[str]) -> datetime:
    _, month, day, hour, _, second, fraction, _ = match.groups()
    try:
        if hour is not None:
            return start + _step(second, fraction)
        if day is not None:
            return start + timedelta(days=1)
        if month is not None:
            return (start + timedelta(days=31)).replace(day=1)
        return start.replace(year=start.year + 1)
    except (ValueError, OverflowError):
        return _LAST


def _step(second: str | None, fraction: str | None) -> timedelta:
    if second is None:
        return timedelta(minutes=1)
    return timedelta(microseconds=10 ** max(0, 6 - len(fraction or "")))


@lru_cache(maxsize=256)  # a message writes its one moment into every resource and answer
def to_instant(at: datetime) -> str:
    """An aware datetime as FHIR instant in UTC with all six digits, so that a client's `gt` finds what came after."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def from_instant(text: str) -> datetime:
    """The moment a FHIR instant or full dateTime begins. Raises InvalidInput."""
    return parse(text).start


def to_millis(at: datetime) -> str:
    """An aware datetime in UTC with three digits, as JavaScript's clients write it and expect it."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def http_date(at: datetime) -> str:
    """A moment in UTC as HTTP writes it (RFC 9110 §5.6.7), in no locale's words."""
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    return f"{day}, {at.day:02} {month} {at.year:04} {at.hour:02}:{at.minute:02}:{at.second:02} GMT"
