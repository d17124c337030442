"""Ingest: what systems send in their own form - documents, a partner's plain JSON, webhooks - on its way to `Flow`."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Generator, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from gateway.connectors.call import Call, Found, Gather, Reply, Seen
from gateway.connectors.config import Config
from gateway.connectors.event import Event
from gateway.connectors.protocol import Gatherer, Target
from gateway.errors import InvalidInput, PartnerUnavailable
from gateway.fhir import gate, json, record, slots, times
from gateway.fhir.condition import Condition
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage
from gateway.flow import Flow, Outcome, Received
from gateway.intake import findings
from gateway.planning import waiting
from gateway.planning.apply import Applied
from gateway.planning.directory import Directory
from gateway.planning.records import end_record
from gateway.planning.world import Item, Speaker, World
from gateway.store import MessageUpdate, Reader, RecordRow, Tx
from gateway.translators.documents import NAMESPACE, Document, read
from gateway.translators.json import canvas
from gateway.work import Pool

NOTHING_BY_ABSENCE = Coverage(absence=False)
"""A document says what it says; what it leaves out, it leaves open."""

_TRIES = 5
_AT_ONCE = 100
"""Findings in one commit: what an event speaks of may be thousands."""

T = TypeVar("T")


class Ask(Protocol):
    """Makes a connector's calls to its side."""

    async def __call__(self, config: Config, calls: Generator[Call, Reply, T], /) -> T: ...


