"""Elements: what may stand at a path of a resource type, asked of the gate's schemas (FHIR R4 §2.24, §2.7.0)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from gateway.fhir.gate_schemas import Schema, own, schema
from gateway.fhir.gate_types import is_r4_type
from gateway.fhir.primitives import PRIMITIVES

_PREFIX = "#/$defs/"


class Element(NamedTuple):
    """`kind`: a data type (`string`, `HumanName`, `Reference.Patient`), or `code` with its `codes`; `many`: a list."""

    kind: str
    many: bool = False
    codes: tuple[str, ...] = ()

    @property
    def is_primitive(self) -> bool:
        return self.kind in PRIMITIVES

    @property
    def is_reference(self) -> bool:
        return self.kind.partition(".")[0] == "Reference"


def is_resource_type(name: str) -> bool:
    """Whether it is a resource type of R4 that we hold."""
    return is_r4_type(name)


def find(resource_type: str, kind: str, name: str) -> Element | None:
    """The element `name` of a data type, or of the resource itself, within `resource_type`; None = there is none."""
    definitions = schema(resource_type, local=True)["$defs"]
    return _named(definitions.get(kind, {}), name)


def of_type(resource_type: str, name: str) -> Element | None:
    """The element `name` of the resource itself; None = there is none."""
    return _named(own(resource_type), name)


def required(resource_type: str) -> Iterator[tuple[str, frozenset[str]]]:
    """What no resource of the type can lack, `occurrence[x]` among it, and which elements are that."""
    definition = own(resource_type)
    yield from ((name, frozenset({name})) for name in definition.get("required", ()) if name != "resourceType")
    for rule in definition.get("allOf", ()):
        if rule.get("fault", {}).get("code") == "required":
            yield rule["fault"]["element"], frozenset(one["required"][0] for one in rule["anyOf"])


def _named(definition: Schema, name: str) -> Element | None:
    found = definition.get("properties", {}).get(name)
    if not isinstance(found, dict) or name == "resourceType":
        return None
    return _element(found["items"], many=True) if found.get("type") == "array" else _element(found, many=False)


@lru_cache(maxsize=4096)  # the same few places come again and again
def targets(resource_type: str, trail: Sequence[str | int]) -> tuple[str, ...]:
    """The types that the reference at a trail may name (`("performer", 0, "reference")`); none where there is none."""
    definitions = schema(resource_type, local=False)["$defs"]
    kind, found = resource_type, {}
    for step in trail:
        if isinstance(step, str):
            found = definitions.get(kind, {}).get("properties", {}).get(step, {})
            kind = _kind(found.get("items", found))
    return tuple(found.get("targets", ()))


def _element(found: dict[str, Any], *, many: bool) -> Element:
    if "enum" in found:
        return Element("code", many, tuple(code for code in found["enum"] if isinstance(code, str)))
    return Element(_kind(found) or "Resource", many)


def _kind(found: dict[str, Any]) -> str:
    return str(found.get("$ref", "")).removeprefix(_PREFIX).rstrip("?")
