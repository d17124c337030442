"""Subscribers are told of every change, in order, signed, and again until it arrived."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.connectors import signature
from gateway.errors import BadSignature
from gateway.fhir import json
from gateway.sandbox import serve
from gateway.sandbox.faults import Sandbox

from .desk import MRN, Desk, bundle, entry, opened, patient

pytestmark = pytest.mark.anyio


@dataclass
class Partner:
    """Who is told: what came, with which headers; `app.set(...)` has the fault knobs."""

    url: str
    app: Sandbox
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def bodies(self) -> list[dict[str, Any]]:
        return [json.decode(body) for _, body in self.received]


@pytest.fixture
def partner() -> Iterator[Partner]:
    with listening() as found:
        yield found


@contextmanager
def listening() -> Iterator[Partner]:
    received: list[tuple[dict[str, str], bytes]] = []

    async def receive(request: Request) -> Response:
        received.append((dict(request.headers), await request.body()))
        return Response(status_code=204)

    app = Sandbox(Starlette(routes=[Route("/hook", receive, methods=["POST"])]))
    with serve.running(app) as url:
        yield Partner(f"{url}/hook", app, received)


@pytest.fixture
async def desk(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Desk]:
    async with opened(tmp_path, deliver=True, retry_schedule=(0.0,) * 8) as desk:
        yield desk


async def subscribe(desk: Desk, partner: Partner, **wishes: Any) -> str:
    """Its secret."""
    operator = desk.add_key(f"op-{id(partner)}", "app", "operator")
    asked = {"name": "watcher", "connector": "app", "url": partner.url, "allow_networks": ["127.0.0.0/8"], **wishes}
    answer = await desk.call("POST", "/api/subscribers", asked, key=operator, kind="application/json")
    assert answer.status_code == 201, answer.text
    desk.made["operator"] = operator
    return str(answer.json()["secret"])


async def operate(desk: Desk, method: str, path: str, body: Any = None) -> Any:
    answer = await desk.call(
        method, f"/api/subscribers{path}", body, key=desk.made["operator"], kind="application/json"
    )
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


async def until(reached: Any, seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not reached():
            await asyncio.sleep(0.02)


async def put(desk: Desk, family: str, number: str = "1") -> None:
    body = patient(family, (MRN, number))
    answer = await desk.call("PUT", f"/fhir/Patient?identifier={MRN}|{number}", body)
    assert answer.status_code in (200, 201), answer.text


async def test_every_change_is_told_in_order_and_signed(desk: Desk, partner: Partner) -> None:
    secret = await subscribe(desk, partner)
    for at in range(5):
        await put(desk, f"Family{at}")
    await until(lambda: len(partner.received) == 5)
    told = partner.bodies()
    assert [one["type"] for one in told] == ["patient.created", *["patient.updated"] * 4]
    assert [one["data"]["versionId"] for one in told] == ["1", "2", "3", "4", "5"]
    for headers, body in partner.received:
        event_id = signature.verify("standard", secret, headers, body, now=datetime.now(UTC))
        assert event_id == json.decode(body)["id"]
    assert not any(b"Family" in body for _, body in partner.received), "who wants the id only gets no more"


async def test_only_what_was_asked_for_and_only_from_now_on(desk: Desk, partner: Partner) -> None:
    await put(desk, "Before")
    await subscribe(desk, partner, types=["Encounter"], payload="resource")
    visit = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
    await desk.call("POST", "/fhir", bundle("transaction", entry("POST", "Encounter", visit)))
    await put(desk, "After")
    await until(lambda: partner.received)
    [told] = partner.bodies()
    assert told["type"] == "encounter.created" and told["data"]["resource"]["status"] == "finished"


async def test_while_it_is_down_nothing_is_skipped(desk: Desk, partner: Partner) -> None:
    await subscribe(desk, partner)
    partner.app.set(status=503, times=3)
    for at in range(3):
        await put(desk, f"Family{at}")
    await until(lambda: len(partner.received) == 3)
    assert [one["data"]["versionId"] for one in partner.bodies()] == ["1", "2", "3"]


async def test_one_that_never_takes_it_is_stopped_and_goes_on_where_it_was(desk: Desk, partner: Partner) -> None:
    await subscribe(desk, partner)
    partner.app.set(status=500)
    await put(desk, "One")
    await put(desk, "Two")
    async with asyncio.timeout(15):
        while (await operate(desk, "GET", "/watcher"))["state"] != "stopped":
            await asyncio.sleep(0.05)
    rows = await operate(desk, "GET", "/watcher/events")
    assert [row["state"] for row in rows] == ["exhausted", "due"]
    assert rows[0]["error"] and "One" not in str(rows)
    partner.app.set()
    await operate(desk, "POST", "/watcher/resume")
    await until(lambda: len(partner.received) == 2)
    assert [one["data"]["versionId"] for one in partner.bodies()] == ["1", "2"], "the one that failed comes first"


async def test_one_that_says_it_is_gone_is_asked_once(desk: Desk, partner: Partner) -> None:
    """Standard Webhooks, "Deliverability": 410 means that they want no more; nothing is lost if they come back."""
    await subscribe(desk, partner)
    partner.app.set(status=410)
    await put(desk, "One")
    async with asyncio.timeout(15):
        while (await operate(desk, "GET", "/watcher"))["state"] != "stopped":
            await asyncio.sleep(0.05)
    [row] = await operate(desk, "GET", "/watcher/events")
    assert (row["state"], row["attempts"], row["status"]) == ("exhausted", 1, 410)
    partner.app.set()
    await operate(desk, "POST", "/watcher/resume")
    await until(lambda: len(partner.received) == 1)


async def test_both_secrets_hold_while_they_are_changed(desk: Desk, partner: Partner) -> None:
    old = await subscribe(desk, partner)
    new = (await operate(desk, "POST", "/watcher/rotate-secret"))["secret"]
    await put(desk, "One")
    await until(lambda: partner.received)
    [(headers, body)] = partner.received
    for secret in (old, new):
        signature.verify("standard", secret, headers, body, now=datetime.now(UTC))
    only = (await operate(desk, "POST", "/watcher/rotate-secret?overlapSeconds=0"))["secret"]
    await put(desk, "Two")
    await until(lambda: len(partner.received) == 2)
    headers, body = partner.received[1]
    signature.verify("standard", only, headers, body, now=datetime.now(UTC))
    with pytest.raises(BadSignature):
        signature.verify("standard", new, headers, body, now=datetime.now(UTC))


async def test_metriports_form_fails_once_and_holds_up_nothing(desk: Desk, partner: Partner) -> None:
    secret = await subscribe(desk, partner, form="metriport")
    partner.app.set(status=500, times=1)
    await put(desk, "One")
    await put(desk, "Two")
    await until(lambda: partner.received)
    async with asyncio.timeout(10):
        while (rows := await operate(desk, "GET", "/watcher/events"))[-1]["state"] == "due":
            await asyncio.sleep(0.02)
    assert rows[0]["state"] == "failed"
    headers, body = partner.received[0]
    signature.verify("metriport", secret, headers, body, now=datetime.now(UTC))


async def test_a_slow_one_does_not_hold_up_another(desk: Desk, partner: Partner) -> None:
    with listening() as slow:
        await subscribe(desk, slow)
        await subscribe(desk, partner, name="second")
        slow.app.set(delay=5.0)
        await put(desk, "One")
        await until(lambda: partner.received, 4.0)


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"url": "ftp://x.example"}, "url must be"),
        ({"form": "smoke"}, "form"),
        ({"colour": "red"}, "colour"),
        ({"secret": "short"}, "secret must be base64"),
        ({"connector": "nobody"}, "no connector"),
        ({"name": ""}, "name is required"),
    ],
)
async def test_a_wrong_wish_is_named(desk: Desk, partner: Partner, wishes: dict[str, Any], said: str) -> None:
    operator = desk.add_key("op", "app", "operator")
    asked = {"name": "watcher", "connector": "app", "url": partner.url, **wishes}
    answer = await desk.call("POST", "/api/subscribers", asked, key=operator, kind="application/json")
    assert answer.status_code in (400, 404) and said in answer.json()["detail"]


async def test_only_an_operator(desk: Desk, partner: Partner) -> None:
    plain = desk.add_key("plain", "app", "system/*.cruds")
    assert (await desk.call("GET", "/api/subscribers", key=plain)).status_code == 403
    assert (await desk.call("GET", "/api/subscribers", key="")).status_code == 401


async def test_every_change_leaves_its_row_in_the_audit_trail(desk: Desk, partner: Partner) -> None:
    await subscribe(desk, partner)
    for method, path, body in (("PATCH", "", {"types": ["*"]}), ("POST", "/rotate-secret", None), ("DELETE", "", None)):
        await operate(desk, method, f"/watcher{path}", body)
    rows = [one for one in await desk.audits() if one.type == "Subscriber"]
    assert [(one.action, one.id) for one in reversed(rows)] == [(action, "watcher") for action in "CUUD"]
    assert all((one.principal or "").startswith("op-") for one in rows)


async def test_a_private_address_that_nobody_allowed_is_not_called(desk: Desk, partner: Partner) -> None:
    await subscribe(desk, partner, allow_networks=[])
    await put(desk, "One")
    async with asyncio.timeout(15):
        while (await operate(desk, "GET", "/watcher"))["state"] != "stopped":
            await asyncio.sleep(0.05)
    assert not partner.received
