"""Interventions (LOINC 62387-6) and Instructions (69730-0) -> Procedure, ServiceRequest, Communication (C-CDA R2.1
§3.54 Intervention Act, §3.53 Instruction, §3.46 Handoff Communication)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.people import agent, fits, recording
from gateway.translators.ccda.registry import entry, others
from gateway.translators.ccda.sections.plan import request
from gateway.translators.ccda.sections.procedures import procedure
from gateway.translators.ccda.statement import (
    INSTRUCTION,
    ROOT,
    denied,
    encounter,
    is_ahead,
    mapped,
    notes,
    referenced,
    related,
    withdrawn,
)
from gateway.translators.ccda.values import Value, codeable, identifiers, interval, kept, resolved

_SENDERS = ("Practitioner", "PractitionerRole", "Organization", "Patient", "RelatedPerson", "Device")


@entry(ROOT + "131", ROOT + "146", sections=("62387-6", "11383-7"), element="act")
def intervention(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Intervention Act, Planned Intervention Act: a wrapper; one that wraps nothing is what was done, or is planned."""
    relations = related(act)
    if relations and (denied(act, ctx) or withdrawn(act, ctx)):
        return
    inner = [*others(relations, ctx), *referenced(relations, ctx, only="REFR")]
    if inner:
        yield from inner
    elif is_ahead(act):
        yield request(act, ctx)
    else:
        yield procedure(act, ctx)


@entry(*INSTRUCTION, sections=("69730-0", "8653-8"), element="act")
def instructed(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """An instruction that stands alone -> ServiceRequest with `patientInstruction`."""
    yield request(act, ctx)


@entry(ROOT + "141")
def handoff(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Handoff Communication Participants -> Communication: who told whom, and when."""
    relations = related(act)
    author, _ = recording(act, ctx)
    told = [agent(one.get("participantRole"), ctx) for one in act.nodes("participant")]
    kind = codeable(act.get("code"), ctx)
    body = {
        "identifier": identifiers(act.all("id")),
        "status": _status(act),
        "subject": ctx.patient,
        "category": [kind] if kind else None,
        "topic": kind,
        "encounter": encounter(relations, ctx),
        "sent": interval(act.get("effectiveTime"), ctx).start,
        "recipient": [one for at, one in enumerate(told) if one and one not in told[:at]],
        "sender": fits(author, *_SENDERS),
        "payload": _payload(act, ctx),
        "note": notes(relations, ctx),
    }
    others(relations, ctx)
    yield ctx.add("Communication", kept(body), act)


def _status(act: Node) -> str:
    """Negated: nobody was told; planned: nobody was yet."""
    if act.negated or is_ahead(act):
        return "not-done" if act.negated else "preparation"
    found = mapped("procedure-status", act.attribute("statusCode", "code"))
    return found.code if found else "unknown"


def _payload(act: Node, ctx: Context) -> list[Value]:
    text = resolved(act.get("text"), ctx)
    return [{"contentString": text}] if text else []
