"""encompassingEncounter and Encounter Activity -> Encounter, Location (C-CDA on FHIR, CF-encounters).

The same encounter in the header and in an entry (they share an id) is one resource.
"""

from __future__ import annotations

from collections.abc import Iterator

from .codes import CONCEPTS
from .context import Context, Reference
from .demographics import address, telecoms
from .node import Element, Node
from .people import agent, fits, organization
from .values import PARTICIPATION, Value, absent, absent_concept, codeable, identifiers, interval, kept, period

ACT_CODES = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CPT = "http://www.ama-assn.org/go/cpt"

_OPEN = ("unknown", "in-progress")
_PARTED = ("period", "hospitalization")
_PARTS = frozenset(["ADM", "ATND", "CON", "DIS", "REF", "RESP"])
_ENDS = {"ORG": "origin", "DST": "destination"}
_CLASSES = {
    "AMB": "ambulatory",
    "EMER": "emergency",
    "FLD": "field",
    "HH": "home health",
    "IMP": "inpatient encounter",
    "ACUTE": "inpatient acute",
    "NONAC": "inpatient non-acute",
    "OBSENC": "observation encounter",
    "PRENC": "pre-admission",
    "SS": "short stay",
    "VR": "virtual",
}
_CPT_CLASSES = (("99211", "99215", "AMB"), ("99221", "99223", "IMP"), ("99281", "99285", "EMER"))


def add_encounter(node: Node, body: Value, ctx: Context) -> Reference | None:
    """Take the Encounter in, united with the one that shares an id with it; what was there first stays. Samples repeat
    one id on different visits: those that began on different days are not one."""
    keys = [(one.get("root"), one.get("extension")) for one in node.all("id") if one.get("root")]
    known = next((ctx.encounters[key] for key in keys if key in ctx.encounters), None)
    if known is not None and _same_day(known.body, body):
        _unite(known.body, body)
        ctx.became.setdefault(node.element, []).append(known.reference)
        return known.reference
    body.setdefault("type", [absent_concept()])
    reference = ctx.add("Encounter", body, node)
    if reference is not None:
        made = next(made for made in reversed(ctx.made) if made.reference is reference)
        for key in keys:
            ctx.encounters.setdefault(key, made)
    return reference


def _same_day(known: Value, other: Value) -> bool:
    """As far as both tell; a planned visit is not the one that took place."""
    if (known["status"] == "planned") != (other["status"] == "planned"):
        return False
    began, also = (str(one.get("period", {}).get("start", ""))[:10] for one in (known, other))
    shared = min(len(began), len(also))
    return began[:shared] == also[:shared]


def _unite(known: Value, other: Value) -> None:
    """What was there first stays; what it lacks comes from the other, the end of the visit with it."""
    if known["type"] == [absent_concept()] and "type" in other:
        known["type"] = []
    if known["status"] in _OPEN and other["status"] != "planned":
        known["status"] = other["status"] if other["status"] != "unknown" else known["status"]
    for name, value in other.items():
        if isinstance(value, list) and name in known:
            known[name].extend(one for one in value if one not in known[name])
        elif name == "class" and "code" in value and "code" not in known[name]:
            known[name] = value
        elif name in _PARTED and name in known:
            known[name] = {**value, **known[name]}
        else:
            known.setdefault(name, value)


def encounter_body(node: Node, ctx: Context) -> Value:
    """What header and entry say alike."""
    types = codeable(node.get("code"), ctx)
    time = node.get("effectiveTime")
    disposition = codeable(node.get("sdtc:dischargeDispositionCode"), ctx) or codeable(
        node.get("dischargeDispositionCode"), ctx
    )
    return {
        "identifier": identifiers(node.all("id")),
        "status": _status(node, time, ctx),
        "class": _class(types),
        "type": _types(types),
        "priority": codeable(node.get("priorityCode"), ctx),
        "subject": ctx.patient,
        "period": period(time, ctx),
        "hospitalization": kept(
            {
                "admitSource": codeable(node.get("sdtc:admissionReferralSourceCode"), ctx),
                "dischargeDisposition": disposition,
            }
        ),
    }


