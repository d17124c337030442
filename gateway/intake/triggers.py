"""Triggers: what the gateway does by itself - polls, queues, runs, webhooks that a system was not told of yet, and what
waits of connectors that go on after a rest."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from gateway.connectors.config import BROKER_PASSWORD, Config
from gateway.connectors.protocol import Scanner, Watched
from gateway.delivery import queues
from gateway.delivery.duties import Duties, Duty
from gateway.delivery.queues import Letter
from gateway.flow import Flow, Received, dedupe_key
from gateway.intake.inbox import Inbox
from gateway.intake.sync import Sync
from gateway.planning.directory import Directory
from gateway.registry.contact import is_told
from gateway.store import HealthRow, Reader, RunRow, Store, Tx, locks

_ASLEEP = ("needs_reauth",)
"""Polls of such a connector would only be refused."""
_LOOKS, _RAREST = 60, 64
"""After so many looks a system that could not be told where our webhooks are is told once more, after each failure half
as often, down to a part."""
_WATCH = timedelta(hours=1)
"""How often, and at the start, a system is asked whether it still sends us webhooks."""
_LONGEST = 255
"""Characters of a message's headers that are kept as they are."""


class StoreLocks:
    """Locks in the database. `lease`: seconds that each lasts without being renewed."""

    def __init__(self, store: Store, lease: float) -> None:
        self._store = store
        self._lease = timedelta(seconds=lease)

    async def take(self, name: str) -> int | None:
        return await self._store.write(lambda tx: locks.take(tx, name, tx.now + self._lease))

    async def renew(self, name: str, fence: int) -> int | None:
        def job(tx: Tx) -> int | None:
            return locks.take(tx, name, tx.now + self._lease) if locks.free(tx, name, fence) else None

        return await self._store.write(job)

    async def free(self, name: str, fence: int) -> None:
        await self._store.write(lambda tx: locks.free(tx, name, fence))


