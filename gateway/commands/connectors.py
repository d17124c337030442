"""`gateway connectors`: our links to other systems, from a file into the store."""

from __future__ import annotations

from typing import Any

from gateway.commands import trail
from gateway.connectors.config import Config
from gateway.connectors.config_file import parse
from gateway.delivery import incidents
from gateway.fhir import json
from gateway.planning.directory import ENDED
from gateway.registry import entries
from gateway.registry.contact import is_told
from gateway.store import ConnectorRow, HealthRow, Reader, Store, Tx

COLUMNS = ("name", "profile", "endpoint", "webhooks", "push", "priority", "status")
EMPTY = "No connectors yet: gateway connectors apply FILE"


def apply(store: Store, data: bytes) -> list[str]:
    """All connectors of the file in one transaction, or none; one line each about what was done.

    Raises InvalidInput naming the field, Conflict when two connectors would take the same webhooks.
    """
    parsed = parse(json.decode(data))

    def job(tx: Tx) -> list[str]:
        known = {row.name: row for row in tx.connectors()}
        entries.refuse_shared_path(known.values(), [config for config, _ in parsed])
        return [_put(tx, known.get(config.name), config, secrets) for config, secrets in parsed]

    return store.write_now(job)


def to_be_told(data: bytes) -> list[str]:
    """The connectors of a file whose systems are told where their webhooks go."""
    configs = [config for config, _ in parse(json.decode(data))]
    return [one.name for one in configs if is_told(one)]


def listed(store: Store) -> list[ConnectorRow]:
    """By name."""
    return store.query_now(entries.listed)


def get(store: Store, name: str) -> Config:
    """One by its name or id. Raises Missing."""
    return entries.config_of(store.query_now(lambda reader: entries.get(reader, name)))


def healths(store: Store) -> dict[str, HealthRow]:
    """How each is doing, by name."""
    return store.query_now(lambda reader: reader.healths())


def cells(row: ConnectorRow, health: HealthRow | None = None) -> tuple[object, ...]:
    """As COLUMNS."""
    config = entries.config_of(row)
    push = config.push if isinstance(config.push, tuple) else ("no", "yes")[config.push and config.endpoint is not None]
    status = entries.status(row, health)
    return (row.name, config.profile, config.endpoint, config.webhook_path, push, config.priority, status)


def to_json(store: Store) -> list[dict[str, Any]]:
    """The registry bodies without secrets, as the API tells them (HMS-API)."""

    def ask(reader: Reader) -> list[dict[str, Any]]:
        rows = entries.listed(reader)
        return [entries.shown(row, reader.secret_names(row.name), reader.health(row.name)) for row in rows]

    return store.query_now(ask)


def _put(tx: Tx, known: ConnectorRow | None, config: Config, secrets: dict[str, str]) -> str:
    if known is None or known.state == ENDED:
        _note(tx, entries.create(tx, config, secrets), "C")
        return f"{config.name}: created"
    kept, secrets = tx.secrets(config.name), entries.completed(tx, config, secrets)
    config = entries.after_go(config, entries.config_of(known))
    if entries.config_of(known) == config and kept == {**kept, **secrets}:
        return f"{config.name}: as it was"
    entries.put(tx, config, secrets, state=known.state)
    _note(tx, known, "U")
    incidents.reauthorised(tx, config.name)  # with what is configured now it may work again
    return f"{config.name}: changed"


def _note(tx: Tx, row: ConnectorRow, action: str) -> None:
    """The row that the registry leaves by HTTP: `allow_networks` and secrets are changed here as well."""
    trail.changed(tx, action, "Connector", entries.public_id(row), row.name)
