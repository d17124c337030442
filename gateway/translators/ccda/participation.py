"""Who else took part in a document: HL7's extensions of the Composition, and Provenance for what has a time.

C-CDA R2.1 §1.1 US Realm Header; C-CDA on FHIR 2.0.0, US Realm Header Composition and CF-participations.
"""

from __future__ import annotations

from collections.abc import Iterator

from .context import Context, Reference
from .node import V3, Node, child_of
from .people import fits, organization
from .related import associate
from .statement import mapped
from .values import Value, absent, absent_concept, codeable, concept, distinct, identifiers, kept

CCDA = "http://hl7.org/fhir/us/ccda/StructureDefinition/"
VERSION_NUMBER = "http://hl7.org/fhir/StructureDefinition/composition-clinicaldocument-versionNumber"
PARTICIPANT_TYPES = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"

_ROLES = {
    "dataEnterer": ("DataEnterer", ("assignedEntity",)),
    "informant": ("Informant", ("assignedEntity", "relatedEntity")),
    "informationRecipient": ("InformationRecipient", ("intendedRecipient",)),
    "participant": ("Participant", ("associatedEntity",)),
}
_VERIFIER = "verifier"
_TIMED = (
    ("author", "author", "assignedAuthor"),
    ("dataEnterer", "enterer", "assignedEntity"),
    ("participant", _VERIFIER, "associatedEntity"),
)
_PERSONAL = ("RelatedPerson", "Patient")
_SCOPE = V3 + "scopingOrganization"
_INSTANT = 19


def extensions(document: Node, ctx: Context) -> list[Value]:
    """The extensions of the Composition, each party once in each role."""
    found: list[Value | None] = []
    if version := document.attribute("versionNumber", "value"):
        found.append({"url": VERSION_NUMBER, "valueString": version})
    for name in _ROLES:
        found += participants(document, name, ctx)
    found += [_referring("Order", _order(of.node("order"), ctx)) for of in document.nodes("inFulfillmentOf")]
    return distinct(found)


def participants(holder: Node, name: str, ctx: Context) -> list[Value]:
    """The extensions for those who took part in one way in a document or section."""
    if name not in holder:
        return []
    role, holders = _ROLES[name]
    return distinct([_referring(role, party) for party in _parties(holder, name, holders, ctx)])


def _referring(role: str, party: Reference | None) -> Value | None:
    return {"url": f"{CCDA}{role}Extension", "valueReference": party} if party else None


def _parties(document: Node, name: str, holders: tuple[str, ...], ctx: Context) -> Iterator[Reference | None]:
    """And the organization for which somebody is what he is to the patient: the insurer of a policy holder."""
    for participation in document.nodes(name):
        for holder in holders:
            element = participation.get(holder)
            who = associate(element, ctx, participation)
            yield who
            if element is not None and fits(who, *_PERSONAL):
                yield organization(child_of(element, _SCOPE), ctx)


def _order(order: Node | None, ctx: Context) -> Reference | None:
    """The order that the document fulfils. Nothing tells what became of it."""
    ids = identifiers(order.all("id")) if order else []
    if order is None or not ids:
        return None
    code = codeable(order.get("code"), ctx) or absent_concept(order.get("code"))
    urgency = mapped("request-priority", order.attribute("priorityCode", "code"))
    body = {"identifier": ids, "status": "unknown", "intent": "order", "code": code, "subject": ctx.patient}
    return ctx.add("ServiceRequest", kept({**body, "priority": urgency.code if urgency else None}), order)


def provenance(document: Node, composition: Reference, ctx: Context) -> None:
    """A Provenance of the Composition for every author, enterer and verifier with a time of his own. A new version of
    the document updates it."""
    written = ctx.moment(document.get("effectiveTime"))
    whole = document_name(document, composition)
    for name, role, holder in _TIMED:
        for participation in document.nodes(name):
            time = ctx.moment(participation.get("time"))
            who = associate(participation.get(holder), ctx, participation)
            if time and who and _tells(role, time, written, participation):
                identity = (ctx.patient_id, "Provenance", whole, role, who["reference"], time)
                body = {"resourceType": "Provenance", "id": "", **_body(composition, role, who, time)}
                ctx.keep("Provenance", body, identity, participation.element)


def document_name(document: Node, composition: Reference) -> str:
    """Its set, which its versions have alike; its own where there is none."""
    named = document.get("setId")
    return composition["reference"] if named is None else f"{named.get('root')}^{named.get('extension')}"


def _tells(role: str, time: str, written: str | None, participation: Node) -> bool:
    """The time of most authors is the document's, which the Composition says; who is to verify it later has not yet
    (C-CDA R2.1 §1.1.1 Care Plan)."""
    if role == _VERIFIER:
        verified = participation.element.get("typeCode") == "VRF"
        return verified and not (written and time[:10] > written[:10])
    return role != "author" or time != written


def _body(target: Reference, role: str, who: Reference, time: str) -> Value:
    body = {
        "target": [target],
        "occurredDateTime": time,
        **recorded(time),
        "agent": [{"type": concept(role, PARTICIPANT_TYPES), "who": who}],
    }
    return kept(body)


def recorded(time: str | None) -> Value:
    """When it was written down, which has to be exact to the second: a shorter time stands in `occurred` alone."""
    return {"recorded": time} if time and len(time) > _INSTANT else {"_recorded": absent()}
