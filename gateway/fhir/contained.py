"""Contained resources: whole only together with what refers to them (FHIR R4 §2.3.0.2, ref-1 and dom-2 to dom-5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .issue import Issue
from .json import Json, Resource


def faults_in(resource: Resource, path: str) -> Iterator[Issue]:
    """What is wrong between a resource and those it contains. Their own content is checked elsewhere."""
    contained = resource["contained"]
    if not isinstance(contained, list):
        return
    inner = [(f"{path}.contained[{at}]", one) for at, one in enumerate(contained) if isinstance(one, dict)]
    ids = {one.get("id") for _, one in inner if isinstance(one.get("id"), str)}
    if len(ids) < sum(isinstance(one.get("id"), str) for _, one in inner):
        yield _invariant("Two contained resources have one id, so that a reference means neither.", f"{path}.contained")
    rest = {name: value for name, value in resource.items() if name != "contained"}
    yield from _dangling(rest, path, ids)
    mentioned = set(_mentions(resource))
    for where, one in inner:
        yield from _dangling(one, where, ids)
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


def _dangling(node: Json, path: str, ids: set[Any]) -> Iterator[Issue]:
    """Every local reference must find its resource (ref-1)."""
    if isinstance(node, list):
        for at, part in enumerate(node):
            yield from _dangling(part, f"{path}[{at}]", ids)
    elif isinstance(node, dict):
        reference = node.get("reference")
        if isinstance(reference, str) and reference.startswith("#") and reference != "#" and reference[1:] not in ids:
            yield _invariant("No contained resource has the id that the reference names (ref-1).", f"{path}.reference")
        for name, part in node.items():
            yield from _dangling(part, f"{path}.{name}", ids)


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
