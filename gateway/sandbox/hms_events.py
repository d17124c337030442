"""The events of the HMS stand-in: signed in the way it is told to, and sometimes twice, late or out of order."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from standardwebhooks.webhooks import Webhook

from gateway.fhir import json
from gateway.sandbox.faults import Relay, at_once

EVERYTHING = ""
"""The collection of who subscribed at the root."""


@dataclass(frozen=True, slots=True)
class Subscription:
    id: str
    url: str
    secret: str
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """An event as it will be sent."""

    subscription: Subscription
    id: str
    body: bytes


class Events:
    """`signature`: `standard` (Standard Webhooks), `hex` (HMAC-SHA256 of the body), `header` (the secret itself)."""

    def __init__(self) -> None:
        self.relay: Relay = at_once
        self._subscriptions: dict[str, Subscription] = {}
        self._kept: list[Told] = []
        self._made = 0
        self.set("standard", duplicate=False, reorder=False)

    def set(self, signature: str, *, duplicate: bool, reorder: bool) -> None:
        self._signature, self._duplicate, self._reorder = signature, duplicate, reorder

    def subscribe(self, collection: str, body: Mapping[str, Any]) -> str:
        """One per collection and address: asking again replaces the secret."""
        held = self._subscriptions.get(collection)
        if held is None or held.url != body["url"]:
            self._made += 1
        made = Subscription(f"sub_{self._made}", body["url"], body["secret"], tuple(body["events"]))
        self._subscriptions[collection] = made
        return made.id

    def listed(self) -> dict[str, Any]:
        return {
            collection: {"id": one.id, "url": one.url, "events": list(one.events)}
            for collection, one in self._subscriptions.items()
        }

    async def tell(self, collection: str, item: Mapping[str, Any]) -> list[int]:
        """The item as it is now, to whoever subscribed to its collection; with its type to who subscribed to all."""
        event_id = f"evt_{uuid.uuid4().hex}"
        typed = {"id": event_id, "type": f"{collection.removesuffix('s')}.updated", "data": item}
        wanted = ((collection, item), (EVERYTHING, typed))
        letters = [
            Told(held, event_id, json.encode(body))
            for name, body in wanted
            if (held := self._subscriptions.get(name)) is not None
        ]
        if self._reorder:
            self._kept += letters
            return []
        copies = letters * (2 if self._duplicate else 1)
        return [status for told in copies for status in await self._relayed(told)]

    async def flush(self) -> list[int]:
        kept, self._kept = self._kept[::-1], []
        return [await self._send(told) for told in kept]

    async def _relayed(self, told: Told) -> list[int]:
        return await self.relay(lambda: self._send(told))

    async def _send(self, told: Told) -> int:
        headers = {"content-type": "application/json", **self._signed(told)}
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                return (await client.post(told.subscription.url, content=told.body, headers=headers)).status_code
            except httpx.HTTPError:
                return 0

    def _signed(self, told: Told) -> dict[str, str]:
        secret = told.subscription.secret
        if self._signature == "hex":
            return {"x-metriport-signature": hmac.new(secret.encode(), told.body, hashlib.sha256).hexdigest()}
        if self._signature == "header":
            return {"x-webhook-secret": secret}
        now = datetime.now(UTC)
        key = secret if secret.startswith("whsec_") else f"whsec_{base64.b64encode(secret.encode()).decode()}"
        signed = Webhook(key).sign(told.id, now, told.body.decode())
        return {"webhook-id": told.id, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signed}
