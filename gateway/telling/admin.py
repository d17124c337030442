"""Who is told of changes: added, changed, paused and looked at, by API and command line alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from gateway.errors import Conflict, InvalidInput, Missing
from gateway.fhir import json, times
from gateway.store import Reader, Tx
from gateway.store.subscribers import (
    ACTIVE,
    PAUSED,
    NewOutgoing,
    Outgoing,
    Subscriber,
    log,
    put_subscriber,
    remove_subscriber,
    set_state,
    subscribers,
    tell,
)
from gateway.telling import keys, wish

COLUMNS = ("name", "connector", "url", "types", "form", "state", "told up to")
LOG_COLUMNS = ("id", "event", "type", "state", "attempts", "status", "error")


def listed(reader: Reader) -> list[Subscriber]:
    return subscribers(reader)


def get(reader: Reader, name: str) -> Subscriber:
    """Raises Missing."""
    found = next((one for one in subscribers(reader) if one.name == name), None)
    if found is None:
        raise Missing(f"there is no subscriber {name!r}")
    return found


def add(tx: Tx, body: Mapping[str, Any]) -> tuple[Subscriber, str]:
    """`{"name","connector","url",..}` as in `Wish`, perhaps with a `secret`; it and its secret, which is not shown
    again. Told from now on. Raises InvalidInput, Missing (connector) and Conflict (name)."""
    asked = dict(body)
    name, connector = _text(asked, "name"), _text(asked, "connector")
    secret = keys.check(asked.pop("secret")) if "secret" in asked else keys.new_secret()
    wanted = wish.parse(asked)
    tx.connector_id(connector)
    if any(one.name == name for one in subscribers(tx)):
        raise Conflict(f"there is a subscriber {name!r} already")
    made = put_subscriber(tx, None, name, connector, wish.dump(wanted))
    keys.put(tx, made, keys.Keys(secret))
    return made, secret


def _text(asked: dict[str, Any], field: str) -> str:
    value = asked.pop(field, None)
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(f"subscriber: {field} is required")
    return value.strip()


def change(tx: Tx, name: str, body: Mapping[str, Any]) -> Subscriber:
    """Some of its wishes."""
    known = get(tx, name)
    wanted = wish.parse({**json.decode(known.config.encode()), **body})
    return put_subscriber(tx, known, known.name, known.connector, wish.dump(wanted))


def rotate(tx: Tx, name: str, *, overlap: timedelta = keys.OVERLAP) -> str:
    """A new secret; the old one signs as well until `overlap` is over."""
    known = get(tx, name)
    before = keys.find(tx.secrets(known.connector), known)
    secret = keys.new_secret()
    until = (tx.now + overlap).timestamp()
    keys.put(tx, known, keys.Keys(secret, before.current if before else None, until))
    return secret


def pause(tx: Tx, name: str) -> Subscriber:
    """Its events go on being queued."""
    set_state(tx, get(tx, name), PAUSED)
    return get(tx, name)


def resume(tx: Tx, name: str) -> Subscriber:
    """What waits is sent at once, in order."""
    set_state(tx, get(tx, name), ACTIVE)
    return get(tx, name)


def remove(tx: Tx, name: str) -> None:
    remove_subscriber(tx, get(tx, name))


def test(tx: Tx, name: str) -> str:
    """Queue an event that says nothing; its id."""
    event_id = f"evt_test_{tx.new_id()}"
    said = {"id": event_id, "type": "gateway.test", "timestamp": times.to_instant(tx.now), "data": {}}
    tell(tx, get(tx, name), [NewOutgoing(event_id, "gateway.test", json.encode(said))])
    return event_id


def events(reader: Reader, name: str, *, after: int, limit: int) -> list[Outgoing]:
    return log(reader, get(reader, name).subscriber_id, after=after, limit=limit)


def to_json(subscriber: Subscriber) -> dict[str, Any]:
    """Without its secret."""
    head = {"name": subscriber.name, "connector": subscriber.connector, "state": subscriber.state}
    return {**head, **json.decode(subscriber.config.encode()), "sequence": subscriber.seq}


def event_json(one: Outgoing) -> dict[str, Any]:
    """Without its body, which may hold patient data."""
    return {
        "id": one.outgoing_id,
        "event": one.event_id,
        "type": one.type,
        "state": one.state,
        "attempts": one.attempt,
        "dueAt": times.to_instant(one.due_at),
        "status": one.status,
        "error": one.error,
        "createdAt": times.to_instant(one.created_at),
        "at": times.to_instant(one.at),
    }


def cells(subscriber: Subscriber) -> tuple[object, ...]:
    """As COLUMNS."""
    wanted = wish.load(subscriber.config)
    asked = (wanted.url, ", ".join(wanted.types), wanted.form)
    return (subscriber.name, subscriber.connector, *asked, subscriber.state, subscriber.seq)


def event_cells(one: Outgoing) -> tuple[object, ...]:
    """As LOG_COLUMNS."""
    return (one.outgoing_id, one.event_id, one.type, one.state, one.attempt, one.status, one.error)
