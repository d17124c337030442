"""Idempotency-Key: the same request again is answered the same and has no second effect."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from .desk import MRN, Desk, bundle, decoded, entry, observation, patient

pytestmark = pytest.mark.anyio

FIXTURES = Path(__file__).parents[2] / "fixtures" / "ccda"


def key(name: str) -> dict[str, str]:
    return {"idempotency-key": name}


async def test_the_same_request_again_is_answered_as_before(desk: Desk) -> None:
    first = await desk.fhir("POST", "/Observation", observation(), headers=key("k-1"))
    again = await desk.fhir("POST", "/Observation", observation(), headers=key("k-1"))
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert [again.headers[name] for name in ("etag", "location")] == [
        first.headers[name] for name in ("etag", "location")
    ]
    assert desk.counts()["Observation"] == 1
    fresh = await desk.fhir("POST", "/Observation", observation(), headers=key("k-2"))
    assert decoded(fresh)["id"] != decoded(first)["id"], "without a condition a create creates again"


async def test_the_answer_is_that_of_then_even_when_it_changed_since(desk: Desk) -> None:
    first = await desk.fhir("POST", "/Observation", observation(), headers=key("k"))
    made = decoded(first)["id"]
    await desk.fhir("PUT", f"/Observation/{made}", {**observation(status="amended"), "id": made})
    again = await desk.fhir("POST", "/Observation", observation(), headers=key("k"))
    assert again.content == first.content


async def test_the_key_with_another_body_is_refused(desk: Desk) -> None:
    await desk.fhir("POST", "/Observation", observation(), headers=key("k"))
    other = await desk.fhir("POST", "/Observation", observation(status="amended"), headers=key("k"))
    assert other.status_code == 400 and desk.counts()["Observation"] == 1


async def test_the_key_for_another_address_is_refused(desk: Desk) -> None:
    one, two = await desk.made_id(observation()), await desk.made_id(observation())
    assert (await desk.fhir("DELETE", f"/Observation/{one}", headers=key("d"))).status_code == 204
    assert (await desk.fhir("DELETE", f"/Observation/{one}", headers=key("d"))).status_code == 204
    assert (await desk.fhir("DELETE", f"/Observation/{two}", headers=key("d"))).status_code == 400
    assert (await desk.fhir("GET", f"/Observation/{two}")).status_code == 200
    by_condition = {**key("c"), "if-none-exist": "identifier=https://x.example|1"}
    body = observation(None, ("https://x.example", "1"))
    assert (await desk.fhir("POST", "/Observation", body, headers=by_condition)).status_code == 201
    other = {**key("c"), "if-none-exist": "identifier=https://x.example|2"}
    assert (await desk.fhir("POST", "/Observation", body, headers=other)).status_code == 400


async def test_keys_of_two_connectors_are_two_keys(desk: Desk) -> None:
    other = desk.add_key("other", "other")
    await desk.fhir("POST", "/Observation", observation(), headers=key("k"))
    answer = await desk.fhir("POST", "/Observation", observation(status="amended"), headers=key("k"), key=other)
    assert answer.status_code == 201 and desk.counts()["Observation"] == 2


async def test_keys_of_two_callers_of_one_connector_are_two_keys(desk: Desk) -> None:
    """What one of them was answered is never shown to the other, who may not read it."""
    blind = desk.add_key("blind", "app", "system/*.cu")
    body = observation()
    first = await desk.fhir("POST", "/Observation", body, headers=key("1"))
    other = await desk.fhir("POST", "/Observation", body, headers=key("1"), key=blind)
    assert (first.status_code, other.status_code) == (201, 201)
    assert first.headers["location"] != other.headers["location"] and desk.counts()["Observation"] == 2


async def test_a_key_of_the_same_holder_that_may_less_is_not_answered_as_the_other(desk: Desk) -> None:
    whole = desk.add_key("holder", "app", "system/*.cruds")
    blind = desk.add_key("holder", "app", "system/*.cu")
    first = await desk.fhir("POST", "/Observation", observation(), headers=key("1"), key=whole)
    again = await desk.fhir("POST", "/Observation", observation(), headers=key("1"), key=blind)
    assert (first.status_code, again.status_code) == (201, 400) and b"Observation" not in again.content


async def test_what_was_refused_may_be_tried_again(desk: Desk) -> None:
    bad = await desk.fhir("POST", "/Observation", observation("Patient/nobody"), headers=key("k"))
    good = await desk.fhir("POST", "/Observation", observation(), headers=key("k"))
    assert [bad.status_code, good.status_code] == [400, 201]


async def test_what_was_held_stays_held_and_is_listed_once(desk: Desk) -> None:
    await desk.made_id(patient("Holder", (MRN, "1")))
    other = patient("Stranger", (MRN, "1"), name=[{"family": "Zed", "given": ["Zoe"]}], birthDate="1950-05-05")
    answers = [await desk.fhir("POST", "/Patient", other, headers=key("k")) for _ in range(2)]
    assert [one.status_code for one in answers] == [409, 409]
    assert len(desk.messages("held")) == 1


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_twenty_at_once_have_one_effect(desk: Desk, kind: str) -> None:
    body = bundle(kind, entry("POST", "Observation", observation()))
    calls = [desk.fhir("POST", "", body, headers=key("at-once")) for _ in range(20)]
    answers = await asyncio.gather(*calls)
    assert {one.status_code for one in answers} == {200}
    assert len({one.content for one in answers}) == 1
    assert desk.counts()["Observation"] == 1


async def test_a_document_and_a_seed_take_a_key_too(desk: Desk) -> None:
    data = (FIXTURES / "minimal.xml").read_bytes()
    first, again = [await desk.call("POST", "/api/documents", data, kind="text/xml", headers=key("d")) for _ in "12"]
    assert first.status_code == 200 and again.content == first.content
    body = {"firstName": "Ada", "lastName": "Seed", "partnerId": "s-1"}
    seeds = [await desk.seed(body, desk.key, **key("s")) for _ in "12"]
    assert [one.status_code for one in seeds] == [202, 202] and seeds[0].content == seeds[1].content
    other = await desk.seed({**body, "lastName": "Other"}, desk.key, **key("s"))
    assert other.status_code == 400


async def test_a_key_that_cannot_be_kept_is_refused(desk: Desk) -> None:
    for odd in ("x" * 256, "x" * 100_000):
        answer = await desk.fhir("POST", "/Observation", observation(), headers=key(odd))
        assert answer.status_code == 400 and desk.counts() == {}
