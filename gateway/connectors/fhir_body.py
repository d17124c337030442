"""A resource as a FHIR server holds it: under its id, with our identifier, its references pointing at its resources."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlencode

from gateway.connectors.protocol import Item, Side
from gateway.fhir import references
from gateway.fhir.json import Resource

_WITH_IDENTIFIERS = (
    "Account ActivityDefinition AllergyIntolerance Appointment AppointmentResponse Basic BiologicallyDerivedProduct "
    "BodyStructure CarePlan CareTeam ChargeItem ChargeItemDefinition Claim ClaimResponse ClinicalImpression "
    "CodeSystem Communication CommunicationRequest Condition Consent Contract Coverage CoverageEligibilityRequest "
    "CoverageEligibilityResponse DetectedIssue Device DeviceDefinition DeviceMetric DeviceRequest "
    "DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference Encounter Endpoint EnrollmentRequest "
    "EnrollmentResponse EpisodeOfCare EventDefinition ExampleScenario ExplanationOfBenefit FamilyMemberHistory Flag "
    "Goal Group GuidanceResponse HealthcareService ImagingStudy Immunization ImmunizationEvaluation "
    "ImmunizationRecommendation InsurancePlan Invoice Library List Location Measure MeasureReport Media Medication "
    "MedicationAdministration MedicationDispense MedicationRequest MedicationStatement MessageDefinition "
    "MolecularSequence NutritionOrder Observation ObservationDefinition Organization OrganizationAffiliation "
    "Patient PaymentNotice PaymentReconciliation Person PlanDefinition Practitioner PractitionerRole Procedure "
    "Questionnaire RelatedPerson RequestGroup ResearchDefinition ResearchElementDefinition ResearchStudy "
    "ResearchSubject RiskAssessment Schedule ServiceRequest Slot Specimen StructureDefinition StructureMap "
    "Substance SupplyDelivery SupplyRequest Task ValueSet VisionPrescription"
)
IDENTIFIED = frozenset(_WITH_IDENTIFIERS.split())
"""Types whose `identifier` is a list (FHIR R4 resource definitions). Others cannot carry ours and are not sent: a
second attempt would make a second one."""

_SERVER_META = ("versionId", "lastUpdated")


def names_of(items: Sequence[Item], delivered: Mapping[str, str]) -> dict[str, str]:
    """Our `Type/id` -> what a reference to it says in the Bundle."""
    inside = {
        f"{item.type}/{item.id}": f"{item.type}/{item.remote_id}" if item.remote_id else urn(item) for item in items
    }
    return {**delivered, **inside}


def urn(item: Item) -> str:
    """The same for every attempt; made from type and id, as an id alone may occur in two types."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{item.type}/{item.id}").urn


def by_our_identifier(resource_type: str, our_id: str, side: Side) -> str:
    """The condition that finds our resource there: `Patient?identifier={ours}/Patient|{id}`."""
    return f"{resource_type}?{urlencode({'identifier': f'{side.ours}/{resource_type}|{our_id}'})}"


def as_theirs(item: Item, side: Side, names: Mapping[str, str]) -> Resource:
    """What is sent of our resource; `names` as from `names_of`."""
    refs = references.collect(item.body)
    named = _named([ref for ref in refs if ref.value not in item.local], side)
    there = {value: where for value, one in named.items() if (where := _address(one, side, names)) is not None}
    away = {value: _identifier(one, side) for value, one in named.items() if value not in there}
    body = references.rewrite(references.as_logical(_returned(item.body, refs, side), away, refs), there, refs)
    body = _with_links(body, "", f"{side.ours}/")
    ours = {"system": f"{side.ours}/{item.type}", "value": item.id}
    others = [one for one in body.get("identifier") or () if one.get("system") != ours["system"]]
    meta = {key: value for key, value in (body.get("meta") or {}).items() if key not in _SERVER_META}
    head = {"resourceType": item.type} | ({"id": item.remote_id} if item.remote_id else {})
    rest = {key: value for key, value in body.items() if key not in ("resourceType", "id", "meta", "identifier")}
    return {**head, **({"meta": meta} if meta else {}), "identifier": [*others, ours], **rest}


def our_id(body: Resource, side: Side) -> str | None:
    """Our id of a resource of theirs, where it carries our identifier."""
    system = f"{side.ours}/{body['resourceType']}"
    own = (one for one in body.get("identifier") or () if isinstance(one, dict) and one.get("system") == system)
    return next((str(one["value"]) for one in own if one.get("value")), None)


def as_ours(body: Resource, side: Side, local: Mapping[str, str]) -> Resource:
    """Their body without our identifier, its references pointing at our resources; `local`: their `Type/id` -> ours."""
    system = f"{side.ours}/{body['resourceType']}"
    kept = [one for one in body.get("identifier") or () if one.get("system") != system]
    body = {key: value for key, value in body.items() if key != "identifier"} | ({"identifier": kept} if kept else {})
    body = _without_request(body)
    refs = references.collect(body)
    absolute = {ref.value for ref in refs if ref.kind == "absolute"}
    here = {value: str(found) for value in absolute if (found := references.local(value, side.ours))}
    there = {value: references.from_base(value, side.endpoint) for value in absolute - here.keys()}
    own = {value: local.get(name, name) for value, name in there.items()}
    body = references.rewrite(body, {**local, **own, **here}, refs)
    body = _marked(body, [ref for ref in refs if ref.value not in here and ref.value not in local], side)
    if any(ref.kind == "identifier" for ref in refs):
        body = _resolved(body, refs, side)
    return _with_links(body, f"{side.ours}/", "")


