"""The secrets by which a subscriber knows our webhooks, two at once while it changes over (Standard Webhooks 1.0)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from gateway.connectors import signature
from gateway.errors import InvalidInput
from gateway.fhir import json
from gateway.store import Tx
from gateway.store.subscribers import Subscriber

OVERLAP = timedelta(days=1)


class Keys(msgspec.Struct, frozen=True):
    """`previous` signs as well `until` then (seconds since 1970)."""

    current: str
    previous: str | None = None
    until: float = 0.0

    def live(self, now: datetime) -> list[str]:
        """Newest first."""
        old = [self.previous] if self.previous and now.timestamp() < self.until else []
        return [self.current, *old]


def new_secret() -> str:
    """192 random bits as Standard Webhooks writes them."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def check(secret: str) -> str:
    """Raises InvalidInput when it cannot sign."""
    if not signature.is_key(secret) or len(secret) < 24:
        raise InvalidInput("secret must be base64 of at least 16 bytes, with or without the prefix whsec_")
    return secret


def name_of(subscriber: Subscriber) -> str:
    """Under which its connector keeps them."""
    return f"subscriber:{subscriber.subscriber_id}"


def put(tx: Tx, subscriber: Subscriber, keys: Keys) -> None:
    tx.put_secret(subscriber.connector, name_of(subscriber), json.encode(msgspec.to_builtins(keys)).decode())


def find(kept: Mapping[str, str], subscriber: Subscriber) -> Keys | None:
    """Of the secrets of its connector."""
    text = kept.get(name_of(subscriber))
    return msgspec.convert(json.decode(text.encode()), Keys) if text else None


def standard(keys: Keys, event_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """Headers with a signature by each live secret."""
    signed = [signature.sign(one, event_id, body, now=now) for one in keys.live(now)]
    return {**signed[0], "webhook-signature": " ".join(one["webhook-signature"] for one in signed)}


def metriport(keys: Keys, body: bytes) -> dict[str, str]:
    """The hex HMAC-SHA256 of the raw body (metriport.md, "Webhooks")."""
    digest = hmac.new(keys.current.encode(), body, hashlib.sha256).hexdigest()
    return {"x-metriport-signature": digest, "user-agent": "Metriport API"}
