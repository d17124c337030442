"""The composition root: settings -> store, flow, workers and routes, wired once."""

from __future__ import annotations

import asyncio
import gc
import hashlib
from collections.abc import AsyncIterator, Generator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from gateway import __version__
from gateway.auth import Authenticator
from gateway.connectors.call import Call, Reply
from gateway.connectors.config import Config
from gateway.consolidated.tickets import Tickets
from gateway.delivery import incidents
from gateway.delivery.health import Breaker, Sign, rest, sign_of, waits_for_login
from gateway.delivery.http import Outbound
from gateway.delivery.logins import Logins
from gateway.delivery.peers import Peers
from gateway.delivery.worker import Worker
from gateway.errors import GatewayError, HeldBack, PartnerLoginExpired
from gateway.fhir import gate
from gateway.flow import Flow, Received
from gateway.intake.inbox import Inbox
from gateway.intake.ingest import Ingest
from gateway.intake.sync import Sync
from gateway.intake.triggers import Triggers
from gateway.planning.directory import Directory
from gateway.reconciling.comparing import Comparer
from gateway.reconciling.outcome import Result
from gateway.reconciling.reconcile import Pace, Reconciler
from gateway.registry.service import Registry
from gateway.routes import (
    campdoc,
    canvas,
    connectors,
    deliveries,
    documents,
    fhir_api,
    health,
    metriport_client,
    oauth,
    partners,
    subscribers,
)
from gateway.routes.context import Context
from gateway.routes.http import problem, unexpected
from gateway.routes.metriport import account, medical
from gateway.routes.metriport.errors import not_found
from gateway.settings import Settings
from gateway.store import Claim, Store, open_store, secret_key
from gateway.store.subscribers import Turn
from gateway.systems.priming import CALLBACK, Priming
from gateway.telling.teller import Sent, Teller
from gateway.work import Pool, Room

T = TypeVar("T")

_GC_THRESHOLD = 50_000
TOLD_AT_ONCE = 8
"""Subscribers that are sent webhooks at the same time."""

_SMALL_BODY = 1_000_000
_WARM = ("Patient", "Observation", "Encounter", "Bundle")


