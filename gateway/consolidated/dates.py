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


def within(resource: Resource, date_from: str | None, date_to: str | None) -> bool:
    """Whether it may lie in the window (whole days); what has no date is never left out by one."""
    date = date_of(resource)
    if date is None:
        return True
    return (date_from is None or _compare(date, date_from) >= 0) and (date_to is None or _compare(date, date_to) <= 0)


def _compare(date: str, limit: str) -> int:
    """As far as both say: 2024 lies within 2024-05."""
    length = min(len(date), len(limit), len("YYYY-MM-DD"))
    return (date[:length] > limit[:length]) - (date[:length] < limit[:length])
