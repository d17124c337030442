"""The generic REST connector by its mapping alone, against the state's EHR over real sockets: as JSON and as XML."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from gateway.connectors import rest
from gateway.connectors.call import Accepted, Found, Seen
from gateway.connectors.protocol import Hook, Item, Side, Target
from gateway.delivery.guard import networks
from gateway.delivery.http import Outbound, Peer
from gateway.errors import Conflict, PartnerLoginExpired, PartnerRejected, PartnerUnknown, Unparsable, VersionConflict
from gateway.fhir import gate, json
from gateway.sandbox import rest_partner, serve
from gateway.sandbox.faults import Sandbox

from .rest_mapping import CVX, MAPPING, as_xml

pytestmark = pytest.mark.anyio

OURS = "https://gateway.example/fhir"
BOB: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"family": "Builder", "given": ["Bob", "Lee"]}],
    "birthDate": "1970-05-06",
    "gender": "male",
    "telecom": [{"system": "phone", "value": "+1 (555) 010-7788"}],
    "address": [{"line": ["1 Quarry Lane"], "city": "Bedrock"}],
}
BOOKING: dict[str, Any] = {
    "resourceType": "Appointment",
    "status": "booked",
    "description": "COVID-19, second dose",
    "start": "2026-07-01T14:30:00Z",
    "end": "2026-07-01T14:45:00Z",
    "participant": [
        {"actor": {"reference": "Location/desk-2"}, "status": "accepted"},
        {"actor": {"reference": "Patient/s-1"}, "status": "accepted"},
    ],
}


@dataclass
class Side2:
    """The EHR, how it is reached, and what the connector knows of it."""

    partner: Sandbox
    peer: Peer
    side: Side
    outbound: Outbound
    url: str

    async def run(self, calls: Any) -> Any:
        return await self.outbound.run(calls, self.peer)

    async def read(self, our_id: str = "our-1", remote_id: str | None = None, type_: str = "Patient") -> Seen:
        found: Seen = await self.run(rest.read(Target(type_, our_id, remote_id), self.side))
        return found

    async def push(self, body: dict[str, Any], remote_id: str | None = None, **more: Any) -> Accepted:
        item = Item(body["resourceType"], more.pop("id", "our-1"), body, remote_id, **more)
        made: Accepted = await self.run(rest.push(item, self.side))
        return made

    async def held(self, name: str = "people") -> list[dict[str, Any]]:
        async with httpx.AsyncClient(trust_env=False) as client:
            found: list[dict[str, Any]] = json.decode((await client.get(f"{self.url}/_held/{name}")).content)
        return found


@pytest.fixture(params=["json", "xml"])
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


@pytest.fixture
async def ehr(kind: str, anyio_backend: str) -> AsyncIterator[Side2]:
    partner = rest_partner.create(xml=kind == "xml")
    mapping = MAPPING if kind == "json" else as_xml()
    rest.check(mapping, both_ways=True)
    with serve.running(partner) as url:
        key = {"X-API-Key": rest_partner.API_KEY}
        peer = Peer("ehr", f"{url}/api", key, networks(["127.0.0.0/8"]), 5.0)
        side = Side(OURS, "https://ehr.example/people", name="ehr", mapping=mapping, content_type=kind)
        async with Outbound() as outbound:
            yield Side2(partner, peer, side, outbound, url)


async def test_whom_it_knows_is_read(ehr: Side2) -> None:
    seen = await ehr.read(remote_id="s-1")
    assert seen.body is not None and seen.remote_id == "s-1" and seen.at is not None
    gate.require(seen.body)
    assert seen.body["name"] == [{"family": "Sample", "given": ["Ines", "Maria"]}]
    assert seen.body["birthDate"] == "1974-03-09"
    assert seen.coverage is not None and not seen.coverage.covers("gender"), "what is not there says nothing"
    assert (await ehr.read(remote_id="s-404")).lost == "missing"


async def test_a_patient_is_found_then_made_then_updated(ehr: Side2, kind: str) -> None:
    assert await ehr.read() == Seen(None, None)
    made = await ehr.push(BOB)
    seen = await ehr.read()
    assert seen.body is not None and seen.body["address"] == BOB["address"]
    assert seen.remote_id == made.remote_id == "p-1"
    held = (await ehr.held())[-1]
    told = {"last": "Builder", "first": "Bob Lee", "dob": "05/06/1970", "sex": "M", "mobile": "15550107788"}
    assert told.items() <= held.items() and held["externalId"] == "our-1" and held["street"] == "1 Quarry Lane"
    married = {**BOB, "name": [{"family": "Mason", "given": ["Bob"]}]}
    changed = await ehr.push(married, "p-1", due=frozenset({"name[official]"}))
    assert changed.body is not None and changed.body["name"] == [{"family": "Mason", "given": ["Bob"]}]
    assert [one["method"] for one in ehr.partner.log[-2:]] == ["GET", "PUT"]


async def test_a_put_puts_back_what_is_not_ours_to_say(ehr: Side2) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        asked = json.encode({"set": {"note": "prefers mornings", "town": "Springfield"}})
        await client.post(f"{ehr.url}/_edit/people/s-1", content=asked)
    seen = await ehr.read(remote_id="s-1")
    assert seen.body is not None
    await ehr.push({**seen.body, "gender": "female"}, "s-1", due=frozenset({"gender"}))
    [held] = await ehr.held()
    assert (held["note"], held["town"], held["sex"]) == ("prefers mornings", "Springfield", "F")


async def test_what_there_is_none_of_is_cleared(ehr: Side2) -> None:
    made = await ehr.push(BOB)
    without = {key: value for key, value in BOB.items() if key != "telecom"}
    await ehr.push(without, made.remote_id, due=frozenset({"telecom[phone]"}))
    assert "mobile" not in (await ehr.held())[-1]


async def test_a_create_whose_answer_was_lost_does_not_make_two(ehr: Side2) -> None:
    ehr.partner.set(drop="after", methods=("POST",), times=1)
    with pytest.raises(PartnerUnknown):
        await ehr.push(BOB)
    assert (await ehr.read()).remote_id == "p-1"
    with pytest.raises(VersionConflict):
        await ehr.push(BOB)
    assert len(await ehr.held()) == 2


async def test_a_booking_goes_there_with_its_person_and_local_time(ehr: Side2) -> None:
    made = await ehr.push(BOOKING)
    [held] = await ehr.held("bookings")
    assert held["personId"] == "s-1" and held["startsAt"] == "2026-07-01T10:30:00" and held["state"] == "confirmed"
    seen = await ehr.read(type_="Appointment")
    assert seen.remote_id == made.remote_id and seen.body is not None
    gate.require(seen.body)
    assert seen.body["start"] == "2026-07-01T10:30:00-04:00"
    assert seen.body["participant"] == [{"actor": {"reference": "Patient/s-1"}, "status": "accepted"}]
    await ehr.push({**BOOKING, "status": "cancelled"}, made.remote_id)
    assert [one["state"] for one in await ehr.held("bookings")] == ["called off"]


@pytest.mark.parametrize(
    "change",
    [
        {"status": "waitlist"},
        {"participant": [{"actor": {"reference": f"{OURS}/Patient/our-9"}, "status": "accepted"}]},
    ],
)
async def test_a_booking_of_which_a_value_cannot_be_told_is_held(ehr: Side2, change: dict[str, Any]) -> None:
    with pytest.raises(Conflict, match="held"):
        await ehr.push({**BOOKING, **change})
    assert await ehr.held("bookings") == []


async def test_a_shot_there_is_an_immunization_after_its_patient(ehr: Side2) -> None:
    shot = {"personId": "s-1", "cvx": "208", "vaccineName": "COVID-19 mRNA", "givenOn": "2026-07-01", "lot": "L-9"}
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.post(f"{ehr.url}/_edit/shots/x-7", content=json.encode({"set": shot}))
    payload = {"kind": "shot.created", "eventId": "e1", "model": {"id": "x-7"}}
    body = (
        json.encode(payload)
        if ehr.side.content_type == "json"
        else (b'<event><kind>shot.created</kind><eventId>e1</eventId><model id="x-7"/></event>')
    )
    told = rest.told(body, ehr.side)
    assert (told.kind, told.type, told.remote_id, told.id) == ("gather", "Immunization", "x-7", "e1")
    founds: list[Found] = await ehr.run(rest.gather(told, ehr.side))
    assert [(one.type, one.remote_id) for one in founds] == [("Patient", "s-1"), ("Immunization", "x-7")]
    immunization = founds[1].body
    assert immunization is not None
    gate.require(immunization)
    assert immunization["vaccineCode"] == {"coding": [{"system": CVX, "code": "208"}], "text": "COVID-19 mRNA"}
    assert immunization["patient"] == {"reference": "Patient/s-1"} and immunization["status"] == "completed"
    assert immunization["occurrenceDateTime"] == "2026-07-01", "a day stays a day"


async def look(ehr: Side2, cursor: str | None) -> tuple[list[tuple[str, str]], str | None, int]:
    """What a whole look finds, where the next one starts, and how many pages it had."""
    found: list[tuple[str, str]] = []
    for pages in range(1, 100):
        page = await ehr.run(rest.scan(cursor, ehr.side))
        found += [(one.type, one.remote_id) for one in page.found]
        cursor = page.cursor
        if not page.more:
            return found, cursor, pages
    raise AssertionError("it never ends")


async def test_lists_are_looked_through_type_by_type_and_then_by_what_changed(ehr: Side2) -> None:
    for number in range(5):
        await ehr.push({**BOB, "birthDate": f"197{number}-05-06"}, id=f"our-{number}")
    await ehr.push(BOOKING)
    seen, cursor, pages = await look(ehr, None)
    patients = [("Patient", one) for one in ("s-1", "p-1", "p-2", "p-3", "p-4", "p-5")]
    assert seen == [*patients, ("Appointment", "b-6")] and pages == 5
    await ehr.push({**BOB, "gender": "other"}, "p-3", due=frozenset({"gender"}))
    again, _, _ = await look(ehr, cursor)
    assert again == [("Patient", "p-3")], "what did not change since is not told again"


async def test_a_cursor_that_they_no_longer_know_begins_the_list_again(ehr: Side2) -> None:
    for number in range(5):
        await ehr.push({**BOB, "birthDate": f"197{number}-05-06"}, id=f"our-{number}")
    first = await ehr.run(rest.scan(None, ehr.side))
    assert first.more and first.cursor
    ehr.partner.set(status=410, times=1)
    lost = await ehr.run(rest.scan(first.cursor, ehr.side))
    assert (lost.found, lost.more) == ((), True)
    seen, _, _ = await look(ehr, lost.cursor)
    assert len(seen) == 6 and first.found[0].remote_id in {one for _, one in seen}


async def test_a_wrong_key_is_rejected(ehr: Side2) -> None:
    wrong = Peer("ehr", ehr.peer.endpoint, {"X-API-Key": "guessed"}, ehr.peer.networks, 5.0)
    for calls in (rest.probe(ehr.side), rest.read(Target("Patient", "our-1"), ehr.side), rest.scan(None, ehr.side)):
        with pytest.raises(PartnerLoginExpired, match="401"):
            await ehr.outbound.run(calls, wrong)
    await ehr.run(rest.probe(ehr.side))


async def test_an_error_page_is_no_model(ehr: Side2) -> None:
    ehr.partner.set(status=400, html=True)
    with pytest.raises(PartnerRejected, match="400"):
        await ehr.read(remote_id="s-1")
    with pytest.raises(PartnerRejected, match="400"):
        await ehr.push(BOB)


async def test_the_webhook_is_registered_as_hms_has_it(ehr: Side2) -> None:
    hook = Hook("https://gateway.example/api/webhooks/ehr", "whsec_c2VjcmV0")
    assert await ehr.run(rest.register(hook, ehr.side)) == "sub-1"
    sent = ehr.partner.log[-1]
    assert (sent["path"], sent["body"]["url"], sent["body"]["secret"]) == ("/api/subscribe", hook.url, hook.secret)


async def test_a_body_that_is_none_of_theirs_is_refused(ehr: Side2) -> None:
    for body in (b"", b"<open>", b"\xff", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'):
        with pytest.raises(Unparsable):
            rest.told(body, ehr.side)
