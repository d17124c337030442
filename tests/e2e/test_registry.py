"""The registry of connectors (HMS-API): the seed's requests byte for byte, and everything its contract adds to them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.connectors.signature import sign
from gateway.sandbox import hms, serve

from .office import BASE, REST, Office, person, staffed
from .waiting import until

pytestmark = pytest.mark.anyio

SEED = b"""{"name":"StateEHR","type":"FHIR","endpoint":"https://stateehr.gov/fhir/Patient",
 "auth":{"scheme":"OAuth2","clientId":"ABC123","clientSecret":"SECRET"},
 "sync":{"mode":"webhook","path":"/api/webhooks/state-ehr/patient"},
 "mapping":{"hmsPatientId":"id","hmsName":"name"}}"""
EXAMPLE_HOST = b"https://stateehr.gov"


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    sandbox = hms.create()
    with serve.running(sandbox) as url:
        async with staffed(tmp_path, sandbox, url) as one:
            yield one


# --- the seed ---------------------------------------------------------------------------------------------------------


async def test_the_seeds_three_requests_give_its_three_answers(office: Office) -> None:
    body = SEED.replace(EXAMPLE_HOST, office.url.encode())
    made = await office.call("POST", "", body)
    assert made.status_code == 201, made.text
    given = made.json()
    assert {name: given[name] for name in ("name", "status")} == {"name": "StateEHR", "status": "connected"}, given
    assert re.fullmatch(r"conn_\w+", given["connectorId"])
    listed = await office.call("GET")
    assert listed.status_code == 200
    assert [one for one in listed.json() if one["name"] != "app"] == [given], "no bare names of keys"
    started = await office.call("POST", f"/{given['connectorId']}/sync")
    assert started.status_code == 202 and started.json()["status"] == "sync_started"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", started.json()["startedAt"])
    assert "SECRET" not in made.text + listed.text
    subscriptions = (await office.peer("GET", "/fhir/Subscription"))["entry"]
    [channel] = [one["resource"]["channel"] for one in subscriptions]
    assert channel["endpoint"].endswith("/api/webhooks/state-ehr/patient") and channel["header"]


async def test_a_webhook_in_the_mapped_form_makes_the_patient(office: Office) -> None:
    """HMS-API, acceptance: hmsPatientId=p1, hmsName=Ada in the store; a wrong signature gives 401 and no row; the same
    event twice gives one upsert."""
    secret = "whsec_c2VjcmV0LW9mLXR3ZW50eS1mb3VyLWJ5dGVz"
    body = SEED.replace(EXAMPLE_HOST, office.url.encode()).replace(
        b'"webhook",', b'"webhook","secret":"%s",' % secret.encode()
    )
    made = await office.call("POST", "", body)
    assert made.status_code == 201, made.text
    path, payload = "/api/webhooks/state-ehr/patient", b'{"id":"p1","name":"Ada"}'
    wrong = sign("whsec_d3Jvbmc=", "evt_1", payload, now=datetime.now(UTC))
    refused = await office.desk.call("POST", path, payload, key="", kind=REST, headers=wrong)
    assert refused.status_code == 401 and not office.desk.messages()
    for _ in range(2):
        right = sign(secret, "evt_1", payload, now=datetime.now(UTC))
        taken = await office.desk.call("POST", path, payload, key="", kind=REST, headers=right)
        assert taken.status_code == 200, taken.text

    async def found() -> Any:
        return await office.desk.found("/Patient?identifier=p1")

    [patient] = await until(found)
    assert patient["name"] == [{"text": "Ada"}]
    assert [one["value"] for one in patient["identifier"] if one["system"].startswith(office.url)] == ["p1"]
    assert patient["meta"]["versionId"] == "1" and office.desk.counts()["Patient"] == 1


# --- create, and what is refused --------------------------------------------------------------------------------------


async def test_secrets_are_written_and_never_read(office: Office) -> None:
    made = await office.call("POST", "", office.fhir(sync={"mode": "webhook", "secret": "whsec_c2VjcmV0"}))
    assert made.status_code == 201, made.text
    shown = made.json()
    assert shown["auth"] == {"scheme": "apiKey", "header": "X-API-Key", "secretSet": True}
    assert shown["sync"]["secretSet"] is True
    everything = (
        made.text + (await office.call("GET")).text + (await office.call("GET", f"/{shown['connectorId']}")).text
    )
    assert hms.API_KEY not in everything and "c2VjcmV0" not in everything


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "HL7v2": ({"type": "HL7v2"}, 422, "type"),
    "no name": ({"name": None}, 422, "name"),
    "unknown field": ({"endpiont": "x"}, 422, "endpiont"),
    "a path elsewhere": ({"sync": {"mode": "webhook", "path": "/fhir/Patient"}}, 422, "sync.path"),
    "a path that climbs": ({"sync": {"mode": "webhook", "path": "/api/webhooks/../fhir"}}, 422, "sync.path"),
    "a mapping that is not one to one": ({"mapping": {"hmsName": "name", "hmsPatientId": "name"}}, 422, "mapping"),
    "no key": ({"auth": {"scheme": "apiKey"}}, 422, "auth.key"),
    "an address that is none": ({"endpoint": "ftp://ehr.example"}, 422, "endpoint"),
    "a queue without a broker": ({"sync": {"mode": "queue"}}, 422, "sync.broker"),
    "a broker with its login in the address": (
        {"sync": {"mode": "queue", "broker": "kafka", "topic": "t", "address": "kafka://u:p@b.example:9092"}},
        422,
        "sync.address",
    ),
    "an unknown mode": ({"sync": {"mode": "telepathy"}}, 422, "sync.mode"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_used_is_refused_and_named(office: Office, name: str) -> None:
    change, status, field = REFUSED[name]
    body = {key: value for key, value in {**office.fhir(), **change}.items() if value is not None}
    answer = await office.call("POST", "", body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in answer.json()["detail"] and answer.json()["code"]
    assert (await office.call("GET")).json() == [] or "ehr" not in (await office.call("GET")).text


async def test_the_same_name_twice_and_the_same_path_twice_are_409(office: Office) -> None:
    hook = {"mode": "webhook", "path": "/api/webhooks/one"}
    await office.made(office.fhir(sync=hook))
    again = await office.call("POST", "", office.fhir())
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    other = await office.call("POST", "", office.fhir("other", sync=hook))
    assert other.status_code == 409 and "/api/webhooks/one" in other.json()["detail"]


async def test_an_idempotency_key_makes_one_connector(office: Office) -> None:
    headers = {"idempotency-key": "abc"}
    first = await office.call("POST", "", office.fhir(), headers=headers)
    again = await office.call("POST", "", office.fhir(), headers=headers)
    assert (first.status_code, again.status_code) == (201, 201) and first.json() == again.json()
    other = await office.call("POST", "", office.fhir("other"), headers=headers)
    assert other.status_code == 400 and "Idempotency-Key" in other.json()["detail"]


async def test_what_their_side_refuses_is_a_status_not_an_error(office: Office) -> None:
    wrong = office.fhir(auth={"scheme": "apiKey", "key": "wrong"})
    made = await office.call("POST", "", wrong)
    assert made.status_code == 201 and made.json()["status"] == "needs_reauth"
    assert made.json()["lastError"]["message"] and "wrong" not in made.json()["lastError"]["message"]
    fixed = await office.call("PATCH", "/ehr", {"auth": {"key": hms.API_KEY}})
    assert fixed.json()["status"] == "connected" and "lastError" not in fixed.json()


async def test_nobody_there_is_a_status_too(office: Office) -> None:
    made = await office.call("POST", "", office.fhir(endpoint="http://127.0.0.1:9/fhir"))
    assert (made.status_code, made.json()["status"]) == (201, "error")
    assert made.json()["lastError"]["code"] == "transient"


# --- who may ----------------------------------------------------------------------------------------------------------


async def test_each_call_needs_its_scope(office: Office) -> None:
    await office.made(office.fhir())
    keys = {
        scope: office.desk.add_key(scope, "ops", scope)
        for scope in ("connectors:read", "connectors:write", "connectors:sync")
    }
    calls = [
        ("connectors:read", "GET", "", 200),
        ("connectors:read", "GET", "/ehr/status", 200),
        ("connectors:write", "POST", "/ehr/pause", 200),
        ("connectors:write", "POST", "/ehr/resume", 200),
        ("connectors:write", "POST", "/ehr/unlink", 400),
        ("connectors:sync", "POST", "/ehr/sync", 202),
    ]
    for scope, method, path, status in calls:
        for held, key in keys.items():
            answer = await office.call(method, path, key=key)
            assert answer.status_code == (status if held == scope else 403), (held, method, path)
            assert held == scope or scope in answer.json()["detail"]
    assert (await office.call("GET", key="")).status_code == 401
    assert (await office.call("GET", key="wrong")).status_code == 401
    assert (await office.call("GET", key=office.desk.key)).status_code == 403, "a FHIR client's key is not enough"


# --- changes ----------------------------------------------------------------------------------------------------------


async def test_a_connector_is_read_replaced_patched_and_deleted(office: Office) -> None:
    made = await office.made(office.fhir())
    for name in (made, "ehr"):
        assert (await office.call("GET", f"/{name}")).json()["connectorId"] == made
    patched = await office.call("PATCH", f"/{made}", {"priority": 7}, kind="application/merge-patch+json")
    assert patched.json()["priority"] == 7 and patched.json()["auth"]["secretSet"]
    put = office.fhir()
    del put["auth"]["key"]
    replaced = await office.call("PUT", f"/{made}", put)
    assert replaced.status_code == 200 and "priority" not in replaced.json()
    assert replaced.json()["status"] == "connected", "the key was kept"
    renamed = await office.call("PUT", f"/{made}", {**put, "name": "other"})
    assert renamed.status_code == 422
    assert (await office.call("DELETE", f"/{made}")).status_code == 204
    assert (await office.call("GET", f"/{made}")).status_code == 410
    assert (await office.call("GET")).json() == [
        one for one in (await office.call("GET")).json() if one["name"] != "ehr"
    ]
    assert (await office.call("GET", "/conn_nothing")).status_code == 404
    assert office.desk.ask(lambda reader: reader.secret_names("ehr")) == []


async def test_every_change_leaves_its_row_in_the_audit_trail(office: Office) -> None:
    await office.made(office.fhir(sync={"mode": "webhook"}))
    for method, path, body in [
        ("PATCH", "", {"priority": 1}),
        ("POST", "/pause", None),
        ("POST", "/resume", None),
        ("POST", "/rotate-secret", None),
        ("POST", "/sync", None),
        ("DELETE", "", None),
    ]:
        assert (await office.call(method, f"/ehr{path}", body)).is_success
    rows = [one for one in await office.desk.audits() if one.type == "Connector" and one.connector == "ehr"]
    assert [one.action for one in reversed(rows)] == ["C", "U", "U", "U", "U", "E", "D"]
    assert all((one.principal or "").startswith("op-") for one in rows)


async def test_what_was_got_may_be_changed_and_put_back(office: Office) -> None:
    """What only we say of a connector is left out of it; an address that is another one's is not taken."""
    made = await office.made(office.fhir(sync={"mode": "webhook", "secret": "whsec_c2VjcmV0"}))
    got = (await office.call("GET", f"/{made}")).json()
    put = await office.call("PUT", f"/{made}", {**got, "priority": 7})
    assert put.status_code == 200, put.text
    assert put.json() == {**got, "priority": 7}
    wrong = await office.call("PUT", f"/{made}", {**got, "connectorId": "conn_000"})
    assert wrong.status_code == 422 and "connectorId" in wrong.json()["detail"]


