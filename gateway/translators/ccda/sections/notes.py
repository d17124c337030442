"""Notes (LOINC 34109-9) and Note Activities anywhere -> DocumentReference (C-CDA on FHIR, CF-notes)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.links import meant
from gateway.translators.ccda.narrative import Ids, text_of, xhtml
from gateway.translators.ccda.node import V3, Element, Node, children
from gateway.translators.ccda.people import agent, fits, recording
from gateway.translators.ccda.registry import entry, others
from gateway.translators.ccda.statement import ROOT, denied, encounter, mapped, related
from gateway.translators.ccda.unstructured import AUTHENTICATORS, CATEGORY, attachment
from gateway.translators.ccda.values import (
    Value,
    absent,
    absent_concept,
    codeable,
    coding,
    concept,
    identifier,
    identifiers,
    kept,
    period,
    timed,
)

_PLAIN = frozenset(V3 + name for name in ("content", "paragraph", "br"))
_RELATES = {"RPLC": "replaces", "APND": "appends", "XFRM": "transforms"}
_AUTHORS = ("Practitioner", "PractitionerRole", "Organization", "Device", "Patient", "RelatedPerson")
_INSTANT = 19


@entry(ROOT + "202", sections=("34109-9",), codes=("34109-9",), element="act")
def note_activity(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Nothing for a note without words."""
    content = [made for text in act.all("text") if (made := _content(text, ctx))]
    if not content or denied(act, ctx):
        return
    relations = related(act)
    _, written = recording(act, ctx)
    authors = [fits(agent(one.get("assignedAuthor"), ctx), *_AUTHORS) for one in act.nodes("author")]
    status = mapped("document-status", act.attribute("statusCode", "code"))
    where = encounter(relations, ctx) or _around(act, ctx) or ctx.encounter
    body = {
        "identifier": identifiers(act.all("id")),
        "status": status.code if status else "current",
        "type": _type(act, ctx) or absent_concept(act.get("code")),
        "category": [concept("clinical-note", CATEGORY, "Clinical Note")],
        "subject": ctx.patient,
        "date": written if written and len(written) > _INSTANT else None,
        "author": [one for at, one in enumerate(authors) if one and one not in authors[:at]],
        "authenticator": _signed(act, ctx),
        "relatesTo": [*_relations(act)],
        "content": content,
        "context": kept({"encounter": [where] if where else None, "period": _period(act, ctx)}),
    }
    others(relations, ctx)
    yield ctx.add("DocumentReference", kept(body), act)


def _signed(act: Node, ctx: Context) -> Reference | None:
    """`participant[@typeCode=LA]`: the legal authenticator (C-CDA R2.1 Companion Guide, Note Activity)."""
    signed = (one for one in act.nodes("participant") if one.element.get("typeCode") == "LA")
    signers = (fits(agent(one.get("participantRole"), ctx), *AUTHENTICATORS) for one in signed)
    return next((who for who in signers if who), None)


def _around(act: Node, ctx: Context) -> Reference | None:
    """The encounter of which the note is a part."""
    outer = next(act.element.iterancestors(V3 + "encounter"), None)
    return None if outer is None else meant("Encounter", Node(outer), ctx)


def _period(act: Node, ctx: Context) -> Value | None:
    """A single time is the start and the end."""
    time = act.get("effectiveTime")
    point = timed("at", time, ctx).get("atDateTime")
    return {"start": point, "end": point} if point else period(time, ctx)


def _type(act: Node, ctx: Context) -> Value | None:
    """The translation says which note it is; the code that it is one."""
    code = act.get("code")
    for child in children(code) if code is not None else ():
        if child.tag == V3 + "translation" and (said := coding(child)):
            return {"coding": [said]}
    return codeable(code, ctx)


def _content(text: Element, ctx: Context) -> Value | None:
    """Embedded data as they are; the narrative that it refers to as text where it is only lines, else as XHTML."""
    if text.get("mediaType") and (made := attachment(text, ctx)):
        return {"attachment": made}
    for child in children(text):
        if child.tag == V3 + "reference":
            target = ctx.ids.named(child)
            return None if target is None else _narrated(target)
    words = text_of(text)
    return _attached("text/plain", words) if words else None


def _narrated(target: Element) -> Value | None:
    if all(child.tag in _PLAIN for child in target.iter() if child is not target):
        words = text_of(target)
        return _attached("text/plain", words) if words else None
    div = xhtml(target, Ids())
    return _attached("application/xhtml+xml", div) if div else None


def _attached(kind: str, words: str) -> Value:
    return {"attachment": {"contentType": kind, "data": b64encode(words.encode()).decode()}}


def _relations(act: Node) -> Iterator[Value]:
    for reference in act.nodes("reference"):
        external = reference.node("externalDocument")
        found = external.get("id") if external else None
        named = identifier(found) if found is not None else None
        if named:
            code = _RELATES.get(reference.element.get("typeCode") or "")
            said = {"code": code} if code else {"_code": absent()}
            yield {**said, "target": {"identifier": named}}
