"""Events from a broker: stored before they are acknowledged, known when they come again, in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.connectors.config import from_json
from gateway.delivery import queues
from gateway.delivery.queues import Letter
from gateway.errors import StoreBusy
from gateway.fhir import json
from gateway.sandbox import hms, serve
from tests.contract.brokers import Kafka, Rabbit, rabbitmq

from .office import Office, person, staffed
from .waiting import until

pytestmark = pytest.mark.anyio

TOPIC = "ehr.patients"
Broker = Kafka | Rabbit


@pytest.fixture(params=["kafka", pytest.param("rabbitmq", marks=pytest.mark.system)])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broker]:
    if request.param == "kafka":
        yield Kafka(TOPIC)
    else:
        async with rabbitmq(tmp_path / "rabbitmq", TOPIC) as running:
            yield running


@pytest.fixture
def kafka() -> Kafka:
    """For what only Kafka's headers can say."""
    return Kafka(TOPIC)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    sandbox = hms.create()
    with serve.running(sandbox) as url:
        async with staffed(tmp_path / "gateway", sandbox, url) as one:
            yield one


def queue(broker: Broker) -> dict[str, Any]:
    return {"mode": "queue", "broker": broker.broker, "address": broker.address, "topic": broker.topic}


def event(id_: str) -> bytes:
    return json.encode({"type": "patient.updated", "data": {"id": id_}})


def handed(office: Office, state: str | None = None) -> list[Any]:
    return [one for one in office.desk.messages(state) if one.kind == "queue"]


async def unheard(_: str, __: object) -> None:
    """Nobody asks how it is going."""


async def all_handed(office: Office, count: int, state: str) -> None:
    async def all_are() -> bool:
        return len(handed(office, state)) == count

    await until(all_are)


async def test_what_a_broker_tells_is_read_and_applied(office: Office, broker: Broker) -> None:
    await office.peer("PUT", "/fhir/Patient/p1", person("p1"))
    await office.made(office.fhir(sync=queue(broker), push=False))
    await broker.send(event("p1"))
    await all_handed(office, 1, "applied")
    [patient] = await office.desk.found(f"/Patient?identifier={office.url}/fhir|p1")
    assert patient["name"][0]["family"] == "Byron"


async def test_what_cannot_be_used_is_kept_and_holds_up_nothing(office: Office, broker: Broker) -> None:
    await office.peer("PUT", "/fhir/Patient/p1", person("p1"))
    await office.made(office.fhir(sync=queue(broker), push=False))
    for body in (b"", b"\xff\x00 not JSON", b"[]", b'{"type":"patient.updated"}', event("p1")):
        await broker.send(body)
    await all_handed(office, 1, "applied")
    failed = handed(office, "failed")
    assert len(failed) == 4 and all(one.error for one in failed)
    assert {one.body for one in failed} == {b"", b"\xff\x00 not JSON", b"[]", b'{"type":"patient.updated"}'}


async def test_the_same_message_twice_is_taken_once(office: Office, broker: Broker) -> None:
    await office.peer("PUT", "/fhir/Patient/p1", person("p1"))
    await office.made(office.fhir(sync=queue(broker), push=False))
    for message_id in ("e1", "e1", "e2"):
        await broker.send(event("p1"), message_id)
    await all_handed(office, 2, "applied")
    await asyncio.sleep(0.1)
    assert len(handed(office)) == 2


@pytest.mark.parametrize("name", ["x" * 300, "a\x00b"], ids=["long", "NUL"])
async def test_a_name_that_cannot_be_kept_holds_up_nothing(office: Office, kafka: Kafka, name: str) -> None:
    await office.peer("PUT", "/fhir/Patient/p1", person("p1"))
    await office.made(office.fhir(sync=queue(kafka), push=False))
    for _ in "12":
        await kafka.send(event("p1"), name, **{"content-type": "application/json\x00"})
    await kafka.send(event("p1"))
    await all_handed(office, 2, "applied")
    await asyncio.sleep(0.1)
    assert len(handed(office)) == 2


