"""Attempt: make one system's copies of one patient equal to ours - read, compare, announce, send, record the answer.

Patients are compared slot by slot, clinical resources as a whole. What is wrong with one resource is that one's alone;
what is wrong with the system ends the attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from gateway.connectors.call import Accepted, Rejected, Seen
from gateway.connectors.config import Config
from gateway.connectors.protocol import Item, Side, Target
from gateway.delivery import health
from gateway.delivery.health import Sign
from gateway.delivery.http import Outbound, Peer
from gateway.errors import (
    GatewayError,
    PartnerLoginExpired,
    PartnerRejected,
    PartnerUnavailable,
    PartnerUnknown,
    StoreBusy,
    VersionConflict,
)
from gateway.fhir import gate, json, references
from gateway.fhir.json import Resource
from gateway.flow import Flow
from gateway.intake import findings
from gateway.planning import copies, groups, records, waiting
from gateway.planning.copies import Due
from gateway.planning.groups import Group, Part
from gateway.planning.uuid7 import new_id
from gateway.planning.world import World
from gateway.reconciling.outcome import Answered, Done, Result, brought, failed
from gateway.store import Changes, Claim, MessageRow, NewDelivery, Reader, Tx

T = TypeVar("T")

_REFRESH = (0.0, 0.0, 0.25, 0.5, 0.75)
"""Seconds before each read of an attempt, as a 412 is answered with a fresh one. Together more than a second: where the
lock is a date (Canvas), whole seconds are told apart, and the clock in an answer may be as late."""
_NEXT = 1.0
"""Seconds until what was not reached is tried again."""
_ENDS = (VersionConflict, PartnerUnavailable, PartnerUnknown, PartnerLoginExpired, StoreBusy)
"""Errors that are not one resource's own."""
_NOTHING_DONE = (VersionConflict, PartnerUnavailable, PartnerRejected, PartnerLoginExpired)
"""Errors after which an announced send is known to have had no effect."""


