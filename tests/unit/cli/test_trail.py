"""What commands leave in the audit trail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.fhir import json
from gateway.settings import Settings
from gateway.store import open_store

HOOK = ("subscribers", "add", "watcher", "https://partner.example/hooks", "--connector", "clinic")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert not stopped.value.code, stopped.value.code


def trail() -> list[tuple[Any, ...]]:
    """Oldest first."""
    store = open_store(Settings())
    rows = store.query_now(lambda reader: reader.audits(limit=100))
    store.close()
    assert {row.principal for row in rows} == {"command"}
    return [
        (row.action, row.type, row.id if row.type != "Connector" else None, row.connector) for row in reversed(rows)
    ]


def test_connectors_keys_and_subscribers(folder: Path) -> None:
    file = folder / "clinic.json"
    for priority in (0, 1, 1):
        file.write_bytes(json.encode({"name": "clinic", "profile": "intake", "priority": priority}))
        run("connectors", "apply", str(file))
    run("keys", "create", "desk", "--connector", "clinic", "--scope", "documents")
    run("keys", "revoke", "desk")
    run(*HOOK)
    run("subscribers", "rotate-secret", "watcher")
    run("subscribers", "remove", "watcher")
    assert trail() == [
        ("C", "Connector", None, "clinic"),
        ("U", "Connector", None, "clinic"),
        ("C", "Key", "desk", "clinic"),
        ("D", "Key", "desk", "clinic"),
        ("C", "Subscriber", "watcher", "clinic"),
        ("U", "Subscriber", "watcher", None),
        ("D", "Subscriber", "watcher", None),
    ]


def test_a_snapshot_reads_everything(folder: Path) -> None:
    run("snapshot", "--out", str(folder / "snapshot"))
    assert trail() == [("E", "*", None, None)]
