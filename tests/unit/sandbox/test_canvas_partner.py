"""The REST stand-in keeps the partner's contract, and tells of its users' edits."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.sandbox import canvas_partner

pytestmark = pytest.mark.anyio

BOB = {"externalId": "our-1", "firstName": "Bob", "lastName": "Builder", "dateOfBirth": "1970-05-06"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(canvas_partner.create()),
        base_url="http://partner",
        headers={"x-api-key": canvas_partner.API_KEY},
    ) as one:
        yield one


async def test_the_patient_of_the_seed_is_there_from_the_start(client: httpx.AsyncClient) -> None:
    alice = (await client.get("/patients/v2/pat_12345678")).json()
    assert (alice["firstName"], alice["lastName"]) == ("Alice", "Example")


async def test_create_then_found_by_either_id(client: httpx.AsyncClient) -> None:
    made = await client.post("/patients/v2", json=BOB)
    assert made.status_code == 201
    for id_ in ("our-1", made.json()["id"]):
        assert (await client.get(f"/patients/v2/{id_}")).json() == made.json()


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_an_update_changes_what_it_names(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/patients/v2/pat_12345678", json={"lastName": "Sample", "dateOfBirth": None})
    assert answer.status_code == 200
    assert answer.json() | {"id": "-"} == {
        "id": "-",
        "firstName": "Alice",
        "lastName": "Sample",
        "dateOfBirth": None,
    }


async def test_an_external_id_belongs_to_one(client: httpx.AsyncClient) -> None:
    first = (await client.post("/patients/v2", json=BOB)).json()
    again = await client.post("/patients/v2", json=BOB)
    assert (again.status_code, again.json()) == (409, {"error": "duplicate", "id": first["id"]})
    other = await client.post("/patients/v2/pat_12345678", json={"externalId": "our-1"})
    assert (other.status_code, other.json()["id"]) == (409, first["id"])


async def test_errors_are_json(client: httpx.AsyncClient) -> None:
    answers = [
        (await client.get("/patients/v2/nobody"), 404),
        (await client.patch("/patients/v2/nobody", json={}), 404),
        (await client.post("/patients/v2", json={"firstName": "Bob"}), 422),
        (await client.post("/patients/v2", json=["Bob"]), 400),
        (await client.post("/patients/v2", content=b"{"), 400),
        (await client.get("/patients/v2/pat_12345678", headers={"x-api-key": "wrong"}), 401),
    ]
    assert [answer.status_code for answer, _ in answers] == [status for _, status in answers]
    assert all("error" in answer.json() for answer, _ in answers)


async def test_an_edit_by_a_user_needs_nobody_to_tell(client: httpx.AsyncClient) -> None:
    edited = await client.post("/_edit/pat_12345678", json={"set": {"lastName": "Sample"}})
    assert edited.json() == {"patient": (await client.get("/patients/v2/pat_12345678")).json(), "webhooks": []}
    assert edited.json()["patient"]["lastName"] == "Sample"
    assert (await client.post("/_edit/nobody", json={})).status_code == 404


async def test_the_log_has_the_calls_but_no_keys(client: httpx.AsyncClient) -> None:
    await client.post("/patients/v2", json=BOB)
    await client.post("/_edit/pat_12345678", json={})
    log = await client.get("/_log")
    assert [(entry["method"], entry["path"], entry["status"]) for entry in log.json()] == [
        ("POST", "/patients/v2", 201)
    ]
    assert log.json()[0]["body"] == BOB
    assert canvas_partner.API_KEY not in log.text
