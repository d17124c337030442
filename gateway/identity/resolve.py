"""Resolve: one decision out of the resources that an incoming Patient's identifiers name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.fhir.json import Resource
from gateway.identity.agree import Agreement, agrees, compare_dates

Rule = Literal["record", "condition", "key", "unlisted"]
RULES: tuple[Rule, ...] = ("record", "condition", "key", "unlisted")
"""In the order in which they decide: the record itself, the caller's own condition, a key system's identifier, and
an identifier of a system that nobody listed."""


@dataclass(frozen=True, slots=True, order=True)
class Via:
    """How a candidate was found: by which rule, and by which identifier (for `record`: connector and remote id)."""

    rule: Rule
    system: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A resource that may be meant: its current body, and everything that named it."""

    body: Resource
    via: tuple[Via, ...]

    def ways(self, rule: Rule) -> tuple[Via, ...]:
        return tuple(sorted(way for way in self.via if way.rule == rule))


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: kept with the link, so that it can be explained and undone."""

    rule: Rule
    via: tuple[Via, ...]
    agreement: Agreement

    def to_json(self) -> dict[str, object]:
        return {
            "rule": self.rule,
            "identifiers": [{"system": way.system, "value": way.value} for way in self.via],
            "name": self.agreement.name,
            "birthDate": self.agreement.birth_date,
        }


@dataclass(frozen=True, slots=True)
class New:
    """Nobody we know."""


@dataclass(frozen=True, slots=True)
class Matched:
    """This resource."""

    rid: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Held:
    """An identifier names this resource, but everything that both have differs: a person must look (409)."""

    rid: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Several different resources fit: nothing is written (412)."""

    reasons: Mapping[int, Reason] = field(default_factory=dict)

    @property
    def rids(self) -> tuple[int, ...]:
        return tuple(sorted(self.reasons))


Decision = New | Matched | Held | Ambiguous


def decide(candidates: Mapping[int, Candidate], incoming: Resource) -> Decision:
    """Who an incoming Patient is; the order of the candidates does not matter.

    The first rule that names anybody decides. An unlisted system's identifier names only those who agree in name and
    birth date too; the caller's own condition names whom it names, agreeing or not.
    """
    for rule in RULES:
        found = {rid: _reason(rule, one, incoming) for rid, one in candidates.items() if _may_name(rule, one, incoming)}
        named = {rid: reason for rid, reason in found.items() if _names(reason)}
        if named:
            return _decide(named, {rid for rid in named if candidates[rid].ways("condition")})
    return New()


def _may_name(rule: Rule, candidate: Candidate, incoming: Resource) -> bool:
    """Before names are compared: a number that nobody listed may be shared by thousands."""
    if not candidate.ways(rule):
        return False
    dates = candidate.body.get("birthDate"), incoming.get("birthDate")
    return rule != "unlisted" or compare_dates(*dates) == "equal"


def _reason(rule: Rule, candidate: Candidate, incoming: Resource) -> Reason:
    return Reason(rule, candidate.ways(rule), agrees(candidate.body, incoming))


def _names(reason: Reason) -> bool:
    return reason.rule != "unlisted" or reason.agreement.full


def _decide(named: Mapping[int, Reason], stated: Collection[int]) -> Decision:
    if len(named) > 1:
        return Ambiguous(named)
    ((rid, reason),) = named.items()
    return Matched(rid, reason) if rid in stated or reason.agreement.ok else Held(rid, reason)
