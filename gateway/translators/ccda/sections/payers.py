"""Payers (LOINC 48768-6) -> Coverage, one per policy (C-CDA R2.1 §2.53, §3.27 Coverage and §3.90 Policy Activity;
US Core Coverage)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.demographics import addresses, human_names, telecoms
from gateway.translators.ccda.kin import born
from gateway.translators.ccda.node import V3, Element, Node, child_of, statement_in
from gateway.translators.ccda.people import fits
from gateway.translators.ccda.registry import entry, others
from gateway.translators.ccda.related import associate, guarantor
from gateway.translators.ccda.statement import ROOT, denied, mapped, related, withdrawn
from gateway.translators.ccda.values import (
    URI,
    Value,
    absent,
    absent_concept,
    codeable,
    concept,
    count,
    distinct,
    identifier,
    identifiers,
    kept,
    period,
    resolved,
)

_V2 = "http://terminology.hl7.org/CodeSystem/v2-0203"
SUBSCRIBER = "http://terminology.hl7.org/CodeSystem/subscriber-relationship"
GROUP = "http://terminology.hl7.org/CodeSystem/coverage-class"
_POLICY = frozenset([ROOT + "61", "2.16.840.1.113883.10.20.1.26", "1.3.6.1.4.1.19376.1.5.3.1.4.18"])
_AUTHORIZATION = "2.16.840.1.113883.10.20.1.19"
_GUARANTOR = frozenset([ROOT + "88", "GUAR"])
_SEQUENCE = V3 + "sequenceNumber"
_PAYER = frozenset([ROOT + "87", "PAYOR"])


@entry(
    ROOT + "60",
    "2.16.840.1.113883.10.20.1.20",
    "2.16.840.1.113883.10.20.22.60",
    "1.3.6.1.4.1.19376.1.5.3.1.4.17",
    sections=("48768-6",),
    element="act",
    defined=True,
)
def coverages(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Coverage Activity: a wrapper, the policies carry the content. CCD 1.0 (§3.1) has it in definition mood."""
    if denied(act, ctx) or withdrawn(act, ctx):
        return
    for wrapper in act.all("entryRelationship"):
        statement = statement_in(wrapper)
        if statement is not None and statement.element.tag.endswith("}act"):
            yield coverage(statement, ctx, order=child_of(wrapper, _SEQUENCE))
        elif statement is not None:
            others([(wrapper.get("typeCode"), statement)], ctx)


@entry(*_POLICY)
def policy_activity(act: Node, ctx: Context) -> Iterator[Reference | None]:
    yield coverage(act, ctx)


@entry(ROOT + "129")
def planned_coverage(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Planned Coverage: who is expected to pay for what is planned; its inner act has the kind of payer."""
    if denied(act, ctx) or withdrawn(act, ctx):
        return
    for _, inner in related(act):
        yield coverage(inner, ctx, planned=act)


def coverage(
    policy: Node, ctx: Context, *, order: Element | None = None, planned: Node | None = None
) -> Reference | None:
    """`order`: the place among the policies; `planned`: the act around one that is expected, which has the ids. None
    when nothing is said of the policy."""
    payer = _performer(policy, _PAYER, ctx)
    covered, holder = _role(policy, "COV"), _role(policy, "HLD")
    kind = codeable(policy.get("code"), ctx)
    if not (payer or kind or covered or holder) or denied(policy, ctx):
        return None
    status = mapped("coverage-status", policy.attribute("statusCode", "code"))
    member = _member_id(covered)
    ids = identifiers([*policy.all("id"), *(planned.all("id") if planned else ())])
    body = {
        "identifier": distinct([*ids, *([member] if member else [])]),
        "status": status.code if status else None,
        "_status": None if status else absent(),
        "type": kind,
        "subscriber": _subscriber(holder, covered, ctx),
        "subscriberId": _extension(holder) or _extension(covered),
        "beneficiary": ctx.patient,
        "relationship": _relationship(covered, ctx),
        "period": _during(policy, ctx),
        "payor": [payer or absent()],
        "class": _plans(policy, ctx),
        "order": _place(order, policy),
    }
    _authorized(policy, ctx)
    made = ctx.add("Coverage", kept(body), policy)
    _guaranteed(policy, made, ctx)
    return made


def _relationship(covered: Node | None, ctx: Context) -> Value:
    """The patient to the subscriber: as the document says it, and in the code that US Core has for the same."""
    said = codeable(covered.get("code"), ctx) if covered else None
    if said is None:
        return absent_concept()
    known = mapped("subscriber", covered.attribute("code", "code") if covered else None)
    same = concept(known.code, SUBSCRIBER, known.display)["coding"] if known else []
    return {**said, "coding": [*said.get("coding", ()), *same]} if same else said


def _place(order: Element | None, policy: Node) -> int | None:
    """Which is to pay first: the sequenceNumber of a Coverage Activity, else the priority of the policy."""
    told = policy.attribute("priorityCode", "code") if order is None else order.get("value")
    return count(told)


def _guaranteed(policy: Node, made: Reference, ctx: Context) -> None:
    """Guarantor Performer: who pays what the insurer does not -> Account, as a Coverage has no element for him."""
    found = [
        {"party": who, "period": period(performer.get("time"), ctx)}
        for performer in policy.nodes("performer")
        if (entity := performer.node("assignedEntity")) and not _GUARANTOR.isdisjoint(performer.kinds | entity.kinds)
        if (who := guarantor(entity, ctx))
    ]
    if found:
        body = {
            "status": "unknown",
            "subject": [ctx.patient],
            "coverage": [{"coverage": made}],
            "guarantor": [kept(one) for one in found],
        }
        ctx.beside.append(ctx.add("Account", kept(body), policy))


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
    if represented is None and "assignedPerson" in entity:
        return fits(associate(entity.element, ctx), "Organization", "Patient", "RelatedPerson")
    node = Node(entity.element if represented is None else represented)
    name = node.text("name")
    body = {
        "identifier": identifiers([*node.all("id"), *entity.all("id")]),
        "name": name,
        "_name": None if name else absent(),
        "telecom": telecoms([*node.all("telecom"), *entity.all("telecom")], ctx),
        "address": addresses([*node.all("addr"), *entity.all("addr")], ctx),
    }
    found = kept(body)
    return ctx.add_equal("Organization", found, node.element) if len(found) > 1 or name else None


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
        "birthDate": born(entity, ctx) if entity else None,
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
        is_plan = act.element.get("moodCode") == "DEF" and not denied(act, ctx)
        name = resolved(act.get("text"), ctx) if is_plan else None
        ids = identifiers(act.all("id")) if name else []
        if name:
            value = ids[0]["value"] if ids and ids[0].get("system") != URI else name
            found.append({"type": {"coding": [{"system": GROUP, "code": "plan"}]}, "value": value, "name": name})
    return found