class Application(FastAPI):
    """The FHIR API below its prefix, the framework's routes everywhere else."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and fhir_api.is_ours(scope["path"]):
            scope["app"] = self
            await fhir_api.application(scope, receive, send)
        else:
            await super().__call__(_without_slash(scope), receive, send)


def _without_slash(scope: Scope) -> Scope:
    """A slash at the end means nothing here: partners that join addresses would be sent on, and few go with a body."""
    path = scope.get("path", "")
    return {**scope, "path": path.rstrip("/")} if path.endswith("/") and path.strip("/") else scope


def create(settings: Settings) -> FastAPI:
    """The application; everything it holds is opened when it starts and closed when it stops."""
    # Without an OpenAPI address there are no pages made of it either: they would need no key.
    app = Application(title="FHIR gateway", version=__version__, lifespan=_lifespan, openapi_url=None)
    app.state.settings = settings
    app.add_exception_handler(GatewayError, problem)
    app.add_exception_handler(HTTPException, not_found)
    app.add_exception_handler(Exception, unexpected)
    for routes in (
        health,
        deliveries,
        documents,
        canvas,
        partners,
        connectors,
        oauth,
        campdoc,
        subscribers,
        account,
        medical,
        metriport_client,
    ):
        app.include_router(routes.router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    store = open_store(settings)
    pool = Pool(settings.convert_processes, limit=settings.convert_bytes, seconds=settings.convert_seconds)
    gate.warm(_WARM)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 100)
    async with Outbound(allowed=settings.allow_networks) as outbound:
        parts = _Parts(settings, store, pool, outbound)
        app.state.context = parts.context
        await parts.start()
        try:
            yield
        finally:
            await parts.stop()
            pool.close()
            store.close()


def _pace(settings: Settings) -> Pace:
    breaker = Breaker(settings.breaker_failures, settings.breaker_pause)
    at_once = settings.delivery_concurrency
    return Pace(settings.retry_schedule, settings.lease, at_once, settings.loop_writes, breaker)


def _derived(settings: Settings, purpose: bytes) -> bytes:
    """A key of its own for each purpose, from the one secret."""
    return hashlib.sha256(purpose + b"\n" + secret_key(settings)).digest()


@asynccontextmanager
async def comparer(settings: Settings) -> AsyncIterator[tuple[Comparer, Directory]]:
    """What `gateway reconcile` works with: everything wired, nothing running."""
    store, pool = open_store(settings), Pool(0)
    try:
        async with Outbound() as outbound:
            parts = _Parts(settings, store, pool, outbound)
            yield Comparer(parts.context.flow, parts.ask), store.query_now(parts.context.flow.directory)
    finally:
        pool.close()
        store.close()


class _Parts:
    """What runs in one process, and how it is started and stopped."""

    def __init__(self, settings: Settings, store: Store, pool: Pool, outbound: Outbound) -> None:
        self._settings = settings
        self._outbound = outbound
        self._flow = Flow(store, ours=settings.fhir_base, tolerance=settings.tolerance, ordered=self._wake)
        callback = settings.public_url + CALLBACK
        self.logins = Logins(
            store, outbound, callback=callback, timeout=settings.delivery_timeout, restored=self._flow.ordered
        )
        self._peers = Peers(self._secrets, logins=self.logins, timeout=settings.delivery_timeout)
        reconciler = Reconciler(self._flow, outbound, self._peers, _pace(settings))
        self._worker: Worker[Claim, Result] = Worker(reconciler, lease=settings.lease)
        teller = Teller(store, outbound, settings.retry_schedule, settings.lease)
        self._teller: Worker[Turn, Sent] = Worker(teller, concurrency=TOLD_AT_ONCE, lease=settings.lease)
        secret = _derived(settings, b"document ids")
        self._ingest = Ingest(self._flow, pool, secret=secret, limit=settings.max_bytes, ask=self._ask_after)
        self._inbox = Inbox(self._flow, self._work, waits=settings.retry_schedule)
        self._tasks: list[asyncio.Task[None]] = []
        self._triggers = Triggers(
            self._flow,
            self._inbox,
            Sync(self._flow, self.ask, self._inbox.again, _pace(settings).breaker),
            lambda name: self.context.registry.tell_again(name),
            lambda name: self.context.registry.watch(name),
            lease=settings.lease,
            idle=settings.look_every,
            allowed=settings.allow_networks,
        )
        self._refreshing: asyncio.Task[None] | None = None
        self.context = Context(
            settings,
            store,
            self._flow,
            self._ingest,
            self._inbox,
            pool,
            Room(settings.body_bytes, free=_SMALL_BODY),
            Authenticator(store),
            tickets=Tickets(_derived(settings, b"tickets"), f"{settings.public_url}/medical/v1/download"),
            priming=Priming(self._flow, self.logins),
            ask=self.ask,
            registry=Registry(store, self, settings.fhir_base, settings.public_url, self._triggers.wake),
            seal=_derived(settings, b"repeated calls"),
        )

    async def start(self) -> None:
        await self._inbox.recover()
        if self._settings.deliver:
            self._triggers.start()
            self._tasks = [asyncio.create_task(worker.run()) for worker in (self._worker, self._teller)]
            self._refreshing = asyncio.create_task(self.logins.run(self._configs))

    async def stop(self) -> None:
        await self._triggers.stop()
        await self._inbox.stop()
        if self._tasks:
            await asyncio.gather(self._worker.stop(), self._teller.stop())
            await asyncio.gather(*self._tasks)
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        await self.logins.close()

    def _wake(self) -> None:
        self._worker.wake()
        self._teller.wake()

    async def _work(self, received: Received) -> None:
        name, store = received.connector, self._flow.store
        directory = await store.query(self._flow.directory)
        if name in directory.still:
            return  # it is found again when the connector goes on
        await self._ingest.event(received, directory.peer(name))

    async def _configs(self) -> Iterable[Config]:
        return (await self._flow.store.query(self._flow.directory)).peers.values()

    async def _secrets(self, connector: str) -> Mapping[str, str]:
        return await self._flow.store.query(lambda reader: reader.secrets(connector))

    async def ask(self, config: Config, calls: Generator[Call, Reply, T]) -> T:
        """A connector's calls to its side."""
        return await self._outbound.ask(calls, await self._peers.get(config))

    async def _ask_after(self, config: Config, calls: Generator[Call, Reply, T]) -> T:
        """The same after they told us of something: not while they are left alone; how they are doing is noted."""
        name, store = config.name, self._flow.store
        row = await store.query(lambda reader: reader.health(name))
        if waits_for_login(row, store.now()):
            raise PartnerLoginExpired(f"{name} waits for a new login")
        if (wait := rest(row, store.now())) > 0:
            raise HeldBack(f"{name} is left alone for a while", retry_after=wait)
        try:
            result = await self.ask(config, calls)
        except GatewayError as error:
            if (sign := sign_of(error, repeated=True)) is not None:
                await self._note(name, sign)
            raise
        if row is not None and row.failures:
            await self._note(name, Sign("up"))
        return result

    async def _note(self, name: str, sign: Sign) -> None:
        breaker = _pace(self._settings).breaker
        incidents.tell(await self._flow.store.write(lambda tx: incidents.note(tx, name, sign, breaker)))
