"""`gateway campdoc` and `gateway connectors authorize`, as an operator types them, against the stand-in on a socket."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import cli
from gateway.fhir import json
from gateway.sandbox import campdoc, serve
from gateway.sandbox.campdoc import CampSandbox

Run = Callable[..., Any]


@pytest.fixture
def camp() -> CampSandbox:
    return campdoc.create()


@pytest.fixture
def url(camp: CampSandbox) -> Iterator[str]:
    with serve.running(camp) as address:
        yield address


@pytest.fixture
def run(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """A command and what it prints: JSON where it is, else text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_DATA", str(tmp_path))
    monkeypatch.setenv("GATEWAY_PUBLIC_URL", "https://gateway.test")
    body = {
        "name": "camp",
        "profile": "campdoc",
        "endpoint": f"{url}/public/v2",
        "options": {"orgID": campdoc.ORGANIZATION},
        "auth": {"scheme": "OAuth2", "clientId": campdoc.CLIENT_ID, "clientSecret": campdoc.CLIENT_SECRET},
        "allow_networks": ["127.0.0.0/8"],
    }
    (tmp_path / "camp.json").write_bytes(json.encode(body))

    def run_(*arguments: str, said: object = None, typed: str | None = None) -> Any:
        capfdbinary.readouterr()
        given = json.encode(said) if typed is None else typed.encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        assert not end.value.code, end.value.code
        printed = capfdbinary.readouterr().out
        return json.decode(printed) if printed[:1] in (b"{", b"[") else printed.decode().strip()

    run_("connectors", "apply", "camp.json")
    return run_


def log_in(url: str, tmp_path: Path) -> None:
    """Tokens as the callback stores them."""
    import asyncio

    from gateway.commands.calling import calling
    from gateway.commands.connectors import get
    from gateway.settings import Settings
    from gateway.store import open_store
    from gateway.systems.priming import Priming

    async def work() -> None:
        settings = Settings(_env_file=None, data=tmp_path, public_url="https://gateway.test")
        store = open_store(settings)
        asked = {"client_id": campdoc.CLIENT_ID, "response_type": "code", "scope": " ".join(campdoc.SCOPES)}
        redirect = "https://gateway.test/oauth/callback"
        async with httpx.AsyncClient(trust_env=False) as browser:
            sent = await browser.get(f"{url}/!/oauth", params={**asked, "redirect_uri": redirect})
        code = httpx.URL(sent.headers["location"]).params["code"]
        async with calling(store, settings) as caller:
            priming = Priming(caller.flow, caller.logins)
            await priming.store_access_information(get(store, "camp"), code, redirect, "operator")
        store.close()

    asyncio.run(work())


def test_a_link_is_printed_alone(run: Run) -> None:
    assert run("connectors", "authorize", "camp").startswith("https://gateway.test/oauth/start/camp.")
    assert run("campdoc", "authorize", "camp").startswith("https://gateway.test/oauth/start/camp.")


def test_before_the_login_it_says_what_to_do(run: Run) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["campdoc", "list-groups", "camp"])
    assert "gateway connectors authorize camp" in str(end.value.code)


def test_every_operation(run: Run, url: str, camp: CampSandbox, tmp_path: Path) -> None:
    log_in(url, tmp_path)
    made = run("campdoc", "put-profile", "camp", "kid-1", said={"givenName": "Ida", "familyName": "Rask"})
    number = str(made["id"])
    (tmp_path / "sex.json").write_bytes(b'{"sex": "Female"}')
    assert run("campdoc", "put-profile", "camp", "kid-1", "sex.json")["sex"] == "Female"
    emptied = run("campdoc", "put-profile", "camp", "kid-1", "-", said={"sex": None})
    assert (emptied["sex"], emptied["givenName"]) == (None, "Ida")
    assert run("campdoc", "get-profile", "camp", number)["givenName"] == "Ida"
    assert run("campdoc", "get-profile", "camp", "kid-1", "--by", "identifier")["id"] == made["id"]
    assert made["id"] in {one["id"] for one in run("campdoc", "list-profiles", "camp")}
    assert {one["name"] for one in run("campdoc", "list-groups", "camp")} >= {"Otters"}
    assert run("campdoc", "get-group", "camp", "otters-1", "--identifier")["id"] == 502
    assert run("campdoc", "get-group", "camp", "502")["name"] == "Otters"
    registered = run("campdoc", "create-registration", "camp", number, "502")
    other = run("campdoc", "create-registration", "camp", number, "herons-1", "--identifier", "--type", "provider")
    assert (registered["groupID"], other["groupID"], other["type"]) == (502, 503, "provider")
    assert run("campdoc", "deactivate-registration", "camp", number, str(registered["id"])) == ""
    assert len(run("campdoc", "list-registrations", "camp", number)) == 2
    assert [one["id"] for one in run("campdoc", "list-registrations", "camp", number, "--active")] == [other["id"]]
    camp.camp.reviews[made["id"]] = [{"label": "Medical"}]
    assert run("campdoc", "list-reviews", "camp", number) == [{"label": "Medical"}]
    person = {"email": "mona@example.org", "givenName": "Mona", "familyName": "Rask"}
    assert run("campdoc", "create-user", "camp", number, said=person)["email"] == "mona@example.org"
    assert run("campdoc", "create-sso-link", "camp", "mona@example.org")["url"].startswith(url)
    linked = run("campdoc", "create-sso-link", "camp", typed="mona@example.org\n")
    assert linked["user"]["email"] == "mona@example.org"