def _without_request(body: Resource) -> Resource:
    """Without the fragment of meta.source, in which HAPI FHIR names the request that wrote it: another one with every
    write is no news to anybody."""
    meta = body.get("meta")
    if not isinstance(meta, dict) or "#" not in str(meta.get("source")):
        return body
    source = str(meta["source"]).partition("#")[0]
    rest = {key: value for key, value in meta.items() if key != "source"}
    return body | {"meta": rest | ({"source": source} if source else {})}


def _marked(body: Resource, refs: Sequence[references.Ref], side: Side) -> Resource:
    """With references to others of theirs told as theirs, so that they never name one of ours and, where nothing here
    is linked to them, stay as logical ones (`intake.theirs`). But whose a clinical resource is must be known here."""
    marks: list[tuple[references.Trail, Resource]] = []
    for ref in refs:
        node = references.node_at(body, ref.trail[:-1])
        named = references.local(str(node.get("reference")), "") if ref.kind in ("relative", "absolute") else None
        if named is None or "identifier" in node or (named.type == "Patient" != body["resourceType"]):
            continue
        name = f"{named.type}/{named.id}"
        told = {"reference": name, "identifier": {"system": side.id_system, "value": name}}
        marks.append((ref.trail[:-1], node | told))
    return _replaced(body, marks)


def _returned(body: Resource, refs: Sequence[references.Ref], side: Side) -> Resource:
    """With what they told as theirs, and is not linked here, referred to as they do."""
    told = [(trail, value) for trail, system, value in _logical(body, refs) if system == side.id_system]
    named = [(trail, found) for trail, value in told if (found := references.local(value, "")) is not None]
    return _replaced(body, [(trail, _literal(body, trail, str(found))) for trail, found in named])


def _ours(ref: references.Ref, side: Side) -> references.Local | None:
    return references.local(ref.value, side.ours)


def _named(refs: Sequence[references.Ref], side: Side) -> dict[str, references.Local]:
    """Reference as we write it -> the resource of ours that it names."""
    found = {ref.value: _ours(ref, side) for ref in refs if ref.kind in ("relative", "absolute")}
    return {value: one for value, one in found.items() if one is not None}


def _address(named: references.Local, side: Side, names: Mapping[str, str]) -> str | None:
    """Where they can resolve it; None for what is not there, and could be: a server refuses a reference to nothing,
    and many one to another server. What can never be there is addressed with us."""
    stays = None if named.type in IDENTIFIED else f"{side.ours}/{named.type}/{named.id}"
    return names.get(f"{named.type}/{named.id}") or stays


def _identifier(named: references.Local, side: Side) -> Resource:
    return {"system": f"{side.ours}/{named.type}", "value": named.id}


def _resolved(body: Resource, refs: Sequence[references.Ref], side: Side) -> Resource:
    """With our identifiers in logical references read as what they name here."""
    ours = {f"{side.ours}/{kind}": kind for kind in IDENTIFIED}
    told = [(trail, f"{ours[system]}/{value}") for trail, system, value in _logical(body, refs) if system in ours]
    return _replaced(body, [(trail, _literal(body, trail, name)) for trail, name in told])


def _logical(body: Resource, refs: Sequence[references.Ref]) -> Iterator[tuple[references.Trail, str, str]]:
    """Where references by an identifier alone stand, its system and its value."""
    for ref in refs:
        told = references.node_at(body, ref.trail).get("identifier") if ref.kind == "identifier" else None
        if isinstance(told, dict) and isinstance(told.get("system"), str) and isinstance(told.get("value"), str):
            yield ref.trail, told["system"], told["value"]


def _literal(body: Resource, trail: references.Trail, name: str) -> Resource:
    """That Reference by what it names, without the identifier."""
    node = references.node_at(body, trail)
    return {key: value for key, value in node.items() if key != "identifier"} | {"reference": name}


def _replaced(body: Resource, nodes: Sequence[tuple[references.Trail, Resource]]) -> Resource:
    """With these objects in place of those that stand there."""
    fresh = copy.deepcopy(body) if nodes else body
    for trail, node in nodes:
        there = references.node_at(fresh, trail)
        there.clear()
        there.update(node)
    return fresh


def _with_links(body: Resource, old: str, new: str) -> Resource:
    """The resource with the addresses of our Binaries (Attachment.url, FHIR R4 §2.24.0.4) moved from one base to
    another: content is not sent along, it stays with us."""
    refs = references.attachments(body)
    binaries = [ref.value for ref in refs if ref.value.startswith(f"{old}Binary/")]
    return references.rewrite(body, {value: new + value.removeprefix(old) for value in binaries}, refs)
