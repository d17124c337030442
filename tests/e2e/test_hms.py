"""HMS-API's peer by its mapping alone: registered with, told, polled, and as badly behaved as its contract says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.sandbox import hms, serve

from .office import Office, listening, staffed
from .waiting import until

pytestmark = pytest.mark.anyio

MAPPING = {
    "Patient": {
        "at": "updatedAt",
        "list": {"since": "_since", "size": "limit", "limit": 100},
        "fields": {
            "name.text": "name",
            "birthDate": {"path": "dob", "transform": "date"},
            "identifier[ours].value": "gatewayId",
        },
    },
}
KEY = {"scheme": "apiKey", "header": "X-API-Key", "key": hms.API_KEY}


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """The gateway listens on a socket too, so that the stand-in's events arrive."""
    sandbox = hms.create()
    with serve.running(sandbox) as url:
        async with staffed(tmp_path, sandbox, url) as one, listening(one) as ours:
            object.__setattr__(one.desk.context.registry, "public", ours)
            yield one


def login(office: Office, secret: str = hms.CLIENT[1]) -> dict[str, Any]:
    client = {"clientId": hms.CLIENT[0], "clientSecret": secret}
    return {"scheme": "OAuth2", **client, "tokenUrl": f"{office.url}/oauth/token"}


def partner(office: Office, **more: Any) -> dict[str, Any]:
    body = {"name": "partner", "type": "REST", "endpoint": f"{office.url}/api/patients", "auth": KEY}
    return {**body, "mapping": MAPPING, "idSystem": "https://partner.example/ids", **more}


async def edit(office: Office, id_: str, **fields: Any) -> list[int]:
    answer = await office.peer("POST", f"/_edit/patients/{id_}", {"set": fields})
    statuses: list[int] = answer["webhooks"]
    return statuses


async def named(office: Office, id_: str, name: str) -> None:
    async def is_named() -> bool:
        found = await office.desk.found(f"/Patient?identifier=https://partner.example/ids|{id_}")
        return bool(found) and found[0]["name"][0].get("text") == name

    await until(is_named)


@pytest.mark.parametrize("secret", ["whsec_c2VjcmV0", "a secret in plain words"])
@pytest.mark.parametrize("signature", ["standard", "hex", "header"])
async def test_however_they_sign_with_the_secret_they_were_told_it_is_taken(
    office: Office, signature: str, secret: str
) -> None:
    """HMS-API lists three forms, and `/subscribe` does not say which."""
    await office.knobs(signature=signature)
    sync = {"mode": "webhook", "secret": secret}
    await office.made(partner(office, sync=sync, push=False))
    assert await edit(office, "p1", name="Ada Lovelace") == [200]
    await named(office, "p1", "Ada Lovelace")
    unsigned = await office.desk.call("POST", "/api/webhooks/partner", {"id": "p1"}, key="", kind="application/json")
    assert unsigned.status_code == 401


@pytest.mark.parametrize("signature", ["standard", "hex", "header"])
async def test_it_is_registered_with_and_tells_of_changes(office: Office, signature: str) -> None:
    scheme = {"standard": "standard", "hex": "metriport", "header": "header"}[signature]
    await office.knobs(signature=signature)
    sync = {"mode": "webhook", "path": "/api/webhooks/partner/patients", "signature": scheme}
    made = await office.call("POST", "", partner(office, sync=sync, push=False))
    assert (made.status_code, made.json()["status"]) == (201, "connected"), made.text
    [registered] = (await office.peer("GET", "/_subscriptions")).values()
    assert registered["url"].endswith("/api/webhooks/partner/patients") and registered["events"]
    assert await edit(office, "p1", name="Ada Lovelace") == [200]
    await named(office, "p1", "Ada Lovelace")


