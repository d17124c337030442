"""A FHIR R4 server: read by id or identifier, written by one transaction Bundle (FHIR R4 §3.1.0.11.2).

What it does not know yet is brought by conditional update on our own identifier, `{our base}/{Type}|{our id}`, so that
sending twice cannot make two of it; what it knows by PUT with ifMatch. Our identifier and our ids exist on its side
only: what is read back has none of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from gateway.connectors import event as events
from gateway.connectors import fhir_flat
from gateway.connectors.call import (
    Accepted,
    Call,
    Push,
    PushGroup,
    Read,
    Rejected,
    Reply,
    Seen,
    absent,
    refused,
    segment,
)
from gateway.connectors.event import Event
from gateway.connectors.fhir_answers import FHIR_JSON, LOCATION, Answer, Answers, Complaint, Held, Identifier, complaint
from gateway.connectors.fhir_body import IDENTIFIED, as_ours, as_theirs, by_our_identifier, names_of, our_id, urn
from gateway.connectors.fhir_conflict import CONFLICT, held_as, is_stale, version_of
from gateway.connectors.fhir_each import push_one
from gateway.connectors.fhir_flat import check, gather
from gateway.connectors.fhir_scan import given_up, probe, register, scan, unregister
from gateway.connectors.protocol import Item, Side, Target
from gateway.connectors.signature import Signature
from gateway.errors import AmbiguousMatch, InvalidInput, PartnerRejected, PartnerUnknown, VersionConflict
from gateway.fhir import json
from gateway.fhir.form import FULL
from gateway.fhir.json import Resource

PROFILE = "fhir"
SIGNATURES: tuple[Signature, ...] = ("standard", "header")
"""A Subscription cannot sign, it shows the secret in a header; who can sign may."""

__all__ = ["PROFILE", "SIGNATURES", "Options", "accepts", "check", "event", "form", "gather", "given_up", "grouped"]
__all__ += ["probe", "push", "push_bundle", "read", "register", "scan", "takes", "told", "translate", "unregister"]

form = FULL


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`writes` = by transaction Bundles, or each alone, searched for and then created or updated, where it has none.
    `types` = what is looked through and subscribed to; `page` = how many at once."""

    writes: Literal["transaction", "each"] = "transaction"
    types: tuple[str, ...] = ("Patient",)
    page: int = 100


_ENTRY = re.compile(r"Bundle\.entry\[(\d+)\]")


def accepts(resource_type: str) -> bool:
    return resource_type in IDENTIFIED


def read(target: Target, side: Side) -> Read:
    """By their id; before a link by our identifier and those of the resource."""
    if target.remote_id is None:
        return (yield from _search(target, side))
    reply = yield Call("GET", f"/{target.type}/{segment(target.remote_id)}", headers={"accept": FHIR_JSON})
    if (none := absent(reply)) is not None:
        return none
    body = reply.find_object() if reply.ok else None
    seen = _seen(body, target, side, etag=reply.headers.get("etag")) if body else None
    if seen is None:
        raise refused(f"reading a {target.type}", reply)
    return seen


def push(item: Item, side: Side) -> Push:
    if not grouped(side.options):
        return (yield from push_one(item, side))
    [result] = yield from push_bundle([item], side, {})
    if isinstance(result, Rejected):
        raise PartnerRejected(f"bringing a {item.type} was answered with status {result.status} ({result.code})")
    return result


def grouped(options: Options | None) -> bool:
    return (options or Options()).writes == "transaction"


def push_bundle(items: Sequence[Item], side: Side, delivered: Mapping[str, str]) -> PushGroup:
    """One transaction. `delivered`: our `Type/id` -> theirs, for references to what they hold already; what is neither
    there nor in the group is referred to by our identifier alone.

    Raises VersionConflict when they changed one of the items meanwhile: nothing was applied then.
    """
    names = names_of(items, delivered)
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [_entry(item, side, names) for item in items]}
    headers = {"content-type": FHIR_JSON, "accept": FHIR_JSON, "prefer": "return=representation"}
    reply = yield Call("POST", "", bundle, headers)
    if reply.ok:
        return _results(items, side, delivered, reply)
    if reply.status in CONFLICT and (yield from is_stale(items, reply)):
        raise VersionConflict("they changed one of the resources since it was read; nothing was applied")
    return _refusal(items, reply)


def takes(resource_type: str, mapping: Mapping[str, Any]) -> bool:  # noqa: ARG001 (the protocol's signature)
    return accepts(resource_type)


def reads(resource_type: str, mapping: Mapping[str, Any]) -> bool:  # noqa: ARG001 (the protocol's signature)
    return accepts(resource_type)


def told(body: bytes, side: Side) -> Event:
    """An event as FHIR has it or, where there is a mapping, a flat one."""
    payload = json.decode(body)
    return fhir_flat.told(payload, side) if fhir_flat.is_flat(payload, side) else event(payload)


def event(payload: Any) -> Event:
    """A resource (a Subscription's rest-hook with payload, FHIR R4 §2.46) or a Standard Webhooks event."""
    if isinstance(payload, dict) and isinstance(payload.get("resourceType"), str):
        type_, remote_id = payload["resourceType"], events.text(payload.get("id"))
        kind: events.Kind = "changed" if type_ == "Patient" else "gather"  # with whom it is about, who may come later
        return Event(kind if remote_id and accepts(type_) else "ignored", type_, remote_id, payload)
    return events.from_standard(payload)


