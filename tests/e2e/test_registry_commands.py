"""`gateway connectors ...`, as an operator types it, over the same rows as the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import cli
from gateway.fhir import json
from gateway.sandbox import hms, serve
from gateway.sandbox.faults import Sandbox

Run = Callable[..., Any]
SECRET = "whsec_c2VjcmV0"


@pytest.fixture
def there() -> Iterator[tuple[Sandbox, str]]:
    sandbox = hms.create()
    with serve.running(sandbox) as url:
        yield sandbox, url


@pytest.fixture
def run(
    there: tuple[Sandbox, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Run:
    """A command, which must end with `code`, and what it prints: JSON where it is, else text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_DATA", str(tmp_path))
    monkeypatch.setenv("GATEWAY_ALLOW_NETWORKS", "127.0.0.0/8")
    auth = {"scheme": "apiKey", "key": hms.API_KEY}
    sync = {"mode": "webhook", "secret": SECRET}
    body = {"name": "ehr", "type": "FHIR", "endpoint": f"{there[1]}/fhir", "auth": auth, "sync": sync}
    (tmp_path / "ehr.json").write_bytes(json.encode(body))

    def run_(*arguments: str, code: int = 0) -> Any:
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        assert (end.value.code or 0) == code or (code == 1 and isinstance(end.value.code, str)), end.value.code
        said = capfdbinary.readouterr().out
        if code and isinstance(end.value.code, str):
            return end.value.code
        return json.decode(said) if said[:1] in (b"{", b"[") else said.decode().strip()

    run_("connectors", "apply", "ehr.json")
    return run_


def test_show_tells_everything_but_the_secrets(run: Run) -> None:
    shown = run("connectors", "show", "ehr")
    assert (shown["name"], shown["status"], shown["secretSet"]) == ("ehr", "connected", True)
    assert SECRET not in str(shown) and hms.API_KEY not in str(shown)
    assert run("connectors", "show", shown["connectorId"]) == shown
    assert "no connector" in run("connectors", "show", "nobody", code=1)


def test_apply_tells_them_where_their_webhooks_go(run: Run, there: tuple[Sandbox, str], tmp_path: Path) -> None:
    """As the API does (HMS-API); a secret that nobody gave is made, and what they refuse is no reason not to apply."""
    asked = [(one["method"], one["path"]) for one in there[0].log]
    assert ("POST", "/fhir/Subscription") in asked
    body = json.decode((tmp_path / "ehr.json").read_bytes())
    body |= {"name": "other", "sync": {"mode": "webhook", "path": "/api/webhooks/other"}}
    (tmp_path / "other.json").write_bytes(json.encode(body))
    there[0].set(status=500)
    assert run("connectors", "apply", "other.json") == "other: created"
    shown = run("connectors", "show", "other")
    assert (shown["status"], shown["sync"]["secretSet"]) == ("error", True) and shown["lastError"]["code"]
    there[0].set()
    run("connectors", "apply", "other.json")
    assert run("connectors", "show", "other")["status"] == "connected"


def test_pause_and_resume_are_seen_in_list_and_status(run: Run) -> None:
    assert run("connectors", "pause", "ehr") == "ehr: paused"
    assert run("connectors", "status", "ehr", "--json")["status"] == "paused"
    [listed] = [one for one in run("connectors", "list", "--json") if one["name"] == "ehr"]
    assert listed["status"] == "paused"
    assert run("connectors", "apply", "ehr.json") == "ehr: as it was"
    assert run("connectors", "status", "ehr", "--json")["status"] == "paused", "applying a file wakes nobody"
    assert run("connectors", "resume", "ehr") == "ehr: connected"
    assert "queued" in run("connectors", "status", "ehr")


def test_test_ends_with_status_1_when_their_side_refuses(run: Run, there: tuple[Sandbox, str]) -> None:
    assert run("connectors", "test", "ehr", "--json")["status"] == "connected"
    there[0].set(status=500)
    assert run("connectors", "test", "ehr", "--json", code=1)["status"] == "error"


def test_what_a_command_logs_is_no_part_of_what_it_prints(run: Run, there: tuple[Sandbox, str], tmp_path: Path) -> None:
    """A login that is refused opens an incident, and one that is taken closes it; both are logged."""
    body = {"name": "state", "type": "FHIR", "endpoint": f"{there[1]}/fhir"}
    login = {"scheme": "OAuth2", "clientId": hms.CLIENT[0], "tokenUrl": f"{there[1]}/oauth/token"}
    for secret in ("wrong", hms.CLIENT[1]):
        (tmp_path / "state.json").write_bytes(json.encode({**body, "auth": {**login, "clientSecret": secret}}))
        applied = run("connectors", "apply", "state.json")
        assert applied == ("state: created" if secret == "wrong" else "state: changed")
        tested = run("connectors", "test", "state", "--json", code=1 if secret == "wrong" else 0)
        assert tested["status"] == ("needs_reauth" if secret == "wrong" else "connected")


def test_a_rotated_secret_is_printed_once(run: Run) -> None:
    said = run("connectors", "rotate-secret", "ehr")
    assert "whsec_" in said and SECRET not in said
    assert "whsec_" not in str(run("connectors", "show", "ehr"))


def test_a_sync_is_asked_for_and_listed(run: Run) -> None:
    said = run("connectors", "sync", "ehr", "--mode", "delta", "--dry-run", "--offer")
    assert "sync_started" in said
    [row] = run("connectors", "syncs", "ehr")
    assert (row["mode"], row["dryRun"], row["status"]) == ("delta", True, "running")
    assert run("connectors", "syncs", "ehr", row["syncId"])["report"]["seen"] == 0
    assert "mode" in run("connectors", "sync", "ehr", "--mode", "sideways", code=1)


def test_delete_asks_to_be_said_twice(run: Run) -> None:
    assert "--yes" in run("connectors", "delete", "ehr", code=1)
    assert run("connectors", "delete", "ehr", "--yes") == "ehr: deleted"
    assert "deleted" in run("connectors", "show", "ehr", code=1)
    assert run("connectors", "apply", "ehr.json") == "ehr: created", "the same system may come back"


def test_go_is_only_for_who_waits(run: Run, tmp_path: Path) -> None:
    assert "does not wait" in run("connectors", "go", "ehr", code=1)
    body = json.decode((tmp_path / "ehr.json").read_bytes())
    body |= {"name": "new", "first": "plan", "sync": {"mode": "manual"}}
    (tmp_path / "new.json").write_bytes(json.encode(body))
    run("connectors", "apply", "new.json")
    assert run("connectors", "status", "new", "--json")["status"] == "pending"
    [plan] = run("connectors", "syncs", "new")
    assert (plan["mode"], plan["dryRun"]) == ("first", True)
    assert run("connectors", "go", "new") == "new: connected"
    assert [one["mode"] for one in run("connectors", "syncs", "new")] == ["full", "first"]


def test_the_sandbox_lists_its_stand_ins(run: Run) -> None:
    assert run("sandbox", "list").split() == serve.names()
