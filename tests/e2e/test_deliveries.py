"""Deliveries: two other sides are brought up to date, once, whatever gets lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.errors import Missing
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.fhir.record import load
from gateway.planning.records import end_record
from gateway.sandbox import canvas_partner, fhir_server, serve
from gateway.sandbox.canvas_partner import API_KEY
from gateway.sandbox.faults import Sandbox
from gateway.store import Changes, ConflictRow, Reader, Tx

from .desk import MRN, OURS, Desk, decoded, entry, observation, opened, patient
from .waiting import until

pytestmark = pytest.mark.anyio

SYSTEM = "https://partner.example/patients"
WRITES = ("POST", "PUT", "PATCH", "DELETE")
QUICK: dict[str, Any] = {
    "deliver": True,
    "retry_schedule": (0.0, *[0.05] * 400),
    "lease": 2.0,
    "delivery_timeout": 0.4,
    "breaker_pause": 0.05,
}
QUIET = 0.4
"""Seconds in which nothing may happen."""


@dataclass
class Three:
    """The gateway, a FHIR server (`registry`) and a REST partner."""

    desk: Desk
    registry: Sandbox
    partner: Sandbox
    registry_url: str
    partner_url: str

    def connect(self, **more: Any) -> None:
        loopback = ["127.0.0.0/8"]
        self.desk.connect(
            {"name": "registry", "type": "FHIR", "endpoint": f"{self.registry_url}/fhir", "allow_networks": loopback},
            {
                "name": "partner",
                "type": "REST",
                "profile": "canvas",
                "endpoint": self.partner_url,
                "auth": {"scheme": "apiKey", "key": API_KEY},
                "idSystem": SYSTEM,
                "allow_networks": loopback,
                **more,
            },
        )

    async def at_registry(self, kind: str = "Patient") -> list[Resource]:
        """What the FHIR server holds of one type."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.registry_url}/fhir/{kind}")
        return [one["resource"] for one in json.decode(answer.content).get("entry", [])]

    async def at_partner(self) -> list[dict[str, Any]]:
        """What the partner holds, Alice of the start aside."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.partner_url}/_patients")
        return [one for one in json.decode(answer.content) if one["id"] != "pat_12345678"]

    async def edit_at_partner(self, id_: str, **fields: Any) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            asked = json.encode({"set": fields, "tell": False})
            (await client.post(f"{self.partner_url}/_edit/{id_}", content=asked)).raise_for_status()

    async def edit_at_registry(self, resource: Resource) -> None:
        """A user of the FHIR server stores a resource; the call is not among ours."""
        self.registry.log.clear()
        async with httpx.AsyncClient(trust_env=False) as client:
            url = f"{self.registry_url}/fhir/{resource['resourceType']}/{resource['id']}"
            headers = {"content-type": "application/fhir+json"}
            (await client.put(url, content=json.encode(resource), headers=headers)).raise_for_status()
        self.registry.log.clear()

    async def delete_at_registry(self, path: str) -> None:
        """A user of the FHIR server deletes a resource, of which nobody tells us."""
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.delete(f"{self.registry_url}/fhir/{path}")).raise_for_status()
        self.registry.log.clear()

    def writes(self, side: Sandbox) -> list[dict[str, Any]]:
        return [one for one in list(side.log) if one["method"] in WRITES and not one["path"].startswith("/_")]

    async def quiet(self) -> None:
        """Everything is delivered, and nothing more is sent after it."""

        async def nothing_is_due() -> bool:
            return not self.desk.ask(lambda reader: reader.deliveries(["due", "unknown"], limit=10))

        await until(nothing_is_due)
        before = (len(self.registry.log), len(self.partner.log), self.desk.sequence())
        await asyncio.sleep(QUIET)
        assert (len(self.registry.log), len(self.partner.log), self.desk.sequence()) == before, "it oscillates"

    def deliveries(self, *states: str) -> list[Any]:
        found: list[Any] = self.desk.ask(lambda reader: reader.deliveries(list(states), limit=100))
        return found


@pytest.fixture
async def three(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Three]:
    registry, partner = fhir_server.create(), canvas_partner.create()
    with serve.running(registry) as registry_url, serve.running(partner) as partner_url:
        async with opened(tmp_path, **QUICK) as desk:
            three = Three(desk, registry, partner, registry_url, partner_url)
            three.connect()
            yield three


def _conflicts(reader: Reader) -> list[ConflictRow]:
    return reader.conflicts(limit=10)


def family(resource: Resource) -> str:
    return str(resource["name"][0]["family"])


async def rename(three: Three, made: str, name: str) -> None:
    read = await three.desk.fhir("GET", f"/Patient/{made}")
    body = decoded(read)
    body["name"] = [{**body["name"][0], "family": name}]
    answer = await three.desk.fhir("PUT", f"/Patient/{made}", body, headers={"if-match": read.headers["etag"]})
    assert answer.status_code == 200, answer.text


async def test_a_new_patient_reaches_both_sides_with_our_id(three: Three) -> None:
    made = await three.desk.made_id(patient("New", (MRN, "1")))
    await three.quiet()
    [there] = await three.at_registry()
    assert {(one["system"], one["value"]) for one in there["identifier"]} == {(MRN, "1"), (OURS, made)}
    [partner] = await three.at_partner()
    assert (partner["externalId"], partner["lastName"]) == (made, "New")
    now = await three.desk.read(f"/Patient/{made}")
    assert (SYSTEM, partner["id"]) in {(one["system"], one["value"]) for one in now["identifier"]}
    assert now["meta"]["versionId"] == "1", "a new link is no new version"
    assert [one["method"] for one in three.writes(three.partner)] == ["POST"]
    assert len(three.writes(three.registry)) == 1


async def test_the_same_again_sends_nothing(three: Three) -> None:
    await three.desk.made_id(patient("New", (MRN, "1")))
    await three.quiet()
    before = len(three.registry.log), len(three.partner.log)
    assert (await three.desk.post(patient("New", (MRN, "1")))).status_code == 200
    await three.quiet()
    assert (len(three.registry.log), len(three.partner.log)) == before


async def test_resources_of_a_patient_arrive_with_their_references(three: Three) -> None:
    urn = "urn:uuid:7e1f6f0c-52c1-4cf5-9d0b-1a5d3c1f0a01"
    await three.desk.transact(
        entry("POST", "Patient", patient("New", (MRN, "1")), full_url=urn),
        entry("POST", "Observation", observation(urn, ("https://x.example", "1"))),
    )
    await three.quiet()
    [there], [pulse] = await three.at_registry(), await three.at_registry("Observation")
    assert pulse["subject"]["reference"] == f"Patient/{there['id']}"


FAULTS: dict[str, dict[str, Any]] = {
    "dropped before": {"drop": "before"},
    "dropped after": {"drop": "after"},
    "too slow": {"delay": 0.6},
    "500": {"status": 500},
    "503 in HTML": {"status": 503, "html": True},
    "429": {"status": 429, "retry_after": 0},
}


@pytest.mark.parametrize(("fault", "times"), [*((fault, 1) for fault in FAULTS), ("dropped after", 3), ("500", 3)])
async def test_what_gets_lost_is_made_good_once(three: Three, fault: str, times: int) -> None:
    for side in (three.registry, three.partner):
        side.set(**FAULTS[fault], methods=["POST", "PUT", "PATCH"], times=times)
    made = await three.desk.made_id(patient("New", (MRN, "1")))
    await three.quiet()
    assert [family(one) for one in await three.at_registry()] == ["New"]
    assert [one["externalId"] for one in await three.at_partner()] == [made]
    for side in (three.registry, three.partner):
        side.set(**FAULTS[fault], methods=["POST", "PUT", "PATCH"], times=times)
    await rename(three, made, "Newer")
    await three.quiet()
    assert [family(one) for one in await three.at_registry()] == ["Newer"]
    assert [one["lastName"] for one in await three.at_partner()] == ["Newer"]
    assert (await three.desk.read(f"/Patient/{made}"))["meta"]["versionId"] == "2"


async def test_an_unknown_outcome_is_read_before_anything_is_sent_again(three: Three) -> None:
    three.partner.set(drop="after", methods=["POST"], times=1)
    await three.desk.made_id(patient("New"))
    await three.quiet()
    calls = [one["method"] for one in three.partner.log]
    assert calls.count("POST") == 1, "it had its effect, which the read told"
    assert calls.index("POST") < len(calls) - 1 - calls[::-1].index("GET")


async def test_a_partner_that_names_no_duplicates(tmp_path: Path) -> None:
    partner = canvas_partner.create(names_duplicates=False)
    registry = fhir_server.create()
    with serve.running(registry) as registry_url, serve.running(partner) as partner_url:
        async with opened(tmp_path, **QUICK) as desk:
            three = Three(desk, registry, partner, registry_url, partner_url)
            three.connect()
            partner.set(drop="after", methods=["POST"], times=1)
            made = await desk.made_id(patient("New"))
            await three.quiet()
            assert [one["externalId"] for one in await three.at_partner()] == [made]


async def test_one_failing_patient_stops_no_other(three: Three) -> None:
    """Without a given name the partner refuses her; that is hers alone."""
    bad = await three.desk.made_id(patient("Nameless", name=[{"family": "Nameless"}]))
    good = [await three.desk.made_id(patient(f"Good{n}")) for n in range(5)]

    async def all_there() -> bool:
        return {one["externalId"] for one in await three.at_partner()} == set(good)

    await until(all_there)
    await three.quiet()
    [rejected] = three.deliveries("rejected")
    assert rejected.connector == "partner" and "422" in rejected.error and "Nameless" not in rejected.error
    assert len(await three.at_registry()) == 6
    await rename(three, bad, "Named")
    read = await three.desk.read(f"/Patient/{bad}")
    read["name"] = [{"family": "Named", "given": ["Ada"]}]
    await three.desk.fhir("PUT", f"/Patient/{bad}", read)
    await three.quiet()
    assert three.deliveries("rejected") == [], "what was mended is sent"


async def test_one_side_down_stops_not_the_other(three: Three) -> None:
    made = await three.desk.made_id(patient("New"))
    await three.quiet()
    three.registry.set(down=True)
    await rename(three, made, "Newer")

    async def partner_has_it() -> bool:
        return [one["lastName"] for one in await three.at_partner()] == ["Newer"]

    await until(partner_has_it)
    await rename(three, made, "Newest")
    three.registry.set()
    await three.quiet()
    assert [family(one) for one in await three.at_registry()] == ["Newest"]
    names = [json.encode(one["body"]) for one in three.writes(three.registry)]
    assert not any(b'"Newer"' in one for one in names), "only what is true now is sent"


async def test_a_412_is_read_again(three: Three) -> None:
    """Their version changed between our read and our write."""
    made = await three.desk.made_id(patient("New"))
    await three.quiet()
    three.registry.set(status=412, methods=["POST"], times=1)
    await rename(three, made, "Newer")
    await three.quiet()
    assert [one["method"] for one in three.registry.log][-4:] == ["GET", "POST", "GET", "POST"]
    assert [family(one) for one in await three.at_registry()] == ["Newer"]


async def test_a_refused_write_is_no_longer_expected_there(three: Three) -> None:
    """An announced send that had no effect is taken back: their user who types that value later asserts it herself."""
    made = await three.desk.made_id(patient("New"))
    await three.quiet()
    three.partner.set(status=422, methods=("POST", "PUT", "PATCH"), times=1)
    await rename(three, made, "Newer")
    await three.quiet()
    assert three.deliveries("rejected")
    rid = three.desk.ask(lambda reader: reader.heads([("Patient", made)])["Patient", made].rid)
    rows = three.desk.ask(lambda reader: reader.records([rid]))[rid]
    found = [load(row.connector, row.type, row.remote_id, row.state) for row in rows if row.connector == "partner"]
    assert found and not any(one.intents for one in found)


async def test_an_edit_over_there_is_found_when_we_come_to_write(three: Three) -> None:
    made = await three.desk.made_id(patient("New", gender="female"))
    await three.quiet()
    [there] = await three.at_registry()
    await three.edit_at_registry({**there, "birthDate": "1981-01-01"})
    await rename(three, made, "Newer")
    await three.quiet()
    now = await three.desk.read(f"/Patient/{made}")
    assert (now["birthDate"], family(now)) == ("1981-01-01", "Newer")
    [there] = await three.at_registry()
    assert (there["birthDate"], family(there)) == ("1981-01-01", "Newer")
    [partner] = await three.at_partner()
    assert (partner["dateOfBirth"], partner["lastName"]) == ("1981-01-01", "Newer")


async def test_edits_on_all_sides_at_once_settle(three: Three) -> None:
    made = await three.desk.made_id(patient("New", gender="female"))
    await three.quiet()
    [there], [partner] = await three.at_registry(), await three.at_partner()
    await three.edit_at_registry({**there, "name": [{"family": "Registry", "given": ["Ada"]}]})
    await three.edit_at_partner(partner["id"], lastName="Partner", dateOfBirth="1979-01-01")
    await rename(three, made, "Client")
    await three.quiet()
    now = await three.desk.read(f"/Patient/{made}")
    [there], [partner] = await three.at_registry(), await three.at_partner()
    assert family(now) == family(there) == partner["lastName"]
    assert now["birthDate"] == there["birthDate"] == partner["dateOfBirth"]
    assert len(three.writes(three.registry)) <= 4 and len(three.writes(three.partner)) <= 5
    listed = {one.slot: json.decode(one.connectors.encode()) for one in three.desk.ask(_conflicts)}
    assert listed["name[-]"] == ["app", "partner", "registry"], "one row for everybody who contradicts"


async def test_a_delete_here_ends_being_active_there(three: Three) -> None:
    made = await three.desk.made_id(patient("New"))
    await three.quiet()
    assert (await three.desk.fhir("DELETE", f"/Patient/{made}")).status_code == 204
    await three.quiet()
    [there] = await three.at_registry()
    assert there["active"] is False and family(there) == "New"
    assert (await three.desk.fhir("GET", f"/Patient/{made}")).status_code == 410


@pytest.mark.parametrize("kind", ["Patient", "Observation"])
async def test_what_is_owed_is_not_sent_to_a_copy_that_they_deleted_meanwhile(three: Three, kind: str) -> None:
    made = await three.desk.made_id(patient("New", (MRN, "1")))
    pulse = await three.desk.made_id(observation(f"Patient/{made}"))
    await three.quiet()
    three.registry.set(down=True)
    changed = {"Patient": made, "Observation": pulse}[kind]
    body = {**await three.desk.read(f"/{kind}/{changed}"), "language": "de"}
    assert (await three.desk.fhir("PUT", f"/{kind}/{changed}", body)).status_code == 200
    rid = three.desk.ask(lambda reader: reader.heads([(kind, changed)])[kind, changed].rid)
    there = three.desk.ask(lambda reader: reader.links([rid]))[rid]
    [theirs] = [one.remote_id for one in there if one.connector == "registry"]

    def deleted(tx: Tx) -> None:
        changes = Changes()
        end_record(tx, changes, "registry", kind, theirs)
        tx.write(changes)

    three.desk.store.write_now(deleted)
    three.registry.log.clear()
    three.registry.set()
    await three.quiet()
    assert three.writes(three.registry) == [] and not three.deliveries("rejected", "exhausted")


@pytest.mark.parametrize("kind", ["Patient", "Observation"])
async def test_what_they_deleted_without_a_word_is_not_made_again(three: Three, kind: str) -> None:
    """A server that takes an update as a create would make it again (FHIR R4 §3.1.0.4.1); 410 ends the link."""
    made = await three.desk.made_id(patient("New", (MRN, "1")))
    pulse = await three.desk.made_id(observation(f"Patient/{made}"))
    await three.quiet()
    [theirs] = await three.at_registry(kind)
    await three.delete_at_registry(f"{kind}/{theirs['id']}")
    changed = {"Patient": made, "Observation": pulse}[kind]
    for language in ("de", "fr"):
        asked = len(three.registry.log)
        body = {**await three.desk.read(f"/{kind}/{changed}"), "language": language}
        assert (await three.desk.fhir("PUT", f"/{kind}/{changed}", body)).status_code == 200
        await three.quiet()
    assert len(three.registry.log) == asked, "the link is over: they are not even asked"
    assert await three.at_registry(kind) == [] and three.writes(three.registry) == []
    assert not three.deliveries("rejected", "exhausted")
    assert (await three.desk.read(f"/{kind}/{changed}"))["language"] == "fr", "what is known here stays"


@pytest.mark.parametrize("kind", ["Patient", "Observation"])
async def test_what_they_do_not_find_waits_for_a_person(three: Three, kind: str) -> None:
    """404 may be a wrong address: nothing is sent, and the link stays for when it is mended."""
    made = await three.desk.made_id(patient("New", (MRN, "1")))
    pulse = await three.desk.made_id(observation(f"Patient/{made}"))
    await three.quiet()
    [theirs] = await three.at_registry(kind)
    three.registry.log.clear()
    three.registry.set(status=404, methods=["GET"])
    changed = {"Patient": made, "Observation": pulse}[kind]
    body = {**await three.desk.read(f"/{kind}/{changed}"), "language": "de"}
    assert (await three.desk.fhir("PUT", f"/{kind}/{changed}", body)).status_code == 200
    await three.quiet()
    [owed] = three.deliveries("rejected")
    assert owed.connector == "registry" and "no " + kind in owed.error and three.writes(three.registry) == []
    three.registry.set()
    body = {**await three.desk.read(f"/{kind}/{changed}"), "language": "fr"}
    assert (await three.desk.fhir("PUT", f"/{kind}/{changed}", body)).status_code == 200
    await three.quiet()
    [now] = await three.at_registry(kind)
    assert (now["id"], now["language"]) == (theirs["id"], "fr") and not three.deliveries("rejected")


async def test_an_operator_ends_the_link_of_what_they_never_find_again(three: Three) -> None:
    """Their 404 alone ends nothing; with a person's word nothing is owed, and nothing is made there again."""
    made = await three.desk.made_id(patient("New", (MRN, "1")))
    pulse = await three.desk.made_id(observation(f"Patient/{made}"))
    await three.quiet()
    names, registry = (f"Patient/{made}", f"Observation/{pulse}"), three.desk.context.registry
    there = [(await three.at_registry(name.partition("/")[0]))[0]["id"] for name in names]
    three.registry.log.clear()
    three.registry.set(status=404, methods=["GET"])

    async def changed(language: str) -> None:
        for name in names:
            body = {**await three.desk.read(f"/{name}"), "language": language}
            assert (await three.desk.fhir("PUT", f"/{name}", body)).status_code == 200
        await three.quiet()

    await changed("de")
    assert len(three.deliveries("rejected")) == 2
    for wrong in ({"resource": "Patient/none"}, {"resource": names[0], "there": "x"}):
        with pytest.raises(Missing):
            await registry.unlink("registry", wrong)
    for name, theirs in zip(names, there, strict=True):
        ended = await registry.unlink("registry", {"resource": name})
        assert ended == {"name": "registry", "resource": name, "there": theirs, "status": "unlinked"}
    await changed("fr")
    assert not three.deliveries("rejected", "exhausted") and three.writes(three.registry) == []
    trail = {(one.type, one.id) for one in await three.desk.audits() if one.action == "D"}
    assert trail == {("Link", name) for name in names}
    with pytest.raises(Missing):
        await registry.unlink("registry", {"resource": names[0]})


