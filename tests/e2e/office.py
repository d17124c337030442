"""An office: a gateway with an operator's key beside the HMS stand-in, and everything that works by itself at work."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from gateway.sandbox import hms
from gateway.sandbox.faults import Sandbox

from .desk import Desk, opened
from .waiting import until

BASE = "/api/external-connectors"
REST = "application/json"


@dataclass
class Office:
    """A gateway with an operator's key, and the HMS stand-in at `url`."""

    desk: Desk
    sandbox: Sandbox
    url: str
    key: str = ""

    async def call(self, method: str, path: str = "", body: Any = None, **more: Any) -> httpx.Response:
        return await self.desk.call(method, f"{BASE}{path}", body, **{"key": self.key, "kind": REST, **more})

    def fhir(self, name: str = "ehr", **more: Any) -> dict[str, Any]:
        auth = {"scheme": "apiKey", "header": "X-API-Key", "key": hms.API_KEY}
        return {"name": name, "type": "FHIR", "endpoint": f"{self.url}/fhir", "auth": auth, **more}

    async def made(self, body: dict[str, Any]) -> str:
        answer = await self.call("POST", "", body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["connectorId"])

    async def peer(self, method: str, path: str, body: Any = None) -> Any:
        """A call of whoever plays the peer's user."""
        headers = {"x-api-key": hms.API_KEY, "content-type": "application/fhir+json"}
        async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
            answer = await client.request(method, f"{self.url}{path}", json=body)
            assert answer.is_success, answer.text
            return answer.json() if answer.content else None

    async def run(self, name: str, body: Any = None) -> dict[str, Any]:
        """A sync from beginning to end; its last state."""
        started = await self.call("POST", f"/{name}/sync", body)
        assert started.status_code == 202, started.text
        return await self.ended(name, started.json()["syncId"])

    async def ended(self, name: str, run_id: str) -> dict[str, Any]:
        async def over() -> Any:
            run = (await self.call("GET", f"/{name}/syncs/{run_id}")).json()
            return run if run["status"] != "running" else None

        found: dict[str, Any] = await until(over)
        return found

    async def knobs(self, **knobs: Any) -> None:
        await self.peer("POST", "/_knobs", knobs)


@asynccontextmanager
async def listening(office: Office) -> AsyncIterator[str]:
    """The same application on a socket, in this very loop, so that the peer's own events arrive; its address."""
    config = uvicorn.Config(office.desk.app, lifespan="off", log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


@asynccontextmanager
async def staffed(folder: Path, sandbox: Sandbox, url: str, **settings: Any) -> AsyncIterator[Office]:
    """The office of a gateway that looks for what is due twenty times a second."""
    chosen = {"deliver": True, "look_every": 0.05, "allow_networks": "127.0.0.0/8", **settings}
    async with opened(folder, retry_schedule=(0.0, *[0.05] * 100), **chosen) as desk:
        yield Office(desk, sandbox, url, desk.add_key(f"op-{id(desk)}", "ops", "operator"))


def person(id_: str, family: str = "Byron") -> dict[str, Any]:
    named = [{"family": family, "given": ["Ada"]}]
    return {"resourceType": "Patient", "id": id_, "name": named, "birthDate": "1980-02-22"}
