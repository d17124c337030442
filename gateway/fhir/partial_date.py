"""When a FHIR date or dateTime of any precision can be: comparing without inventing precision (FHIR R4 §2.24.0.1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# A date without a zone can start as early as in UTC+14 and end as late as in UTC-12.
_EAST, _WEST = timedelta(hours=14), timedelta(hours=12)
_TICK = timedelta(microseconds=1)


def is_after(first: str, second: str) -> bool:
    """Whether `first` is later than `second` however their missing parts are read. False for what is no date."""
    try:
        if "T" not in first and "T" not in second:  # two days of the same calendar
            return _start(first) > _end(second)
        return earliest(first) > latest(second)
    except (ValueError, OverflowError, TypeError):  # TypeError: a time without zone beside one with
        return False


def earliest(value: str) -> datetime:
    """The first moment it can mean, wherever it was written."""
    return _moment(value) if "T" in value else _start(value) - _EAST


def latest(value: str) -> datetime:
    """The last moment it can mean, wherever it was written."""
    return _moment(value) if "T" in value else _end(value) + _WEST


def _moment(value: str) -> datetime:
    # A leap second is the last moment that datetime can write; more than microseconds are cut off.
    return datetime.fromisoformat(value.replace(":60", ":59", 1) if value[16:19] == ":60" else value)


def _start(value: str) -> datetime:
    parts = [int(part) for part in value.split("-")]
    year, month, day = [*parts, 1, 1][:3]
    return datetime(year, month, day, tzinfo=UTC)


def _end(value: str) -> datetime:
    start = _start(value)
    if len(value) == 4:
        return start.replace(month=12, day=31) + timedelta(days=1) - _TICK
    if len(value) == 7:
        return (start.replace(day=28) + timedelta(days=4)).replace(day=1) - _TICK
    return start + timedelta(days=1) - _TICK
