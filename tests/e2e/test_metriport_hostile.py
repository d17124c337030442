"""Webhooks that are not Metriport's, or come twice, or say what must not be believed."""

from __future__ import annotations

import gzip
import hashlib
import hmac
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.fhir import json
from gateway.fhir.json import Resource

from .metriport_meeting import SYSTEM, Meeting, listening, met
from .waiting import until

pytestmark = pytest.mark.anyio

PATH = "/api/webhooks/metriport"


@pytest.fixture
async def meeting(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Meeting]:
    async with met(tmp_path) as found:
        await found.listen()
        yield found


def sign(key: str, body: bytes) -> str:
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


async def tell(meeting: Meeting, payload: Any, *, key: str | None = None, **headers: str) -> httpx.Response:
    body = payload if isinstance(payload, bytes) else json.encode(payload)
    kept = meeting.desk.ask(lambda reader: reader.secrets("metriport"))["webhook_secret"]
    sent = {"x-metriport-signature": sign(key or kept, body), **headers}
    return await meeting.desk.call("POST", PATH, body, key="", kind="application/json", headers=sent)


def event(kind: str, message_id: str = "m-1", **payload: Any) -> Resource:
    return {"meta": {"messageId": message_id, "when": "2026-01-01T00:00:00.000Z", "type": kind}, "payload": payload}


def webhooks(meeting: Meeting) -> list[Any]:
    return [one for one in meeting.desk.messages() if one.kind == "webhook"]


async def test_what_is_not_signed_is_refused_and_not_kept(meeting: Meeting) -> None:
    body, ping = json.encode(event("patient.admit")), json.encode({"ping": "x", "meta": {"type": "ping"}})
    key = meeting.desk.ask(lambda reader: reader.secrets("metriport"))["webhook_secret"]
    refused = {
        "unsigned": (body, ""),
        "wrong key": (body, sign("guessed", body)),
        "another body": (body, sign(key, body + b" ")),
        "a ping": (ping, sign("guessed", ping)),
    }
    for case, (sent, signature) in refused.items():
        answer = await tell(meeting, sent, **{"x-metriport-signature": signature})
        assert answer.status_code == 401, case
    assert webhooks(meeting) == []
    answer = await tell(meeting, body, **{"x-metriport-signature": sign(key, body).upper()})
    assert answer.status_code == 200 and len(webhooks(meeting)) == 1


async def test_a_replay_counts_once(meeting: Meeting) -> None:
    first = await tell(meeting, event("something.new", "m-7"))
    again = await tell(meeting, event("something.new", "m-7"))
    assert (first.json()["duplicate"], again.json()["duplicate"]) == (False, True)
    assert len(webhooks(meeting)) == 1
    other = await tell(meeting, event("something.else", "m-7"))
    assert other.json()["duplicate"] is False, "their pages print one id for messages of several types"


async def test_what_brings_nothing_is_taken_and_changes_nothing(meeting: Meeting) -> None:
    before = meeting.desk.sequence()
    for kind in ("something.new", "medical.document-conversion", "ias.identity.verified"):
        assert (await tell(meeting, event(kind, kind, patientId="x"))).status_code == 200
        await meeting.settled(kind)
    assert meeting.desk.sequence() == before


async def test_what_is_no_webhook_of_theirs_is_kept_as_failed(meeting: Meeting) -> None:
    payloads = ([], "text", {"meta": {}}, {"meta": "patient.admit"}, {"meta": {"type": 7}})
    for payload in payloads:
        assert (await tell(meeting, payload)).status_code == 200

    async def failed() -> bool:
        return [row.state for row in webhooks(meeting)] == ["failed"] * len(payloads)

    await until(failed)


async def test_a_patient_who_is_none_reads_nothing_else(meeting: Meeting) -> None:
    before = meeting.desk.counts()
    for at, patient in enumerate(("../settings", "x/../../settings", "..", "nobody", "")):
        url = f"{meeting.url}/settings"
        await tell(meeting, event("patient.admit", f"m-{at}", patientId=patient, url=url))
        await meeting.settled(f"m-{at}", "failed")
    assert meeting.desk.counts() == before
    paths = [entry["path"] for entry in meeting.partner.log if entry["method"] == "GET"]
    assert "/medical/v1/settings" not in paths and "/settings" not in paths