async def test_a_name_that_only_a_key_has_is_free(office: Office) -> None:
    """Whoever was given a key first is connected afterwards, under the same id."""
    office.desk.add_key("ehr-prod", "ehr", "system/Patient.cru")
    assert "ehr" not in [one["name"] for one in (await office.call("GET")).json()]
    made = await office.call("POST", "", office.fhir())
    assert made.status_code == 201, made.text
    assert (await office.call("POST", "", office.fhir())).status_code == 409


async def test_bodies_without_a_content_type_and_slashes_at_the_end(office: Office) -> None:
    """The seed's requests are printed without either."""
    headers = {"authorization": f"Bearer {office.key}"}
    body = SEED.replace(EXAMPLE_HOST, office.url.encode())
    made = await office.desk.client.post(f"{BASE}/", content=body, headers=headers)
    assert made.status_code == 201, made.text
    listed = await office.desk.client.get(f"{BASE}/", headers=headers)
    assert "StateEHR" in [one["name"] for one in listed.json()]
    form = {**headers, "content-type": "application/x-www-form-urlencoded"}
    assert (await office.desk.client.post(BASE, content=body, headers=form)).status_code == 415


@pytest.mark.parametrize("body", [[1], "x", {"newSecret": "whsec_c2VjcmV0"}, {"atOnce": "yes"}, {"secret": ["x"]}])
async def test_a_rotation_that_is_misspelt_rotates_nothing(office: Office, body: Any) -> None:
    secret = "whsec_c2VjcmV0"
    await office.made(office.fhir(sync={"mode": "webhook", "secret": secret}))
    assert (await office.call("POST", "/ehr/rotate-secret", body)).status_code == 422
    assert office.desk.ask(lambda reader: reader.secrets("ehr"))["webhook_secret"] == secret


