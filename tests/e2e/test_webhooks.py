"""Webhooks: signed, stored, acknowledged, and only then worked on; what they say is read again where it can be."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.connectors.signature import sign
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.intake.ingest import Ingest
from gateway.sandbox import canvas_partner, serve
from gateway.sandbox.canvas_partner import API_KEY
from gateway.sandbox.faults import Sandbox

from .desk import Desk, opened, patient
from .test_promises import holding_answers
from .waiting import until

pytestmark = pytest.mark.anyio

SECRET = f"whsec_{base64.b64encode(b'a secret of twenty-four ').decode()}"
SYSTEM = "https://partner.example/patients"
PATH = "/api/webhooks/partner"
ALICE = {"firstName": "Alice", "lastName": "Example", "dateOfBirth": "1980-02-22", "partnerId": "pat_12345678"}


@dataclass
class Meeting:
    """A gateway and a REST partner who tells it of changes."""

    desk: Desk
    partner: Sandbox
    url: str
    key: str = ""

    def connect(self, *, read: bool = True, name: str = "partner", secret: str = SECRET) -> None:
        self.desk.connect(
            {
                "name": name,
                "type": "REST",
                "profile": "canvas",
                "endpoint": self.url,
                "auth": {"scheme": "apiKey", "header": "X-API-Key", "key": API_KEY},
                "sync": {"mode": "webhook", "secret": secret, "read": read},
                "idSystem": SYSTEM if name == "partner" else f"https://{name}.example",
                "allow_networks": ["127.0.0.0/8"],
            }
        )

    async def edit(self, **fields: Any) -> None:
        """A user of the partner changes Alice; no event is sent."""
        async with httpx.AsyncClient(trust_env=False) as client:
            asked = {"set": fields, "tell": False}
            (await client.post(f"{self.url}/_edit/pat_12345678", content=json.encode(asked))).raise_for_status()

    async def tell(
        self,
        event_id: str = "evt_1",
        *,
        path: str = PATH,
        secret: str = SECRET,
        at: datetime | None = None,
        **body: Any,
    ) -> httpx.Response:
        """An event about Alice; `body` replaces members of it."""
        payload = {"id": event_id, "type": "patient.updated", "data": {"id": "pat_12345678"}, **body}
        content = json.encode(payload)
        headers = sign(secret, event_id, content, now=at or datetime.now(UTC))
        return await self.desk.call("POST", path, content, key="", kind="application/json", headers=headers)

    def sign_by(self, scheme: str, *, read: bool = True) -> None:
        """The same partner, whose webhooks are signed in another way."""
        sync = {"mode": "webhook", "secret": SECRET, "read": read, "signature": scheme, "path": PATH}
        body = {"name": "partner", "profile": "canvas", "endpoint": self.url, "sync": sync, "idSystem": SYSTEM}
        auth = {"scheme": "apiKey", "header": "X-API-Key", "key": API_KEY}
        self.desk.connect({**body, "auth": auth, "allow_networks": ["127.0.0.0/8"]})

    async def tell_by(self, scheme: str, payload: dict[str, Any], *, wrong: str = "") -> httpx.Response:
        """An event signed by HMAC over its body, or by showing the secret; `wrong`: how not."""
        content = json.encode({"type": "patient.updated", **payload})
        secret = "another" if wrong == "another secret" else SECRET
        digest = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
        name, value = ("x-metriport-signature", digest) if scheme == "metriport" else ("x-webhook-secret", secret)
        headers = {} if wrong == "nothing" else {name: "" if wrong == "empty" else value}
        sent = content + b" " if wrong == "another body" else content
        return await self.desk.call("POST", PATH, sent, key="", kind="application/json", headers=headers)

    async def alice(self) -> Resource:
        [found] = await self.desk.found(f"/Patient?identifier={SYSTEM}|pat_12345678")
        return found

    async def alice_is_here(self) -> None:
        async def found() -> bool:
            return bool(await self.desk.found(f"/Patient?identifier={SYSTEM}|pat_12345678"))

        await until(found)

    async def settled(self, state: str = "applied") -> Any:
        """The newest webhook message, once it is worked off."""

        async def newest() -> Any:
            found = [one for one in self.desk.messages() if one.kind == "webhook"]
            return found[-1] if found and found[-1].state == state else None

        return await until(newest)


@pytest.fixture
async def meeting(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Meeting]:
    partner = canvas_partner.create()
    with serve.running(partner) as url:
        async with opened(tmp_path, retry_schedule=(0.0, *[0.05] * 400)) as desk:
            meeting = Meeting(desk, partner, url)
            meeting.connect()
            meeting.key = desk.add_key("partner", "partner", "system/Patient.cruds")
            assert (await desk.seed(ALICE, meeting.key)).status_code == 202
            yield meeting


async def test_an_event_makes_us_read_and_changes_exactly_that(meeting: Meeting) -> None:
    before = await meeting.alice()
    await meeting.edit(lastName="Sample")
    answer = await meeting.tell()
    assert answer.status_code == 200 and answer.json()["received"] is True
    message = await meeting.settled()
    assert message.message_id == answer.json()["message"]
    after = await meeting.alice()
    assert after["name"] == [{"family": "Sample", "given": ["Alice"]}]
    assert {name for name in after if after[name] != before.get(name)} == {"name", "meta"}


REFUSED: dict[str, dict[str, str]] = {
    "unsigned": {},
    "no id": {"webhook-id": ""},
    "another body": {},
    "no body": {},
    "wrong secret": {},
    "unknown version": {"webhook-signature": "v2,AAAA"},
    "not base64": {"webhook-signature": "v1,%%%"},
    "empty": {"webhook-signature": ""},
    "timestamp in words": {"webhook-timestamp": "yesterday"},
    "timestamp of another": {"webhook-timestamp": "1"},
    "many": {"webhook-signature": " ".join(["v1,AAAA"] * 5_000)},
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_not_signed_by_its_sender_is_refused_and_not_kept(meeting: Meeting, name: str) -> None:
    content = json.encode({"id": "e", "type": "patient.updated", "data": {"id": "pat_12345678"}})
    secret = SECRET if name != "wrong secret" else f"whsec_{base64.b64encode(b'x' * 24).decode()}"
    signed = {} if name == "unsigned" else sign(secret, "e", content, now=datetime.now(UTC)) | REFUSED[name]
    sent = {"another body": content + b" ", "no body": b""}.get(name, content)
    before = len(meeting.desk.messages())
    answer = await meeting.desk.call("POST", PATH, sent, key="", kind="application/json", headers=signed)
    assert answer.status_code == 401 and answer.headers["content-type"] == "application/problem+json"
    assert len(meeting.desk.messages()) == before


@pytest.mark.parametrize("minutes", [-6, 6, -600, 60 * 24 * 365])
async def test_a_stale_event_is_refused(meeting: Meeting, minutes: int) -> None:
    assert (await meeting.tell(at=datetime.now(UTC) + timedelta(minutes=minutes))).status_code == 401


async def test_a_replayed_event_is_acknowledged_and_done_once(meeting: Meeting) -> None:
    await meeting.edit(lastName="Sample")
    first = await meeting.tell("evt_7")
    await meeting.settled()
    reads = len(meeting.partner.log)
    again = await meeting.tell("evt_7")
    assert again.status_code == 200 and again.json()["duplicate"] is True
    assert again.json()["message"] == first.json()["message"], "names the message that is kept"
    await asyncio.sleep(0.2)
    assert len(meeting.partner.log) == reads
    assert len([one for one in meeting.desk.messages() if one.kind == "webhook"]) == 1


async def test_an_unknown_path_is_404(meeting: Meeting) -> None:
    for path in ("/api/webhooks/nobody", "/api/webhooks/partner/more", "/api/webhooks/Partner", "/api/webhooks/app"):
        assert (await meeting.tell(path=path)).status_code == 404, path
    assert (await meeting.desk.call("GET", PATH)).status_code == 405


async def test_the_connector_follows_from_the_path(meeting: Meeting) -> None:
    other = f"whsec_{base64.b64encode(b'another secret, as long.').decode()}"
    meeting.connect(name="other", secret=other)
    assert (await meeting.tell(path="/api/webhooks/other")).status_code == 401, "signed by the first one's secret"
    answer = await meeting.tell(path="/api/webhooks/other", secret=other, connector="partner")
    assert answer.status_code == 200
    message = await meeting.settled()
    assert message.connector == "other"
    assert len(await meeting.desk.found("/Patient?identifier=https://other.example|pat_12345678")) == 1


async def test_an_event_that_comes_late_brings_nothing_old_back(meeting: Meeting) -> None:
    """What it says of then does not matter: their side is read now."""
    await meeting.edit(lastName="Newer")
    await meeting.tell("evt_2")
    await meeting.settled()
    old = {"id": "pat_12345678", "lastName": "Older"}
    await meeting.tell("evt_1", data=old, timestamp="2020-01-01T00:00:00Z")
    await meeting.settled()
    assert (await meeting.alice())["name"][0]["family"] == "Newer"


async def test_a_late_event_of_a_system_that_is_not_read(meeting: Meeting) -> None:
    meeting.connect(read=False)
    await asyncio.sleep(0.05)
    old = {"data": {"id": "pat_12345678", "lastName": "Older"}, "timestamp": datetime.now(UTC).isoformat()}
    await asyncio.sleep(0.05)
    new = {"data": {"id": "pat_12345678", "lastName": "Newer"}, "timestamp": datetime.now(UTC).isoformat()}
    for event_id, event in (("evt_2", new), ("evt_1", old)):
        await meeting.tell(event_id, **event)
        await meeting.settled()
    assert (await meeting.alice())["name"][0] == {"family": "Newer", "given": ["Alice"]}


@pytest.mark.parametrize("scheme", ["metriport", "header"])
@pytest.mark.parametrize("read", [True, False])
async def test_an_event_that_comes_105_minutes_late_changes_nothing_newer(
    meeting: Meeting, scheme: str, read: bool
) -> None:
    """Schemes without a time of signing: what the event says of its own time decides, or their side is read."""
    meeting.sign_by(scheme, read=read)
    await meeting.edit(lastName="Newer")
    old = datetime.now(UTC) - timedelta(minutes=105)
    for event_id, name, at in (("evt_2", "Newer", datetime.now(UTC)), ("evt_1", "Older", old)):
        data = {"id": "pat_12345678", "lastName": name}
        answer = await meeting.tell_by(scheme, {"id": event_id, "timestamp": at.isoformat(), "data": data})
        assert answer.status_code == 200
        await meeting.settled()
    assert (await meeting.alice())["name"][0]["family"] == "Newer"


@pytest.mark.parametrize("scheme", ["metriport", "header"])
@pytest.mark.parametrize("wrong", ["nothing", "empty", "another secret", "another body"])
async def test_other_schemes_are_as_strict(meeting: Meeting, scheme: str, wrong: str) -> None:
    meeting.sign_by(scheme)
    before = len(meeting.desk.messages())
    payload = {"id": "evt_1", "data": {"id": "pat_12345678"}}
    if (scheme, wrong) == ("header", "another body"):
        return  # a shown secret says nothing of the body
    assert (await meeting.tell_by(scheme, payload, wrong=wrong)).status_code == 401
    assert len(meeting.desk.messages()) == before
    assert (await meeting.tell_by(scheme, payload)).status_code == 200


async def test_a_partial_event_erases_nothing(meeting: Meeting) -> None:
    meeting.connect(read=False)
    await meeting.tell(data={"id": "pat_12345678", "firstName": "Alicia"})
    await meeting.settled()
    now = await meeting.alice()
    assert now["name"] == [{"family": "Example", "given": ["Alicia"]}] and now["birthDate"] == "1980-02-22"


async def test_while_the_partner_is_down_the_message_waits_and_others_go_on(meeting: Meeting) -> None:
    await meeting.edit(lastName="Sample")
    meeting.partner.set(down=True)
    answer = await meeting.tell()
    assert answer.status_code == 200, "acknowledged whether or not they can be read"
    await asyncio.sleep(0.3)
    [waiting] = meeting.desk.messages("received")
    assert waiting.message_id == answer.json()["message"]
    assert (await meeting.desk.post(patient("Meanwhile"))).status_code == 201
    meeting.partner.set()
    await meeting.settled()
    assert (await meeting.alice())["name"][0]["family"] == "Sample"


async def test_who_asks_us_to_wait_is_not_read_for_every_event(meeting: Meeting) -> None:
    """RFC 9110 §10.2.3; nor do the events use up their tries meanwhile."""
    await meeting.edit(lastName="Patience")
    meeting.partner.log.clear()
    meeting.partner.set(status=429, retry_after=1, methods=["GET"])
    for number in range(5):
        assert (await meeting.tell(f"evt_{number}")).status_code == 200
    await asyncio.sleep(0.6)
    assert len(meeting.partner.log) == 1 and len(meeting.desk.messages("received")) == 5
    health = meeting.desk.ask(lambda reader: reader.health("partner"))
    assert (health.state, health.failures) == ("degraded", 1)
    meeting.partner.set()
    await meeting.settled()
    assert (await meeting.alice())["name"][0]["family"] == "Patience"
    assert meeting.desk.ask(lambda reader: reader.health("partner")).state == "connected"


async def test_an_event_about_a_record_that_keeps_changing_is_looked_at_again_later(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    once = Ingest._observe_once

    async def changed_meanwhile(ingest: Ingest, *of: Any) -> bool:
        reads.append("read")
        return len(reads) > 6 and await once(ingest, *of)

    monkeypatch.setattr(Ingest, "_observe_once", changed_meanwhile)
    await meeting.edit(lastName="Meanwhile")
    assert (await meeting.tell()).status_code == 200
    await meeting.settled()
    assert (await meeting.alice())["name"][0]["family"] == "Meanwhile" and len(reads) == 7


async def test_what_was_read_before_the_record_changed_is_read_again(meeting: Meeting) -> None:
    """Their answer is on its way while they tell us something newer: it may be older than that."""
    await meeting.edit(lastName="Meanwhile")
    with holding_answers(meeting.partner, "GET") as held:
        assert (await meeting.tell()).status_code == 200
        await until(held)
        assert (await meeting.desk.seed({**ALICE, "lastName": "Newest"}, meeting.key)).status_code == 202
        await meeting.edit(lastName="Newest")
    await meeting.settled()
    assert [one["method"] for one in meeting.partner.log if one["path"].startswith("/patients/")] == ["GET", "GET"]
    assert (await meeting.alice())["name"][0]["family"] == "Newest"


async def test_one_message_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    """One failing patient waits alone."""
    partner = canvas_partner.create(seeds=[*canvas_partner.SEEDS, {"id": "pat_2", "firstName": "Bob", "lastName": "B"}])
    with serve.running(partner) as url:
        async with opened(tmp_path, retry_schedule=(0.0, *[1.5] * 20)) as desk:
            meeting = Meeting(desk, partner, url)
            meeting.connect()
            partner.set(status=500, methods=["GET"], times=1)
            await meeting.tell("evt_1")
            await meeting.tell("evt_2", data={"id": "pat_2"})

            async def bob_is_here() -> bool:
                return bool(await desk.found(f"/Patient?identifier={SYSTEM}|pat_2"))

            await until(bob_is_here, seconds=1.2)
            assert len(desk.messages("received")) == 1
            await meeting.alice_is_here()


UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "of no patient": ({"type": "invoice.paid"}, "applied"),
    "without data": ({"data": None}, "failed"),
    "without an id": ({"data": {}}, "failed"),
    "of an id of dots": ({"data": {"id": ".."}}, "failed"),
    "of nobody": ({"data": {"id": "pat_nobody"}}, "applied"),
}


@pytest.mark.parametrize("name", UNUSABLE)
async def test_an_event_that_means_nothing_ends(meeting: Meeting, name: str) -> None:
    before = meeting.desk.sequence()
    body, state = UNUSABLE[name]
    assert (await meeting.tell(**body)).status_code == 200
    message = await meeting.settled(state)
    assert bool(message.error) == (state == "failed")
    assert meeting.desk.sequence() == before


async def test_what_they_show_and_is_no_fhir_fails_with_its_reason(meeting: Meeting) -> None:
    await meeting.edit(lastName="Sam\u0001ple")
    before = meeting.desk.sequence()
    await meeting.tell()
    message = await meeting.settled("failed")
    assert "family" in message.error and "Sam" not in message.error
    assert meeting.desk.sequence() == before


async def test_their_delete_ends_the_record_not_the_patient(meeting: Meeting) -> None:
    made = (await meeting.alice())["id"]
    await meeting.tell(type="patient.deleted")
    await meeting.settled()
    now = await meeting.desk.read(f"/Patient/{made}")
    assert now["name"][0]["family"] == "Example"
    assert await meeting.desk.found(f"/Patient?identifier={SYSTEM}|pat_12345678") in ([], [now])


async def test_an_event_about_somebody_else_under_a_known_id_is_held(meeting: Meeting) -> None:
    await meeting.edit(firstName="Zoe", lastName="Zed", dateOfBirth="1950-05-05")
    before = meeting.desk.sequence()
    await meeting.tell()
    message = await meeting.settled("held")
    assert message.error and meeting.desk.sequence() == before


async def test_twenty_events_at_once_end_at_what_they_show(meeting: Meeting) -> None:
    await meeting.edit(lastName="Final")
    answers = await asyncio.gather(*[meeting.tell(f"evt_{n}") for n in range(20)])
    assert {one.status_code for one in answers} == {200}

    async def all_applied() -> bool:
        return len([one for one in meeting.desk.messages("applied") if one.kind == "webhook"]) == 20

    await until(all_applied)
    now = await meeting.alice()
    assert now["name"][0]["family"] == "Final" and now["meta"]["versionId"] == "2"


async def test_what_was_acknowledged_and_not_worked_on_is_found_at_the_next_start(tmp_path: Path) -> None:
    partner = canvas_partner.create()
    with serve.running(partner) as url:
        async with opened(tmp_path, retry_schedule=(0.0, *[5.0] * 10)) as desk:
            first = Meeting(desk, partner, url)
            first.connect()
            await desk.seed(ALICE, desk.add_key("partner", "partner", "system/Patient.cruds"))
            await first.edit(lastName="Sample")
            partner.set(down=True)
            assert (await first.tell()).status_code == 200
            await asyncio.sleep(0.1)
        partner.set()
        async with opened(tmp_path) as desk:
            second = Meeting(desk, partner, url)
            await second.settled()
            assert (await second.alice())["name"][0]["family"] == "Sample"
