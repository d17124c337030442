"""A FHIR server as the other side: without transactions, told by Subscriptions, looked through by _lastUpdated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.commands import reconcile
from gateway.connectors import fhir_server as connector
from gateway.connectors.protocol import Hook, Side
from gateway.delivery.guard import networks
from gateway.delivery.http import Outbound, Peer
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.flow import Received
from gateway.intake.findings import Landed, message_body
from gateway.sandbox import fhir_server, serve
from gateway.sandbox.faults import Sandbox

from .desk import MRN, Desk, bundle, entry, opened, patient
from .waiting import until

pytestmark = pytest.mark.anyio

QUICK: dict[str, Any] = {"deliver": True, "retry_schedule": (0.0, *[0.05] * 100), "lease": 2.0}


@dataclass
class Two:
    """The gateway, and a FHIR server at `url`."""

    desk: Desk
    server: Sandbox
    url: str

    @property
    def peer(self) -> Peer:
        return Peer("registry", self.url, {}, networks(["127.0.0.0/8"]), 5.0)

    def connect(self, **more: Any) -> None:
        body = {"name": "registry", "type": "FHIR", "endpoint": self.url, "allow_networks": ["127.0.0.0/8"]}
        self.desk.connect({**body, "idSystem": "https://registry.example/id", **more})

    async def held(self, kind: str) -> list[Resource]:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.url}/{kind}")
        return [one["resource"] for one in json.decode(answer.content).get("entry", [])]

    async def store_there(self, resource: Resource) -> Resource:
        """A user of the server."""
        async with httpx.AsyncClient(trust_env=False) as client:
            id_ = resource.get("id")
            url = f"{self.url}/{resource['resourceType']}" + (f"/{id_}" if id_ else "")
            headers = {"content-type": "application/fhir+json"}
            answer = await client.request("PUT" if id_ else "POST", url, content=json.encode(resource), headers=headers)
            answer.raise_for_status()
            stored: Resource = json.decode(answer.content)
            return stored

    async def patients(self) -> list[Resource]:
        answer = await self.desk.call("GET", "/fhir/Patient")
        return [one["resource"] for one in answer.json().get("entry", [])]


async def started(folder: Path, *, transactions: bool, **settings: Any) -> AsyncIterator[Two]:
    server = fhir_server.create(transactions=transactions)
    with serve.running(server) as url:
        async with opened(folder, **QUICK | settings) as desk:
            yield Two(desk, server, f"{url}/fhir")


@pytest.fixture
async def two(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Two]:
    async for one in started(tmp_path, transactions=True):
        yield one


@pytest.fixture
async def plain(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Two]:
    async for one in started(tmp_path, transactions=False):
        yield one


async def test_a_server_without_transactions_is_brought_up_to_date_all_the_same(plain: Two) -> None:
    plain.connect(options={"writes": "each"})
    subject = "urn:uuid:00000000-0000-4000-8000-000000000001"
    visit = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
    posted = bundle(
        "transaction",
        entry("PUT", f"Patient?identifier={MRN}|1", patient("Quill", (MRN, "1")), full_url=subject),
        entry("POST", "Encounter", {**visit, "subject": {"reference": subject}}),
    )
    assert (await plain.desk.call("POST", "/fhir", posted)).status_code == 200
    [stay] = await until(lambda: plain.held("Encounter"))
    [person] = await plain.held("Patient")
    assert stay["subject"] == {"reference": f"Patient/{person['id']}"}
    await plain.desk.call("PUT", f"/fhir/Patient?identifier={MRN}|1", patient("Mason", (MRN, "1")))

    async def renamed() -> bool:
        return [one["name"][0]["family"] for one in await plain.held("Patient")] == ["Mason"]

    await until(renamed)
    assert not [call for call in plain.server.log if call["path"] == "/fhir"], "no Bundle was tried"


async def look(two: Two) -> list[Landed]:
    """As a poll does."""
    context = two.desk.context
    config = context.store.query_now(lambda reader: context.flow.directory(reader).peer("registry"))
    cursor: str | None = None
    landed: list[Landed] = []
    async with Outbound() as outbound:
        for _ in range(5):
            began = datetime.now(UTC)
            page = await outbound.run(connector.scan(cursor, config.side(context.flow.ours)), two.peer)
            received = Received("registry", None, "poll", "application/json", message_body(page.found))
            landed += await context.ingest.found(received, config, page.found, read_start=began)
            cursor = page.cursor
            if not page.more:
                break
    return landed


def stay(patient_url: str, *observations: int) -> list[Resource]:
    """A visit and what was measured there, as entries."""
    url, subject = "urn:uuid:00000000-0000-4000-8000-000000000002", {"subject": {"reference": patient_url}}
    visit = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, **subject}
    measured = {"resourceType": "Observation", "status": "final", "encounter": {"reference": url}, **subject}
    told = [{**measured, "code": {"text": f"reading {number}"}} for number in observations]
    return [entry("POST", "Encounter", visit, full_url=url), *[entry("POST", "Observation", one) for one in told]]


async def test_what_arrived_one_by_one_is_not_sent_again(tmp_path: Path, anyio_backend: str) -> None:
    """A patient of many resources, more than a server without transactions takes within the limit of one call."""
    async for slow in started(tmp_path, transactions=False, delivery_timeout=0.3):
        slow.connect(options={"writes": "each"})
        slow.server.set(delay=0.02)
        url = "urn:uuid:00000000-0000-4000-8000-000000000001"
        person = entry("PUT", f"Patient?identifier={MRN}|1", patient("Quill", (MRN, "1")), full_url=url)
        posted = bundle("transaction", person, *stay(url, *range(12)))
        assert (await slow.desk.call("POST", "/fhir", posted)).status_code == 200

        async def arrived(slow: Two = slow) -> bool:
            return len(await slow.held("Observation")) == 12

        await until(arrived)
        slow.server.set()
        assert {one["meta"]["versionId"] for one in await slow.held("Observation")} == {"1"}


@pytest.mark.parametrize("transactions", [True, False])
async def test_what_is_not_sent_there_is_referred_to_by_identifier(
    tmp_path: Path, anyio_backend: str, transactions: bool
) -> None:
    """A server refuses a reference to nothing, so the visit that it is not to get would cost it the readings."""
    async for side in started(tmp_path, transactions=transactions):
        side.connect(push=["Patient", "Observation"], options={"writes": "transaction" if transactions else "each"})
        url = "urn:uuid:00000000-0000-4000-8000-000000000001"
        person = entry("PUT", f"Patient?identifier={MRN}|1", patient("Quill", (MRN, "1")), full_url=url)
        assert (await side.desk.call("POST", "/fhir", bundle("transaction", person, *stay(url, 1)))).status_code == 200
        [reading] = await until(lambda side=side: side.held("Observation"))
        [theirs], [visit] = await side.held("Patient"), await side.desk.found("/Encounter")
        assert reading["subject"] == {"reference": f"Patient/{theirs['id']}"}
        system = f"{side.desk.context.flow.ours}/Encounter"
        assert reading["encounter"] == {"identifier": {"system": system, "value": visit["id"]}}


async def test_a_patient_that_only_they_tell_of_is_referred_to_as_theirs(two: Two) -> None:
    """Patients come from there and are not sent there, readings are."""
    two.connect(push=["Observation"])
    stored = await two.store_there(patient("Quill", (MRN, "1")))
    await look(two)
    [person] = await two.patients()
    reading = {"resourceType": "Observation", "status": "final", "code": {"text": "weight"}}
    await two.desk.post({**reading, "subject": {"reference": f"Patient/{person['id']}"}})
    [held] = await until(lambda: two.held("Observation"))
    assert held["subject"] == {"reference": f"Patient/{stored['id']}"}


async def test_what_is_not_allowed_for_one_does_not_keep_the_others(two: Two) -> None:
    two.connect()
    made = await two.desk.made_id(patient("Quill", (MRN, "1")))
    await until(lambda: two.held("Patient"))
    two.server.log.clear()
    two.server.set(status=403, methods=["POST"], times=2)  # the two together, then the first alone
    reading = {"resourceType": "Observation", "status": "final", "subject": {"reference": f"Patient/{made}"}}
    posted = [entry("POST", "Observation", {**reading, "code": {"text": text}}) for text in ("weight", "height")]
    assert (await two.desk.call("POST", "/fhir", bundle("transaction", *posted))).status_code == 200

    async def both() -> bool:
        return len(await two.held("Observation")) == 2

    await until(both)
    sent = [call for call in two.server.log if call["method"] == "POST"]
    assert [(call["status"], len(call["body"]["entry"])) for call in sent] == [(403, 2), (403, 1), (200, 1), (200, 1)]


async def test_whom_they_refer_to_and_nobody_looks_at_stays_theirs(two: Two) -> None:
    """Almost every patient of an EHR has an organization; it costs nobody the patient, and is never one of ours."""
    two.connect()
    clinic = await two.store_there({"resourceType": "Organization", "name": "Clinic"})
    managed = {"managingOrganization": {"reference": f"Organization/{clinic['id']}", "display": "Clinic"}}
    stored = await two.store_there({**patient("Quill", (MRN, "1")), **managed})
    assert [one.error for one in await look(two)] == [None]
    [person] = await two.patients()
    named = {"system": "https://registry.example/id", "value": f"Organization/{clinic['id']}"}
    assert person["managingOrganization"] == {"identifier": named, "display": "Clinic"}
    await two.desk.call("PUT", f"/fhir/Patient?identifier={MRN}|1", {**patient("Mason", (MRN, "1"))})

    async def renamed() -> bool:
        return [one["name"][0]["family"] for one in await two.held("Patient")] == ["Mason"]

    await until(renamed)
    await until(lambda: quiet(two.desk))
    [there] = await two.held("Patient")
    assert there["id"] == stored["id"]
    assert there["managingOrganization"] == managed["managingOrganization"], "as they had it"
    assert (await two.patients())[0]["managingOrganization"] == {"identifier": named, "display": "Clinic"}


async def test_a_subscription_tells_of_a_reading_before_its_patient(two: Two) -> None:
    secret = "a shared word of 20+ letters"
    two.connect(sync={"mode": "webhook", "signature": "header", "secret": secret}, push=False)
    person = await two.store_there(patient("Quill", (MRN, "1")))
    subject = {"subject": {"reference": f"Patient/{person['id']}"}}
    visit = await two.store_there(
        {"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"}, **subject}
    )
    for told in visit, person:
        headers = {"X-Webhook-Secret": secret}
        await two.desk.call("POST", "/api/webhooks/registry", told, key="", headers=headers)
    [held] = await until(lambda: two.desk.found("/Encounter"))
    [ours] = await two.patients()
    assert held["subject"] == {"reference": f"Patient/{ours['id']}"}
    assert (await two.desk.read(f"/Encounter?patient={ours['id']}"))["total"] == 1


async def test_a_look_between_our_write_and_its_answer_makes_no_second_one(tmp_path: Path, anyio_backend: str) -> None:
    async for late in started(tmp_path, transactions=True, retry_schedule=(0.0, 3600.0, 3600.0)):
        late.connect(options={"types": ["Patient", "Encounter"]})
        late.server.set(drop="after", methods=["POST"], times=1)
        url = "urn:uuid:00000000-0000-4000-8000-000000000001"
        posted = bundle("transaction", entry("POST", "Patient", patient("Quill"), full_url=url), *stay(url))
        assert (await late.desk.call("POST", "/fhir", posted)).status_code == 200
        await until(lambda late=late: late.held("Encounter"))
        assert [one.error for one in await look(late)] == [None, None]
        [person], [visit] = await late.patients(), await late.desk.found("/Encounter")
        assert (person["meta"]["versionId"], visit["meta"]["versionId"]) == ("1", "1")


async def test_an_event_between_our_write_and_its_answer_makes_no_second_patient(
    tmp_path: Path, anyio_backend: str
) -> None:
    """HAPI FHIR tells of a write before it answers it."""
    async for late in started(tmp_path, transactions=True, retry_schedule=(0.0, *[0.2] * 20)):
        secret = "a shared word of 20+ letters"
        late.connect(sync={"mode": "webhook", "signature": "header", "secret": secret})
        late.server.set(delay=0.1, drop="after", methods=["POST"], times=1)
        made = await late.desk.made_id(patient("Quill"))
        [theirs] = await until(lambda late=late: late.held("Patient"))
        headers = {"X-Webhook-Secret": secret}
        await late.desk.call("POST", "/api/webhooks/registry", theirs, key="", headers=headers)

        async def applied(late: Two = late) -> bool:
            return {one.state for one in late.desk.messages() if one.kind == "webhook"} == {"applied"}

        await until(applied)
        assert [one["id"] for one in await late.patients()] == [made]


async def test_a_copy_that_carries_our_identifier_is_of_ours(two: Two) -> None:
    """As after a backup was restored; but a clone of a chart, or somebody else under our number, is not."""
    two.connect(options={"types": ["Patient", "Encounter"]}, push=False)
    made = await two.desk.made_id(patient("Quill"))
    planned = {"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"}}
    visit = await two.desk.made_id({**planned, "subject": {"reference": f"Patient/{made}"}})
    base = two.desk.context.flow.ours
    theirs = await two.store_there({**patient("Quill"), "identifier": [{"system": f"{base}/Patient", "value": made}]})
    ours = {"identifier": [{"system": f"{base}/Encounter", "value": visit}]}
    await two.store_there({**planned, **ours, "subject": {"reference": f"Patient/{theirs['id']}"}})
    await look(two)
    assert [one["id"] for one in await two.patients()] == [made]
    assert [one["id"] for one in await two.desk.found("/Encounter")] == [visit]
    for name in ("Quill", "Stranger"):
        await two.store_there({**patient(name), "identifier": [{"system": f"{base}/Patient", "value": made}]})
    await look(two)
    assert len(await two.patients()) == 3


async def test_what_others_refer_to_is_looked_at_first(two: Two) -> None:
    two.connect(options={"types": ["Observation", "Encounter", "Patient"]}, push=False)
    theirs = {"reference": f"Patient/{(await two.store_there(patient('Quill', (MRN, '1'))))['id']}"}
    visit = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "subject": theirs}
    refers = {"subject": theirs, "encounter": {"reference": f"Encounter/{(await two.store_there(visit))['id']}"}}
    await two.store_there({"resourceType": "Observation", "status": "final", "code": {"text": "weight"}, **refers})
    assert [one.error for one in await look(two)] == [None] * 3
    [person], [stay_], [reading] = [
        await two.desk.found(f"/{kind}") for kind in ("Patient", "Encounter", "Observation")
    ]
    assert reading["subject"]["reference"] == f"Patient/{person['id']}"
    assert reading["encounter"]["reference"] == f"Encounter/{stay_['id']}"


WHEN = "2026-01-02T03:04:05Z"


async def quiet(desk: Desk) -> bool:
    return not desk.ask(lambda reader: reader.deliveries(["due", "unknown"], limit=1))


async def test_what_they_make_of_ours_is_no_word_of_theirs(two: Two) -> None:
    """A server that writes dates in its own zone and drops what it does not know: neither is an edit."""
    two.connect(options={"types": ["Patient", "Observation"]})
    two.server.set(rewrite=["dates"])
    made = await two.desk.made_id(patient("Quill", (MRN, "1")))
    reading = {"resourceType": "Observation", "status": "final", "code": {"text": "weight"}, "issued": WHEN}
    ours = await two.desk.made_id({**reading, "subject": {"reference": f"Patient/{made}"}})
    [held] = await until(lambda: two.held("Observation"))
    assert held["issued"] != WHEN, "in their words"
    await until(lambda: quiet(two.desk))
    assert [one.error for one in await look(two)] == [None, None]
    mine = await two.desk.read(f"/Observation/{ours}")
    assert (mine["meta"]["versionId"], mine["issued"]) == ("1", WHEN)
    assert await reconcile.differences(two.desk.context.settings, "registry", repair=False) == [], (
        "nor a difference to repair"
    )
    two.server.set()
    await two.store_there({**held, "status": "amended"})
    await look(two)
    assert (await two.desk.read(f"/Observation/{ours}"))["status"] == "amended", "an edit of theirs is one"


@pytest.mark.parametrize("writes", ["transaction", "each"])
async def test_what_they_deleted_is_not_made_again_to_be_referred_to(two: Two, writes: str) -> None:
    """They would refuse a reference to it for ever: it is told by our identifier (FHIR R4 §2.3.0.2)."""
    two.connect(options={"writes": writes})
    made = await two.desk.made_id(patient("Quill", (MRN, "1")))
    visit = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
    ours = await two.desk.made_id({**visit, "subject": {"reference": f"Patient/{made}"}})
    [theirs] = await until(lambda: two.held("Encounter"))
    await until(lambda: quiet(two.desk))
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.delete(f"{two.url}/Encounter/{theirs['id']}")).raise_for_status()
    body = {**await two.desk.read(f"/Encounter/{ours}"), "language": "de"}
    assert (await two.desk.fhir("PUT", f"/Encounter/{ours}", body)).status_code == 200
    await until(lambda: quiet(two.desk))
    reading = {"resourceType": "Observation", "status": "final", "code": {"text": "weight"}}
    refers = {"subject": {"reference": f"Patient/{made}"}, "encounter": {"reference": f"Encounter/{ours}"}}
    await two.desk.made_id({**reading, **refers})
    [held] = await until(lambda: two.held("Observation"))
    base = two.desk.context.flow.ours
    assert held["encounter"] == {"identifier": {"system": f"{base}/Encounter", "value": ours}}
    assert await two.held("Encounter") == []
    await until(lambda: quiet(two.desk))
    assert not two.desk.ask(lambda reader: reader.deliveries(["rejected", "exhausted"], limit=1))


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_subscription_tells_of_an_edit_which_is_read_and_not_sent_back(two: Two, method: str) -> None:
    """The server calls the gateway's webhook; here that call is carried over, as the gateway has no socket. HAPI FHIR
    updates the resource below the address (PUT), others post it."""
    secret = "a shared word of 20+ letters"
    sync = {"mode": "webhook", "signature": "header", "header": "X-Webhook-Secret", "secret": secret}
    two.connect(sync=sync)
    stored = await two.store_there(patient("Quill", (MRN, "1")))
    hook = Hook("https://gateway.example/api/webhooks/registry", secret)
    side = Side("https://gateway.example/fhir", "https://registry.example/id", options=connector.Options())
    async with Outbound() as outbound:
        assert await outbound.run(connector.register(hook, side), two.peer)
    [asked] = await two.held("Subscription")
    assert asked["channel"]["header"] == [f"X-Webhook-Secret: {secret}"]
    headers = {"X-Webhook-Secret": secret}
    below = {"POST": "", "PUT": f"/Patient/{stored['id']}"}[method]
    answer = await two.desk.call(method, f"/api/webhooks/registry{below}", stored, key="", headers=headers)
    assert answer.status_code == {"POST": 200, "PUT": 204}[method], answer.text
    assert method == "POST" or not answer.content, "HAPI's client would read it as a resource"
    [person] = await until(two.patients)
    assert person["name"][0]["family"] == "Quill"
    before = len([call for call in two.server.log if call["method"] != "GET"])
    no = {"X-Webhook-Secret": "no"}
    wrong = await two.desk.call(method, f"/api/webhooks/registry{below}", stored, key="", headers=no)
    assert wrong.status_code == 401
    for other in ("/Patient/another", f"/Observation/{stored['id']}"):
        mixed = await two.desk.call("PUT", f"/api/webhooks/registry{other}", stored, key="", headers=headers)
        assert mixed.status_code == 400, "the address names another resource"
    assert len([call for call in two.server.log if call["method"] != "GET"]) - before <= 1, "our id, and no echo"


async def test_what_a_look_meets_becomes_ours_with_its_references(two: Two) -> None:
    two.connect(options={"types": ["Patient", "Encounter"]}, push=False)
    person = await two.store_there(patient("Quill", (MRN, "1")))
    visit = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
    await two.store_there({**visit, "subject": {"reference": f"Patient/{person['id']}"}})
    assert [one.error for one in await look(two)] == [None, None]
    [ours] = await two.patients()
    visits = (await two.desk.call("GET", f"/fhir/Encounter?patient={ours['id']}")).json()
    assert visits["total"] == 1
