"""`gateway connectors`: our links to other systems, from a file into the store."""

from __future__ import annotations

from typing import Any

from gateway.connectors.config import Config, from_json
from gateway.connectors.config_file import parse
from gateway.errors import Conflict, Missing
from gateway.fhir import json
from gateway.store import ConnectorRow, Store, Tx

COLUMNS = ("name", "profile", "endpoint", "webhooks", "push", "priority", "state")
EMPTY = "No connectors yet: gateway connectors apply FILE"


def apply(store: Store, data: bytes) -> list[str]:
    """All connectors of the file in one transaction, or none; one line each about what was done.

    Raises InvalidInput naming the field, Conflict when two connectors would take the same webhooks.
    """
    parsed = parse(json.decode(data))

    def job(tx: Tx) -> list[str]:
        known = {row.name: row for row in tx.connectors()}
        _refuse_shared_path(known, [config for config, _ in parsed])
        return [_put(tx, known.get(config.name), config, secrets) for config, secrets in parsed]

    return store.write_now(job)


def listed(store: Store) -> list[ConnectorRow]:
    """By name."""
    return store.query_now(lambda reader: reader.connectors())


def get(store: Store, name: str) -> Config:
    """One by its name. Raises Missing."""
    for row in listed(store):
        if row.name == name:
            return from_json(json.decode(row.config))
    raise Missing(f"there is no connector {name!r}: see 'gateway connectors list'")


def cells(row: ConnectorRow) -> tuple[object, ...]:
    """As COLUMNS."""
    config = from_json(json.decode(row.config))
    push = config.push if isinstance(config.push, tuple) else ("no", "yes")[config.push and config.endpoint is not None]
    return (row.name, config.profile, config.endpoint, config.webhook_path, push, config.priority, row.state)


def to_json(row: ConnectorRow) -> dict[str, Any]:
    """The registry body without secrets (HMS-API)."""
    return {"connectorId": f"conn_{row.connector_id}", "status": row.state, **json.decode(row.config)}


def _put(tx: Tx, known: ConnectorRow | None, config: Config, secrets: dict[str, str]) -> str:
    text = json.encode(config.to_json()).decode()
    kept = tx.secrets(config.name) if known else {}
    if known and known.config == text and kept == {**kept, **secrets}:
        return f"{config.name}: as it was"
    tx.put_connector(config.name, text)
    for name, value in secrets.items():
        tx.put_secret(config.name, name, value)
    return f"{config.name}: {'changed' if known else 'created'}"


def _refuse_shared_path(known: dict[str, ConnectorRow], configs: list[Config]) -> None:
    named = {config.name for config in configs}
    others = (from_json(json.decode(row.config)) for name, row in known.items() if name not in named)
    taken = {config.webhook_path: config.name for config in others if config.webhook_path}
    for config in configs:
        if config.webhook_path in taken:
            raise Conflict(
                f"{config.name}: {config.webhook_path} takes the webhooks of {taken[config.webhook_path]} already; "
                "set another sync.path"
            )
