"""relatedEntity, associatedEntity -> RelatedPerson, or the party that works for an organization (CF-participations)."""

from __future__ import annotations

from .context import Context, Reference
from .kin import NOTHING, is_kin, related_person
from .node import V3, Element, Node, child_of
from .parties import is_patient
from .people import agent, in_function, organization

_PERSONAL = frozenset(
    ["PRS", "NOK", "ECON", "CON", "CAREGIVER", "GUARD", "GUAR", "AGNT", "POLHOLD", "COVPTY", "DEPEN", "CIT", "QUAL"]
)
"""Role classes that somebody has by what he is to the patient; the others are of those who work in health care."""

_CODE = V3 + "code"
_RELATED = V3 + "relatedEntity"


def associate(element: Element | None, ctx: Context, participation: Node | None = None) -> Reference | None:
    """Whoever takes part: a RelatedPerson where the class says so or the code is one of kin (the author of a Patient
    Generated Document, C-CDA R2.1 §1.1.16), the Patient himself, else as `agent` has it."""
    if element is None:
        return None
    if element.tag == _RELATED or element.get("classCode") in _PERSONAL or is_kin(child_of(element, _CODE)):
        return related_person(Node(element), ctx, participation or NOTHING)
    who = agent(element, ctx)
    function = participation.get("functionCode") if participation else None
    return who if who is None or function is None else in_function(who, function, ctx)


def guarantor(entity: Node, ctx: Context) -> Reference | None:
    """Guarantor Performer of a policy: the Patient himself, another person, or an organization."""
    if "assignedPerson" in entity or is_patient(entity, ctx):
        return related_person(entity, ctx)
    return organization(entity.get("representedOrganization"), ctx)
