"""Wish: what a subscriber asks to be told, and an entry of the change feed as the event that it is sent.

Standard Webhooks 1.0 ("Payload structure"): `{"id","type":"patient.updated","timestamp","data":{..}}`.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Literal

import msgspec

from gateway.delivery.http import address
from gateway.errors import InvalidInput, PartnerRejected
from gateway.fhir import json, times
from gateway.fhir.json import Resource
from gateway.store import FeedEntry
from gateway.store.subscribers import NewOutgoing

VERBS = {"create": "created", "update": "updated", "delete": "deleted"}
HIDDEN = ("AuditEvent", "Provenance", "Binary")
"""Told only to those who name them: traces of our own work and the original bytes."""


class Wish(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`url` = where to; `types` = resource types, `*` = all that systems keep; `payload` = whether the resource comes
    along; `form` = how it is signed and what a failure means (`metriport`: kept, and sent again only when asked)."""

    url: str
    types: tuple[str, ...] = ("Patient",)
    payload: Literal["id", "resource"] = "id"
    form: Literal["standard", "metriport"] = "standard"
    allow_networks: tuple[str, ...] = ()


def parse(body: Any) -> Wish:
    """Raises InvalidInput naming the field."""
    try:
        wish = msgspec.convert(body, Wish)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"subscriber: {error}") from None
    if not _is_callable(wish.url):
        raise InvalidInput("subscriber: url must be an http or https address without user and fragment")
    for network in wish.allow_networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise InvalidInput("subscriber: allow_networks must list addresses or networks") from None
    return wish


def _is_callable(text: str) -> bool:
    try:
        url = address(text)
    except PartnerRejected:
        return False
    return url.scheme in ("http", "https") and bool(url.host) and not url.userinfo and not url.fragment


def load(config: str) -> Wish:
    """A stored one."""
    return msgspec.convert(json.decode(config.encode()), Wish)


def dump(wish: Wish) -> str:
    return json.encode(msgspec.to_builtins(wish)).decode()


def wants(wish: Wish, entry: FeedEntry) -> bool:
    return entry.type in wish.types or ("*" in wish.types and entry.type not in HIDDEN)


def event(wish: Wish, entry: FeedEntry) -> NewOutgoing:
    """The event of one version; its id is the same however often it is made."""
    kind = f"{entry.type.lower()}.{VERBS[entry.method]}"
    event_id = f"evt_{entry.seq}"
    data: Resource = {"resourceType": entry.type, "id": entry.id, "versionId": str(entry.number)}
    data["source"] = entry.source
    if wish.payload == "resource" and entry.body is not None:
        data["resource"] = json.raw(entry.body)
    body = {"id": event_id, "type": kind, "timestamp": times.to_instant(entry.at), "data": data}
    return NewOutgoing(event_id, kind, json.encode(body), entry.patient)
