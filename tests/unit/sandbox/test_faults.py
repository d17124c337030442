"""The fault knobs of the stand-ins; those that cut connections are tested over sockets, in tests/contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

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
    assert {"canvas", "canvas_partner", "fhir_server"} <= set(serve.names())
    with pytest.raises(InvalidInput, match=r"canvas_partner, .*fhir_server"):
        serve.create("campus")
