"""The webhooks of Impilo's stand-in: subscriptions, the one secret, deliveries with retries, and the log of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from gateway.fhir import json
from gateway.sandbox.faults import Faults
from gateway.sandbox.impilo_model import Model, Query, Refusal

_TYPES = """
patient.created patient.updated device.associationCreated device.associationRemoved device.lowBattery
device.weakSignal device.healthcheck order.status order.statusFull return.statusFull procurement.status
procurement.statusFull transferRequest.statusFull supportTicket.event reading.weight reading.temperature
reading.bloodPressure reading.bloodOxygen reading.bloodGlucose reading.ecg reading.peakFlow
reading.sleepMatActivity reading.sleepMatDuration
"""
TYPES = frozenset(_TYPES.split())
RETRIES = (15 * 60.0, 30 * 60.0, 60 * 60.0)
"""Seconds before each further attempt; after the last it stays failed in the log."""


@dataclass
class Webhooks:
    """`envelope`: `guide` = id/type/payload, `seed` = event/data. `retries`: the knob that shortens RETRIES."""

    faults: Callable[[], Faults] = Faults
    secret: str | None = None
    envelope: str = "guide"
    retries: tuple[float, ...] = RETRIES
    subscriptions: dict[int, Model] = field(default_factory=dict)
    log: list[Model] = field(default_factory=list)
    _made: int = 0
    _running: set[asyncio.Task[int]] = field(default_factory=set)

    def subscribe(self, body: Any) -> Model:
        """One subscription per type and address."""
        wanted = _subscription(body)
        if any(_same(one, wanted) for one in self.subscriptions.values()):
            raise Refusal(409, "there is such a webhook already")
        self._made += 1
        self.subscriptions[self._made] = {"id": self._made, **wanted}
        return self.subscriptions[self._made]

    def change(self, webhook_id: int, body: Any) -> Model:
        held, wanted = self._get(webhook_id), _subscription(body)
        if held["url"] == wanted["url"]:
            raise Refusal(400, "the url is the same as before")
        held.update(wanted)
        return held

    def drop(self, webhook_id: int) -> None:
        del self.subscriptions[self._get(webhook_id)["id"]]

    def keep_secret(self, body: Any) -> Model:
        """Once: a second secret is refused."""
        if not (isinstance(body, dict) and isinstance(body.get("secret"), str) and body["secret"]):
            raise Refusal(400, "secret is required")
        if self.secret is not None:
            raise Refusal(400, "there is a webhook secret already")
        self.secret = body["secret"]
        return {"secret": self.secret}

    def logged(self, query: Query) -> list[Model]:
        """The log by its filters, newest last."""
        tests = list(_asked(query))
        return [one for one in self.log if all(test(one, value) for test, value in tests)]

    def fire(self, kind: str, payload: Model) -> list[asyncio.Task[int]]:
        """Send an event to whoever subscribed; every task ends with the status of the first attempt, 0 for none."""
        event = self._event(kind, payload)
        copies = 2 if self.faults().duplicate_webhooks else 1
        wanted = [one for one in self.subscriptions.values() if one["type"] == kind] * copies
        return [self._start(self._first(dict(one), event)) for one in wanted]

    def _event(self, kind: str, payload: Model) -> bytes:
        if self.envelope == "seed":
            return json.encode({"event": kind, "data": {**payload, "id": str(payload["id"])}})
        self._made += 1
        return json.encode({"id": 57_000_000 + self._made, "type": kind, "payload": payload})

    def _start(self, work: Any) -> asyncio.Task[int]:
        task: asyncio.Task[int] = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _first(self, webhook: Model, event: bytes) -> int:
        entry = self._entry(webhook, event)
        status = await self._send(webhook, event, entry)
        if not 200 <= status < 300:
            self._start(self._again(webhook, event, entry))
        return status

    async def _again(self, webhook: Model, event: bytes, entry: Model) -> int:
        for wait in self.retries:
            await asyncio.sleep(wait)
            entry["retryAttempts"] += 1
            entry["lastRetryTimestamp"] = _now()
            if 200 <= (status := await self._send(webhook, event, entry)) < 300:
                return status
        return int(entry["lastResponseStatus"])

    async def _send(self, webhook: Model, event: bytes, entry: Model) -> int:
        headers = {"content-type": "application/json"} | ({"Impilo-Webhook-Secret": self.secret} if self.secret else {})
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                entry["lastResponseStatus"] = (
                    await client.post(webhook["url"], content=event, headers=headers)
                ).status_code
        except httpx.HTTPError:
            entry["lastResponseStatus"] = 0
        return int(entry["lastResponseStatus"])

    def _entry(self, webhook: Model, event: bytes) -> Model:
        entry = {
            "id": len(self.log) + 1,
            "webhookId": webhook["id"],
            "webhookType": webhook["type"],
            "webhookUrl": webhook["url"],
            "payload": event.decode(),
            "createTimestamp": _now(),
            "lastResponseStatus": 0,
            "retryAttempts": 0,
            "lastRetryTimestamp": None,
        }
        self.log.append(entry)
        return entry

    def _get(self, webhook_id: int) -> Model:
        if webhook_id not in self.subscriptions:
            raise Refusal(404, "no such webhook")
        return self.subscriptions[webhook_id]


def _subscription(body: Any) -> Model:
    if not isinstance(body, dict) or body.get("type") not in TYPES:
        raise Refusal(400, "type must be one of the event types")
    if not str(body.get("url", "")).startswith(("http://", "https://")):
        raise Refusal(400, "url must be an address")
    return {"type": body["type"], "url": body["url"]}


def _same(held: Model, wanted: Model) -> bool:
    return (held["type"], held["url"]) == (wanted["type"], wanted["url"])


def _asked(query: Query) -> Iterator[tuple[Callable[[Model, str], bool], str]]:
    for name, value in query.items():
        if name.startswith("retryAttempts") and not value.isdecimal():
            raise Refusal(400, f"{name} must be a number")
        if name in _LOG_FILTERS:
            yield _LOG_FILTERS[name], value
        elif name not in ("page", "size"):
            raise Refusal(400, f"{name} is no parameter of the log")


_LOG_FILTERS: Mapping[str, Callable[[Model, str], bool]] = {
    "webhookType": lambda one, asked: one["webhookType"] == asked,
    "retryAttemptsMin": lambda one, asked: one["retryAttempts"] >= int(asked),
    "retryAttemptsMax": lambda one, asked: one["retryAttempts"] <= int(asked),
    "lastResponseStatus": lambda one, asked: str(one["lastResponseStatus"]) == asked,
    "startTimestamp": lambda one, asked: one["createTimestamp"] >= asked,
    "endTimestamp": lambda one, asked: one["createTimestamp"] < asked,
    "startLastRetryTimestamp": lambda one, asked: (one["lastRetryTimestamp"] or "") >= asked,
    "endLastRetryTimestamp": lambda one, asked: "" < (one["lastRetryTimestamp"] or "") < asked,
}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
