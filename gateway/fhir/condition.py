"""Condition: what a conditional create, update, delete or reference asks for (FHIR R4 §3.1.0.4.3, §3.1.0.8.1).

One identifier and nothing else: only that can be made unique in the database, and a wider condition that found
nothing would create what is there already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from gateway.errors import InvalidInput
from gateway.fhir.references import from_base
from gateway.fhir.search import ELSEWHERE, check, unquote
from gateway.fhir.tokens import Token, tokens

_PLAIN = re.compile(r"identifier=([\w.:/\-]+)\|([\w.:/\-]+)", re.ASCII)
"""Nothing in it that a query string or a token would escape or split: most conditions are of this form."""


class Condition(NamedTuple):
    """The `type` whose identifier is `system|value`; `system` "" = it has none, None = whatever system."""

    type: str
    system: str | None
    value: str

    @property
    def row(self) -> tuple[str, str]:
        """(system, value) of its unique row; `*` stands for whatever system, which is not the same as none."""
        return "*" if self.system is None else self.system, self.value


def rows(identifiers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Every row that conditions on these (system, value) may have taken: what goes when the identifiers go."""
    return [row for system, value in identifiers for row in ((system, value), ("*", value))]


def parse(type_: str, query: str, base: str = "") -> Condition:
    """A condition from `identifier=system|value`, with or without a leading `Type?` or our `base` before that, as some
    clients write If-None-Exist. Raises InvalidInput."""
    asked = from_base(query, base).removeprefix(type_).removeprefix("?")
    if plain := _PLAIN.fullmatch(asked):
        return Condition(type_, plain[1], plain[2])
    pairs = [pair for pair in unquote(asked) if pair[0] not in ELSEWHERE]
    names = [name for name, _ in pairs]
    if names != ["identifier"]:
        raise InvalidInput("a condition is exactly one identifier=system|value; other parameters are not supported")
    check(*pairs[0])
    return _one(type_, tokens(*pairs[0]))


def _one(type_: str, found: tuple[Token, ...]) -> Condition:
    if len(found) != 1:
        raise InvalidInput("a condition names one identifier, not a list")
    system, value = found[0]
    if not value:
        raise InvalidInput("a condition names an identifier with its value: identifier=system|value")
    return Condition(type_, system, value)
