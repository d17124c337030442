"""Context: one conversion's memory - the patient, the resources made so far, the ID map, issues and report rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from gateway.fhir import json
from gateway.fhir.issue import Issue
from gateway.fhir.json import Resource

from .ids import name_based
from .narrative import Ids
from .node import Element, Node, Paths, children
from .times import Interval, moment

Reference = dict[str, Any]
"""`{"reference": "Type/id"}`: one dict per resource, shared by all who refer to it, so that an id can still change."""


@dataclass(slots=True)
class Made:
    """A resource with what its id is made of."""

    type: str
    body: Resource
    identity: tuple[str, ...]
    reference: Reference
    source: Element


@dataclass(slots=True)
class SectionReport:
    """One row of the report: what became of the entries of a section. `kind` is the LOINC code by which its entries
    are read: its own, or that of its template or title; `source` the section itself."""

    code: str | None
    title: str | None
    kind: str | None = None
    source: Element | None = None
    entries: list[tuple[Element, list[Reference]]] = field(default_factory=list)
    fell_back: list[tuple[Element, str]] = field(default_factory=list)
    not_understood: list[dict[str, str]] = field(default_factory=list)

    def forget(self, gone: set[str], path: Paths) -> None:
        """These resources were left out: entries that have none now are not understood."""
        for entry, references in self.entries:
            if references and all(reference["reference"] in gone for reference in references):
                self.not_understood.append({"xpath": path(entry), "reason": "its resource would not be valid R4"})
            references[:] = [reference for reference in references if reference["reference"] not in gone]

    def to_json(self, path: Paths) -> dict[str, Any]:
        made = {entry for entry, references in self.entries if references}
        fallback = len({element.getparent() for element, _ in self.fell_back} & made)
        return {
            "code": self.code,
            "title": self.title,
            "xpath": None if self.source is None else path(self.source),
            "seen": len(self.entries),
            "converted": len(made) - fallback,
            "fallback": fallback,
            "fellBack": [{"xpath": path(element), "reason": reason} for element, reason in self.fell_back],
            "notUnderstood": self.not_understood,
        }


class Context:
    """What every function of the translator may use. Nothing in it outlives the conversion."""

    def __init__(self, patient_id: str, zone: tzinfo | None = None) -> None:
        self.patient_id = patient_id
        self.patient: Reference = {"reference": f"Patient/{patient_id}"}
        self.person: Resource = {"resourceType": "Patient", "id": patient_id}
        self.patient_ids: frozenset[tuple[str | None, str | None]] = frozenset()
        self.zone = zone
        self.ids = Ids()
        self.path = Paths()
        self.is_deep = False
        self.issues: list[Issue] = []
        self.sections: list[SectionReport] = []
        self.made: list[Made] = []
        self.became: dict[Element, list[Reference]] = {}
        self.intervals: dict[Element, Interval] = {}
        self.people: dict[bytes, Reference | None] = {}
        self.met: dict[tuple[bytes, Element], Reference | None] = {}
        self.parties: dict[tuple[str, ...], Made] = {}
        self.merged: list[tuple[Reference, Reference]] = []
        self.encounters: dict[tuple[str | None, str | None], Made] = {}
        self._first: dict[tuple[str, ...], Made] = {}
        self._others: dict[tuple[str, ...], Made] = {}
        self._shared: dict[tuple[str, ...], Made] = {}
        self._said: set[str] = set()
        self.section = SectionReport(None, None)
        self.encounter: Reference | None = None
        self.labels: list[Resource] = []
        self._labelled: dict[int, list[Resource]] = {}
        self.beside: list[Reference] = []
        self.awaited: dict[tuple[str, str, str | None], tuple[Reference, Element]] = {}
        self.outcomes: list[tuple[Reference, Reference]] = []
        self.narratives: list[tuple[Resource, Resource]] = []

    def add(
        self, kind: str, body: Resource, node: Node, *, code: Element | None = None, also: tuple[str, ...] = ()
    ) -> Reference:
        """Take a resource into the Bundle; the same one again gives the reference of the first.

        `body` has neither resourceType nor id. `code` tells it from others with the same ids (default: the code of
        `node`), `also` are further parts of its identity.
        """
        resource: Resource = {"resourceType": kind, "id": "", **body}
        identity = (self.patient_id, kind, *(_identity(node, code) or (_content(body),)), *also)
        reference = self.keep(kind, resource, identity, node.element)
        self.became.setdefault(node.element, []).append(reference)
        return reference

    def add_equal(self, kind: str, body: Resource, source: Element) -> Reference:
        """As `add`, for what is the same resource wherever it says the same (a Medication, a Specimen)."""
        return self.keep(
            kind, {"resourceType": kind, "id": "", **body}, (self.patient_id, kind, _content(body)), source
        )

    def keep(self, kind: str, resource: Resource, identity: tuple[str, ...], source: Element) -> Reference:
        """As `add`, for a resource whose identity the caller knows."""
        first = self._first.get(identity)
        if first is None:
            return self._take(Made(kind, resource, identity, {"reference": ""}, source), self._first)
        if first.body == resource:
            return first.reference
        exact = (*identity, _content(resource))
        if (known := self._others.get(exact)) is not None:
            return known.reference
        self._shared[identity] = first
        return self._take(Made(kind, resource, exact, {"reference": ""}, source), self._others)

    def _take(self, made: Made, known: dict[tuple[str, ...], Made]) -> Reference:
        made.reference["reference"] = f"{made.type}/{name_based(*made.identity)}"
        known[made.identity] = made
        self.made.append(made)
        return made.reference

    def within(self, section: SectionReport) -> Context:
        """The same context; from now on the handlers are in this section."""
        self.section = section
        return self

    def label(self, references: list[Reference]) -> None:
        """The security labels of an entry are those of what it became, so that who must not see it does not."""
        for reference in references:
            self._labelled.setdefault(id(reference), []).extend(self.labels)
        self.labels.clear()

    def settle(self) -> None:
        """Give every resource its id, and its labels. Different resources of one identity all get their content as a
        part of theirs, the first one too: an id depends on what was said, never on the order in which it was said."""
        for first in self._shared.values():
            first.identity = (*first.identity, _content(first.body))
            first.reference["reference"] = f"{first.type}/{name_based(*first.identity)}"
        for made in self.made:
            made.body["id"] = made.reference["reference"][len(made.type) + 1 :]
            if labels := self._labelled.get(id(made.reference)):
                _label(made.body, labels)

    def issue(self, severity: Any, code: str, text: str, element: Element | None = None) -> None:
        self.issues.append(Issue(severity, code, text, None if element is None else self.path(element)))

    def once(self, text: str, element: Element) -> None:
        """A loss that a document usually repeats: said for its first place, and counted no further."""
        if text not in self._said:
            self._said.add(text)
            self.issue("information", "incomplete", f"{text} (first place of this document)", element)

    def moment(self, element: Element | None, attribute: str = "value") -> str | None:
        """The FHIR date or dateTime of a TS element; a null one has none, whatever else it says."""
        if element is None or not (value := element.get(attribute)) or element.get("nullFlavor"):
            return None
        text, lost = moment(value.strip(), self.zone)
        if lost:
            self.once(lost, element)
        return text


def _label(body: Resource, labels: list[Resource]) -> None:
    known = body.setdefault("meta", {}).setdefault("security", [])
    for label in labels:
        if label not in known:
            known.append(label)


def _identity(node: Node, code: Element | None) -> tuple[str, ...]:
    """All ids, the code and the effective time as written; nothing when there is no id: then the content decides."""
    parts = [f"{root}^{one.get('extension')}" for one in node.all("id") if (root := one.get("root"))]
    if not parts:
        return ()
    if len(parts) > 1:
        parts.sort()
    coded = node.get("code") if code is None else code
    if coded is not None:
        parts.append(f"{coded.get('code')}@{coded.get('codeSystem')}")
    parts += map(_time, node.all("effectiveTime"))
    return tuple(parts)


def _time(time: Element) -> str:
    return time.get("value") or "..".join([f"{end.tag[16:]}={end.get('value')}" for end in children(time)])


def _content(body: Resource) -> str:
    return json.encode(body).decode()
