"""The stand-in Canvas keeps the contract of canvas.md, its defects included where they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.fhir import gate
from gateway.sandbox import canvas, canvas_login, canvas_plugin
from gateway.sandbox.faults import Sandbox

pytestmark = pytest.mark.anyio

BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
PHARMACY = {"url": "http://schemas.canvasmedical.com/fhir/extensions/preferred-pharmacy", "valueString": "1"}
NOTE = {"url": "http://schemas.canvasmedical.com/fhir/extensions/clinical-note", "valueString": "Likes tea"}
SALINA: dict[str, Any] = {
    "resourceType": "Patient",
    "extension": [{"url": BIRTH_SEX, "valueCode": "F"}],
    "identifier": [{"system": "HealthCo", "value": "s07960990"}],
    "gender": "female",
    "active": True,
    "name": [{"use": "official", "family": "Mitko", "given": ["Salina"]}],
    "telecom": [{"system": "phone", "value": "5554320555", "use": "mobile"}],
    "address": [{"use": "home", "line": ["1 Elm St.", "Flat 2", "Rear"], "state": "CA"}],
    "contact": [{"name": {"text": "Dan"}, "telecom": [{"system": "phone", "value": "5551234567"}]}],
    "birthDate": "1949-11-13",
}
SEED = {
    "firstName": "Alice",
    "lastName": "Example",
    "sexAtBirth": "F",
    "dateOfBirth": "1980-02-22",
    "partnerId": "pat_1",
}
CLIENT = {"client_id": canvas_login.CLIENT_ID, "client_secret": canvas_login.CLIENT_SECRET}


@pytest.fixture
def sandbox() -> Sandbox:
    return canvas.create()


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox), base_url="http://canvas.test") as one:
        token = (await login(one, grant_type="client_credentials"))["access_token"]
        one.headers["authorization"] = f"Bearer {token}"
        yield one


async def login(client: httpx.AsyncClient, **form: str) -> dict[str, Any]:
    answer = await client.post("/auth/token/", data={**CLIENT, **form})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def made(client: httpx.AsyncClient, **more: Any) -> str:
    body = {name: value for name, value in {**SALINA, **more}.items() if value is not None}
    answer = await client.post("/Patient", json=body)
    assert (answer.status_code, answer.content) == (201, b"null"), answer.text
    location = urlsplit(answer.headers["location"]).path
    assert location.startswith("/Patient/") and location.endswith("/_history/1")
    return location.split("/")[2]


async def held(client: httpx.AsyncClient, patient_id: str) -> dict[str, Any]:
    answer = await client.get(f"/Patient/{patient_id}")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def put(client: httpx.AsyncClient, patient_id: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    return await client.put(f"/Patient/{patient_id}", json={**body, "id": patient_id}, headers=headers)


def outcome(answer: httpx.Response) -> tuple[int, str, str]:
    [issue] = answer.json()["issue"]
    return answer.status_code, issue["code"], issue["details"]["text"]


# The FHIR API.


async def test_a_read_shows_more_than_was_written(client: httpx.AsyncClient) -> None:
    patient_id = await made(client)
    shown = await held(client, patient_id)
    assert len(patient_id) == 32 and shown["id"] == patient_id and gate.check(shown) == []
    number, own = shown["identifier"]
    assert number["system"] == "http://canvasmedical.com" and "id" not in number
    assert (own["use"], own["period"]) == ("usual", {"start": "1970-01-01", "end": "2100-12-31"})
    assert all(one["id"] for name in ("telecom", "address", "contact") for one in shown[name])
    assert shown["telecom"][0]["extension"][0]["valueBoolean"] is False
    assert (shown["address"][0]["line"], shown["address"][0]["country"]) == (
        ["1 Elm St.", "Flat 2, Rear"],
        "United States",
    )
    assert shown["deceasedBoolean"] is False and "meta" not in shown


@pytest.mark.parametrize(("given", "kept"), [("1949", "1949-01-01"), ("1949-11", "1949-11-01")])
async def test_partial_dates_become_the_first(client: httpx.AsyncClient, given: str, kept: str) -> None:
    assert (await held(client, await made(client, birthDate=given)))["birthDate"] == kept


@pytest.mark.parametrize(
    "broken",
    [
        {"extension": []},
        {"extension": [{"url": BIRTH_SEX, "valueCode": "X"}]},
        {"name": [{"family": "Mitko", "given": ["Salina"]}]},
        {"name": [{"use": "official", "family": "Mitko"}]},
        {"name": [{"use": "official", "given": ["Salina"]}]},
        {"birthDate": "13/11/1949"},
        {"birthDate": "1949-02-30"},
        {"birthDate": None},
        {"gender": None},
        {"identifier": [{"system": "http://canvasmedical.com", "value": "1"}]},
        {"telecom": [{"id": "nobody", "system": "phone", "value": "1"}]},
        {"address": [{"state": "California"}]},
        {"contact": [{"name": {"text": "Dan"}, "telecom": [{"system": "phone", "value": "555-123-4567"}]}]},
        {"contact": [{"name": {"family": "Dan"}}]},
    ],
    ids=str,
)
async def test_what_is_required_is_required(client: httpx.AsyncClient, broken: dict[str, Any]) -> None:
    body = {name: value for name, value in {**SALINA, **broken}.items() if value is not None}
    answer = await client.post("/Patient", json=body)
    assert outcome(answer)[:2] == (422, "business-rule")
    patient_id = await made(client)
    assert outcome(await put(client, patient_id, body))[:2] == (422, "business-rule")


async def test_a_put_replaces_lists_and_leaves_the_rest(client: httpx.AsyncClient) -> None:
    patient_id = await made(
        client, extension=[*SALINA["extension"], PHARMACY, NOTE], communication=[{"preferred": True}]
    )
    before = await held(client, patient_id)
    phone = {**before["telecom"][0], "value": "5550000000"}
    email = {"system": "email", "value": "s@example.com"}
    bare = {name: SALINA[name] for name in ("resourceType", "extension", "gender", "name", "birthDate")}
    answer = await put(client, patient_id, {**bare, "telecom": [phone, email]})
    assert (answer.status_code, answer.content) == (200, b"null")
    after = await held(client, patient_id)
    assert [one["value"] for one in after["telecom"]] == ["5550000000", "s@example.com"]
    assert after["telecom"][0]["id"] == before["telecom"][0]["id"]
    assert "address" not in after and "contact" not in after, "left out is deleted"
    assert [one["system"] for one in after["identifier"]] == ["http://canvasmedical.com"], "it was still valid"
    assert PHARMACY not in after["extension"] and NOTE in after["extension"]
    assert after["active"] is True and after["communication"] == [{"preferred": True}]


async def test_an_identifier_that_has_ended_stays(client: httpx.AsyncClient) -> None:
    ended = {"system": "Old", "value": "1", "period": {"end": "2001-01-01"}}
    patient_id = await made(client, identifier=[ended])
    await put(client, patient_id, {**SALINA, "identifier": []})
    assert [one["system"] for one in (await held(client, patient_id))["identifier"]][1:] == ["Old"]


async def test_a_gender_identity_overrides_the_gender(client: httpx.AsyncClient) -> None:
    url = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-genderIdentity"
    identity = {"url": url, "valueCodeableConcept": {"coding": [{"code": "446151000124109"}]}}
    patient_id = await made(client, extension=[*SALINA["extension"], identity])
    assert (await held(client, patient_id))["gender"] == "male"


async def test_if_unmodified_since(client: httpx.AsyncClient) -> None:
    patient_id = await made(client)
    now, early = datetime.now(UTC), datetime.now(UTC) - timedelta(minutes=1)
    late = await put(client, patient_id, SALINA, **{"if-unmodified-since": early.strftime("%a, %d %b %Y %H:%M:%S GMT")})
    assert outcome(late) == (412, "conflict", "Resource updated since If-Unmodified-Since date")
    fresh = await put(client, patient_id, SALINA, **{"if-unmodified-since": now.strftime("%a, %d %b %Y %H:%M:%S GMT")})
    assert fresh.status_code == 200
    odd = await put(client, patient_id, SALINA, **{"if-unmodified-since": "yesterday"})
    assert outcome(odd) == (400, "invalid", "Bad request")


@pytest.mark.parametrize(
    "query",
    [
        {"identifier": "HealthCo|s07960990"},
        {"identifier": "s07960990"},
        {"identifier": "HealthCo|"},
        {"identifier": "|s07960990"},
        {"family": "mitko"},
        {"given": "Sal"},
        {"name": "Mitko", "birthDate": "1949-11-13"},
        {"gender": "female", "active": "true"},
        {"phone": "5554320555"},
        {"_sort": "birthDate"},
    ],
    ids=str,
)
async def test_searches_that_find_her(client: httpx.AsyncClient, query: dict[str, str]) -> None:
    patient_id = await made(client)
    bundle = (await client.get("/Patient", params=query)).json()
    assert [one["resource"]["id"] for one in bundle["entry"]] == [patient_id] and bundle["total"] == 1


@pytest.mark.parametrize(
    "query",
    [
        {"identifier": "HealthCo|other"},
        {"identifier": "Other|s07960990"},
        {"name": "Mitko", "birthDate": "1950-01-01"},
        {"nickname": "Salina"},
        {"email": "5554320555"},
        {"_has:CareTeam:participant:member": "x"},
    ],
    ids=str,
)
async def test_searches_that_find_nobody_have_no_links(client: httpx.AsyncClient, query: dict[str, str]) -> None:
    await made(client)
    bundle = (await client.get("/Patient", params=query)).json()
    assert bundle == {"resourceType": "Bundle", "type": "searchset", "total": 0}


async def test_an_unknown_parameter_is_refused(client: httpx.AsyncClient) -> None:
    assert outcome(await client.get("/Patient", params={"birthdate": "1949-11-13"})) == (400, "invalid", "Bad request")


async def test_pages_are_linked_by_relative_addresses(client: httpx.AsyncClient) -> None:
    for _ in range(12):
        await made(client)
    first = (await client.get("/Patient", params={"family": "Mitko"})).json()
    links = {one["relation"]: one["url"] for one in first["link"]}
    assert len(first["entry"]) == 10 and first["total"] == 12
    assert links["next"].startswith("/Patient?") and parse_qs(urlsplit(links["next"]).query)["_offset"] == ["10"]
    second = (await client.get(links["next"])).json()
    assert len(second["entry"]) == 2 and "next" not in {one["relation"] for one in second["link"]}


async def test_refusals(client: httpx.AsyncClient) -> None:
    patient_id = await made(client)
    assert outcome(await client.get("/Patient/nobody")) == (404, "not-found", "Unknown Patient resource 'nobody'")
    assert outcome(await client.delete(f"/Patient/{patient_id}"))[:2] == (405, "not-supported")
    assert outcome(await client.patch(f"/Patient/{patient_id}", json={}))[:2] == (405, "not-supported")
    assert outcome(await client.post("/Patient", content=b"{"))[:2] == (400, "invalid")
    assert outcome(await client.post("/Patient", json=[]))[:2] == (400, "invalid")
    stranger = {"authorization": "Bearer guessed"}
    assert outcome(await client.get("/Patient", headers=stranger)) == (401, "unknown", "Authentication failed")
    assert outcome(await client.get("/Patient", headers={"authorization": ""}))[0] == 401


# Logins.


async def test_client_credentials(client: httpx.AsyncClient) -> None:
    given = await login(client, grant_type="client_credentials")
    assert (given["expires_in"], given["token_type"].lower()) == (36_000, "bearer") and "refresh_token" not in given
    narrow = await login(client, grant_type="client_credentials", scope="user/Patient.read")
    headers = {"authorization": f"Bearer {narrow['access_token']}"}
    assert (await client.get("/Patient", headers=headers)).status_code == 200
    assert outcome(await client.post("/Patient", json=SALINA, headers=headers)) == (
        403,
        "forbidden",
        "Authorization failed",
    )
    wrong = await client.post("/auth/token/", data={**CLIENT, "client_secret": "x", "grant_type": "client_credentials"})
    assert wrong.status_code == 401


async def test_authorization_code_and_single_use_refresh_tokens(client: httpx.AsyncClient) -> None:
    there = {"response_type": "code", "client_id": canvas_login.CLIENT_ID, "redirect_uri": canvas_login.REDIRECTS[0]}
    sent = await client.get("/auth/authorize/", params={**there, "scope": "user/Patient.*", "state": "s-1"})
    answered = parse_qs(urlsplit(sent.headers["location"]).query)
    assert sent.status_code == 302 and answered["state"] == ["s-1"]
    form = {"grant_type": "authorization_code", "code": answered["code"][0], "redirect_uri": there["redirect_uri"]}
    first = await login(client, **form)
    assert first["scope"] == "user/Patient.*"
    assert (await client.post("/auth/token/", data={**CLIENT, **form})).status_code == 400, "a code is good once"
    again = {"grant_type": "refresh_token", "redirect_uri": there["redirect_uri"]}
    second = await login(client, **again, refresh_token=first["refresh_token"])
    used = await client.post("/auth/token/", data={**CLIENT, **again, "refresh_token": first["refresh_token"]})
    assert used.status_code == 400 and used.json()["error"] == "invalid_grant"
    await login(client, **again, refresh_token=second["refresh_token"])


async def test_tokens_can_be_made_to_expire(client: httpx.AsyncClient) -> None:
    await client.post("/_oauth", json={"expire": True})
    assert outcome(await client.get("/Patient"))[0] == 401


# The plugin.


async def plugin(client: httpx.AsyncClient, body: Any, key: str = canvas_plugin.KEY) -> httpx.Response:
    content = body if isinstance(body, bytes) else None
    json = None if content is not None else body
    return await client.post(canvas_plugin.PATH, content=content, json=json, headers={"authorization": key})


async def test_the_plugin_answers_before_there_is_a_patient(client: httpx.AsyncClient) -> None:
    answer = await plugin(client, SEED)
    external = {"system": canvas_plugin.PARTNER_SYSTEM, "value": "pat_1"}
    assert (answer.status_code, answer.json()) == (202, {"external_identifier": external})
    assert (await client.get("/_patients")).json() == []
    await asyncio.sleep(0.1)
    [alice] = (await client.get("/_patients")).json()
    assert alice["name"][0]["given"] == ["Alice"] and alice["identifier"][1]["value"] == "pat_1"


async def test_the_plugin_checks_little(client: httpx.AsyncClient) -> None:
    await client.post("/_knobs", json={"delay": 0})
    for key in ("", "wrong"):
        assert (await plugin(client, SEED, key)).status_code == 401
    for odd in (b"{", b"[]", b'"x"'):
        answer = await plugin(client, odd)
        assert (answer.status_code, answer.json()) == (400, "Invalid JSON body.")
    assert (await plugin(client, {**SEED, "dateOfBirth": "soon"})).status_code == 500
    for _ in range(2):
        assert (await plugin(client, {"sexAtBirth": "banana"})).status_code == 202
    await asyncio.sleep(0.05)
    held = (await client.get("/_patients")).json()
    assert len(held) == 2, "no duplicate check"
    assert held[0]["name"][0]["family"] == "None" and held[0]["identifier"][1]["value"] == "None"
    assert held[0]["extension"][0]["valueCode"] == "UNK"


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("1980-02-22T23:00:00-05:00", "1980-02-22"),
        ("19800222", "1980-02-22"),
        ("1980/2/22", "1980-02-22"),
        ("1980-02", "1980-02-01"),
        ("1980", "1980-01-01"),
    ],
)
async def test_the_plugin_reads_dates_as_arrow_does(client: httpx.AsyncClient, told: str, kept: str) -> None:
    await client.post("/_knobs", json={"delay": 0})
    assert (await plugin(client, {**SEED, "dateOfBirth": told})).status_code == 202
    await asyncio.sleep(0.05)
    [alice] = (await client.get("/_patients")).json()
    assert alice["birthDate"] == kept
    for none in ("1980-02-22th", "1980-02-30", "22-02-1980"):
        assert (await plugin(client, {**SEED, "dateOfBirth": none})).status_code == 500


class Partner:
    """Answers what Canvas calls with what the test says."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answers = list(answers)

    def client(self) -> httpx.AsyncClient:
        """Of a Canvas that calls this partner."""
        sandbox = canvas.create(transport=httpx.MockTransport(self._answer))
        return httpx.AsyncClient(transport=httpx.ASGITransport(sandbox), base_url="http://canvas.test")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["x-api-key"] == canvas_plugin.PARTNER_KEY
        self.asked.append((request.method, request.url.path))
        return self.answers.pop(0)


