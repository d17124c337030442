"""Many documents at once: bounded, cut when they take too long, done again when their process dies; others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from .desk import Desk, opened

pytestmark = pytest.mark.anyio

FIXTURES = Path(__file__).parents[2] / "fixtures" / "ccda"
DOCUMENT = (FIXTURES / "bench-ccd-150k.xml").read_bytes()
PATHS = ("/api/documents", "/convert/v1/ccda/to/fhir?patientId=p1")
SCOPES = "documents convert"


async def sent(desk: Desk, path: str, key: str, body: Any = DOCUMENT) -> httpx.Response:
    headers = {"content-type": "application/xml", "authorization": f"Bearer {key}"}
    return await desk.client.post(path, content=body, headers=headers)


@pytest.mark.parametrize("path", PATHS)
async def test_more_than_is_held_is_told_to_come_again(desk: Desk, path: str) -> None:
    key = desk.add_key("clinic", "clinic", SCOPES)
    with desk.context.pool.room.place() as grow:
        grow(desk.context.settings.convert_bytes)
        answer = await sent(desk, path, key)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["code"] == "throttled"
        assert desk.messages() == [] and desk.counts() == {}
    assert (await sent(desk, path, key)).status_code == 200


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_in_chunks_counts_as_well(desk: Desk, path: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield DOCUMENT[:1000]
        yield DOCUMENT[1000:]

    key = desk.add_key("clinic", "clinic", SCOPES)
    with desk.context.pool.room.place() as grow:
        grow(desk.context.settings.convert_bytes - 10_000)
        assert (await sent(desk, path, key, chunks())).status_code == 503
    assert (await sent(desk, path, key, chunks())).status_code == 200


async def test_what_waits_is_bounded_and_what_is_refused_can_be_sent_again(tmp_path: Path) -> None:
    async with opened(tmp_path, convert_bytes=4 * len(DOCUMENT)) as desk:
        key = desk.add_key("clinic", "clinic", SCOPES)
        answers = await asyncio.gather(*(sent(desk, PATHS[1], key) for _ in range(12)))
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 503} and statuses.count(200) >= 4
        assert (await sent(desk, PATHS[1], key)).status_code == 200


async def test_a_document_that_takes_too_long_is_cut_and_told(tmp_path: Path) -> None:
    async with opened(tmp_path, convert_processes=1, convert_seconds=0.0) as desk:
        key = desk.add_key("clinic", "clinic", SCOPES)
        for path in PATHS:
            answer = await sent(desk, path, key)
            assert answer.status_code == 422 and answer.json()["code"] == "too-costly"
            assert "longer than the 0 seconds" in answer.json()["detail"]
        assert desk.counts() == {}


async def test_fifty_at_once_leave_the_other_routes_answering(tmp_path: Path) -> None:
    """And a worker that is killed meanwhile is replaced: nobody is told of it."""
    async with opened(tmp_path, convert_processes=1) as desk:
        key = desk.add_key("clinic", "clinic", SCOPES)
        made = (await sent(desk, PATHS[0], key)).json()["patient"]
        documents = [asyncio.create_task(sent(desk, PATHS[1], key)) for _ in range(50)]
        answered = 0
        while not all(task.done() for task in documents):
            assert (await desk.fhir("GET", f"/Patient/{made}")).status_code == 200
            answered += 1
            if answered == 5:
                for worker in psutil.Process().children():
                    if "spawn_main" in " ".join(worker.cmdline()):
                        worker.kill()
        assert {task.result().status_code for task in documents} == {200}
        assert len({task.result().content for task in documents}) == 1
        assert answered >= 10
