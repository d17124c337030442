"""Product Instance and UDI Organizer -> Device (C-CDA R2.1 §3.98, Supplemental Templates: UDI; US Core Implantable
Device)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .context import Context, Reference
from .node import Node
from .statement import ROOT, Relations, components, denied
from .values import Value, absent_concept, codeable, distinct, identifiers, kept, resolved

FDA = "2.16.840.1.113883.3.3719"
_INSTANCE = ROOT + "37"
UDI_ORGANIZER = frozenset([ROOT + "311", "74711-3"])
_GS1 = re.compile(r"\(01\)(\d{14})", re.ASCII)
_PRODUCED = re.compile(r"\((10|21)\)([^()\s]{1,20})")
_PARTS_OF_UDI = {"10": "lotNumber", "21": "serialNumber"}
_WORDS = {"C101672": "lotNumber", "C101671": "serialNumber", "C113843": "distinctIdentifier", "C99285": "modelNumber"}
_WORDS |= {"C99286": "partNumber", "C54131": "manufacturer"}
_DATES = {"C101669": "manufactureDate", "C101670": "expirationDate"}
_PRIMARY, _BRAND = "C101722", "C71898"
_BARE = 2
"""Elements that every device has: its type, and whose it is."""
_SAFETY = ("C106044", "C160938")


def devices(statement: Node, relations: Relations, ctx: Context) -> list[Reference]:
    """The devices that take part in a procedure or supply; the parts of the UDI go to its only device."""
    roles = [*_instances(statement)]
    organizers = [one for _, one in relations if not UDI_ORGANIZER.isdisjoint(one.kinds)]
    return distinct([_device(role, organizers if len(roles) == 1 else [], ctx) for role in roles])


def has_device(statement: Node) -> bool:
    return any(True for _ in _instances(statement))


def device_kinds(statement: Node, ctx: Context) -> list[Value]:
    """What kinds of devices they are, without the devices themselves."""
    played = (role.node("playingDevice") for role in _instances(statement))
    return distinct(codeable(one.get("code"), ctx) for one in played if one)


def _instances(statement: Node) -> Iterator[Node]:
    for participant in statement.nodes("participant"):
        role = participant.node("participantRole")
        if role and ("playingDevice" in role or _INSTANCE in role.kinds):
            yield role


def _device(role: Node, organizers: list[Node], ctx: Context) -> Reference | None:
    device, scope = role.node("playingDevice"), role.node("scopingEntity")
    model = device.text("manufacturerModelName") if device else None
    kind = codeable(device.get("code"), ctx) if device else None
    body = {
        "identifier": identifiers(role.all("id")),
        "udiCarrier": _carriers(role),
        "manufacturer": scope.text("desc") if scope else None,
        "deviceName": [{"name": model, "type": "model-name"}] if model else None,
        "type": kind or absent_concept(),
        "patient": ctx.patient,
    }
    for organizer in organizers:
        _add_parts(body, organizer, ctx)
    for part, text in _produced(role):
        body.setdefault(part, text)
    found = kept(body)
    return (
        ctx.add("Device", found, role, code=device.get("code") if device else None)
        if len(found) > _BARE or kind
        else None
    )


def _carriers(role: Node) -> list[Value]:
    """An id that the FDA gave is the UDI as people read it; its device identifier is a part of it (GS1: 01)."""
    found = []
    for one in role.all("id"):
        udi = one.get("extension")
        if one.get("root") == FDA and udi and not one.get("nullFlavor"):
            part = _GS1.search(udi)
            found.append(kept({"deviceIdentifier": part[1] if part else None, "carrierHRF": udi}))
    return found


def _produced(role: Node) -> Iterator[tuple[str, str]]:
    """The lot and the serial number that a UDI says (GS1: 10 and 21). US Core wants them by themselves."""
    for one in role.all("id"):
        if one.get("root") == FDA and not one.get("nullFlavor"):
            for kind, text in _PRODUCED.findall(one.get("extension") or ""):
                yield _PARTS_OF_UDI[kind], text


def _add_parts(body: Value, organizer: Node, ctx: Context) -> None:
    for part in components(organizer):
        if denied(part, ctx):
            continue
        code, value = part.attribute("code", "code") or "", part.get("value")
        if code == _PRIMARY and value is not None and (primary := value.get("extension")):
            carriers = body["udiCarrier"] or [{}]
            body["udiCarrier"] = [{"deviceIdentifier": primary, **carriers[0]}, *carriers[1:]]
        elif code in _DATES:
            body[_DATES[code]] = ctx.moment(value)
        elif code in _SAFETY and (said := codeable(value, ctx)):
            body["safety"] = [*body.get("safety", ()), said]
        elif text := resolved(value, ctx):
            _add_words(body, code, text)


def _add_words(body: Value, code: str, text: str) -> None:
    if code == _BRAND:
        body["deviceName"] = [*(body["deviceName"] or ()), {"name": text, "type": "user-friendly-name"}]
    elif code in _WORDS:
        body[_WORDS[code]] = text
