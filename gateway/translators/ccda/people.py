"""Authors, performers, custodians -> Practitioner, PractitionerRole, Organization, Device (CF-participations)."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from .context import Context, Reference
from .demographics import addresses, human_names, telecoms
from .kin import is_kin, related_person
from .node import V3, Element, Node, child_of, plain_text
from .parties import is_patient, party
from .values import Value, absent, codeable, distinct, identifiers, kept

_TIME, _AUTHOR, _ENTITY = V3 + "time", V3 + "assignedAuthor", V3 + "assignedEntity"
_PERSONS = ("assignedPerson", "relatedPerson", "playingEntity", "associatedPerson", "informationRecipient")
_DEVICE = "assignedAuthoringDevice"
_OWNERS = ("representedOrganization", "scopingOrganization", "receivedOrganization")
_TAXONOMY = "2.16.840.1.113883.6.101"


def agent(element: Element | None, ctx: Context) -> Reference | None:
    """assignedAuthor, assignedEntity and their like -> the party: a PractitionerRole where an organization or a role is
    told with the person, the Practitioner alone otherwise, else the Organization or Device; the Patient for himself, a
    RelatedPerson for who is kin by his code."""
    return None if element is None else _remembered(b"agent", element, ctx)


def person(element: Element | None, ctx: Context) -> Reference | None:
    """As `agent`, where FHIR has no room for a role: whoever it is, without the organization."""
    return None if element is None else _remembered(b"person", element, ctx)


def organization(element: Element | None, ctx: Context) -> Reference | None:
    return None if element is None else _remembered(b"organization", element, ctx)


def _remembered(kind: bytes, element: Element, ctx: Context) -> Reference | None:
    """Documents repeat the same author block hundreds of times: the same bytes are the same party."""
    place = (kind, element)
    if place not in ctx.met:
        key = kind + etree.tostring(element, with_tail=False)
        if key not in ctx.people:
            ctx.people[key] = _MAKERS[kind](Node(element), ctx)
        ctx.met[place] = ctx.people[key]
    return ctx.met[place]


def _person(node: Node, ctx: Context) -> Reference | None:
    who = _who(node)
    if is_patient(node, ctx):
        return ctx.patient
    if is_kin(node.get("code")):
        return related_person(node, ctx)
    found = _practitioner(node, who, None, ctx) if who is not None else None
    return found or _owner(node, ctx) or _agent(node, ctx)


def _who(node: Node) -> Node | None:
    return next((found for name in _PERSONS if (found := node.node(name)) is not None), None)


def _owner(node: Node, ctx: Context) -> Reference | None:
    return next((organization(node[name], ctx) for name in _OWNERS if name in node), None)


def _agent(node: Node, ctx: Context) -> Reference | None:
    who = _who(node)
    if is_patient(node, ctx):
        return ctx.patient
    if is_kin(node.get("code")):
        return related_person(node, ctx)
    owner = _owner(node, ctx)
    if who is None and _DEVICE in node:
        return _device(node, owner, ctx)
    practitioner = _practitioner(node, who, owner, ctx)
    role = codeable(node.get("code"), ctx)
    ids = [] if practitioner else identifiers(node.all("id"))
    if (practitioner and (owner or role)) or (owner and (ids or role)):
        return _role(node, practitioner, owner, role, ids, ctx)
    return practitioner or owner


def _practitioner(node: Node, person: Node | None, owner: Reference | None, ctx: Context) -> Reference | None:
    """Someone: has a name, or ids and no organization to which they could belong."""
    names = human_names(person.all("name"), ctx) if person else []
    ids = identifiers(node.all("id"))
    if not names and (not ids or (owner and person is None)):
        return None
    body = {
        "identifier": ids,
        "name": names,
        "telecom": telecoms(node.all("telecom"), ctx),
        "address": addresses(node.all("addr"), ctx),
        "qualification": [*_qualifications(person)] if person else None,
    }
    return party("Practitioner", kept(body), node, ctx)


def _qualifications(person: Node) -> Iterator[Value]:
    """Suffixes that are said to be academic degrees (CF-participations, Practitioner)."""
    for name in person.nodes("name"):
        for suffix in name.all("suffix"):
            if "AC" in (suffix.get("qualifier") or "").split() and (degree := plain_text(suffix)):
                yield {"code": {"text": degree}}


def _role(
    node: Node,
    practitioner: Reference | None,
    owner: Reference | None,
    role: Value | None,
    ids: list[Value],
    ctx: Context,
) -> Reference | None:
    """Who it is in that organization; `ids` are his there where nobody says who he is."""
    code = node.get("code")
    specialty = code is not None and code.get("codeSystem") == _TAXONOMY
    body = {
        "identifier": ids,
        "practitioner": practitioner,
        "organization": owner,
        "specialty" if specialty else "code": [role] if role else None,
        "telecom": None if practitioner else telecoms(node.all("telecom"), ctx),
        "location": [place] if practitioner is None and (place := _place(node, ctx)) else None,
    }
    who = practitioner["reference"] if practitioner else " ".join(sorted(str(one["value"]) for one in ids))
    parts = (who, owner["reference"] if owner else "", _coded(code))
    resource = {"resourceType": "PractitionerRole", "id": "", **kept(body)}
    return ctx.keep("PractitionerRole", resource, (ctx.patient_id, "PractitionerRole", *parts), node.element)


def in_function(who: Reference, function: Element, ctx: Context) -> Reference:
    """A Practitioner in the function that he has in one participation; whoever has a role keeps that."""
    said = codeable(function, ctx)
    if said is None or fits(who, "Practitioner") is None:
        return who
    resource = {"resourceType": "PractitionerRole", "id": "", "practitioner": who, "code": [said]}
    identity = (ctx.patient_id, "PractitionerRole", who["reference"], "", _coded(function))
    return ctx.keep("PractitionerRole", resource, identity, function)


def _coded(code: Element | None) -> str:
    return "" if code is None else f"{code.get('code')}@{code.get('codeSystem')}"


def _organization(node: Node, ctx: Context) -> Reference | None:
    name = node.text("name")
    ids = identifiers(node.all("id"))
    if not (name or ids):
        return None
    whole = node.node("asOrganizationPartOf")
    body = {
        "identifier": ids,
        "type": [kind] if (kind := codeable(node.get("standardIndustryClassCode"), ctx)) else None,
        "name": name,
        "_name": None if name else absent(),
        "alias": [other for one in node.all("name")[1:] if (other := plain_text(one)) and other != name],
        "telecom": [*map(_not_at_home, telecoms(node.all("telecom"), ctx))],
        "address": [*map(_not_at_home, addresses(node.all("addr"), ctx))],
        "partOf": organization(whole.get("wholeOrganization"), ctx) if whole else None,
    }
    return party("Organization", kept(body), node, ctx)


_MAKERS = {b"agent": _agent, b"person": _person, b"organization": _organization}


def _not_at_home(value: Value) -> Value:
    """An organization has no home (org-2, org-3): documents that say so mean only its address."""
    return {name: part for name, part in value.items() if part != "home"} if value.get("use") == "home" else value


def device_beside(element: Element | None, ctx: Context) -> Reference | None:
    """The software that a person wrote with, where one author is both."""
    node = None if element is None else Node(element)
    both = node is not None and _DEVICE in node and any(name in node for name in _PERSONS)
    return _device(node, None, ctx) if node is not None and both else None


def _device(node: Node, owner: Reference | None, ctx: Context) -> Reference | None:
    """The ids and telecoms of an author who is a person too are that person's."""
    device, alone = Node(node[_DEVICE]), not any(name in node for name in _PERSONS)
    names = [
        {"name": text, "type": kind}
        for part, kind in (("manufacturerModelName", "model-name"), ("softwareName", "user-friendly-name"))
        if (text := device.text(part))
    ]
    body = {
        "identifier": identifiers(node.all("id")) if alone else None,
        "deviceName": names,
        "type": codeable(device.get("code"), ctx),
        "contact": telecoms(node.all("telecom"), ctx) if alone else None,
        "owner": owner,
        "location": _place(node, ctx) if alone else None,
    }
    found = kept(body)
    return party("Device", found, node, ctx) if found else None


