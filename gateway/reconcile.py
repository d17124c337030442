"""Reconcile: make one system's copies equal to ours - read, compare, announce, send, record what was accepted.

One claim is one patient on one system. Patients are compared slot by slot, clinical resources as a whole.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from gateway.connectors.call import Accepted, Rejected, Seen
from gateway.connectors.config import Config
from gateway.connectors.protocol import GroupConnector, Item, Target
from gateway.delivery.http import Outbound, Peer
from gateway.delivery.peers import Peers
from gateway.delivery.retry import next_attempt
from gateway.errors import (
    GatewayError,
    PartnerLoginExpired,
    PartnerRejected,
    PartnerUnavailable,
    PartnerUnknown,
    StoreBusy,
    VersionConflict,
)
from gateway.fhir import gate, json
from gateway.fhir.json import Resource
from gateway.flow import Flow
from gateway.planning import copies, groups
from gateway.planning.copies import Due
from gateway.planning.groups import Group, Part
from gateway.planning.uuid7 import new_id
from gateway.planning.world import World
from gateway.store import Claim, Delivery, MessageRow, Reader, Settled, Tx, claim, renew, settle

REFRESH = 5
"""How often a 412 is answered with a fresh read within one attempt."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one delivery: `state` as stored, and for a retry how long they asked us to wait."""

    state: str
    want: int
    remote_id: str
    error: str | None = None
    retry_after: float | None = None


Result = Mapping[int, Done]
"""By delivery id."""


@dataclass(slots=True)
class Reconciler:
    """The steps of a delivery for `delivery.worker.Worker`. `lease` and `timeout` in seconds."""

    flow: Flow
    outbound: Outbound
    peers: Peers
    schedule: Sequence[float]
    lease: float
    timeout: float
    rng: random.Random = field(default_factory=random.SystemRandom)

    async def claim(self, limit: int) -> Sequence[Claim]:
        """Groups that are due, of connectors that are not paused."""

        def job(tx: Tx) -> list[Claim]:
            running = [row.name for row in tx.connectors() if row.state != "paused"]
            return claim(tx, lease=timedelta(seconds=self.lease), limit=limit, connectors=running)

        return await self.flow.store.write(job)

    async def renew(self, claimed: Claim) -> bool:
        """Hold it for another lease."""
        return await self.flow.store.write(lambda tx: renew(tx, claimed, tx.now + timedelta(seconds=self.lease)))

    async def reconcile(self, claimed: Claim) -> Result:
        """Bring everything of the claim there, as far as it goes now."""
        directory = await self.flow.store.query(self.flow.directory)
        config = directory.peer(claimed.connector)
        return await Attempt(self, claimed, config, await self.peers.get(config)).run()

    async def settle(self, claimed: Claim, result: Result) -> None:
        """Write down what came of it; a failure is due again by the schedule."""
        await self.flow.store.write(
            lambda tx: settle(tx, claimed, [self._settled(tx, row, result) for row in claimed.deliveries])
        )

    async def release(self, claimed: Claim, error: Exception | None) -> None:
        """After an unexpected error it counts as an attempt; unfinished because we stop, it is given back as it was."""
        result = {row.delivery_id: _retry(row, type(error).__name__) for row in claimed.deliveries} if error else {}
        known = [row for row in claimed.deliveries if row.delivery_id in result]
        await self.flow.store.write(lambda tx: settle(tx, claimed, [self._settled(tx, row, result) for row in known]))

    def _settled(self, tx: Tx, row: Delivery, result: Result) -> Settled:
        done = result.get(row.delivery_id) or _retry(row, "not reached")
        if done.state in ("done", "rejected"):
            return Settled(row.delivery_id, done.state, row.attempt, tx.now, done.want, done.remote_id, done.error)
        attempts = row.attempt + 1
        due = next_attempt(self.schedule, attempts, tx.now, retry_after=done.retry_after, rng=self.rng)
        if due is None:
            return Settled(row.delivery_id, "exhausted", attempts, tx.now, done.want, done.remote_id, done.error)
        return Settled(row.delivery_id, done.state, attempts, due, done.want, done.remote_id, done.error)


