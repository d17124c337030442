"""ClinicalDocument -> Composition: the header, and every section with its narrative and its entries (FHIR R4 §2.5)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from gateway.fhir.json import Resource

from .careplan import PLANS, care_plan
from .codes import language_tag
from .context import Context, Reference, SectionReport
from .narrative import xhtml
from .node import LEVELS, Element, Node, folded, is_deep, statement_in
from .participation import extensions, participants
from .people import device_beside, fits, organization
from .registry import described, named, read, reader_of, tells_nothing
from .related import associate
from .sections_known import section_kind
from .service import consents, events
from .statement import has_another, mapped
from .values import CONFIDENTIALITY, Value, absent, codeable, coding, concept, distinct, identifier, kept

EMPTY_REASONS = "http://terminology.hl7.org/CodeSystem/list-empty-reason"

_CONFIDENTIALITY = frozenset("ULMNRV")
_RESTRICTED = "VR"
_OF_NOBODY = frozenset(["Location", "Medication", "Organization", "Practitioner", "PractitionerRole"])
"""What says nothing about the patient: it may be shown with what others say of theirs."""
_LANGUAGE = "languageCode"
_STATUSES = {"active": "preliminary", "aborted": "preliminary", "nullified": "entered-in-error"}
_REPLACED = {"RPLC": "replaces", "APND": "appends", "XFRM": "transforms"}
_AUTHORS = ("Practitioner", "PractitionerRole", "Device", "Patient", "RelatedPerson", "Organization")
_PARTIES = ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson", "Organization")


def header(document: Node, encounter: Reference | None, ctx: Context) -> Resource:
    """Everything of the Composition but its sections."""
    kind = codeable(document.get("code"), ctx)
    title = document.text("title") or ((kind or {}).get("coding") or [{}])[0].get("display")
    date = ctx.moment(document.get("effectiveTime"))
    own = version_independent(document)
    confidentiality = document.attribute("confidentialityCode", "code")
    return kept(
        {
            "extension": [*extensions(document, ctx), *consents(document, ctx)],
            "language": language_tag(folded(document.attribute(_LANGUAGE, "code"))),
            "identifier": identifier(own) if own is not None else None,
            "status": _STATUSES.get(document.attribute("sdtc:statusCode", "code") or "", "final"),
            "type": kind or absent(),
            "subject": ctx.patient,
            "encounter": encounter,
            "date": date,
            "_date": None if date else absent(),
            "author": _authors(document, ctx) or [absent()],
            "title": title,
            "_title": None if title else absent(),
            "confidentiality": confidentiality if confidentiality in _CONFIDENTIALITY else None,
            "attester": [*_attesters(document, ctx)],
            "custodian": _custodian(document, ctx),
            "relatesTo": [*_related(document)],
            "event": [*events(document, ctx)],
        }
    )


def version_independent(document: Node) -> Element | None:
    """What names the document in all its versions (FHIR R4 §2.27.8: setId); without one, its id."""
    set_id = document.get("setId")
    return set_id if set_id is not None and identifier(set_id) else document.get("id")


def _authors(document: Node, ctx: Context) -> list[Reference]:
    """Who wrote it, and with what software where one author is both."""
    assigned = [author.get("assignedAuthor") for author in document.nodes("author")]
    parties = ((fits(associate(one, ctx), *_AUTHORS), device_beside(one, ctx)) for one in assigned)
    return distinct(chain.from_iterable(parties))


def _attesters(document: Node, ctx: Context) -> Iterator[Value]:
    for name, mode in (("legalAuthenticator", "legal"), ("authenticator", "professional")):
        for one in document.nodes(name):
            party = fits(associate(one.get("assignedEntity"), ctx), *_PARTIES)
            time = ctx.moment(one.get("time"))
            if party or time:
                yield kept({"mode": mode, "time": time, "party": party})


def _custodian(document: Node, ctx: Context) -> Reference | None:
    custodian = document.node("custodian")
    assigned = custodian.node("assignedCustodian") if custodian else None
    return organization(assigned.get("representedCustodianOrganization"), ctx) if assigned else None


def _related(document: Node) -> Iterator[Value]:
    """The document before this one by its id, and by its set where that is another."""
    own = document.get("setId")
    for related in document.nodes("relatedDocument"):
        code = _REPLACED.get(related.element.get("typeCode") or "")
        parent = related.node("parentDocument")
        for target in (parent.get("id"), parent.get("setId")) if code and parent else ():
            named = None if target is None else identifier(target)
            if named and (own is None or named != identifier(own)):
                yield {"code": code, "targetIdentifier": named}


def contents(document: Node, ctx: Context) -> Value:
    """The sections of the body, and the strictest label of these, the body and the document. All narrative comes
    first: an entry may refer to the words of another section."""
    component = document.node("component")
    body = (component.node("structuredBody") or component.node("nonXMLBody")) if component else None
    whole = _label(document, None)
    label = _label(body, whole) if body else whole
    found = [_narrated(section, label, ctx) for section in _sections_of(body)] if body else []
    labels = [whole, label, *_labels(found)]
    strictest = next((one for code in _RESTRICTED for one in labels if one and one["code"] == code), None)
    return kept(
        {
            "meta": {"security": [strictest]} if strictest else None,
            "section": [made for one in found if (made := one.finish(ctx))],
        }
    )


def _labels(found: list[_Section]) -> Iterator[Value | None]:
    waiting = [*found]
    while waiting:
        one = waiting.pop()
        yield one.label
        waiting += one.inner


def _label(holder: Node, outer: Value | None) -> Value | None:
    """The security label of a document or section that is restricted; it holds for what is in it, as far as that says
    nothing else (CDA R2 §4.4, context conduction)."""
    code = holder.attribute("confidentialityCode", "code")
    if code is None:
        return outer
    return {"system": CONFIDENTIALITY, "code": code} if code and code in _RESTRICTED else None


def _sections_of(body: Node) -> Iterator[Node]:
    for component in body.nodes("component"):
        yield from component.nodes("section")


class _Section:
    """A section whose narrative is read and whose entries are not yet."""

    __slots__ = ("div", "inner", "label", "node", "report")

    def __init__(
        self, node: Node, div: str | None, inner: list[_Section], report: SectionReport, label: Value | None
    ) -> None:
        self.node = node
        self.div = div
        self.inner = inner
        self.report = report
        self.label = label

    def finish(self, ctx: Context) -> Value | None:
        """Composition.section; one that would have neither text nor entries nor sections is left out (cmp-1)."""
        code = codeable(self.node.get("code"), ctx)
        entries = _entries(self, ctx)
        entries += self._plan(entries, ctx)
        section = kept(
            {
                "extension": participants(self.node, "informant", ctx),
                "title": self.report.title,
                "code": code,
                "author": _authors(self.node, ctx),
                "entry": entries,
                "section": [made for one in self.inner if (made := one.finish(ctx))],
            }
        )
        if self.div:
            narrative = {"text": {"status": "additional", "div": self.div}, "emptyReason": _empty_reason(self.node)}
            ctx.narratives.append((section, kept(narrative)))
        return section if self.div or "entry" in section or "section" in section else None

    def _plan(self, entries: list[Reference], ctx: Context) -> list[Reference]:
        if not self.div or self.report.kind not in PLANS:
            return []
        plan = care_plan(self.node, self.report.title, self.div, entries, ctx)
        if plan and self.label:
            ctx.labels.append(self.label)
            ctx.label([plan])
        return [plan] if plan else []


def _empty_reason(section: Node) -> Value | None:
    """Why there are no entries, as far as FHIR has a code for it; `nilknown` is a statement, which an entry makes."""
    found = None if "entry" in section else mapped("empty-reason", section.element.get("nullFlavor"))
    return concept(found.code, EMPTY_REASONS, found.display) if found else None


def _narrated(section: Node, outer: Value | None, ctx: Context) -> _Section:
    text = section.get("text")
    div = None if text is None else xhtml(text, ctx.ids)
    code = coding(section.get("code"))
    report = SectionReport(
        code["code"] if code else None, section.text("title"), section_kind(section), section.element
    )
    ctx.sections.append(report)
    label = _label(section, outer)
    inner = [_narrated(one, label, ctx) for one in _sections_of(section)]
    return _Section(section, div, inner, report, label)


def _entries(section: _Section, ctx: Context) -> list[Reference]:
    found: dict[str, Reference] = {}
    for element in section.node.all("entry"):
        references = _entry(element, section, ctx)
        section.report.entries.append((element, references))
        for reference in references:
            found.setdefault(reference["reference"], reference)
    return [*found.values()]


def _entry(element: Element, section: _Section, ctx: Context) -> list[Reference]:
    """The resources that stand for an entry; when there is none the report says why."""
    report, statement = section.report, statement_in(element)
    if statement is None:
        _not_understood(element, "no clinical statement in it", report, ctx)
        return []
    if ctx.is_deep and is_deep(element):
        _not_understood(element, f"nested deeper than {LEVELS} levels", report, ctx)
        return []
    if "subject" not in statement and has_another(section.node, ctx):
        _not_understood(statement.element, "about somebody else, as its section is", report, ctx)
        return []
    if tells_nothing(statement):
        _not_understood(statement.element, "nobody knows of it (nullFlavor)", report, ctx)
        return []
    handler, known = reader_of(statement, report.kind)
    ctx.section = report
    own, before = len(report.fell_back), len(ctx.made)
    if not known:
        named(statement, report)
    references = read(handler, statement, ctx)
    if ctx.patient in references:
        ctx.became.setdefault(statement.element, []).append(ctx.patient)
    if ctx.beside:
        references += ctx.beside
        ctx.beside.clear()
    if section.label:
        ctx.labels.append(section.label)
    if ctx.labels:
        ctx.label([*references, *(one.reference for one in ctx.made[before:] if one.type not in _OF_NOBODY)])
    if not references:
        if not known:
            del report.fell_back[own]
        reason = f"{described(statement)}: says nothing that a resource could hold"
        _not_understood(statement.element, reason, report, ctx)
    return references


def _not_understood(element: Element, reason: str, report: SectionReport, ctx: Context) -> None:
    report.not_understood.append({"xpath": ctx.path(element), "reason": reason})
