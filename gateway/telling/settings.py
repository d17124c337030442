"""A partner's own webhook settings, as Metriport has them: one URL and one key per account, tried by a ping."""

from __future__ import annotations

import secrets
import uuid
from typing import Any

from gateway.connectors.config import Config
from gateway.errors import InvalidInput
from gateway.fhir import json, times
from gateway.fhir.json import Resource
from gateway.store import Reader, Tx
from gateway.store.subscribers import (
    NewOutgoing,
    Subscriber,
    last_tried,
    put_subscriber,
    states,
    subscribers,
    tell,
    tell_again,
)
from gateway.telling import keys, wish

_NOWHERE = wish.Wish("", types=(), form="metriport")


def name_of(connector: str) -> str:
    """Its subscriber's; an operator sees it among the others."""
    return f"{connector}:settings"


def find(reader: Reader, connector: str) -> Subscriber | None:
    return next((one for one in subscribers(reader) if one.name == name_of(connector)), None)


def show(reader: Reader, connector: str) -> Resource:
    """`{"id","webhookUrl","webhookKey"}`; the key is the partner's own to see."""
    known = find(reader, connector)
    if known is None:
        return {"id": connector, "webhookUrl": "", "webhookKey": ""}
    url = wish.load(known.config).url
    signing = keys.find(reader.secrets(connector), known) if url else None
    return {"id": connector, "webhookUrl": url, "webhookKey": signing.current if signing else ""}


def get(tx: Tx, connector: str) -> Subscriber:
    """Its subscriber, made without a URL where it set none: what it asks for is kept as failed until it does."""
    return find(tx, connector) or put_subscriber(tx, None, name_of(connector), connector, wish.dump(_NOWHERE))


def put(tx: Tx, config: Config, url: Any) -> Resource:
    """Set the URL, and send a ping there; an empty one ends the webhooks, and the next one gets a new key."""
    known = find(tx, config.name)
    wanted = _wanted(config, url)
    if not wanted.url and known is None:
        return show(tx, config.name)
    made = put_subscriber(tx, known, name_of(config.name), config.name, wish.dump(wanted))
    if wanted.url:
        if known is None or not wish.load(known.config).url:
            keys.put(tx, made, keys.Keys(secrets.token_urlsafe(32)))
        _ping(tx, made)
    return show(tx, config.name)


def _wanted(config: Config, url: Any) -> wish.Wish:
    """Raises InvalidInput naming the parameter as Metriport does."""
    if not isinstance(url, str):
        raise InvalidInput("Required, on [webhookUrl]")
    if not url:
        return _NOWHERE
    asked = {"url": url, "types": [], "form": "metriport", "allow_networks": list(config.allow_networks)}
    try:
        return wish.parse(asked)
    except InvalidInput:
        raise InvalidInput("Invalid url: http or https, without user and fragment, on [webhookUrl]") from None


def _ping(tx: Tx, known: Subscriber) -> None:
    message_id = str(uuid.uuid4())
    meta = {"messageId": message_id, "when": times.to_millis(tx.now), "type": "ping"}
    body = json.encode({"ping": secrets.token_urlsafe(16), "meta": meta})
    tell(tx, known, [NewOutgoing(message_id, "ping", body)])


def status(reader: Reader, connector: str) -> Resource:
    """Empty when there are no settings."""
    known = find(reader, connector)
    if known is None:
        return {}
    last, numbers = last_tried(reader, known), states(reader, known)
    working = bool(wish.load(known.config).url) and last is not None and last.state == "done"
    said: Resource = {"webhookEnabled": working}
    said |= {"webhookStatusDetail": last.error} if last is not None and last.error else {}
    waiting = numbers.get("due", 0) + numbers.get("unknown", 0)
    return said | {"webhookRequestsProcessing": waiting, "webhookRequestsFailed": numbers.get("failed", 0)}


def retry(tx: Tx, connector: str) -> int:
    """Send again all that failed; how many."""
    known = find(tx, connector)
    return tell_again(tx, known) if known else 0
