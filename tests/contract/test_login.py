"""Logins against an OAuth server over real sockets, with SQLite and PostgreSQL as the vault: one refresh at a time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.commands import connectors
from gateway.connectors.call import Call
from gateway.connectors.config import Config, from_json
from gateway.delivery import incidents
from gateway.delivery.health import Breaker, Sign
from gateway.delivery.http import Outbound
from gateway.delivery.login import OAuth2
from gateway.delivery.login_tokens import Tokens
from gateway.delivery.logins import Logins
from gateway.delivery.peers import Peers
from gateway.errors import PartnerLoginExpired, PartnerRejected, PartnerUnavailable, StoreBusy
from gateway.fhir import json
from gateway.sandbox import campdoc, serve
from gateway.sandbox.campdoc import CampSandbox
from gateway.sandbox.oauth import Knobs
from gateway.store import Store

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]
CALLBACK = "https://gateway.test/oauth/callback"
SCOPE = "profiles:read profiles:write"


@dataclass
class Desk:
    """One gateway's logins and the system they are for."""

    store: Store
    outbound: Outbound
    camp: CampSandbox
    url: str

    def logins(self) -> Logins:
        return Logins(self.store, self.outbound, callback=CALLBACK, timeout=3.0)

    @property
    def config(self) -> Config:
        [row] = self.store.query_now(lambda reader: reader.connectors())
        return from_json(json.decode(row.config))

    @property
    def state(self) -> str:
        health = self.store.query_now(lambda reader: reader.health("camp"))
        return health.state if health else "pending"

    def login(self) -> OAuth2:
        found = self.logins().find(self.config)
        assert found is not None
        return found

    async def code(self, **more: str) -> str:
        """What the login page gives once an administrator has agreed."""
        asked = {"client_id": campdoc.CLIENT_ID, "response_type": "code", "scope": SCOPE, "redirect_uri": CALLBACK}
        async with httpx.AsyncClient(trust_env=False) as browser:
            answer = await browser.get(f"{self.url}/!/oauth", params=asked | more)
        return httpx.URL(answer.headers["location"]).params["code"]

    async def authorised(self) -> OAuth2:
        login = self.login()
        await login.exchange(await self.code(), CALLBACK, None)
        return login

    def tokens(self) -> dict[str, Any]:
        kept = self.store.query_now(lambda reader: reader.secrets("camp"))["tokens"]
        found: dict[str, Any] = json.decode(kept)[1]
        return found


def connector(url: str, **auth: Any) -> dict[str, Any]:
    login = {
        "scheme": "OAuth2",
        "grant": "authorization_code",
        "clientId": campdoc.CLIENT_ID,
        "clientSecret": campdoc.CLIENT_SECRET,
        "tokenUrl": f"{url}/public/v2/oauth/access_token",
        "authorizeUrl": f"{url}/!/oauth",
        "scope": SCOPE,
    }
    there = {"endpoint": f"{url}/public/v2", "allow_networks": ["127.0.0.0/8"]}
    return {"name": "camp", "profile": "fhir", **there, "auth": login | auth}


@pytest.fixture
def camp() -> CampSandbox:
    return campdoc.create(redirects=(CALLBACK,))


@pytest.fixture
def url(camp: CampSandbox) -> Iterator[str]:
    with serve.running(camp) as address:
        yield address


@pytest.fixture
async def desk(open_store: Callable[[], Store], camp: CampSandbox, url: str) -> AsyncIterator[Desk]:
    store = open_store()
    connectors.apply(store, json.encode(connector(url)))
    async with Outbound() as outbound:
        yield Desk(store, outbound, camp, url)


def token_requests(camp: CampSandbox) -> int:
    """Refused ones too: of a single-use token a second request is one too many, as many servers then revoke both."""
    return sum(one["path"].endswith("/oauth/access_token") for one in camp.log)


def turn(camp: CampSandbox, **knobs: Any) -> None:
    camp.oauth.knobs = Knobs(**knobs)


async def test_a_code_becomes_tokens_that_are_kept_encrypted(desk: Desk) -> None:
    login = await desk.authorised()
    assert (await login.headers())["authorization"] == f"Bearer {desk.tokens()['access']}"
    assert desk.tokens()["scope"] == SCOPE.split(), "their scope is a list"
    again = await desk.login().headers()
    assert again == await login.headers() and desk.camp.oauth.issued == 1, "another process finds them in the vault"