class Ingest:
    """The system side of the flow. `secret` keys the hashes of ids, `ask` makes a connector's calls to its system."""

    def __init__(self, flow: Flow, pool: Pool, *, secret: bytes, limit: int, ask: Ask) -> None:
        self._flow = flow
        self._pool = pool
        self._secret = secret
        self._limit = limit
        self._ask = ask

    async def document(self, received: Received) -> Outcome:
        """A C-CDA document: her record enriched, the original kept, what no translator understood reported."""
        async with self._flow.accepted(received):
            body = received.body
            document = await self._pool.run(read, body, received.connector, self._secret, self._limit)
            items = [*_items(document), *_original(document, received)]
            known = await self._flow.store.query(lambda reader: _patient_of(reader, received.connector, items))
            if known is not None:
                # Folded in before, perhaps long before others of her documents: it has nothing new to say.
                given = Outcome(200, json.encode(_report(document, received, known)))
                return await self._flow.repeated(received, given)
            speaker = Speaker(
                received.connector,
                "system",
                received.message_id,
                received.principal,
                coverage=NOTHING_BY_ABSENCE,
                at=document.converted.effective_time,
                dated=True,
            )

            def answer(applied: Sequence[Applied], _: Tx) -> Outcome:
                return Outcome(200, json.encode(_report(document, received, _made(applied))))

            return await self._flow.apply(received, items, speaker, answer)

    async def seed(self, received: Received, body: json.Json) -> Outcome:
        """A partner's new patient in Canvas' form: 202 with the external identifier (canvas.md, surface A)."""
        async with self._flow.accepted(received):
            config = await self._config(received.connector)
            seed = canvas.from_seed(body, stated=None if config.has_ids else config.remote_system)
            gate.require(seed.patient)
            item = Item("Patient", "update", "Patient", seed.patient, remote_id=seed.partner_id)
            speaker = Speaker(
                received.connector, "system", received.message_id, received.principal, coverage=seed.coverage
            )

            def answer(_: Sequence[Applied], __: Tx) -> Outcome:
                external = {"system": config.remote_system, "value": seed.partner_id}
                issues = [issue.to_fhir() for issue in seed.issues]
                said = {"external_identifier": external, **({"issues": issues} if issues else {})}
                return Outcome(202, json.encode(said))

            return await self._flow.apply(received, [item], speaker, answer)

    async def event(self, received: Received, config: Config) -> None:
        """A stored webhook: read their side again where it can be read, and apply that.

        Raises PartnerUnavailable while their side cannot be read: the message stays received and is tried again.
        """
        async with self._flow.accepted(received):
            event = config.told(received.body, self._flow.ours)
            if event.kind == "gather":
                await self._gather(received, config, event)
            elif event.kind == "ignored" or event.type is None or event.remote_id is None:
                await self._flow.finish(received, "applied", issues=findings.issues_json(event.issues))
            elif event.kind == "deleted":
                await self._end(received, event)
            else:
                await self._observe(received, config, event)

    async def _gather(self, received: Received, config: Config, event: Event) -> None:
        """Fetch everything the event speaks about, and apply it."""
        assert isinstance(config.connector, Gatherer)
        began = self._flow.store.now()
        calls = config.connector.gather(event, config.side(self._flow.ours))
        founds = await self._fetched(config, calls) if config.sync.read else _uncalled(calls)
        await findings.take(self._flow, received, config, founds, read_start=began, at_once=_AT_ONCE)

    async def _fetched(self, config: Config, calls: Gather) -> list[Found]:
        """Every call with a time limit of its own: an event may name many files, and fetching writes nothing there."""
        try:
            call = next(calls)
            while True:
                call = calls.send(await self._ask(config, _alone(call)))
        except StopIteration as finished:
            founds: list[Found] = finished.value
            return founds
        finally:
            calls.close()

    async def found(
        self, received: Received, config: Config, founds: Sequence[Found], *, read_start: datetime
    ) -> list[findings.Landed]:
        """What a look at their side met (a poll, a first contact, a queue), as their own records."""
        return await findings.take(self._flow, received, config, founds, read_start=read_start)

    async def _observe(self, received: Received, config: Config, event: Event) -> None:
        for _ in range(_TRIES):
            if await self._observe_once(received, config, event):
                return
        raise PartnerUnavailable("their record kept changing while it was read")

    async def _observe_once(self, received: Received, config: Config, event: Event) -> bool:
        """False when the record changed since the read began: what was read may be older than what is known."""
        assert event.type is not None and event.remote_id is not None
        began = self._flow.store.now()
        target, row = await self._flow.store.query(lambda reader: self._target(reader, config, event))
        revision = row.revision if row else 0
        side = config.side(self._flow.ours)
        if config.sync.read:
            seen: Seen = await self._ask(config, config.connector.read(target, side))
        else:
            seen = config.connector.translate(event.data, target, side)
        if seen.body is None:
            await self._end(received, event)
            return True
        shown = Found(event.type, seen.remote_id or event.remote_id, seen.body, ours=seen.ours)
        body, own = await self._flow.store.query(lambda reader: self._here(reader, config, shown))
        gate.require(body)
        whole = {**(target.known or {}), **body} if not config.sync.read else None
        item = Item(event.type, "update", event.type, body, remote_id=shown.remote_id, condition=own, identity=whole)
        at = seen.at if config.sync.read else event.at or seen.at
        speaker = Speaker(
            config.name,
            "system",
            received.message_id,
            coverage=seen.coverage or config.form.reads,
            at=times.from_instant(at) if at else None,
            read_start=began,
            dated=not config.sync.read and at is not None,
        )

        def fresh(tx: Tx) -> bool:
            now = tx.records_of(config.name, [(item.type, item.remote_id or "")])
            return (next(iter(now.values())).revision if now else 0) == revision

        return await self._flow.apply_stored(received, item, speaker, fresh, issues=findings.issues_json(seen.issues))

    def _here(self, reader: Reader, config: Config, found: Found) -> tuple[Resource, Condition | None]:
        """With what it refers to as it is known here, and which resource of ours an unknown copy says that it is.
        Raises PartnerUnavailable while our own write of that is under way: its answer will say."""
        assert found.body is not None
        head = findings.known_here(reader, config, found)
        if head is not None and waiting.is_on_its_way(reader, config, head):
            raise PartnerUnavailable("our own write of it is under way")
        body = findings.with_our_references(reader, config, found.body)
        return body, findings.ours_is(head, self._flow.ours) if head else None

    def _target(self, reader: Reader, config: Config, event: Event) -> tuple[Target, RecordRow | None]:
        assert event.type is not None and event.remote_id is not None
        pair = (event.type, event.remote_id)
        row = reader.records_of(config.name, [pair]).get(pair)
        heads = reader.heads_by_rid([row.rid]) if row and row.rid is not None else {}
        ours = next((head.id for head in heads.values()), "")
        known = _shown(row) if row and event.type == "Patient" else None
        return Target(event.type, ours, event.remote_id, known=known), row

    async def _end(self, received: Received, event: Event) -> None:
        """Their delete ends the record: what they had said stays known, nothing is sent there any more."""

        def job(tx: Tx) -> None:
            world = World(tx, self._flow.directory(tx))
            end_record(world.tx, world.changes, received.connector, event.type or "", event.remote_id or "")
            world.changes.message_updates.append(MessageUpdate(received.message_id, "applied"))
            tx.write(world.changes)

        await self._flow.store.write(job)

    async def _config(self, name: str) -> Config:
        directory: Directory = await self._flow.store.query(self._flow.directory)
        return directory.peer(name)