def translate(data: Mapping[str, Any], target: Target, side: Side) -> Seen:
    """An event's own resource. Raises InvalidInput when it is none of that type."""
    seen = _seen(dict(data), target, side, etag=None)
    if seen is None:
        raise InvalidInput(f"the event holds no {target.type}")
    return seen


def _search(target: Target, side: Side) -> Read:
    ours = (f"{side.ours}/{target.type}", target.id)
    tokens = ",".join(f"{_escaped(system)}|{_escaped(value)}" for system, value in (ours, *target.identifiers))
    headers = {"accept": FHIR_JSON, "prefer": "handling=strict"}  # what it cannot search by it shall not pass over
    reply = yield Call("GET", f"/{target.type}", headers=headers, params=(("identifier", tokens),))
    bundle = reply.find(Answers) if reply.ok else None
    if bundle is None:
        raise refused(f"searching a {target.type}", reply)
    met = [(one, held) for one in bundle.matches() if (held := held_as(one, target.type))]
    found = [(one, held) for one, held in met if _carries(held, (ours, *target.identifiers))]
    if met and not found:
        raise PartnerRejected(f"they answer a search of a {target.type} by identifier with what does not have it")
    found = [(one, held) for one, held in found if Identifier(*ours) in held.identifier] or found
    if len(found) > 1:
        raise AmbiguousMatch(f"they hold {len(found)} resources of type {target.type} with these identifiers")
    return (_seen(found[0][0], target, side, etag=None) if found else None) or Seen(None, None)


def _carries(held: Held, identifiers: Sequence[tuple[str, str]]) -> bool:
    """Whether it has one of these: a server may pass over a parameter that it does not know, and answer everything
    (FHIR R4 §3.1.1.3). Some compare without case."""
    wanted = {(system.casefold(), value.casefold()) for system, value in identifiers}
    return any(((one.system or "").casefold(), (one.value or "").casefold()) in wanted for one in held.identifier)


def _escaped(text: str) -> str:
    return re.sub(r"([\\,|$])", r"\\\1", text)


def _seen(body: Resource, target: Target, side: Side, *, etag: str | None) -> Seen | None:
    held = held_as(body, target.type)
    if held is None:
        return None
    at, version = events.instant(held.meta.last_updated), version_of(held, etag)
    return Seen(held.id, as_ours(body, side, target.local), at, version, ours=our_id(body, side))


def _entry(item: Item, side: Side, names: Mapping[str, str]) -> Resource:
    return {"fullUrl": urn(item), "resource": as_theirs(item, side, names), "request": _how(item, side)}


def _how(item: Item, side: Side) -> Resource:
    if item.remote_id is None:
        return {"method": "PUT", "url": by_our_identifier(item.type, item.id, side)}
    condition = {"ifMatch": item.version} if item.version else {}
    return {"method": "PUT", "url": f"{item.type}/{segment(item.remote_id)}", **condition}


def _refusal(items: Sequence[Item], reply: Reply) -> list[Accepted | Rejected]:
    if reply.status == 401 or reply.status < 400 or (reply.status == 403 and len(items) == 1):
        raise refused("a transaction", reply)
    said = complaint(reply)
    where, blamed = _blamed(said)
    alone = len(items) == 1
    return [
        Rejected(reply.status, said.code, where if at == blamed else None, alone=alone or at == blamed)
        for at in range(len(items))
    ]


def _blamed(said: Complaint) -> tuple[str | None, int | None]:
    """The FHIRPath they complain about and the entry it is in."""
    for path in (*said.expression, *said.location):
        if match := _ENTRY.match(path):
            return path, int(match[1])
    return None, None


def _results(
    items: Sequence[Item], side: Side, delivered: Mapping[str, str], reply: Reply
) -> list[Accepted | Rejected]:
    bundle = reply.find(Answers)
    if bundle is None or len(bundle.entry) != len(items):
        raise PartnerUnknown("a transaction was answered without one result for each entry")
    places = [_place(item, answer) for item, answer in zip(items, bundle.entry, strict=True)]
    local = {theirs: ours for ours, theirs in delivered.items()}
    for item, place in zip(items, places, strict=True):
        if not isinstance(place, Rejected):
            local[f"{item.type}/{place[0]}"] = f"{item.type}/{item.id}"
    settled = zip(items, bundle.entry, places, strict=True)
    return [
        place if isinstance(place, Rejected) else _accepted(item, answer, place, side, local)
        for item, answer, place in settled
    ]


def _place(item: Item, answer: Answer) -> tuple[str, str | None] | Rejected:
    """Their id and the ETag of what they stored, or that they did not."""
    if (status := answer.response.refused) is not None:
        return Rejected(status, "processing")
    found = LOCATION.search(answer.response.location)
    remote_id = (found[2] if found else None) or events.text((answer.resource or {}).get("id")) or item.remote_id
    if remote_id is None:
        raise PartnerUnknown("a transaction was answered without the location of what it made")
    return remote_id, answer.response.etag or (f'W/"{found[3]}"' if found and found[3] else None)


def _accepted(
    item: Item, answer: Answer, place: tuple[str, str | None], side: Side, local: Mapping[str, str]
) -> Accepted:
    remote_id, etag = place
    shown = answer.resource if answer.resource and held_as(answer.resource, item.type) else None
    body = as_ours(shown, side, local) if shown else None
    return Accepted(remote_id, body, events.instant(answer.response.last_modified), etag)