def partner_id(patient: dict[str, Any]) -> str | None:
    listed = (one for one in patient["identifier"] if one["system"] == canvas_plugin.PARTNER_SYSTEM)
    return next((one["value"] for one in listed), None)


@pytest.mark.parametrize(
    ("answers", "strict", "stored"),
    [
        ([(404, {}), (201, {"id": "pat_9"})], False, "pat_9"),
        ([(200, {"id": "pat_7"}), (200, {"id": "pat_7"})], False, "pat_7"),
        ([(404, {}), (409, {"error": "duplicate", "id": "pat_7"})], False, None),
        ([(404, {}), (422, {"error": "x"})], False, None),
        ([(404, {}), (422, {"error": "x"})], True, "None"),
        ([(404, {}), (500, None)], True, None),
    ],
)
async def test_what_becomes_of_the_partners_answer(answers: list[Any], strict: bool, stored: str | None) -> None:
    """In the published example an error without an id becomes the identifier "None", and HTML stops the handler."""
    made = [httpx.Response(s, json=b) if b is not None else httpx.Response(s, html="<html/>") for s, b in answers]
    partner = Partner(*made)
    async with partner.client() as client:
        await client.post("/_knobs", json={"partner_url": "http://partner.test", "strict_example": strict})
        born = {"firstName": "Alice", "lastName": "Example", "dateOfBirth": "1980-02-22"}
        canvas_id = (await client.post("/_create", json=born)).json()["id"]
        [alice] = (await client.get("/_patients")).json()
    assert partner.asked[0] == ("GET", f"/patients/v2/{canvas_id}")
    assert partner_id(alice) == stored


