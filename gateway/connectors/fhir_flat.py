"""Flat webhooks of a system that calls itself FHIR: `{"id":"p1","name":"Ada"}` with HMS-API's short mapping.

HMS-API's own example is of this kind: type FHIR, a mapping, and events that are no resources. They are a hint as others
are: their side is read, and whatever it answers, a resource or the flat form again, is taken for what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.connectors import event as events
from gateway.connectors import rest
from gateway.connectors.call import Call, Found, Gather, absent, refused, segment
from gateway.connectors.event import Event
from gateway.connectors.fhir_answers import FHIR_JSON
from gateway.connectors.fhir_body import as_ours, our_id
from gateway.connectors.protocol import Side
from gateway.fhir import references
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage
from gateway.translators.json import mapping as mappings


def check(mapping: Mapping[str, Any], *, both_ways: bool, xml: bool = False) -> None:
    """A FHIR system needs no mapping; one that is given must be usable."""
    if mapping:
        rest.check(mapping, both_ways=both_ways, xml=xml)


def is_flat(payload: Any, side: Side) -> bool:
    """Whether only the mapping says what this is."""
    return bool(side.mapping) and isinstance(payload, dict) and not {"resourceType", "type", "event"} & payload.keys()


def told(payload: Any, side: Side) -> Event:
    """A flat event: what it speaks of is gathered."""
    return replace(rest.of_payload(payload, side), kind="gather")


def gather(told_of: Event, side: Side) -> Gather:
    """The one it names, as their side tells it: a resource, with the Patient whom it is about, or the flat form."""
    assert told_of.type is not None and told_of.remote_id is not None
    flat = told_of.data.get("resourceType") != told_of.type
    if not side.read:
        return [_mapped(told_of, told_of.data, side, absence=False) if flat else _resource(told_of.data, side)]
    reply = yield Call("GET", f"/{told_of.type}/{segment(told_of.remote_id)}", headers={"accept": FHIR_JSON})
    if flat and reply.status == 404:
        # deleted would be 410 (FHIR R4 §3.1.0.7): they do not serve it, so their word counts
        return [_mapped(told_of, told_of.data, side, absence=False)]
    if absent(reply) is not None:
        return [Found(told_of.type, told_of.remote_id, None)]
    body = reply.find_object() if reply.ok else None
    if body is None or not (flat or body.get("resourceType") == told_of.type):
        raise refused(f"reading a {told_of.type}", reply)
    if body.get("resourceType") != told_of.type:
        return [_mapped(told_of, body, side, absence=True)]
    return [*(yield from _whose(body, side)), _resource(body, side)]


def _whose(body: Resource, side: Side) -> Gather:
    """The Patient a resource is about: an event about her own may come later, or be lost."""
    whose = references.compartment(as_ours(body, side, {}))
    if whose is None or body["resourceType"] == "Patient":
        return []
    reply = yield Call("GET", f"/Patient/{segment(whose.partition('/')[2])}", headers={"accept": FHIR_JSON})
    found = reply.find_object() if reply.ok else None
    return [_resource(found, side)] if found and found.get("resourceType") == "Patient" and found.get("id") else []


def _resource(body: Mapping[str, Any], side: Side) -> Found:
    at = events.instant((body.get("meta") or {}).get("lastUpdated"))
    whole, ours = dict(body), our_id(dict(body), side)
    return Found(str(body["resourceType"]), str(body["id"]), as_ours(whole, side, {}), at, ours=ours)


def _mapped(told_of: Event, payload: Mapping[str, Any], side: Side, *, absence: bool) -> Found:
    shape = mappings.read(side.mapping).shapes[told_of.type or ""]
    found = rest.found(shape, dict(payload), side)
    coverage = found.coverage
    return found if absence or coverage is None else replace(found, coverage=Coverage(coverage.elements, absence=False))
