"""Entries: what a client's transaction or batch asks for, one item each (FHIR R4 §3.1.0.11)."""

from __future__ import annotations

from dataclasses import replace

from gateway.errors import NotConformant
from gateway.fhir import gate
from gateway.fhir.bundle import Entry
from gateway.planning.world import Action, Item

_ACTIONS: dict[str, Action] = {"POST": "create", "PUT": "update", "DELETE": "delete"}


def to_item(entry: Entry) -> Item:
    """An entry of a client's Bundle as what it asks for."""
    method, condition = entry.method, entry.condition or entry.if_none_exist
    resource = entry.resource if method != "DELETE" else None
    unless = entry.if_none_match if method == "PUT" else None
    stated = (entry.type, resource, entry.id, None, condition, entry.if_match, unless, entry.full_url, entry.names)
    return Item(resource_path(entry), _ACTIONS[method], *stated)


def resource_path(entry: Entry) -> str:
    """FHIRPath of what an entry carries."""
    return f"Bundle.entry[{entry.index}].resource"


def checked(entry: Entry) -> Entry:
    """An entry of a batch through the gate by itself."""
    issues = gate.check(entry.resource) if entry.resource is not None and entry.error is None else []
    if not issues:
        return entry
    placed = [replace(one, expression=_below(resource_path(entry), one.expression)) for one in issues]
    error = NotConformant(placed[0].diagnostics, expression=placed[0].expression, issues=placed)
    return replace(entry, error=error)


def _below(path: str, expression: str | None) -> str:
    """FHIRPath of a place in a resource (`Patient.gender`), seen from the Bundle that carries it."""
    return f"{path}.{expression.partition('.')[2]}".removesuffix(".") if expression else path