async def test_a_name_is_never_given_to_another_system(office: Office) -> None:
    made = await office.made(office.fhir())
    await office.call("DELETE", f"/{made}")
    other = await office.call("POST", "", office.fhir(endpoint="http://127.0.0.1:9/fhir"))
    assert other.status_code == 409, "what the first one said is kept under its name"
    same = await office.call("POST", "", office.fhir())
    assert same.status_code == 201, "the same system again"


async def test_the_list_has_pages(office: Office) -> None:
    for name in ("a", "b", "c"):
        await office.made(office.fhir(name))
    first = await office.call("GET", "?limit=2")
    assert [one["name"] for one in first.json()] == ["a", "app"]
    following = re.fullmatch(r'<(.+)>; rel="next"', first.headers["link"])
    assert following
    second = await office.call("GET", following[1].removeprefix(BASE))
    assert [one["name"] for one in second.json()] == ["b", "c"]
    for limit in ("none", "0", "1001", "-1", "１", "1" * 5_000):
        assert (await office.call("GET", f"?limit={limit}")).status_code == 400


async def test_a_paused_connector_keeps_what_it_is_told_until_it_goes_on(office: Office) -> None:
    secret = "whsec_c2VjcmV0"
    await office.made(office.fhir(sync={"mode": "webhook", "secret": secret}))
    await office.peer("PUT", "/fhir/Patient/p1", person("p1"))
    assert (await office.call("POST", "/ehr/pause")).json()["status"] == "paused"
    payload = b'{"id":"e1","type":"patient.updated","data":{"id":"p1"}}'
    headers = sign(secret, "e1", payload, now=datetime.now(UTC))
    told = await office.desk.call("POST", "/api/webhooks/ehr", payload, key="", kind=REST, headers=headers)
    assert told.status_code == 200
    status = (await office.call("GET", "/ehr/status")).json()
    assert status["status"] == "paused" and status["queued"] == 1 and status["failed"] == 0
    assert office.desk.counts().get("Patient", 0) == 0
    assert (await office.call("POST", "/ehr/resume")).json()["status"] == "connected"

    async def applied() -> bool:
        return office.desk.counts().get("Patient", 0) == 1

    await until(applied)


