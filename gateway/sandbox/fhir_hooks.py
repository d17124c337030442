"""The FHIR stand-in's rest-hooks: who asked by a Subscription is sent what changed (FHIR R4 §2.46.7.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import httpx

from gateway.fhir import json
from gateway.sandbox.faults import Relay

Resource = dict[str, Any]


def due(subscriptions: Iterable[Resource], changed: Iterable[Resource]) -> list[tuple[Resource, Resource]]:
    """(channel, resource) for every Subscription to that type; criteria beyond the type are not looked into."""
    wanted = [(str(one["criteria"]).partition("?")[0], one["channel"]) for one in subscriptions]
    return [(channel, one) for one in changed for kind, channel in wanted if kind == one["resourceType"]]


class Hooks:
    """Sends in the background, so that the writer does not wait."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, told: Iterable[tuple[Resource, Resource]]) -> None:
        for channel, resource in told:
            task = asyncio.create_task(self._relayed(channel, resource))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _relayed(self, channel: Resource, resource: Resource) -> None:
        content = json.encode(resource)  # as it is now, however late it is sent
        await self._relay(lambda: _send(channel, content))


async def _send(channel: Resource, content: bytes) -> int:
    headers = {name.strip(): value.strip() for name, _, value in (one.partition(":") for one in channel["header"])}
    headers["content-type"] = channel["payload"]
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            return (await client.post(channel["endpoint"], content=content, headers=headers)).status_code
        except httpx.HTTPError:
            return 0  # as servers do that try once
