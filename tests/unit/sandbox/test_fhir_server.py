"""The FHIR stand-in is strict where partners are strict (FHIR R4 §3.1.0)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.sandbox import fhir_server

pytestmark = pytest.mark.anyio

MRN = {"system": "urn:mrn", "value": "M1"}
PATIENT = {"resourceType": "Patient", "identifier": [MRN]}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(fhir_server.create())
    async with httpx.AsyncClient(transport=transport, base_url="http://stand-in/fhir") as one:
        yield one


def put(url: str, resource: dict[str, Any], full_url: str = "", **request: str) -> dict[str, Any]:
    named = {"fullUrl": full_url} if full_url else {}
    return {**named, "resource": resource, "request": {"method": "PUT", "url": url, **request}}


def post(resource: dict[str, Any], full_url: str = "", **request: str) -> dict[str, Any]:
    entry = put(resource["resourceType"], resource, full_url, **request)
    return {**entry, "request": {**entry["request"], "method": "POST"}}


def bundle(*entries: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def visit(subject: str) -> dict[str, Any]:
    return {"resourceType": "Encounter", "status": "finished", "subject": {"reference": subject}}


async def total(client: httpx.AsyncClient, kind: str, **params: str) -> int:
    count: int = (await client.get(f"/{kind}", params=params)).json()["total"]
    return count


async def test_create_read_update_delete(client: httpx.AsyncClient) -> None:
    made = await client.post("/Patient", json=PATIENT)
    assert made.status_code == 201 and made.headers["etag"] == 'W/"1"'
    id_ = made.json()["id"]
    assert made.headers["location"] == f"/fhir/Patient/{id_}/_history/1"
    changed = await client.put(f"/Patient/{id_}", json={**PATIENT, "id": id_, "active": True})
    assert (changed.status_code, changed.headers["etag"]) == (200, 'W/"2"')
    assert (await client.get(f"/Patient/{id_}")).json()["active"] is True
    assert (await client.delete(f"/Patient/{id_}")).status_code == 204
    assert (await client.get(f"/Patient/{id_}")).status_code == 410
    assert (await client.get("/Patient/other")).status_code == 404
    assert await total(client, "Patient") == 0


async def test_an_old_version_is_not_overwritten(client: httpx.AsyncClient) -> None:
    id_ = (await client.post("/Patient", json=PATIENT)).json()["id"]
    body = {**PATIENT, "id": id_}
    assert (await client.put(f"/Patient/{id_}", json=body, headers={"if-match": 'W/"1"'})).status_code == 200
    refused = await client.put(f"/Patient/{id_}", json=body, headers={"if-match": 'W/"1"'})
    assert refused.status_code == 412
    assert refused.json()["issue"][0]["code"] == "conflict"


async def test_conditional_update_creates_updates_and_refuses_several(client: httpx.AsyncClient) -> None:
    for expected in (201, 200):
        answer = await client.put("/Patient", params={"identifier": "urn:mrn|M1"}, json=PATIENT)
        assert answer.status_code == expected
    await client.post("/Patient", json=PATIENT)
    refused = await client.put("/Patient", params={"identifier": "urn:mrn|M1"}, json=PATIENT)
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (412, "multiple-matches")


async def test_conditional_create_makes_one(client: httpx.AsyncClient) -> None:
    headers = {"if-none-exist": "identifier=urn:mrn|M1"}
    first = await client.post("/Patient", json=PATIENT, headers=headers)
    again = await client.post("/Patient", json=PATIENT, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]


async def test_search_by_identifier_and_id(client: httpx.AsyncClient) -> None:
    id_ = (await client.post("/Patient", json=PATIENT)).json()["id"]
    odd = {"resourceType": "Patient", "identifier": [{"system": "urn:a,b", "value": "x|y"}, {"value": "bare"}]}
    await client.post("/Patient", json=odd)
    assert await total(client, "Patient", identifier="urn:mrn|M1") == 1
    assert await total(client, "Patient", identifier="M1") == 1
    assert await total(client, "Patient", identifier="urn:mrn|") == 1
    assert await total(client, "Patient", identifier="|bare") == 1
    assert await total(client, "Patient", identifier="urn:mrn|M2,urn:mrn|M1") == 1
    assert await total(client, "Patient", identifier="urn:mrn|M2") == 0
    assert await total(client, "Patient", identifier="urn:a\\,b|") == 1
    assert await total(client, "Patient", _id=f"{id_},other") == 1
    assert (await client.get("/Patient", params={"name": "x"})).status_code == 400


async def test_a_transaction_resolves_references_among_its_entries(client: httpx.AsyncClient) -> None:
    sent = bundle(post(visit("urn:uuid:p")), put("Patient?identifier=urn:mrn|M1", PATIENT, "urn:uuid:p"))
    entries = (await client.post("", json=sent)).json()["entry"]
    assert [entry["response"]["status"] for entry in entries] == ["201 Created", "201 Created"]
    place, _, _ = entries[1]["response"]["location"].partition("/_history")
    held = (await client.get("/" + entries[0]["response"]["location"].split("/_history")[0])).json()
    assert held["subject"]["reference"] == place
    assert "resource" not in entries[0], "only where Prefer asks for it"


async def test_a_representation_is_answered_where_it_is_asked_for(client: httpx.AsyncClient) -> None:
    answer = await client.post("", json=bundle(post(PATIENT)), headers={"prefer": "return=representation"})
    assert answer.json()["entry"][0]["resource"]["identifier"] == [MRN]


@pytest.mark.parametrize(
    ("entries", "status", "where"),
    [
        ([post(visit("urn:uuid:nobody"))], 400, "Bundle.entry[1].resource.subject.reference"),
        ([post(visit("Patient/nobody"))], 400, "Bundle.entry[1].resource.subject.reference"),
        ([post(visit("Patient?identifier=urn:mrn|none"))], 400, "Bundle.entry[1].resource.subject.reference"),
        ([put("Patient/a", {**PATIENT, "id": "b"})], 400, "Bundle.entry[1]"),
        ([put("Patient/a", {**PATIENT, "id": "a"}, ifMatch='W/"1"')], 404, "Bundle.entry[1]"),
        ([put("Patient/a", visit("#x"))], 400, "Bundle.entry[1].resource"),
        ([{"resource": PATIENT}], 400, "Bundle.entry[1].request"),
        ([put("Patient/a", {**PATIENT, "id": "a"})] * 2, 400, None),
    ],
)
async def test_a_transaction_is_all_or_nothing(
    client: httpx.AsyncClient, entries: list[dict[str, Any]], status: int, where: str | None
) -> None:
    answer = await client.post("", json=bundle(post({**PATIENT, "active": True}), *entries))
    assert answer.status_code == status
    assert answer.json()["issue"][0].get("expression") == ([where] if where else None)
    assert await total(client, "Patient") == 0


async def test_a_batch_is_every_entry_for_itself(client: httpx.AsyncClient) -> None:
    answer = await client.post("", json=bundle(post(visit("Patient/nobody")), post(PATIENT), kind="batch"))
    assert [entry["response"]["status"] for entry in answer.json()["entry"]] == ["400", "201 Created"]


async def test_what_is_no_fhir_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("", json=bundle(kind="collection"))).status_code == 400
    assert (await client.post("", json=PATIENT)).status_code == 400
    assert (
        await client.post("/Patient", content=b"{", headers={"content-type": "application/json"})
    ).status_code == 400
    assert (await client.post("/Patient", content=b"{}", headers={"content-type": "text/plain"})).status_code == 415


async def test_numbers_stay_as_written(client: httpx.AsyncClient) -> None:
    body = b'{"resourceType":"Observation","valueQuantity":{"value":1.50}}'
    made = await client.post("/Observation", content=body, headers={"content-type": "application/fhir+json"})
    assert b'"value":1.50' in (await client.get(f"/Observation/{made.json()['id']}")).content