async def test_a_patient_of_the_plugin_is_an_update() -> None:
    partner = Partner(*(httpx.Response(200, json={"id": "pat_1"}) for _ in range(2)))
    async with partner.client() as client:
        knobs = {"partner_url": "http://partner.test", "event_first": True, "events": 2}
        await client.post("/_knobs", json=knobs)
        assert (await plugin(client, SEED)).status_code == 202
        [first, second] = (await client.get("/_calls")).json()
    assert partner.asked == [("POST", "/patients/v2/pat_1")] * 2, "no look-up: it carries the id already"
    assert first["body"] == second["body"]
    assert first["body"] | {"externalId": ""} == {
        "externalId": "",
        "firstName": "Alice",
        "lastName": "Example",
        "dateOfBirth": "1980-02-22",
    }


async def test_a_null_birth_date_stops_the_published_example() -> None:
    async with Partner(*(httpx.Response(404, json={}) for _ in range(2))).client() as client:
        await client.post("/_knobs", json={"partner_url": "http://partner.test", "strict_example": True})
        canvas_id = (await client.post("/_create", json={"firstName": "A", "lastName": "E"})).json()["id"]
        told = (await client.post(f"/_event/{canvas_id}")).json()
    assert told == {"calls": 2, "failures": ["AttributeError", "AttributeError"]}
