"""The flow behind the FHIR API on both databases: back after a delete, batches, keys, odd characters, two gateways."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.connectors.signature import sign
from gateway.fhir import json
from tests.e2e.desk import (
    MRN,
    UNLISTED,
    Desk,
    bundle,
    decoded,
    entry,
    issue,
    link,
    observation,
    opened,
    patient,
    resources,
)

pytestmark = pytest.mark.anyio

SECRET = f"whsec_{base64.b64encode(b'a secret of twenty-four ').decode()}"


@pytest.fixture
async def desks(database: str, tmp_path: Path, anyio_backend: str) -> AsyncIterator[tuple[Desk, Desk]]:
    """Two gateways on one database."""
    async with opened(tmp_path, database, raises=True) as one, opened(tmp_path, database, raises=True) as two:
        two.key = one.key
        yield one, two


@pytest.fixture
def desk(desks: tuple[Desk, Desk]) -> Desk:
    return desks[0]


@pytest.mark.parametrize("resource", [patient("Gone", (MRN, "1"), (UNLISTED, "1")), observation(None, (UNLISTED, "1"))])
async def test_deleted_and_brought_back_and_deleted_again(desk: Desk, resource: dict[str, Any]) -> None:
    kind, made = resource["resourceType"], await desk.made_id(resource)
    path = f"/{kind}/{made}"
    for version in (2, 4, 6):
        assert (await desk.fhir("DELETE", path)).status_code == 204
        assert (await desk.fhir("GET", path)).status_code == 410
        assert await desk.found(f"/{kind}?identifier={UNLISTED}|1") == []
        back = await desk.fhir("PUT", path, {**resource, "id": made})
        assert back.headers["etag"] == f'W/"{version + 1}"'
        assert [one["id"] for one in await desk.found(f"/{kind}?identifier={UNLISTED}|1")] == [made]
    again = await desk.post(resource)
    assert (again.status_code == 200) == (kind == "Patient"), "the key names the one that is back"


async def test_a_batch_with_every_kind_of_failure(desk: Desk) -> None:
    await desk.made_id(patient("Holder", (MRN, "held")))
    stranger = patient("Zed", (MRN, "held"), name=[{"family": "Zed", "given": ["Zoe"]}], birthDate="1950-05-05")
    answer = await desk.batch(
        entry("POST", "Observation", observation()),
        entry("POST", "Patient", stranger),
        entry("POST", "Patient", patient("Long", (MRN, "x" * 3_000))),
        entry("POST", "Observation", observation("Patient/nobody")),
        entry("GET", "Observation?identifier=%00"),
        entry("GET", "Observation/x/_history/" + "9" * 60),
        entry("POST", "Observation", observation()),
    )
    assert [one["response"]["status"][:3] for one in decoded(answer)["entry"]] == [
        "201", "409", "400", "400", "400", "404", "201",
    ]  # fmt: skip
    assert desk.counts() == {"Observation": 2, "Patient": 1, "Provenance": 2}


async def test_two_gateways_and_one_idempotency_key(desks: tuple[Desk, Desk]) -> None:
    for kind in ("transaction", "batch"):
        body = bundle(kind, entry("POST", "Observation", observation()))
        headers = {"idempotency-key": kind}
        answers = await asyncio.gather(*[desks[n % 2].fhir("POST", "", body, headers=headers) for n in range(16)])
        assert len({one.content for one in answers}) == 1 and answers[0].status_code == 200
    assert desks[0].counts()["Observation"] == 2


async def test_two_gateways_and_one_event(desks: tuple[Desk, Desk]) -> None:
    desks[0].connect(
        {
            "name": "partner",
            "profile": "canvas",
            "endpoint": "https://partner.invalid",
            "push": False,
            "sync": {"mode": "webhook", "secret": SECRET, "read": False},
        }
    )
    content = json.encode({"type": "patient.updated", "data": {"id": "p-1", "firstName": "A", "lastName": "B"}})
    headers = sign(SECRET, "evt_1", content, now=datetime.now(UTC))
    path = "/api/webhooks/partner"
    kind = "application/json"
    calls = [desks[n % 2].call("POST", path, content, key="", kind=kind, headers=headers) for n in range(16)]
    answers = await asyncio.gather(*calls)
    assert {one.status_code for one in answers} == {200}
    assert [one.json()["duplicate"] for one in answers].count(False) == 1
    assert len({one.json()["message"] for one in answers}) == 1
    assert len(desks[0].messages()) == 1


@pytest.mark.parametrize("odd", ["%00", "a%00b", "%ED%A0%80", "%ff", "x" * 5_000, "9" * 400, "%F0%9F%98%80"])
async def test_odd_characters_are_refused_or_find_nothing(desk: Desk, odd: str) -> None:
    for method, path in (
        ("GET", f"/Patient/{odd}"),
        ("GET", f"/Patient/{odd}/_history"),
        ("GET", f"/Patient/{odd}/_history/{odd}"),
        ("GET", f"/Patient?identifier={odd}"),
        ("GET", f"/Patient?_id={odd}"),
        ("GET", f"/Observation?patient={odd}"),
        ("GET", f"/Patient?_cursor={odd}"),
        ("DELETE", f"/Patient?identifier={odd}"),
        ("DELETE", f"/Patient/{odd}"),
    ):
        answer = await desk.fhir(method, path)
        assert answer.status_code in (200, 204, 400, 404), (method, path)
    answer = await desk.fhir("PUT", f"/Patient/{odd}", {**patient("X"), "id": "x"})
    assert answer.status_code in (400, 405)


async def test_what_no_column_can_hold_is_refused(desk: Desk) -> None:
    long = "x" * 3_000
    for identifier in ((MRN, long), (f"urn:x:{long}", "1"), (MRN, "é" * 1_000)):
        answer = await desk.post(patient("Long", identifier))
        assert answer.status_code == 400 and issue(answer)["code"] == "invalid"
    answer = await desk.fhir("PUT", f"/Patient?identifier={MRN}|{long}", patient("Long"))
    assert answer.status_code == 400
    assert desk.counts() == {}
    fits = patient("Fits", (MRN, "é" * 500))
    assert (await desk.post(fits)).status_code == 201


async def test_pages(desk: Desk) -> None:
    made = [await desk.made_id(observation()) for _ in range(7)]
    seen: list[str] = []
    path: str | None = "/fhir/Observation?_count=3"
    while path:
        page = decoded(await desk.call("GET", path))
        seen += [one["id"] for one in resources(page)]
        path = link(page, "next")
    assert seen == made


async def test_a_large_body_goes_in_and_out(desk: Desk) -> None:
    data = base64.b64encode(bytes(range(256)) * 20_000).decode()
    made = await desk.made_id({"resourceType": "Binary", "contentType": "application/pdf", "data": data})
    assert (await desk.read(f"/Binary/{made}"))["data"] == data


async def test_two_gateways_see_each_others_connectors_and_keys_at_once(desks: tuple[Desk, Desk]) -> None:
    one, two = desks
    one.connect({"name": "late", "profile": "intake", "push": False, "idSystem": "https://late.example"})
    key = one.add_key("late", "late", "system/Patient.cruds")
    assert (await two.seed({"firstName": "A", "lastName": "B", "partnerId": "1"}, key)).status_code == 202
    assert len(await one.found("/Patient?identifier=https://late.example|1")) == 1
