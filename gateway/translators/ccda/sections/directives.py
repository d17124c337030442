"""Advance Directives (LOINC 42348-3) -> Consent (C-CDA R2.1 §2.2, §3.2 Advance Directive Observation)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.node import Element, Node, folded
from gateway.translators.ccda.people import agent, fits, recording
from gateway.translators.ccda.registry import entry, one_more, others
from gateway.translators.ccda.related import associate
from gateway.translators.ccda.statement import ROOT, components, happened, mapped, of_another, related
from gateway.translators.ccda.unstructured import to_url
from gateway.translators.ccda.values import (
    PARTICIPATION,
    Value,
    absent,
    absent_concept,
    codeable,
    concept,
    distinct,
    identifiers,
    kept,
    period,
    resolved,
    typed,
)

SCOPES = "http://terminology.hl7.org/CodeSystem/consentscope"
_DIRECTIVE = ("2.16.840.1.113883.10.20.1.17", "1.3.6.1.4.1.19376.1.5.3.1.4.13.7")
_STATUS = frozenset(["310305009", "2.16.840.1.113883.10.20.1.37"])
_PERFORMERS = ("Organization", "Patient", "Practitioner", "RelatedPerson", "PractitionerRole")
_PERSONS = ("Patient", "Practitioner", "PractitionerRole", "RelatedPerson")
_VERIFIERS = ("Patient", "RelatedPerson")


@entry(ROOT + "108", sections=("42348-3",), element="organizer", in_any_mood=True)
def directives(organizer: Node, ctx: Context) -> Iterator[Reference | None]:
    """Advance Directive Organizer: each directive is a Consent."""
    for one in components(organizer):
        if happened(one):
            yield directive(one, ctx)
        else:
            yield from one_more(one, ctx)


@entry(ROOT + "48", *_DIRECTIVE, sections=("42348-3",), element="observation")
def directive_observation(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    yield directive(observation, ctx)


def directive(observation: Node, ctx: Context) -> Reference | None:
    """What is directed and how: `category` the kind of directive, `provision.code` what was decided. None when it
    says neither."""
    kind = codeable(observation.get("code"), ctx)
    decided = _decided(observation, ctx)
    if (kind is None and not decided) or observation.untold or of_another(observation, ctx):
        return None
    if observation.negated or observation.attribute("value", "value") == "false":
        ctx.issue("warning", "not-supported", "a negated directive stays in the narrative only", observation.element)
        return None
    author, written = recording(observation, ctx)
    status = mapped("consent-status", observation.attribute("statusCode", "code"))
    provision = kept(
        {
            "period": period(observation.get("effectiveTime"), ctx),
            "actor": [*_agents(observation, ctx)],
            "code": decided,
        }
    )
    body = {
        "identifier": identifiers(observation.all("id")),
        "status": status.code if status else None,
        "_status": None if status else absent(),
        "scope": concept("adr", SCOPES, "Advanced Care Directive"),
        "category": [kind or absent_concept(observation.get("code"))],
        "patient": ctx.patient,
        "dateTime": written,
        "performer": [who] if (who := fits(author, *_PERFORMERS)) else None,
        "organization": _custodian(observation, ctx),
        **_source(observation),
        "policyRule": absent_concept(),
        "verification": [*_verified(observation, ctx)],
        "provision": provision,
    }
    others([one for one in related(observation) if _STATUS.isdisjoint(one[1].kinds)], ctx)
    return ctx.add("Consent", kept(body), observation)


def _decided(observation: Node, ctx: Context) -> list[Value]:
    return distinct(_decision(value, ctx) for value in observation.all("value"))


def _decision(value: Element, ctx: Context) -> Value | None:
    if typed(value) in ("CD", "CE", "CV", "CO", "CS"):
        return codeable(value, ctx)
    text = resolved(value, ctx)
    return {"text": text} if text else None


def _custodian(observation: Node, ctx: Context) -> list[Reference]:
    """`participant[@typeCode=CST]`: who keeps the document, where that is an organization."""
    found = []
    for one in observation.nodes("participant"):
        role = one.get("participantRole") if one.element.get("typeCode") == "CST" else None
        if who := fits(associate(role, ctx, one), "Organization"):
            found.append(who)
    return found


def _agents(observation: Node, ctx: Context) -> Iterator[Value]:
    """`participant[@typeCode=CST]` who is a person: the health care agent (C-CDA R2.1 §3.2)."""
    for one in observation.nodes("participant"):
        role = one.get("participantRole") if one.element.get("typeCode") == "CST" else None
        if who := fits(associate(role, ctx, one), *_PERSONS):
            yield {"role": concept("CST", PARTICIPATION, "custodian"), "reference": who}


def _verified(observation: Node, ctx: Context) -> Iterator[Value]:
    """`participant[@typeCode=VRF]`: that somebody verified it, and when."""
    for one in observation.nodes("participant"):
        if one.element.get("typeCode") == "VRF":
            who = fits(agent(one.get("participantRole"), ctx), *_VERIFIERS)
            yield kept({"verified": True, "verifiedWith": who, "verificationDate": ctx.moment(one.get("time"))})


def _source(observation: Node) -> Value:
    """The directive's own document, as far as it is named."""
    for reference in observation.nodes("reference"):
        external = reference.node("externalDocument")
        text = external.node("text") if external else None
        link = to_url(text.attribute("reference", "value")) if text else None
        if text is not None and link:
            kind = folded(text.element.get("mediaType"))
            return {"sourceAttachment": kept({"contentType": kind, "url": link})}
        named = identifiers(external.all("id")) if external else []
        if named:
            return {"sourceReference": {"type": "DocumentReference", "identifier": named[0]}}
    return {}
