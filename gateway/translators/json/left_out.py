"""What of a partner's payload cannot be read, or has no place in FHIR: told by the name of the field, not its value."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from gateway.fhir.issue import Issue

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
_NOTHING: tuple[Any, ...] = (None, "", [], {})


def odd(payload: Mapping[str, Any], kinds: Mapping[str, type]) -> frozenset[str]:
    """The fields whose value is of another kind than theirs: that is no way to say "there is none"."""
    return frozenset(name for name, kind in kinds.items() if not isinstance(payload.get(name), kind | None))


def unread(fields: Iterable[str]) -> Iterator[Issue]:
    """Fields whose value cannot be read."""
    for name in sorted(fields):
        yield Issue("warning", "value", f"{name} cannot be read, and was left out", name)


def unplaced(payload: Any, known: Collection[str], where: str = "") -> Iterator[Issue]:
    """Fields that say something which FHIR has no place for here. `where`: what stands before their names."""
    for name, value in payload.items() if isinstance(payload, Mapping) else ():
        if name not in known and value not in _NOTHING:
            yield without_place(f"{where}{name if _NAME.fullmatch(name) else '(a field)'}")


def without_place(field: str) -> Issue:
    return Issue("information", "not-supported", f"{field} has no place here, and was left out", field)