async def test_what_was_deleted_here_before_it_was_there_is_not_made_there(three: Three) -> None:
    for side in (three.registry, three.partner):
        side.set(down=True)
    made = await three.desk.made_id(patient("Mistaken", (MRN, "1")))
    assert (await three.desk.fhir("DELETE", f"/Patient/{made}")).status_code == 204
    for side in (three.registry, three.partner):
        side.set()
    await three.quiet()
    assert (await three.at_registry(), await three.at_partner()) == ([], [])
    back = patient("Meant", (MRN, "1"), id=made)
    assert (await three.desk.fhir("PUT", f"/Patient/{made}", back)).status_code == 201
    await three.quiet()
    assert [family(one) for one in await three.at_registry()] == ["Meant"]
    assert [one["lastName"] for one in await three.at_partner()] == ["Meant"]


async def test_what_may_have_been_made_there_before_it_was_deleted_here_is_looked_for(three: Three) -> None:
    three.registry.set(drop="after", methods=["POST"], times=1)
    made = await three.desk.made_id(patient("Mistaken", (MRN, "1")))

    async def was_sent() -> bool:
        return bool(three.writes(three.registry))

    await until(was_sent)
    assert (await three.desk.fhir("DELETE", f"/Patient/{made}")).status_code == 204
    await three.quiet()
    assert [one["active"] for one in await three.at_registry()] == [False]


