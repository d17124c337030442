"""The Canvas connector against the REST stand-in, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gateway.connectors import canvas
from gateway.connectors.call import NOT_THERE, Accepted, Seen
from gateway.connectors.protocol import Item, Side, Target
from gateway.delivery.guard import networks
from gateway.delivery.http import Outbound, Peer
from gateway.errors import Conflict, PartnerLoginExpired, PartnerRejected, PartnerUnavailable, PartnerUnknown
from gateway.sandbox import canvas_partner, serve
from gateway.sandbox.faults import Sandbox

pytestmark = pytest.mark.anyio

OURS = "https://gateway.example/fhir"
SIDE = Side(ours=OURS, id_system="https://partner.example")
ALICE = {
    "resourceType": "Patient",
    "name": [{"use": "official", "family": "Example", "given": ["Alice"]}],
    "birthDate": "1980-02-22",
}
BOB = {"resourceType": "Patient", "name": [{"family": "Builder", "given": ["Bob"]}], "birthDate": "1970-05-06"}


@pytest.fixture
def partner() -> Sandbox:
    return canvas_partner.create()


@pytest.fixture
def peer(partner: Sandbox) -> Iterator[Peer]:
    with serve.running(partner) as url:
        yield to(url)


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    async with Outbound() as client:
        yield client


def to(url: str, *, key: str = canvas_partner.API_KEY, timeout: float = 5.0) -> Peer:
    return Peer("partner", url, {"X-API-Key": key}, networks(["127.0.0.0/8"]), timeout)


def calls(partner: Sandbox) -> list[tuple[str, str]]:
    return [(entry["method"], entry["path"]) for entry in partner.log]


def item(body: dict[str, Any] = BOB, *, remote_id: str | None = None) -> Item:
    return Item("Patient", "our-1", body, remote_id)


async def read(outbound: Outbound, peer: Peer, remote_id: str | None = None) -> Seen:
    return await outbound.run(canvas.read(Target("Patient", "our-1", remote_id), SIDE), peer)


async def push(outbound: Outbound, peer: Peer, what: Item) -> Accepted:
    return await outbound.run(canvas.push(what, SIDE), peer)


async def test_a_patient_it_holds_from_the_start_is_read(outbound: Outbound, peer: Peer) -> None:
    seen = await read(outbound, peer, "pat_12345678")
    assert seen.remote_id == "pat_12345678"
    assert seen.body is not None
    assert seen.body["name"] == [{"family": "Example", "given": ["Alice"]}]
    assert seen.body["birthDate"] == "1980-02-22"


async def test_a_patient_it_does_not_hold_is_none(outbound: Outbound, peer: Peer) -> None:
    assert await read(outbound, peer) == NOT_THERE
    assert await read(outbound, peer, "pat_404") == NOT_THERE


async def test_get_then_post_then_update_with_our_id_always_included(
    outbound: Outbound, peer: Peer, partner: Sandbox
) -> None:
    assert (await read(outbound, peer)).body is None
    made = await push(outbound, peer, item())
    married = {**BOB, "name": [{"family": "Mason", "given": ["Bob"]}]}
    changed = await push(outbound, peer, item(married, remote_id=made.remote_id))
    assert calls(partner) == [
        ("GET", "/patients/v2/our-1"),
        ("POST", "/patients/v2"),
        ("POST", f"/patients/v2/{made.remote_id}"),
    ]
    assert [entry["body"]["externalId"] for entry in partner.log if entry["body"]] == ["our-1", "our-1"]
    assert changed.body is not None and changed.body["name"] == [{"family": "Mason", "given": ["Bob"]}]
    assert (await read(outbound, peer)).remote_id == made.remote_id, "found by our id now"


async def test_the_method_of_updates_is_the_connectors_choice(outbound: Outbound, peer: Peer, partner: Sandbox) -> None:
    side = Side(ours=OURS, id_system="x", update="PATCH")
    await outbound.run(canvas.push(item(ALICE, remote_id="pat_12345678"), side), peer)
    assert calls(partner) == [("PATCH", "/patients/v2/pat_12345678")]


async def test_a_patient_they_link_to_ours_already_is_updated_not_doubled(outbound: Outbound, peer: Peer) -> None:
    first = await push(outbound, peer, item())
    again = await push(outbound, peer, item({**BOB, "birthDate": "1971-05-06"}))
    assert again.remote_id == first.remote_id
    assert again.body is not None and again.body["birthDate"] == "1971-05-06"


async def test_a_duplicate_who_is_somebody_else_is_held(outbound: Outbound, peer: Peer) -> None:
    first = await push(outbound, peer, item())
    with pytest.raises(Conflict):
        await push(outbound, peer, item(ALICE))
    seen = await read(outbound, peer, first.remote_id)
    assert seen.body is not None and seen.body["name"][0]["family"] == "Builder", "nothing was overwritten"


async def test_a_409_without_an_id_is_looked_up_by_ours(outbound: Outbound) -> None:
    silent = canvas_partner.create(names_duplicates=False)
    with serve.running(silent) as url:
        first = await push(outbound, to(url), item())
        again = await push(outbound, to(url), item())
    assert again.remote_id == first.remote_id
    assert calls(silent)[1:] == [
        ("POST", "/patients/v2"),
        ("GET", "/patients/v2/our-1"),
        ("POST", f"/patients/v2/{first.remote_id}"),
    ]


async def test_a_409_about_a_patient_that_cannot_be_found_is_put_before_a_person(
    outbound: Outbound, peer: Peer, partner: Sandbox
) -> None:
    partner.set(status=409, methods=("POST",))
    with pytest.raises(Conflict):
        await push(outbound, peer, item())


async def test_a_create_whose_answer_was_lost_does_not_make_two(
    outbound: Outbound, peer: Peer, partner: Sandbox
) -> None:
    partner.set(drop="after", methods=("POST",), times=1)
    with pytest.raises(PartnerUnknown):
        await push(outbound, peer, item())
    seen = await read(outbound, peer)
    assert seen.remote_id is not None, "read back by our id"
    assert (await push(outbound, peer, item())).remote_id == seen.remote_id


async def test_a_create_that_never_arrived_is_unknown_too(outbound: Outbound, peer: Peer, partner: Sandbox) -> None:
    partner.set(drop="before", times=1)
    with pytest.raises(PartnerUnknown):
        await push(outbound, peer, item())
    assert (await read(outbound, peer)).body is None


async def test_a_wrong_key_is_rejected(outbound: Outbound, peer: Peer) -> None:
    with pytest.raises(PartnerLoginExpired, match="401"):
        await push(outbound, to(peer.endpoint, key="guessed"), item())


async def test_an_update_of_a_patient_who_is_gone_is_rejected(outbound: Outbound, peer: Peer) -> None:
    with pytest.raises(PartnerRejected, match="404"):
        await push(outbound, peer, item(remote_id="pat_404"))


@pytest.mark.parametrize("status", [400, 403, 422])
async def test_an_error_page_in_html_is_an_error_like_others(
    outbound: Outbound, peer: Peer, partner: Sandbox, status: int
) -> None:
    partner.set(status=status, html=True)
    with pytest.raises(PartnerRejected, match=str(status)):
        await push(outbound, peer, item())
    with pytest.raises(PartnerRejected, match=str(status)):
        await read(outbound, peer)


async def test_a_slow_answer_is_unknown_when_it_wrote_and_harmless_when_it_read(
    outbound: Outbound, peer: Peer, partner: Sandbox
) -> None:
    partner.set(delay=1.0)
    hurried = to(peer.endpoint, timeout=0.2)
    with pytest.raises(PartnerUnknown):
        await push(outbound, hurried, item())
    with pytest.raises(PartnerUnavailable):
        await read(outbound, hurried)


async def test_a_partner_that_is_down_comes_back(outbound: Outbound, peer: Peer, partner: Sandbox) -> None:
    partner.set(down=True)
    with pytest.raises(PartnerUnavailable):
        await read(outbound, peer)
    partner.set()
    assert (await push(outbound, peer, item())).remote_id == "pat_1"


async def test_a_tombstone_clears_their_field(outbound: Outbound, peer: Peer) -> None:
    without = {key: value for key, value in ALICE.items() if key != "birthDate"}
    answered = await push(outbound, peer, item(without, remote_id="pat_12345678"))
    assert answered.body is not None and "birthDate" not in answered.body
    assert answered.coverage is not None and answered.coverage.covers("birthDate") and answered.coverage.absence