async def test_a_vaccine_is_booked_there_and_the_shot_comes_back(office: Office) -> None:
    """The seed's story with a system of several collections, registered with once: the hospital books, the state's
    system says when it was done and what was given."""
    mapping = {
        "Patient": {**MAPPING["Patient"], "path": "/patients"},
        "Appointment": {
            "path": "/appointments",
            "fields": {
                "identifier[ours].value": "gatewayId",
                "status": "status",
                "participant[Patient].actor": {"path": "patientId", "transform": "reference", "type": "Patient"},
                "participant[Patient].status": {"transform": "constant", "value": "accepted"},
                "start": "start",
                "end": "end",
            },
        },
        "Immunization": {
            "path": "/immunizations",
            "fields": {
                "status": {"transform": "constant", "value": "completed"},
                "vaccineCode.coding[http://hl7.org/fhir/sid/cvx].code": "cvx",
                "patient": "patientId",
                "occurrenceDateTime": {"path": "givenOn", "transform": "date"},
            },
        },
    }
    body = partner(office, endpoint=f"{office.url}/api", sync={"mode": "webhook"}, mapping=mapping)
    made = await office.call("POST", "", body)
    assert (made.status_code, made.json()["status"]) == (201, "connected"), made.text
    assert await office.peer("GET", "/_items/subscribe") == [], "a registration is no item of theirs"

    name = [{"use": "official", "text": "Ada Lovelace", "family": "Lovelace", "given": ["Ada"]}]
    ada = await office.desk.made_id({"resourceType": "Patient", "name": name, "birthDate": "1990-12-10"})
    booked = {
        "resourceType": "Appointment",
        "status": "booked",
        "start": "2026-07-01T14:30:00Z",
        "end": "2026-07-01T14:45:00Z",
        "participant": [{"actor": {"reference": f"Patient/{ada}"}, "status": "accepted"}],
    }
    appointment = await office.desk.made_id(booked)

    async def held() -> Any:
        return await office.peer("GET", "/_items/appointments")

    [booking] = await until(held)
    person = next(one for one in await office.peer("GET", "/_items/patients") if one.get("gatewayId") == ada)
    assert (booking["patientId"], booking["gatewayId"], booking["status"]) == (person["id"], appointment, "booked")

    done = await office.peer("POST", f"/_edit/appointments/{booking['id']}", {"set": {"status": "fulfilled"}})
    shot = {"patientId": person["id"], "cvx": "208", "givenOn": "2026-07-01"}
    given = await office.peer("POST", "/_edit/immunizations/x-1", {"set": shot})
    assert done["webhooks"] == given["webhooks"] == [200]

    async def came_back() -> bool:
        return bool(await office.desk.found(f"/Immunization?patient=Patient/{ada}"))

    await until(came_back)
    assert (await office.desk.read(f"/Appointment/{appointment}"))["status"] == "fulfilled"
    assert office.desk.counts()["Patient"] == office.desk.counts()["Appointment"] == 1


async def test_events_twice_and_in_the_wrong_order_end_at_what_they_show(office: Office) -> None:
    await office.made(partner(office, sync={"mode": "webhook"}, push=False))
    await office.knobs(duplicate=True, reorder=True)
    for name in ("First", "Second", "Third"):
        await edit(office, "p1", name=name)
    assert set(await office.peer("POST", "/_flush")) == {200}
    await named(office, "p1", "Third")

    async def settled() -> bool:
        return not office.desk.messages("received")

    await until(settled)
    await named(office, "p1", "Third")


async def test_a_subscription_that_fails_is_told_and_made_by_the_next_try(office: Office) -> None:
    await office.knobs(subscribe=500)
    made = await office.call("POST", "", partner(office, sync={"mode": "webhook"}, push=False))
    assert (made.status_code, made.json()["status"]) == (201, "error")
    await office.knobs()
    again = await office.call("PATCH", "/partner", {})
    assert again.json()["status"] == "connected"
    assert await office.peer("GET", "/_subscriptions")


async def test_it_is_told_of_our_webhooks_once_and_again_only_of_what_is_new(office: Office) -> None:
    """`POST {endpoint}/subscribe` makes another subscription each time, as far as HMS-API says."""

    def told() -> int:
        return sum(one["path"].endswith("/subscribe") for one in office.sandbox.log)

    await office.made(partner(office, sync={"mode": "webhook"}, push=False))
    for body in ({"priority": 3}, {}, {"keySystems": ["https://numbers.example"]}):
        assert (await office.call("PATCH", "/partner", body)).json()["status"] == "connected"
    assert (await office.call("PUT", "/partner", (await office.call("GET", "/partner")).json())).status_code == 200
    assert told() == 1 and await edit(office, "p1", name="Ada Lovelace") == [200]
    await office.call("POST", "/partner/rotate-secret", {})
    assert told() == 2, "a new secret has to be told"
    await office.knobs(subscribe=500)
    await office.call("POST", "/partner/rotate-secret", {})
    await office.knobs()
    assert (await office.call("PATCH", "/partner", {})).json()["status"] == "connected"
    assert told() > 3, "and told until it was heard"
    await named(office, "p1", "Ada Lovelace")


@pytest.mark.parametrize("form", ["partner", "fhir"])
async def test_who_could_not_be_told_of_our_webhooks_is_told_later(tmp_path: Path, form: str) -> None:
    """Deliveries that go well say nothing of that: their changes would never come, and the status be connected."""
    with serve.running(sandbox := hms.create()) as url:
        async with staffed(tmp_path, sandbox, url, look_every=0.004) as office:
            sandbox.set(status=500, methods=["POST"])
            sync = {"mode": "webhook"}
            body = partner(office, sync=sync) if form == "partner" else office.fhir("partner", sync=sync)
            assert (await office.call("POST", "", body)).json()["status"] == "error"
            assert (await office.call("POST", "/partner/test")).json()["status"] == "connected"
            await asyncio.sleep(0.4)
            told_again = [one for one in sandbox.log if one["method"] == "POST" and one["status"] == 500]
            assert len(told_again) > 1, "it is tried again by itself"
            state = (await office.call("GET", "/partner/status")).json()
            assert state["status"] == "connected", "that they are not told of our webhooks stops no delivery"
            sandbox.set()

            async def told() -> list[Any]:
                if form == "partner":
                    return list(await office.peer("GET", "/_subscriptions"))
                return list((await office.peer("GET", "/fhir/Subscription")).get("entry", []))

            assert len(await until(told)) == 1
            await asyncio.sleep(0.3)
            assert len(await told()) == 1, "once is enough"


