"""C-CDA -> FHIR R4 Bundle: the whole conversion, top to bottom (HL7 C-CDA on FHIR 2.0.0)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.errors import InvalidInput, NotConformant
from gateway.fhir import json
from gateway.fhir.issue import Issue
from gateway.fhir.json import Resource

from .composition import header, sections
from .context import Context, Reference
from .document import MAX_BYTES, parse
from .encounter import encompassing
from .ids import full_url, is_fhir_id
from .links import link
from .node import Node, folded
from .patient import patient, patient_key
from .people import merge_nameless
from .registry import discover
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

    def __init__(self, bundle: Resource, ctx: Context, document: Node, role: Node | None) -> None:
        self.issues = tuple(ctx.issues)
        self.report = {"sections": [section.to_json() for section in ctx.sections]}
        self.patient_key = patient_key(role)
        self.document_key = _document_key(document)
        self.effective_time = aware(ctx.moment(document.get("effectiveTime")))
        self.encoded = json.encode(bundle)
        self._bundle = None

    @property
    def bundle(self) -> Resource:
        """Type `batch`: a PUT per resource, the Patient under the caller's id. The caller's own: what the translator
        put together has parts that conversions share."""
        if self._bundle is None:
            self._bundle = json.decode(self.encoded)
        return self._bundle

    def __getstate__(self) -> tuple[Any, ...]:
        keys = (self.patient_key, self.document_key, self.effective_time)
        return (self.issues, self.report, *keys, self.encoded)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.issues, self.report, self.patient_key, self.document_key, self.effective_time, self.encoded = state
        self._bundle = None


def convert(
    data: bytes,
    *,
    patient_id: str,
    require_patient: bool = False,
    timezone: str | None = None,
    limit: int = MAX_BYTES,
) -> Converted:
    """A C-CDA document (R1.1, R2.1 and later, C32 as far as it goes) as resources of the patient `patient_id`.

    `timezone` is where a time of day without a zone was written (`times.py` has the rule without it). Raises
    InvalidInput for a patient_id that is no FHIR id, Unparsable and TooLarge for bytes that are no such document,
    NotConformant without a recordTarget when `require_patient`. Data problems are issues, never exceptions.
    """
    if not is_fhir_id(patient_id):
        raise InvalidInput("patientId is not a FHIR id: 1 to 64 letters, digits, '-' and '.'")
    ctx = Context(patient_id, zone_of(timezone))
    document = Node(parse(data, ctx.issues, limit=limit))
    role = _patient_role(document, ctx)
    if role is None and require_patient:
        raise NotConformant("the document names no patient: it has no recordTarget", issues=ctx.issues)
    return Converted(_bundle(document, role, ctx), ctx, document, role)


def _bundle(document: Node, role: Node | None, ctx: Context) -> Resource:
    if role is not None:
        ctx.patient_ids = frozenset(
            (one.get("root"), one.get("extension")) for one in role.all("id") if one.get("root")
        )
    ctx.person = _patient(role, ctx)
    ctx.encounter = _encounter(document, ctx)
    composition = {**header(document, ctx.encounter, ctx)}
    if found := sections(document, ctx):
        composition["section"] = found
    ctx.add("Composition", composition, document)
    unstructured(document, ctx)
    merge_nameless(ctx)
    ctx.settle()
    leave_out_invalid(ctx, link(ctx))
    entries = [_put(ctx.person, full_url(ctx.patient_id), ctx.patient)]
    entries += [_put(made.body, f"urn:uuid:{made.body['id']}", made.reference) for made in ctx.made]
    return {"resourceType": "Bundle", "type": "batch", "entry": entries}


def _put(resource: Resource, url: str, reference: Reference) -> Resource:
    return {"fullUrl": url, "resource": resource, "request": {"method": "PUT", "url": reference["reference"]}}


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
