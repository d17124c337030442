"""The CampDoc stand-in does what the contract says (DocNetwork API v2), strictly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from gateway.sandbox import campdoc
from gateway.sandbox.campdoc import CampSandbox
from gateway.sandbox.oauth import Knobs

pytestmark = pytest.mark.anyio

BASE = "http://camp"
ORG = f"/public/v2/organizations/{campdoc.ORGANIZATION}"
TOKEN = "/public/v2/oauth/access_token"
ALL = " ".join(sorted(campdoc.SCOPES))
REDIRECT = campdoc.REDIRECTS[1]
PAIR = (campdoc.CLIENT_ID, campdoc.CLIENT_SECRET)
VERIFIER = "a-verifier-of-at-least-forty-three-characters-x"
CHALLENGE = "jL8osqXeMCXbVEXJ15QLlPOO0xcWFXrSy7NFE3Tb2Uk"


@dataclass
class User:
    """A browser and a program at once; `token` once logged in."""

    camp: CampSandbox
    http: httpx.AsyncClient
    token: str = ""

    async def login(self, scope: str = ALL, **more: str) -> httpx.Response:
        asked = {"client_id": campdoc.CLIENT_ID, "response_type": "code", "scope": scope, "state": "s1"}
        return await self.http.get("/!/oauth", params={**asked, "redirect_uri": REDIRECT, **more})

    async def code(self, scope: str = ALL, **more: str) -> str:
        answer = await self.login(scope, **more)
        assert answer.status_code == 302, answer.text
        there = httpx.URL(answer.headers["location"])
        assert there.params["state"] == "s1"
        return there.params["code"]

    async def tokens(self, auth: tuple[str, str] | None = PAIR, **form: str) -> httpx.Response:
        return await self.http.post(TOKEN, data=form, auth=auth or httpx.USE_CLIENT_DEFAULT)

    async def exchange(self, code: str, **more: str) -> httpx.Response:
        return await self.tokens(grant_type="authorization_code", code=code, redirect_uri=REDIRECT, **more)

    async def enter(self, scope: str = ALL) -> dict[str, Any]:
        got: dict[str, Any] = (await self.exchange(await self.code(scope))).json()
        self.token = got["access_token"]
        return got

    async def call(self, method: str, path: str, body: Any = None, **params: str) -> httpx.Response:
        headers = {"authorization": f"bearer {self.token}"}
        return await self.http.request(method, ORG + path, json=body, headers=headers, params=params or None)

    async def get(self, path: str, **params: str) -> Any:
        answer = await self.call("GET", path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def stranger() -> AsyncIterator[User]:
    camp = campdoc.create()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(camp), base_url=BASE) as http:
        yield User(camp, http)


@pytest.fixture
async def user(stranger: User) -> User:
    await stranger.enter()
    return stranger


async def test_the_login_gives_tokens_whose_scope_is_a_list(stranger: User) -> None:
    got = await stranger.enter("groups:read profiles:write")
    assert got.keys() == {"access_token", "refresh_token", "token_type", "expires_in", "scope"}
    assert (got["token_type"], got["expires_in"], got["scope"]) == (
        "bearer",
        604_800,
        ["groups:read", "profiles:write"],
    )


async def test_a_code_is_taken_once_and_ten_minutes_long(stranger: User) -> None:
    code = await stranger.code()
    assert (await stranger.exchange(code)).status_code == 200
    again = await stranger.exchange(code)
    assert again.status_code == 400
    assert again.json() == {"error": "invalid_grant", "error_description": "Invalid credentials submitted"}
    stranger.camp.oauth.knobs = Knobs(code_lifetime=-1.0)
    assert (await stranger.exchange(await stranger.code())).status_code == 400


async def test_a_refresh_token_stays_the_same_unless_rotation_is_asked_for(stranger: User) -> None:
    first = await stranger.enter()
    asked = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = (await stranger.tokens(**asked)).json()
    assert second["refresh_token"] == first["refresh_token"] and second["access_token"] != first["access_token"]
    stranger.camp.oauth.knobs = Knobs(rotation=True)
    third = (await stranger.tokens(**asked)).json()
    assert third["refresh_token"] != first["refresh_token"]
    assert (await stranger.tokens(**asked)).status_code == 400, "single use"


async def test_pkce(stranger: User) -> None:
    challenge = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    code = await stranger.code(**challenge)
    assert (await stranger.exchange(code)).status_code == 400, "the verifier is missing"
    code = await stranger.code(**challenge)
    assert (await stranger.exchange(code, code_verifier="x" * 43)).status_code == 400
    code = await stranger.code(**challenge)
    assert (await stranger.exchange(code, code_verifier=VERIFIER)).status_code == 200
    plain = await stranger.code(code_challenge=VERIFIER, code_challenge_method="plain")
    assert (await stranger.exchange(plain, code_verifier=VERIFIER)).status_code == 400


async def test_the_login_page_denies_asks_and_never_redirects_elsewhere(stranger: User) -> None:
    stranger.camp.oauth.knobs = Knobs(approve="deny")
    denied = httpx.URL((await stranger.login()).headers["location"])
    assert (denied.params["error"], denied.params["state"]) == ("access_denied", "s1")
    stranger.camp.oauth.knobs = Knobs(approve="ask")
    assert "Allow access?" in (await stranger.login()).text
    for wrong in ({"client_id": "x"}, {"redirect_uri": "https://evil.example/"}, {"redirect_uri": "http://a.example"}):
        answer = await stranger.login(**wrong)
        assert answer.status_code == 400 and "location" not in answer.headers
    missing = httpx.URL((await stranger.login(scope="")).headers["location"])
    assert missing.params["error"] == "invalid_request"


@pytest.mark.parametrize(("decision", "answer"), [("approve", "code"), ("deny", "error")])
async def test_the_login_page_with_two_buttons(stranger: User, decision: str, answer: str) -> None:
    stranger.camp.oauth.knobs = Knobs(approve="ask")
    page = (await stranger.login()).request.url
    pressed = await stranger.http.post(page, data={"decision": decision})
    assert answer in httpx.URL(pressed.headers["location"]).params


async def test_the_token_endpoint_wants_basic_and_a_form(stranger: User) -> None:
    code = await stranger.code()
    assert (await stranger.exchange(code, client_id="x")).status_code == 200, "the header decides"
    form = {"grant_type": "authorization_code", "code": await stranger.code(), "redirect_uri": REDIRECT}
    posted = {"client_id": PAIR[0], "client_secret": PAIR[1]}
    assert (await stranger.tokens(None, **form, **posted)).status_code == 401
    assert (await stranger.tokens((PAIR[0], "wrong"), **form)).json()["error"] == "invalid_client"
    as_json = await stranger.http.post(TOKEN, json=form, auth=PAIR)
    assert as_json.json()["error"] == "invalid_request"
    other = await stranger.tokens(grant_type="client_credentials")
    assert other.json()["error"] == "unsupported_grant_type"


async def test_a_token_ends(user: User) -> None:
    assert (await user.call("GET", "/profiles")).status_code == 200
    user.camp.oauth.expire()
    expired = await user.call("GET", "/profiles")
    assert expired.status_code == 401 and expired.json()["error"] == "unauthorized"
    user.token = ""
    assert (await user.call("GET", "/profiles")).status_code == 401


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("groups:read", "GET", "/groups", 200),
        ("groups:read", "GET", "/profiles", 403),
        ("profiles:write", "GET", "/profiles", 403),
        ("all:read", "GET", "/profiles", 200),
        ("all:read", "POST", "/profiles", 403),
        ("all:write", "POST", "/profiles", 400),
        ("all:write", "POST", "/sso/a@example.org", 403),
        ("sso:generate", "POST", "/sso/a@example.org", 404),
        ("profiles:read", "GET", "/profiles/10813/registrations", 403),
        ("profiles:read", "GET", "/profiles/10813/tags", 403),
        ("profile_tags:read", "GET", "/profiles/10813/tags", 200),
        ("answers:read", "GET", "/questions", 200),
    ],
)
async def test_scopes(stranger: User, scope: str, method: str, path: str, status: int) -> None:
    await stranger.enter(scope)
    answer = await stranger.call(method, path, {} if method == "POST" else None)
    assert answer.status_code == status, answer.text


async def test_the_rate_limit_and_its_headers(user: User) -> None:
    answer = await user.call("GET", "/groups")
    assert (answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]) == ("2500", "2499")
    assert answer.headers["x-request-identifier"]
    await user.http.post("/_limit", json={"requests": 1, "seconds": 60})
    assert (await user.call("GET", "/groups")).status_code == 200
    over = await user.call("GET", "/groups")
    assert over.status_code == 429 and 58 <= int(over.headers["retry-after"]) <= 60


async def test_another_organization_is_not_there(user: User) -> None:
    answer = await user.http.get("/public/v2/organizations/1/groups", headers={"authorization": f"bearer {user.token}"})
    assert answer.status_code == 404


async def test_profiles(user: User) -> None:
    made = await user.call("POST", "/profiles", {"givenName": "Ida", "familyName": "Rask", "identifier": "k1"})
    assert made.status_code == 201
    profile = made.json()["profile"]
    fields = {"id", "givenName", "middleName", "familyName", "dob", "sex", "phase", "identifier", "completeness"}
    assert profile.keys() == fields
    put = await user.call("PUT", f"/profiles/{profile['id']}", {"middleName": "Liv", "phase": "past"})
    assert put.json()["profile"] == {**profile, "middleName": "Liv"}, "partial; what is read-only stays"
    assert (await user.get("/profiles/k1", identifier="true"))["profile"]["id"] == profile["id"]
    assert (await user.call("GET", "/profiles/k1")).status_code == 404, "the shape never decides"
    by_key = await user.call("PUT", "/profiles/k1", {"dob": "2014-02-28"}, identifier="true")
    assert by_key.json()["profile"]["dob"] == "2014-02-28"


@pytest.mark.parametrize(
    "wrong",
    [
        {"givenName": None},
        {"familyName": " "},
        {"sex": "male"},
        {"sex": "Other"},
        {"dob": "2014-02-30"},
        {"dob": "20140228"},
        {"identifier": 5},
        {"deactivated": "2020-01-01"},
    ],
)
async def test_a_profile_that_is_refused(user: User, wrong: dict[str, Any]) -> None:
    number = next(iter(user.camp.camp.profiles))
    answer = await user.call("PUT", f"/profiles/{number}", wrong)
    assert answer.status_code == 400 and answer.json()["error"] == "validation"


async def test_an_identifier_is_unique(user: User) -> None:
    body = {"givenName": "Ida", "familyName": "Rask", "identifier": "k1"}
    assert (await user.call("POST", "/profiles", body)).status_code == 201
    assert (await user.call("POST", "/profiles", body)).status_code == 409
    other = next(iter(user.camp.camp.profiles))
    assert (await user.call("PUT", f"/profiles/{other}", {"identifier": "k1"})).status_code == 409


async def test_a_deactivated_profile_is_hidden_and_comes_back(user: User) -> None:
    number = next(iter(user.camp.camp.profiles))
    assert (await user.call("DELETE", f"/profiles/{number}")).status_code == 204
    assert number not in {one["id"] for one in (await user.get("/profiles"))["profiles"]}
    assert (await user.get(f"/profiles/{number}"))["profile"]["deactivated"]
    await user.call("PUT", f"/profiles/{number}", {"deactivated": None})
    assert number in {one["id"] for one in (await user.get("/profiles"))["profiles"]}


async def test_groups(user: User) -> None:
    listed = (await user.get("/groups"))["groups"]
    assert listed[0].keys() == {"id", "name", "parentID", "parents", "groupIdentifier"}
    whole = (await user.get("/groups/otters-1", identifier="true"))["group"]
    assert whole["id"] == 502 and whole["parents"][-1] == 502 and whole["tuition"] == 45_000
    assert (await user.call("GET", "/groups/otters-1")).status_code == 404


async def test_registrations(user: User) -> None:
    number = next(iter(user.camp.camp.profiles))
    path = f"/profiles/{number}/registrations"
    made = await user.call("POST", path, {"groupID": 502, "groupIdentifier": "herons-1", "type": "patient"})
    assert made.status_code == 201
    row = made.json()["registration"]
    assert row["groupID"] == 503 and row["waitlisted"] is False, "the identifier wins"
    datetime.strptime(row["created"], "%Y-%m-%d %H:%M:%S.%f")
    assert (await user.call("POST", path, {"groupID": 502})).status_code == 400, "the type is required"
    assert (await user.call("POST", path, {"groupID": 1, "type": "patient"})).status_code == 404
    above = (await user.get("/groups/501/registrations"))["registrations"]
    assert [one["id"] for one in above] == [row["id"]], "those of subgroups too"
    assert (await user.call("DELETE", f"{path}/{row['id']}")).status_code == 204
    assert (await user.get(path, excludeDeactivated="true"))["registrations"] == []
    [kept] = (await user.get(path))["registrations"]
    assert kept["deactivated"] and kept["updated"] == kept["deactivated"]
    assert (await user.call("PUT", f"{path}/{row['id']}", {"groupID": 502})).status_code == 400
    back = await user.call("PUT", f"{path}/{row['id']}", {"deactivated": None})
    assert back.json()["registration"]["deactivated"] is None
    assert (await user.get(f"{path}/{row['id']}"))["registration"]["id"] == row["id"]


async def test_users_and_their_links(user: User) -> None:
    number = next(iter(user.camp.camp.profiles))
    path = f"/profiles/{number}/users"
    mona = {"email": "mona@example.org", "givenName": "Mona", "familyName": "Rask"}
    assert (await user.call("POST", path, {"email": "x"})).status_code == 400
    late = (datetime.now(UTC) + timedelta(days=200)).strftime("%Y-%m-%d")
    assert (await user.call("POST", path, mona, inviteLinkExpiration=late)).status_code == 400
    soon = (datetime.now(UTC) + timedelta(days=20)).strftime("%Y-%m-%d %H:%M:%S")
    assert (await user.call("POST", path, mona, notify="true", inviteLinkExpiration=soon)).status_code == 201
    assert (await user.call("POST", path, {**mona, "givenName": "Other"})).status_code == 201
    assert (await user.get(path))["users"] == [mona], "an existing user is linked as she is"
    sso = (await user.call("POST", "/sso/mona@example.org")).json()["sso"]
    assert sso["user"] == mona
    assert timedelta(minutes=59) < datetime.fromisoformat(sso["expires"]) - datetime.now(UTC) < timedelta(minutes=61)
    assert [(await user.http.get(sso["url"])).status_code for _ in range(2)] == [200, 410]
    assert (await user.call("DELETE", path, {"email": "mona@example.org"})).status_code == 204
    assert (await user.get(path))["users"] == []
    assert (await user.call("DELETE", path, {"email": "mona@example.org"})).status_code == 404


async def test_answers_by_date(user: User) -> None:
    number = next(iter(user.camp.camp.profiles))
    for day in ("2026-01-01", "2026-02-01"):
        row = {"questionID": 701, "profileID": number, "value": "yes", "created": f"{day}T08:00:00.5"}
        user.camp.api.questions.answers.append({**row, "updated": row["created"]})
    assert len((await user.get("/questions/701/answers"))["answers"]) == 2
    [late] = (await user.get("/questions/701/answers", updated="2026-01-02"))["answers"]
    assert late["updated"].startswith("2026-02-01")
    assert (await user.call("GET", "/questions/701/answers", updated="soon")).status_code == 400
    assert (await user.call("GET", "/questions/9/answers")).status_code == 404


async def test_tags(user: User) -> None:
    made = await user.call("POST", "/tags", [{"value": "Cabin 3"}, {"parentID": 5}])
    assert made.status_code == 201 and made.json()["failed"] == [{"parentID": 5}]
    [tag] = made.json()["groupTags"]
    number = next(iter(user.camp.camp.profiles))
    worn = await user.call("POST", f"/profiles/{number}/tags", {"tagID": tag["id"], "value": "Green"})
    [own] = worn.json()["profileTags"]
    path = f"/profiles/{number}/tags/{own['id']}"
    ended = await user.call("DELETE", path)
    assert ended.status_code == 200 and ended.json()["profileTag"]["deactivated"]
    back = await user.call("PUT", path, {"value": "Purple", "deactivated": None})
    assert (back.json()["profileTag"]["value"], back.json()["profileTag"]["deactivated"]) == ("Purple", None)
    assert (await user.get(path))["profileTag"]["value"] == "Purple"
    assert (await user.call("GET", f"/profiles/{number}/tags/999")).status_code == 404


async def test_the_knobs(user: User) -> None:
    assert (await user.http.post("/_oauth", json={"lifetime": 60, "rotation": True})).json()["grants"] == 1
    assert user.camp.oauth.knobs == Knobs(lifetime=60.0, rotation=True)
    assert (await user.http.post("/_oauth", json={"revoke": True})).json()["grants"] == 0
    assert (await user.http.post("/_oauth", json={"nonsense": True})).status_code == 400
    await user.http.post("/_oauth", json={"redirects": ["https://own.example/oauth/callback"]})
    answer = await user.login(redirect_uri="https://own.example/oauth/callback")
    assert answer.headers["location"].startswith("https://own.example/oauth/callback?code=")