class Triggers:
    """One per process; several processes on one database share the work. `tell_again`: tells a system where our
    webhooks are; `watch`: whether it still sends them; `idle`: how often to look, seconds; `allowed`: networks where
    any broker may be."""

    def __init__(
        self,
        flow: Flow,
        inbox: Inbox,
        sync: Sync,
        tell_again: Callable[[str], Awaitable[object]],
        watch: Callable[[str], Awaitable[None]],
        *,
        lease: float,
        idle: float = 1.0,
        allowed: Sequence[str] = (),
    ) -> None:
        self._flow = flow
        self._inbox = inbox
        self._sync = sync
        self._tell_again = tell_again
        self._told: dict[str, tuple[datetime, int]] = {}
        self._watch = watch
        self._watched: dict[str, datetime] = {}
        self._tell_after = timedelta(seconds=_LOOKS * idle)
        self._allowed = allowed
        self._epoch: int | None = None
        self._left_for = timedelta(seconds=2 * lease)
        self._look_for_left = flow.store.now() + self._left_for
        self._duties = Duties(self._wanted, StoreLocks(flow.store, lease), lease=lease, idle=idle)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._duties.run())

    async def stop(self) -> None:
        if self._task is not None:
            await self._duties.stop()
            await self._task

    def wake(self) -> None:
        """A run was asked for, or a connector changed."""
        self._duties.wake()

    # --- what is to be done -------------------------------------------------------------------------------------------

    async def _wanted(self) -> list[Duty]:
        directory, healths, running, changed = await self._flow.store.query(self._asked)
        for name in changed:
            await self._inbox.recover(name)
        now = self._flow.store.now()
        active = [config for config in directory.peers.values() if config.name not in directory.still]
        return [
            *self._runs(running, directory),
            *self._polls(active, healths, now),
            *self._queues(active),
            *self._untold(active, healths, now),
            *self._watches(active, healths, now),
            *self._left(active, now),
        ]

    def _asked(self, reader: Reader) -> tuple[Directory, Mapping[str, HealthRow], Sequence[RunRow], Sequence[str]]:
        return self._flow.directory(reader), reader.healths(), reader.running(), self._changed(reader)

    def _changed(self, reader: Reader) -> list[str]:
        """Connectors at work that were changed since the last look: perhaps they go on after a rest, and what they told
        us meanwhile waits."""
        epoch, before = reader.connector_epoch(), self._epoch
        self._epoch = epoch
        if before is None or epoch == before:
            return []
        still = self._flow.directory(reader).still
        return [row.name for row in reader.connectors() if row.changed > before and row.name not in still]

    def _runs(self, running: Sequence[RunRow], directory: Directory) -> Iterator[Duty]:
        for row in running:
            if row.dry or row.connector not in directory.still:
                yield Duty(f"run:{row.run_id}", row.run_id, partial(self._run, row.run_id))

    def _polls(self, active: Sequence[Config], healths: Mapping[str, HealthRow], now: datetime) -> Iterator[Duty]:
        for config in active:
            polled = config.sync.mode == "polling" and isinstance(config.connector, Scanner)
            if polled and _is_due(config, healths.get(config.name), now):
                yield Duty(f"poll:{config.name}", None, partial(self._poll, config))

    def _queues(self, active: Sequence[Config]) -> Iterator[Duty]:
        for config in active:
            if config.sync.mode == "queue":
                yield Duty(f"queue:{config.name}", config, partial(self._consume, config))

    def _untold(self, active: Sequence[Config], healths: Mapping[str, HealthRow], now: datetime) -> Iterator[Duty]:
        """Who was greeted, but not told where our webhooks are: there was no login yet, or they failed."""
        for config in active:
            health = healths.get(config.name)
            untold = is_told(config) and health is not None and health.registration is None
            if untold and _may_ask(health, now) and now >= self._told.get(config.name, (now, 0))[0]:
                yield Duty(f"hook:{config.name}", None, partial(self._tell, config.name))

    def _watches(self, active: Sequence[Config], healths: Mapping[str, HealthRow], now: datetime) -> Iterator[Duty]:
        """Who was told, and may have given up while we were away."""
        for config in active:
            health = healths.get(config.name)
            told = health is not None and health.registration is not None and _may_ask(health, now)
            if told and now >= self._watched.get(config.name, now):
                self._watched[config.name] = now + _WATCH
                if isinstance(config.connector, Watched):
                    yield Duty(f"watch:{config.name}", None, partial(self._watch, config.name))

    def _left(self, active: Sequence[Config], now: datetime) -> Iterator[Duty]:
        """Now and then one process looks for acknowledged messages whose own process may have died. Where that one is
        alive after all and only waits, both work on them: that changes nothing."""
        if now >= self._look_for_left:
            self._look_for_left = now + self._left_for
            names = [config.name for config in active]
            yield Duty("inbox", None, partial(self._recover, names, now - self._left_for))

    # --- doing it -----------------------------------------------------------------------------------------------------

    async def _recover(self, connectors: Sequence[str], before: datetime) -> None:
        for name in connectors:
            await self._inbox.recover(name, before=before)

    async def _poll(self, config: Config) -> None:
        health = await self._flow.store.query(lambda reader: reader.health(config.name))
        if _is_due(config, health, self._flow.store.now()):  # as it is now that the lock is ours
            await self._sync.poll(config)

    async def _tell(self, name: str) -> None:
        _, waited = self._told.get(name, (None, 0))
        waits = min(2 * waited or 1, _RAREST)
        self._told[name] = (self._flow.store.now() + waits * self._tell_after, waits)
        await self._tell_again(name)

    async def _run(self, run_id: str) -> None:
        row = await self._flow.store.query(lambda reader: reader.run(run_id))
        if row is not None and row.state == "running":  # as it is now that the lock is ours
            await self._sync.run(row)

    async def _consume(self, config: Config) -> None:
        secrets = await self._flow.store.query(lambda reader: reader.secrets(config.name))
        password = secrets.get(BROKER_PASSWORD)
        await queues.consume(config, password, self._keep, self._sync.looked, allowed=self._allowed)

    async def _keep(self, connector: str, letters: Sequence[Letter]) -> None:
        """Store them in one go; what is new is worked on, in order."""
        received = [_received(connector, letter) for letter in letters]
        kept = await asyncio.gather(*[self._flow.store_first(one) for one in received])
        for one, message_id in zip(received, kept, strict=True):
            if one.message_id == message_id:
                self._inbox.put(one)


def _received(connector: str, letter: Letter) -> Received:
    """A queue cannot be told that a message is refused: one whose headers cannot be kept would hold up all others."""
    name = letter.event_id
    if name is not None and not (len(name) <= _LONGEST and name.isprintable()):
        name = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    media = "".join(filter(str.isprintable, letter.media_type))[:_LONGEST]
    return Received(connector, None, "queue", media, letter.body, dedupe_key("event", name))


def _is_due(config: Config, health: HealthRow | None, now: datetime) -> bool:
    if health is None:
        return True
    rested = health.last_sync_at is None or health.last_sync_at + timedelta(seconds=config.sync.interval) <= now
    return rested and _may_ask(health, now)


def _may_ask(health: HealthRow | None, now: datetime) -> bool:
    """Whether they may answer now, as far as is known."""
    if health is None:
        return True
    return health.state not in _ASLEEP and (health.open_until is None or health.open_until <= now)
