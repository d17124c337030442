"""Who is something to the patient -> RelatedPerson (CF-participations; C-CDA R2.1 §1.1 US Realm Header)."""

from __future__ import annotations

from lxml import etree

from .codes import KIN
from .context import Context, Reference
from .demographics import addresses, human_names, telecoms
from .node import Element, Node, folded
from .parties import is_patient, party
from .values import Value, absent, codeable, coding, identifiers, interval, kept, period

ROLE_CLASSES = "http://terminology.hl7.org/CodeSystem/v3-RoleClass"

NOTHING = Node(etree.Element("nothing"))
"""A participation of which nothing is said."""

_ROLE_CODE = "2.16.840.1.113883.5.111"
_PERSONS = ("relatedPerson", "associatedPerson", "assignedPerson", "playingEntity")


def is_kin(code: Element | None) -> bool:
    return code is not None and code.get("code") in KIN and code.get("codeSystem") == _ROLE_CODE


def related_person(node: Node, ctx: Context, participation: Node = NOTHING) -> Reference | None:
    """Of one name and one relationship to the patient there is one, whatever else is said of him each time."""
    code = coding(node.get("code"))
    if is_patient(node, ctx):
        return ctx.patient
    person = next((found for name in _PERSONS if (found := node.node(name)) is not None), None)
    told = {
        "identifier": identifiers(node.all("id")),
        "name": human_names(person.all("name"), ctx) if person else [],
        "birthDate": born(person, ctx) if person else None,
        "telecom": telecoms(node.all("telecom"), ctx),
        "address": addresses(node.all("addr"), ctx),
    }
    if not (code or any(told.values())):
        return None
    relationship = _relationship(node, person, participation, ctx)
    body = {"_active": absent(), "patient": ctx.patient, "relationship": relationship, **told}
    during = period(node.get("effectiveTime"), ctx) or _lasting(participation, ctx)
    kin = f"{code['code']}@{code.get('system')}" if code and told["name"] else None
    return party("RelatedPerson", kept({**body, "period": during}), node, ctx, told=kin)


def born(person: Node, ctx: Context) -> str | None:
    time = ctx.moment(person.get("sdtc:birthTime"))
    return time[:10] if time else None


def _lasting(participation: Node, ctx: Context) -> Value | None:
    """The time of a participation where it lasts; a single one says when it took place."""
    during = period(participation.get("time"), ctx)
    return None if interval(participation.get("time"), ctx).value else during


def _relationship(node: Node, person: Node | None, participation: Node, ctx: Context) -> list[Value]:
    """What the code says, what the person's own statement of it says, the class of the role, and his function."""
    related = person.node("sdtc:asPatientRelationship") if person else None
    said = [codeable(node.get("code"), ctx), codeable(related.get("code"), ctx) if related else None]
    if (of_class := folded(node.element.get("classCode"))) and of_class != "ASSIGNED":
        said.append({"coding": [{"system": ROLE_CLASSES, "code": of_class}]})
    said.append(codeable(participation.get("functionCode"), ctx))
    return [one for one in said if one]
