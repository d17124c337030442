"""HMS-API's peer by its mapping, over real sockets: the stand-in, or the system that the environment names.

`HMS_ENDPOINT` (the collection of its patients) and `HMS_KEY` (sent as X-API-Key) choose a real one; what is made there
stays there.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gateway.connectors import rest
from gateway.connectors.call import Found
from gateway.connectors.config import Config
from gateway.connectors.config_file import parse_one
from gateway.connectors.protocol import Hook, Item, Target
from gateway.delivery.guard import networks
from gateway.delivery.http import Outbound, Peer
from gateway.errors import PartnerRejected
from gateway.sandbox import hms, serve

pytestmark = pytest.mark.anyio

OURS = "https://gateway.example/fhir"
MAPPING: dict[str, Any] = {
    "Patient": {
        "at": "updatedAt",
        "list": {"since": "_since", "size": "limit", "limit": 2},
        "fields": {
            "name.text": "name",
            "birthDate": {"path": "dob", "transform": "date"},
            "identifier[ours].value": "gatewayId",
        },
    }
}
GRACE = {"resourceType": "Patient", "name": [{"text": "Grace Sample"}], "birthDate": "1906-12-09"}


@pytest.fixture
def place() -> Iterator[tuple[str, str]]:
    """Endpoint and key."""
    if "HMS_ENDPOINT" in os.environ:
        yield os.environ["HMS_ENDPOINT"], os.environ["HMS_KEY"]
        return
    with serve.running(hms.create()) as url:
        yield f"{url}/api/patients", hms.API_KEY


@pytest.fixture
def config(place: tuple[str, str]) -> Config:
    auth = {"scheme": "apiKey", "key": place[1]}
    made, _ = parse_one({"name": "hms", "type": "REST", "endpoint": place[0], "auth": auth, "mapping": MAPPING})
    return made


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    async with Outbound() as client:
        yield client


def to(place: tuple[str, str], key: str | None = None) -> Peer:
    return Peer("hms", place[0], {"X-API-Key": key or place[1]}, networks(["127.0.0.0/8"]), 5.0)


async def test_a_probe_needs_the_key(outbound: Outbound, config: Config, place: tuple[str, str]) -> None:
    await outbound.run(rest.probe(config.side(OURS)), to(place))
    with pytest.raises(PartnerRejected):
        await outbound.run(rest.probe(config.side(OURS)), to(place, "wrong"))


async def test_what_is_made_is_read_back_and_found_by_our_id(
    outbound: Outbound, config: Config, place: tuple[str, str]
) -> None:
    side, there = config.side(OURS), to(place)
    made = await outbound.run(rest.push(Item("Patient", "our-1", GRACE), side), there)
    seen = await outbound.run(rest.read(Target("Patient", "our-1", made.remote_id), side), there)
    assert seen.body is not None and seen.at is not None
    assert (seen.body["name"], seen.body["birthDate"]) == (GRACE["name"], GRACE["birthDate"])
    changed = {**GRACE, "birthDate": "1906-12-10"}
    again = await outbound.run(rest.push(Item("Patient", "our-1", changed, made.remote_id), side), there)
    assert again.remote_id == made.remote_id
    assert again.body is not None and again.body["birthDate"] == "1906-12-10"


async def test_a_look_goes_through_every_page_and_then_only_what_changed(
    outbound: Outbound, config: Config, place: tuple[str, str]
) -> None:
    side, there = config.side(OURS), to(place)
    for number in range(4):
        await outbound.run(rest.push(Item("Patient", f"look-{number}", GRACE), side), there)
    found, cursor = await looked(outbound, config, there, None)
    assert len({one.remote_id for one in found}) == len(found) >= 5
    again, cursor = await looked(outbound, config, there, cursor)
    assert {one.remote_id for one in again} <= {one.remote_id for one in found}, "those of the last moments at most"
    await outbound.run(rest.push(Item("Patient", "look-9", GRACE), side), there)
    fresh, _ = await looked(outbound, config, there, cursor)
    assert {one.remote_id for one in fresh} - {one.remote_id for one in found}


async def looked(outbound: Outbound, config: Config, there: Peer, cursor: str | None) -> tuple[list[Found], str | None]:
    found: list[Found] = []
    while True:
        page = await outbound.run(rest.scan(cursor, config.side(OURS)), there)
        found += page.found
        cursor = page.cursor
        if not page.more:
            return found, cursor


async def test_it_is_told_where_our_webhooks_are(outbound: Outbound, config: Config, place: tuple[str, str]) -> None:
    hook = Hook("https://gateway.example/api/webhooks/hms", "whsec_c2VjcmV0")
    first = await outbound.run(rest.register(hook, config.side(OURS)), to(place))
    again = await outbound.run(rest.register(hook, config.side(OURS)), to(place))
    assert first and first == again, "the same place twice is one registration"
