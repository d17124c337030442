"""Applying a mapping: a payload of theirs -> a FHIR resource, and a FHIR resource -> a payload of theirs.

Missing says nothing, null and what is empty say "there is none". What a transform does not know is left out, with an
issue.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.fhir.issue import Issue
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage
from gateway.translators.json.mapping import Rule, Shape
from gateway.translators.json.mapping_paths import MISSING, SEVERAL, Builder, Ours
from gateway.translators.json.transforms import Untransformable

Systems = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Read:
    """A payload as FHIR. `coverage` = what it speaks about, of a clinical resource everything."""

    resource: Resource
    coverage: Coverage
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """A resource as their payload."""

    payload: dict[str, Any]
    issues: tuple[Issue, ...] = ()

    @property
    def untold(self) -> str | None:
        """What of it could not be told, in words."""
        return "; ".join(issue.diagnostics for issue in self.issues) or None


def to_fhir(shape: Shape, payload: Any, systems: Systems, known: Resource | None = None) -> Read:
    """`known` = what they were last seen to show: of a slot that is told in part, it has the rest; without it such a
    slot is not told at all."""
    builder = Builder({"resourceType": shape.type}, systems)
    issues: list[Issue] = []
    covered = set()
    for slot, rules in _by_slot(shape, systems).items():
        if _take(builder, rules, payload, systems, known, issues, whole=shape.type == "Patient"):
            covered.add(slot)
    for rule in shape.rules:
        if rule.constant and rule.inward and _put_constant(builder, rule) and isinstance(rule.ours, Ours):
            covered.add(rule.ours.slot(systems))
    coverage = Coverage(frozenset(covered)) if shape.type == "Patient" else Coverage()
    return Read(builder.resource, coverage, tuple(issues))


def to_theirs(
    shape: Shape,
    resource: Resource,
    systems: Systems,
    *,
    base: Mapping[str, Any] | None = None,
    wanted: Callable[[Rule], bool] = lambda _: True,
) -> Written:
    """The fields of `wanted` rules, put into what they hold (`base`), else into nothing: then it is a create, and what
    there is none of is left out."""
    payload: dict[str, Any] = copy.deepcopy(dict(base or {}))
    issues: list[Issue] = []
    for rule in shape.rules:
        if rule.outward and wanted(rule):
            _give(rule, resource, payload, systems, issues, empty=None if base is None else shape.written.empty)
    return Written(payload, tuple(issues))


def _put_constant(builder: Builder, rule: Rule) -> bool:
    """Only beside a value: a country alone is no address."""
    return isinstance(rule.ours, Ours) and builder.put(rule.ours, rule.transform.inward(None), only_beside=True)


def _by_slot(shape: Shape, systems: Systems) -> dict[str, list[Rule]]:
    """The rules that are read, together where they fill one slot of a Patient, else each for itself."""
    found: dict[str, list[Rule]] = defaultdict(list)
    for rule in shape.rules:
        if rule.inward and not rule.constant and isinstance(rule.ours, Ours):
            found[rule.ours.slot(systems) if shape.type == "Patient" else rule.name].append(rule)
    return found


def _take(
    builder: Builder,
    rules: list[Rule],
    payload: Any,
    systems: Systems,
    known: Resource | None,
    issues: list[Issue],
    *,
    whole: bool,
) -> bool:
    """Put what the payload says of a slot; False when it says nothing of it that can be used."""
    raw = [(rule, rule.theirs.get(payload)) for rule in rules if rule.theirs is not None]
    missing = [rule for rule, value in raw if value is MISSING]
    if len(missing) == len(raw) or (whole and missing and known is None):
        return False
    values: list[tuple[Rule, Any]] = []
    for rule, value in raw:
        try:
            values.append((rule, _inward(rule, value, known, systems)))
        except Untransformable as error:
            issues.append(Issue("warning", "value", f"{rule.name}: the value {error}, and was left out"))
            if whole:
                return False
    for rule, value in values:
        if value is not None and isinstance(rule.ours, Ours):
            builder.put(rule.ours, value)
    return True


def _inward(rule: Rule, value: Any, known: Resource | None, systems: Systems) -> Any:
    if value is MISSING:
        return rule.ours.get(known or {}, systems) if isinstance(rule.ours, Ours) else None
    if value is SEVERAL:
        raise Untransformable("stands in a list of which the mapping names no item")
    if value is None or value in ("", [], {}) or (isinstance(value, str) and not value.strip()):
        return None
    return rule.transform.inward(value)


def _give(
    rule: Rule, resource: Resource, payload: dict[str, Any], systems: Systems, issues: list[Issue], *, empty: str | None
) -> None:
    value = None
    if not rule.constant:
        value = rule.ours.get(resource, systems) if isinstance(rule.ours, Ours) else rule.ours.get(resource)
    try:
        _check_place(rule, payload)
        if value is None and not rule.constant:
            return _clear(rule, payload, empty)
        given = _outward(rule, value, payload)
    except Untransformable as error:
        issues.append(Issue("warning", "value", f"{rule.name}: the value {error}, and was not sent"))
        return None
    return rule.place.put(payload, given)


def _check_place(rule: Rule, payload: dict[str, Any]) -> None:
    """Raises Untransformable where a single value would take the place of several."""
    listed = isinstance(rule.ours, Ours) and rule.ours.is_whole_list
    if not (listed and isinstance(rule.place.get(payload), list)) and rule.place.is_taken(payload):
        raise Untransformable("would take the place of several values, of which the mapping names none")


def _outward(rule: Rule, value: Any, payload: dict[str, Any]) -> Any:
    """What is a list on both sides stays one."""
    if isinstance(value, list) and isinstance(rule.place.get(payload), list):
        return value
    given = rule.transform.outward(value)
    if isinstance(given, list) and not rule.constant:
        raise Untransformable("is several, where one is wanted")
    return given


def _clear(rule: Rule, payload: dict[str, Any], empty: str | None) -> None:
    if empty in ("null", "blank"):
        rule.place.put(payload, None if empty == "null" else "")
    elif empty == "omit":
        rule.place.drop(payload)
