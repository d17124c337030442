"""A gateway and Metriport's stand-in, on real sockets both ways."""

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

from gateway.fhir.json import Resource
from gateway.sandbox import metriport, serve
from gateway.sandbox.faults import Sandbox
from gateway.store import MessageRow

from .desk import Desk, opened
from .waiting import until

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

    async def play(self, path: str, body: Any = None) -> Any:
        """What the stand-in's own user does."""
        return await self.theirs("POST", f"/{path}", json=body or {})

    async def make(self, body: dict[str, Any]) -> str:
        """A patient whom they hold already."""
        made = await self.theirs("POST", f"/medical/v1/patient?facilityId={metriport.FACILITY_ID}", json=body)
        return str(made["id"])

    async def their_id(self, ours: str) -> str:
        return next(str(one["id"]) for one in await self.patients() if one.get("externalId") == ours)

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
        """The newest message of that type, or with that messageId, once it is worked off."""

        async def newest() -> MessageRow | None:
            found = [one for one in self.desk.messages() if one.kind == "webhook" and f'"{kind}"'.encode() in one.body]
            return found[-1] if found and found[-1].state not in ("received",) else None

        row = await until(newest)
        assert row is not None and row.state == state, (row.state, row.error) if row else None
        return row

    async def jane(self, **more: Any) -> str:
        """Our id of her, once she is there and that is known here."""
        made = await self.desk.made_id({**JANE, **more})

        async def linked() -> bool:
            held = await self.desk.read(f"/Patient/{made}")
            return any(one["system"] == SYSTEM for one in held.get("identifier", ()))

        await until(linked)
        return made


@asynccontextmanager
async def met(folder: Path, **settings: Any) -> AsyncIterator[Meeting]:
    """Both, with an operator who may start what there is."""
    partner = metriport.create()
    chosen = {"deliver": True, "retry_schedule": (0.0, *[0.05] * 400), **settings}
    with serve.running(partner) as url:
        async with opened(folder, **chosen) as desk, listening(desk.app) as here:
            meeting = Meeting(desk, partner, url, here)
            meeting.connect()
            meeting.operator = desk.add_key("operator", "app", "operator")
            yield meeting
