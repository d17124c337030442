"""The checked-in schemas (`make schemas`) as validators: one per resource type, built at its first use.

Building takes about 10 ms and 1.5 MB, so that only the types that are met cost anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema_rs
import msgspec

from .gate_keywords import KEYWORDS
from .gate_types import R4_TYPES
from .primitives import ID, PRIMITIVES, nullable

Schema = dict[str, Any]

_PREFIX = "#/$defs/"
_REFERENCE = "Reference"
_VISIBLE = r"[^\x00-\x20]+"


@cache
def _file(name: str) -> dict[str, Schema]:
    text = files("gateway.fhir").joinpath("schemas", f"{name}.json").read_bytes()
    schemas: dict[str, Schema] = msgspec.json.decode(text)
    return schemas


def own(type_name: str) -> Schema:
    """The schema of a resource type alone, without what it refers to."""
    return _file(type_name)[type_name]


@cache
def schema(type_name: str, *, local: bool) -> Schema:
    """The whole schema of a resource type: its own, and of what it refers to.

    `local`: whether a reference to a contained resource (`#id`) may stand there.
    """
    known = {**_file("datatypes"), **_file(type_name)}
    definitions: dict[str, Schema] = {}
    waiting = [type_name]
    while waiting:
        name = waiting.pop()
        if name not in definitions:
            definitions[name] = _definition(name, known, local=local)
            waiting += _names_in(definitions[name])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": f"{_PREFIX}{type_name}",
        "$defs": definitions,
    }


@cache
def validator(type_name: str, *, local: bool = False) -> jsonschema_rs.Validator:
    """The validator of a resource type; patterns run on the linear engine, so that no text can make them slow."""
    return jsonschema_rs.Draft202012Validator(
        schema(type_name, local=local), pattern_options=jsonschema_rs.RegexOptions(), keywords=KEYWORDS
    )


def _definition(name: str, known: dict[str, Schema], *, local: bool) -> Schema:
    kind, _, targets = name.rstrip("?").partition(".")
    if kind == _REFERENCE:
        found = _reference(known[_REFERENCE], targets.split(".") if targets else sorted(R4_TYPES), local=local)
    else:
        found = PRIMITIVES[kind] if kind in PRIMITIVES else known[kind]
    return nullable(found) if name.endswith("?") else found


def _reference(plain: Schema, targets: list[str], *, local: bool) -> Schema:
    """A Reference whose relative form names one of the target types (FHIR R4 §2.3.0).

    An absolute URL may point anywhere: what it names is known only where it leads. A search (`Patient?identifier=..`)
    stands for the one resource it finds, in a transaction (FHIR R4 §3.1.0.11).
    """
    pattern = reference_pattern(targets, local=local)
    properties = {**plain["properties"], "reference": {"type": "string", "pattern": pattern, "targets": targets}}
    return {**plain, "properties": properties}


def reference_pattern(targets: list[str], *, local: bool) -> str:
    """What Reference.reference may be."""
    relative = rf"(?:{'|'.join(targets)})(?:/{ID}(?:/_history/{ID})?|\?{_VISIBLE})"
    inside = rf"|#(?:{_VISIBLE})?" if local else ""
    return rf"^(?:{relative}|[A-Za-z][A-Za-z0-9+.\-]*:{_VISIBLE}{inside})$"


def _names_in(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(target := part.get("$ref"), str):
            yield target.removeprefix(_PREFIX)
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _names_in(inner)


def is_local(reference: object) -> bool:
    """Whether it points at a contained resource."""
    return isinstance(reference, str) and reference.startswith("#")
