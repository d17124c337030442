"""The FHIR connector against the FHIR stand-in, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.connectors import fhir_server
from gateway.connectors.call import NOT_THERE, Accepted, Rejected, Seen
from gateway.connectors.protocol import Hook, Item, Side, Target
from gateway.delivery.guard import networks
from gateway.delivery.http import Outbound, Peer
from gateway.errors import AmbiguousMatch, PartnerLoginExpired, PartnerRejected, PartnerUnknown, VersionConflict
from gateway.sandbox import fhir_server as stand_in
from gateway.sandbox import serve
from gateway.sandbox.faults import Sandbox

pytestmark = pytest.mark.anyio

OURS = "https://gateway.example/fhir"
SIDE = Side(ours=OURS, id_system="https://registry.example/Patient")
PATIENT = {
    "resourceType": "Patient",
    "id": "p-1",
    "meta": {"versionId": "7", "lastUpdated": "2024-01-01T00:00:00Z", "tag": [{"system": "urn:t", "code": "x"}]},
    "identifier": [{"system": "urn:mrn", "value": "M1"}],
    "name": [{"family": "Example", "given": ["Alice"]}],
}


def encounter(id_: str = "e-1", patient: str = "Patient/p-1") -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": id_,
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": patient},
    }


def observation(id_: str, *refs: str) -> dict[str, Any]:
    subject, visit = refs
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"text": "Weight"},
        "subject": {"reference": subject},
        "encounter": {"reference": visit},
    }


def item(body: dict[str, Any], remote_id: str | None = None, version: str | None = None) -> Item:
    return Item(body["resourceType"], body["id"], body, remote_id, version)


@pytest.fixture
def server() -> Sandbox:
    return stand_in.create()


@pytest.fixture
def peer(server: Sandbox) -> Iterator[Peer]:
    with serve.running(server) as url:
        yield Peer("registry", url + stand_in.BASE, {}, networks(["127.0.0.0/8"]), 5.0)


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    async with Outbound() as client:
        yield client


async def bring(
    outbound: Outbound, peer: Peer, *items: Item, delivered: dict[str, str] | None = None
) -> list[Accepted | Rejected]:
    return await outbound.run(fhir_server.push_bundle(items, SIDE, delivered or {}), peer)


async def one(outbound: Outbound, peer: Peer, *items: Item) -> list[Accepted]:
    results = await bring(outbound, peer, *items)
    return [result for result in results if isinstance(result, Accepted)]


async def read(outbound: Outbound, peer: Peer, kind: str, id_: str, remote_id: str | None = None, **more: Any) -> Seen:
    return await outbound.run(fhir_server.read(Target(kind, id_, remote_id, **more), SIDE), peer)


async def raw(outbound: Outbound, peer: Peer, path: str) -> dict[str, Any]:
    body: dict[str, Any] = (await outbound.send(fhir_server.Call("GET", path), peer)).json
    return body


async def test_a_group_arrives_as_one_transaction_with_its_references(
    outbound: Outbound, peer: Peer, server: Sandbox
) -> None:
    items = item(PATIENT), item(encounter()), item(observation("o-1", "Patient/p-1", "Encounter/e-1"))
    patient, visit, weight = await one(outbound, peer, *items)
    assert [entry["method"] for entry in server.log] == ["POST"]
    held = await raw(outbound, peer, f"/Observation/{weight.remote_id}")
    assert held["subject"] == {"reference": f"Patient/{patient.remote_id}"}
    assert held["encounter"] == {"reference": f"Encounter/{visit.remote_id}"}
    held = await raw(outbound, peer, f"/Patient/{patient.remote_id}")
    assert {"system": f"{OURS}/Patient", "value": "p-1"} in held["identifier"]
    assert held["meta"]["versionId"] == "1", "their own version, not ours"
    assert held["meta"]["tag"] == PATIENT["meta"]["tag"]


async def test_what_they_hold_comes_back_as_ours(outbound: Outbound, peer: Peer) -> None:
    patient, visit = await one(outbound, peer, item(PATIENT), item(encounter()))
    assert patient.body is not None and patient.body["identifier"] == PATIENT["identifier"]
    assert visit.body is not None and visit.body["subject"] == {"reference": "Patient/p-1"}
    local = {f"Patient/{patient.remote_id}": "Patient/p-1"}
    seen = await read(outbound, peer, "Encounter", "e-1", visit.remote_id, local=local)
    assert seen.body is not None
    assert seen.body["subject"] == {"reference": "Patient/p-1"}
    assert "identifier" not in seen.body
    assert (seen.version, seen.at) == ('W/"1"', visit.at)


async def test_sending_twice_makes_one(outbound: Outbound, peer: Peer) -> None:
    [first] = await one(outbound, peer, item(PATIENT))
    [second] = await one(outbound, peer, item(PATIENT))
    assert first.remote_id == second.remote_id
    assert (await raw(outbound, peer, "/Patient"))["total"] == 1


async def test_an_update_names_the_version_that_was_read(outbound: Outbound, peer: Peer) -> None:
    [made] = await one(outbound, peer, item(PATIENT))
    changed = {**PATIENT, "birthDate": "1980-02-22"}
    [second] = await one(outbound, peer, item(changed, made.remote_id, made.version))
    assert second.version == 'W/"2"'
    with pytest.raises(VersionConflict):
        await bring(outbound, peer, item(PATIENT, made.remote_id, made.version), item(encounter()))
    assert (await raw(outbound, peer, "/Encounter"))["total"] == 0, "nothing of the group was applied"
    assert (await raw(outbound, peer, f"/Patient/{made.remote_id}"))["birthDate"] == "1980-02-22"


async def test_references_to_what_they_hold_already(outbound: Outbound, peer: Peer) -> None:
    [patient] = await one(outbound, peer, item(PATIENT))
    known = {"Patient/p-1": f"Patient/{patient.remote_id}"}
    [visit] = await bring(outbound, peer, item(encounter()), delivered=known)
    [other] = await bring(outbound, peer, item(encounter("e-2")))
    assert isinstance(visit, Accepted) and isinstance(other, Accepted)
    held = await raw(outbound, peer, f"/Encounter/{visit.remote_id}")
    assert held["subject"] == {"reference": f"Patient/{patient.remote_id}"}
    held = await raw(outbound, peer, f"/Encounter/{other.remote_id}")
    assert held["subject"] == {"identifier": {"system": f"{OURS}/Patient", "value": "p-1"}}, "nothing is promised there"
    assert other.body is not None and other.body["subject"] == {"reference": "Patient/p-1"}, "in our words again"


async def test_a_reference_to_what_is_nowhere_is_refused_with_its_place(outbound: Outbound, peer: Peer) -> None:
    good, bad = item(PATIENT), item({**encounter(), "subject": {"reference": "Patient?identifier=urn:x|nobody"}})
    first, second = await bring(outbound, peer, good, bad)
    assert isinstance(second, Rejected) and second.alone
    assert second.where == "Bundle.entry[1].resource.subject.reference"
    assert isinstance(first, Rejected) and not first.alone, "it may be sent without the other"
    assert (await raw(outbound, peer, "/Patient"))["total"] == 0


async def test_two_of_theirs_with_our_identifier_are_put_before_a_person(outbound: Outbound, peer: Peer) -> None:
    twin = {**PATIENT, "identifier": [{"system": f"{OURS}/Patient", "value": "p-1"}]}
    for _ in range(2):
        await outbound.send(fhir_server.Call("POST", "/Patient", twin), peer)
    [result] = await bring(outbound, peer, item(PATIENT))
    assert isinstance(result, Rejected)
    assert (result.status, result.code) == (412, "multiple-matches")
    with pytest.raises(AmbiguousMatch):
        await read(outbound, peer, "Patient", "p-1")


async def test_before_a_link_it_is_found_by_identifier(outbound: Outbound, peer: Peer) -> None:
    theirs = {**PATIENT, "id": "their-own"}
    await outbound.send(fhir_server.Call("PUT", "/Patient/their-own", theirs), peer)
    assert (await read(outbound, peer, "Patient", "p-1")).body is None
    odd = ("urn:a,b|c$", "v,1")
    seen = await read(outbound, peer, "Patient", "p-1", identifiers=(odd, ("urn:mrn", "M1")))
    assert seen.remote_id == "their-own"
    assert seen.body is not None and seen.body["name"][0]["family"] == "Example"


async def test_what_was_deleted_is_none(outbound: Outbound, peer: Peer) -> None:
    [made] = await one(outbound, peer, item(PATIENT))
    await outbound.send(fhir_server.Call("DELETE", f"/Patient/{made.remote_id}"), peer)
    assert await read(outbound, peer, "Patient", "p-1", made.remote_id) == replace(NOT_THERE, lost="deleted")
    assert await read(outbound, peer, "Patient", "p-1", "never-there") == NOT_THERE


async def test_a_lost_answer_is_unknown_and_sending_again_makes_no_second(
    outbound: Outbound, peer: Peer, server: Sandbox
) -> None:
    server.set(drop="after", times=1)
    with pytest.raises(PartnerUnknown):
        await bring(outbound, peer, item(PATIENT), item(encounter()))
    again = await one(outbound, peer, item(PATIENT), item(encounter()))
    assert len(again) == 2
    assert (await raw(outbound, peer, "/Patient"))["total"] == 1
    assert (await raw(outbound, peer, "/Encounter"))["total"] == 1


async def test_types_that_cannot_carry_our_identifier_are_not_taken() -> None:
    for kind in ("Provenance", "Binary", "AuditEvent", "Composition"):
        assert not fhir_server.accepts(kind)
    for kind in ("Patient", "Encounter", "Observation", "AllergyIntolerance", "DocumentReference"):
        assert fhir_server.accepts(kind)


# --- a server without transactions ------------------------------------------------------------------------------------

EACH = Side(OURS, "https://registry.example/Patient", options=fhir_server.Options(writes="each"))


@pytest.fixture
def plain() -> Sandbox:
    return stand_in.create(transactions=False)


@pytest.fixture
def plain_peer(plain: Sandbox) -> Iterator[Peer]:
    with serve.running(plain) as url:
        yield Peer("plain", f"{url}/fhir", {}, networks(["127.0.0.0/8"]), 5.0)


async def bring_each(outbound: Outbound, peer: Peer, one: Item) -> Accepted:
    """As an attempt does: it is looked for, then brought."""
    seen = await outbound.run(fhir_server.read(Target(one.type, one.id, one.remote_id), EACH), peer)
    read = replace(one, remote_id=seen.remote_id or one.remote_id, version=one.version or seen.version)
    return await outbound.run(fhir_server.push(read, EACH), peer)


async def test_without_transactions_each_is_created_by_itself(
    outbound: Outbound, plain: Sandbox, plain_peer: Peer
) -> None:
    theirs = await bring_each(outbound, plain_peer, item(PATIENT))
    name = f"Patient/{theirs.remote_id}"
    visit = replace(item(encounter(patient=name)), local={name: "Patient/p-1"})
    made = await bring_each(outbound, plain_peer, visit)
    held = await raw(outbound, plain_peer, f"/Encounter/{made.remote_id}")
    assert held["subject"] == {"reference": name}
    assert made.body is not None and made.body["subject"] == {"reference": "Patient/p-1"}, "in our words again"
    assert [entry["method"] for entry in plain.log] == ["GET", "POST", "GET", "POST", "GET"]


async def test_what_it_holds_already_is_updated_by_our_identifier(
    outbound: Outbound, plain: Sandbox, plain_peer: Peer
) -> None:
    first = await bring_each(outbound, plain_peer, item(PATIENT))
    again = await bring_each(outbound, plain_peer, item({**PATIENT, "birthDate": "1980-02-22"}))
    assert again.remote_id == first.remote_id
    assert [entry["method"] for entry in plain.log] == ["GET", "POST", "GET", "PUT"]
    assert plain.log[3]["headers"]["if-match"] == 'W/"1"', "only if it is still what was found"


async def test_a_lost_answer_to_a_create_makes_no_second_one(
    outbound: Outbound, plain: Sandbox, plain_peer: Peer
) -> None:
    plain.set(drop="after", methods=("POST",), times=1)
    with pytest.raises(PartnerUnknown):
        await bring_each(outbound, plain_peer, item(PATIENT))
    await bring_each(outbound, plain_peer, item(PATIENT))
    assert [entry["method"] for entry in plain.log if entry["method"] != "GET"] == ["POST", "PUT"]


async def test_what_is_refused_says_where(outbound: Outbound, plain_peer: Peer) -> None:
    with pytest.raises(PartnerRejected, match="status 400"):
        await bring_each(outbound, plain_peer, replace(item(encounter()), local={"Patient/p-1": "x"}))


async def test_a_version_that_is_gone_is_a_conflict(outbound: Outbound, plain_peer: Peer) -> None:
    first = await bring_each(outbound, plain_peer, item(PATIENT))
    with pytest.raises(VersionConflict):
        await bring_each(outbound, plain_peer, item(PATIENT, first.remote_id, 'W/"7"'))


# --- looking through it, and being told -------------------------------------------------------------------------------

LOOK = Side(
    OURS, "https://registry.example/Patient", options=fhir_server.Options(types=("Patient", "Encounter"), page=2)
)


async def look(outbound: Outbound, peer: Peer, cursor: str | None = None) -> tuple[list[str], str | None]:
    """Everything of one look, and where the next one starts."""
    met: list[str] = []
    for _ in range(20):
        page = await outbound.run(fhir_server.scan(cursor, LOOK), peer)
        met += [f"{one.type}/{(one.body or {}).get('birthDate', one.type)}" for one in page.found]
        cursor = page.cursor
        if not page.more:
            return met, cursor
    raise AssertionError("it never ends")


async def test_a_look_meets_everything_once_and_the_next_only_what_changed(
    outbound: Outbound, server: Sandbox, peer: Peer
) -> None:
    for day in range(1, 6):
        patient = {**PATIENT, "id": f"p-{day}", "birthDate": f"1980-01-0{day}"}
        await outbound.run(fhir_server.push(item(patient), SIDE), peer)
    await outbound.run(fhir_server.push_bundle([item(PATIENT), item(encounter())], SIDE, {}), peer)
    met, cursor = await look(outbound, peer)
    assert sorted(met) == [
        "Encounter/Encounter",
        *(f"Patient/1980-01-0{day}" for day in range(2, 6)),
        "Patient/Patient",
    ]
    assert cursor is not None and "since" in cursor
    server.log.clear()
    await look(outbound, peer, cursor)
    asked = [entry["query"] for entry in server.log]
    assert all("_lastUpdated=ge" in one for one in asked)


async def test_what_is_met_has_neither_our_identifier_nor_anything_they_never_said(
    outbound: Outbound, peer: Peer
) -> None:
    await outbound.run(fhir_server.push(item(PATIENT), SIDE), peer)
    page = await outbound.run(fhir_server.scan(None, LOOK), peer)
    [found] = page.found
    assert found.body is not None and found.at is not None and found.version == 'W/"1"'
    assert found.body["identifier"] == [{"system": "urn:mrn", "value": "M1"}]


async def test_registering_asks_once_for_each_type(outbound: Outbound, server: Sandbox, peer: Peer) -> None:
    hook = Hook("https://gateway.example/api/webhooks/registry", "the-secret")
    first = await outbound.run(fhir_server.register(hook, LOOK), peer)
    again = await outbound.run(fhir_server.register(hook, LOOK), peer)
    assert first == again
    asked = [entry["body"] for entry in server.log if entry["method"] == "POST"]
    assert [one["criteria"] for one in asked] == ["Patient?", "Encounter?"]
    assert asked[0]["channel"]["header"] == ["X-Webhook-Secret: the-secret"]


async def test_a_probe_says_what_is_wrong(outbound: Outbound, server: Sandbox, peer: Peer) -> None:
    await outbound.run(fhir_server.probe(LOOK), peer)
    server.set(status=401)
    with pytest.raises(PartnerLoginExpired, match="401"):
        await outbound.run(fhir_server.probe(LOOK), peer)
