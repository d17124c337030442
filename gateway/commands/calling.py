"""What a command needs to call other systems by itself: the way out, with the connectors' logins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from gateway.connectors.call import Call, Reply
from gateway.connectors.config import Config
from gateway.delivery.http import Outbound
from gateway.delivery.logins import Logins
from gateway.delivery.peers import Peers
from gateway.flow import Flow
from gateway.intake.ingest import Ask
from gateway.settings import Settings
from gateway.store import Store
from gateway.systems.priming import CALLBACK

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asking:
    """As Ask."""

    outbound: Outbound
    peers: Peers

    async def __call__(self, config: Config, calls: Generator[Call, Reply, T], /) -> T:
        return await self.outbound.ask(calls, await self.peers.get(config))


@dataclass(frozen=True, slots=True)
class Caller:
    """What a command calls others with."""

    flow: Flow
    logins: Logins
    ask: Ask


@asynccontextmanager
async def calling(store: Store, settings: Settings) -> AsyncIterator[Caller]:
    """For one command; what it makes due is delivered by the server."""

    async def secrets(connector: str) -> Mapping[str, str]:
        return await store.query(lambda reader: reader.secrets(connector))

    timeout = settings.delivery_timeout
    async with Outbound(allowed=settings.allow_networks) as outbound:
        logins = Logins(store, outbound, callback=settings.public_url + CALLBACK, timeout=timeout)
        flow = Flow(store, ours=settings.fhir_base, tolerance=settings.tolerance, ordered=_nobody)
        yield Caller(flow, logins, Asking(outbound, Peers(secrets, logins=logins, timeout=timeout)))
        await logins.close()


def _nobody() -> None:
    """No worker runs in this process."""
