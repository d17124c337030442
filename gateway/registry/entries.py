"""Entries: connectors as rows - made, changed and ended in a writer's job, and as they are shown."""

from __future__ import annotations

import base64
import secrets as randomness
from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.connectors.config import (
    API_KEY,
    BROKER_PASSWORD,
    CLIENT_SECRET,
    IDENTIFIER_KEY,
    OTHER_KEY,
    PASSWORD,
    PRIVATE_KEY,
    WEBHOOK_SECRET,
    WEBHOOK_SECRET_BEFORE,
    Config,
    from_json,
)
from gateway.connectors.config_file import Secrets, parse_one
from gateway.errors import Conflict, Gone, InvalidInput, Missing, NotConformant
from gateway.fhir import json
from gateway.fhir.json import Json
from gateway.planning.directory import ENDED, STILL
from gateway.registry import runs
from gateway.store import ConnectorRow, HealthRow, Reader, Tx

PREFIX = "conn_"
CONNECTED, PENDING = "connected", "pending"
_SECRET_BYTES = 24


def listed(reader: Reader) -> list[ConnectorRow]:
    """By name, without those that were ended."""
    return [row for row in reader.connectors() if row.state != ENDED]


def external(reader: Reader) -> list[ConnectorRow]:
    """Those that are links to a system, or were configured: not the bare names that keys of ours speak for."""
    return [row for row in listed(reader) if not _is_bare(row)]


def _is_bare(row: ConnectorRow) -> bool:
    """Whether nothing but a key made it: whoever has that key is not connected yet."""
    return config_of(row) == Config(name=row.name, profile="intake", push=False)


def get(reader: Reader, name: str) -> ConnectorRow:
    """By its id (`conn_...`) or its name. Raises Missing, Gone when it was ended."""
    found = next((row for row in reader.connectors() if name in (public_id(row), row.name)), None)
    if found is None:
        raise Missing(f"there is no connector {name!r}: see 'gateway connectors list'")
    if found.state == ENDED:
        raise Gone(f"the connector {found.name} was deleted")
    return found


def public_id(row: ConnectorRow) -> str:
    return f"{PREFIX}{row.connector_id:03d}"


def config_of(row: ConnectorRow) -> Config:
    return from_json(json.decode(row.config))


def checked(body: Json, *, kept: Iterable[str] = ()) -> tuple[Config, Secrets]:
    """A connector as a caller sent it. Raises NotConformant naming the field, InvalidInput when it is no object."""
    if not isinstance(body, dict):
        raise InvalidInput("a connector must be a JSON object")
    try:
        return parse_one(body, kept=frozenset(kept))
    except InvalidInput as error:
        raise NotConformant(error.message) from None


def create(tx: Tx, config: Config, secrets: Secrets) -> ConnectorRow:
    """A new one; its first contact begins where that waits for an operator.

    Raises Conflict when its name, or its webhook path, is taken.
    A name is never given to another system: what the one before it said is kept under it.
    """
    known = {row.name: row for row in tx.connectors()}
    before = known.get(config.name)
    if before is not None and before.state != ENDED and not _is_bare(before):
        raise Conflict(
            f"there is a connector {config.name} already ({public_id(before)}): change it, or take another name"
        )
    if before is not None and not _is_bare(before) and config_of(before).remote_system != config.remote_system:
        raise Conflict(f"the name {config.name} was another system's: take another one")
    refuse_shared_path(known.values(), [config])
    row = put(tx, config, with_webhook_secret(config, secrets), state=CONNECTED)
    if config.waits:
        runs.begin(tx, row, runs.FIRST)
    return row


def put(tx: Tx, config: Config, secrets: Secrets, *, state: str) -> ConnectorRow:
    """Make or replace it; secrets that are not given are kept."""
    row = tx.put_connector(config.name, json.encode(config.to_json()).decode(), state=state)
    for name, value in secrets.items():
        tx.put_secret(config.name, name, value)
    return row


def new_secret() -> str:
    """A webhook secret in the form of Standard Webhooks."""
    return f"whsec_{base64.b64encode(randomness.token_bytes(_SECRET_BYTES)).decode()}"


def with_webhook_secret(config: Config, secrets: Secrets) -> Secrets:
    """A connector that takes webhooks always has a secret for them: what is unsigned is never taken by accident."""
    if config.webhook_path is None or WEBHOOK_SECRET in secrets or config.signatures == ("none",):
        return secrets
    return {**secrets, WEBHOOK_SECRET: new_secret()}


def is_still(row: ConnectorRow) -> bool:
    """Whether nothing is sent there or asked of it now."""
    return row.state in STILL or config_of(row).waits


def after_go(config: Config, known: Config) -> Config:
    """A go is said once: whoever changes the connector afterwards need not say it again."""
    return config if known.waits else msgspec.structs.replace(config, first="go")


