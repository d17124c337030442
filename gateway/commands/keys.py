"""`gateway keys`: who may call us, as which connector, for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.auth import new_key, parse_scopes
from gateway.commands import trail
from gateway.connectors.config_file import parse
from gateway.errors import Conflict, InvalidInput, Missing
from gateway.fhir import json
from gateway.planning.directory import ENDED
from gateway.store import PrincipalRow, Store, Tx

COLUMNS = ("id", "name", "connector", "scopes", "created", "last used", "revoked")
EMPTY = "No keys yet: gateway keys create NAME --connector CONNECTOR --scope 'system/*.cruds'"

_LIVE_AT_ONCE = 2
"""The old and the new one while a holder changes over."""


def create(store: Store, name: str, connector: str, scopes: Sequence[str]) -> str:
    """The new key: only its hash is stored. Raises InvalidInput, Missing or Conflict that say what to do next."""
    if not name.strip() or not name.isprintable():
        raise InvalidInput("a key needs a name, for instance of the person or program that holds it")
    allowed = sorted(parse_scopes(scopes))
    key, digest = new_key()

    def job(tx: Tx) -> None:
        _ensure_connector(tx, connector)
        if len(_live(tx.principals(), name)) >= _LIVE_AT_ONCE:
            raise Conflict(f"{name!r} has {_LIVE_AT_ONCE} keys already: revoke one first, see 'gateway keys list'")
        tx.add_principal(name, connector, allowed, digest)
        trail.changed(tx, "C", "Key", name, connector)

    store.write_now(job)
    return key


def listed(store: Store) -> list[PrincipalRow]:
    """Oldest first, revoked ones included."""
    return store.query_now(lambda reader: reader.principals())


def cells(row: PrincipalRow) -> tuple[object, ...]:
    """As COLUMNS."""
    return (row.principal_id, row.name, row.connector, row.scopes, row.created_at, row.last_used, row.revoked_at)


def to_json(row: PrincipalRow) -> dict[str, Any]:
    """Without the hash."""
    shown: dict[str, Any] = {**row._asdict(), "scopes": sorted(row.scopes)}
    del shown["key_hash"]
    return shown


def revoke(store: Store, key: str) -> str:
    """Ends one live key, named by its id or, when it is the only one, its name; says whose it was."""

    def job(tx: Tx) -> str:
        row = _one_live(tx.principals(), key)
        tx.revoke_principal(row.principal_id)
        trail.changed(tx, "D", "Key", row.name, row.connector)
        return f"{row.name} ({row.principal_id})"

    return store.write_now(job)


def _ensure_connector(tx: Tx, name: str) -> None:
    """Who only sends needs no file: an unknown name becomes an intake connector."""
    known = {row.name: row.state for row in tx.connectors()}
    if known.get(name) == ENDED:
        raise Conflict(f"the connector {name} was deleted: take another name")
    if name not in known:
        [(config, _)] = parse({"name": name, "profile": "intake", "push": False})
        tx.put_connector(name, json.encode(config.to_json()).decode())


def _live(rows: Sequence[PrincipalRow], name: str) -> list[PrincipalRow]:
    return [row for row in rows if row.name == name and row.revoked_at is None]


def _one_live(rows: Sequence[PrincipalRow], key: str) -> PrincipalRow:
    by_id = [row for row in rows if str(row.principal_id) == key and row.revoked_at is None]
    found = by_id or _live(rows, key)
    if not found:
        raise Missing(f"no live key has the id or name {key!r}: see 'gateway keys list'")
    if len(found) > 1:
        ids = ", ".join(str(row.principal_id) for row in found)
        raise Conflict(f"{key!r} has several live keys: name one by its id, {ids}")
    return found[0]
