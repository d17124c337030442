"""Canvas' logins: tokens that expire, refresh tokens that are good for one use, an application that was withdrawn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.sandbox.canvas_plugin import PATH

from .canvas_stage import Stage, staged
from .desk import PUBLIC, patient
from .waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stage(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as stage:
        yield stage


async def authorised(stage: Stage) -> None:
    """An administrator follows our link to Canvas' page, and comes back."""
    operator = stage.desk.add_key(f"operator-{stage.desk.sequence()}", "app", "operator")
    asked = await stage.desk.call("POST", "/api/external-connectors/canvas/authorize", key=operator)
    assert asked.status_code == 201, asked.text
    started = await stage.desk.client.get(asked.json()["url"].removeprefix(PUBLIC))
    async with httpx.AsyncClient(trust_env=False) as browser:
        back = (await browser.get(started.headers["location"])).headers["location"]
    page = await stage.desk.client.get(back.removeprefix("http://127.0.0.1:8000"))
    assert page.status_code == 200 and "Connected" in page.text


async def family_there(stage: Stage, made: str, name: str) -> None:
    read = await stage.desk.read(f"/Patient/{made}")
    read["name"] = [{**read["name"][0], "family": name}]
    answer = await stage.desk.fhir("PUT", f"/Patient/{made}", read)
    assert answer.status_code == 200

    async def arrived() -> bool:
        return [one["name"][0]["family"] for one in await stage.in_canvas()] == [name]

    await until(arrived)
    await stage.quiet()


async def test_client_credentials_are_asked_for_again_when_the_token_expired(stage: Stage) -> None:
    await stage.connect()
    made = await stage.desk.made_id(patient("First"))
    await stage.quiet()
    await stage.logins(expire=True)
    await family_there(stage, made, "Second")
    assert (await stage.logins())["issued"] == 2


async def test_a_refresh_token_is_used_once_and_its_successor_kept(stage: Stage) -> None:
    await stage.connect(grant="authorization_code")
    await authorised(stage)
    made = await stage.desk.made_id(patient("First"))
    await stage.quiet()
    for name in ("Second", "Third"):
        await stage.logins(expire=True)
        await family_there(stage, made, name)
    assert (await stage.logins())["issued"] == 3, "one by the code, one for each time that it had expired"


async def test_a_withdrawn_application_loses_nothing(stage: Stage) -> None:
    await stage.connect(grant="authorization_code")
    await authorised(stage)
    made = await stage.desk.made_id(patient("First"))
    await stage.quiet()
    await stage.logins(revoke=True)
    read = await stage.desk.read(f"/Patient/{made}")
    await stage.desk.fhir("PUT", f"/Patient/{made}", {**read, "gender": "female"})

    async def refused() -> bool:
        return stage.health() == "needs_reauth"

    await until(refused)
    assert [one["gender"] for one in await stage.in_canvas()] == ["unknown"]
    await authorised(stage)

    async def caught_up() -> bool:
        return [one["gender"] for one in await stage.in_canvas()] == ["female"]

    await until(caught_up)


async def test_the_plugin_gets_its_key_and_never_our_token(stage: Stage) -> None:
    await stage.connect(create="plugin")
    await stage.desk.made_id(patient("First"))
    await stage.quiet()
    assert [one["status"] for one in stage.canvas.log if one["path"] == PATH] == [202]
