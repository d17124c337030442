"""Absent: values that only say that nothing is known (FHIR R4 StructureDefinition/data-absent-reason)."""

from __future__ import annotations

from typing import Any, Final

from gateway.fhir.record import Value
from gateway.fhir.slots import element_of, unwrap

DATA_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

_LABELS: Final = frozenset({"id", "use", "system", "rank"})
"""What stands beside a value and is none."""


def says_nothing(slot: str, value: Value) -> bool:
    """Whether a slot's value is a reason for there being none, and nothing else."""
    plain, twin, _ = unwrap(value)
    if element_of(slot) == "gender" and plain == "unknown":
        return twin is None or _is_reason(twin)
    parts = [part for part in (plain, twin) if part is not None]
    return bool(parts) and all(_is_reason(part) for part in parts)


def _is_reason(part: Any) -> bool:
    if isinstance(part, list):
        return bool(part) and all(_is_reason(one) for one in part)
    if not isinstance(part, dict):
        return False
    told = [(name, inner) for name, inner in part.items() if name not in _LABELS]
    return bool(told) and all(
        all(one.get("url") == DATA_ABSENT for one in inner) if name == "extension" else _is_reason(inner)
        for name, inner in told
    )