async def test_what_is_linked_to_somebody_else_there_is_left_alone(three: Three) -> None:
    """Our identifier already names another person over there."""
    made = await three.desk.made_id(patient("New"))
    await three.quiet()
    [there] = await three.at_registry()
    stolen = {**there, "name": [{"family": "Zed", "given": ["Zoe"]}], "birthDate": "1950-05-05"}
    await three.edit_at_registry(stolen)
    before = await three.desk.read(f"/Patient/{made}")
    await rename(three, made, "Newer")
    await three.quiet()
    now = await three.desk.read(f"/Patient/{made}")
    assert now["birthDate"] in (before["birthDate"], "1950-05-05")


async def one_id_for_all(scope: Any, receive: Any, send: Any) -> None:
    """A side that finds nobody and calls everybody it takes `pat_1`."""
    answer = b'{"id": "pat_1"}' if scope["method"] == "POST" else b"{}"
    await receive()
    status = 201 if scope["method"] == "POST" else 404
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": answer})


async def test_an_answer_that_names_somebody_elses_record_links_nobody(tmp_path: Path) -> None:
    partner, registry = canvas_partner.create(), fhir_server.create()
    with serve.running(registry) as registry_url, serve.running(one_id_for_all) as partner_url:
        async with opened(tmp_path, **QUICK) as desk:
            three = Three(desk, registry, partner, registry_url, partner_url)
            three.connect()
            first = await desk.made_id(patient("First", (MRN, "1")))
            await three.quiet()
            await desk.made_id(patient("Second", (MRN, "2")))
            await three.quiet()
            [refused] = three.deliveries("rejected")
            assert (refused.connector, refused.remote_id) == ("partner", "") and "another Patient" in refused.error
            links = desk.ask(lambda reader: reader.links_of("partner", [("Patient", "pat_1")]))
            heads = desk.ask(lambda reader: reader.heads_by_rid([one.rid for one in links.values()]))
            assert [head.id for head in heads.values()] == [first]


