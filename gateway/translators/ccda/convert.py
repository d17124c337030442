"""C-CDA -> FHIR R4 Bundle: the whole conversion, top to bottom (HL7 C-CDA on FHIR 2.0.0)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.errors import InvalidInput, NotConformant
from gateway.fhir import json
from gateway.fhir.issue import Issue, outcome
from gateway.fhir.json import Resource

from .attribution import add_provenance, attributions
from .bundles import entries_of, form_of, instant_of
from .complete import complete
from .composition import contents, header
from .context import Context, Reference
from .document import MAX_BYTES, parse
from .encounter import encompassing
from .ids import full_url, is_fhir_id
from .links import link
from .node import Node, folded, is_deep
from .participation import provenance
from .parties import merge_nameless
from .patient import patient, patient_key
from .registry import discover
from .sameness import merge_parties
from .times import aware, zone_of
from .unstructured import unstructured
from .validity import leave_out_invalid

discover()


@dataclass(slots=True, init=False)
class Converted:
    """What a document became.

    `issues` have XPath expressions; `patient_key` is the document's own id for its patient (`root^extension`),
    `document_key` the one of the document (its set if it has one, so that a new version replaces it),
    `effective_time` when it was written, for ordering; `encoded` the Bundle as JSON. Pickles as these bytes.
    """

    issues: tuple[Issue, ...]
    report: dict[str, Any]
    patient_key: str | None
    document_key: str | None
    effective_time: datetime | None
    encoded: bytes
    _bundle: Resource | None

    def __init__(
        self, bundle: Resource, ctx: Context, document: Node, role: Node | None, *, trace: bool = False
    ) -> None:
        self.issues = tuple(ctx.issues)
        self.report = {"sections": [section.to_json(ctx.path) for section in ctx.sections]}
        if trace:
            self.report["resources"] = _sources(ctx, role or document)
        self.patient_key = patient_key(role)
        self.document_key = _document_key(document)
        self.effective_time = aware(ctx.moment(document.get("effectiveTime")))
        self.encoded = json.encode(bundle)
        self._bundle = None

    @property
    def bundle(self) -> Resource:
        """In the form that was asked for. The caller's own: what the translator put together has parts that
        conversions share."""
        if self._bundle is None:
            self._bundle = json.decode(self.encoded)
        return self._bundle

    def outcome(self) -> Resource:
        """OperationOutcome: what was noticed, every entry that no code understood or only its element told, and what
        became of each section."""
        rows = self.report["sections"]
        missed = [
            Issue("warning", "not-supported", one["reason"], one["xpath"])
            for row in rows
            for one in row["notUnderstood"]
        ]
        guessed = [
            Issue("information", "informational", one["reason"], one["xpath"])
            for row in rows
            for one in row["fellBack"]
        ]
        return outcome([*self.issues, *missed, *guessed, *map(_counted, rows)])

    def __getstate__(self) -> tuple[Any, ...]:
        keys = (self.patient_key, self.document_key, self.effective_time)
        return (self.issues, self.report, *keys, self.encoded)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.issues, self.report, self.patient_key, self.document_key, self.effective_time, self.encoded = state
        self._bundle = None


def _counted(row: dict[str, Any]) -> Issue:
    """Without the title: an outcome holds no words of the document."""
    counts = (row["seen"], row["converted"], row["fallback"], len(row["notUnderstood"]))
    told = "section {}: {} entries, {} converted, {} by their element alone, {} not understood"
    return Issue("information", "informational", told.format(row["code"] or "without code", *counts), row["xpath"])


def convert(
    data: bytes,
    *,
    patient_id: str,
    require_patient: bool = False,
    timezone: str | None = None,
    form: str = "batch",
    assembled: str | None = None,
    trace: bool = False,
    stand_ins: bool = True,
    limit: int = MAX_BYTES,
) -> Converted:
    """A C-CDA document (R1.1, R2.1 and later, C32 as far as it goes) as resources of the patient `patient_id`.

    `timezone` is where a time of day without a zone was written (`times.py` has the rule without it); `form` the kind
    of Bundle: `batch`, `transaction` or `document`, `assembled` the instant at which a FHIR document is put together
    that was written at an unknown time of day; `trace` adds to the report where every resource came from. With
    `stand_ins=False` nothing is in the Patient that the document does not say, as he becomes a part of a record.
    Raises InvalidInput for a patient_id that is no FHIR id, an unknown form and no instant, Unparsable and TooLarge for
    bytes that are no such document, NotConformant without a recordTarget when `require_patient`, and for form
    `document` without an instant. Data problems are issues, never exceptions.
    """
    if not is_fhir_id(patient_id):
        raise InvalidInput("patientId is not a FHIR id: 1 to 64 letters, digits, '-' and '.'")
    bundled, assembled = form_of(form), instant_of(assembled)
    ctx = Context(patient_id, zone_of(timezone))
    document = Node(parse(data, ctx.issues, limit=limit))
    ctx.is_deep = is_deep(document.element)
    role = _patient_role(document, ctx)
    if role is None and require_patient:
        raise NotConformant("the document names no patient: it has no recordTarget", issues=ctx.issues)
    _translate(document, role, ctx)
    complete(ctx, person=stand_ins and role is not None)
    return Converted(bundled(document, ctx, assembled), ctx, document, role, trace=trace)


def _translate(document: Node, role: Node | None, ctx: Context) -> None:
    """Fill the context with the resources of the document, ids settled and valid."""
    if role is not None:
        ctx.patient_ids = frozenset(
            (one.get("root"), one.get("extension")) for one in role.all("id") if one.get("root")
        )
    ctx.person = _patient(role, ctx)
    ctx.encounter = _encounter(document, ctx)
    composition = {**header(document, ctx.encounter, ctx), **contents(document, ctx)}
    unstructured(document, composition, ctx)
    whole = ctx.add("Composition", composition, document)
    provenance(document, whole, ctx)
    told = attributions(document.element, ctx)
    merge_nameless(ctx)
    ctx.settle()
    merge_parties(ctx)
    unknown = link(ctx)
    add_provenance(told, ctx)
    leave_out_invalid(ctx, unknown)


def _sources(ctx: Context, patient: Node) -> list[dict[str, str]]:
    """For every resource the element that it was first made of."""
    sources = [patient.element, *(made.source for made in ctx.made)]
    return [
        {
            "fullUrl": full_url(body["id"]),
            "resource": f"{body['resourceType']}/{body['id']}",
            "xpath": ctx.path(source),
        }
        for (body, _), source in zip(entries_of(ctx), sources, strict=True)
    ]


def _patient_role(document: Node, ctx: Context) -> Node | None:
    targets = document.all("recordTarget")
    if len(targets) > 1:
        ctx.issue("warning", "business-rule", "more than one recordTarget: only the first is read", targets[1])
    role = Node(targets[0]).node("patientRole") if targets else None
    if role is None:
        ctx.issue("warning", "required", "no recordTarget: the Patient has only the caller's id", document.element)
    return role


def _patient(role: Node | None, ctx: Context) -> Resource:
    return patient(role, ctx) if role is not None else ctx.person


def _encounter(document: Node, ctx: Context) -> Reference | None:
    component = document.node("componentOf")
    node = component.node("encompassingEncounter") if component else None
    return encompassing(node, ctx) if node else None


def _document_key(document: Node) -> str | None:
    for name in ("setId", "id"):
        found = document.get(name)
        if found is not None and found.get("root") and not found.get("nullFlavor"):
            return f"{found.get('root')}^{folded(found.get('extension')) or ''}"
    return None
