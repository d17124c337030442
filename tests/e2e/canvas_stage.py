"""The gateway on a socket, with Canvas (FHIR, plugin, its calls to us) and another partner beside it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from gateway.connectors import canvas_fhir
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.flow import Received
from gateway.intake import findings
from gateway.sandbox import canvas, canvas_login, canvas_partner, canvas_plugin, serve
from gateway.sandbox.faults import Sandbox

from .desk import OURS, Desk, opened
from .waiting import until

LOOPBACK = ["127.0.0.0/8"]
CANVAS_SYSTEM = "https://fumage-example.canvas.example/Patient"
QUICK: dict[str, Any] = {
    "deliver": True,
    "retry_schedule": (0.0, *[0.05] * 400),
    "lease": 2.0,
    "delivery_timeout": 1.0,
}
QUIET = 0.4
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Stage:
    """`canvas` and `other` are the stand-ins, at `canvas_url` and `other_url`; `url` is the gateway's own address."""

    desk: Desk
    canvas: Sandbox
    other: Sandbox
    canvas_url: str
    other_url: str
    url: str

    async def connect(
        self,
        *,
        create: str = "fhir",
        grant: str = "client_credentials",
        plugin_key: str = canvas_plugin.KEY,
        **more: Any,
    ) -> None:
        """Both sides, and Canvas told where its partner is. `create` as in the options."""
        through = {
            "create": create,
            **({"pluginUrl": self.canvas_url + canvas_plugin.PATH} if create == "plugin" else {}),
        }
        options = {**through, "settleSeconds": 30.0, **more}
        secrets = {"otherKey": plugin_key} if create == "plugin" else {}
        self.desk.connect(
            {
                "name": "canvas",
                "profile": "canvas_fhir",
                "endpoint": self.canvas_url,
                "auth": {
                    "scheme": "OAuth2",
                    "clientId": canvas_login.CLIENT_ID,
                    "clientSecret": canvas_login.CLIENT_SECRET,
                    "grant": grant,
                    "redirectUri": canvas_login.REDIRECTS[0],
                    **secrets,
                },
                "idSystem": CANVAS_SYSTEM,
                "allow_networks": LOOPBACK,
                "options": options,
            },
            {
                "name": "other",
                "profile": "canvas",
                "endpoint": self.other_url,
                "auth": {"scheme": "apiKey", "key": canvas_partner.API_KEY},
                "idSystem": "https://other.example/patients",
                "sync": {"mode": "webhook", "secret": WEBHOOK_SECRET},
                "allow_networks": LOOPBACK,
            },
        )
        hook = {"url": f"{self.url}/api/webhooks/other", "secret": WEBHOOK_SECRET}
        await self._post(f"{self.other_url}/_webhook", hook)
        key = self.desk.add_key(f"canvas-{self.desk.sequence()}-{len(self.canvas.log)}", "canvas", "system/Patient.cru")
        await self.turn(partner_url=self.url, partner_key=key, partner_system=more.get("partnerSystem", OURS))

    async def logins(self, **asked: Any) -> dict[str, int]:
        """The knobs of Canvas' logins (`expire`, `revoke`, `lifetime`), and how they stand."""
        found: dict[str, int] = await self._post(f"{self.canvas_url}/_oauth", asked)
        return found

    async def turn(self, **knobs: Any) -> None:
        """Knobs of the stand-in Canvas."""
        await self._post(f"{self.canvas_url}/_knobs", knobs)

    async def register(self, **fields: Any) -> str:
        """A user of Canvas creates a patient; her id there."""
        return str((await self._post(f"{self.canvas_url}/_create", fields))["id"])

    async def event(self, canvas_id: str) -> None:
        """PATIENT_CREATED once more."""
        await self._post(f"{self.canvas_url}/_event/{canvas_id}", {})

    async def edit_in_canvas(self, canvas_id: str, **elements: Any) -> None:
        await self._post(f"{self.canvas_url}/_edit/{canvas_id}", elements)

    async def edit_elsewhere(self, other_id: str, *, tell: bool = True, **fields: Any) -> None:
        await self._post(f"{self.other_url}/_edit/{other_id}", {"set": fields, "tell": tell})

    def health(self) -> str:
        """How the connector of Canvas is doing."""
        row = self.desk.ask(lambda reader: reader.health("canvas"))
        return str(row.state) if row else ""

    async def looked_through(self) -> list[findings.Landed]:
        """One look at all that Canvas holds, as the poller takes it."""
        context = self.desk.context
        config = await context.store.query(lambda reader: context.flow.directory(reader).peer("canvas"))
        began = datetime.now(UTC)
        page = await context.ask(config, canvas_fhir.scan(None, config.side(context.flow.ours)))
        received = Received("canvas", None, "poll", "application/json", findings.message_body(page.found))
        return await context.ingest.found(received, config, page.found, read_start=began)

    async def in_canvas(self) -> list[Resource]:
        """Everybody Canvas holds, as its API shows them."""
        return await self._get(f"{self.canvas_url}/_patients")

    async def elsewhere(self) -> list[dict[str, Any]]:
        """Everybody the other partner holds, Alice of its start aside."""
        held = await self._get(f"{self.other_url}/_patients")
        return [one for one in held if one["id"] != "pat_12345678"]

    async def told(self) -> list[dict[str, Any]]:
        """What Canvas called us with."""
        return await self._get(f"{self.canvas_url}/_calls")

    def writes(self, side: Sandbox) -> list[tuple[str, str]]:
        """What had an effect; a 412 has none, and comes whenever Canvas' clock ticks between two calls."""
        calls = [one for one in list(side.log) if one["method"] != "GET" and "auth" not in one["path"]]
        return [(one["method"], one["path"]) for one in calls if one["status"] != 412]

    async def quiet(self) -> None:
        """Everything is delivered, and nothing more is sent after it."""

        async def nothing_is_due() -> bool:
            return not self.desk.ask(lambda reader: reader.deliveries(["due", "unknown"], limit=10))

        await until(nothing_is_due)
        before = self._state()
        await asyncio.sleep(QUIET)
        assert self._state() == before, "it oscillates"

    def _state(self) -> tuple[int, int, int]:
        return len(self.canvas.log), len(self.other.log), self.desk.sequence()

    async def _post(self, url: str, body: Any) -> Any:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            answer = await client.post(url, content=json.encode(body))
        assert answer.is_success, answer.text
        return json.decode(answer.content) if answer.content else None

    async def _get(self, url: str) -> Any:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            return json.decode((await client.get(url)).content)


@asynccontextmanager
async def staged(folder: Path, **settings: Any) -> AsyncIterator[Stage]:
    """All three, running; nothing is connected yet."""
    there, other = canvas.create(), canvas_partner.create()
    with serve.running(there) as canvas_url, serve.running(other) as other_url:
        async with opened(folder, **{**QUICK, **settings}) as desk, served(desk) as url:
            yield Stage(desk, there, other, canvas_url, other_url, url)


@asynccontextmanager
async def served(desk: Desk) -> AsyncIterator[str]:
    """The desk's application on a socket, for those who call it from outside."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(desk.app, lifespan="off", log_level="error", access_log=False, ws="none")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
