"""HL7 v3 points in time -> FHIR date and dateTime, never more precise than they were written (C-CDA on FHIR, Times).

The one rule for a time of day without a zone: FHIR wants a zone with every time (R4 §2.24.0.1), the document does not
say it, so only the date is kept. Who knows the zone passes it (`timezone="-05:00"` or `"America/Chicago"`), then the
time is kept with the offset that was in force there. Seconds that were not written are zero-filled, as FHIR allows;
an hour without minutes is kept as its date.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.errors import InvalidInput

NO_ZONE = "a time of day without a zone: only the date is kept"
NO_MINUTES = "an hour without minutes: only the date is kept"
NO_DATE = "not a date that exists"
NO_CLOCK = "not a time of day that exists: only the date is kept"

_OFFSET = r"\s*(Z|[+-]\d{2}(?::?\d{2})?)?"
_COMPACT = re.compile(r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(\.\d+)?)?)?)?)?)?" + _OFFSET, re.ASCII)
_DASHED = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(\.\d+)?)?)?)?)?" + _OFFSET, re.ASCII)
_ZONE = re.compile(r"([+-])(\d\d):(\d\d)", re.ASCII)


class Moment(NamedTuple):
    """`text`: the FHIR dateTime, None when there is none; `lost`: what could not be kept, and why."""

    text: str | None
    lost: str | None = None


class Interval(NamedTuple):
    """TS or IVL_TS: a point, or the ends that are known; `ended` = it has a high, known or said to be unknown."""

    value: str | None = None
    low: str | None = None
    high: str | None = None
    ended: bool = False

    @property
    def start(self) -> str | None:
        return self.value or self.low


@lru_cache(maxsize=8192)
def moment(value: str, zone: tzinfo | None = None) -> Moment:
    """`20120806103000-0500` -> `2012-08-06T10:30:00-05:00`; also reads the dashed form that some systems write."""
    found = _COMPACT.fullmatch(value) or _DASHED.fullmatch(value)
    if found is None:
        return Moment(None, NO_DATE)
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    if not _exists(year, month, day):
        return Moment(None, NO_DATE)
    text = "-".join(part for part in (year, month, day) if part)
    if hour is None:
        return Moment(text)
    if minute is None:
        return Moment(text, NO_MINUTES)
    return _timed(text, f"{hour}:{minute}:{second or '00'}", fraction or "", _offset(offset), None if offset else zone)


def _exists(year: str, month: str | None, day: str | None) -> bool:
    try:
        date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return False
    return True


def _offset(text: str | None) -> str | None:
    """`-0500`, `-05` and `-05:00` -> `-05:00`; None for no offset and for one that no clock has (FHIR: up to 14:00)."""
    if text is None or text == "Z":
        return text
    hours, minutes = text[1:3], text[3:].lstrip(":") or "00"
    if int(hours) * 60 + int(minutes) > 14 * 60 or minutes > "59":
        return None
    return f"{text[0]}{hours}:{minutes}"


def _timed(day: str, clock: str, fraction: str, offset: str | None, zone: tzinfo | None) -> Moment:
    try:
        local = datetime.fromisoformat(f"{day}T{clock}")
    except ValueError:
        return Moment(day, NO_CLOCK)
    if offset is None and zone is not None:
        offset = _offset_there(local, zone)
    if offset is None:
        return Moment(day, NO_ZONE)
    return Moment(f"{day}T{clock}{fraction}{offset}")


def _offset_there(local: datetime, zone: tzinfo) -> str | None:
    try:
        offset = local.replace(tzinfo=zone).utcoffset()
    except OverflowError:
        return None
    if offset is None:
        return None
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def zone_of(name: str | None) -> tzinfo | None:
    """The `timezone` parameter: an offset (`-05:00`, `Z`) or an IANA name. Raises InvalidInput for anything else."""
    if name is None:
        return None
    if name == "Z":
        return UTC
    if found := _ZONE.fullmatch(name):
        sign, hours, minutes = found.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        if offset <= timedelta(hours=14):
            return timezone(-offset if sign == "-" else offset)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput("timezone is neither an offset like -05:00 nor an IANA name") from None


def aware(text: str | None) -> datetime | None:
    """The FHIR dateTime as a datetime for ordering; a date counts from its first moment in UTC."""
    if text is None:
        return None
    padded = text + "0000-01-01"[len(text) :] if len(text) < 10 else text
    read = datetime.fromisoformat(padded)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


@lru_cache(maxsize=2048)
def runs_backwards(low: str | None, high: str | None) -> bool:
    """Whether an interval ends before it starts, as far as the precision of both tells."""
    if not low or not high:
        return False
    if len(low) > 10 and len(high) > 10:
        start, end = aware(low), aware(high)
        return start is not None and end is not None and end < start
    shared = min(len(low), len(high), 10)
    return high[:shared] < low[:shared]
