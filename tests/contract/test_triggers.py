"""What gateways on one database look for together, on SQLite and on PostgreSQL: once, and taken over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.flow import Received
from gateway.sandbox import hms, serve
from gateway.sandbox.faults import Sandbox
from tests.e2e.office import Office, person, staffed
from tests.e2e.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def there() -> Iterator[tuple[Sandbox, str]]:
    sandbox = hms.create()
    with serve.running(sandbox) as url:
        yield sandbox, url


async def hold(office: Office, count: int) -> None:
    for number in range(count):
        await office.peer("PUT", f"/fhir/Patient/n{number}", person(f"n{number}", f"Family{number}"))


def patients(office: Office) -> int:
    return office.desk.counts().get("Patient", 0)


async def test_two_gateways_poll_once_and_run_a_sync_once(
    tmp_path: Path, database: str, there: tuple[Sandbox, str]
) -> None:
    sandbox, url = there
    async with (
        staffed(tmp_path, sandbox, url, database=database) as one,
        staffed(tmp_path, sandbox, url, database=database) as two,
    ):
        await hold(one, 3)
        await one.made(one.fhir(sync={"mode": "polling", "intervalSeconds": 60}, push=False))

        async def all_here() -> bool:
            return patients(two) == 3

        await until(all_here)
        await asyncio.sleep(0.3)
        polls = [entry for entry in sandbox.log if "_sort" in entry["query"]]
        assert len(polls) == 1
        done = await two.run("ehr")
        assert (done["report"]["same"], done["report"]["pages"]) == (3, 1)
        assert len([entry for entry in sandbox.log if "_sort" in entry["query"]]) == 2


async def test_a_plan_is_taken_over_and_writes_nothing(
    tmp_path: Path, database: str, there: tuple[Sandbox, str]
) -> None:
    sandbox, url = there
    async with staffed(tmp_path, sandbox, url, database=database) as two:
        async with staffed(tmp_path, sandbox, url, database=database) as one:
            await hold(one, 40)
            await one.call("POST", "", one.fhir(first="plan", options={"page": 5}))
            [run] = (await one.call("GET", "/ehr/syncs")).json()
        plan: dict[str, Any] = await two.ended("ehr", run["syncId"])
        assert (plan["status"], plan["report"]["seen"], plan["report"]["created"]) == ("planned", 40, 40)
        assert two.desk.sequence() == 0


async def test_what_a_dead_process_acknowledged_is_worked_off_by_another(
    tmp_path: Path, database: str, there: tuple[Sandbox, str]
) -> None:
    sandbox, url = there
    async with staffed(tmp_path, sandbox, url, database=database, lease=0.3) as alive:
        await hold(alive, 1)
        await alive.made(alive.fhir(sync={"mode": "webhook"}, push=False))
        await alive.run("ehr")
        await alive.peer("PUT", "/fhir/Patient/n0", person("n0", "Lovelace"))
        event = b'{"type": "patient.updated", "data": {"id": "n0"}}'
        await alive.desk.context.flow.store_first(Received("ehr", None, "webhook", "application/json", event))

        async def worked_off() -> bool:
            return [one.state for one in alive.desk.messages() if one.kind == "webhook"] == ["applied"]

        await until(worked_off)
        [known] = await alive.desk.found("/Patient")
        assert known["name"][0]["family"] == "Lovelace", "told to a process that died before it did anything with it"
