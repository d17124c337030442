"""Contained resources: whole only together with what refers to them (FHIR R4 §2.3.0.2, ref-1 and dom-2 to dom-5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .elements import targets
from .gate_types import is_r4_type
from .issue import Issue
from .json import Json, Resource


def faults_in(resource: Resource, path: str) -> Iterator[Issue]:
    """What is wrong between a resource and those it contains. Their own content is checked elsewhere."""
    contained = resource["contained"]
    if not isinstance(contained, list):
        return
    inner = [(f"{path}.contained[{at}]", one) for at, one in enumerate(contained) if isinstance(one, dict)]
    named = [one for _, one in inner if isinstance(one.get("id"), str)]
    types = {one["id"]: one.get("resourceType") for one in named} | {"": resource["resourceType"]}
    if len(types) <= len(named):
        yield _invariant("Two contained resources have one id, so that a reference means neither.", f"{path}.contained")
    rest = {name: value for name, value in resource.items() if name != "contained"}
    yield from _astray(rest, path, (), rest["resourceType"], types)
    mentioned = set(_mentions(resource))
    for where, one in inner:
        yield from _astray(one, where, (), one.get("resourceType"), types)
        yield from _own_faults(one, where)
        if f"#{one.get('id')}" not in mentioned and "#" not in _mentions(one):
            yield _invariant(
                "A contained resource must be referred to by its container, or refer to it (dom-3).", where
            )


def _own_faults(one: Resource, path: str) -> Iterator[Issue]:
    if "contained" in one:
        yield _invariant("A contained resource may not contain resources (dom-2).", f"{path}.contained")
    meta = one.get("meta")
    if not isinstance(meta, dict):
        return
    if "versionId" in meta or "lastUpdated" in meta:
        yield _invariant("A contained resource may not have a version or a last update (dom-4).", f"{path}.meta")
    if "security" in meta:
        yield _invariant("A contained resource may not have security labels of its own (dom-5).", f"{path}.meta")


def _astray(node: Json, path: str, trail: tuple[str, ...], kind: Any, types: Mapping[str, Any]) -> Iterator[Issue]:
    """Every local reference must find its resource (ref-1), and one of a type that may stand there (FHIR R4 §2.3.0).

    `trail` leads to the node in a resource of the type `kind`; `types` = what each id is, the container itself as "".
    """
    if isinstance(node, list):
        for at, part in enumerate(node):
            yield from _astray(part, f"{path}[{at}]", trail, kind, types)
    elif isinstance(node, dict):
        reference = node.get("reference")
        if isinstance(reference, str) and reference.startswith("#"):
            yield from _misled(reference[1:], f"{path}.reference", (*trail, "reference"), kind, types)
        for name, part in node.items():
            yield from _astray(part, f"{path}.{name}", (*trail, name), kind, types)


def _misled(id_: str, path: str, trail: tuple[str, ...], kind: Any, types: Mapping[str, Any]) -> Iterator[Issue]:
    if id_ not in types:
        yield _invariant("No contained resource has the id that the reference names (ref-1).", path)
    elif is_r4_type(kind) and (allowed := targets(kind, trail)) and types[id_] not in allowed:
        yield Issue("error", "value", f"A local reference must lead to {' or '.join(allowed)}.", path)


def _mentions(node: Json) -> Iterator[str]:
    """Every text that may point at a contained resource, as Reference, canonical, uri or url."""
    if isinstance(node, str):
        if node.startswith("#"):
            yield node
    elif isinstance(node, dict):
        for part in node.values():
            yield from _mentions(part)
    elif isinstance(node, list):
        for part in node:
            yield from _mentions(part)


def _invariant(text: str, path: str) -> Issue:
    return Issue("error", "invariant", text, path)