@dataclass(slots=True)
class Attempt:
    """One attempt at one claim."""

    steps: Reconciler
    claimed: Claim
    config: Config
    peer: Peer
    done: dict[int, Done] = field(default_factory=dict)

    async def run(self) -> Result:
        for _ in range(REFRESH):
            try:
                await self._once()
            except VersionConflict:
                continue  # they changed it since our read: read again
            except GatewayError as error:
                self._fail(error)
            break
        else:
            self._fail(PartnerUnavailable("their copy kept changing while it was compared"))
        return self.done

    async def _once(self) -> None:
        group = await self._group()
        seen = {part.delivery_id: await self._read(part) for part in group.parts if part.reads}
        due = await self._prepare(group, seen)
        parts = [part for part in group.parts if part.delivery_id not in self.done]
        if isinstance(self.config.connector, GroupConnector):
            await self._push_group(group, parts, due, seen)
        else:
            for part in parts:
                await self._push_one(part, due)

    async def _group(self) -> Group:
        def ask(reader: Reader) -> Group:
            return groups.load(reader, self.steps.flow.directory(reader), self.config, self.claimed)

        group = await self.steps.flow.store.query(ask)
        for delivery_id, want, remote_id in group.settled:
            self.done[delivery_id] = Done("done", want, remote_id)
        return group

    async def _read(self, part: Part) -> tuple[Seen, datetime]:
        began = datetime.now(UTC)
        side = self.config.side(self.steps.flow.ours)
        target = Target(part.type, part.id, part.remote_id, part.identifiers, local=part.local)
        seen = await self.steps.outbound.run(self.config.connector.read(target, side), self.peer)
        if seen.body is not None and part.type == "Patient":
            gate.require(seen.body)
        return seen, began

    async def _prepare(self, group: Group, seen: Mapping[int, tuple[Seen, datetime]]) -> dict[int, Due]:
        """Observe, compare and commit the intent of the Patient; a clinical part is due as it stands."""
        due: dict[int, Due] = {}
        for part in group.parts:
            if part.type != "Patient":
                continue
            one = await self._prepare_patient(part, *seen[part.delivery_id])
            if one.slots:
                due[part.delivery_id] = one
            else:
                self.done[part.delivery_id] = Done("done", one.number, one.remote_id or "")
        return due

    async def _prepare_patient(self, part: Part, seen: Seen, began: datetime) -> Due:
        timeout = timedelta(seconds=self.steps.timeout)
        message_id = new_id(began)

        def job(tx: Tx) -> Due:
            world = World(tx, self.steps.flow.directory(tx))
            due = copies.prepare(world, part.rid, self.config, part.remote_id, seen, began, message_id, timeout)
            self._write(world, message_id, "read", seen.body)
            return due

        return await self.steps.flow.store.write(job)

    def _write(self, world: World, message_id: str, kind: str, body: Resource | None) -> None:
        """What a read or an answer changed is named by a message that keeps it, like everything that comes in."""
        if world.changes.versions:
            raw = json.encode(body or {})
            row = MessageRow(
                message_id, self.config.name, None, kind, "application/json", world.now, None, "applied", raw
            )
            world.changes.messages.append(row)
        world.tx.write(world.changes)

    async def _push_one(self, part: Part, due: Mapping[int, Due]) -> None:
        one = due[part.delivery_id]
        item = Item("Patient", part.id, one.body, one.remote_id)
        side = self.config.side(self.steps.flow.ours)
        try:
            accepted = await self.steps.outbound.run(self.config.connector.push(item, side), self.peer)
        except (VersionConflict, PartnerUnavailable, PartnerRejected):
            await self._void(part, one)
            raise
        await self._accept(part, one, accepted)

    async def _push_group(
        self, group: Group, parts: Sequence[Part], due: Mapping[int, Due], seen: Mapping[int, tuple[Seen, datetime]]
    ) -> None:
        connector = self.config.connector
        assert isinstance(connector, GroupConnector)
        listed = [*group.extras, *parts]
        items = [_item(part, due.get(part.delivery_id), seen.get(part.delivery_id)) for part in listed]
        if not items:
            return
        side = self.config.side(self.steps.flow.ours)
        try:
            calls = connector.push_bundle(items, side, group.delivered)
            results = await self.steps.outbound.run(calls, self.peer)
        except (VersionConflict, PartnerUnavailable, PartnerRejected):
            for part in parts:
                if part.delivery_id in due:
                    await self._void(part, due[part.delivery_id])
            raise
        await self._results(group, listed, items, results, due)

    async def _results(
        self,
        group: Group,
        listed: Sequence[Part],
        items: Sequence[Item],
        results: Sequence[Accepted | Rejected],
        due: Mapping[int, Due],
    ) -> None:
        """Record each result; what was refused only with others is sent once more alone, in the same order."""
        connector = self.config.connector
        assert isinstance(connector, GroupConnector)
        delivered = dict(group.delivered)
        for part, item, result in zip(listed, items, results, strict=True):
            if isinstance(result, Rejected) and not result.alone:
                calls = connector.push_bundle([item], self.config.side(self.steps.flow.ours), delivered)
                [result] = await self.steps.outbound.run(calls, self.peer)
            if isinstance(result, Rejected):
                if part.delivery_id in due:
                    await self._void(part, due[part.delivery_id])
                error = f"refused with status {result.status} ({result.code}) at {result.where or part.type}"
                self.done[part.delivery_id] = Done("rejected", part.number, part.remote_id or "", error)
            else:
                delivered[f"{part.type}/{part.id}"] = f"{part.type}/{result.remote_id}"
                await self._accept(part, due.get(part.delivery_id), result)

    async def _accept(self, part: Part, due: Due | None, accepted: Accepted) -> None:
        if due is None:
            await self.steps.flow.store.write(lambda tx: groups.accepted(tx, self.config, part, accepted))
            self.done[part.delivery_id] = Done("done", part.number, accepted.remote_id)
            return
        seen: Seen | None = None
        if accepted.body is not None:
            gate.require(accepted.body)
        else:
            seen, _ = await self._read(replace(part, remote_id=accepted.remote_id))
        message_id = new_id(datetime.now(UTC))

        def job(tx: Tx) -> None:
            world = World(tx, self.steps.flow.directory(tx))
            copies.accepted(world, part.rid, self.config, due, accepted, seen, message_id)
            self._write(world, message_id, "answer", (seen or accepted).body)

        await self.steps.flow.store.write(job)
        self.done[part.delivery_id] = Done("done", due.number, accepted.remote_id)

    async def _void(self, part: Part, due: Due) -> None:
        def job(tx: Tx) -> None:
            world = World(tx, self.steps.flow.directory(tx))
            copies.voided(world, part.rid, self.config, due)
            tx.write(world.changes)

        await self.steps.flow.store.write(job)

    def _fail(self, error: GatewayError) -> None:
        for row in self.claimed.deliveries:
            self.done.setdefault(row.delivery_id, _failed(row, error))


def _item(part: Part, due: Due | None, read: tuple[Seen, datetime] | None) -> Item:
    version = read[0].version if read else None
    if due is not None:
        return Item(part.type, part.id, due.body, due.remote_id, version)
    return Item(part.type, part.id, part.body, part.remote_id, version)


def _retry(row: Delivery, error: str) -> Done:
    return Done("due", row.want, row.remote_id, error)


def _failed(row: Delivery, error: GatewayError) -> Done:
    if isinstance(error, PartnerUnknown):
        return Done("unknown", row.want, row.remote_id, error.message)
    if isinstance(error, PartnerUnavailable):
        return Done("due", row.want, row.remote_id, error.message, error.retry_after)
    if isinstance(error, (StoreBusy, PartnerLoginExpired)):
        return _retry(row, error.message)
    return Done("rejected", row.want, row.remote_id, error.message)