@pytest.mark.parametrize("change", [{"endpoint": "http://127.0.0.1:9/public/v2"}, {"auth": {"scope": "groups:read"}}])
async def test_tokens_of_another_configuration_are_none_of_its(desk: Desk, change: dict[str, Any]) -> None:
    """They would be sent to a system they do not belong to, or not allow what is asked."""
    await desk.authorised()
    body = connector(desk.url, **change.get("auth", {})) | {name: change[name] for name in change.keys() - {"auth"}}
    connectors.apply(desk.store, json.encode(body))
    with pytest.raises(PartnerLoginExpired, match="is not authorised"):
        await desk.login().headers()


async def test_a_code_is_taken_once(desk: Desk) -> None:
    code = await desk.code()
    login = desk.login()
    await login.exchange(code, CALLBACK, None)
    with pytest.raises(PartnerRejected, match="invalid_grant"):
        await login.exchange(code, CALLBACK, None)


@pytest.mark.parametrize("rotation", [False, True])
async def test_32_who_need_a_new_token_make_one_request(desk: Desk, rotation: bool) -> None:
    turn(desk.camp, rotation=rotation)
    login = await desk.authorised()
    before = await login.headers()
    desk.camp.oauth.expire()
    after = await asyncio.gather(*(login.renew(before) for _ in range(32)))
    assert desk.camp.oauth.issued == token_requests(desk.camp) == 2
    assert {one["authorization"] for one in after} == {f"Bearer {desk.tokens()['access']}"}


async def test_several_gateways_make_one_request(desk: Desk) -> None:
    """Each with logins of its own, as processes have; the lock in the database orders them."""
    turn(desk.camp, rotation=True)
    before = await (await desk.authorised()).headers()
    desk.camp.oauth.expire()
    after = await asyncio.gather(*(desk.login().renew(before) for _ in range(8)))
    assert (
        desk.camp.oauth.issued == token_requests(desk.camp) == 2 and len({one["authorization"] for one in after}) == 1
    )