class Host:
    """Somewhere that serves one file and remembers who asked."""

    def __init__(self, data: bytes, status: int = 200) -> None:
        self.data, self.status = data, status
        self.asked: list[dict[str, str]] = []

    async def serve(self, request: Request) -> Response:
        self.asked.append(dict(request.headers))
        return Response(self.data, self.status, media_type="application/json")

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/file", self.serve)])


def bundle(*resources: Resource) -> bytes:
    listed = [{"resource": one} for one in resources]
    return json.encode({"resourceType": "Bundle", "type": "collection", "entry": listed})


def condition(name: str, subject: str, **more: Any) -> Resource:
    status = {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}
    return {
        "resourceType": "Condition",
        "id": name,
        "clinicalStatus": {"coding": [status]},
        "code": {"text": name},
        "subject": {"reference": subject},
        **more,
    }


async def told(meeting: Meeting, theirs: str, host: Host, state: str = "applied", name: str = "m-1") -> Any:
    """The message of an event whose data this host has, once it is worked off."""
    async with listening(host.app) as url:
        source = {"type": "hie", "status": "completed"}
        payload = {"patientId": theirs, "consolidatedDataUrl": f"{url}/file", "source": source}
        await tell(meeting, event("network-query.hie", name, **payload))
        return await meeting.settled(name, state)


async def test_a_resource_about_somebody_else_is_held_and_the_rest_taken(meeting: Meeting) -> None:
    jane = await meeting.jane()
    other = await meeting.desk.made_id({"resourceType": "Patient", "name": [{"family": "Other"}]})
    theirs = await meeting.their_id(jane)
    host = Host(
        bundle(
            condition("hers", f"Patient/{theirs}"),
            condition("ours", f"Patient/{other}"),
            condition("ours-of-her", f"Patient/{jane}"),
            condition("nobody", "Patient/unknown"),
            condition("elsewhere", "https://evil.example/fhir/Patient/1"),
        )
    )
    row = await told(meeting, theirs, host, "held")
    assert "another patient" in row.error
    found = await meeting.desk.found("/Condition")
    assert {one["code"]["text"] for one in found} <= {"hers", "elsewhere"}
    assert await meeting.desk.found(f"/Condition?patient={other}") == []
    assert [one["code"]["text"] for one in await meeting.desk.found(f"/Condition?patient={jane}")] == ["hers"]
    assert "x-api-key" not in host.asked[0], "our key is for their API alone"


async def test_a_reference_never_meets_one_of_ours_by_its_id(meeting: Meeting) -> None:
    jane = await meeting.jane()
    theirs = await meeting.their_id(jane)
    doctor = await meeting.desk.made_id({"resourceType": "Practitioner", "name": [{"family": "Ours"}]})
    asserter = {"reference": f"Practitioner/{doctor}", "display": "Dr. Who"}
    row = await told(meeting, theirs, Host(bundle(condition("c", f"Patient/{theirs}", asserter=asserter))))
    assert "1 references name what is not here" in row.error
    [kept] = await meeting.desk.found(f"/Condition?patient={jane}")
    logical = {"system": SYSTEM, "value": f"Practitioner/{doctor}"}
    assert kept["asserter"] == {"display": "Dr. Who", "type": "Practitioner", "identifier": logical}


async def test_a_bad_resource_costs_none_of_the_others(meeting: Meeting) -> None:
    jane = await meeting.jane()
    theirs = await meeting.their_id(jane)
    broken = {**condition("broken", f"Patient/{theirs}"), "onsetDateTime": "sometime"}
    deep: Any = {"url": "x", "valueString": "y"}
    for _ in range(300):
        deep = {"url": "x", "extension": [deep]}
    nested = {**condition("deep", f"Patient/{theirs}"), "extension": [deep]}
    data = bundle(broken, condition("good", f"Patient/{theirs}"), nested, {"resourceType": "Nonsense", "id": "1"})
    await told(meeting, theirs, Host(data), "failed")
    assert [one["code"]["text"] for one in await meeting.desk.found(f"/Condition?patient={jane}")] == ["good"]


