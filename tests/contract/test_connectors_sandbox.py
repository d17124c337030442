"""Stand-ins as servers: dropped connections, signed webhooks, and a process of their own."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.connectors.event import Event, from_standard
from gateway.connectors.signature import verify
from gateway.fhir import json
from gateway.sandbox import canvas_partner, hms, rest_partner, serve
from gateway.sandbox.faults import Sandbox

SECRET = "whsec_dGhlIGhvb2sncyBrZXk="
KEY = {"x-api-key": canvas_partner.API_KEY}


@contextmanager
def receiver(status: int = 202) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """Where webhooks arrive."""
    received: list[tuple[dict[str, str], bytes]] = []

    async def receive(request: Request) -> Response:
        received.append((dict(request.headers), await request.body()))
        return Response(status_code=status)

    with serve.running(Sandbox(Starlette(routes=[Route("/hook", receive, methods=["POST"])]))) as url:
        yield f"{url}/hook", received


def edit(url: str, **asked: Any) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.post(f"{url}/_edit/pat_12345678", json=asked, trust_env=False).json()
    return answer


def tell_to(url: str, hook: str) -> None:
    httpx.post(f"{url}/_webhook", json={"url": hook, "secret": SECRET}, trust_env=False).raise_for_status()


def test_an_edit_is_told_by_a_webhook_that_verifies() -> None:
    with receiver() as (hook, received), serve.running(canvas_partner.create()) as url:
        tell_to(url, hook)
        assert edit(url, set={"lastName": "Sample"})["webhooks"] == [202]
    [(headers, body)] = received
    event_id = verify("standard", SECRET, headers, body, now=datetime.now(UTC))
    event = from_standard(json.decode(body))
    assert event == Event("changed", "Patient", "pat_12345678", {"id": "pat_12345678"}, event_id, event.at)


def test_an_event_may_carry_a_part_of_the_model_and_come_twice() -> None:
    with receiver() as (hook, received), serve.running(canvas_partner.create()) as url:
        tell_to(url, hook)
        httpx.post(f"{url}/_faults", json={"duplicate_webhooks": True}, trust_env=False)
        edit(url, set={"firstName": "Alicia"}, data={"firstName": "Alicia"})
        edit(url, set={"firstName": "Ally"}, tell=False)
    assert len(received) == 2
    assert received[0][1] == received[1][1]
    assert json.decode(received[0][1])["data"] == {"id": "pat_12345678", "firstName": "Alicia"}


def call(url: str, path: str, body: Any, headers: Mapping[str, str] | None = None, method: str = "POST") -> None:
    sent = {"content-type": "application/json", **(headers or {})}
    answer = httpx.request(method, url + path, content=json.encode(body), headers=sent, trust_env=False)
    assert answer.is_success, answer.text


def hms_edit(url: str, hook: str, name: str) -> None:
    key = {"x-api-key": hms.API_KEY}
    call(url, "/api/patients/subscribe", {"url": hook, "secret": SECRET, "events": []}, key)
    call(url, "/_edit/patients/p1", {"set": {"name": name}})


def rest_edit(url: str, hook: str, name: str) -> None:
    call(url, "/api/subscribe", {"url": hook, "secret": SECRET, "events": []}, {"x-api-key": rest_partner.API_KEY})
    call(url, "/_edit/people/s-1", {"set": {"last": name}})


def fhir_edit(url: str, hook: str, name: str) -> None:
    channel = {"type": "rest-hook", "endpoint": hook, "payload": "application/fhir+json", "header": []}
    asked = {"resourceType": "Subscription", "status": "requested", "criteria": "Patient?", "channel": channel}
    if not httpx.get(f"{url}/fhir/Subscription", trust_env=False).json()["total"]:
        call(url, "/fhir/Subscription", asked)
    patient = {"resourceType": "Patient", "id": "p", "name": [{"family": name, "given": ["Ida"]}]}
    call(url, "/fhir/Patient/p", {**patient, "birthDate": "1980-02-22"}, method="PUT")


def partner_edit(url: str, hook: str, name: str) -> None:
    tell_to(url, hook)
    call(url, "/_edit/pat_12345678", {"set": {"lastName": name}, "data": {"lastName": name}})


TELLING = {"hms": hms_edit, "rest_partner": rest_edit, "fhir_server": fhir_edit, "canvas_partner": partner_edit}


@pytest.mark.parametrize("name", TELLING)
def test_the_shared_knobs_hold_for_every_stand_ins_webhooks(name: str) -> None:
    def arrived(count: int) -> list[bytes]:
        deadline = time.monotonic() + 5
        while len(received) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return [body for _, body in received]

    with receiver() as (hook, received), serve.running(serve.create(name)) as url:
        call(url, "/_faults", {"reorder_webhooks": True})
        TELLING[name](url, hook, "Aaaa")
        TELLING[name](url, hook, "Bbbb")
        assert [b"Aaaa" in body for body in arrived(2)] == [False, True], "the first was kept back"
        call(url, "/_faults", {"duplicate_webhooks": True})
        before = len(received)
        TELLING[name](url, hook, "Cccc")
        assert len(set(arrived(before + 2)[before:])) == 1 and len(received) == before + 2


@pytest.mark.parametrize(("when", "effect"), [("before", 0), ("after", 1)])
def test_a_dropped_call_has_no_answer_and_the_effect_it_is_said_to_have(when: str, effect: int) -> None:
    app = serve.create("fhir_server")
    with serve.running(app) as url:
        app.set(drop=when, times=1)
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(f"{url}/fhir/Patient", json={"resourceType": "Patient"}, trust_env=False)
        assert httpx.get(f"{url}/fhir/Patient", trust_env=False).json()["total"] == effect


def test_while_it_is_down_only_its_own_user_gets_through() -> None:
    app = canvas_partner.create()
    with serve.running(app) as url:
        app.set(down=True)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{url}/patients/v2/pat_12345678", headers=KEY, trust_env=False)
        assert edit(url, set={"lastName": "Sample"})["patient"]["lastName"] == "Sample"
        app.set()
        answer = httpx.get(f"{url}/patients/v2/pat_12345678", headers=KEY, trust_env=False)
    assert answer.json()["lastName"] == "Sample"
    assert [entry["method"] for entry in app.log] == ["GET"], "what never arrived is not in the log"


def test_a_stand_in_stops_when_it_is_left() -> None:
    with serve.running(serve.create("fhir_server")) as url:
        port = int(url.rsplit(":", 1)[1])
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_stand_in_in_a_process_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "gateway.sandbox", "canvas_partner", "--port", str(port)])
    try:
        assert answered(port) == 401
    finally:
        process.terminate()
        process.wait(10)


def answered(port: int) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/patients/v2/x")
            return connection.getresponse().status
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise AssertionError("it did not start")
