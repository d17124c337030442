"""Payers (LOINC 48768-6) -> Coverage, one per policy (C-CDA R2.1 §2.53, §3.27 Coverage and §3.90 Policy Activity;
US Core Coverage)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.demographics import addresses, human_names, telecoms
from gateway.translators.ccda.node import Element, Node
from gateway.translators.ccda.people import agent, fits
from gateway.translators.ccda.registry import entry, others
from gateway.translators.ccda.statement import ROOT, mapped, related
from gateway.translators.ccda.values import (
    URI,
    Value,
    absent,
    absent_concept,
    codeable,
    distinct,
    identifier,
    identifiers,
    kept,
    period,
    resolved,
)

_V2 = "http://terminology.hl7.org/CodeSystem/v2-0203"
GROUP = "http://terminology.hl7.org/CodeSystem/coverage-class"
_POLICY = frozenset([ROOT + "61", "2.16.840.1.113883.10.20.1.26", "1.3.6.1.4.1.19376.1.5.3.1.4.18"])
_AUTHORIZATION = "2.16.840.1.113883.10.20.1.19"
_PAYER = frozenset([ROOT + "87", "PAYOR"])


@entry(
    ROOT + "60",
    "2.16.840.1.113883.10.20.1.20",
    "2.16.840.1.113883.10.20.22.60",
    "1.3.6.1.4.1.19376.1.5.3.1.4.17",
    sections=("48768-6",),
    element="act",
)
def coverages(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Coverage Activity: a wrapper, the policies carry the content."""
    for kind, statement in related(act):
        if statement.element.tag.endswith("}act"):
            yield coverage(statement, ctx)
        else:
            others([(kind, statement)], ctx)


@entry(*_POLICY)
def policy_activity(act: Node, ctx: Context) -> Iterator[Reference | None]:
    yield coverage(act, ctx)


@entry(ROOT + "129")
def planned_coverage(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Planned Coverage: who is expected to pay for what is planned; its inner act has the kind of payer."""
    for _, inner in related(act):
        yield coverage(inner, ctx)


def coverage(policy: Node, ctx: Context) -> Reference | None:
    """None when nothing is said of the policy."""
    payer = _performer(policy, _PAYER, ctx)
    covered, holder = _role(policy, "COV"), _role(policy, "HLD")
    kind = codeable(policy.get("code"), ctx)
    if not (payer or kind or covered or holder):
        return None
    status = mapped("coverage-status", policy.attribute("statusCode", "code"))
    member = _member_id(covered)
    body = {
        "identifier": distinct([*identifiers(policy.all("id")), *([member] if member else [])]),
        "status": status.code if status else None,
        "_status": None if status else absent(),
        "type": kind,
        "subscriber": _subscriber(holder, covered, ctx),
        "subscriberId": _extension(holder) or _extension(covered),
        "beneficiary": ctx.patient,
        "relationship": (codeable(covered.get("code"), ctx) if covered else None) or absent_concept(),
        "period": _during(policy, ctx),
        "payor": [payer or absent()],
        "class": _plans(policy, ctx),
    }
    _authorized(policy, ctx)
    return ctx.add("Coverage", kept(body), policy)


def _authorized(policy: Node, ctx: Context) -> None:
    """An Authorization Activity says what the insurer promised to pay for, which is no order: it makes no request."""
    for kind, statement in related(policy):
        if _AUTHORIZATION in statement.kinds:
            ctx.once("an insurer's authorization stays in the narrative only", statement.element)
        elif statement.element.get("moodCode") != "DEF":
            others([(kind, statement)], ctx)


def _performer(policy: Node, kinds: frozenset[str], ctx: Context) -> Reference | None:
    """The payer: an organization, or a person where none is named."""
    for performer in policy.nodes("performer"):
        entity = performer.node("assignedEntity")
        if entity and not kinds.isdisjoint(performer.kinds | entity.kinds):
            represented = entity.get("representedOrganization")
            who = _payer(entity, represented, ctx)
            if who:
                return who
    return None


def _payer(entity: Node, represented: Element | None, ctx: Context) -> Reference | None:
    """The organization with the number that the payer has as an entity (NAIC and the like)."""
    if represented is None:
        return fits(agent(entity.element, ctx), "Organization", "Patient", "RelatedPerson")
    node = Node(represented)
    name = node.text("name")
    body = {
        "identifier": identifiers([*node.all("id"), *entity.all("id")]),
        "name": name,
        "_name": None if name else absent(),
        "telecom": telecoms(node.all("telecom") or entity.all("telecom"), ctx),
        "address": addresses(node.all("addr") or entity.all("addr"), ctx),
    }
    found = kept(body)
    return ctx.add_equal("Organization", found, represented) if len(found) > 1 or name else None


def _role(policy: Node, kind: str) -> Node | None:
    for one in policy.nodes("participant"):
        if one.element.get("typeCode") == kind:
            return one.node("participantRole")
    return None


def _member_id(covered: Node | None) -> Value | None:
    for one in covered.all("id") if covered else ():
        if found := identifier(one):
            return {"type": {"coding": [{"system": _V2, "code": "MB"}]}, **found}
    return None


def _extension(role: Node | None) -> str | None:
    """The number by which the insurer knows the subscriber."""
    for one in role.all("id") if role else ():
        if (found := one.get("extension")) and not one.get("nullFlavor"):
            return str(found)
    return None


def _subscriber(holder: Node | None, covered: Node | None, ctx: Context) -> Reference | None:
    """The holder of the policy; the patient himself where the relationship says so."""
    if covered is not None and covered.attribute("code", "code") == "SELF":
        return ctx.patient
    entity = holder.node("playingEntity") if holder else None
    names = human_names(entity.all("name"), ctx) if entity else []
    if holder is None or not names:
        return None
    body = {
        "identifier": identifiers(holder.all("id")),
        "_active": absent(),
        "patient": ctx.patient,
        "name": names,
        "telecom": telecoms(holder.all("telecom"), ctx),
        "address": addresses(holder.all("addr"), ctx),
    }
    return ctx.add_equal("RelatedPerson", kept(body), holder.element)


def _during(policy: Node, ctx: Context) -> Value | None:
    """The policy's own time, else that of the coverage."""
    if own := period(policy.get("effectiveTime"), ctx):
        return own
    for one in policy.nodes("participant"):
        if one.element.get("typeCode") == "COV" and (found := period(one.get("time"), ctx)):
            return found
    return None


def _plans(policy: Node, ctx: Context) -> list[Value]:
    """The description of the plan (an act in definition mood)."""
    found = []
    for _, act in related(policy):
        name = resolved(act.get("text"), ctx) if act.element.get("moodCode") == "DEF" else None
        ids = identifiers(act.all("id")) if name else []
        if name:
            value = ids[0]["value"] if ids and ids[0].get("system") != URI else name
            found.append({"type": {"coding": [{"system": GROUP, "code": "plan"}]}, "value": value, "name": name})
    return found
