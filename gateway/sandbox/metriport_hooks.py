"""Metriport's webhooks: signed, sent once, kept; the ping; the retry of failed ones (metriport.md, "Webhooks")."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import uuid
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import httpx

from gateway.errors import Unparsable
from gateway.fhir import json
from gateway.sandbox.faults import Relay, at_once

_TIMEOUT, _PING_TIMEOUT = 5.0, 2.0

State = Literal["processing", "success", "failure"]


@dataclass(slots=True)
class Sent:
    """One webhook as it was stored before it was sent: the same bytes for every try."""

    type: str
    body: bytes
    state: State = "processing"
    tries: int = 0


@dataclass(slots=True)
class Hooks:
    """The account's settings and everything that was sent by them."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    url: str | None = None
    key: str | None = None
    enabled: bool = False
    detail: str | None = None
    sent: list[Sent] = field(default_factory=list)
    relay: Relay = field(default=at_once)
    """How a webhook goes out: the knobs for duplicates and order are the middleware's."""

    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def settings(self) -> dict[str, Any]:
        return {"id": self.id, "webhookUrl": self.url, "webhookKey": self.key}

    def set(self, url: str) -> None:
        """A new address is pinged; after "" the next one comes with a new key."""
        if not url:
            self.url = self.key = None
            self.enabled, self.detail = False, None
            return
        self.url = url
        self.key = self.key or secrets.token_urlsafe(32)
        self.later(self._ping())

    def status(self) -> dict[str, Any]:
        counts = {state: sum(one.state == state for one in self.sent) for state in ("processing", "failure")}
        return {
            "webhookEnabled": self.enabled,
            **({"webhookStatusDetail": self.detail} if self.detail else {}),
            "webhookRequestsProcessing": counts["processing"],
            "webhookRequestsFailed": counts["failure"],
        }

    def tell(self, kind: str, body: Mapping[str, Any], *, request: str | None = None, data: Any = None) -> Sent:
        """Store it and send it; without an address or a key it is stored as failed."""
        meta = {"messageId": str(uuid.uuid4()), "requestId": request, "when": now(), "type": kind, "data": data}
        kept = {name: value for name, value in meta.items() if value is not None}
        one = Sent(kind, json.encode({"meta": kept, **body}))
        self.sent.append(one)
        self.later(self._try(one))
        return one

    def retry(self) -> None:
        """Every failed one again, in the order in which they were made, one after another."""
        failed = [one for one in self.sent if one.state == "failure"]
        for one in failed:
            one.state = "processing"
        self.later(self._in_turn(failed))

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_turn(self, failed: list[Sent]) -> None:
        for one in failed:
            await self._try(one)

    async def _try(self, one: Sent) -> None:
        one.tries += 1
        if self.url is None or self.key is None:
            one.state = "failure"
            return

        async def send() -> int:
            _, problem = await self._post(one.body, _TIMEOUT)
            one.state = "failure" if problem else "success"
            self._note(problem)
            return 0 if problem else 200

        await self.relay(send)

    async def _ping(self) -> None:
        ping = secrets.token_urlsafe(12)
        meta = {"messageId": str(uuid.uuid4()), "when": now(), "type": "ping"}
        answer, problem = await self._post(json.encode({"ping": ping, "meta": meta}), _PING_TIMEOUT)
        if not problem and (not isinstance(answer, dict) or answer.get("pong") != ping):
            problem = "The ping was not answered with its pong"
        self._note(problem)

    def _note(self, problem: str | None) -> None:
        self.enabled, self.detail = not problem, problem

    async def _post(self, body: bytes, timeout: float) -> tuple[Any, str | None]:
        """The answer's JSON, and what went wrong."""
        assert self.url is not None and self.key is not None
        signature = hmac.new(self.key.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "x-metriport-signature": signature,
            "user-agent": "Metriport API",
            "content-type": "application/json",
        }
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=timeout) as client:
                answer = await client.post(self.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return None, f"Request failed: {type(error).__name__}"
        if not answer.is_success:
            return None, f"Request failed with status code {answer.status_code}"
        try:
            return json.decode(answer.content) if answer.content else None, None
        except Unparsable:
            return None, None


def now() -> str:
    """As they write times."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