def _place(node: Node, ctx: Context) -> Reference | None:
    """The address of a role whose holder has none in FHIR (a device) or is not named."""
    where = addresses(node.all("addr"), ctx)
    if not where:
        return None
    return ctx.add_equal("Location", {"_name": absent(), "address": _not_at_home(where[0])}, node.all("addr")[0])


def recording(node: Node, ctx: Context) -> tuple[Reference | None, str | None]:
    """The last author and the earliest time of authoring of an entry: recorder, recordedDate and so on."""
    if "author" not in node:
        return None, None
    found = [_authoring(author, ctx) for author in node.all("author")]
    if len(found) == 1:
        return found[0][1], found[0][0] or None
    times = [time for time, _ in found if time]
    last = max(range(len(found)), key=lambda at: (found[at][0], at))
    return found[last][1], min(times, default=None)


def _authoring(author: Element, ctx: Context) -> tuple[str, Reference | None]:
    return ctx.moment(child_of(author, _TIME)) or "", agent(child_of(author, _AUTHOR), ctx)


def fits(reference: Reference | None, *types: str) -> Reference | None:
    """The reference where the element may refer to that type, else None."""
    return reference if reference and reference["reference"].partition("/")[0] in types else None


def responsible(node: Node, ctx: Context) -> list[Reference]:
    """`participant[@typeCode=RESP]` of what is planned, `REFT` of a referral: who is to see to it (C-CDA R2.1 §3.36
    Drug Monitoring Act, Patient Referral Act)."""
    sought = [one for one in node.nodes("participant") if one.element.get("typeCode") in ("RESP", "REFT")]
    roles = [one.get("participantRole") for one in sought]
    return distinct([agent(role, ctx) for role in roles])


def performers(node: Node, ctx: Context) -> list[Reference]:
    """`performer/assignedEntity` of an entry, each once."""
    if "performer" not in node:
        return []
    return distinct([agent(child_of(performer, _ENTITY), ctx) for performer in node.all("performer")])
