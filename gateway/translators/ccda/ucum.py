"""Whether a unit is a UCUM expression, so that no unit is called UCUM that is not (UCUM §2.1 grammar)."""

from __future__ import annotations

import re
from functools import lru_cache

from .codes import UNITS

_INNERMOST = re.compile(r"\(([^()]*)\)")
_OPERATOR = re.compile(r"[./]")
_COMPONENT = re.compile(r"(?P<symbol>[^{}\s]*)(?:\{[\x21-\x7a\x7c\x7e]*\})?")
_NUMBER = re.compile(r"[0-9]+")
_EXPONENT = re.compile(r"(?<=[^\d])[+-]?\d+$", re.ASCII)
_METRIC = frozenset(UNITS["metric"])
_SYMBOLS = _METRIC.union(UNITS["plain"])
_PREFIXES = tuple(UNITS["prefix"])


@lru_cache(maxsize=2048)
def is_ucum(unit: str) -> bool:
    """`mm[Hg]`, `10*3/uL`, `{score}`, `1` are; `lbs`, `mcg`, `10+3/ul` are not."""
    if not unit or len(unit) > 80:
        return False
    while inner := _INNERMOST.search(unit):
        if not _is_term(inner[1]):
            return False
        unit = unit[: inner.start()] + "1" + unit[inner.end() :]
    return _is_term(unit.removeprefix("/"))


def _is_term(text: str) -> bool:
    return all(_is_component(part) for part in _split(text))


def _split(text: str) -> list[str]:
    """At the operators, but not inside of an annotation (`{a/b}`)."""
    masked = re.sub(r"\{[^{}]*\}", lambda found: "{" + "x" * (len(found[0]) - 2) + "}", text)
    cuts = [found.start() for found in _OPERATOR.finditer(masked)]
    return [text[start + 1 : end] for start, end in zip([-1, *cuts], [*cuts, len(text)], strict=True)]


def _is_component(text: str) -> bool:
    found = _COMPONENT.fullmatch(text)
    if found is None or not text:
        return False
    symbol = found["symbol"]
    return not symbol or _is_unit(symbol) or _is_unit(_EXPONENT.sub("", symbol)) or bool(_NUMBER.fullmatch(symbol))


def _is_unit(symbol: str) -> bool:
    if symbol in _SYMBOLS:
        return True
    return any(symbol.startswith(prefix) and symbol[len(prefix) :] in _METRIC for prefix in _PREFIXES)
