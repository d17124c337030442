"""What a JSON Schema cannot say, as keywords of our own; they run only where the schema asks for them."""

from __future__ import annotations

from typing import Any

from .narrative import fault_in
from .partial_date import is_after


class _Keyword:
    """A keyword as jsonschema-rs wants it: made once per place, `validate` raises ValueError with the reason."""

    def __init__(self, parent_schema: dict[str, Any], value: Any, schema_path: list[str | int]) -> None:  # noqa: ARG002
        self.value = value


class Whole(_Keyword):
    """`"whole": true` - a number written without a fraction: 1.0 is no FHIR integer."""

    def validate(self, instance: Any) -> None:
        if not isinstance(instance, int):
            raise ValueError("is written with a fraction")


class Twins(_Keyword):
    """`"twins": "given"` - `given` and `_given` have the same length, and each place is filled by one of them."""

    def validate(self, instance: Any) -> None:
        twins = instance[f"_{self.value}"]
        values = instance.get(self.value, [None] * len(twins))
        if len(values) != len(twins):
            raise ValueError("differ in length")
        if any(value is None and twin is None for value, twin in zip(values, twins, strict=True)):
            raise ValueError("are both null at one place")


class Ordered(_Keyword):
    """`"ordered": true` - a Period with both ends does not end before it starts (per-1)."""

    def validate(self, instance: Any) -> None:
        if is_after(instance["start"], instance["end"]):
            raise ValueError("ends before it starts")


class Xhtml(_Keyword):
    """`"xhtml": true` - a narrative that is safe to show."""

    def validate(self, instance: Any) -> None:
        if reason := fault_in(instance):
            raise ValueError(reason)


KEYWORDS: dict[str, type[Any]] = {"whole": Whole, "twins": Twins, "ordered": Ordered, "xhtml": Xhtml}
