"""The Impilo connector against its stand-in, over real sockets; against Impilo itself when GATEWAY_IMPILO_ENDPOINT and
GATEWAY_IMPILO_KEY are given (it then makes patients there)."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.connectors import impilo
from gateway.connectors.call import Accepted, Seen
from gateway.connectors.protocol import Hook, Item, Side, Target
from gateway.delivery.guard import networks
from gateway.delivery.http import Outbound, Peer
from gateway.errors import (
    Conflict,
    PartnerLoginExpired,
    PartnerRejected,
    PartnerUnavailable,
    PartnerUnknown,
    VersionConflict,
)
from gateway.fhir import gate, json
from gateway.planning.uuid7 import new_id
from gateway.sandbox import impilo as stand_in
from gateway.sandbox import serve
from gateway.sandbox.faults import Sandbox
from tests.e2e.waiting import until

pytestmark = pytest.mark.anyio

OURS = "https://gateway.example/fhir"
SIDE = Side(ours=OURS, id_system=impilo.ID_SYSTEM, options=impilo.Options())
REAL = os.environ.get("GATEWAY_IMPILO_ENDPOINT")
only_stand_in = pytest.mark.skipif(bool(REAL), reason="needs the stand-in's knobs: unset GATEWAY_IMPILO_ENDPOINT")

BOB: dict[str, Any] = {
    "resourceType": "Patient",
    "active": True,
    "name": [{"use": "official", "family": "Builder", "given": ["Bob", "Lee"]}],
    "birthDate": "1970-05-06",
    "gender": "male",
    "telecom": [{"system": "phone", "value": "555-010-7788"}, {"system": "email", "value": "bob@example.com"}],
    "address": [{"line": ["1 Quarry Lane", "Hut 2"], "city": "Bedrock", "state": "CO", "postalCode": "80014"}],
}


@pytest.fixture
def partner() -> Sandbox:
    return stand_in.create()


@pytest.fixture
def peer(partner: Sandbox) -> Iterator[Peer]:
    if REAL:
        yield Peer("impilo", REAL, {"Impilo-API-Key": os.environ["GATEWAY_IMPILO_KEY"]}, timeout=30.0)
        return
    with serve.running(partner) as url:
        yield to(url)


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    async with Outbound() as client:
        yield client


def to(url: str, *, key: str = stand_in.API_KEY, timeout: float = 5.0) -> Peer:
    return Peer("impilo", f"{url}{stand_in.BASE}", {"Impilo-API-Key": key}, networks(["127.0.0.0/8"]), timeout)


def calls(partner: Sandbox) -> list[tuple[str, str]]:
    return [(one["method"], one["path"].removeprefix(stand_in.BASE)) for one in partner.log]


def an_id() -> str:
    return new_id(datetime.now(UTC))


async def read(outbound: Outbound, peer: Peer, our_id: str, remote_id: str | None = None, **more: Any) -> Seen:
    return await outbound.run(impilo.read(Target("Patient", our_id, remote_id, **more), SIDE), peer)


async def push(outbound: Outbound, peer: Peer, item: Item, side: Side = SIDE) -> Accepted:
    return await outbound.run(impilo.push(item, side), peer)


async def control(peer: Peer, path: str, body: Any = None) -> Any:
    async with httpx.AsyncClient(trust_env=False) as client:
        url = peer.endpoint.removesuffix(stand_in.BASE) + path
        answer = await (client.post(url, content=json.encode(body)) if body is not None else client.get(url))
        answer.raise_for_status()
        return json.decode(answer.content) if answer.content else None


async def test_what_is_made_there_is_read_as_it_was_given(outbound: Outbound, peer: Peer) -> None:
    our_id = an_id()
    assert (await read(outbound, peer, our_id)).body is None
    made = await push(outbound, peer, Item("Patient", our_id, BOB))
    seen = await read(outbound, peer, our_id)
    assert seen.remote_id == made.remote_id, "found by the external identifier"
    assert seen == await read(outbound, peer, our_id, made.remote_id)
    assert seen.body is not None
    gate.require(seen.body)
    assert seen.body["name"] == [{"family": "Builder", "given": ["Bob", "Lee"]}]
    assert seen.body["identifier"] == [{"system": f"{OURS}/Patient", "value": our_id}]
    same = ("active", "birthDate", "gender", "telecom", "address")
    assert {name: seen.body[name] for name in same} == {name: BOB[name] for name in same}


async def test_a_patient_of_a_first_and_a_last_name_only_is_taken(outbound: Outbound, peer: Peer) -> None:
    emily = {"resourceType": "Patient", "name": [{"family": "Clark", "given": ["Emily"]}]}
    made = await push(outbound, peer, Item("Patient", an_id(), emily))
    assert made.body is not None and made.body["name"] == emily["name"]


async def test_a_patch_says_both_names_and_what_differs(outbound: Outbound, peer: Peer, partner: Sandbox) -> None:
    our_id = an_id()
    made = await push(outbound, peer, Item("Patient", our_id, BOB))
    moved = {**BOB, "telecom": [{"system": "phone", "value": "555-010-1111"}]}
    due = frozenset({"telecom[phone,home]", "telecom[email]"})
    answer = await push(outbound, peer, Item("Patient", our_id, moved, made.remote_id, due=due))
    assert answer.body is not None and answer.body["telecom"] == moved["telecom"], "the e-mail is gone"
    assert answer.body["address"] == BOB["address"]
    if not REAL:
        sent = {"firstName": "Bob Lee", "lastName": "Builder", "email": None, "phoneNumber": "555-010-1111"}
        assert partner.log[-1]["method"] == "PATCH" and partner.log[-1]["body"] == sent


@only_stand_in
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_write_leaves_what_only_they_know(outbound: Outbound, peer: Peer, method: str) -> None:
    side = Side(ours=OURS, id_system=impilo.ID_SYSTEM, update=method, options=impilo.Options())
    seen = await read(outbound, peer, an_id(), "101")
    assert seen.body is not None
    moved = {**seen.body, "address": [{"line": ["99 New Street"], "city": "Springfield"}]}
    await push(outbound, peer, Item("Patient", an_id(), moved, "101", due=frozenset({"address[-]"})), side)
    [held] = await control(peer, "/_patients")
    lines = {"lineOne": "99 New Street", "city": "Springfield", "note": "Ring twice"}
    assert {name: value for name, value in held["address"].items() if value is not None} == lines
    assert held["externalIdentifier"] == "clinic-0001", "the customer's own, not replaced by ours"
    assert held["site"]["name"] == "North Clinic" and held["enrolled"] is True
    assert held["phoneNumber"] == "555-010-2030" and held["dateOfBirth"] == "1974-03-09"


@only_stand_in
async def test_site_enrolment_and_the_customers_identifier_are_read(outbound: Outbound, peer: Peer) -> None:
    await control(peer, "/_knobs", {"timestamps": True})
    seen = await read(outbound, peer, an_id(), "101")
    assert seen.body is not None and seen.coverage is not None
    gate.require(seen.body)
    assert seen.body["birthDate"] == "1974-03-09", "an older form of theirs shows 1974-03-09T00:00:00Z"
    assert seen.body["contained"][0]["name"] == seen.body["managingOrganization"]["display"] == "North Clinic"
    urls = {one["url"].rpartition("/")[2]: one for one in seen.body["extension"]}
    assert urls["enrolled"]["valueBoolean"] is True and urls["address-note"]["valueString"] == "Ring twice"
    assert seen.body["identifier"] == [{"system": impilo.Options().external_system, "value": "clinic-0001"}]
    assert not seen.coverage.covers(f"identifier[{OURS}/Patient]"), "there is no room for ours"


@only_stand_in
@pytest.mark.parametrize(("archived", "active"), [(True, False), (False, True)])
async def test_archived_is_inactive(outbound: Outbound, peer: Peer, archived: bool, active: bool) -> None:
    item = Item("Patient", an_id(), {**BOB, "active": active}, "101", due=frozenset({"active"}))
    await push(outbound, peer, item)
    [held] = await control(peer, "/_patients")
    assert held["archived"] is archived
    seen = await read(outbound, peer, an_id(), "101")
    assert seen.body is not None and seen.body["active"] is active


@only_stand_in
async def test_a_create_answered_with_200_and_one_without_an_id(outbound: Outbound, peer: Peer) -> None:
    await control(peer, "/_knobs", {"created": 200})
    assert (await push(outbound, peer, Item("Patient", an_id(), BOB))).remote_id == "1001"


@only_stand_in
async def test_a_create_whose_answer_was_lost_is_found_before_another_is_made(
    outbound: Outbound, peer: Peer, partner: Sandbox
) -> None:
    our_id = an_id()
    partner.set(drop="after", methods=("POST",), times=1)
    with pytest.raises(PartnerUnknown):
        await push(outbound, peer, Item("Patient", our_id, BOB))
    assert (await read(outbound, peer, our_id)).remote_id == "1001"
    with pytest.raises(VersionConflict):  # two at once: the second reads first what the first made
        await push(outbound, peer, Item("Patient", our_id, BOB))
    assert len(await control(peer, "/_patients")) == 2


async def test_a_taken_external_identifier_is_put_before_a_person(outbound: Outbound, peer: Peer) -> None:
    external = f"clinic-{uuid.uuid4()}"
    known = {**BOB, "identifier": [{"system": impilo.Options().external_system, "value": external}]}
    await push(outbound, peer, Item("Patient", an_id(), known))
    other = await push(outbound, peer, Item("Patient", an_id(), BOB))
    due = frozenset({f"identifier[{OURS}/Patient]"})
    with pytest.raises(Conflict):
        await push(outbound, peer, Item("Patient", an_id(), known, other.remote_id, due=due))


async def test_a_wrong_key_is_rejected_everywhere(outbound: Outbound, peer: Peer) -> None:
    wrong = Peer("impilo", peer.endpoint, {"Impilo-API-Key": "guessed"}, peer.networks, peer.timeout)
    for work in (
        impilo.probe(SIDE),
        impilo.read(Target("Patient", an_id()), SIDE),
        impilo.push(Item("Patient", an_id(), BOB), SIDE),
        impilo.scan(None, SIDE),
        impilo.register(Hook("https://gateway.example/api/webhooks/impilo"), SIDE),
    ):
        with pytest.raises(PartnerLoginExpired, match="401"):
            await outbound.run(work, wrong)


async def test_a_patient_without_a_whole_name_is_not_sent(outbound: Outbound, peer: Peer) -> None:
    with pytest.raises(Conflict, match="first and a last name"):
        await push(outbound, peer, Item("Patient", an_id(), {**BOB, "name": [{"text": "Bob Builder"}]}))


@only_stand_in
async def test_the_list_is_read_page_by_page(outbound: Outbound, partner: Sandbox) -> None:
    seeds = [{**stand_in.SEEDS[0], "id": n, "externalIdentifier": f"clinic-{n}"} for n in range(1, 521)]
    many = stand_in.create(seeds=seeds)
    found, cursor, pages = [], None, 0
    with serve.running(many) as url:
        while pages == 0 or cursor is not None:
            page = await outbound.run(impilo.scan(cursor, SIDE), to(url))
            found += [one.remote_id for one in page.found]
            cursor, pages = page.cursor, pages + 1
            assert page.more is (cursor is not None)
    assert pages == 3 and found == [str(n) for n in range(1, 521)]


@only_stand_in
async def test_webhooks_are_registered_once(outbound: Outbound, peer: Peer, partner: Sandbox) -> None:
    hook = Hook("https://gateway.example/api/webhooks/impilo", "a shared secret")
    first = await outbound.run(impilo.register(hook, SIDE), peer)
    assert calls(partner).count(("POST", "/webhook")) == len(impilo.EVENTS)
    assert await outbound.run(impilo.register(hook, SIDE), peer) == first
    assert calls(partner).count(("POST", "/webhook")) == len(impilo.EVENTS), "nothing new"


@only_stand_in
async def test_a_webhook_that_is_not_taken_is_sent_again_and_logged(
    outbound: Outbound, peer: Peer, partner: Sandbox
) -> None:
    """After 15, 30 and 60 minutes; here the knob makes it quick."""
    await control(peer, "/_knobs", {"retries": [0.01, 0.01, 0.01]})
    taken: list[bytes] = []

    async def hook(request: Request) -> Response:
        taken.append(await request.body())
        return Response(status_code=500 if len(taken) < 3 else 200)

    with serve.running(Sandbox(Starlette(routes=[Route("/hook", hook, methods=["POST"])]))) as url:
        await outbound.run(impilo.register(Hook(f"{url}/hook", "secret"), SIDE), peer)
        told = await control(peer, "/_edit/101", {"set": {"phoneNumber": "555"}})
        assert told["webhooks"] == [500]
        async with httpx.AsyncClient(trust_env=False, headers=peer.headers) as client:

            async def logged() -> Any:
                query = {"webhookType": "patient.updated", "retryAttemptsMin": "2", "lastResponseStatus": "200"}
                return json.decode((await client.get(f"{peer.endpoint}/webhook/logs", params=query)).content)["content"]

            [entry] = await until(logged)
    assert len(taken) == 3 and len(set(taken)) == 1, "the same event each time"
    assert isinstance(entry["payload"], str) and json.decode(entry["payload"])["type"] == "patient.updated"


@only_stand_in
async def test_the_stand_in_is_as_strict_as_the_contract(peer: Peer) -> None:
    headers = {"Impilo-API-Key": stand_in.API_KEY}
    async with httpx.AsyncClient(base_url=peer.endpoint, headers=headers, trust_env=False) as client:

        async def status(method: str, path: str, body: Any = None) -> int:
            return (await client.request(method, path, content=None if body is None else json.encode(body))).status_code

        names = {"firstName": "Emily", "lastName": "Clark"}
        refused: list[tuple[str, str, Any]] = [
            ("POST", "/patient", {"firstName": "Emily"}),
            ("PUT", "/patient/101", {"lastName": "Clark"}),
            ("PATCH", "/patient/101", {"email": "e@example.com"}),
            ("POST", "/patient", {**names, "id": 456}),
            ("POST", "/patient", {**names, "email": "no address"}),
            ("POST", "/patient", {**names, "sex": "F"}),
            ("POST", "/patient", {**names, "dateOfBirth": "1987-02-31"}),
            ("POST", "/patient", {**names, "gender": "female"}),
            ("GET", "/patient?page=0", None),
            ("GET", "/patient?size=251", None),
            ("GET", "/patient?updatedSince=2024-01-01", None),
            ("GET", "/webhook/logs?retryAttemptsMin=many", None),
            ("POST", "/test/weight-webhook", {"patientId": "nobody", "weight": 70}),
            ("POST", "/webhook", {"type": "patient.deleted", "url": "https://example.com"}),
        ]
        for asked in refused:
            assert await status(*asked) == 400, asked
        assert await status("POST", "/patient", names) == 201
        assert await status("POST", "/patient", {**names, "externalIdentifier": "clinic-0001"}) == 409
        assert await status("GET", "/patient/404") == 404
        assert await status("GET", "/patient/identifier/clinic-0001") == 200
        hook = {"type": "patient.updated", "url": "https://example.com/webhook"}
        made = json.decode((await client.post("/webhook", content=json.encode(hook))).content)
        assert made == {"id": made["id"], **hook}
        assert await status("POST", "/webhook", hook) == 409
        assert await status("PATCH", f"/webhook/{made['id']}", hook) == 400, "the same url"
        assert await status("PATCH", f"/webhook/{made['id']}", {**hook, "url": "https://example.com/2"}) == 200
        assert await status("DELETE", f"/webhook/{made['id']}") == 204
        assert await status("POST", "/webhook-secret", {"secret": "first"}) == 200
        assert await status("POST", "/webhook-secret", {"secret": "second"}) == 400
        listed = json.decode((await client.get("/patient?name=ines&size=1")).content)
        assert (listed["page"], listed["size"], listed["total"], listed["first"], listed["last"]) == (
            1,
            1,
            1,
            True,
            True,
        )


@only_stand_in
@pytest.mark.parametrize("status", [400, 403, 422])
async def test_an_error_page_in_html_is_an_error_like_others(
    outbound: Outbound, peer: Peer, partner: Sandbox, status: int
) -> None:
    partner.set(status=status, html=True)
    with pytest.raises(PartnerRejected, match=str(status)):
        await push(outbound, peer, Item("Patient", an_id(), BOB))
    with pytest.raises(PartnerRejected, match=str(status)):
        await read(outbound, peer, an_id())


@only_stand_in
async def test_429_is_waited_for(outbound: Outbound, peer: Peer, partner: Sandbox) -> None:
    partner.set(status=429, retry_after=7)
    with pytest.raises(PartnerUnavailable) as caught:
        await read(outbound, peer, an_id())
    assert caught.value.retry_after == 7


async def test_the_keyed_strategy_finds_and_makes_by_the_hash_of_our_id(outbound: Outbound, peer: Peer) -> None:
    options = impilo.Options(identifier_strategy="hmac-sha256")
    side = Side(ours=OURS, id_system=impilo.ID_SYSTEM, options=options)
    keyed = Peer(peer.name, peer.endpoint, peer.headers, peer.networks, peer.timeout, identifier_key="only ours")
    our_id = an_id()
    made = await push(outbound, keyed, Item("Patient", our_id, BOB), side)
    assert made.body is not None
    [identifier] = made.body["identifier"]
    assert identifier["system"] == options.external_system and len(identifier["value"]) == 64
    seen = await outbound.run(impilo.read(Target("Patient", our_id, body=BOB), side), keyed)
    assert seen.remote_id == made.remote_id
    with pytest.raises(PartnerRejected, match="identifier key"):
        await push(outbound, peer, Item("Patient", an_id(), BOB), side)
