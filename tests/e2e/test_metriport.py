"""Metriport as a client, end to end: a Patient here becomes one there, and what the networks know of her comes back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from gateway.fhir.json import Resource
from gateway.sandbox import metriport, serve
from gateway.sandbox.faults import Sandbox
from gateway.store import MessageRow

from .desk import Desk, opened
from .waiting import until

pytestmark = pytest.mark.anyio

SYSTEM = "https://metriport.example/patients"
JANE: Resource = {
    "resourceType": "Patient",
    "name": [{"use": "official", "family": "Smith", "given": ["Jane"]}],
    "gender": "female",
    "birthDate": "1996-02-10",
    "telecom": [{"system": "phone", "use": "home", "value": "+1 (202) 555-0180"}],
    "address": [
        {"use": "home", "line": ["123 Arsenal St"], "city": "Phoenix", "state": "Arizona", "postalCode": "85300"}
    ],
}


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """The address of an application whose lifespan somebody else runs, on a real socket in this loop."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", log_level="error", access_log=False))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@dataclass
class Meeting:
    """A gateway that listens on a real socket, and Metriport's stand-in."""

    desk: Desk
    partner: Sandbox
    url: str
    here: str
    operator: str = ""

    def connect(self, **more: Any) -> None:
        self.desk.connect(
            {
                "name": "metriport",
                "profile": "metriport",
                "endpoint": self.url,
                "auth": {"scheme": "apiKey", "header": "x-api-key", "key": metriport.API_KEY},
                "sync": {"mode": "webhook", "signature": "metriport"},
                "idSystem": SYSTEM,
                "options": {"facilityId": metriport.FACILITY_ID, "sandbox": True},
                "allow_networks": ["127.0.0.0/8"],
                **more,
            }
        )

    async def theirs(self, method: str, path: str, **more: Any) -> Any:
        """A call to the stand-in as its user makes it."""
        async with httpx.AsyncClient(trust_env=False, headers={"x-api-key": metriport.API_KEY}) as client:
            answer = await client.request(method, f"{self.url}{path}", **more)
            answer.raise_for_status()
            return answer.json() if answer.content else None

    async def operate(self, operation: str, **arguments: Any) -> httpx.Response:
        path = f"/api/connectors/metriport/metriport/{operation}"
        return await self.desk.call("POST", path, arguments, key=self.operator, kind="application/json")

    async def patients(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.theirs("GET", "/medical/v1/patient"))["patients"]
        return found

    async def listen(self) -> None:
        """Their webhooks come here, and the ping was answered."""
        said = await self.operate("set-webhook", webhookUrl=f"{self.here}/api/webhooks/metriport")
        assert said.status_code == 200, said.text

        async def enabled() -> bool:
            return bool((await self.theirs("GET", "/settings/webhook"))["webhookEnabled"])

        await until(enabled)

    async def settled(self, kind: str, state: str = "applied") -> MessageRow:
        """The newest message of that type, once it is worked off."""

        async def newest() -> MessageRow | None:
            found = [one for one in self.desk.messages() if one.kind == "webhook" and f'"{kind}"'.encode() in one.body]
            return found[-1] if found and found[-1].state not in ("received",) else None

        row = await until(newest)
        assert row is not None and row.state == state, (row.state, row.error) if row else None
        return row

    async def jane(self, **more: Any) -> str:
        """Our id of her, once she is there."""
        made = await self.desk.made_id({**JANE, **more})

        async def there() -> bool:
            return any(one.get("externalId") == made for one in await self.patients())

        await until(there)
        return made


@pytest.fixture
async def meeting(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Meeting]:
    partner = metriport.create()
    with serve.running(partner) as url:
        async with opened(tmp_path, deliver=True, retry_schedule=(0.0, *[0.05] * 400)) as desk:
            async with listening(desk.app) as here:
                meeting = Meeting(desk, partner, url, here)
                meeting.connect()
                meeting.operator = desk.add_key("operator", "app", "operator")
                yield meeting


async def test_a_patient_here_becomes_one_there(meeting: Meeting) -> None:
    made = await meeting.jane()
    [there] = await meeting.patients()
    assert (there["firstName"], there["lastName"], there["dob"], there["genderAtBirth"]) == (
        "Jane",
        "Smith",
        "1996-02-10",
        "F",
    )
    assert there["address"][0]["state"] == "AZ" and there["contact"] == [{"phone": "2025550180"}]
    await meeting.desk.store.write(lambda tx: None)
    ours = await meeting.desk.read(f"/Patient/{made}")
    assert {"system": SYSTEM, "value": there["id"]} in ours["identifier"]
    assert ours["telecom"] == JANE["telecom"] and ours["address"] == JANE["address"], (
        "their spelling is no edit of ours"
    )


async def test_the_key_is_kept_and_never_shown_and_the_ping_is_answered(meeting: Meeting) -> None:
    await meeting.listen()
    key = (await meeting.theirs("GET", "/settings"))["webhookKey"]
    said = await meeting.operate("settings")
    assert key and key not in said.text and said.json()["webhookUrl"].endswith("/api/webhooks/metriport")
    assert meeting.desk.ask(lambda reader: reader.secrets("metriport"))["webhook_secret"] == key
    assert not [one for one in meeting.desk.messages() if one.kind == "webhook"], "a handshake is no message"


async def test_a_network_query_brings_her_data_in_as_fhir_under_our_patient(meeting: Meeting) -> None:
    jane = await meeting.jane()
    await meeting.listen()
    asked = await meeting.operate(
        "network-query", patient=jane, sources=["hie", "pharmacy", "lab"], metadata={"a": "b"}
    )
    assert asked.status_code == 200, asked.text
    assert [one["type"] for one in asked.json()["sources"]] == ["hie", "pharmacy", "lab"]
    for kind in ("network-query.hie", "network-query.pharmacy", "network-query.lab"):
        await meeting.settled(kind)
    desk = meeting.desk
    conditions = await desk.found(f"/Condition?patient={jane}")
    assert {one["code"]["text"] for one in conditions} == {
        "Depressive disorder",
        "Generalized anxiety disorder",
        "Insomnia",
    }
    requests = await desk.found(f"/MedicationRequest?patient={jane}")
    [author] = await desk.found("/Practitioner")
    assert {one["requester"]["reference"] for one in requests} == {f"Practitioner/{author['id']}"}
    [report] = await desk.found(f"/DiagnosticReport?patient={jane}")
    observations = {f"Observation/{one['id']}" for one in await desk.found(f"/Observation?patient={jane}")}
    assert {one["reference"] for one in report["result"]} <= observations and len(observations) == 4
    [tsh] = [
        one for one in await desk.found(f"/Observation?patient={jane}") if one["code"]["coding"][0]["code"] == "3016-3"
    ]
    assert str(tsh["valueQuantity"]["value"]) == "2.10", "every digit"
    assert desk.counts()["Patient"] == 1, "their own Patient is no second one"


async def test_the_same_data_again_change_nothing(meeting: Meeting) -> None:
    jane = await meeting.jane()
    await meeting.listen()
    await meeting.operate("network-query", patient=jane, sources="hie,pharmacy,lab")
    await meeting.settled("network-query.lab")
    before = meeting.desk.sequence()
    taken = await meeting.operate("consolidated", patient=jane)
    assert taken.json()["refused"] == 0 and taken.json()["taken"] == 14
    assert meeting.desk.sequence() == before
