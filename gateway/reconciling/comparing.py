"""Comparing: everything a system holds against what it should hold, field by field; a report, and repair when asked.

The same comparison as a delivery makes, for all that is linked there and, where the system can be looked through, for
what nobody linked yet. Repair takes in what they say themselves and orders what they lack; it ends no link.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Generator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeVar

from gateway.connectors.call import Call, Found, Reply, Seen, Trail
from gateway.connectors.config import Config
from gateway.connectors.protocol import Scanner, Target
from gateway.errors import Conflict, GatewayError, PartnerLoginExpired, PartnerRejected
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.fhir.slots import split
from gateway.fhir.spelling import exact
from gateway.flow import Flow, Received
from gateway.intake import findings
from gateway.planning import bodies, copies
from gateway.planning.world import World
from gateway.store import Changes, Head, LinkRow, NewDelivery, Reader, RecordRow, Tx

T = TypeVar("T")

Kind = Literal["send", "take", "unknown here", "missing there", "held"]
WHOLE = "*"
_PAGE = 50
_UNWRITTEN = "comparison"


class Ask(Protocol):
    """A connector's calls to its side."""

    def __call__(self, config: Config, calls: Generator[Call, Reply, T]) -> Awaitable[T]: ...


@dataclass(frozen=True, slots=True)
class Difference:
    """One field. `send`: they lack what we hold; `take`: they say something of their own that is not known here;
    `unknown here`, `missing there`: only one side has it; `held`: a person must look, `why`."""

    kind: Kind
    resource: str | None
    there: str
    field: str
    why: str | None = None
    ours: Any = None
    theirs: Any = None

    def to_json(self, *, values: bool) -> dict[str, Any]:
        """`values`: whether to tell the values, which are patient data."""
        shown = asdict(self)
        return shown if values else {name: one for name, one in shown.items() if name not in ("ours", "theirs")}


