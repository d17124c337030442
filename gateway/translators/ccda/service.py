"""documentationOf and authorization -> Composition.event, CareTeam, Consent (C-CDA R2.1 §1.1; US Core CareTeam)."""

from __future__ import annotations

from collections.abc import Iterator

from .context import Context, Reference
from .node import Node
from .participation import CCDA
from .people import agent, fits
from .values import Value, absent, absent_concept, codeable, distinct, identifiers, kept, period

_MEMBERS = ("Practitioner", "PractitionerRole", "RelatedPerson", "Patient", "Organization", "CareTeam")
_CARE = ("PCPR", None)
"""Classes of an event that is care itself: who provides it is the patient's care team."""

_CONSENTS = {"completed": "active", "active": "active", "aborted": "inactive", "cancelled": "inactive"}


def events(document: Node, ctx: Context) -> Iterator[Value]:
    """documentationOf/serviceEvent -> Composition.event."""
    for of in document.nodes("documentationOf"):
        service = of.node("serviceEvent")
        if service is not None and (event := _event(service, ctx)):
            yield event


def _event(service: Node, ctx: Context) -> Value:
    code = codeable(service.get("code"), ctx)
    members = [member for one in service.nodes("performer") if (member := _member(one, ctx))]
    is_care = service.element.get("classCode") in _CARE
    team = _care_team(service, members, ctx) if members and is_care else None
    performers = (
        [] if is_care else [{"url": f"{CCDA}PerformerExtension", "valueReference": one["member"]} for one in members]
    )
    return kept(
        {
            "extension": performers,
            "code": [code] if code else None,
            "period": period(service.get("effectiveTime"), ctx),
            "detail": [team] if team else [{"identifier": one} for one in identifiers(service.all("id"))],
        }
    )


def _member(performer: Node, ctx: Context) -> Value | None:
    member = fits(agent(performer.get("assignedEntity"), ctx), *_MEMBERS)
    if member is None:
        return None
    entity = performer.node("assignedEntity")
    role = codeable(performer.get("functionCode"), ctx) or codeable(entity.get("code") if entity else None, ctx)
    return kept({"role": [role or absent_concept()], "member": member, "period": period(performer.get("time"), ctx)})


def _care_team(service: Node, members: list[Value], ctx: Context) -> Reference:
    """One per event; whether it is still the team nobody said, so that it has no status."""
    body = {
        "identifier": identifiers(service.all("id")),
        "subject": ctx.patient,
        "period": period(service.get("effectiveTime"), ctx),
        "participant": distinct(members),
    }
    parts = [f"{one.get('root')}^{one.get('extension')}" for one in service.all("id")]
    identity = (ctx.patient_id, "CareTeam", "serviceEvent", *sorted(parts))
    return ctx.keep("CareTeam", {"resourceType": "CareTeam", "id": "", **kept(body)}, identity, service.element)


def consents(document: Node, ctx: Context) -> Iterator[Value]:
    """authorization/consent -> Consent, and the Composition's extension that refers to it."""
    for authorization in document.nodes("authorization"):
        consent = authorization.node("consent")
        if consent is not None and ("id" in consent or "code" in consent):
            yield {"url": f"{CCDA}AuthorizationExtension", "valueReference": _consent(consent, ctx)}


def _consent(consent: Node, ctx: Context) -> Reference:
    """R4 wants a scope, a category and a rule; a CDA consent says of them only what its code says."""
    status = _CONSENTS.get(consent.attribute("statusCode", "code") or "")
    body = {
        "identifier": identifiers(consent.all("id")),
        "status": status,
        "_status": None if status else absent(),
        "scope": absent_concept(),
        "category": [codeable(consent.get("code"), ctx) or absent_concept(consent.get("code"))],
        "patient": ctx.patient,
        "policyRule": absent_concept(),
    }
    return ctx.add("Consent", kept(body), consent)
