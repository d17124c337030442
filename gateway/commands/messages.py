"""`gateway messages`: what came in, in which state it is, and why; its text only when asked for."""

from __future__ import annotations

from typing import Any

from gateway.errors import InvalidInput, Missing
from gateway.fhir import json
from gateway.store import MessageRow, Store

COLUMNS = ("id", "at", "connector", "kind", "state", "bytes", "error")
EMPTY = "No such messages."
STATES = ("received", "applied", "held", "failed")


def listed(store: Store, state: str | None, connector: str | None, limit: int, after: str = "") -> list[MessageRow]:
    """Oldest first; `after` = the id of the last one of the page before. Raises InvalidInput for an unknown state."""
    if state is not None and state not in STATES:
        raise InvalidInput(f"no message is ever {state!r}: use one of {', '.join(STATES)}")
    return store.query_now(lambda reader: reader.messages(state, connector, limit=limit, after=after))


def get(store: Store, message_id: str) -> MessageRow:
    """Raises Missing."""
    found = store.query_now(lambda reader: reader.message(message_id))
    if found is None:
        raise Missing(f"no message has the id {message_id!r}: see 'gateway messages list'")
    return found


def cells(row: MessageRow) -> tuple[object, ...]:
    """As COLUMNS."""
    return (row.message_id, row.at, row.connector, row.kind, row.state, len(row.body), row.error)


def to_json(row: MessageRow) -> dict[str, Any]:
    """Everything but its text and the answer to it."""
    shown: dict[str, Any] = {**row._asdict(), "bytes": len(row.body), "issues": _issues(row)}
    del shown["body"], shown["result"]
    return shown


def pairs(row: MessageRow) -> list[tuple[str, object]]:
    """The same for people, one line per fact and per issue."""
    facts: list[tuple[str, object]] = [(name, value) for name, value in to_json(row).items() if name != "issues"]
    return facts + [("issue", " ".join(_told(issue))) for issue in _issues(row)]


def _issues(row: MessageRow) -> list[dict[str, Any]]:
    return json.decode(row.issues) if row.issues else []


def _told(issue: dict[str, Any]) -> list[str]:
    where = issue.get("expression") or []
    return [issue.get("severity", ""), issue.get("code", ""), *where, issue.get("diagnostics", "")]