async def test_what_is_no_bundle_is_refused_whole(meeting: Meeting) -> None:
    theirs = await meeting.their_id(await meeting.jane())
    before = meeting.desk.counts()
    odd = (b"", b"<html>", b"[]", b'{"resourceType":"Patient"}', gzip.compress(b"0" * 60_000_000))
    for at, data in enumerate(odd):
        await told(meeting, theirs, Host(data), "failed", f"m-{at}")
    assert meeting.desk.counts() == before


async def test_what_comes_late_undoes_nothing_newer(meeting: Meeting) -> None:
    jane = await meeting.jane()
    theirs = await meeting.their_id(jane)
    await meeting.operate("set-webhook", webhookUrl="")
    for name in ("admit", "discharge"):
        await meeting.play(f"_events/{name}/{theirs}")
    admit, discharge = [json.decode(row[3]) for row in await meeting.theirs("GET", "/_webhooks")]
    for payload in (discharge, admit):
        await tell(meeting, payload)
        await meeting.settled(payload["meta"]["messageId"])
    [stay] = await meeting.desk.found(f"/Encounter?patient={jane}")
    assert (stay["status"], stay["meta"]["versionId"]) == ("finished", "1")


async def test_webhooks_that_come_twice_or_out_of_order_make_one_of_each(meeting: Meeting) -> None:
    jane = await meeting.jane()
    theirs = await meeting.their_id(jane)
    meeting.partner.set(duplicate_webhooks=True, reorder_webhooks=True)
    for name in ("admit", "discharge"):
        await meeting.play(f"_events/{name}/{theirs}")
    for name in ("admit", "discharge"):
        await meeting.settled(f"patient.{name}")
    [stay] = await meeting.desk.found(f"/Encounter?patient={jane}")
    assert stay["status"] == "finished" and len(webhooks(meeting)) == 2


async def test_gzip_is_read(meeting: Meeting) -> None:
    jane = await meeting.jane()
    theirs = await meeting.their_id(jane)
    await told(meeting, theirs, Host(gzip.compress(bundle(condition("packed", f"Patient/{theirs}")))))
    assert len(await meeting.desk.found(f"/Condition?patient={jane}")) == 1


async def test_a_dead_address_is_asked_for_again(meeting: Meeting) -> None:
    jane = await meeting.jane()
    theirs = await meeting.their_id(jane)
    await meeting.operate("network-query", patient=jane, sources="pharmacy")
    await meeting.settled("network-query.pharmacy")
    await told(meeting, theirs, Host(b"<Error><Code>AccessDenied</Code></Error>", 403))
    asked = [entry["path"] for entry in meeting.partner.log if not entry["path"].endswith("/settings")]
    assert asked[-1].endswith("/consolidated"), "where our webhooks go may be told at any time"


async def test_addresses_that_are_not_theirs_to_name_are_not_called(meeting: Meeting) -> None:
    theirs = await meeting.their_id(await meeting.jane())
    before = meeting.desk.counts()
    urls = ("http://169.254.169.254/latest", "http://10.0.0.1/x", "file:///etc/passwd", "", None, 7)
    for at, url in enumerate(urls):
        await tell(meeting, event("patient.admit", f"m-{at}", patientId=theirs, url=url))
        row = await meeting.settled(f"m-{at}", "failed")
        assert "passwd" not in (row.error or "")
    assert meeting.desk.counts() == before


async def test_the_externalid_of_a_webhook_links_nobody(meeting: Meeting) -> None:
    jane = await meeting.jane()
    stranger = await meeting.make(
        {
            "firstName": "Nora",
            "lastName": "Else",
            "dob": "1970-01-01",
            "genderAtBirth": "F",
            "address": [{"addressLine1": "1 Way", "city": "Alder", "state": "OH", "zip": "43999", "country": "USA"}],
        }
    )
    data = bundle(condition("hers", f"Patient/{stranger}"))
    async with listening(Host(data).app) as url:
        source = {"type": "hie", "status": "completed"}
        payload = {"patientId": stranger, "externalId": jane, "consolidatedDataUrl": f"{url}/file", "source": source}
        await tell(meeting, event("network-query.hie", **payload))
        await meeting.settled("network-query.hie")
    assert await meeting.desk.found(f"/Condition?patient={jane}") == []
    [nora] = [one for one in await meeting.desk.found("/Patient") if one["name"][0]["family"] == "Else"]
    assert len(await meeting.desk.found(f"/Condition?patient={nora['id']}")) == 1
