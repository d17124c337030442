"""Contact: greeting a system - are our credentials taken, does it answer, where should its webhooks go."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import structlog

from gateway.connectors.call import Call, Reply
from gateway.connectors.config import WEBHOOK_SECRET, WEBHOOK_TOLD, Config
from gateway.connectors.protocol import Doubling, Hook, Leaving, Probing, Registering, Side, TheirSecret, Watched
from gateway.delivery.health import error_text
from gateway.delivery.http import Login
from gateway.errors import GatewayError, PartnerLoginExpired, PartnerUnavailable
from gateway.store import HealthRow

log = structlog.get_logger(__name__)

T = TypeVar("T")

_PATIENCE = 15.0
"""Seconds that the whole greeting may take: the caller of the registry waits for it."""


class Ask(Protocol):
    """A connector's calls to its side."""

    async def __call__(self, config: Config, calls: Generator[Call, Reply, T], /) -> T: ...


class Logins(Protocol):
    """The logins of connectors that have to be fetched."""

    def find(self, config: Config) -> Login | None: ...


class Systems(Protocol):
    """The way out to the other systems."""

    @property
    def ask(self) -> Ask: ...
    @property
    def logins(self) -> Logins: ...


@dataclass(frozen=True, slots=True)
class Greeting:
    """What came of it. `registers`: whether they were to be told where our webhooks are; `registration`: their id of
    that, or where they give none our address; `secret`: what they sign our webhooks with, where they choose it;
    `said`: what they were told, by a system that is told only what is new."""

    error: GatewayError | None = None
    registration: str | None = None
    secret: str | None = None
    registers: bool = False
    said: str | None = None

    @property
    def state(self) -> str:
        if self.error is None:
            return "connected"
        return "needs_reauth" if isinstance(self.error, PartnerLoginExpired) else "error"

    def told(self, before: HealthRow | None, name: str, now: datetime, *, again: bool = False) -> HealthRow:
        """How the connector is doing after it. `again`: only its webhooks were the matter, so that a failure is no
        reason to send less."""
        if again and before is not None and self.error is not None:
            return before._replace(last_error=error_text(self.error, now))
        row = before or HealthRow(name, self.state, now)
        since = row.since if row.state == self.state else now
        kept = None if self.registers else row.registration
        row = row._replace(state=self.state, since=since, registration=self.registration or kept)
        if self.error is not None:
            return row._replace(failures=row.failures + 1, last_error=error_text(self.error, now))
        return row._replace(failures=0, open_until=None, last_success_at=now, last_error=None)


async def greet(
    systems: Systems,
    config: Config,
    secrets: Mapping[str, str],
    *,
    ours: str,
    public: str,
    register: bool,
    known: HealthRow | None = None,
) -> Greeting:
    """Log in, ask for the least, and tell where our webhooks are. Never raises what their side does wrong.

    `ours` = our FHIR base, `public` = where others reach us, `known` = how the connector was doing before.
    """
    if config.endpoint is None:
        return Greeting()
    hook = _hook(config, public, secrets.get(WEBHOOK_SECRET))
    try:
        side = config.side(ours)
        said = _said(config, hook, side)
        heard = said is not None and said == secrets.get(WEBHOOK_TOLD)
        register = register and not (heard and known is not None and known.registration is not None)
        async with asyncio.timeout(_PATIENCE):
            registered = await _greet(systems, config, hook if register else None, side)
    except TimeoutError:
        return Greeting(PartnerUnavailable(f"{config.name} did not answer in time"), registers=register)
    except GatewayError as error:
        return Greeting(error, registers=register)
    if isinstance(registered, TheirSecret):
        return Greeting(registration=hook.url, secret=registered.value, registers=register)
    return Greeting(registration=registered, registers=register, said=said if register else None)


async def is_given_up(systems: Systems, config: Config, *, ours: str, public: str) -> bool:
    """Whether a system that was told where our webhooks are sends them no more. Raises what their side refuses."""
    module = config.connector
    if not is_told(config) or not isinstance(module, Watched):
        return False
    return await systems.ask(config, module.given_up(_hook(config, public), config.side(ours)))


async def leave(systems: Systems, config: Config, *, ours: str, public: str) -> None:
    """Ask that its webhooks come no more: they are about patients. What is refused is logged, and keeps nobody here."""
    module = config.connector
    if not is_told(config) or not isinstance(module, Leaving):
        return
    try:
        async with asyncio.timeout(_PATIENCE):
            await systems.ask(config, module.unregister(_hook(config, public), config.side(ours)))
    except (TimeoutError, GatewayError) as error:
        log.warning("webhooks stay registered there", connector=config.name, error=type(error).__name__)


def _hook(config: Config, public: str, secret: str | None = None) -> Hook:
    """Where its webhooks are to come."""
    return Hook(f"{public}{config.webhook_path}", secret, config.sync.header)


def _said(config: Config, hook: Hook, side: Side) -> str | None:
    """What a system is told that would make another registration of it each time."""
    if not is_told(config) or not isinstance(config.connector, Doubling):
        return None
    said = config.connector.telling(hook, side)
    return None if said is None else f"{config.endpoint} {said}"


async def _greet(systems: Systems, config: Config, hook: Hook | None, side: Side) -> str | TheirSecret | None:
    """`hook`: where our webhooks are, None where that is not told now."""
    module = config.connector
    login = systems.logins.find(config)
    if login is not None:
        await login.headers()
    if isinstance(module, Probing):
        await systems.ask(config, module.probe(side))
    if hook is None or not isinstance(module, Registering) or not is_told(config):
        return None
    return await systems.ask(config, module.register(hook, side)) or hook.url


def is_told(config: Config) -> bool:
    """Whether its system is told where our webhooks are."""
    return config.webhook_path is not None and config.endpoint is not None and isinstance(config.connector, Registering)


def to_json(greeting: Greeting, now: datetime | None = None) -> dict[str, Any]:
    """What `POST .../{id}/test` answers."""
    at = now or datetime.now(UTC)
    if greeting.error is None:
        return {"status": greeting.state, "at": at}
    return {
        "status": greeting.state,
        "at": at,
        "error": {"code": greeting.error.code, "message": greeting.error.message},
    }