def change(tx: Tx, row: ConnectorRow, body: Json) -> ConnectorRow:
    """Replace what is configured; secrets that the body leaves out are kept while they are of use.

    Raises NotConformant, and Conflict when its webhook path is taken.
    """
    config, secrets = checked(body, kept=tx.secrets(row.name))
    if config.name != row.name or config.profile != config_of(row).profile:
        raise NotConformant("name and profile of a connector cannot change: make another one")
    refuse_shared_path(tx.connectors(), [config])
    return put(tx, after_go(config, config_of(row)), completed(tx, config, secrets), state=row.state)


def completed(tx: Tx, config: Config, secrets: Secrets) -> Secrets:
    """The secrets that are given, and one for webhooks where none is given or kept."""
    return secrets if WEBHOOK_SECRET in tx.secrets(config.name) else with_webhook_secret(config, secrets)


def as_given(row: ConnectorRow, body: Json) -> Json:
    """What was shown of a connector and is sent back changed, without what only we say of it.

    Raises NotConformant when it is another one's.
    """
    if not isinstance(body, dict):
        return body
    if body.get("connectorId", public_id(row)) != public_id(row):
        raise NotConformant(f"connectorId must be {public_id(row)}, as in the address")
    given = {name: value for name, value in body.items() if name not in _SHOWN_ONLY}
    for section in ("auth", "sync", "options"):
        if isinstance(given.get(section), dict):
            given[section] = {name: value for name, value in given[section].items() if name != "secretSet"}
    return given


def merged(row: ConnectorRow, patch: Json) -> Json:
    """What is configured with a merge patch applied (RFC 7396). Raises InvalidInput when the patch is no object."""
    if not isinstance(patch, dict):
        raise InvalidInput("a patch of a connector must be a JSON object")
    return _merge(json.decode(row.config), patch)


def _merge(target: Json, patch: Json) -> Json:
    if not isinstance(patch, dict):
        return patch
    merged_: dict[str, Json] = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged_.pop(name, None)
        else:
            merged_[name] = _merge(merged_.get(name), value)
    return merged_


def end(tx: Tx, row: ConnectorRow) -> None:
    """Its secrets and the keys of those who spoke for it go; what it had said stays, under its name."""
    tx.set_connector_state(row.name, ENDED)
    for name in tx.secrets(row.name):
        tx.remove_secret(row.name, name)
    for principal in tx.principals():
        if principal.connector == row.name and principal.revoked_at is None:
            tx.revoke_principal(principal.principal_id)


def refuse_shared_path(rows: Iterable[ConnectorRow], configs: Iterable[Config]) -> None:
    """Raises Conflict when two connectors would take the same webhooks."""
    configs = list(configs)
    named = {config.name for config in configs}
    others = [config_of(row) for row in rows if row.name not in named and row.state != ENDED]
    taken = {config.webhook_path: config.name for config in others if config.webhook_path}
    for config in configs:
        if config.webhook_path in taken:
            raise Conflict(
                f"{config.name}: {config.webhook_path} takes the webhooks of {taken[config.webhook_path]} already; "
                "set another sync.path"
            )


def shown(row: ConnectorRow, secrets: Iterable[str], health: HealthRow | None = None) -> dict[str, Any]:
    """As the API and `gateway connectors` tell it: never a secret, only whether there is one."""
    config = json.decode(row.config)
    named = {section: set(secrets).intersection(names) for section, names in _CONFIGURED.items()}
    for section, held in named.items():
        if held:
            config[section] = {**config.get(section, {}), "secretSet": True}
    head = {"connectorId": public_id(row), "name": row.name, "status": status(row, health)}
    error = last_error(health) if head["status"] != CONNECTED else None
    failed = {"lastError": error} if error is not None else {}
    return {**head, **config, "secretSet": bool(any(named.values())), **failed}


def status(row: ConnectorRow, health: HealthRow | None) -> str:
    """pending, connected, degraded, needs_reauth, paused or error (HMS-API)."""
    if row.state != CONNECTED:
        return row.state
    if config_of(row).waits:
        return PENDING
    return health.state if health is not None else row.state


def last_error(health: HealthRow | None) -> Json:
    """`{"code", "message", "at"}` of what went wrong last, None when nothing did."""
    return json.decode(health.last_error) if health is not None and health.last_error else None


_SHOWN_ONLY = ("connectorId", "status", "secretSet", "lastError")
_CONFIGURED = {
    "auth": (API_KEY, CLIENT_SECRET, PRIVATE_KEY, PASSWORD, OTHER_KEY),
    "sync": (WEBHOOK_SECRET, WEBHOOK_SECRET_BEFORE, BROKER_PASSWORD),
    "options": (IDENTIFIER_KEY,),
}
"""Section -> its secrets. What else is kept, tokens and its subscribers' keys, nobody configured."""
