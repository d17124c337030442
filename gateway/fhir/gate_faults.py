"""What the schema engine found, as issues: a FHIRPath and one sentence that says what is wrong and what is allowed.

A sentence never holds the value that was sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from .gate_schemas import Schema, is_local
from .issue import Issue
from .primitives import EXPECTED

_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9_]{0,63}")
_MANY_CODES = 40
AT_FAULT = "*"
"""`element` of a rule over a list: the fault is shown at the very place."""
_SHAPES = {"object": "an object", "array": "a list"}


def error(code: str, text: str, expression: str) -> Issue:
    return Issue("error", code, text, expression)


def issues(found: jsonschema_rs.ValidationError, schema: Schema, base: str) -> Iterator[Issue]:
    """One fault as the engine reports it, told of the resource at `base`."""
    path = expression(found.instance_path, schema, base)
    rule, below, name = _rule(found.schema_path, schema)
    kind = found.kind.as_dict()
    if rule is not None and rule["element"] == AT_FAULT:
        yield error(rule["code"], rule["text"], _inside(path, kind.get("property", "")))
    elif rule is not None:
        above = found.instance_path[: len(found.instance_path) - below]
        yield error(rule["code"], rule["text"], _inside(expression(above, schema, base), rule["element"]))
    elif found.kind.name == "additionalProperties":
        yield from _unknown_elements(kind["unexpected"], path)
    elif found.kind.name == "required":
        yield error("required", f"{kind['property']} is required.", _inside(path, kind["property"]))
    else:
        yield _value_issue(found, _node(found.schema_path[:-1], schema), name, path)


def expression(steps: list[str | int], schema: Schema, base: str) -> str:
    """The FHIRPath of a JSON path: `_given` is `given`, `valueQuantity` is `value.ofType(Quantity)`."""
    path = base
    node: Schema = schema
    for step in steps:
        node = _resolved(node, schema)
        if isinstance(step, int):
            path += f"[{step}]"
            node = node.get("items", {})
        else:
            choice = node.get("choices", {}).get(step.removeprefix("_"))
            path = _inside(path, f"{choice[0]}.ofType({choice[1]})" if choice else step.removeprefix("_"))
            node = node.get("properties", {}).get(step, {})
    return path


def _inside(path: str, element: str) -> str:
    return f"{path}.{element.removesuffix('[x]')}" if element else path


def _resolved(node: Schema, schema: Schema) -> Schema:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return node


def _node(steps: list[str | int], schema: Schema) -> Any:
    node: Any = schema
    for step in steps:
        node = node[step]
    return node


def _rule(steps: list[str | int], schema: Schema) -> tuple[dict[str, str] | None, int, str]:
    """The rule of ours that the failed keyword belongs to, how many instance steps below the rule's own place it
    failed, and the name of the type it stands in."""
    name = str(steps[1]) if len(steps) > 1 and steps[0] == "$defs" else ""
    node: Any = schema
    for at, step in enumerate(steps):
        node = node[step]
        if isinstance(node, dict) and "fault" in node:
            return node["fault"], _descent(steps[at + 1 :]), name
    return None, 0, name


def _descent(steps: list[str | int]) -> int:
    """How many steps into the instance these steps through a schema take."""
    depth, rest = 0, iter(steps)
    for step in rest:
        if step in ("properties", "patternProperties"):
            depth += 1
        depth += step == "items"
        if step in ("properties", "patternProperties", "dependentSchemas"):
            next(rest, None)
    return depth


def _unknown_elements(names: list[str], path: str) -> Iterator[Issue]:
    for name in names:
        if _NAME.fullmatch(name):
            yield error("structure", f"{name} is no element of this type.", _inside(path, name.removeprefix("_")))
        else:
            yield error("structure", "A property that is no element of this type.", path)


def _value_issue(found: jsonschema_rs.ValidationError, node: Schema, name: str, path: str) -> Issue:
    """A value that is not what its type allows."""
    element = re.split(r"[.\[]", re.sub(r"\.ofType\(\w+\)|\[\d+\]$", "", path))[-1]
    primitive = name.removesuffix("?")
    match found.kind.name:
        case "enum":
            return error("code-invalid", f"{element} must be {_codes(node['enum'])}.", path)
        case "minItems" | "minProperties":
            return error("structure", f"{element} may not be empty: leave the element out.", path)
        case "xhtml":
            return error("invariant", f"The narrative {found.message} (txt-1, txt-2).", path)
        case "pattern" if "targets" in node:
            return error("value", _reference(found.instance, node["targets"]), path)
        case "maxLength":
            return error("too-long", f"{element} may have 1048576 characters at most.", path)
        case "type" if found.instance is None:
            return error("structure", f"{element} may not be null: leave the element out.", path)
    if primitive in EXPECTED:
        return error("value", f"{element} must be {EXPECTED[primitive]}.", path)
    return error("structure", f"{element} must be {_SHAPES.get(str(node.get('type')), 'text')}.", path)


def _codes(codes: list[str | None]) -> str:
    if len(codes) > _MANY_CODES:
        return "the name of a resource type"
    return f"one of {', '.join(code for code in codes if code is not None)}"


def _reference(value: object, targets: list[str]) -> str:
    if is_local(value):
        return "A reference to a contained resource needs that resource in contained (ref-1)."
    what = "a FHIR resource" if len(targets) > _MANY_CODES else " or ".join(targets)
    return f"A relative reference must name {what} (Type/id); others are absolute URLs or urn:uuid."
