"""Specimens of results -> Specimen (C-CDA on FHIR, CF-results; US Core Specimen)."""

from __future__ import annotations

from .context import Context, Reference
from .node import Node
from .people import fits, performers
from .statement import ROOT, coded_value, concepts, of_kind, related
from .values import Value, absent_concept, codeable, distinct, identifiers, kept, quantity, timed

COLLECTION = frozenset(["17636008", ROOT + "415"])
_CONDITION = frozenset(["93047-7", ROOT + "421"])
_COLLECTORS = ("Practitioner", "PractitionerRole")
_BARE = 2
"""Elements that every specimen has: its type, and whose it is."""


def specimens(statements: list[Node], ctx: Context) -> list[Reference]:
    """The specimens that these statements name, each once; how one was collected a Specimen Collection Procedure
    says."""
    found: list[Reference | None] = []
    for statement in statements:
        if "specimen" not in statement:
            continue
        collected = _collected(statement, ctx)
        for specimen in statement.nodes("specimen"):
            role = specimen.node("specimenRole")
            found.append(_specimen(role, collected, ctx) if role else None)
    return distinct(found)


def _collected(statement: Node, ctx: Context) -> Value:
    """Who took it, when, how and where on the body, and in which condition the laboratory found it."""
    if COLLECTION.isdisjoint(statement.kinds):
        return {}
    return {
        "collection": {
            "collector": next((one for one in performers(statement, ctx) if fits(one, *_COLLECTORS)), None),
            **timed("collected", statement.get("effectiveTime"), ctx),
            "method": next(iter(concepts(statement.all("methodCode"), ctx)), None),
            "bodySite": next(iter(concepts(statement.all("targetSiteCode"), ctx)), None),
        },
        "found": _conditions(statement, ctx),
    }


def _conditions(statement: Node, ctx: Context) -> list[Value]:
    """Specimen Condition Observations."""
    return [said for one in of_kind(_CONDITION, related(statement)) if (said := coded_value(one, ctx))]


def _specimen(role: Node, collected: Value, ctx: Context) -> Reference | None:
    entity = role.node("specimenPlayingEntity")
    name = entity.text("name") if entity else None
    code = codeable(entity.get("code"), ctx) if entity else None
    description = entity.text("desc") if entity else None
    amount = quantity(entity.get("quantity")) if entity else None
    body = kept(
        {
            "identifier": identifiers(role.all("id")),
            "type": code or ({"text": name} if name else absent_concept()),
            "subject": ctx.patient,
            "collection": kept({"quantity": amount, **collected.get("collection", {})}),
            "condition": collected.get("found"),
            "note": [{"text": description}] if description else None,
        }
    )
    return ctx.add_equal("Specimen", body, role.element) if len(body) > _BARE or code or name else None
