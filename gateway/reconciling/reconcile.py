"""Reconcile: the steps of a delivery for the worker - claim what may be sent now, attempt it, note what came of it.

One claim is one patient on one system. What an attempt tells about the whole system (circuit breaker, login) and about
a patient that is written to again and again (loop alarm) is settled in the same transaction.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from gateway.connectors.config import Config
from gateway.delivery import health, incidents
from gateway.delivery.health import Breaker
from gateway.delivery.http import Outbound
from gateway.delivery.loop import LoopAlarm
from gateway.delivery.peers import Peers
from gateway.delivery.retry import next_attempt
from gateway.errors import GatewayError, PartnerRejected
from gateway.flow import Flow
from gateway.planning import copies, groups
from gateway.planning.groups import Group
from gateway.planning.world import World
from gateway.reconciling.attempt import Attempt
from gateway.reconciling.outcome import Done, Result
from gateway.store import Changes, Claim, Delivery, IncidentRow, Reader, Settled, Tx, claim, due, renew, settle

log = structlog.get_logger(__name__)

_LOT = 32
"""How many deliveries are read in one go: a few milliseconds."""
_WOKEN = 500
"""How many waiting deliveries are made due in one transaction once their system answers again."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The settings of delivery. `schedule`, `lease` and `breaker` in seconds; `at_once`: patients on one system;
    `writes`: of one resource to one system within an hour."""

    schedule: Sequence[float]
    lease: float
    at_once: int = 16
    writes: int = 50
    breaker: Breaker = field(default_factory=Breaker)


class Begin(NamedTuple):
    """What an attempt begins with: the system as configured, its secrets, and what is due there."""

    config: Config
    secrets: Mapping[str, str]
    group: Group


@dataclass(slots=True)
class Reconciler:
    """The steps of a delivery for `delivery.worker.Worker`."""

    flow: Flow
    outbound: Outbound
    peers: Peers
    pace: Pace
    rng: random.Random = field(default_factory=random.SystemRandom)
    clock: Callable[[], float] = time.monotonic
    _alarm: LoopAlarm = field(init=False)
    _at_work: Counter[str] = field(init=False, default_factory=Counter)
    _probes: set[int] = field(init=False, default_factory=set)
    _begun: dict[int, Begin] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._alarm = LoopAlarm(self.pace.writes, self.clock)

    async def claim(self, limit: int) -> Sequence[Claim]:
        """Groups that are due, of connectors that may be called now; so many of each that none takes all hands."""
        free = await self.flow.store.query(self._free)
        if not any(most > 0 for most in free.values()):
            return ()

        def job(tx: Tx) -> tuple[list[Claim], set[int]]:
            return self._claimed(tx, limit, free)

        claims, probes = await self.flow.store.write(job)
        self._at_work.update(one.connector for one in claims)
        self._probes |= probes
        await self._read_ahead(claims)
        return claims

    async def _read_ahead(self, claims: Sequence[Claim]) -> None:
        """What the attempts begin with, read for many of them at once: a quarter of what it costs one by one. On SQLite
        this is the event loop's own thread, so others have their turn after every lot."""
        for lot in _lots(claims):
            try:
                self._begun.update(await self.flow.store.query(lambda reader, lot=lot: self._begin(reader, lot)))  # type: ignore[misc]
            except Exception as error:  # one that cannot be read must not stop the others: each reads its own instead
                log.warning("reading ahead failed", error=type(error).__name__)
            await asyncio.sleep(0)

    def _begin(self, reader: Reader, claims: Sequence[Claim]) -> dict[int, Begin]:
        """By fence."""
        directory = self.flow.directory(reader)
        of: dict[str, list[Claim]] = defaultdict(list)
        for one in claims:
            of[one.connector].append(one)
        found: dict[int, Begin] = {}
        for name, own in of.items():
            config, secrets = directory.peer(name), reader.secrets(name)
            loaded = groups.load(reader, directory, config, own)
            found |= {fence: Begin(config, secrets, group) for fence, group in loaded.items()}
        return found

    def _free(self, reader: Reader) -> dict[str, int]:
        """How many more patients may be worked on at each system that anything is due for."""
        peers = self.flow.directory(reader).peers
        return {name: self._room(name, peers[name]) for name in due(reader, peers, self.flow.store.now())}

    def _room(self, name: str, config: Config) -> int:
        """None while it is called as often as it allows."""
        roomy = self.outbound.limits.has_room(name, config.rate_limit)
        return self.pace.at_once - self._at_work[name] if roomy else 0

    def _claimed(self, tx: Tx, limit: int, free: Mapping[str, int]) -> tuple[list[Claim], set[int]]:
        states = tx.healths()
        lease = timedelta(seconds=self.pace.lease)
        claims: list[Claim] = []
        probes: set[int] = set()
        directory = self.flow.directory(tx)
        running = [name for name in free if name in directory.peers and name not in directory.still]
        for name in sorted(running, key=lambda name: -free[name]):  # who has least to do comes first
            most = min(limit - len(claims), free[name])
            most = health.allowance(states.get(name), tx.now, most)
            found = claim(tx, name, lease=lease, limit=most) if most > 0 else []
            claims += found
            if found and (row := states.get(name)) and row.state in health.BROKEN:
                tx.put_health(row._replace(open_until=tx.now + lease))
                probes.update(one.fence for one in found)
        return claims, probes

    async def renew(self, claimed: Claim) -> bool:
        """Hold it for another lease."""
        lease = timedelta(seconds=self.pace.lease)
        return await self.flow.store.write(lambda tx: renew(tx, claimed, tx.now + lease))

    async def reconcile(self, claimed: Claim) -> Result:
        """Bring everything of the claim there, as far as it goes now."""
        try:
            return await self._attempt(claimed)
        finally:  # whatever ends it, another lease taking it over too
            self._at_work[claimed.connector] -= 1

    async def _attempt(self, claimed: Claim) -> Result:
        begin = self._begun.pop(claimed.fence, None)
        if begin is None:
            begin = (await self.flow.store.query(lambda reader: self._begin(reader, [claimed])))[claimed.fence]
        try:
            peer = self.peers.peer(begin.config, begin.secrets)
        except PartnerRejected as error:
            return Result({row.delivery_id: _refused(row, error) for row in claimed.deliveries})
        return await Attempt(self.flow, self.outbound, claimed, begin.config, peer, begin.group).run()

    async def settle(self, claimed: Claim, result: Result) -> None:
        """Write down what came of it; a failure is due again by the schedule."""
        alarmed = self._alarmed(claimed, result)
        probe = claimed.fence in self._probes

        def job(tx: Tx, result: Result = result) -> tuple[list[IncidentRow], bool]:
            return self._settle(tx, claimed, result, probe=probe, alarmed=alarmed)

        about = () if result.last is None else result.last.about
        try:
            news, recovered = await self.flow.store.write(job, about=about)
        except GatewayError as error:
            if result.last is None or error.transient:
                raise
            refused = result.refused(error)
            news, recovered = await self.flow.store.write(lambda tx: job(tx, refused))
        self._probes.discard(claimed.fence)
        incidents.tell(news)
        if recovered:
            await self._wake(claimed.connector)
        if result.orders:
            self.flow.ordered()

    async def release(self, claimed: Claim, error: Exception | None) -> None:
        """After an unexpected error it counts as an attempt; unfinished because we stop, it is given back as it was."""
        rows = {row.delivery_id: row for row in claimed.deliveries}
        done = {number: _retry(row, type(error).__name__) for number, row in rows.items()}

        def job(tx: Tx) -> None:
            settle(
                tx, claimed, lambda now: self._settled(tx, rows[now.delivery_id], now, done, None) if error else None
            )

        self._probes.discard(claimed.fence)
        await self.flow.store.write(job)

    def _alarmed(self, claimed: Claim, result: Result) -> bool:
        """Whether one resource was written there too often; many resources of one patient are no loop."""
        written = [row.rid for row in claimed.deliveries if (done := result.done.get(row.delivery_id)) and done.wrote]
        counts = [self._alarm.count(claimed.connector, rid) for rid in written]
        return any(counts)

    def _settle(
        self, tx: Tx, claimed: Claim, result: Result, *, probe: bool, alarmed: bool
    ) -> tuple[list[IncidentRow], bool]:
        """What became known about the system and the patient, and the deliveries; whether the system answers again."""
        if result.last is not None:
            result.last.record(tx)
        before = incidents.health_of(tx, claimed.connector)
        noted = incidents.Noted(before)
        if result.sign is not None:
            noted = incidents.judge(tx, before, result.sign, self.pace.breaker, probe=probe)
        broken = noted.health.state in health.BROKEN
        rest = noted.health.open_until if broken else None
        rows = {row.delivery_id: row for row in claimed.deliveries}
        held = settle(tx, claimed, lambda now: self._settled(tx, rows[now.delivery_id], now, result.done, rest))
        if held and result.orders:
            tx.write(Changes(deliveries=list(result.orders)))
        stopped = self._stop(tx, claimed) if alarmed else []
        return [*noted.news, *stopped], before.state in health.BROKEN and not broken

    def _stop(self, tx: Tx, claimed: Claim) -> list[IncidentRow]:
        """The loop alarm: nothing more about this patient goes there until an operator releases her."""
        tx.stop_patient(claimed.connector, claimed.patient)
        for row in claimed.deliveries:
            self._alarm.forget(claimed.connector, row.rid)
        head = tx.heads_by_rid([claimed.patient]).get(claimed.patient)
        name = f"{head.type}/{head.id}" if head else str(claimed.patient)
        detail = f"more than {self.pace.writes} writes within an hour: released by 'gateway deliveries release'"
        return incidents.begin(tx, claimed.connector, f"{incidents.LOOP} {name}", detail)

    async def _wake(self, connector: str) -> None:
        """What waited for the system is due at once."""
        while await self.flow.store.write(lambda tx: tx.make_due(connector, limit=_WOKEN)):
            self.flow.ordered()
        self.flow.ordered()

    def _settled(
        self, tx: Tx, row: Delivery, now: Delivery, result: Mapping[int, Done], rest: datetime | None
    ) -> Settled:
        """`row`: as it was claimed; `now`: as it is stored, as it may have been ordered again since."""
        done = result.get(row.delivery_id) or _retry(row, "not reached")
        kept = (done.want, done.remote_id, done.error)
        if done.state in ("done", "rejected"):
            state = "due" if done.compared and self._is_owed_again(tx, now, done, done.compared) else done.state
            return Settled(row.delivery_id, state, row.attempt, tx.now, *kept)
        if rest is not None or not done.counts:
            due_at = max(rest or tx.now, tx.now + timedelta(seconds=done.retry_after or 0.0))
            return Settled(row.delivery_id, done.state, row.attempt, due_at, *kept)
        attempts = row.attempt + 1
        due = next_attempt(self.pace.schedule, attempts, tx.now, retry_after=done.retry_after, rng=self.rng)
        if due is None:
            return Settled(row.delivery_id, "exhausted", attempts, tx.now, *kept)
        return Settled(row.delivery_id, done.state, attempts, due, *kept)

    def _is_owed_again(self, tx: Tx, row: Delivery, done: Done, compared: datetime) -> bool:
        """Whether it was ordered again since, for what was not in the comparison: an edit of theirs that loses makes no
        version. Most such orders were for what was on its way."""
        if row.at <= compared:
            return False
        directory = self.flow.directory(tx)
        config = directory.peer(row.connector)
        return bool(copies.compare(World(tx, directory), row.rid, config, done.remote_id or None).slots)


def _lots(claims: Sequence[Claim]) -> Iterator[list[Claim]]:
    """In order, so many together that they have no more than _LOT deliveries, where one claim alone has not."""
    lot: list[Claim] = []
    for one in claims:
        if lot and sum(len(each.deliveries) for each in (*lot, one)) > _LOT:
            yield lot
            lot = []
        lot.append(one)
    if lot:
        yield lot


def _retry(row: Delivery, error: str) -> Done:
    return Done("due", row.want, row.remote_id, error)


def _refused(row: Delivery, error: PartnerRejected) -> Done:
    return Done("rejected", row.want, row.remote_id, error.message)
