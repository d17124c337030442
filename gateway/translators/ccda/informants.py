"""`informant` of an entry -> who asserted or reported it (CDA R2 §4.3.7.3)."""

from __future__ import annotations

from .context import Context, Reference
from .node import Node
from .people import fits
from .related import associate

_ASSERTERS = ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson")


def informant(statement: Node, ctx: Context) -> Reference | None:
    """The first one who is a person."""
    for one in statement.nodes("informant"):
        found = fits(associate(one.get("relatedEntity", one.get("assignedEntity")), ctx), *_ASSERTERS)
        if found:
            return found
    return None