def _status(node: Node, time: Element | None, ctx: Context) -> str:
    """A single time or an end means finished; else the statusCode; without either nobody said (CF-encounters). One that
    is negated did not take place."""
    if node.negated:
        return "cancelled"
    found = interval(time, ctx)
    said = CONCEPTS["encounter-status"].get(node.attribute("statusCode", "code") or "")
    if said and said.code not in ("finished", "in-progress"):
        return said.code
    if found.value or found.ended:
        return "finished"
    return said.code if said else "in-progress" if found.low else "unknown"


def _class(types: Value | None) -> Value:
    """The ActCode among the codes; the CPT ranges that the mapping names; else the reason why there is none."""
    for one in (types or {}).get("coding", ()):
        if one.get("system") == ACT_CODES and one["code"] in _CLASSES:
            return {"display": _CLASSES[one["code"]], **one}
    for one in (types or {}).get("coding", ()):
        for low, high, code in _CPT_CLASSES:
            if one.get("system") == CPT and low <= one["code"] <= high:
                return {"system": ACT_CODES, "code": code, "display": _CLASSES[code]}
    return absent()


def _types(types: Value | None) -> list[Value] | None:
    if types is None:
        return None
    codings = [one for one in types.get("coding", ()) if one.get("system") != ACT_CODES or one["code"] not in _CLASSES]
    found = kept({"coding": codings, "text": types.get("text")})
    return [found] if found else None


def encompassing(node: Node, ctx: Context) -> Reference | None:
    """componentOf/encompassingEncounter -> Encounter."""
    body = encounter_body(node, ctx)
    people = [participant(one, "assignedEntity", ctx, code="RESP") for one in node.nodes("responsibleParty")]
    people += [participant(one, "assignedEntity", ctx) for one in node.nodes("encounterParticipant")]
    body["participant"] = [one for one in people if one]
    place = node.node("location")
    facility = place.node("healthCareFacility") if place else None
    if facility:
        where = location(facility, facility.node("location"), ctx)
        body["location"] = [{"location": where}] if where else None
        body["serviceProvider"] = organization(facility.get("serviceProviderOrganization"), ctx)
    return add_encounter(node, kept(body), ctx)


def participant(node: Node, role: str, ctx: Context, *, code: str | None = None) -> Value | None:
    """One participant: who, in which function (`code` where the element itself says it), when."""
    individual = fits(agent(node.get(role), ctx), "Practitioner", "PractitionerRole", "RelatedPerson")
    if individual is None:
        return None
    function = codeable(node.get("sdtc:functionCode"), ctx)
    code = code or node.element.get("typeCode")
    if code in _PARTS and function is None:
        function = {"coding": [{"system": PARTICIPATION, "code": code}]}
    return kept(
        {"type": [function] if function else None, "period": period(node.get("time"), ctx), "individual": individual}
    )


def places(node: Node, ctx: Context) -> Iterator[Value]:
    """The Service Delivery Locations of an entry -> Encounter.location."""
    for one in node.nodes("participant"):
        role = one.node("participantRole") if one.element.get("typeCode") == "LOC" else None
        where = location(role, role.node("playingEntity"), ctx) if role else None
        if where:
            yield kept({"location": where, "period": period(one.get("time"), ctx)})


def moved(node: Node, ctx: Context) -> Value:
    """From where the patient came and whither he went (participants ORG and DST) -> Encounter.hospitalization."""
    found: Value = {}
    for one in node.nodes("participant"):
        name, role = _ENDS.get(one.element.get("typeCode") or ""), one.node("participantRole")
        if name and role and (where := location(role, role.node("playingEntity"), ctx)):
            found.setdefault(name, where)
    return found


def location(role: Node, place: Node | None, ctx: Context) -> Reference | None:
    """A facility or Service Delivery Location -> Location; `place` has the name."""
    where = address(place.get("addr"), ctx) if place else None
    name = place.text("name") if place else None
    body = kept(
        {
            "identifier": identifiers(role.all("id")),
            "name": name,
            "_name": None if name else absent(),
            "type": [kind] if (kind := codeable(role.get("code"), ctx)) else None,
            "telecom": telecoms(role.all("telecom"), ctx),
            "address": where or address(role.get("addr"), ctx),
        }
    )
    if body.keys() == {"_name"}:
        return None
    return ctx.add("Location", body, role, also=(str(body.get("name", "")),))
