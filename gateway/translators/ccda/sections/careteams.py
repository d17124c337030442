"""Care Teams (LOINC 85847-2) -> CareTeam (C-CDA R2.1 Companion Guide, Care Team Organizer; US Core CareTeam)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.people import agent, fits
from gateway.translators.ccda.registry import entry, others
from gateway.translators.ccda.statement import ROOT, components, concepts, denied, mapped, notes, related
from gateway.translators.ccda.values import (
    Value,
    absent,
    absent_concept,
    codeable,
    identifiers,
    kept,
    period,
)

_MEMBER = frozenset([ROOT + "500.1", "85847-2", "92707-9"])
_TYPE = frozenset([ROOT + "500.2"])
_LEADS = ("PPRF", None)
_MEMBERS = ("Practitioner", "PractitionerRole", "RelatedPerson", "Patient", "Organization", "CareTeam")

_Id = tuple[str | None, str | None]


@entry(ROOT + "500", sections=("85847-2",), element="organizer", in_any_mood=True)
def care_team(organizer: Node, ctx: Context) -> Iterator[Reference | None]:
    """Care Team Organizer: its name, kind, time and members."""
    parts = [one for one in components(organizer) if not denied(one, ctx)]
    acts = [one for one in parts if not _MEMBER.isdisjoint(one.kinds) and one.element.tag.endswith("}act")]
    types = [one for one in parts if not _TYPE.isdisjoint(one.kinds)]
    status = mapped("care-team-status", organizer.attribute("statusCode", "code"))
    lead = _leader(organizer, {name for act in acts for one in act.nodes("performer") for name in _ids(one)}, ctx)
    members = [*lead, *(made for act in acts for made in _members(act, ctx) if made not in lead)]
    body = {
        "identifier": identifiers(organizer.all("id")),
        "status": status.code if status else None,
        "category": concepts([*(act.get("value") for act in types), organizer.get("code")], ctx),
        "name": (codeable(organizer.get("code"), ctx) or {}).get("text"),
        "subject": ctx.patient,
        "period": period(organizer.get("effectiveTime"), ctx),
        "participant": members or [{"role": [absent_concept()], "member": absent()}],
        "note": [one for act in parts for one in notes([(None, act)], ctx)],
    }
    read = [*acts, *types]
    others([(None, one) for one in parts if one not in read], ctx)
    yield ctx.add("CareTeam", kept(body), organizer)


def _leader(organizer: Node, known: set[_Id], ctx: Context) -> list[Value]:
    """`participant[@typeCode=PPRF]`: who leads the team; `known` are the ids of its members, who are not there twice.
    Where the team meets (LOC) is no member, and R4 has no element for it."""
    found = []
    for one in organizer.nodes("participant"):
        role = codeable(one.get("sdtc:functionCode"), ctx)
        if one.element.get("typeCode") not in _LEADS or (role is None and not known.isdisjoint(_ids(one))):
            continue
        member = fits(agent(one.get("participantRole"), ctx), *_MEMBERS)
        if member:
            found.append({"role": [role or absent_concept()], "member": member})
    return found


def _ids(participation: Node) -> Iterator[_Id]:
    for holder in ("assignedEntity", "participantRole"):
        for role in participation.nodes(holder):
            yield from ((one.get("root"), one.get("extension")) for one in role.all("id") if one.get("root"))


def _members(act: Node, ctx: Context) -> Iterator[Value]:
    """Care Team Member Act: each performer in his function. US Core wants a role: where none is said, that it is not
    known."""
    others(related(act), ctx)
    during = period(act.get("effectiveTime"), ctx)
    for performer in act.nodes("performer"):
        member = fits(agent(performer.get("assignedEntity"), ctx), *_MEMBERS)
        role = codeable(performer.get("sdtc:functionCode"), ctx) or codeable(performer.get("functionCode"), ctx)
        if member or role:
            yield kept({"role": [role or absent_concept()], "member": member or absent(), "period": during})
