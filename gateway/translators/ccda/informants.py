"""`informant` of an entry -> who asserted or reported it (CDA R2 §4.3.7.3)."""

from __future__ import annotations

from .context import Context, Reference
from .demographics import addresses, human_names, telecoms
from .node import Node
from .people import agent, fits
from .values import Value, absent, codeable, identifiers, kept

_ASSERTERS = ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson")


def informant(statement: Node, ctx: Context) -> Reference | None:
    """The first one who is a person."""
    for one in statement.nodes("informant"):
        relative = one.node("relatedEntity")
        found = _relative(relative, ctx) if relative else fits(agent(one.get("assignedEntity"), ctx), *_ASSERTERS)
        if found:
            return found
    return None


def _relative(entity: Node, ctx: Context) -> Reference | None:
    """A related entity with a name; the patient where the code says that he told it himself."""
    if entity.attribute("code", "code") in ("SELF", "ONESELF"):
        return ctx.patient
    person = entity.node("relatedPerson")
    names = human_names(person.all("name"), ctx) if person else []
    relationship = codeable(entity.get("code"), ctx)
    if not (names or relationship):
        return None
    body: Value = {
        "identifier": identifiers(entity.all("id")),
        "_active": absent(),
        "patient": ctx.patient,
        "relationship": [relationship] if relationship else None,
        "name": names,
        "telecom": telecoms(entity.all("telecom"), ctx),
        "address": addresses(entity.all("addr"), ctx),
    }
    return ctx.add_equal("RelatedPerson", kept(body), entity.element)