OTHER = """
import asyncio, sys
from gateway.connectors.config import from_json
from gateway.delivery import incidents
from gateway.delivery.health import Breaker, Sign
from gateway.delivery.http import Outbound
from gateway.delivery.logins import Logins
from gateway.fhir import json
from gateway.store import Store

async def main(url, key, old):
    store = Store.open(url, key=key.encode())
    [row] = store.query_now(lambda reader: reader.connectors())
    async with Outbound() as outbound:
        logins = Logins(store, outbound, callback="https://gateway.test/oauth/callback", timeout=5.0)
        login = logins.find(from_json(json.decode(row.config)))
        print("ready", flush=True)
        sys.stdin.readline()
        found = await asyncio.gather(*(login.renew({"authorization": old}) for _ in range(16)))
        print(*{one["authorization"] for one in found}, sep="|", flush=True)
    store.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_two_processes_make_one_request(desk: Desk, database: str) -> None:
    from .conftest import KEY

    turn(desk.camp, rotation=True)
    before = await (await desk.authorised()).headers()
    desk.camp.oauth.expire()
    asked = [sys.executable, "-c", OTHER, database, KEY.decode(), before["authorization"]]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    processes = [subprocess.Popen(asked, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
    said = await asyncio.gather(*(asyncio.to_thread(process.communicate, "go\n", 30) for process in processes))
    assert {text.strip() for text, _ in said} == {f"Bearer {desk.tokens()['access']}"}
    assert desk.camp.oauth.issued == token_requests(desk.camp) == 2


async def test_a_refused_refresh_asks_for_a_person_and_loses_nothing(desk: Desk) -> None:
    login = await desk.authorised()
    before = await login.headers()
    desk.camp.oauth.revoke()
    with pytest.raises(PartnerLoginExpired, match="invalid_grant"):
        await login.renew(before)
    assert desk.state == "needs_reauth" and desk.tokens()["refresh"]
    asked = len(desk.camp.log)
    with pytest.raises(PartnerLoginExpired):
        await login.renew(before)
    assert len(desk.camp.log) == asked, "a refusal is believed for a while"
    await login.exchange(await desk.code(), CALLBACK, None)
    assert desk.state == "pending", "as before its first call"
    assert await login.headers() == {"authorization": f"Bearer {desk.tokens()['access']}"}


async def test_a_late_refusal_of_the_login_before_is_no_new_one(desk: Desk) -> None:
    """A call was under way with the old token while somebody authorised again."""
    login = await desk.authorised()
    late = Sign("login", PartnerLoginExpired("refused"))
    desk.store.write_now(lambda tx: incidents.note(tx, "camp", late, Breaker()))
    assert desk.state == "needs_reauth"
    await login.refresh_ahead()
    assert desk.state == "pending"


async def test_a_token_server_that_fails_is_no_refusal(desk: Desk) -> None:
    login = await desk.authorised()
    before = await login.headers()
    turn(desk.camp, token_status=500)
    with pytest.raises(PartnerUnavailable):
        await login.renew(before)
    assert desk.state == "pending"
    turn(desk.camp)
    assert await login.renew(before) != before


async def test_an_answer_that_was_lost_is_asked_for_again(desk: Desk) -> None:
    """Their refresh token stays the same: nothing is lost with the answer."""
    login = await desk.authorised()
    before = await login.headers()
    desk.camp.set(drop="after", methods=("POST",), times=1)
    with pytest.raises(PartnerUnavailable):
        await login.renew(before)
    assert await login.renew(before) != before


async def test_a_single_use_refresh_token_that_was_spent_by_a_killed_process(desk: Desk) -> None:
    """Its answer was never stored. The access token goes on until its end, and a person is asked in time."""
    turn(desk.camp, rotation=True, lifetime=600.0)
    login = await desk.authorised()
    before = await login.headers()
    form = {"grant_type": "refresh_token", "refresh_token": desk.tokens()["refresh"]}
    async with httpx.AsyncClient(trust_env=False) as killed:
        pair = (campdoc.CLIENT_ID, campdoc.CLIENT_SECRET)
        await killed.post(f"{desk.url}/public/v2/oauth/access_token", data=form, auth=pair)
    ahead = desk.login()
    ahead._clock = lambda: time.time() + 500.0  # time to refresh, but not the end
    with pytest.raises(PartnerLoginExpired):
        await ahead.refresh_ahead()
    assert desk.state == "needs_reauth"
    assert await ahead.headers() == before
    await login.exchange(await desk.code(), CALLBACK, None)
    assert desk.state == "pending" and await desk.login().headers() != before


async def test_tokens_are_kept_though_the_database_is_busy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    turn(desk.camp, rotation=True)
    login = await desk.authorised()
    before = await login.headers()
    store, failures = login._safe.store, iter([StoreBusy("busy"), StoreBusy("busy")])

    async def busy(*asked: Any) -> Tokens:
        for error in failures:
            raise error
        return await store(*asked)

    monkeypatch.setattr(login._safe, "store", busy)
    assert await login.renew(before) != before
    assert desk.camp.oauth.issued == 2


async def test_nobody_who_gives_up_stops_a_refresh(desk: Desk) -> None:
    """A single-use refresh token is spent by then: its answer has to be kept."""
    turn(desk.camp, rotation=True)
    login = await desk.authorised()
    before = await login.headers()
    desk.camp.set(delay=0.2)
    waiting = asyncio.create_task(login.renew(before))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await login.close()
    assert desk.camp.oauth.issued == 2
    assert (await desk.login().headers())["authorization"] == f"Bearer {desk.tokens()['access']}" != before


async def test_a_lock_of_a_killed_process_runs_out(desk: Desk) -> None:
    from datetime import timedelta

    from gateway.store import locks

    login = await desk.authorised()
    before = await login.headers()
    held = timedelta(seconds=0.3)
    desk.store.write_now(lambda tx: locks.take(tx, "login camp", tx.now + held))
    assert await login.renew(before) != before


async def test_a_token_is_refreshed_ahead_of_its_end(desk: Desk) -> None:
    turn(desk.camp, lifetime=1.0)
    await desk.authorised()
    turn(desk.camp, lifetime=600.0)
    logins = desk.logins()
    asked = 0

    async def configs() -> list[Config]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise StoreBusy("the database is away for a moment")
        return [desk.config]

    loop = asyncio.create_task(logins.run(configs))
    try:
        async with asyncio.timeout(5.0):
            while desk.camp.oauth.issued < 2:
                await asyncio.sleep(0.02)
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await logins.close()
    kept = Tokens(**{**desk.tokens(), "scope": ()})
    assert kept.expires is not None and kept.expires - kept.obtained == 600


async def test_calls_go_on_with_a_new_token_after_a_401(desk: Desk) -> None:
    await desk.authorised()
    logins = desk.logins()

    async def secrets(_: str) -> dict[str, str]:
        return {}

    peer = await Peers(secrets, logins=logins).get(desk.config)
    path = f"/organizations/{campdoc.ORGANIZATION}/profiles"
    assert (await desk.outbound.send(Call("GET", path), peer)).status == 200
    desk.camp.oauth.expire()
    assert (await desk.outbound.send(Call("GET", path), peer)).status == 200
    asked = [(one["path"].rpartition("/")[2], one["status"]) for one in desk.camp.log[-4:]]
    assert asked == [("profiles", 200), ("profiles", 401), ("access_token", 200), ("profiles", 200)]
