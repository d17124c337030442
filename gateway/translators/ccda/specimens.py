"""Specimens -> Specimen (C-CDA on FHIR, CF-results: C-CDA Specimen to FHIR Specimen)."""

from __future__ import annotations

from .context import Context, Reference
from .node import Element, Node
from .statement import concepts
from .values import absent_concept, codeable, distinct, identifiers, kept, quantity

COLLECTION = "17636008"
"""SNOMED CT Specimen collection: its target site is where the specimen was taken."""

_BARE = 2
"""Elements that every specimen has: its type, and whose it is."""


def specimens(statements: list[Node], ctx: Context) -> list[Reference]:
    """All that take part in these statements, each once."""
    found: list[Reference | None] = []
    for statement in statements:
        site = statement.get("targetSiteCode") if statement.attribute("code", "code") == COLLECTION else None
        for specimen in statement.nodes("specimen"):
            role = specimen.node("specimenRole")
            found.append(_specimen(role, site, ctx) if role else None)
    return distinct(found)


def _specimen(role: Node, site: Element | None, ctx: Context) -> Reference | None:
    entity = role.node("specimenPlayingEntity")
    name = entity.text("name") if entity else None
    code = codeable(entity.get("code"), ctx) if entity else None
    collected = quantity(entity.get("quantity")) if entity else None
    where = concepts([site], ctx) if site is not None else None
    description = entity.text("desc") if entity else None
    body = kept(
        {
            "identifier": identifiers(role.all("id")),
            "type": code or ({"text": name} if name else absent_concept()),
            "subject": ctx.patient,
            "collection": kept({"quantity": collected, "bodySite": where[0] if where else None}),
            "note": [{"text": description}] if description else None,
        }
    )
    return ctx.add_equal("Specimen", body, role.element) if len(body) > _BARE or code or name else None