async def test_the_subscription_of_who_is_deleted_is_taken_off_and_no_other(office: Office) -> None:
    await office.made(office.fhir(sync={"mode": "webhook"}))
    other = {"type": "rest-hook", "endpoint": "https://other.example/hook", "payload": "application/fhir+json"}
    body = {"resourceType": "Subscription", "status": "active", "reason": "theirs", "criteria": "Patient?"}
    await office.peer("POST", "/fhir/Subscription", {**body, "channel": other})
    assert (await office.call("DELETE", "/ehr")).status_code == 204
    [left] = (await office.peer("GET", "/fhir/Subscription"))["entry"]
    assert left["resource"]["channel"]["endpoint"] == other["endpoint"]


async def test_a_rotated_secret_is_shown_once_and_told_to_them(office: Office) -> None:
    old = "whsec_c2VjcmV0"
    await office.made(office.fhir(sync={"mode": "webhook", "secret": old}))
    rotated = (await office.call("POST", "/ehr/rotate-secret")).json()
    new = rotated["secret"]
    assert new.startswith("whsec_") and rotated["status"] == "connected"
    assert new not in (await office.call("GET", "/ehr")).text
    [held] = (await office.peer("GET", "/fhir/Subscription"))["entry"]
    assert held["resource"]["channel"]["header"] == [f"X-Webhook-Secret: {new}"], "they sign by the new one from now on"

    async def tell(secret: str, event: str) -> int:
        payload = b'{"type":"patient.updated","data":{"id":"p1"}}'
        headers = sign(secret, event, payload, now=datetime.now(UTC))
        answer = await office.desk.call("POST", "/api/webhooks/ehr", payload, key="", kind=REST, headers=headers)
        return answer.status_code

    assert [await tell(old, "e1"), await tell(new, "e2")] == [200, 200], "both while they change over"
    for unusable in (7, "", " "):
        assert (await office.call("POST", "/ehr/rotate-secret", {"secret": unusable})).status_code == 422
    await office.call("POST", "/ehr/rotate-secret", {"secret": "whsec_Z2l2ZW4=", "atOnce": True})
    assert await tell("whsec_Z2l2ZW4=", "e5") == 200
    await office.call("POST", "/ehr/rotate-secret", {"atOnce": True})
    assert [await tell(old, "e3"), await tell(new, "e4")] == [401, 401]


async def test_test_tells_what_is_wrong_now(office: Office) -> None:
    await office.made(office.fhir())
    assert (await office.call("POST", "/ehr/test")).json()["status"] == "connected"
    office.sandbox.set(status=500)
    tested = (await office.call("POST", "/ehr/test")).json()
    assert tested["status"] == "error" and tested["error"]["code"]
    status = (await office.call("GET", "/ehr/status")).json()
    assert status["status"] == "error" and status["lastError"]["message"]
    office.sandbox.set()
    assert (await office.call("POST", "/ehr/test")).json()["status"] == "connected"
