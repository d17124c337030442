"""Queues: what a broker hands us is stored before it is acknowledged, so that nothing is lost between the two.

At least once: after a crash the same messages come again, and the store knows them by their ids.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import structlog

from gateway.connectors.config import Config
from gateway.delivery import guard
from gateway.errors import GatewayError, InvalidInput, PartnerUnavailable

log = structlog.get_logger(__name__)

_LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Letter:
    """One message. `event_id`: by which it is known when it comes again; None where the broker has no name for it."""

    body: bytes
    media_type: str
    event_id: str | None = None


class Queue(Protocol):
    """An open connection to one topic or queue, as the only consumer of its group."""

    def batches(self) -> AsyncIterator[Sequence[Letter]]:
        """What has come, in order, until the connection is lost (PartnerUnavailable)."""

    async def acknowledge(self) -> None:
        """The last batch is stored: it need not come again."""


Open = Callable[[Config, str | None], AbstractAsyncContextManager[Queue]]
"""From a configuration and the broker's password."""
Keep = Callable[[str, Sequence[Letter]], Awaitable[None]]
"""Stores the messages of a connector; returns after the commit."""
Tell = Callable[[str, GatewayError | None], Awaitable[None]]
"""How it is going: what is wrong with a connector's queue, None = nothing."""


async def consume(
    config: Config,
    password: str | None,
    keep: Keep,
    tell: Tell,
    *,
    allowed: Sequence[str] = (),
    first_wait: float = 1.0,
) -> None:
    """Until it is cancelled; a lost connection is opened again, after waits that double up to a minute. `allowed`:
    networks where any system may be."""
    wait = first_wait
    while True:
        try:
            await _allow(config, allowed)
            async with opener(config)(config, password) as queue:
                await tell(config.name, None)
                async for letters in queue.batches():
                    await keep(config.name, letters)
                    await queue.acknowledge()
                    wait = first_wait
        except GatewayError as error:
            log.warning("the queue cannot be read now", connector=config.name, error=type(error).__name__)
            await tell(config.name, error)
        await asyncio.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT)


async def _allow(config: Config, allowed: Sequence[str]) -> None:
    """Raises PartnerRejected for a broker at an address where nothing may be sent."""
    networks = guard.networks((*allowed, *config.allow_networks))
    for host, port in hosts(config.sync.address or ""):
        await guard.resolve(host, port, allowed=networks, encrypted=config.sync.tls)


def lost(error: Exception) -> PartnerUnavailable:
    """A broker's own error as ours; its text may hold an address or a login."""
    return PartnerUnavailable(f"the broker cannot be used now ({type(error).__name__})")


def hosts(address: str) -> list[tuple[str, int]]:
    """`host:port`, several separated by commas. Raises InvalidInput."""
    found = []
    for part in address.split(","):
        host, _, port = part.strip().rpartition(":")
        if not host or not port.isdecimal():
            raise InvalidInput("sync.address must be host:port, several separated by commas")
        found.append((host.strip("[]"), int(port)))
    return found


def opener(config: Config) -> Open:
    """The adapter of the configured broker. Raises InvalidInput naming the extra that is not installed."""
    broker = config.sync.broker
    try:
        opened: Open = importlib.import_module(f"gateway.delivery.{broker}").opened
    except ImportError:
        raise InvalidInput(f"for the broker {broker} install the extra: pip install 'fhir-gateway[{broker}]'") from None
    return opened
