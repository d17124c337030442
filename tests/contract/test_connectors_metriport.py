"""The Metriport connector against its stand-in, over real sockets; against their sandbox with METRIPORT_URL,
METRIPORT_KEY and METRIPORT_FACILITY in the environment."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.routing import Match

from gateway.connectors import metriport
from gateway.connectors import metriport_calls as calls
from gateway.connectors.call import NOT_THERE, Accepted, Page, Seen
from gateway.connectors.metriport_calls import OPERATIONS, Options
from gateway.connectors.protocol import Item, Side, Target
from gateway.delivery.guard import networks
from gateway.delivery.http import Outbound, Peer
from gateway.errors import (
    Conflict,
    Missing,
    PartnerLoginExpired,
    PartnerRejected,
    PartnerUnavailable,
    PartnerUnknown,
    VersionConflict,
)
from gateway.sandbox import metriport as stand_in
from gateway.sandbox import serve
from gateway.sandbox.faults import Sandbox

pytestmark = pytest.mark.anyio

REAL = os.environ.get("METRIPORT_URL")
KEY = os.environ.get("METRIPORT_KEY", stand_in.API_KEY)
FACILITY = os.environ.get("METRIPORT_FACILITY", stand_in.FACILITY_ID)
OURS = "https://gateway.example/fhir"
OUR_ID = "01a2144a-8ac0-7300-87ab-0caf900395c9"
SIDE = Side(ours=OURS, id_system="https://metriport.example", options=Options(facility_id=FACILITY, sandbox=True))
KYLA: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"use": "official", "family": "Fields", "given": ["Kyla", "Mae"]}],
    "gender": "female",
    "birthDate": "1927-05-23",
    "address": [
        {
            "line": ["332 16th St", "Flat 2"],
            "city": "Portland",
            "state": "Maine",
            "postalCode": "04000-1234",
            "country": "US",
        }
    ],
    "telecom": [
        {"system": "phone", "use": "work", "value": "+1 202 555 0111"},
        {"system": "phone", "use": "mobile", "value": "202-555-0112"},
        {"system": "email", "value": "kyla@mail.example"},
    ],
    "identifier": [{"system": "urn:oid:2.16.840.1.113883.4.3.23", "value": "S1234567"}],
}
only_here = pytest.mark.skipif(REAL is not None, reason="needs the stand-in's knobs: unset METRIPORT_URL to run it")


@pytest.fixture
def partner() -> Sandbox:
    return stand_in.create()


@pytest.fixture
def peer(partner: Sandbox) -> Iterator[Peer]:
    if REAL is not None:
        yield Peer("metriport", REAL, {"x-api-key": KEY})
        return
    with serve.running(partner) as url:
        yield Peer("metriport", url, {"x-api-key": KEY}, networks(["127.0.0.0/8"]), 5.0)


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    async with Outbound() as client:
        yield client


def item(
    body: dict[str, Any] = KYLA, our_id: str = OUR_ID, remote_id: str | None = None, version: str | None = None
) -> Item:
    return Item("Patient", our_id, body, remote_id, version)


async def read(outbound: Outbound, peer: Peer, remote_id: str | None = None, our_id: str = OUR_ID) -> Seen:
    return await outbound.run(metriport.read(Target("Patient", our_id, remote_id), SIDE), peer)


async def push(outbound: Outbound, peer: Peer, what: Item, side: Side = SIDE) -> Accepted:
    return await outbound.run(metriport.push(what, side), peer)


async def ask(outbound: Outbound, peer: Peer, name: str, body: Any = None, **arguments: Any) -> Any:
    return await outbound.run(calls.run(OPERATIONS[name], arguments, SIDE, body), peer)


async def test_a_patient_is_created_found_by_our_id_and_changed(outbound: Outbound, peer: Peer) -> None:
    made = await push(outbound, peer, item())
    seen = await read(outbound, peer)
    assert (seen.remote_id, seen.version) == (made.remote_id, made.version)
    assert seen.body is not None
    assert seen.body["name"] == [{"family": "Fields", "given": ["Kyla", "Mae"]}]
    assert seen.body["address"][0]["line"] == ["332 16th St", "Flat 2"]
    assert (seen.body["address"][0]["state"], seen.body["address"][0]["postalCode"]) == ("ME", "04000")
    assert {one["value"] for one in seen.body["telecom"]} == {"2025550112", "kyla@mail.example"}, "the mobile phone"
    assert {"system": f"{OURS}/Patient", "value": OUR_ID} in seen.body["identifier"]
    assert KYLA["identifier"][0] in seen.body["identifier"]
    moved = {**KYLA, "name": [{"family": "Fields-Quill", "given": ["Kyla"]}]}
    changed = await push(outbound, peer, item(moved, remote_id=made.remote_id, version=made.version))
    assert changed.body is not None and changed.body["name"][0]["family"] == "Fields-Quill"
    assert changed.version != made.version
    await ask(outbound, peer, "delete-patient", patient=made.remote_id)
    assert await read(outbound, peer, made.remote_id) == NOT_THERE


@only_here
async def test_match_comes_before_create(outbound: Outbound, peer: Peer, partner: Sandbox) -> None:
    assert await read(outbound, peer) == NOT_THERE
    await push(outbound, peer, item())
    assert [(entry["method"], entry["path"]) for entry in partner.log] == [
        ("GET", "/medical/v1/patient/external-id"),
        ("POST", "/medical/v1/patient/match"),
        ("POST", "/medical/v1/patient"),
    ]


@only_here
async def test_a_version_that_is_no_longer_theirs_is_a_conflict(
    outbound: Outbound, peer: Peer, partner: Sandbox
) -> None:
    made = await push(outbound, peer, item())
    await push(outbound, peer, item({**KYLA, "birthDate": "1927-05-24"}, remote_id=made.remote_id))
    with pytest.raises(VersionConflict):
        await push(outbound, peer, item(remote_id=made.remote_id, version=made.version))
    partner.set(status=412, methods=("PUT",))
    with pytest.raises(VersionConflict):
        await push(outbound, peer, item(remote_id=made.remote_id))


@only_here
async def test_a_create_that_was_lost_is_not_done_twice(outbound: Outbound, peer: Peer, partner: Sandbox) -> None:
    partner.set(drop="after", methods=("POST",), times=2)
    with pytest.raises(PartnerUnknown):
        await push(outbound, peer, item())
    partner.set()
    partner.set(drop="after", methods=("POST",), times=1)
    await ask(outbound, peer, "patients")
    partner.set()
    first = await push(outbound, peer, item())
    assert (await push(outbound, peer, item())).remote_id == first.remote_id
    assert len((await ask(outbound, peer, "patients"))["patients"]) == 1


async def test_somebody_else_with_her_number_is_held(outbound: Outbound, peer: Peer) -> None:
    await push(outbound, peer, item())
    other = {**KYLA, "name": [{"family": "Fields", "given": ["Lyla"]}]}
    with pytest.raises(Conflict, match="another externalId"):
        await push(outbound, peer, item(other, "our-2"))


@only_here
async def test_an_external_id_that_somebody_else_gave_is_kept(outbound: Outbound, peer: Peer) -> None:
    made = await push(outbound, peer, item(our_id="their-own-7"))
    changed = await push(outbound, peer, item({**KYLA, "birthDate": "1927-05-24"}, "our-9", made.remote_id))
    assert changed.body is not None and changed.body["birthDate"] == "1927-05-24"
    assert (await read(outbound, peer, our_id="their-own-7")).remote_id == made.remote_id


@pytest.mark.parametrize(
    ("lacking", "place"),
    [
        ("address", "Patient.address"),
        ("birthDate", "Patient.birthDate"),
        ("name", "Patient.name.given, Patient.name.family"),
    ],
)
async def test_what_they_require_is_named_before_anything_is_sent(
    outbound: Outbound, peer: Peer, partner: Sandbox, lacking: str, place: str
) -> None:
    with pytest.raises(PartnerRejected, match=place):
        await push(outbound, peer, item({name: value for name, value in KYLA.items() if name != lacking}))
    assert partner.log == []


@only_here
async def test_a_facility_and_a_key_are_needed(outbound: Outbound, peer: Peer) -> None:
    with pytest.raises(PartnerRejected, match="facilityId"):
        await push(outbound, peer, item(), Side(ours=OURS, id_system="x", options=Options()))
    with pytest.raises(PartnerLoginExpired, match="401"):
        await push(outbound, Peer("x", peer.endpoint, {"x-api-key": "guessed"}, peer.networks), item())


@only_here
async def test_too_many_changes_wait_as_long_as_they_say(outbound: Outbound, peer: Peer) -> None:
    made = await push(outbound, peer, item())
    with pytest.raises(PartnerUnavailable) as stopped:
        for number in range(20):
            await push(
                outbound, peer, item({**KYLA, "birthDate": f"1927-05-{number + 1:02}"}, remote_id=made.remote_id)
            )
    assert stopped.value.retry_after is not None and 0 < stopped.value.retry_after <= 60


@only_here
async def test_every_patient_is_met_page_by_page(outbound: Outbound, peer: Peer) -> None:
    names = ["Ada", "Bea", "Cleo", "Dina", "Edda"]
    for at, name in enumerate(names):
        body = {**KYLA, "name": [{"family": f"Q{at * 7}x{name}", "given": [name]}], "identifier": [], "telecom": []}
        body["birthDate"] = f"198{at}-01-01"
        await push(outbound, peer, item(body, f"our-{at}"))
    met: list[str] = []
    cursor, more, pages = None, True, 0
    while more:
        page: Page = await outbound.run(_paged(cursor), peer)
        met += [found.body["name"][0]["given"][0] for found in page.found if found.body]
        cursor, more, pages = page.cursor, page.more, pages + 1
    assert (met, pages, cursor) == (names, 3, None)
    filtered = Side(ours=OURS, id_system="x", options=Options(FACILITY, filters="Cleo"))
    page = await outbound.run(metriport.scan(None, filtered), peer)
    assert [found.remote_id for found in page.found if found.body] and len(page.found) == 1


def _paged(cursor: str | None) -> Any:
    """Their pages are of 500; two at once make several of five."""
    calls_ = metriport.scan(cursor, SIDE)
    call = next(calls_)
    params = tuple((name, "2" if name == "count" else value) for name, value in call.params)
    reply = yield replace(call, params=params)
    try:
        calls_.send(reply)
    except StopIteration as finished:
        return finished.value


async def test_the_login_is_probed(outbound: Outbound, peer: Peer) -> None:
    await outbound.run(metriport.probe(SIDE), peer)


@pytest.mark.parametrize("name", [name for name, row in OPERATIONS.items() if row.path])
def test_every_operation_of_the_table_is_one_that_they_have(name: str, partner: Sandbox) -> None:
    arguments = dict.fromkeys(OPERATIONS[name].arguments, "x")
    call = calls.call(OPERATIONS[name], arguments, SIDE)
    asked = {"type": "http", "method": call.method, "path": call.path, "root_path": ""}
    routes: Any = partner.app
    assert any(route.matches(asked)[0] == Match.FULL for route in routes.routes)


async def test_what_they_refuse_names_the_fields_and_no_value(outbound: Outbound, peer: Peer) -> None:
    with pytest.raises(PartnerRejected, match="status 400 about npi, address") as refused:
        await ask(outbound, peer, "create-facility", body={"name": "Secret Clinic", "npi": None, "address": None})
    assert "Secret" not in refused.value.message


async def test_facilities_come_and_go(outbound: Outbound, peer: Peer) -> None:
    address = {"addressLine1": "1 Way", "city": "Alder", "state": "OH", "zip": "43999", "country": "USA"}
    made = await ask(
        outbound, peer, "create-facility", body={"name": "Second", "npi": "1234567893", "address": address}
    )
    changed = {"name": "Third", "npi": "1234567893", "address": address}
    assert (await ask(outbound, peer, "update-facility", facility=made["id"], body=changed))["name"] == "Third"
    assert await ask(outbound, peer, "delete-facility", facility=made["id"]) is None
    with pytest.raises(Missing):
        await ask(outbound, peer, "facility", facility=made["id"])
