"""Canvas' FHIR API and plugin against the stand-in, over real sockets.

The same calls against a real instance: CANVAS_URL (its FHIR base) and CANVAS_TOKEN (a bearer token for it). Only what
leaves nothing behind but test patients is run there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.connectors import canvas_fhir
from gateway.connectors.call import NOT_THERE, Accepted, Call, Page, Seen
from gateway.connectors.canvas_fhir import Options
from gateway.connectors.protocol import Item, Side, Target
from gateway.delivery.guard import networks
from gateway.delivery.http import Outbound, Peer
from gateway.errors import (
    AmbiguousMatch,
    PartnerLoginExpired,
    PartnerPending,
    PartnerRejected,
    PartnerUnavailable,
    PartnerUnknown,
    VersionConflict,
)
from gateway.fhir import gate, json
from gateway.fhir.json import Resource
from gateway.planning.uuid7 import new_id
from gateway.sandbox import canvas, canvas_login, canvas_plugin, serve
from gateway.sandbox.faults import Sandbox
from gateway.translators.json.canvas import BIRTH_SEX
from tests.conftest import SHARED

pytestmark = pytest.mark.anyio

OURS = "https://gateway.example/fhir"
REAL = {"url": os.environ.get("CANVAS_URL", ""), "token": os.environ.get("CANVAS_TOKEN", "")}
_TRIES, _PAUSE = 100, 0.05
EXAMPLES = SHARED / "partners" / "canvas-examples.json"


@dataclass
class There:
    """One Canvas: the way to it and, where it is the stand-in, its inside."""

    outbound: Outbound
    peer: Peer
    side: Side
    sandbox: Sandbox | None = None

    async def run(self, calls: Any) -> Any:
        return await self.outbound.run(calls, self.peer)

    async def read(self, remote_id: str | None, our_id: str = "-", *identifiers: tuple[str, str]) -> Seen:
        seen: Seen = await self.run(canvas_fhir.read(Target("Patient", our_id, remote_id, identifiers), self.side))
        return seen

    async def push(self, item: Item) -> Accepted:
        accepted: Accepted = await self.run(canvas_fhir.push(item, self.side))
        return accepted

    async def update(self, id_: str, remote_id: str, **more: Any) -> Accepted:
        """As the gateway does: read, write, and again after a 412, which Canvas answers until its clock has ticked."""
        for _ in range(_TRIES):
            try:
                return await self.push(item(id_, remote_id, await self.read(remote_id), **more))
            except VersionConflict:
                await asyncio.sleep(_PAUSE)
        raise AssertionError("it kept changing")

    async def held(self, remote_id: str) -> Resource:
        """As Canvas itself shows her."""
        reply = await self.outbound.send(Call("GET", f"/Patient/{remote_id}"), self.peer)
        body: Resource = reply.json
        return body

    async def page(self, cursor: str | None) -> Page:
        page: Page = await self.run(canvas_fhir.scan(cursor, self.side))
        return page


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    async with Outbound() as client:
        yield client


@pytest.fixture
async def stand_in(outbound: Outbound) -> AsyncIterator[There]:
    sandbox = canvas.create()
    with serve.running(sandbox) as url:
        there = Peer("canvas", url, {}, networks(["127.0.0.0/8"]), 5.0)
        form = (("grant_type", "client_credentials"), ("client_id", canvas_login.CLIENT_ID))
        secret = ("client_secret", canvas_login.CLIENT_SECRET)
        token = (await outbound.send(Call("POST", "/auth/token/", form=(*form, secret)), there)).json["access_token"]
        side = Side(OURS, url, options=Options(create="fhir", plugin_url=url + canvas_plugin.PATH))
        yield There(outbound, replace(there, headers={"authorization": f"Bearer {token}"}), side, sandbox)


@pytest.fixture(params=["stand-in", *(["real"] if all(REAL.values()) else [])])
async def there(request: pytest.FixtureRequest, outbound: Outbound, stand_in: There) -> There:
    if request.param == "stand-in":
        return stand_in
    headers = {"authorization": f"Bearer {REAL['token']}"}
    return There(outbound, Peer("canvas", REAL["url"], headers, (), 30.0), Side(OURS, REAL["url"], options=Options()))


def sandbox_of(there: There) -> Sandbox:
    assert there.sandbox is not None
    return there.sandbox


def our_id() -> str:
    return new_id(datetime.now(UTC))


def patient(id_: str, **more: Any) -> Resource:
    body: Resource = {
        "resourceType": "Patient",
        "extension": [{"url": BIRTH_SEX, "valueCode": "F"}],
        "identifier": [{"system": "https://clinic.example/mrn", "value": f"m-{id_[-8:]}"}],
        "active": True,
        "name": [{"use": "official", "family": "Mitko", "given": ["Salina", "May"]}],
        "telecom": [{"system": "phone", "value": "555-432-0555", "use": "mobile"}],
        "gender": "female",
        "birthDate": "1949-11-13",
        "address": [{"use": "home", "line": ["12 Oak St."], "city": "Larkfield", "state": "CA", "postalCode": "94107"}],
    }
    given = {**body, **more}
    ours = {"system": f"{OURS}/Patient", "value": id_}
    return {
        **{name: value for name, value in given.items() if value is not None},
        "identifier": [*given["identifier"], ours],
    }


def item(id_: str, remote_id: str | None = None, seen: Seen | None = None, **more: Any) -> Item:
    known = {"version": seen.version, "raw": seen.raw} if seen else {}
    return Item("Patient", id_, patient(id_, **more), remote_id, **known)


# Against both.


async def test_created_read_back_found_and_updated(there: There) -> None:
    id_ = our_id()
    assert (await there.read(None, id_)).body is None
    made = await there.push(item(id_))
    assert made.body is None, "a null body: what became of it is read"
    seen = await there.read(made.remote_id)
    assert seen.body is not None and gate.check(seen.body) == []
    assert seen.body["name"][0] == {"use": "official", "family": "Mitko", "given": ["Salina", "May"]}
    assert {"system": f"{OURS}/Patient", "value": id_} in seen.body["identifier"]
    assert (await there.read(None, id_)).remote_id == made.remote_id, "found by our id"
    again = await there.update(id_, made.remote_id, birthDate="1949-11-14")
    assert again == Accepted(made.remote_id)
    after = await there.read(made.remote_id)
    assert after.body is not None and after.body["birthDate"] == "1949-11-14"
    assert {**after.body, "birthDate": ""} == {**seen.body, "birthDate": ""}, "and nothing else"


async def test_a_patient_nobody_holds(there: There) -> None:
    assert await there.read("0" * 32) == NOT_THERE


async def test_a_page_of_what_they_hold(there: There) -> None:
    await there.push(item(our_id()))
    page = await there.page(None)
    assert page.found and all(one.type == "Patient" and one.remote_id for one in page.found)


async def test_the_probe_needs_a_login(there: There) -> None:
    await there.run(canvas_fhir.probe(there.side))
    stranger = replace(there, peer=replace(there.peer, headers={"authorization": "Bearer guessed"}))
    with pytest.raises(PartnerLoginExpired, match="401"):
        await stranger.run(canvas_fhir.probe(there.side))


# Against the stand-in, which can be made to do everything.


async def test_entries_keep_their_ids(stand_in: There) -> None:
    id_ = our_id()
    made = await stand_in.push(item(id_))
    before = await stand_in.held(made.remote_id)
    phones = [
        {"system": "phone", "value": "555-432-0555", "use": "mobile"},
        {"system": "phone", "value": "5550001111", "use": "work"},
    ]
    moved = [{"use": "home", "line": ["1 Elm St."], "city": "Larkfield"}]
    await stand_in.update(id_, made.remote_id, telecom=phones, address=moved)
    after = await stand_in.held(made.remote_id)
    assert after["identifier"] == before["identifier"]
    assert after["telecom"][0] == before["telecom"][0] and len(after["telecom"]) == 2
    assert after["address"][0]["id"] == before["address"][0]["id"] and after["address"][0]["line"] == ["1 Elm St."]


async def test_an_update_without_what_was_read_reads_first(stand_in: There) -> None:
    id_ = our_id()
    made = await stand_in.push(item(id_))
    before = await stand_in.held(made.remote_id)
    for _ in range(_TRIES):
        with contextlib.suppress(VersionConflict):
            await stand_in.push(item(id_, made.remote_id, gender="other"))
            break
        await asyncio.sleep(_PAUSE)
    after = await stand_in.held(made.remote_id)
    assert after["gender"] == "other" and after["identifier"] == before["identifier"]


@pytest.mark.parametrize("last_updated", [False, True])
async def test_what_changed_since_it_was_read_is_not_overwritten(stand_in: There, last_updated: bool) -> None:
    id_ = our_id()
    await stand_in.outbound.send(Call("POST", "/_knobs", {"last_updated": last_updated}), stand_in.peer)
    made = await stand_in.push(item(id_))
    seen = await stand_in.read(made.remote_id)
    assert seen.version is not None and (seen.at is not None) == last_updated
    old = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    with pytest.raises(VersionConflict):
        await stand_in.push(item(id_, made.remote_id, replace(seen, version=old)))
    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert (await stand_in.push(item(id_, made.remote_id, replace(seen, version=now)))).remote_id == made.remote_id


async def test_our_own_clock_serves_where_theirs_is_silent(stand_in: There) -> None:
    id_ = our_id()
    made = await stand_in.push(item(id_))
    seen = replace(await stand_in.read(made.remote_id), version=None)
    early = replace(item(id_, made.remote_id, seen), read_at=datetime.now(UTC) - timedelta(minutes=1))
    with pytest.raises(VersionConflict):
        await stand_in.push(early)
    await stand_in.push(replace(early, read_at=datetime.now(UTC)))


async def test_two_of_theirs_with_one_of_our_ids(stand_in: There) -> None:
    id_ = our_id()
    for _ in range(2):
        await stand_in.push(item(id_))
    with pytest.raises(AmbiguousMatch):
        await stand_in.read(None, id_)


async def test_before_a_link_a_key_of_the_patient_finds_her(stand_in: There) -> None:
    made = await stand_in.push(item(our_id(), identifier=[{"system": "urn:mrn", "value": "M 1+2&3"}]))
    assert (await stand_in.read(None, our_id(), ("urn:mrn", "other"))).body is None
    assert (await stand_in.read(None, our_id(), ("urn:mrn", "M 1+2&3"))).remote_id == made.remote_id


async def test_all_pages_are_followed(stand_in: There) -> None:
    for number in range(25):
        await stand_in.push(item(our_id(), birthDate=f"19{number + 40}-01-02"))
    page, found = await stand_in.page("_count=10&_offset=0"), []
    while True:
        found += [one.remote_id for one in page.found]
        if not page.more:
            break
        page = await stand_in.page(page.cursor)
    assert len(found) == len(set(found)) == 25
    assert page.cursor is None, "the next look starts from the beginning"


async def test_an_empty_canvas_has_no_pages(stand_in: There) -> None:
    assert await stand_in.page(None) == Page(())


@pytest.mark.parametrize(
    ("lacking", "what"),
    [({"name": [{"family": "Only"}]}, "given"), ({"birthDate": None}, "birth date"), ({"name": None}, "name")],
)
@pytest.mark.parametrize("create", ["fhir", "plugin"])
async def test_what_canvas_requires_is_asked_for_before_anything_is_sent(
    stand_in: There, lacking: dict[str, Any], what: str, create: Any
) -> None:
    sandbox_of(stand_in).log.clear()
    side = replace(stand_in.side, options=Options(create=create, plugin_url=stand_in.side.options.plugin_url))
    with pytest.raises(PartnerRejected, match=what):
        await stand_in.run(canvas_fhir.push(item(our_id(), **lacking), side))
    assert sandbox_of(stand_in).log == []


@pytest.mark.parametrize("status", [400, 403, 405, 422])
async def test_refusals_are_told_with_their_status(stand_in: There, status: int) -> None:
    made = await stand_in.push(item(our_id()))
    sandbox_of(stand_in).set(status=status, html=True)
    with pytest.raises(PartnerRejected, match=str(status)):
        await stand_in.push(item(our_id()))
    with pytest.raises(PartnerRejected, match=str(status)):
        await stand_in.read(made.remote_id)
    with pytest.raises(PartnerRejected, match=str(status)):
        await stand_in.read(None, our_id())


async def test_a_slow_answer_is_unknown_when_it_wrote(stand_in: There) -> None:
    sandbox_of(stand_in).set(delay=0.6)
    hurried = replace(stand_in, peer=replace(stand_in.peer, timeout=0.2))
    with pytest.raises(PartnerUnknown):
        await hurried.push(item(our_id()))
    with pytest.raises(PartnerUnavailable):
        await hurried.read("0" * 32)


async def test_the_plugin_takes_a_patient_and_tells_no_id(stand_in: There) -> None:
    id_ = our_id()
    side = replace(stand_in.side, options=Options(create="plugin", plugin_url=stand_in.side.options.plugin_url))
    keyed = replace(stand_in.peer, others={side.options.plugin_url: {"authorization": canvas_plugin.KEY}})
    with pytest.raises(PartnerPending):
        await stand_in.outbound.run(canvas_fhir.push(item(id_), side), keyed)
    [call] = [one for one in sandbox_of(stand_in).log if one["path"] == canvas_plugin.PATH]
    assert call["body"] == {
        "firstName": "Salina",
        "lastName": "Mitko",
        "sexAtBirth": "F",
        "dateOfBirth": "1949-11-13",
        "partnerId": id_,
    }
    wrong = replace(keyed, others={side.options.plugin_url: {"authorization": "guessed"}})
    with pytest.raises(PartnerLoginExpired):
        await stand_in.outbound.run(canvas_fhir.push(item(id_), side), wrong)


@pytest.mark.skipif(not EXAMPLES.exists(), reason="needs the reference corpora in GATEWAY_SHARED")
@pytest.mark.parametrize(
    "name", ["fhir.patient.create.request", "fhir.patient.create.minimal", "fhir.patient.update.request"]
)
async def test_the_documented_requests_are_taken_as_we_would_send_them(stand_in: There, name: str) -> None:
    """The stand-in takes the sample itself, and what we make of the sample, and shows the same of both."""
    sample = json.decode(EXAMPLES.read_bytes())[name]
    for one in sample.get("contact", []):
        one.pop("id", None)
    reply = await stand_in.outbound.send(Call("POST", "/Patient", sample), stand_in.peer)
    assert (reply.status, reply.body) == (201, b"null")
    theirs = await stand_in.held(reply.headers["location"].split("/")[-3])
    seen = await stand_in.read(theirs["id"])
    assert seen.body is not None and gate.check(seen.body) == []
    made = await stand_in.push(Item("Patient", our_id(), seen.body))
    ours = await stand_in.read(made.remote_id)
    assert ours.body is not None
    for body in (seen.body, ours.body):
        body["identifier"] = [one for one in body.get("identifier", []) if one["system"] != "http://canvasmedical.com"]
    assert ours.body == seen.body
