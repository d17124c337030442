"""References: what a resource points at, found in one walk, and rewritten without touching what was parsed.

FHIR R4 §2.3.0 (References), §2.36.4.1 (Resolving references in Bundles), §3.1.0.11.2 (Transaction Processing Rules).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from gateway.fhir.issue import Issue
from gateway.fhir.json import Json, Resource

Kind = Literal[
    "urn", "relative", "conditional", "contained", "absolute", "identifier", "link", "narrative", "unreadable"
]
Trail = tuple[str | int, ...]

_RELATIVE = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?", re.ASCII)
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]{1,63})\?(.+)", re.ASCII)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:", re.ASCII)
_BINARY = re.compile(r"(?:https?://\S+/)?Binary/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?", re.ASCII)
_HREF = re.compile(r"""((?:href|src)\s*=\s*["'])(urn:[^"']+)(?=["'])""")
_SPEAKING = frozenset({"reference", "div", "url", "uri", "valueUri", "valueUrl", "valueUuid", "valueOid"})
_SILENT = frozenset(
    {"system", "version", "code", "display", "userSelected", "value", "unit", "comparator", "use", "rank"}
)
"""What has a system and nothing but these is a Coding, Quantity, Identifier or ContactPoint: half of all objects, and
none of them points anywhere."""

_LOGICAL = frozenset({"id", "extension", "type", "identifier", "display"})


class Ref(NamedTuple):
    """One reference. `link` = a uri or url element, `narrative` = a link in an XHTML div, both only with a urn."""

    trail: Trail
    kind: Kind
    value: str

    @property
    def path(self) -> str:
        """FHIRPath below the resource: `performer[0].reference`."""
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.trail)[1:]


@dataclass(frozen=True, slots=True)
class Local:
    """`Type/id` on one server; `version` where the reference names one."""

    type: str
    id: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.type}/{self.id}" + (f"/_history/{self.version}" if self.version else "")


def collect(resource: Resource) -> tuple[Ref, ...]:
    """Every reference of a resource, its contained ones included, in the order of the text."""
    found: list[Ref] = []
    _walk(resource, (), found)
    return tuple(found)


def _walk(node: dict[str, Json], trail: Trail, found: list[Ref]) -> None:
    for key, value in node.items():
        kind = type(value)
        if kind is str:
            if key in _SPEAKING:
                _read(key, value, trail, found)
        elif kind is dict:
            if key == "identifier" and node.keys() <= _LOGICAL:
                found.append(Ref(trail, "identifier", ""))
            if value.keys() <= _SILENT and "system" in value:
                continue
            _walk(value, trail + (key,), found)  # noqa: RUF005 (unpacking costs twice as much, and this runs for every object)
        elif kind is list:
            for at, item in enumerate(value):
                if type(item) is dict and not (item.keys() <= _SILENT and "system" in item):
                    _walk(item, trail + (key, at), found)  # noqa: RUF005


def _read(key: str, value: str, trail: Trail, found: list[Ref]) -> None:
    if key == "reference":
        found.append(Ref((*trail, key), kind_of(value), value))
    elif key == "div":
        urns = dict.fromkeys(match[2] for match in _HREF.finditer(value)) if "urn:" in value else ()
        found.extend(Ref((*trail, key), "narrative", urn) for urn in urns)
    elif trail and value.startswith("urn:"):  # a resource's own url is its name, not a pointer
        found.append(Ref((*trail, key), "link", value))


def attachments(resource: Resource) -> tuple[Ref, ...]:
    """Every address of a Binary in an attachment (`Binary/1`, `https://x.example/fhir/Binary/1`), which `collect` takes
    for a name like any other: asked only where a message brings such a Binary, or where its base changes."""
    found: list[Ref] = []
    _walk_attachments(resource, (), found)
    return tuple(found)


def _walk_attachments(node: dict[str, Json], trail: Trail, found: list[Ref]) -> None:
    for key, value in node.items():
        kind = type(value)
        if kind is str:
            if key == "url" and _BINARY.fullmatch(value):
                found.append(Ref((*trail, key), "link", value))
        elif kind is dict:
            _walk_attachments(value, trail + (key,), found)  # noqa: RUF005 (as in _walk)
        elif kind is list:
            for at, item in enumerate(value):
                if type(item) is dict:
                    _walk_attachments(item, trail + (key, at), found)  # noqa: RUF005


def kind_of(value: str) -> Kind:
    """What form a Reference.reference has."""
    if value.startswith("#"):
        return "contained"
    if value.startswith("urn:"):
        return "urn"
    if _RELATIVE.fullmatch(value):
        return "relative"
    if _CONDITIONAL.fullmatch(value):
        return "conditional"
    return "absolute" if _ABSOLUTE.match(value) else "unreadable"


def local(value: str, base: str) -> Local | None:
    """What a relative reference, or an absolute one to our own `base`, names here; None for all others."""
    match = _RELATIVE.fullmatch(from_base(value, base))
    return Local(match[1], match[2], match[3]) if match else None


def condition(value: str) -> tuple[str, str] | None:
    """(type, query) of a conditional reference `Patient?identifier=..`."""
    match = _CONDITIONAL.fullmatch(value)
    return (match[1], match[2]) if match else None


def from_base(url: str, base: str) -> str:
    """A URL below our base without it, any other as it is."""
    return url[len(base) + 1 :] if base and url.startswith(f"{base}/") else url


@dataclass(frozen=True, slots=True)
class Targets:
    """The entries of a Bundle by what may name them: fullUrl, and `Type/id` of the resource; `base` = our own."""

    by_url: Mapping[str, int]
    by_name: Mapping[str, int]
    base: str = ""

    def find(self, ref: Ref, full_url: str | None = None) -> int | None:
        """The entry that a reference of the entry `full_url` means; None when it is not in this Bundle.

        A relative one is first read against the entry's own fullUrl, then by name: exports carry `Patient/123`
        beside a `urn:uuid` fullUrl.
        """
        name = _versionless(ref.value)
        if ref.kind in ("urn", "absolute", "link", "narrative"):
            return self.by_url.get(name, self.by_name.get(from_base(name, self.base)))
        if ref.kind != "relative":
            return None
        root = _root(full_url)
        return self.by_url.get(f"{root}/{name}", self.by_name.get(name)) if root else self.by_name.get(name)


def _versionless(value: str) -> str:
    return value.partition("/_history/")[0]


def _root(full_url: str | None) -> str | None:
    """`http://x/fhir` of `http://x/fhir/Patient/1`."""
    parts = (full_url or "").rsplit("/", 2)
    return parts[0] if len(parts) == 3 and parts[0].startswith(("http://", "https://")) else None


def targets(named: Iterable[tuple[int, str | None, Iterable[str]]], base: str = "") -> Targets:
    """From (index, fullUrl, its names `Type/id`); a name that two entries have means neither."""
    by_url: dict[str, int] = {}
    by_name: dict[str, int] = {}
    twice: set[str] = set()
    for index, full_url, names in named:
        if full_url:
            by_url.setdefault(full_url, index)
        for name in names:
            if by_name.setdefault(name, index) != index:
                twice.add(name)
    return Targets(by_url, {name: index for name, index in by_name.items() if name not in twice}, base)


def rewrite(resource: Resource, mapping: Mapping[str, str], refs: Iterable[Ref] | None = None) -> Resource:
    """The resource with every reference that `mapping` knows replaced; copies only the way to what changes.

    `refs` = what `collect` found in it. Canonicals and identifiers stay, even where they equal a fullUrl.
    """
    known = [ref for ref in (collect(resource) if refs is None else refs) if ref.value in mapping]
    return _put(resource, known, mapping) if known else resource


def as_logical(resource: Resource, named: Mapping[str, Resource], refs: Iterable[Ref] | None = None) -> Resource:
    """The resource with each of these references told by an Identifier alone (FHIR R4 §2.3.0.2); one that has an
    identifier beside it keeps that."""
    known = [ref for ref in (collect(resource) if refs is None else refs) if ref.value in named]
    fresh = copy.deepcopy(resource) if known else resource
    for ref in known:
        node = node_at(fresh, ref.trail[:-1])
        node.setdefault("identifier", named[node.pop("reference")])
    return fresh


def node_at(resource: Resource, trail: Trail) -> Resource:
    """The object there, as it stands in the resource: for `Ref.trail[:-1]` the Reference that a `reference` is in."""
    node: Any = resource
    for step in trail:
        node = node[step]
    found: Resource = node
    return found


def _put(resource: Resource, refs: Iterable[Ref], mapping: Mapping[str, str]) -> Resource:
    root = resource.copy()
    fresh: dict[Trail, Any] = {}
    for ref in refs:
        node: Any = root
        for at, step in enumerate(ref.trail[:-1], 1):
            if ref.trail[:at] not in fresh:
                node[step] = fresh[ref.trail[:at]] = node[step].copy()
            node = fresh[ref.trail[:at]]
        last = ref.trail[-1]
        node[last] = _relink(node[last], mapping) if ref.kind == "narrative" else mapping[ref.value]
    return root


def _relink(div: str, mapping: Mapping[str, str]) -> str:
    return _HREF.sub(lambda found: found[1] + mapping.get(found[2], found[2]), div)


def dangling(ref: Ref, where: str) -> Issue:
    """A reference to nothing; `where` = FHIRPath of the resource that holds it (`Bundle.entry[2].resource`)."""
    return Issue("error", "not-found", "a reference to nothing: no entry and no resource has it", f"{where}.{ref.path}")


PATIENT_ELEMENT: Mapping[str, str] = {
    type_: element
    for element, types in {
        "subject": (
            "Account AdverseEvent Basic CarePlan CareTeam ChargeItem ClinicalImpression Communication "
            "CommunicationRequest Composition Condition Contract DeviceRequest DeviceUseStatement DiagnosticReport "
            "DocumentManifest DocumentReference Encounter Flag Goal GuidanceResponse ImagingStudy Invoice List "
            "MeasureReport Media MedicationAdministration MedicationDispense MedicationRequest MedicationStatement "
            "Observation Procedure QuestionnaireResponse RequestGroup RiskAssessment ServiceRequest Specimen"
        ),
        "patient": (
            "AllergyIntolerance BodyStructure Claim ClaimResponse Consent CoverageEligibilityRequest "
            "CoverageEligibilityResponse DetectedIssue Device EpisodeOfCare ExplanationOfBenefit FamilyMemberHistory "
            "Immunization ImmunizationEvaluation ImmunizationRecommendation MolecularSequence NutritionOrder "
            "RelatedPerson SupplyDelivery VisionPrescription"
        ),
        "beneficiary": "Coverage",
        "candidate": "EnrollmentRequest",
        "individual": "ResearchSubject",
        "for": "Task",
        "target": "Provenance",
        "participant": "Appointment",
        "actor": "AppointmentResponse Schedule",
        "deliverTo": "SupplyRequest",
    }.items()
    for type_ in types.split()
}
"""Where a type says whose it is: the element of its `patient` search parameter (FHIR R4, SearchParameter/*-patient)."""


SHARED = frozenset({"Account", "Appointment", "Contract", "Provenance", "Schedule"})
"""Of them those where it is a list: such a resource may be several patients'."""


_FIRST = ("Organization", "Location", "Practitioner", "PractitionerRole", "Patient", "Medication", "Encounter")


def rank(resource_type: str) -> int:
    """A smaller one for what others refer to: it is taken in before them."""
    return _FIRST.index(resource_type) if resource_type in _FIRST else len(_FIRST)


def compartment(resource: Resource) -> str | None:
    """`Patient/id` of the first patient a resource belongs to (FHIR R4 CompartmentDefinition/patient); None when of
    nobody."""
    return next(_compartments(resource), None)


def compartments(resource: Resource) -> list[str]:
    """`Patient/id` of each patient a resource belongs to, in their order.

    Read it after rewriting: a urn is no patient yet. A Patient is its own.
    """
    return list(_compartments(resource))


def _compartments(resource: Resource) -> Iterator[str]:
    type_ = resource.get("resourceType")
    if type_ == "Patient":
        if resource.get("id"):
            yield f"Patient/{resource['id']}"
        return
    element = PATIENT_ELEMENT.get(str(type_))
    value = resource.get(element) if element else None
    for one in value if isinstance(value, list) else (value,):
        held = one.get("actor", one) if isinstance(one, dict) else None  # Appointment.participant.actor
        reference = held.get("reference") if isinstance(held, dict) else None
        if isinstance(reference, str) and reference.startswith("Patient/"):
            yield _versionless(reference)
