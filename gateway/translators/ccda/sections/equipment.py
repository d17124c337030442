"""Medical Equipment (LOINC 46264-8) -> DeviceUseStatement and Device, or DeviceRequest (C-CDA R2.1 §2.38, §3.71)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.devices import UDI_ORGANIZER, devices
from gateway.translators.ccda.medicine import is_medication, product_of
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.people import fits, performers, recording, responsible
from gateway.translators.ccda.registry import entry, one_more, others
from gateway.translators.ccda.sections.medications import medication_supply
from gateway.translators.ccda.statement import (
    PARTS,
    ROOT,
    Relations,
    components,
    denied,
    is_ahead,
    mapped,
    notes,
    reasons,
    related,
)
from gateway.translators.ccda.values import Value, absent, codeable, concept, identifiers, kept, quantity, timed

SUPPLY = "http://terminology.hl7.org/CodeSystem/supply-item-type"
_READ = PARTS | UDI_ORGANIZER


@entry(ROOT + "50", ROOT + "43", "2.16.840.1.113883.10.20.1.34", sections=("46264-8", "18776-5"), element="supply")
def supply(statement: Node, ctx: Context) -> Iterator[Reference | None]:
    """Non-Medicinal Supply Activity, Planned Supply."""
    yield supplied(statement, ctx)


@entry(ROOT + "135", sections=("46264-8",), element="organizer", in_any_mood=True)
def equipment_organizer(organizer: Node, ctx: Context) -> Iterator[Reference | None]:
    """A group of supplies and procedures: each stands for itself."""
    for one in components(organizer):
        yield from one_more(one, ctx)


def supplied(statement: Node, ctx: Context) -> Reference | None:
    """A supply: of a medication that is asked for or was handed over, else of a device."""
    if is_medication(statement):
        return medication_supply(statement, ctx)
    if denied(statement, ctx):
        return None
    relations = related(statement)
    others(relations, ctx, _READ)
    return _request(statement, relations, ctx) if is_ahead(statement) else _use(statement, relations, ctx)


def _use(statement: Node, relations: Relations, ctx: Context) -> Reference | None:
    """DeviceUseStatement; None without a device, which R4 requires."""
    device = _device(statement, relations, ctx)
    if device is None:
        return None
    author, written = recording(statement, ctx)
    status = mapped("device-use", statement.attribute("statusCode", "code"))
    body = {
        "identifier": identifiers(statement.all("id")),
        "status": status.code if status else None,
        "_status": None if status else absent(),
        "subject": ctx.patient,
        **timed("timing", statement.get("effectiveTime"), ctx),
        "recordedOn": written,
        "source": fits(author, "Patient", "Practitioner", "PractitionerRole", "RelatedPerson"),
        "device": device,
        "reasonCode": reasons(relations, ctx),
        "note": notes(relations, ctx),
    }
    _delivered(statement, device, ctx)
    return ctx.add("DeviceUseStatement", kept(body), statement)


def _delivered(statement: Node, device: Reference, ctx: Context) -> None:
    """How many: a DeviceUseStatement cannot say, the SupplyDelivery that stands beside it can."""
    amount = quantity(statement.get("quantity"))
    if amount is None:
        return
    status = mapped("delivery-status", statement.attribute("statusCode", "code"))
    body = {
        "identifier": identifiers(statement.all("id")),
        "status": status.code if status else None,
        "patient": ctx.patient,
        "type": concept("device", SUPPLY, "Device"),
        "suppliedItem": {"quantity": amount, "itemReference": device},
        **timed("occurrence", statement.get("effectiveTime"), ctx),
    }
    ctx.beside.append(ctx.add("SupplyDelivery", kept(body), statement))


def _request(statement: Node, relations: Relations, ctx: Context) -> Reference | None:
    device = _device(statement, relations, ctx)
    if device is None:
        return None
    author, written = recording(statement, ctx)
    status = mapped("request-status", statement.attribute("statusCode", "code"))
    intent = mapped("request-intent", statement.element.get("moodCode"))
    body = {
        "identifier": identifiers(statement.all("id")),
        "status": status.code if status else "unknown",
        "intent": intent.code if intent else "plan",
        "codeReference": device,
        "parameter": _how_many(statement),
        "subject": ctx.patient,
        **timed("occurrence", statement.get("effectiveTime"), ctx),
        "authoredOn": written,
        "requester": fits(author, "Device", "Practitioner", "PractitionerRole", "Organization"),
        "performer": next(iter([*performers(statement, ctx), *responsible(statement, ctx)]), None),
        "reasonCode": reasons(relations, ctx),
        "note": notes(relations, ctx),
    }
    return ctx.add("DeviceRequest", kept(body), statement)


def _how_many(statement: Node) -> list[Value]:
    amount = quantity(statement.get("quantity"))
    return [{"code": {"text": "quantity"}, "valueQuantity": amount}] if amount else []


def _device(statement: Node, relations: Relations, ctx: Context) -> Reference | None:
    """The first Product Instance, else what the supply's product or code names."""
    for one in devices(statement, relations, ctx):
        return one
    kind = _kind(statement, ctx)
    return ctx.add_equal("Device", {"type": kind, "patient": ctx.patient}, statement.element) if kind else None


def _kind(statement: Node, ctx: Context) -> Value | None:
    made = product_of(statement)
    material = made.node("manufacturedMaterial") if made else None
    if material and (kind := codeable(material.get("code"), ctx)):
        return kind
    name = material.text("name") if material else None
    return codeable(statement.get("code"), ctx) or ({"text": name} if name else None)