@pytest.mark.parametrize("same", [{"id": "p1"}, {"message-id": "1"}, {"ce_id": "1"}], ids=str)
async def test_a_header_that_may_mean_anything_makes_no_two_events_one(
    office: Office, kafka: Kafka, same: dict[str, str]
) -> None:
    """`id` may be whom it is about: the second event about her would be lost as a repetition of the first."""
    await office.peer("PUT", "/fhir/Patient/p1", person("p1"))
    await office.made(office.fhir(sync=queue(kafka), push=False))
    for _ in "12":
        await kafka.send(event("p1"), **same)
    await all_handed(office, 2, "applied")


async def test_a_cloud_event_is_known_by_its_source_and_id(office: Office, kafka: Kafka) -> None:
    await office.peer("PUT", "/fhir/Patient/p1", person("p1"))
    await office.made(office.fhir(sync=queue(kafka), push=False))
    for source in ("/ward/1", "/ward/2", "/ward/1"):
        await kafka.send(event("p1"), ce_source=source, ce_id="1")
    await all_handed(office, 2, "applied")
    await asyncio.sleep(0.1)
    assert len(handed(office)) == 2


async def test_what_has_no_name_and_comes_twice_has_no_second_effect(office: Office, broker: Broker) -> None:
    await office.peer("PUT", "/fhir/Patient/p1", person("p1"))
    await office.made(office.fhir(sync=queue(broker), push=False))
    await broker.send(event("p1"))
    await all_handed(office, 1, "applied")
    before = office.desk.sequence()
    await broker.send(event("p1"))
    await all_handed(office, 2, "applied")
    assert office.desk.sequence() == before


async def test_a_paused_connector_reads_nothing_and_loses_nothing(office: Office, broker: Broker) -> None:
    await office.peer("PUT", "/fhir/Patient/p1", person("p1"))
    await office.made(office.fhir(sync=queue(broker), push=False))
    await broker.send(event("p1"), "e1")
    await all_handed(office, 1, "applied")
    await office.call("POST", "/ehr/pause")
    await asyncio.sleep(0.3)
    await broker.send(event("p1"), "e2")
    await asyncio.sleep(0.3)
    assert len(handed(office)) == 1
    await office.call("POST", "/ehr/resume")
    await all_handed(office, 2, "applied")


async def test_what_was_not_stored_is_not_acknowledged(broker: Broker) -> None:
    """The store fails once, as when the process is killed there: the messages come again, and none was lost."""
    body = {"name": "q", "profile": "fhir", "endpoint": "http://127.0.0.1:9", "sync": queue(broker)}
    config = from_json({**body, "allow_networks": ["127.0.0.0/8"]})
    kept: list[bytes] = []
    tries = 0

    async def keep(_: str, letters: Any) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise StoreBusy("not now")
        kept.extend(letter.body for letter in letters)

    for number in range(3):
        await broker.send(b"%d" % number)
    consuming = asyncio.create_task(queues.consume(config, None, keep, unheard, first_wait=0.05))

    async def all_kept() -> bool:
        return sorted(kept) == [b"0", b"1", b"2"]

    await until(all_kept)
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    assert tries >= 2 and kept == [b"0", b"1", b"2"], "in order"


async def test_what_was_acknowledged_does_not_come_again(broker: Broker) -> None:
    body = {"name": "q", "profile": "fhir", "endpoint": "http://127.0.0.1:9", "sync": queue(broker)}
    config = from_json({**body, "allow_networks": ["127.0.0.0/8"]})
    for expected in (b"first", b"second"):
        kept: list[Letter] = []

        async def keep(_: str, letters: Any, kept: list[Letter] = kept) -> None:
            kept.extend(letters)

        await broker.send(expected)
        consuming = asyncio.create_task(queues.consume(config, None, keep, unheard, first_wait=0.05))

        async def come(kept: list[Letter] = kept) -> bool:
            return bool(kept)

        await until(come)
        await asyncio.sleep(0.3)
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)
        assert [letter.body for letter in kept] == [expected]


async def test_a_broker_in_a_network_that_is_not_allowed_is_never_called() -> None:
    body = {"name": "q", "profile": "fhir", "endpoint": "https://ehr.example"}
    config = from_json({**body, "sync": queue(Kafka(TOPIC))})
    called: list[Any] = []

    async def keep(*given: Any) -> None:
        called.append(given)

    consuming = asyncio.create_task(queues.consume(config, None, keep, unheard, first_wait=0.05))
    await asyncio.sleep(0.3)
    assert not called and not consuming.done()
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