async def test_garbage_from_the_other_side_changes_nothing_here(three: Three) -> None:
    made = await three.desk.made_id(patient("New"))
    await three.quiet()
    [there] = await three.at_registry()
    await three.edit_at_registry({**there, "gender": "nonsense"})
    await rename(three, made, "Newer")
    await three.quiet()
    now = await three.desk.read(f"/Patient/{made}")
    assert "gender" not in now and family(now) == "Newer"
    [rejected] = three.deliveries("rejected")
    assert rejected.connector == "registry"
    assert [one["lastName"] for one in await three.at_partner()] == ["Newer"]


async def test_many_patients_and_many_edits_end_equal(three: Three) -> None:
    made = [await three.desk.made_id(patient(f"P{n}")) for n in range(20)]
    three.registry.set(drop="after", methods=["POST"], times=5)
    three.partner.set(drop="before", methods=["POST"], times=5)
    for round_ in range(3):
        await asyncio.gather(*[rename(three, one, f"R{round_}") for one in made])
    await three.quiet()
    assert sorted(family(one) for one in await three.at_registry()) == ["R2"] * 20
    assert sorted(one["lastName"] for one in await three.at_partner()) == ["R2"] * 20
    assert {one["externalId"] for one in await three.at_partner()} == set(made)


async def test_a_document_twice_is_sent_once(three: Three) -> None:
    data = (Path(__file__).parents[2] / "fixtures" / "ccda" / "full-ccd.xml").read_bytes()
    assert (await three.desk.document(data)).status_code == 200
    await three.quiet()
    held = await three.at_registry("AllergyIntolerance")
    assert held and all(one["patient"]["reference"].startswith("Patient/") for one in held)
    before = len(three.registry.log), len(three.partner.log)
    assert (await three.desk.document(data)).status_code == 200
    await three.quiet()
    assert (len(three.registry.log), len(three.partner.log)) == before


async def test_a_patient_that_its_sender_holds_already_is_updated_not_created(three: Three) -> None:
    key = three.desk.add_key("partner", "partner", "system/Patient.c")
    seed = {"firstName": "Alice", "lastName": "Example", "dateOfBirth": "1980-02-22", "partnerId": "pat_12345678"}
    assert (await three.desk.seed(seed, key)).status_code == 202
    await three.quiet()
    assert await three.at_partner() == []
    [alice] = await three.desk.found(f"/Patient?identifier={SYSTEM}|pat_12345678")
    [write] = three.writes(three.partner)
    assert write["path"].endswith("/pat_12345678") and write["body"]["externalId"] == alice["id"]
    assert [family(one) for one in await three.at_registry()] == ["Example"]


async def test_a_side_that_is_not_to_be_sent_anything_is_not(three: Three) -> None:
    three.connect(push=False)
    await three.desk.made_id(patient("New"))
    await three.quiet()
    assert three.partner.log == [] and len(await three.at_registry()) == 1
