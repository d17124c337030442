"""Tokens: the values of search parameters, and what is escaped in them (FHIR R4 §3.1.1.4.0.1, §3.1.1.4.10)."""

from __future__ import annotations

import re
from typing import NamedTuple

from gateway.errors import InvalidInput

_ESCAPED = re.compile(r"\\([\\,|$])")


class Token(NamedTuple):
    """`system` None = any system, "" = none; `value` None = any value."""

    system: str | None
    value: str | None


def tokens(name: str, value: str) -> tuple[Token, ...]:
    """`sys|val`, `val`, `sys|` and `|val`, separated by commas; `\\,`, `\\|` and `\\\\` stand for themselves."""
    return tuple(_token(name, one) for one in _split(value, ","))


def _token(name: str, text: str) -> Token:
    parts = _split(text, "|")
    if len(parts) > 2:
        raise InvalidInput(f"{name} is system|value; a | inside either is written \\|")
    plain = [_unescape(part) for part in parts]
    if not any(plain):
        raise InvalidInput(f"{name} has no value: system|value, value, system| or |value")
    return Token(None, plain[0]) if len(plain) == 1 else Token(plain[0], plain[1] or None)


def alternatives(value: str) -> list[str]:
    """The values of which any will do."""
    return [_unescape(part) for part in _split(value, ",")]


def _split(text: str, mark: str) -> list[str]:
    """Split at every mark that no backslash escapes (FHIR R4 §3.1.1.4.0.1)."""
    if "\\" not in text:
        return text.split(mark)
    parts, start, escaped = [], 0, False
    for at, char in enumerate(text):
        if char == mark and not escaped:
            parts.append(text[start:at])
            start = at + 1
        escaped = char == "\\" and not escaped
    return [*parts, text[start:]]


def _unescape(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text
