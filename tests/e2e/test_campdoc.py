"""CampDoc end to end: the login in the browser, patients to profiles and back, every operation of Z.MIS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.connectors import campdoc as connector
from gateway.flow import Received
from gateway.intake import findings
from gateway.sandbox import campdoc, serve
from gateway.sandbox.campdoc import CampSandbox
from gateway.sandbox.oauth import Knobs
from gateway.systems import priming

from .desk import Desk, decoded, opened, patient
from .waiting import until

pytestmark = pytest.mark.anyio

PUBLIC = "https://gateway.test"
ORG = campdoc.ORGANIZATION
API = "/api/external-connectors/camp"
QUICK: dict[str, Any] = {
    "deliver": True,
    "retry_schedule": (0.0, *[0.05] * 400),
    "lease": 2.0,
    "delivery_timeout": 1.0,
    "public_url": PUBLIC,
}


@dataclass
class Camp:
    """The gateway, the camp it is connected to, and the administrator's browser."""

    desk: Desk
    sandbox: CampSandbox
    url: str
    operator: str
    browser: httpx.AsyncClient

    def connect(self, sync: dict[str, Any], **more: Any) -> None:
        auth = {"scheme": "OAuth2", "clientId": campdoc.CLIENT_ID, "clientSecret": campdoc.CLIENT_SECRET}
        body = {"name": "camp", "profile": "campdoc", "endpoint": f"{self.url}/public/v2", "options": {"orgID": ORG}}
        self.desk.connect({**body, "auth": auth, "sync": sync, "allow_networks": ["127.0.0.0/8"], **more})

    @property
    def state(self) -> str:
        health = self.desk.ask(lambda reader: reader.health("camp"))
        return str(health.state) if health else "pending"

    async def link(self) -> str:
        answer = await self.call("POST", "/authorize")
        assert answer.status_code == 201, answer.text
        link: str = answer.json()["url"]
        assert link.startswith(f"{PUBLIC}/oauth/start/")
        return link

    async def open(self, link: str) -> httpx.Response:
        """A page of ours, as the browser shows it."""
        return await self.desk.client.get(link.removeprefix(PUBLIC))

    async def log_in(self, link: str) -> httpx.Response:
        """Follow the link to their page, and their answer back to ours."""
        started = await self.open(link)
        assert started.status_code == 303, started.text
        sent_back = await self.browser.get(started.headers["location"])
        return await self.open(sent_back.headers["location"])

    async def authorised(self) -> None:
        page = await self.log_in(await self.link())
        assert page.status_code == 200 and "Connected" in page.text

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return await self.desk.call(method, API + path, body, key=self.operator, kind="application/json", **more)

    async def asked(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.call(method, f"/campdoc{path}", body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def profiles(self) -> dict[str, dict[str, Any]]:
        """Those with an identifier, by it."""
        return {one["identifier"]: one for one in self.sandbox.camp.profiles.values() if one["identifier"]}

    async def is_quiet(self) -> bool:
        """Nothing is owed to them."""
        return not self.desk.ask(lambda reader: reader.deliveries(["due", "unknown"], limit=1))

    async def looked_through(self) -> list[findings.Landed]:
        """One look at all they hold, as the poller takes it."""
        context = self.desk.context
        config = await context.store.query(lambda reader: context.flow.directory(reader).peer("camp"))
        began = datetime.now(UTC)
        page = await context.ask(config, connector.scan(None, config.side(context.flow.ours)))
        received = Received("camp", None, "poll", "application/json", findings.message_body(page.found))
        return await context.ingest.found(received, config, page.found, read_start=began)


@pytest.fixture
async def camp(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Camp]:
    sandbox = campdoc.create()
    with serve.running(sandbox) as url:
        async with opened(tmp_path, **QUICK) as desk, httpx.AsyncClient(trust_env=False) as browser:
            operator = desk.add_key("operator", "app", "operator")
            found = Camp(desk, sandbox, url, operator, browser)
            found.connect({"mode": "manual"})
            yield found


async def test_a_patient_becomes_a_profile_and_an_edit_there_comes_back(camp: Camp) -> None:
    await camp.authorised()
    made = await camp.desk.made_id(patient("Okafor", gender="female"))

    async def there() -> dict[str, Any] | None:
        return camp.profiles().get(made)

    profile = await until(there)
    assert (profile["givenName"], profile["familyName"], profile["dob"]) == ("Ada", "Okafor", "1980-02-22")
    async with httpx.AsyncClient(trust_env=False) as control:
        await control.post(f"{camp.url}/_edit/{profile['id']}", json={"familyName": "Okafor-Lind"})
    landed = await camp.looked_through()
    assert [one.error for one in landed if one.error] == []
    now = await camp.desk.read(f"/Patient/{made}")
    assert now["name"][0]["family"] == "Okafor-Lind" and now["gender"] == "female"
    assert camp.desk.counts()["Patient"] == 1 + len(campdoc.PROFILES)


@pytest.mark.parametrize("said", [{"active": True}, {}], ids=["active", "nothing"])
async def test_who_was_deleted_here_and_is_brought_back_is_no_longer_deactivated(camp: Camp, said: Any) -> None:
    """Whether or not the body says so: who says nothing is taken to be active (FHIR R4 Patient.active)."""
    await camp.authorised()
    body = {**patient("Okafor", gender="female"), **said}
    made = await camp.desk.made_id(body)

    async def shown(*, deactivated: bool) -> None:
        async def is_so() -> bool:
            profile = camp.profiles().get(made)
            return await camp.is_quiet() and profile is not None and bool(profile["deactivated"]) == deactivated

        await until(is_so)

    await shown(deactivated=False)
    assert (await camp.desk.fhir("DELETE", f"/Patient/{made}")).status_code == 204
    await shown(deactivated=True)
    assert (await camp.desk.fhir("PUT", f"/Patient/{made}", {**body, "id": made})).status_code == 201
    await shown(deactivated=False)


async def test_their_profiles_registrations_and_groups_come_in(camp: Camp) -> None:
    camp.connect({"mode": "manual"}, push=False)  # our key on their profiles would be a change of its own
    await camp.authorised()
    nora = next(iter(camp.sandbox.camp.profiles.values()))
    camp.sandbox.camp.register(nora, {"groupID": 502, "type": "patient"})
    await camp.looked_through()
    [episode] = await camp.desk.found("/EpisodeOfCare")
    here = await camp.desk.read(f"/{episode['patient']['reference']}")
    assert here["name"][0]["family"] == "Winterfeld" and here["gender"] == "female"
    group = await camp.desk.read(f"/{episode['managingOrganization']['reference']}")
    assert group["name"] == "Otters"
    above = await camp.desk.read(f"/{group['partOf']['reference']}")
    assert above["name"] == "Summer"
    await until(camp.is_quiet)  # the profiles without a key of the camp's are given ours
    before = camp.desk.sequence()
    await camp.looked_through()
    assert camp.desk.sequence() == before, "a second look changes nothing"


async def test_a_profile_that_comes_in_is_given_our_key_and_nothing_else(camp: Camp) -> None:
    """And one that has a key of the camp's own is left as it is; an edit here sends what was edited."""
    await camp.authorised()
    nora, teo = camp.sandbox.camp.profiles.values()
    teo["identifier"] = "own-key-7"
    await camp.looked_through()

    async def keyed() -> list[dict[str, Any]]:
        return await camp.desk.found(f"/Patient/?identifier=https://app.campdoc.com/organizations/{ORG}/profile|10813")

    [here] = await until(keyed)

    async def settled() -> bool:
        return camp.sandbox.camp.profiles[nora["id"]]["identifier"] == here["id"]

    await until(settled)

    def puts() -> list[dict[str, Any]]:
        return [one["body"] for one in camp.sandbox.log if one["method"] == "PUT"]

    assert puts() == [{"identifier": here["id"]}] and teo["identifier"] == "own-key-7"
    assert (await camp.desk.fhir("PUT", f"/Patient/{here['id']}", {**here, "birthDate": "2014-03-10"})).is_success

    async def edited() -> bool:
        return len(puts()) > 1

    await until(edited)
    assert puts()[1:] == [{"dob": "2014-03-10"}]


async def test_a_gender_without_a_word_there_survives_the_round(camp: Camp) -> None:
    await camp.authorised()
    made = await camp.desk.made_id(patient("Okafor", gender="other"))

    async def there() -> dict[str, Any] | None:
        return camp.profiles().get(made)

    assert (await until(there))["sex"] is None
    await camp.looked_through()
    assert (await camp.desk.read(f"/Patient/{made}"))["gender"] == "other"
    await _settled(camp)


async def test_a_profile_made_under_our_id_is_that_patient(camp: Camp) -> None:
    await camp.authorised()
    made = await camp.desk.made_id(patient("Okafor"))

    async def there() -> dict[str, Any] | None:
        return camp.profiles().get(made)

    await until(there)
    put = await camp.asked("PUT", f"/profiles/{made}", {"middleName": "Mae"})
    assert put["profile"]["middleName"] == "Mae" and len(camp.profiles()) == 1
    await camp.looked_through()
    assert (await camp.desk.read(f"/Patient/{made}"))["name"][0]["given"] == ["Ada", "Mae"]


async def _settled(camp: Camp) -> None:
    async def nothing_is_due() -> bool:
        return not camp.desk.ask(lambda reader: reader.deliveries(["due", "unknown"], limit=10))

    await until(nothing_is_due)


async def test_before_anybody_logged_in_everything_waits(camp: Camp) -> None:
    made = await camp.desk.made_id(patient("Okafor"))

    async def asks_for_a_person() -> bool:
        return camp.state == "needs_reauth"

    await until(asks_for_a_person)
    assert camp.desk.ask(lambda reader: reader.deliveries(["rejected", "exhausted"], limit=10)) == []
    await camp.authorised()

    async def there() -> bool:
        return made in camp.profiles()

    await until(there)


async def test_after_the_login_they_are_looked_at_at_once(camp: Camp) -> None:
    """The first look failed, as nobody had logged in; the next one is not due for an hour."""
    camp.connect({"mode": "polling", "intervalSeconds": 3600})

    async def waits() -> bool:
        return camp.state == "needs_reauth"

    await until(waits)
    await camp.authorised()

    async def in_step() -> bool:
        return camp.state == "connected" and camp.desk.counts().get("Patient", 0) == 2

    await until(in_step)
    assert (await camp.call("GET", "/status")).json()["lastError"] is None


async def test_a_revoked_login_loses_nothing_and_catches_up(camp: Camp) -> None:
    await camp.authorised()
    await camp.desk.made_id(patient("First"))

    async def count(wanted: int) -> None:
        async def there() -> bool:
            return len(camp.profiles()) == wanted

        await until(there)

    await count(1)
    camp.sandbox.oauth.revoke()
    for number in range(3):
        await camp.desk.made_id(patient(f"Late{number}"))

    async def asks_for_a_person() -> bool:
        return camp.state == "needs_reauth"

    await until(asks_for_a_person)
    assert len(camp.profiles()) == 1
    assert camp.desk.ask(lambda reader: reader.deliveries(["rejected", "exhausted"], limit=10)) == []
    await camp.authorised()
    await count(4)
    await _settled(camp)
    assert camp.state == "connected"
    incidents = camp.desk.ask(lambda reader: reader.incidents(limit=10))
    assert [(one.cause, one.closed_at is not None) for one in incidents] == [("login", True)]


async def test_the_link_is_good_once(camp: Camp) -> None:
    link = await camp.link()
    assert (await camp.log_in(link)).status_code == 200
    again = await camp.open(link)
    assert again.status_code == 410 and "ask for a new one" in again.text
    assert (await camp.open(f"{PUBLIC}/oauth/start/camp.guessed")).status_code == 410
    assert (await camp.open(f"{PUBLIC}/oauth/start/nobody")).status_code == 410


async def test_a_link_and_a_login_last_ten_minutes(camp: Camp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priming, "LIFE", timedelta(seconds=-1))
    late = await camp.open(await camp.link())
    assert late.status_code == 410 and "10 minutes" in late.text
    monkeypatch.setattr(priming, "LIFE", timedelta(seconds=60))
    link = await camp.link()
    monkeypatch.setattr(priming, "LIFE", timedelta(seconds=-1))
    page = await camp.log_in(link)
    assert page.status_code == 410 and "10 minutes" in page.text
    assert camp.sandbox.oauth.issued == 0


async def test_a_newer_link_ends_the_older(camp: Camp) -> None:
    older, newer = await camp.link(), await camp.link()
    assert (await camp.open(older)).status_code == 410
    assert (await camp.log_in(newer)).status_code == 200


async def test_only_hashes_of_link_and_state_are_kept(camp: Camp, tmp_path: Path) -> None:
    link = await camp.link()
    ticket = link.rpartition("/")[2]
    kept = camp.desk.ask(lambda reader: reader.secrets("camp"))
    assert ticket not in kept["authorizing"]
    await camp.log_in(link)
    await camp.desk.audits()
    raw = b"".join(file.read_bytes() for file in tmp_path.glob("gateway.db*"))
    tokens = camp.desk.ask(lambda reader: reader.secrets("camp"))["tokens"]
    assert tokens.encode() not in raw and ticket.encode() not in raw
    actions = [one.action for one in await camp.desk.audits()]
    assert "authorize" in actions and "authorize-link" in actions


async def test_their_page_denies(camp: Camp) -> None:
    camp.sandbox.oauth.knobs = Knobs(approve="deny")
    page = await camp.log_in(await camp.link())
    assert page.status_code == 403 and "Access was denied" in page.text
    assert page.headers["referrer-policy"] == "no-referrer" and page.headers["cache-control"] == "no-store"


async def test_a_state_that_is_not_ours_or_was_used_is_refused(camp: Camp) -> None:
    started = await camp.open(await camp.link())
    there = httpx.URL((await camp.browser.get(started.headers["location"])).headers["location"])
    code, state = there.params["code"], there.params["state"]
    wrong = await camp.open(f"/oauth/callback?code={code}&state=camp.wrong")
    assert wrong.status_code == 410
    right = await camp.open(f"/oauth/callback?code={code}&state={state}")
    assert right.status_code == 200
    assert (await camp.open(f"/oauth/callback?code={code}&state={state}")).status_code == 410
    assert (await camp.open("/oauth/callback")).status_code == 410


async def test_an_answer_of_theirs_is_never_shown_as_it_is(camp: Camp) -> None:
    started = await camp.open(await camp.link())
    state = httpx.URL(started.headers["location"]).params["state"]
    bad = {"state": state, "error": "<script>x</script>", "error_description": "<b>call 555</b>"}
    page = await camp.desk.client.get("/oauth/callback", params=bad)
    assert page.status_code == 403 and "script" not in page.text and "555" not in page.text


async def test_a_code_that_is_not_taken_says_so(camp: Camp) -> None:
    started = await camp.open(await camp.link())
    state = httpx.URL(started.headers["location"]).params["state"]
    page = await camp.open(f"/oauth/callback?code=made-up&state={state}")
    assert page.status_code == 502 and "invalid_grant" in page.text


async def test_only_an_operator_gets_a_link(camp: Camp) -> None:
    answer = await camp.desk.call("POST", f"{API}/authorize", key=camp.desk.key)
    assert answer.status_code == 403
    assert (await camp.desk.call("POST", f"{API}/authorize", key="")).status_code == 401


async def test_access_information_of_a_login_elsewhere(camp: Camp) -> None:
    asked = {"client_id": campdoc.CLIENT_ID, "response_type": "code", "scope": connector.SCOPE}
    redirect = campdoc.REDIRECTS[0]
    sent = await camp.browser.get(f"{camp.url}/!/oauth", params={**asked, "redirect_uri": redirect})
    code = httpx.URL(sent.headers["location"]).params["code"]
    body = {"code": code, "redirectUri": redirect}
    assert (await camp.call("POST", "/access-information", body)).json() == {"name": "camp", "status": "connected"}
    assert (await camp.call("POST", "/access-information", body)).status_code == 502, "a code is used once"
    assert (await camp.call("POST", "/access-information", {"code": code})).status_code == 400
    assert (await camp.asked("GET", "/profiles"))["profiles"]


async def test_all_operations(camp: Camp) -> None:
    await camp.authorised()
    made = await camp.asked("PUT", "/profiles/kid-1", {"givenName": "Ida", "familyName": "Rask", "sex": "Female"})
    number = made["profile"]["id"]
    again = await camp.asked("PUT", "/profiles/kid-1", {"middleName": "Liv"})
    assert again["profile"]["id"] == number and again["profile"]["givenName"] == "Ida"
    assert (await camp.asked("GET", f"/profiles/{number}"))["profile"]["middleName"] == "Liv"
    assert (await camp.asked("GET", "/profiles/kid-1?by=identifier"))["profile"]["id"] == number
    assert number in {one["id"] for one in (await camp.asked("GET", "/profiles"))["profiles"]}
    assert {one["name"] for one in (await camp.asked("GET", "/groups"))["groups"]} >= {"Otters", "Herons"}
    assert (await camp.asked("GET", "/groups/502"))["group"]["tuition"] == 45_000
    assert (await camp.asked("GET", "/groups/otters-1?by=identifier"))["group"]["id"] == 502
    path = "/profiles/kid-1/registrations?by=identifier"
    first = (await camp.asked("POST", path, {"groupID": 502}))["registration"]
    second = (await camp.asked("POST", path, {"groupIdentifier": "herons-1", "type": "provider"}))["registration"]
    assert (first["type"], second["groupID"], second["type"]) == ("patient", 503, "provider")
    end = await camp.call("DELETE", f"/campdoc/profiles/{number}/registrations/{first['id']}")
    assert end.status_code == 204
    assert len((await camp.asked("GET", path))["registrations"]) == 2
    [left] = (await camp.asked("GET", f"{path}&excludeDeactivated=true"))["registrations"]
    assert left["id"] == second["id"]
    camp.sandbox.camp.reviews[number] = [{"label": "Medical", "status": "Yes"}]
    assert (await camp.asked("GET", f"/profiles/{number}/reviews"))["reviews"][0]["label"] == "Medical"
    user = {"email": "ida.rask@example.org", "givenName": "Mona", "familyName": "Rask"}
    assert (await camp.asked("POST", "/profiles/kid-1/users?by=identifier&notify=true", user))["user"] == user
    link = (await camp.asked("POST", "/sso", {"email": user["email"]}))["sso"]["url"]
    assert [(await camp.browser.get(link)).status_code for _ in range(2)] == [200, 410]
    actions = {one.action for one in await camp.desk.audits() if one.action.startswith("campdoc ")}
    assert len(actions) == 11


async def test_an_identifier_with_a_slash_is_one_identifier(camp: Camp) -> None:
    await camp.authorised()
    made = (await camp.asked("PUT", "/profiles/2026%2F17", {"givenName": "Ida", "familyName": "Rask"}))["profile"]
    assert made["identifier"] == "2026/17"
    assert (await camp.asked("GET", "/profiles/2026%2F17?by=identifier"))["profile"]["id"] == made["id"]
    assert (await camp.asked("GET", "/profiles/2026%2F17/registrations?by=identifier"))["registrations"] == []


async def test_the_connector_is_named_by_its_id_as_well(camp: Camp) -> None:
    """The registry answers a connectorId: every address below a connector takes it."""
    await camp.authorised()
    listed = await camp.desk.call("GET", "/api/external-connectors", key=camp.operator)
    [known] = [one["connectorId"] for one in listed.json() if one["name"] == "camp"]
    base = f"/api/external-connectors/{known}"
    for method, path, status in [("POST", "/authorize", 201), ("GET", "/campdoc/groups", 200), ("GET", "/status", 200)]:
        answer = await camp.desk.call(method, base + path, key=camp.operator)
        assert answer.status_code == status, answer.text


async def test_a_contact_is_named_by_our_id(camp: Camp) -> None:
    """Linked: the link says which profile. Not linked yet: the profile under our id."""
    await camp.authorised()
    made = await camp.desk.made_id(patient("Okafor"))

    async def there() -> dict[str, Any] | None:
        return camp.profiles().get(made)

    profile = await until(there)
    await _settled(camp)
    registered = await camp.asked("POST", f"/profiles/{made}/registrations?by=patient", {"groupID": 503})
    assert registered["registration"]["profileID"] == profile["id"]
    asked = [one["path"].rpartition("/profiles/")[2] for one in camp.sandbox.log[-1:]]
    assert asked == [f"{profile['id']}/registrations"]


async def test_two_puts_of_one_identifier_at_once_make_one_profile(camp: Camp) -> None:
    await camp.authorised()
    body = {"givenName": "Ida", "familyName": "Rask"}
    puts = await asyncio.gather(*(camp.asked("PUT", "/profiles/kid-2", body) for _ in range(6)))
    assert len({one["profile"]["id"] for one in puts}) == 1
    assert len([one for one in camp.sandbox.log if one["method"] == "POST" and "/profiles" in one["path"]]) == 1


async def test_what_they_refuse_is_told_with_their_request_id(camp: Camp) -> None:
    await camp.authorised()
    missing = await camp.call("GET", "/campdoc/profiles/999")
    assert missing.status_code == 404 and "their request" in missing.json()["detail"]
    for body in ({"givenName": "Ida"}, {"givenName": "Ida", "familyName": "Rask", "dob": "2014-13-01"}):
        wrong = await camp.call("PUT", "/campdoc/profiles/kid-3", body)
        assert wrong.status_code == 400 and "their request" in wrong.json()["detail"]
    assert (await camp.call("PUT", "/campdoc/profiles/%20", body)).status_code == 400, "no key is made of blanks"
    assert (await camp.call("GET", "/campdoc/groups/otters-1?by=patient")).status_code == 400
    sex = await camp.call("PUT", "/campdoc/profiles/kid-3", {"sex": "other"})
    assert sex.status_code == 400 and decoded(sex)["detail"].startswith("the body")
    assert (await camp.call("GET", "/campdoc/profiles/1?by=shape")).status_code == 400
