"""When a FHIR date or dateTime of any precision can be: comparing without inventing precision (FHIR R4 §2.24.0.1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# A date without a zone can start as early as in UTC+14 and end as late as in UTC-12.
_EAST, _WEST = timedelta(hours=14), timedelta(hours=12)


def is_after(first: str, second: str) -> bool:
    """Whether `first` is later than `second` however their missing parts are read. False for what is no date."""
    try:
        return earliest(first) > latest(second)
    except (ValueError, OverflowError, TypeError):  # TypeError: a time without zone beside one with
        return False


def earliest(value: str) -> datetime:
    """The first moment it can mean."""
    if "T" in value:
        return _moment(value)
    return _start(value) - _EAST


def latest(value: str) -> datetime:
    """The moment after the last one it can mean."""
    if "T" in value:
        return _moment(value)
    return _next(value) + _WEST


def _moment(value: str) -> datetime:
    # A leap second is the last moment that datetime can write; more than microseconds are cut off.
    return datetime.fromisoformat(value.replace(":60", ":59", 1) if value[16:19] == ":60" else value)


def _start(value: str) -> datetime:
    parts = [int(part) for part in value.split("-")]
    year, month, day = [*parts, 1, 1][:3]
    return datetime(year, month, day, tzinfo=UTC)


def _next(value: str) -> datetime:
    """The day after the last day of the date."""
    start = _start(value)
    if len(value) == 4:
        return start.replace(year=start.year + 1)
    if len(value) == 7:
        return (start.replace(day=28) + timedelta(days=4)).replace(day=1)
    return start + timedelta(days=1)
