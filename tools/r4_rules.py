"""The words that invariants are written in: JSON Schemas of one complex type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Rule = dict[str, Any]

AT_FAULT = "*"
"""`element` of an invariant over a list: the fault is shown at the very place."""


@dataclass(frozen=True)
class Invariant:
    """`rule` is a JSON Schema of the type it stands at, `element` where in it the fault is shown."""

    key: str
    element: str
    text: str
    rule: Rule


def some(*names: str) -> Rule:
    """At least one of the elements is there; a primitive also when only its `_` twin is."""
    return {"anyOf": [{"required": [key]} for name in names for key in (name, f"_{name}")]}


def some_choice(group: str) -> Rule:
    """A choice element is there in any of its types."""
    return {"not": {"propertyNames": {"not": {"pattern": f"^_?{group}[A-Z]"}}}}


def needs(given: str, *names: str) -> Rule:
    """Where the first stands, one of the others has to."""
    return {"dependentSchemas": {given: some(*names)}}


def excludes(given: str, *names: str) -> Rule:
    """Where the first stands, none of the others may."""
    return {"dependentSchemas": {given: {"properties": dict.fromkeys(names, False)}}}


def excludes_choice(given: str, group: str) -> Rule:
    return {"dependentSchemas": {given: {"patternProperties": {f"^_?{group}[A-Z]": False}}}}


def ordered(first: str, second: str) -> Rule:
    """Neither is missing and they are the wrong way round: a keyword of the gate."""
    return {"if": {"required": [first, second]}, "then": {"ordered": [first, second]}}


def coded(element: str, system: str, *codes: str) -> Rule:
    """The CodeableConcept has one of these codes of a code system."""
    coding = {"properties": {"system": {"const": system}, "code": {"enum": [*codes]}}, "required": ["system", "code"]}
    concept = {"properties": {"coding": {"contains": coding}}, "required": ["coding"]}
    return {"properties": {element: concept}, "required": [element]}


def coded_if_at_all(element: str, system: str, *codes: str) -> Rule:
    """A required binding: where the CodeableConcept has codings, one of them is of the list."""
    concept = {"if": {"required": ["coding"]}, "then": coded(element, system, *codes)["properties"][element]}
    return {"properties": {element: concept}}


def with_code(element: str, *codes: str) -> Rule:
    return {"properties": {element: {"enum": [*codes]}}, "required": [element]}


def not_both(*names: str) -> Rule:
    return {"not": {"required": [*names]}}


def unless(condition: Rule, rule: Rule) -> Rule:
    return {"if": condition, "else": rule}


def when(condition: Rule, rule: Rule) -> Rule:
    return {"if": condition, "then": rule}


def each(element: str, rule: Rule) -> Rule:
    return {"properties": {element: {"items": rule}}}


def only_with(types: tuple[str, ...], element: str) -> Rule:
    """Every entry of a Bundle of these types has the element, and no entry of another one."""
    return {
        "if": with_code("type", *types),
        "then": each("entry", {"required": [element]}),
        "else": each("entry", {"properties": {element: False}}),
    }
