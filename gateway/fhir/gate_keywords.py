"""What a JSON Schema cannot say, as keywords of our own; they run only where the schema asks for them.

They meet values that other keywords refuse as well, so that none may assume a shape: what is not theirs to judge
passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .json import Json
from .narrative import fault_in
from .partial_date import is_after
from .primitives import INTEGER_MAX, INTEGER_MIN

_SECONDS = len("2024-02-29T10:00:00")


class _Keyword:
    """A keyword as jsonschema-rs wants it: made once per place, `validate` raises ValueError with the reason."""

    def __init__(self, parent_schema: dict[str, Any], value: Any, schema_path: list[str | int]) -> None:  # noqa: ARG002
        self.value = value


class Whole(_Keyword):
    """`"whole": true` - a number of 32 bits written without a fraction: 1.0 is no FHIR integer.

    The bits once more: the engine passes a number of thousands of digits through its own limits.
    """

    def validate(self, instance: Json) -> None:
        if not isinstance(instance, int) or not INTEGER_MIN <= instance <= INTEGER_MAX:
            raise ValueError("is not written as a whole number of 32 bits")


class Twins(_Keyword):
    """`"twins": "given"` - `given` and `_given` have the same length, and each place is filled by one of them."""

    def validate(self, instance: Json) -> None:
        twins = _list(instance[f"_{self.value}"])
        values = _list(instance.get(self.value, [None] * len(twins)))
        if len(values) != len(twins):
            raise ValueError("differ in length")
        if any(value is None and twin is None for value, twin in zip(values, twins, strict=True)):
            raise ValueError("are both null at one place")


class OneChoice(_Keyword):
    """`"one_choice": ["valueCode", ..]` - at most one of the elements, itself, its `_` twin or both."""

    def __init__(self, parent_schema: dict[str, Any], value: Any, schema_path: list[str | int]) -> None:
        super().__init__(parent_schema, frozenset(value), schema_path)

    def validate(self, instance: Json) -> None:
        if len({name.removeprefix("_") for name in instance} & self.value) > 1:
            raise ValueError("is given in several types")


class Ordered(_Keyword):
    """`"ordered": ["start", "end"]` - the second is not before the first, as far as their precision tells."""

    def validate(self, instance: Json) -> None:
        first, second = (instance[name] for name in self.value)
        if isinstance(first, str) and isinstance(second, str) and not _in_order(first, second):
            raise ValueError("are the wrong way round")


class Xhtml(_Keyword):
    """`"xhtml": true` - a narrative that is safe to show."""

    def validate(self, instance: Json) -> None:
        if isinstance(instance, str) and (reason := fault_in(instance)):
            raise ValueError(reason)


class ValueInComponent(_Keyword):
    """`"value_in_component": true` - no value beside a component of the same code (obs-7)."""

    def validate(self, instance: Json) -> None:
        if not any(name.startswith("value") for name in instance):
            return
        codes = set(_codes(instance["code"]))
        if any(codes.intersection(_codes(_dict(component).get("code"))) for component in _list(instance["component"])):
            raise ValueError("has its value twice")


class UniqueFullUrls(_Keyword):
    """`"unique_full_urls": true` - no two entries with one fullUrl and one version (bdl-7)."""

    def validate(self, instance: Json) -> None:
        seen = set()
        for entry in _list(instance.get("entry")):
            url = _dict(entry).get("fullUrl")
            if not isinstance(url, str):
                continue
            version = _dict(_dict(entry.get("resource")).get("meta")).get("versionId")
            key = (url, version if isinstance(version, str) else None)
            if key in seen:
                raise ValueError("stands twice")
            seen.add(key)


class FirstEntry(_Keyword):
    """`"first_entry": "Composition"` - what a document or message begins with (bdl-11, bdl-12)."""

    def validate(self, instance: Json) -> None:
        first = next(iter(_list(instance.get("entry"))), None)
        if _dict(_dict(first).get("resource")).get("resourceType") != self.value:
            raise ValueError("begins with something else")


def _in_order(first: str, second: str) -> bool:
    """Times of one precision and one zone are compared as they are written; what they are not, as dates."""
    written_alike = len(first) == len(second) and first[_SECONDS:] == second[_SECONDS:]
    return (written_alike and first <= second) or not is_after(first, second)


def _codes(concept: Json) -> Iterator[tuple[str, str]]:
    """System and code of each coding."""
    for coding in _list(_dict(concept).get("coding")):
        system, code = _dict(coding).get("system"), _dict(coding).get("code")
        if isinstance(system, str) and isinstance(code, str):
            yield system, code


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _dict(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


KEYWORDS: dict[str, type[Any]] = {
    "first_entry": FirstEntry,
    "one_choice": OneChoice,
    "ordered": Ordered,
    "twins": Twins,
    "unique_full_urls": UniqueFullUrls,
    "value_in_component": ValueInComponent,
    "whole": Whole,
    "xhtml": Xhtml,
}