@dataclass(slots=True)
class Attempt:
    """One attempt at one claim. `begins`: its group as it was read for all claims at once, until that is used."""

    flow: Flow
    outbound: Outbound
    claimed: Claim
    config: Config
    peer: Peer
    begins: Group | None
    done: dict[int, Done] = field(default_factory=dict)
    orders: list[NewDelivery] = field(default_factory=list)
    answered: bool = False
    at_work: tuple[int, ...] = ()
    last: Answered | None = None

    async def run(self) -> Result:
        sign: Sign | None = None
        for pause in _REFRESH:
            await asyncio.sleep(pause)
            try:
                await self._once()
            except VersionConflict:
                continue  # they changed it since our read: read again
            except GatewayError as error:
                sign = self._end(error)
            break
        else:
            self._end(PartnerUnavailable("their copy kept changing while it was compared"))
        return Result(self.done, sign or (Sign("up") if self.answered else None), self.orders, self.last)

    async def _once(self) -> None:
        group = await self._group()
        open_ = [part for part in group.parts if part.delivery_id not in self.done]
        seen: dict[int, tuple[Seen, datetime]] = {}
        due: dict[int, Due] = {}
        for part in open_:
            await self._alone(part, lambda part=part: self._look(part, seen, due))  # type: ignore[misc]
        parts = [part for part in open_ if part.delivery_id not in self.done]
        if self.config.groups is not None:
            await self._push_group(group, parts, due, seen)
        else:
            await self._push_each(group, parts, due, seen)

    async def _alone(self, part: Part, step: Callable[[], Awaitable[None]]) -> None:
        """A step whose failure is this resource's only, unless it is the system's."""
        self.at_work = (part.delivery_id,)
        try:
            await step()
        except _ENDS:
            raise
        except GatewayError as error:
            self.answered = self.answered or isinstance(error, PartnerRejected)
            self.done[part.delivery_id] = Done("rejected", part.number, part.remote_id or "", error.message)

    async def _group(self) -> Group:
        def ask(reader: Reader) -> Group:
            return groups.load(reader, self.flow.directory(reader), self.config, [self.claimed])[self.claimed.fence]

        group = self.begins if self.begins is not None else await self.flow.store.query(ask)
        self.begins = None
        for delivery_id, want, remote_id in group.settled:
            self.done.setdefault(delivery_id, Done("done", want, remote_id))
        return group

    # --- read and compare ---------------------------------------------------------------------------------------------

    async def _look(self, part: Part, seen: dict[int, tuple[Seen, datetime]], due: dict[int, Due]) -> None:
        """Read their copy; of a Patient observe it, compare, and commit the intent. A clinical part is due as it is."""
        if part.reads:
            seen[part.delivery_id] = await self._read(part)
        if part.remote_id is not None and (lost := seen[part.delivery_id][0].lost) is not None:
            await self._lost(part, part.remote_id, lost)
            return
        if part.type != "Patient":
            return
        one = await self._prepare(part, *seen[part.delivery_id])
        if one.slots:
            due[part.delivery_id] = one
        else:
            self.done[part.delivery_id] = Done("done", one.number, one.remote_id or "", compared=one.at)

    async def _lost(self, part: Part, remote_id: str, how: str) -> None:
        """What they deleted is not made again: their delete ends the link. That they find nothing may be a wrong
        address as well, so the link stays and a person looks."""
        if how == "missing":
            raise PartnerRejected(
                f"they find no {part.type} under the id that is linked: nothing is sent to make it again"
            )

        def job(tx: Tx) -> None:
            changes = Changes()
            records.end_record(tx, changes, self.config.name, part.type, remote_id)
            tx.write(changes)

        await self.flow.store.write(job)
        self.done[part.delivery_id] = Done("done", part.number, remote_id)

    async def _read(self, part: Part) -> tuple[Seen, datetime]:
        began = self.flow.store.now()
        target = Target(part.type, part.id, part.remote_id, part.identifiers, local=part.local, body=part.body)
        seen = await self.outbound.run(self.config.connector.read(target, self._side()), self.peer)
        self.answered = True
        if seen.body is not None and part.type == "Patient":
            seen = replace(seen, body=await self._in_our_words(seen.body))
        return seen, began

    async def _in_our_words(self, patient: Resource) -> Resource:
        """As they show her, with what she refers to there as it is known here."""
        if references.collect(patient):
            patient = await self.flow.store.query(
                lambda reader: findings.with_our_references(reader, self.config, patient)
            )
        gate.require(patient)
        return patient

    async def _prepare(self, part: Part, seen: Seen, began: datetime) -> Due:
        timeout = timedelta(seconds=self.peer.timeout)
        message_id = new_id(began)

        def job(tx: Tx) -> Due:
            world = World(tx, self.flow.directory(tx))
            due = copies.prepare(world, part.rid, self.config, part.remote_id, seen, began, message_id, timeout)
            self._write(world, message_id, "read", seen.body)
            return due

        return await self.flow.store.write(job, about=(part.rid,))

    def _write(self, world: World, message_id: str, kind: str, body: Resource | None) -> None:
        """What a read or an answer changed is named by a message that keeps it, like everything that comes in."""
        if world.changes.versions:
            raw = json.encode(body or {})
            row = MessageRow(
                message_id, self.config.name, None, kind, "application/json", world.now, None, "applied", raw
            )
            world.changes.messages.append(row)
        world.tx.write(world.changes)

    # --- send one by one ----------------------------------------------------------------------------------------------

    async def _push_each(
        self,
        group: Group,
        parts: Sequence[Part],
        due: Mapping[int, Due],
        seen: Mapping[int, tuple[Seen, datetime]],
    ) -> None:
        """In the order of reference: whatever has all that it refers to there, until nothing more can go."""
        pending = list(parts)
        while ready := [part for part in pending if part.needs <= group.delivered.keys()]:
            for part in ready:
                pending.remove(part)
                item = self._item(part, due.get(part.delivery_id), seen.get(part.delivery_id), group.delivered)
                await self._alone(part, lambda part=part, item=item: self._push_one(group, part, item, due))  # type: ignore[misc]
        await self._wait(pending, group.delivered.keys())

    async def _push_one(self, group: Group, part: Part, item: Item, due: Mapping[int, Due]) -> None:
        one = due.get(part.delivery_id)
        try:
            accepted = await self.outbound.run(self.config.connector.push(item, self._side()), self.peer)
        except _NOTHING_DONE:
            await self._void(part, one)
            raise
        group.delivered[part.name] = f"{part.type}/{accepted.remote_id}"
        await self._accept(part, one, accepted)

    def _item(
        self, part: Part, due: Due | None, read: tuple[Seen, datetime] | None, delivered: Mapping[str, str]
    ) -> Item:
        """With references as they know them: to what they hold by their ids, to the rest by our own addresses."""
        whole = _item(part, due, read)
        found = {ref.value: references.local(ref.value, self.flow.ours) for ref in references.collect(whole.body)}
        named = {value: f"{local.type}/{local.id}" for value, local in found.items() if local is not None}
        theirs = {value: delivered.get(name, f"{self.flow.ours}/{name}") for value, name in named.items()}
        local = {delivered[name]: name for name in named.values() if name in delivered}
        return replace(whole, body=references.rewrite(whole.body, theirs), local=local)

    # --- send together ------------------------------------------------------------------------------------------------

    async def _push_group(
        self, group: Group, parts: Sequence[Part], due: Mapping[int, Due], seen: Mapping[int, tuple[Seen, datetime]]
    ) -> None:
        ready, pending = _sendable(group, parts)
        await self._wait(pending, {*group.delivered, *(part.name for part in ready)})
        connector = self.config.groups
        assert connector is not None
        listed = [*_extras_for(group, ready), *ready]
        items = [_item(part, due.get(part.delivery_id), seen.get(part.delivery_id)) for part in listed]
        if not ready:
            return
        self.at_work = tuple(part.delivery_id for part in ready)
        try:
            calls = connector.push_bundle(items, self._side(), group.delivered)
            results = await self.outbound.run(calls, self.peer)
        except _NOTHING_DONE:
            for part in ready:
                await self._void(part, due.get(part.delivery_id))
            raise
        self.answered = True
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
        connector = self.config.groups
        assert connector is not None
        delivered = dict(group.delivered)
        taken: list[tuple[Part, Accepted]] = []
        for part, item, result in zip(listed, items, results, strict=True):
            self.at_work = (part.delivery_id,)
            if isinstance(result, Rejected) and not result.alone:
                if not part.needs <= delivered.keys():
                    await self._wait([part], delivered.keys())
                    continue
                await self._take(taken)
                taken = []
                calls = connector.push_bundle([item], self._side(), delivered)
                try:
                    [result] = await self.outbound.run(calls, self.peer)
                except PartnerLoginExpired:
                    raise
                except PartnerRejected as barred:  # what is not allowed for this one may be for the others
                    await self._void(part, due.get(part.delivery_id))
                    self.done[part.delivery_id] = Done("due", part.number, part.remote_id or "", barred.message)
                    continue
            if isinstance(result, Rejected):
                await self._void(part, due.get(part.delivery_id))
                error = f"refused with status {result.status} ({result.code}) at {result.where or part.type}"
                self.done[part.delivery_id] = Done("rejected", part.number, part.remote_id or "", error)
                continue
            delivered[part.name] = f"{part.type}/{result.remote_id}"
            if part.delivery_id in due:
                await self._accept(part, due[part.delivery_id], result)
            else:
                taken.append((part, result))
        await self._take(taken)

    async def _take(self, taken: Sequence[tuple[Part, Accepted]]) -> None:
        """Record the clinical resources of one answer together; where one of them cannot be, each for itself."""
        if len(taken) > 1:
            try:
                await self.flow.store.write(lambda tx: groups.accepted(tx, self.config, taken))
            except GatewayError as error:
                if error.transient:
                    raise
            else:
                self.done |= {part.delivery_id: brought(part, accepted) for part, accepted in taken}
                return
        for part, accepted in taken:
            await self._alone(part, lambda part=part, accepted=accepted: self._accept(part, None, accepted))  # type: ignore[misc]

    # --- what came of it ----------------------------------------------------------------------------------------------

    async def _accept(self, part: Part, due: Due | None, accepted: Accepted) -> None:
        self.answered = True
        if due is None:
            await self._record(part, lambda tx: groups.accepted(tx, self.config, [(part, accepted)]))
            self.done[part.delivery_id] = brought(part, accepted)
            return
        seen: Seen | None = None
        if accepted.body is not None:
            accepted = replace(accepted, body=await self._in_our_words(accepted.body))
        else:
            seen, _ = await self._read(replace(part, remote_id=accepted.remote_id))
        message_id = new_id(datetime.now(UTC))

        def job(tx: Tx) -> None:
            world = World(tx, self.flow.directory(tx))
            copies.accepted(world, part.rid, self.config, due, accepted, seen, message_id)
            self._write(world, message_id, "answer", (seen or accepted).body)

        await self._record(part, job)
        sent = (due.number, accepted.remote_id, accepted.untold)
        self.done[part.delivery_id] = Done("done", *sent, wrote=True, compared=due.at)

    async def _record(self, part: Part, job: Callable[[Tx], None]) -> None:
        """Write down an answer: at once where more is sent, else together with what came of the claim."""
        if all(row.delivery_id in self.done or row.delivery_id == part.delivery_id for row in self.claimed.deliveries):
            about = (part.rid,) if part.type == "Patient" else ()  # of a clinical resource only its record is read
            self.last = Answered(part.delivery_id, part.remote_id or "", job, about)
        else:
            await self.flow.store.write(job)

    async def _void(self, part: Part, due: Due | None) -> None:
        """The announced send had no effect; of a clinical part nothing was announced."""
        if due is None:
            return

        def job(tx: Tx) -> None:
            world = World(tx, self.flow.directory(tx))
            copies.voided(world, part.rid, self.config, due)
            tx.write(world.changes)

        await self.flow.store.write(job)

    async def _wait(self, parts: Sequence[Part], there: Collection[str]) -> None:
        """They wait for what they refer to, without using up an attempt."""
        for part in parts:
            missing = part.needs - set(there)

            def ask(reader: Reader, missing: frozenset[str] = missing) -> waiting.Wait:
                return waiting.plan(reader, self.config, missing, self.flow.store.now())

            wait = await self.flow.store.query(ask)
            self.orders += wait.orders
            kept = (part.number, part.remote_id or "")
            self.done[part.delivery_id] = Done("due", *kept, wait.reason, wait.seconds, counts=False)

    def _end(self, error: GatewayError) -> Sign | None:
        """The system's failure: theirs who were at work is known, the rest was not reached."""
        for row in self.claimed.deliveries:
            met = row.delivery_id in self.at_work or not self.at_work
            ended = failed(row, error) if met else Done("due", row.want, row.remote_id, row.error, _NEXT, counts=False)
            self.done.setdefault(row.delivery_id, ended)
        repeated = any(row.attempt > 0 for row in self.claimed.deliveries)
        return health.sign_of(error, repeated=repeated)

    def _side(self) -> Side:
        return self.config.side(self.flow.ours)


def _sendable(group: Group, parts: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    """Those that can go in one transaction, and those that refer to what is neither there nor in it."""
    ready = list(parts)
    extras = {part.name for part in group.extras}
    while True:
        there = {*group.delivered, *extras, *(part.name for part in ready)}
        kept = [part for part in ready if part.needs <= there]
        if len(kept) == len(ready):
            names = {part.name for part in ready}
            return ready, [part for part in parts if part.name not in names]
        ready = kept


def _extras_for(group: Group, ready: Sequence[Part]) -> list[Part]:
    """Nothing is sent along for what is not sent itself."""
    return list(group.extras) if ready else []


def _item(part: Part, due: Due | None, read: tuple[Seen, datetime] | None) -> Item:
    seen, began = read or (Seen(None, None), None)
    if due is not None:
        item = Item(part.type, part.id, due.body, due.remote_id, due=frozenset(due.slots))
    else:
        item = Item(part.type, part.id, part.body, part.remote_id or seen.remote_id)
    return replace(item, version=seen.version, raw=seen.raw, read_at=began)