@dataclass(frozen=True, slots=True)
class Comparer:
    """`ask` makes a connector's calls."""

    flow: Flow
    ask: Ask

    async def differences(self, config: Config, *, repair: bool = False) -> AsyncIterator[Difference]:
        """One by one; with `repair` each is mended as it is found."""
        looks = self._scanned(config) if isinstance(config.connector, Scanner) else self._read(config)
        async for founds, began in looks:
            found = await self._compared(config, founds, began)
            for difference in found:
                yield difference
            if repair and found:
                await self._mend(config, founds, found, began)

    # --- what they hold -----------------------------------------------------------------------------------------------

    async def _scanned(self, config: Config) -> AsyncIterator[tuple[Sequence[Found], datetime]]:
        """Page by page; what is linked and was not met is asked for by its id."""
        connector = config.connector
        assert isinstance(connector, Scanner)
        met: set[tuple[str, str]] = set()
        cursor, more = None, True
        trail = Trail()
        while more:
            began = self.flow.store.now()
            page = await self.ask(config, connector.scan(cursor, config.side(self.flow.ours)))
            met |= {(one.type, one.remote_id) for one in page.found}
            yield page.found, began
            cursor, more = trail.after(page), page.more
        async for look in self._read(config, without=met):
            yield look

    async def _read(
        self, config: Config, without: set[tuple[str, str]] | None = None
    ) -> AsyncIterator[tuple[Sequence[Found], datetime]]:
        """Everything that is linked and can be, each asked for by its id."""
        after = 0
        while links := await self.flow.store.query_aside(
            lambda reader, after=after: reader.links_to(config.name, limit=_PAGE, after=after)  # type: ignore[misc]
        ):
            after = links[-1].link_id
            for link in links:
                if config.reads(link.type) and (link.type, link.remote_id) not in (without or ()):
                    began = self.flow.store.now()
                    yield [await self._one(config, link)], began

    async def _one(self, config: Config, link: LinkRow) -> Found:
        heads = await self.flow.store.query(lambda reader: reader.heads_by_rid([link.rid]))
        target = Target(link.type, heads[link.rid].id if link.rid in heads else "", link.remote_id)
        try:
            seen = await self.ask(config, config.connector.read(target, config.side(self.flow.ours)))
        except PartnerLoginExpired:
            raise
        except PartnerRejected as error:  # one that they will not show costs no other
            return Found(link.type, link.remote_id, None, doubt=error.message)
        return Found(link.type, link.remote_id, seen.body, seen.at, seen.version, seen.coverage)

    # --- compare ------------------------------------------------------------------------------------------------------

    async def _compared(self, config: Config, founds: Sequence[Found], began: datetime) -> list[Difference]:
        def job(tx: Tx) -> list[Difference]:
            links = tx.links_of(config.name, [(one.type, one.remote_id) for one in founds])
            heads = tx.heads_by_rid({link.rid for link in links.values()})
            differences: list[Difference] = []
            for one in founds:
                link = links.get((one.type, one.remote_id))
                head = heads.get(link.rid) if link else None
                differences += self._of(tx, config, one, head, began)
            return differences

        # In the writer's turn, so that it compares what a delivery would; it writes nothing.
        return await self.flow.store.write(job)

    def _of(self, tx: Tx, config: Config, found: Found, head: Head | None, began: datetime) -> list[Difference]:
        name = f"{head.type}/{head.id}" if head else None
        if found.doubt is not None:
            return [Difference("held", name, found.remote_id, WHOLE, found.doubt)]
        if head is None:
            return [Difference("unknown here", name, found.remote_id, WHOLE)] if found.body is not None else []
        if found.body is None:
            return [] if head.deleted else [Difference("missing there", name, found.remote_id, WHOLE)]
        if head.deleted and head.type != "Patient":
            return []
        try:
            compare = self._patient if head.type == "Patient" else self._clinical
            return compare(tx, config, found, head, began)
        except GatewayError as error:
            return [Difference("held", name, found.remote_id, WHOLE, error.message)]

    def _patient(self, tx: Tx, config: Config, found: Found, head: Head, began: datetime) -> list[Difference]:
        world = World(tx, self.flow.directory(tx))
        assert found.body is not None
        before = split(_body(tx, head))
        body = findings.with_our_references(tx, config, found.body)
        seen = Seen(found.remote_id, body, found.at, found.version, found.coverage)
        nothing = timedelta(0)
        due = copies.prepare(world, head.rid, config, found.remote_id, seen, began, _UNWRITTEN, nothing)
        made = [one.body for one in world.changes.versions if one.rid == head.rid and one.body]
        after = split(bodies.content_of(json.decode(made[-1]))) if made else before
        theirs = split(body)
        taken = [slot for slot in {**before, **after} if not exact(before.get(slot), after.get(slot))]
        sent = due.slots if config.pushes("Patient") else {}
        name = f"Patient/{head.id}"
        return [
            *(
                Difference("take", name, found.remote_id, slot, None, before.get(slot), theirs.get(slot))
                for slot in sorted(taken)
            ),
            *(
                Difference("send", name, found.remote_id, slot, None, value, theirs.get(slot))
                for slot, value in sorted(sent.items())
            ),
        ]

    def _clinical(self, tx: Tx, config: Config, found: Found, head: Head, _began: datetime) -> list[Difference]:
        assert found.body is not None
        current = tx.current([head.rid])[head.rid]
        ours = bodies.content_of(_body(tx, head))
        theirs = bodies.content_of(findings.with_our_references(tx, config, found.body))
        own = current.source == config.name
        fields = sorted((ours.keys() | theirs.keys()) - {"resourceType"} if own else ours.keys())
        differing = [field for field in fields if not exact(ours.get(field), theirs.get(field))]
        kind: Kind = "take" if own else "send"
        if kind == "send" and (not config.pushes(head.type) or _in_their_words(tx, config, found, ours, theirs)):
            return []
        name = f"{head.type}/{head.id}"
        return [
            Difference(kind, name, found.remote_id, field, None, ours.get(field), theirs.get(field))
            for field in differing
        ]

    # --- repair -------------------------------------------------------------------------------------------------------

    async def _mend(
        self, config: Config, founds: Sequence[Found], differences: Sequence[Difference], began: datetime
    ) -> None:
        """Take in what they say, then order what they lack. What they no longer hold is left to a person: an empty
        answer may be a wrong address."""
        taken = {one.there for one in differences if one.kind in ("take", "unknown here")}
        theirs = [one for one in founds if one.remote_id in taken and one.body is not None]
        if theirs:
            body = findings.message_body(theirs)
            received = Received(config.name, None, "reconcile", "application/json", body)
            await findings.take(self.flow, received, config, theirs, read_start=began)
        sent = {(one.resource, one.there) for one in differences if one.kind == "send" and one.resource}
        if sent:
            await self.flow.store.write(lambda tx: _order(tx, config, sent))
            self.flow.ordered()


def _in_their_words(reader: Reader, config: Config, found: Found, ours: Resource, theirs: Resource) -> bool:
    """Whether they show what they were sent as they keep it: it would be sent again for ever."""
    record = reader.records_of(config.name, [(found.type, found.remote_id)]).get((found.type, found.remote_id))
    kept = record.digest if record is not None else None
    return bodies.is_known(kept, bodies.digest(ours)) and bodies.is_known(kept, bodies.digest(theirs))


def _order(tx: Tx, config: Config, sent: set[tuple[str, str]]) -> None:
    """Standing orders for these copies; of a clinical one it is forgotten that it was there."""
    changes = Changes()
    for resource, there in sorted(sent):
        kind, _, id_ = resource.partition("/")
        head = tx.heads([(kind, id_)])[kind, id_]
        changes.deliveries.append(NewDelivery(config.name, head.rid, there, head.patient, head.number, tx.now))
        if kind != "Patient":
            known: RecordRow = tx.records_of(config.name, [(kind, there)])[kind, there]
            changes.records.append(known._replace(digest=None))
    tx.write(changes)


def _body(reader: Reader, head: Head) -> Resource:
    """The current content; of a deleted one its last."""
    version = reader.current([head.rid])[head.rid]
    body = version.body
    if body is None:
        before = reader.version(head.rid, version.number - 1)
        body = before.body if before else None
    if body is None:
        raise Conflict("nothing is kept of it here")
    return bodies.content_of(json.decode(body))
