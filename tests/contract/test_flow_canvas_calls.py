"""Canvas' calls to its partner, on both databases and by two gateways at once: one Canvas id is one patient."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.fhir import json
from tests.e2e.desk import Desk, opened, patient

pytestmark = pytest.mark.anyio

CANVAS_ID = "7162fd82487e4dc8aa2581ddbca91892"
ALICE = {"externalId": CANVAS_ID, "firstName": "Ada", "lastName": "Example", "dateOfBirth": "1980-02-22"}
CONNECTOR = {"name": "canvas", "profile": "canvas_fhir", "push": False}
MANY = 12


@pytest.fixture
async def desks(database: str, tmp_path: Path, anyio_backend: str) -> AsyncIterator[tuple[Desk, Desk]]:
    """Two gateways on one database."""
    async with opened(tmp_path, database) as one, opened(tmp_path, database) as two:
        two.key = one.key
        yield one, two


async def call(desk: Desk, key: str, path: str, body: Any) -> httpx.Response:
    headers = {"x-api-key": key, "content-type": "application/json"}
    return await desk.client.post(f"/patients/v2{path}", content=json.encode(body), headers=headers)


@pytest.mark.parametrize("known", [True, False], ids=["its ids are a key", "nobody knows its ids"])
async def test_many_creates_at_once_make_one(desks: tuple[Desk, Desk], known: bool) -> None:
    one, two = desks
    one.connect({**CONNECTOR, **({"idSystem": "https://canvas.example"} if known else {})})
    key = one.add_key("canvas", "canvas", "system/Patient.cru")
    answers = await asyncio.gather(*(call(desk, key, "", ALICE) for _ in range(MANY) for desk in desks))
    assert sorted({one.status_code for one in answers}) == [201, 409]
    assert [one.status_code for one in answers].count(201) == 1
    assert len({one.json()["id"] for one in answers}) == 1
    assert two.counts()["Patient"] == 1


async def test_many_updates_at_once_link_once(desks: tuple[Desk, Desk]) -> None:
    one, two = desks
    one.connect({**CONNECTOR, "idSystem": "https://canvas.example"})
    key = one.add_key("canvas", "canvas", "system/Patient.cru")
    ours = await one.made_id(patient("Example"))
    answers = await asyncio.gather(*(call(desk, key, f"/{ours}", ALICE) for _ in range(MANY) for desk in desks))
    assert {one.status_code for one in answers} == {200}
    assert {(one.json()["id"], one.json()["externalId"]) for one in answers} == {(ours, CANVAS_ID)}
    found = await two.found(f"/Patient?identifier=https://canvas.example|{CANVAS_ID}")
    assert [one["id"] for one in found] == [ours]
