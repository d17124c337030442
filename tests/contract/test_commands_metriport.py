"""`gateway metriport` against the stand-in: the command line needs no server of ours."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.commands import connectors
from gateway.commands.metriport import parse
from gateway.errors import InvalidInput
from gateway.fhir import json
from gateway.sandbox import metriport, serve
from gateway.settings import Settings
from gateway.store import open_store


@pytest.fixture
def connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("GATEWAY_DATA", str(tmp_path))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with serve.running(metriport.create()) as url:
        store = open_store(Settings(_env_file=None))
        body = {
            "name": "metriport",
            "profile": "metriport",
            "endpoint": url,
            "auth": {"scheme": "apiKey", "header": "x-api-key", "key": metriport.API_KEY},
            "sync": {"mode": "webhook", "signature": "metriport"},
            "options": {"facilityId": metriport.FACILITY_ID},
            "allow_networks": ["127.0.0.0/8"],
        }
        connectors.apply(store, json.encode(body))
        store.close()
        yield url


def run(capfdbinary: pytest.CaptureFixture[bytes], *arguments: str) -> Any:
    with pytest.raises(SystemExit) as stopped:
        main(["metriport", *arguments])
    assert stopped.value.code in (0, None), stopped.value.code
    return capfdbinary.readouterr().out


def test_operations_are_listed(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    listed = json.decode(run(capfdbinary, "operations", "--json"))
    assert "aal2Session" in listed["network-query"]["arguments"]
    assert b"network-query" in run(capfdbinary, "operations")


def test_an_answer_is_json(connected: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    said = json.decode(run(capfdbinary, "run", "metriport", "facilities"))
    assert said["facilities"][0]["id"] == metriport.FACILITY_ID
    token = json.decode(run(capfdbinary, "run", "metriport", "embed-token", "expirationInSeconds=3600"))
    assert len(token["token"]) == 36


def test_a_file_is_sent_and_one_is_written(
    connected: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    rows = tmp_path / "patients.csv"
    rows.write_text(
        "firstName,lastName,dob,genderAtBirth,addressLine1,city,state,zip\n"
        "Ada,Quill,1980-02-22,F,1 Way,Alder,OH,43999\n"
    )
    out = tmp_path / "answer.json"
    run(capfdbinary, "run", "metriport", "bulk-create", "dryRun=true", "--file", str(rows), "--out", str(out))
    request = json.decode(out.read_bytes())["requestId"]
    said = json.decode(run(capfdbinary, "run", "metriport", "bulk-status", f"request={request}"))
    assert (said["status"], said["successful"]) == ("completed", 1)


def test_what_tells_of_somebody_stands_on_no_command_line(
    connected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Everybody on the machine sees a command line: a name to look for comes from a file or on standard input."""
    given = tmp_path / "given.json"
    address = {"addressLine1": "1 Hill Way", "city": "Alder", "state": "OH", "zip": "43999", "country": "USA"}
    body = {"name": "Hill Cardiology", "npi": "1234567893", "active": True, "address": address}
    given.write_bytes(json.encode({"body": body, "facility": metriport.FACILITY_ID}))
    said = json.decode(run(capfdbinary, "run", "metriport", "update-facility", "--arguments", str(given)))
    assert (said["name"], said["active"]) == ("Hill Cardiology", True)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"count": 1, "filters": "nobody"}')))
    found = json.decode(run(capfdbinary, "run", "metriport", "patients", "count=5", "--arguments", "-"))
    assert found["patients"] == []
    given.write_bytes(b"[]")
    with pytest.raises(SystemExit) as stopped:
        main(["metriport", "run", "metriport", "facilities", "--arguments", str(given)])
    assert "must be a JSON object" in str(stopped.value.code)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "there is no operation 'nothing'"),
        (["opt-out", "patient=x"], "hieOptOut is required"),
        (["summary-status", "patient=x"], "there is no Patient with this id"),
        (["settings", "x"], "write NAME=VALUE"),
    ],
)
def test_what_is_wrong_is_one_line(connected: str, arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["metriport", "run", "metriport", *arguments])
    assert message in str(stopped.value.code)


def test_arguments_are_text_unless_they_are_json() -> None:
    words = ["a=1", "b=true", 'c={"d": [1]}', "e=x=y", "f="]
    assert parse(words) == {"a": "1", "b": True, "c": {"d": [1]}, "e": "x=y", "f": ""}
    with pytest.raises(InvalidInput):
        parse(["a={"])
