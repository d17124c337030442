"""Connectors as rows: what a patch does, what is shown, and what never is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from gateway.errors import Conflict, Gone, InvalidInput, Missing, NotConformant
from gateway.registry import entries
from gateway.store import ConnectorRow, HealthRow, Store

BODY = {
    "name": "ehr",
    "type": "FHIR",
    "endpoint": "https://ehr.example/fhir",
    "auth": {"scheme": "apiKey", "key": "k"},
    "sync": {"mode": "webhook", "path": "/api/webhooks/ehr/patient"},
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "gateway.db", key=Fernet.generate_key())
    yield opened
    opened.close()


def made(store: Store, **more: Any) -> ConnectorRow:
    config, secrets = entries.checked({**BODY, **more})
    return store.write_now(lambda tx: entries.create(tx, config, secrets))


def patched(store: Store, patch: Any) -> ConnectorRow:
    return store.write_now(
        lambda tx: entries.change(tx, entries.get(tx, "ehr"), entries.merged(entries.get(tx, "ehr"), patch))
    )


def secrets(store: Store) -> dict[str, str]:
    return store.query_now(lambda reader: reader.secrets("ehr"))


def test_a_connector_that_takes_webhooks_has_a_secret_for_them(store: Store) -> None:
    made(store)
    assert secrets(store)["webhook_secret"].startswith("whsec_")
    made(store, name="open", sync={"mode": "webhook", "signature": "none"})
    assert store.query_now(lambda reader: reader.secrets("open")) == {"api_key": "k"}


def test_a_patch_changes_what_it_names_and_null_takes_away(store: Store) -> None:
    made(store, priority=3)
    before = secrets(store)
    row = patched(store, {"sync": {"path": None}, "priority": 5})
    config = entries.config_of(row)
    assert (config.webhook_path, config.priority, config.sync.mode) == ("/api/webhooks/ehr", 5, "webhook")
    assert secrets(store) == before


@pytest.mark.parametrize("patch", [[], "x", 7, None])
def test_a_patch_is_an_object(store: Store, patch: Any) -> None:
    row = made(store)
    with pytest.raises(InvalidInput):
        entries.merged(row, patch)


@pytest.mark.parametrize("patch", [{"name": "other"}, {"profile": "intake"}, {"endpoint": "nowhere"}, {"no": 1}])
def test_what_cannot_change_is_refused(store: Store, patch: Any) -> None:
    row = made(store)
    with pytest.raises(NotConformant):
        patched(store, patch)
    assert store.query_now(lambda reader: entries.get(reader, "ehr")) == row


def test_an_ended_connector_leaves_its_name_and_takes_its_keys(store: Store) -> None:
    row = made(store)
    store.write_now(lambda tx: tx.add_principal("p", "ehr", ["documents"], b"hash"))
    store.write_now(lambda tx: entries.end(tx, entries.get(tx, "ehr")))
    with pytest.raises(Gone):
        store.query_now(lambda reader: entries.get(reader, entries.public_id(row)))
    with pytest.raises(Missing):
        store.query_now(lambda reader: entries.get(reader, "nobody"))
    [principal] = store.query_now(lambda reader: reader.principals())
    assert principal.revoked_at is not None and secrets(store) == {}
    with pytest.raises(Conflict):
        made(store, endpoint="https://other.example/fhir")
    made(store, name="other")  # the path is free again
    assert [one.name for one in store.query_now(entries.listed)] == ["other"]


def test_a_go_is_said_once(store: Store) -> None:
    row = made(store, first="plan")
    assert entries.status(row, None) == "pending" and entries.is_still(row)
    gone = entries.config_of(made(store, name="gone", sync={"mode": "manual"}))
    waiting = entries.config_of(row)
    assert entries.after_go(waiting, gone).first == "go", "applying the old file again does not take it back"
    assert entries.after_go(waiting, waiting).first == "plan"


def test_what_is_shown_has_no_secret(store: Store) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    health = HealthRow("ehr", "error", now, last_error='{"code":"transient","message":"m"}')
    shown = entries.shown(made(store), ["api_key", "webhook_secret"], health)
    assert shown["auth"]["secretSet"] and shown["sync"]["secretSet"] and shown["secretSet"] is True
    assert (shown["status"], shown["lastError"]["code"]) == ("error", "transient")
    assert "key" not in shown["auth"] and "secret" not in shown["sync"]


def test_what_nobody_configured_is_no_secret_of_theirs(store: Store) -> None:
    """The keys of our own webhooks to a partner, and tokens, are kept under the connector's name too."""
    shown = entries.shown(made(store, auth={"scheme": "none"}), ["subscriber:7", "tokens", "authorizing"], None)
    assert shown["secretSet"] is False
    assert not any("secretSet" in shown.get(section, {}) for section in ("auth", "sync", "options"))
    hashed = entries.shown(made(store, name="other", sync={"mode": "manual"}), ["identifier_key"], None)
    assert hashed["options"] == {"secretSet": True} and "secretSet" not in hashed["auth"]
