"""Impilo through the registry: webhooks registered there, its events arriving over a socket, its list polled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.connectors import impilo
from gateway.sandbox import impilo as stand_in
from gateway.sandbox import serve

from .office import Office, listening, staffed
from .waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    sandbox = stand_in.create()
    with serve.running(sandbox) as url:
        async with staffed(tmp_path, sandbox, url) as one, listening(one) as ours:
            object.__setattr__(one.desk.context.registry, "public", ours)
            yield one


def clinic(office: Office, **sync: Any) -> dict[str, Any]:
    return {
        "name": "impilo",
        "type": "REST",
        "profile": "impilo",
        "endpoint": f"{office.url}{stand_in.BASE}",
        "auth": {"scheme": "apiKey", "header": "Impilo-API-Key", "key": stand_in.API_KEY},
        "sync": sync,
        "rateLimit": {"requests": 1000},
        "push": False,
    }


async def ines(office: Office, phone: str) -> None:
    """She is here, with this number."""

    async def is_here() -> bool:
        found = await office.desk.found(f"/Patient?identifier={impilo.ID_SYSTEM}|101")
        return bool(found) and phone in [one["value"] for one in found[0]["telecom"]]

    await until(is_here)


async def test_webhooks_are_registered_and_events_arrive(office: Office) -> None:
    made = await office.call("POST", "", clinic(office, mode="webhook", secret="a shared text"))
    assert (made.status_code, made.json()["status"]) == (201, "connected"), made.text
    told = await office.peer("POST", "/_edit/101", {"set": {"phoneNumber": "555-010-4444"}})
    assert told["webhooks"] == [200], "told to the address that was registered, with the secret that was set"
    await ines(office, "555-010-4444")
    measured = await office.peer("POST", "/_reading/weight", {"patientId": 101, "weight": 70})
    assert measured["webhooks"] == [200]

    async def is_an_observation() -> bool:
        return office.desk.counts().get("Observation") == 1

    await until(is_an_observation)


async def test_a_secret_that_cannot_be_told_there_is_not_made_up(office: Office) -> None:
    """Impilo takes one secret per account and refuses a second: by a fresh one every event would be refused here."""
    await office.call("POST", "", clinic(office, mode="webhook", secret="a shared text"))
    refused = await office.call("POST", "/impilo/rotate-secret", {"atOnce": True})
    assert refused.status_code == 409 and "first secret" in refused.json()["detail"]
    told = await office.peer("POST", "/_edit/101", {"set": {"phoneNumber": "555-010-4444"}})
    assert told["webhooks"] == [200], "the old one is taken as before"
    theirs = await office.call("POST", "/impilo/rotate-secret", {"secret": "changed in their portal"})
    assert (theirs.status_code, theirs.json()["status"]) == (200, "connected"), theirs.text


async def test_who_is_deleted_is_told_that_no_webhook_is_wanted_any_more(office: Office) -> None:
    """What they hold of their patients is sent nowhere where nobody takes it."""
    await office.call("POST", "", clinic(office, mode="webhook", secret="a shared text"))
    assert (await office.call("DELETE", "/impilo")).status_code == 204
    told = await office.peer("POST", "/_edit/101", {"set": {"phoneNumber": "555-010-4444"}})
    assert told["webhooks"] == []


async def test_who_cannot_be_told_is_deleted_all_the_same(office: Office) -> None:
    await office.call("POST", "", clinic(office, mode="webhook", secret="a shared text"))
    office.sandbox.set(status=500)
    assert (await office.call("DELETE", "/impilo")).status_code == 204
    assert (await office.call("GET", "/impilo")).status_code == 410


async def test_its_list_is_polled(office: Office) -> None:
    made = await office.call("POST", "", clinic(office, mode="polling", intervalSeconds=0.1))
    assert made.status_code == 201, made.text
    await ines(office, "555-010-2030")
    await office.peer("POST", "/_edit/101", {"set": {"phoneNumber": "555-010-5555"}, "tell": False})
    await ines(office, "555-010-5555")


async def test_a_wrong_key_is_told_at_once(office: Office) -> None:
    body = clinic(office, mode="manual")
    made = await office.call("POST", "", {**body, "auth": {**body["auth"], "key": "guessed"}})
    assert made.status_code == 201 and made.json()["status"] in ("error", "needs_reauth")
