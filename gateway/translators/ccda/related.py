"""relatedEntity, associatedEntity -> RelatedPerson, or the party that works for an organization (CF-participations)."""

from __future__ import annotations

from .context import Context, Reference
from .demographics import addresses, human_names, telecoms
from .node import V3, Element, Node
from .people import agent, party
from .values import Value, absent, codeable, coding, identifiers, kept, period

ROLE_CLASSES = "http://terminology.hl7.org/CodeSystem/v3-RoleClass"

_PERSONAL = frozenset(
    ["PRS", "NOK", "ECON", "CON", "CAREGIVER", "GUARD", "GUAR", "AGNT", "POLHOLD", "COVPTY", "DEPEN", "CIT", "QUAL"]
)
"""Role classes that somebody has by what he is to the patient; the others are of those who work in health care."""

_RELATED = V3 + "relatedEntity"
_HIMSELF = frozenset(["SELF", "ONESELF"])


def associate(element: Element | None, ctx: Context) -> Reference | None:
    """Whoever takes part: a RelatedPerson where the class says so, the Patient himself, else as `agent` has it."""
    if element is None:
        return None
    if element.tag != _RELATED and element.get("classCode") not in _PERSONAL:
        return agent(element, ctx)
    return _related_person(Node(element), ctx)


def _related_person(node: Node, ctx: Context) -> Reference | None:
    """Of one name and one relationship to the patient there is one, whatever else is said of him each time."""
    code = coding(node.get("code"))
    own = any((one.get("root"), one.get("extension")) in ctx.patient_ids for one in node.all("id"))
    if own or (code and code["code"] in _HIMSELF):
        return ctx.patient
    person = node.node("relatedPerson") or node.node("associatedPerson")
    told = {
        "identifier": identifiers(node.all("id")),
        "name": human_names(person.all("name"), ctx) if person else [],
        "telecom": telecoms(node.all("telecom"), ctx),
        "address": addresses(node.all("addr"), ctx),
    }
    if not (code or any(told.values())):
        return None
    body = {"_active": absent(), "patient": ctx.patient, "relationship": _relationship(node, person, ctx), **told}
    during = period(node.get("effectiveTime"), ctx)
    kin = f"{code['code']}@{code.get('system')}" if code and told["name"] else None
    return party("RelatedPerson", kept({**body, "period": during}), node, ctx, told=kin)


def _relationship(node: Node, person: Node | None, ctx: Context) -> list[Value]:
    """What the code says, what the person's own statement of it says, and the class of the role."""
    related = person.node("sdtc:asPatientRelationship") if person else None
    said = [codeable(node.get("code"), ctx), codeable(related.get("code"), ctx) if related else None]
    if of_class := node.element.get("classCode"):
        said.append({"coding": [{"system": ROLE_CLASSES, "code": of_class}]})
    return [one for one in said if one]
