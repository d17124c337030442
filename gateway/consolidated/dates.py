"""When a clinical fact happened: the first of its dates, for windows of time and for reading in order."""

from __future__ import annotations

from typing import Any

from gateway.fhir.json import Resource

_DATES = (
    ("effectiveDateTime",),
    ("effectivePeriod", "start"),
    ("effectiveInstant",),
    ("performedDateTime",),
    ("performedPeriod", "start"),
    ("occurrenceDateTime",),
    ("occurrencePeriod", "start"),
    ("onsetDateTime",),
    ("onsetPeriod", "start"),
    ("period", "start"),
    ("start",),
    ("authoredOn",),
    ("whenHandedOver",),
    ("collection", "collectedDateTime"),
    ("collection", "collectedPeriod", "start"),
    ("started",),
    ("servicedDate",),
    ("servicedPeriod", "start"),
    ("billablePeriod", "start"),
    ("authored",),
    ("dateTime",),
    ("detected",),
    ("identifiedDateTime",),
    ("identifiedPeriod", "start"),
    ("executionPeriod", "start"),
    ("dateAsserted",),
    ("recordedDate",),
    ("startDate",),
    ("created",),
    ("sent",),
    ("date",),
    ("issued",),
)
"""In the order of preference: when it happened before when it was written down."""


def date_of(resource: Resource) -> str | None:
    """As written, partial perhaps; None for what has no date of its own."""
    return next((value for path in _DATES if (value := _at(resource, path))), None)


def _at(value: Any, path: tuple[str, ...]) -> str | None:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def end_of(resource: Resource) -> str | None:
    """Until when what `date_of` dates went on: the end of that Period. None for one that still goes on (FHIR R4
    Period.end)."""
    path = next((path for path in _DATES if _at(resource, path)), ())
    if path[-1:] == ("start",):
        return _at(resource, (*path[:-1], "end"))
    return _at(resource, path)


def within(resource: Resource, date_from: str | None, date_to: str | None) -> bool:
    """Whether some of it may lie in the window (whole days; FHIR R4 §3.1.1.5.7, Period); what has no date is never left
    out by one."""
    begin, end = date_of(resource), end_of(resource)
    if begin is None:
        return True
    not_over = date_from is None or end is None or _compare(end, date_from) >= 0
    return not_over and (date_to is None or _compare(begin, date_to) <= 0)


def _compare(date: str, limit: str) -> int:
    """As far as both say: 2024 lies within 2024-05."""
    length = min(len(date), len(limit), len("YYYY-MM-DD"))
    return (date[:length] > limit[:length]) - (date[:length] < limit[:length])
