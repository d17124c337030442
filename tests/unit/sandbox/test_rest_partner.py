"""The state's EHR refuses what its API does not have: a mapping is only right if it is strict."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gateway.fhir import json
from gateway.sandbox import rest_partner

pytestmark = pytest.mark.anyio

PERSON = {"last": "Builder", "first": "Bob", "externalId": "our-1"}


def client(*, xml: bool = False) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(rest_partner.create(xml=xml))
    return httpx.AsyncClient(transport=transport, base_url="http://ehr", headers={"X-API-Key": rest_partner.API_KEY})


REFUSED: list[tuple[str, str, Any, int]] = [
    ("POST", "/api/people", {"person": {"last": "Builder"}}, 422),
    ("POST", "/api/people", {"person": {**PERSON, "height": 5}}, 422),
    ("POST", "/api/people", {"person": {**PERSON, "dob": "1980-02-22"}}, 422),
    ("POST", "/api/people", PERSON, 400),
    ("POST", "/api/people", [], 400),
    ("POST", "/api/pets", {"pet": {}}, 404),
    ("POST", "/api/bookings", {"booking": {"personId": "p-404", "startsAt": "x", "state": "confirmed"}}, 422),
    ("PATCH", "/api/people/s-404", {"person": PERSON}, 404),
    ("GET", "/api/people?updated=1", None, 400),
    ("GET", "/api/people/s-404", None, 404),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), REFUSED)
async def test_what_its_api_does_not_have_is_refused(method: str, path: str, body: Any, status: int) -> None:
    async with client() as api:
        answer = await api.request(method, path, content=None if body is None else json.encode(body))
        assert answer.status_code == status


async def test_an_external_id_is_held_by_one_and_a_put_clears() -> None:
    async with client() as api:
        made = (await api.post("/api/people", json={"person": {**PERSON, "town": "X"}})).json()["data"]
        assert (await api.post("/api/people", json={"person": PERSON})).status_code == 409
        found = (await api.get("/api/people", params={"externalId": "our-1"})).json()["data"]
        assert [one["id"] for one in found] == [made["id"]]
        put = (await api.put(f"/api/people/{made['id']}", json={"person": PERSON})).json()["data"]
        assert "town" not in put and put["externalId"] == "our-1"
        patched = (await api.patch(f"/api/people/{made['id']}", json={"person": {"town": "Y"}})).json()["data"]
        assert (patched["town"], patched["last"]) == ("Y", "Builder")


async def test_the_older_one_speaks_xml() -> None:
    async with client(xml=True) as api:
        body = b"<person><last>Builder</last><first>Bob</first></person>"
        made = await api.post("/api/people", content=body)
        assert made.status_code == 201 and made.content.startswith(b'<person id="p-1">')
        assert (await api.post("/api/people", content=b"<people/>")).status_code == 400
        assert (await api.post("/api/people", content=b"{}")).status_code == 400


@pytest.mark.parametrize("key", ["", "guessed"])
async def test_without_the_key_nothing_is_told(key: str) -> None:
    async with client() as api:
        assert (await api.get("/api/people", headers={"X-API-Key": key})).status_code == 401