async def test_a_login_that_is_refused_needs_somebody(office: Office) -> None:
    made = await office.call("POST", "", partner(office, auth=login(office, "wrong"), push=False))
    assert (made.status_code, made.json()["status"]) == (201, "needs_reauth")
    assert "wrong" not in made.text
    mended = await office.call("PATCH", "/partner", {"auth": {"clientSecret": hms.CLIENT[1]}})
    assert mended.json()["status"] == "connected", mended.text


async def test_a_login_does_not_end_a_plan(office: Office) -> None:
    made = await office.call("POST", "", partner(office, auth=login(office), first="plan", push=False))
    assert made.json()["status"] == "pending"
    [first] = (await office.call("GET", "/partner/syncs")).json()
    assert (await office.ended("partner", first["syncId"]))["status"] == "planned"
    assert (await office.call("GET", "/partner/status")).json()["status"] == "pending"
    assert office.desk.counts().get("Patient", 0) == 0


async def test_a_token_that_ran_out_is_fetched_again(office: Office) -> None:
    await office.made(partner(office, auth=login(office), push=False))
    assert (await office.run("partner"))["report"]["created"] == 1
    await office.knobs(expire=True)
    assert (await office.run("partner"))["report"]["same"] == 1


@pytest.mark.parametrize("parameter", ["_since", "updatedSince"])
async def test_it_is_polled_from_where_the_last_look_ended(office: Office, parameter: str) -> None:
    mapping = {"Patient": {**MAPPING["Patient"], "list": {"since": parameter, "size": "limit", "limit": 100}}}
    sync = {"mode": "polling", "intervalSeconds": 0.1}
    await office.made(partner(office, sync=sync, mapping=mapping, push=False))
    await named(office, "p1", "Ada Example")
    await edit(office, "p1", name="Ada Else")
    await named(office, "p1", "Ada Else")
    asked = [entry["query"] for entry in office.sandbox.log if entry["path"] == "/api/patients"]
    assert any(f"{parameter}=" in query for query in asked)


async def test_what_a_client_writes_here_arrives_there(office: Office) -> None:
    await office.made(partner(office))
    made = await office.desk.made_id(
        {"resourceType": "Patient", "name": [{"text": "Grace Sample"}], "birthDate": "1906-12-09"}
    )

    async def there() -> Any:
        held = await office.peer("GET", "/_items/patients")
        return next((one for one in held if one.get("gatewayId") == made), None)

    item = await until(there)
    assert (item["name"], item["dob"]) == ("Grace Sample", "1906-12-09")


async def test_slow_answers_and_a_short_outage_only_delay(office: Office) -> None:
    await office.made(partner(office, sync={"mode": "webhook"}, push=False))
    office.sandbox.set(delay=0.3, times=1)
    await edit(office, "p1", name="Slow")
    await named(office, "p1", "Slow")
    office.sandbox.set(status=503, methods=["GET"], times=2)
    await edit(office, "p1", name="Later")
    await named(office, "p1", "Later")


async def test_two_thousand_of_theirs_are_planned_and_taken(office: Office) -> None:
    await office.peer("POST", "/_fill/patients", {"count": 2_000})
    await office.call("POST", "", partner(office, first="plan", push=False))
    [first] = (await office.call("GET", "/partner/syncs")).json()
    plan = await office.ended("partner", first["syncId"])
    assert (plan["status"], plan["report"]["seen"], plan["report"]["created"]) == ("planned", 2_001, 2_001)
    assert office.desk.sequence() == 0
    assert not [entry for entry in office.sandbox.log if entry["method"] != "GET"]
    await office.call("POST", "/partner/go")
    newest, *_ = (await office.call("GET", "/partner/syncs")).json()
    done = await office.ended("partner", newest["syncId"])
    assert (done["status"], done["report"]["created"]) == ("done", 2_001)
    assert office.desk.counts()["Patient"] == 2_001


async def test_the_stand_in_is_as_strict_as_its_contract() -> None:
    transport = httpx.ASGITransport(hms.create())
    async with httpx.AsyncClient(transport=transport, base_url="http://hms") as client:
        assert (await client.get("/api/patients")).status_code == 401
        client.headers["x-api-key"] = hms.API_KEY
        made = await client.post("/api/appointments", json={"at": "2026-01-01"})
        assert made.status_code == 201 and made.json()["id"] and made.json()["updatedAt"]
        assert (await client.post("/api/patients/subscribe", json={"url": "http://x"})).status_code == 422
        assert (await client.get("/api/patients/nobody")).status_code == 404
        assert (await client.post("/oauth/token", data={"grant_type": "password"})).status_code == 400
        assert (await client.get("/fhir/Patient", headers={"x-api-key": "no"})).status_code == 401
        first = await client.get("/api/patients?limit=1")
        await asyncio.sleep(0)
        assert len(first.json()) == 1 and "link" not in first.headers
