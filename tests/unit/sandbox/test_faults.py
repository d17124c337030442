"""The fault knobs of the stand-ins; those that cut connections are tested over sockets, in tests/contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from gateway.errors import InvalidInput
from gateway.sandbox import serve
from gateway.sandbox.faults import Sandbox

pytestmark = pytest.mark.anyio


@pytest.fixture
def sandbox() -> Sandbox:
    return serve.create("fhir_server")


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox), base_url="http://stand-in") as one:
        yield one


async def test_a_status_for_so_many_calls(client: httpx.AsyncClient) -> None:
    knobs = {"status": 503, "retry_after": 7, "times": 2}
    assert (await client.post("/_faults", json=knobs)).json()["status"] == 503
    answers = [await client.get("/fhir/Patient") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["retry-after"] == "7"


async def test_for_some_methods_only_and_without_effect(client: httpx.AsyncClient) -> None:
    await client.post("/_faults", json={"status": 500, "html": True, "methods": ["POST"]})
    refused = await client.post("/fhir/Patient", json={"resourceType": "Patient"})
    assert refused.status_code == 500 and refused.headers["content-type"].startswith("text/html")
    assert (await client.get("/fhir/Patient")).json()["total"] == 0


async def test_knobs_set_anew_are_all_set_anew(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    await client.post("/_faults", json={"status": 500})
    await client.post("/_faults", json={"delay": 0.5})
    assert (sandbox.faults.status, sandbox.faults.delay) == (None, 0.5)
    await client.post("/_faults", json={})
    assert (await client.get("/_faults")).json()["delay"] == 0


@pytest.mark.parametrize("knobs", [{"dwon": True}, [], "down"])
async def test_a_knob_that_does_not_exist_is_named(client: httpx.AsyncClient, knobs: object) -> None:
    answer = await client.post("/_faults", json=knobs)
    assert answer.status_code == 400
    assert "duplicate_webhooks" in answer.json()["error"]


def test_the_stand_ins_there_are() -> None:
    assert {"canvas", "canvas_partner", "fhir_server", "hms"} <= set(serve.names())
    assert all(isinstance(serve.create(name), Sandbox) for name in serve.names())
    with pytest.raises(InvalidInput, match=r"canvas_partner, .*fhir_server"):
        serve.create("campus")


PATIENT = {"resourceType": "Patient", "name": [{"family": "Doe", "given": ["Ada"]}], "birthDate": "1980-02-22"}


async def test_a_call_that_a_proxy_repeats_has_its_effect_twice(client: httpx.AsyncClient) -> None:
    await client.post("/_faults", json={"duplicate": True, "methods": ["POST"]})
    assert (await client.post("/fhir/Patient", json=PATIENT)).status_code == 201
    assert (await client.get("/fhir/Patient")).json()["total"] == 2


async def test_a_call_is_overtaken_by_the_next(client: httpx.AsyncClient) -> None:
    await client.post("/_faults", json={"reorder": True, "times": 1})
    named = [{**PATIENT, "name": [{"family": name}]} for name in ("First", "Second")]
    first = asyncio.create_task(client.post("/fhir/Patient", json=named[0]))
    await asyncio.sleep(0.01)
    await client.post("/fhir/Patient", json=named[1])
    await first
    held = (await client.get("/fhir/Patient")).json()["entry"]
    assert [one["resource"]["name"][0]["family"] for one in held] == ["Second", "First"]


async def test_a_stale_read_tells_what_was_true_before(client: httpx.AsyncClient) -> None:
    await client.post("/fhir/Patient", json=PATIENT)
    assert (await client.get("/fhir/Patient")).json()["total"] == 1
    await client.post("/_faults", json={"stale": True})
    await client.post("/fhir/Patient", json=PATIENT)
    assert (await client.get("/fhir/Patient")).json()["total"] == 1
    await client.post("/_faults", json={})
    assert (await client.get("/fhir/Patient")).json()["total"] == 2


async def test_more_calls_than_it_takes_are_refused_for_a_while(client: httpx.AsyncClient) -> None:
    await client.post("/_faults", json={"rate": 2, "rate_seconds": 2})
    answers = [await client.get("/fhir/Patient") for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429] and answers[2].headers["retry-after"] == "2"
    await asyncio.sleep(2.1)
    assert (await client.get("/fhir/Patient")).status_code == 200


async def test_tokens_that_were_used_expire_and_new_ones_do_not(client: httpx.AsyncClient) -> None:
    old, new = {"authorization": "Bearer old"}, {"authorization": "Bearer new"}
    await client.get("/fhir/Patient", headers=old)
    await client.post("/_faults", json={"expire_tokens": True})
    assert (await client.get("/fhir/Patient", headers=old)).status_code == 401
    assert (await client.get("/fhir/Patient", headers=new)).status_code == 200


async def test_what_it_is_sent_is_kept_in_its_own_formats(client: httpx.AsyncClient) -> None:
    await client.post("/_faults", json={"rewrite": ["phone", "case", "dates", "order"]})
    phones = [{"system": "phone", "value": "+1 (555) 010-2030"}, {"system": "phone", "value": "(555) 010-9999"}]
    period = {"start": "2026-01-02T03:04:05Z"}
    sent = {**PATIENT, "telecom": phones, "address": [{"city": "Springfield", "period": period}]}
    kept = (await client.post("/fhir/Patient", json=sent)).json()
    assert kept["name"] == [{"family": "DOE", "given": ["ADA"]}] and kept["birthDate"] == "1980-02-22"
    assert [one["value"] for one in kept["telecom"]] == ["555-010-9999", "1555-010-2030"]
    assert kept["address"] == [{"city": "SPRINGFIELD", "period": {"start": "2026-01-02T03:04:05+00:00"}}]
    assert (await client.post("/_faults", json={"rewrite": ["upside down"]})).status_code == 400


async def test_a_webhook_is_kept_back_until_the_next_was_sent(sandbox: Sandbox) -> None:
    sent: list[str] = []

    def send(name: str) -> Callable[[], Awaitable[int]]:
        async def one() -> int:
            sent.append(name)
            return 200

        return one

    sandbox.set(reorder_webhooks=True)
    assert await sandbox.tell(send("first")) == []
    assert await sandbox.tell(send("second")) == [200, 200] and sent == ["second", "first"]
    sandbox.set(duplicate_webhooks=True)
    assert await sandbox.tell(send("third")) == [200, 200] and sent[2:] == ["third", "third"]