def _uncalled(calls: Generator[Call, Reply, T]) -> T:
    """What comes of an event that is believed as it is: nothing is asked for."""
    try:
        next(calls)
    except StopIteration as finished:
        result: T = finished.value
        return result
    raise InvalidInput("this event cannot be used without reading their side: set sync.read true")


def _alone(call: Call) -> Generator[Call, Reply, Reply]:
    return (yield call)


def _shown(row: RecordRow) -> Resource:
    """What their side was last seen to show: it completes a model that names half a name."""
    kept = record.load(row.connector, row.type, row.remote_id, row.state)
    return slots.join(row.type, {slot: one.value for slot, one in kept.shown.items() if one.value is not None})


def _items(document: Document) -> list[Item]:
    entries = document.converted.bundle["entry"]
    return [_item(index, entry, document) for index, entry in enumerate(entries)]


def _item(index: int, entry: Resource, document: Document) -> Item:
    resource = entry["resource"]
    type_, id_ = resource["resourceType"], resource["id"]
    remote_id = document.remote_id if type_ == "Patient" else id_
    names = (f"{type_}/{id_}",)
    path = f"Bundle.entry[{index}].resource"
    url = entry["fullUrl"]
    return Item(path, "update", type_, resource, remote_id=remote_id, full_url=url, names=names, document=True)


def _original(document: Document, received: Received) -> list[Item]:
    """The document as it came, as Binary, and the DocumentReference by which it is found (FHIR R4 §10.3)."""
    data = received.body
    binary_id = str(uuid.uuid5(NAMESPACE, f"{document.patient_id}\nBinary\n{_sha256(data)}"))
    reference_id = str(uuid.uuid5(NAMESPACE, f"{document.patient_id}\nDocumentReference\n{_sha256(data)}"))
    media = received.media_type.partition(";")[0].strip() or "application/xml"
    resources = (one["resource"] for one in document.converted.bundle["entry"])
    composition: Resource = next((one for one in resources if one["resourceType"] == "Composition"), {})
    subject = {"reference": f"Patient/{document.patient_id}"}
    binary = {"resourceType": "Binary", "contentType": media, "data": base64.b64encode(data).decode()}
    attachment = {
        "contentType": media,
        "url": f"urn:uuid:{binary_id}",
        "size": len(data),
        "hash": base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode(),
    }
    reference: Resource = {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": subject,
        "content": [{"attachment": attachment}],
    }
    reference |= {name: composition[name] for name in ("type", "identifier") if name in composition}
    if "identifier" in reference:
        reference["masterIdentifier"] = reference.pop("identifier")
    return [
        Item("Binary", "update", "Binary", binary, remote_id=binary_id, full_url=f"urn:uuid:{binary_id}"),
        Item("DocumentReference", "update", "DocumentReference", reference, remote_id=reference_id),
    ]


def _patient_of(reader: Reader, connector: str, items: Sequence[Item]) -> str | None:
    """The Patient of a document whose very bytes were taken in before, by the Binary that keeps them; None for a new
    one, and when she was deleted or parted from it since."""
    [patient] = [("Patient", item.remote_id or "") for item in items if item.type == "Patient"]
    binary = [("Binary", item.remote_id or "") for item in items if item.type == "Binary"][-1]
    rows = reader.records_of(connector, [patient, binary])
    rids = [row.rid for row in rows.values() if row.rid is not None]
    heads = [head for head in reader.heads_by_rid(rids).values() if not head.deleted]
    return next((head.id for head in heads if head.type == "Patient"), None) if len(heads) == 2 else None


def _made(applied: Sequence[Applied]) -> str:
    """The id of the Patient of a document that was applied."""
    return next(one.state.id for one in applied if one.item.type == "Patient" and one.state is not None)


def _report(document: Document, received: Received, patient: str) -> Resource:
    return {
        "patient": patient,
        "message": received.message_id,
        "report": document.converted.report,
        "issues": [issue.to_fhir() for issue in document.converted.issues],
    }


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
