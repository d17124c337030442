"""The way of a message, top to bottom: accept, normalise, apply, reconcile (docs/explain/architecture.md).

accept      the route has authenticated the caller; here the message gets its id and de-duplication key
normalise   bytes -> resources and what they can speak about: depth cap, schema gate, issues collected
apply       in the writer's turn: who is meant, observe, consolidate, versions, keys, index, orders, Provenance
reconcile   a worker reads their side, compares, pushes what differs, records what was accepted (reconciling/)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from gateway import reading
from gateway.errors import Conflict, GatewayError, InvalidInput
from gateway.fhir import bundle as bundles
from gateway.fhir import json, times
from gateway.fhir.bundle import Entry
from gateway.fhir.gate_passed import Passed
from gateway.fhir.issue import Issue, outcome
from gateway.fhir.json import Resource
from gateway.planning import provenance
from gateway.planning.apply import Applied, apply
from gateway.planning.directory import Directory, build
from gateway.planning.entries import checked, resource_path, to_item
from gateway.planning.uuid7 import new_id
from gateway.planning.world import Item, Speaker, World
from gateway.store import AuditRow, Changes, MessageRow, MessageUpdate, Reader, Store, Tx

Answer = Callable[[Sequence[Applied], Tx], "Outcome"]
"""Made inside the transaction, after its rows: the GETs of a transaction see what it wrote."""

Refuse = Callable[[Tx], "Outcome | None"]
"""Asked inside the transaction, before its rows."""


def _never(_: Tx) -> None:
    return None


_LONGEST_DEDUPE = 255


@dataclass(frozen=True, slots=True)
class Received:
    """A message at the door: who sent it, as what, and its bytes. `dedupe`: their event id or Idempotency-Key, `asked`:
    a digest of what they asked beside the body, so that the same key for something else is seen."""

    connector: str
    principal: str | None
    kind: str
    media_type: str
    body: bytes
    dedupe: str | None = None
    asked: str = ""
    message_id: str = field(default_factory=lambda: new_id(datetime.now(UTC)))

    def row(self, state: str, at: datetime, result: bytes | None = None, error: str | None = None) -> MessageRow:
        """The message as stored."""
        who = (self.message_id, self.connector, self.principal, self.kind, self.media_type, at, self.dedupe)
        return MessageRow(*who, state, self.body, result, error)

    def audit(self, at: datetime, status: int) -> AuditRow:
        """A write of patient data, tried or done."""
        return AuditRow(at, self.principal, self.connector, "U", None, None, status, self.message_id)

    def audit_of(self, applied: Applied, at: datetime) -> AuditRow:
        """What became of one resource."""
        assert applied.state is not None, "of what is not there nothing became"
        action, status = ("C", 201) if applied.created else ("U", 200)
        if applied.item.resource is None:
            action, status = "D", 204
        return self.audit(at, status)._replace(action=action, type=applied.state.type, id=applied.state.id)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a synchronous caller is answered; kept with the message when it may be asked for again."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def dump(self, asked: str) -> bytes:
        return json.encode([self.status, self.headers, asked]) + b"\n" + self.body

    @classmethod
    def load(cls, data: bytes) -> tuple[Outcome, str]:
        """It, and what was asked."""
        head, _, body = data.partition(b"\n")
        status, headers, asked = json.decode(head)
        return cls(status, body, headers), asked


class _Done(NamedTuple):
    """What became of one entry of a batch; `world`: what it changed."""

    answer: bundles.Answer
    world: World | None = None
    error: GatewayError | None = None


def dedupe_key(kind: str, given: str | None, *, of: str | None = None) -> str | None:
    """What a sender calls its message (`key:` an Idempotency-Key, `event:` an event id), None when it does not. `of`:
    the principal whose name for it that is, where it is not its connector's.

    Raises InvalidInput when it is too long to be kept.
    """
    if not given:
        return None
    if len(given) > _LONGEST_DEDUPE:
        raise InvalidInput(f"an Idempotency-Key or event id has at most {_LONGEST_DEDUPE} characters")
    return f"{kind}:{given}" if of is None else f"{kind}:{of}\n{given}"  # a principal's name has no line break


class Flow:
    """The steps, over one store. Everything else they need is handed in with the message."""

    def __init__(
        self, store: Store, *, ours: str, tolerance: timedelta, ordered: Callable[[], None] = lambda: None
    ) -> None:
        """`ordered` is called after a commit that made deliveries due."""
        self.store = store
        self.ordered = ordered
        self.ours = ours
        self._tolerance = tolerance
        self._directory: tuple[int, Directory] | None = None
        self._passed = Passed()

    def directory(self, reader: Reader) -> Directory:
        """The configured connectors, read again when any of them changed."""
        epoch = reader.connector_epoch()
        if self._directory is None or self._directory[0] != epoch:
            self._directory = (epoch, build(reader.connectors(), ours=self.ours, tolerance=self._tolerance))
        return self._directory[1]

    # --- accept -------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def accepted(self, received: Received) -> AsyncIterator[None]:
        """Around normalise and apply: what is refused leaves an audit row, what is held its message too."""
        try:
            yield
        except GatewayError as error:
            if not error.transient:
                await self._refused(received, error)
            raise

    async def _refused(self, received: Received, error: GatewayError) -> None:
        await self.store.write(lambda tx: tx.write(_refusal(tx, received, error)))

    async def finish(
        self, received: Received, state: str, error: str | None = None, *, issues: bytes | None = None
    ) -> None:
        """What became of a message that was stored first."""
        update = MessageUpdate(received.message_id, state, error=error, issues=issues)
        await self.store.write(lambda tx: tx.write(Changes(message_updates=[update])))

    async def store_first(self, received: Received) -> str:
        """Commit a message before it is acknowledged (webhooks, polls, queues); the id of the one that is kept, which
        is another one's when it came before."""

        def job(tx: Tx) -> str:
            before = received.dedupe and tx.message_by_dedupe(received.connector, received.dedupe)
            if before:
                return before.message_id
            tx.write(Changes(messages=[received.row("received", tx.now)]))
            return received.message_id

        return await self.store.write(job)

    # --- normalise ----------------------------------------------------------------------------------------------------

    def entries(self, bundle: Resource, raw: bytes | None = None) -> list[Entry]:
        """The entries of a posted transaction or batch, through depth cap and gate; a batch keeps its bad entries.
        `raw`: the bytes that it was read from, so that they are judged once."""
        if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "transaction":
            return [checked(entry) for entry in bundles.read(bundle, base=self.ours)]
        self._passed.require(bundle, raw)
        return bundles.read(bundle, base=self.ours)

    # --- apply --------------------------------------------------------------------------------------------------------

    async def apply(
        self, received: Received, items: Sequence[Item], speaker: Speaker, answer: Answer, *, instead: Refuse = _never
    ) -> Outcome:
        """Everything a message changes, in one transaction with the message itself.

        An Idempotency-Key seen again answers the stored outcome. `instead`: what is answered when nothing is to be
        applied after all. Raises what `planning.apply` raises.
        """

        def job(tx: Tx) -> Outcome:
            before = _outcome_before(tx, received)
            if before is not None:
                return before
            if (refused := instead(tx)) is not None:
                tx.write(Changes(audits=[received.audit(tx.now, refused.status)]))
                return refused
            if received.dedupe is None:  # the outcome is not kept, so the message can go with the rest
                return answer(self._applied(tx, received, items, speaker, [received.row("applied", tx.now)]), tx)
            given = answer(self._applied(tx, received, items, speaker), tx)
            tx.write(Changes(messages=[received.row("applied", tx.now, given.dump(received.asked))]))
            return given

        outcome = await self.store.write(job)
        self.ordered()
        return outcome

    async def repeated(self, received: Received, given: Outcome) -> Outcome:
        """A message that says nothing new: kept, and nothing else."""

        def job(tx: Tx) -> Outcome:
            before = _outcome_before(tx, received)
            if before is not None:
                return before
            result = given.dump(received.asked) if received.dedupe is not None else None
            audits = [received.audit(tx.now, given.status)]
            tx.write(Changes(messages=[received.row("applied", tx.now, result)], audits=audits))
            return given

        return await self.store.write(job)

    async def apply_stored(
        self,
        received: Received,
        item: Item,
        speaker: Speaker,
        fresh: Callable[[Tx], bool],
        *,
        issues: bytes | None = None,
    ) -> bool:
        """The same for a message that was committed before; False, and nothing done, when it is no longer `fresh`.
        `issues`: what in it could not be translated."""

        def job(tx: Tx) -> bool:
            if not fresh(tx):
                return False
            self._applied(tx, received, [item], speaker)
            tx.write(Changes(message_updates=[MessageUpdate(received.message_id, "applied", issues=issues)]))
            return True

        done = await self.store.write(job)
        self.ordered()
        return done

    def _applied(
        self,
        tx: Tx,
        received: Received,
        items: Sequence[Item],
        speaker: Speaker,
        messages: Iterable[MessageRow] = (),
    ) -> list[Applied]:
        world = World(tx, self.directory(tx))
        applied = apply(world, items, speaker)
        world.changes.messages += messages
        world.changes.audits += audits_of(received, applied, tx.now)
        tx.write(world.changes)
        return applied

    async def transaction(self, received: Received, entries: Sequence[Entry], *, full: bool) -> Outcome:
        """A FHIR client's transaction, all or nothing (FHIR R4 §3.1.0.11.2). `full`: answered with the resources."""
        refused = next((entry.error for entry in entries if entry.error is not None), None)
        if refused is not None:
            raise refused
        items = [to_item(entry) for entry in bundles.in_order(entries) if entry.writes]
        speaker = Speaker(received.connector, "client", received.message_id, received.principal, shows=full)

        def answer(applied: Sequence[Applied], tx: Tx) -> Outcome:
            written = {one.item.path: to_answer(one, tx.now, full=full) for one in applied}
            said = [written.get(resource_path(entry)) or self._read_entry(tx, entry) for entry in entries]
            tx.write_audits(_read_audits(received, entries, said, tx.now))
            return Outcome(200, json.encode(bundles.response("transaction", said)))

        return await self.apply(received, items, speaker, answer)

    def _read_entry(self, reader: Reader, entry: Entry) -> bundles.Answer:
        return reading.answer(reader, self.directory, entry, self.ours)

    async def batch(self, received: Received, entries: Sequence[Entry], *, full: bool) -> Outcome:
        """A FHIR client's batch: each entry for itself; one bad entry never loses the rest (FHIR R4 §3.1.0.11.1).

        One commit for all, so that an Idempotency-Key finds a batch done or not begun, and nothing between.
        """
        speaker = Speaker(received.connector, "client", received.message_id, received.principal, shows=full)

        def job(tx: Tx) -> Outcome:
            before = _outcome_before(tx, received)
            if before is not None:
                return before
            done = [self._batch_entry(tx, received, entry, speaker) for entry in entries]
            given = Outcome(200, json.encode(bundles.response("batch", [one.answer for one in done])))
            self._close_batch(tx, received, entries, speaker, done, given)
            return given

        outcome = await self.store.write(job)
        self.ordered()
        return outcome

    def _batch_entry(self, tx: Tx, received: Received, entry: Entry, speaker: Speaker) -> _Done:
        """What becomes of one entry: planned and written when it can be, else nothing of it and why."""
        try:
            if entry.error is not None:
                raise entry.error
            if not entry.writes:
                return _Done(self._read_entry(tx, entry))
            world = World(tx, self.directory(tx))
            [applied] = apply(world, [to_item(entry)], speaker, whole=False)
            world.changes.audits += audits_of(received, [applied], tx.now)
            tx.write(world.changes)
            return _Done(to_answer(applied, tx.now, full=speaker.shows), world)
        except GatewayError as error:
            return _Done(bundles.Answer(error.status, outcome=outcome(issues_of(error))), error=error)

    def _close_batch(
        self,
        tx: Tx,
        received: Received,
        entries: Sequence[Entry],
        speaker: Speaker,
        done: Sequence[_Done],
        given: Outcome,
    ) -> None:
        """The message, held when any entry is, one Provenance for all that it changed, and its reads."""
        held = next((one.error.message for one in done if type(one.error) is Conflict), None)
        result = given.dump(received.asked) if received.dedupe is not None else None
        last = World(tx, self.directory(tx))
        provenance.add_for(last, [one.world for one in done if one.world is not None], speaker)
        last.changes.messages.append(received.row("held" if held else "applied", tx.now, result, held))
        last.changes.audits += _read_audits(received, entries, [one.answer for one in done], tx.now)
        tx.write(last.changes)

    async def interact(self, received: Received, item: Item, *, full: bool) -> Outcome:
        """A FHIR client's create, update or delete of one resource."""
        speaker = Speaker(received.connector, "client", received.message_id, received.principal, shows=full)

        def answer(applied: Sequence[Applied], tx: Tx) -> Outcome:
            return _interaction(applied[0], tx.now, self.ours, full=full)

        return await self.apply(received, [item], speaker, answer)


def issues_of(error: GatewayError) -> Sequence[Issue]:
    """What an error says, as issues."""
    return error.issues or (Issue("error", error.code, error.message, error.expression),)


def to_answer(applied: Applied, now: datetime, *, full: bool) -> bundles.Answer:
    """One entry of a transaction-response."""
    if applied.item.resource is None or applied.state is None:
        return bundles.Answer(204)
    location, after = applied.state.location, applied.after
    at = now if after != applied.before else applied.state.at
    resource = json.raw(applied.body) if full and applied.body else None
    status = 201 if applied.created else 200
    return bundles.Answer(status, f"{location}/_history/{after}", after, at, resource)


def _interaction(applied: Applied, now: datetime, base: str, *, full: bool) -> Outcome:
    said = to_answer(applied, now, full=full)
    if said.version is None or applied.state is None:
        return Outcome(204)
    headers = {"ETag": bundles.etag(said.version), "Location": f"{base}/{said.location}"}
    if said.at is not None:
        headers["Last-Modified"] = times.http_date(said.at)
    return Outcome(said.status, (applied.body or b"") if full else b"", headers)


def _refusal(tx: Tx, received: Received, error: GatewayError) -> Changes:
    """What a refusal leaves: an audit row; a held message is kept whole, for a person to decide, and one that was
    stored first says what became of it."""
    changes = Changes(audits=[received.audit(tx.now, error.status)])
    state = "held" if type(error) is Conflict else "failed"
    if tx.message(received.message_id) is not None:
        changes.message_updates.append(MessageUpdate(received.message_id, state, error=error.message))
    elif state == "held" and not _is_known(tx, received):
        changes.messages.append(received.row(state, tx.now, error=error.message))
    return changes


def _is_known(tx: Tx, received: Received) -> bool:
    return received.dedupe is not None and tx.message_by_dedupe(received.connector, received.dedupe) is not None


def _outcome_before(reader: Reader, received: Received) -> Outcome | None:
    """The stored outcome of the same Idempotency-Key. Raises InvalidInput when body or request was another."""
    if received.dedupe is None:
        return None
    before = reader.message_by_dedupe(received.connector, received.dedupe)
    if before is None:
        return None
    if before.body != received.body:
        raise InvalidInput("this Idempotency-Key was used for another body: take a fresh one")
    if before.result is None:
        raise Conflict(before.error or "held: a person must look")
    outcome, asked = Outcome.load(before.result)
    if asked != received.asked:
        raise InvalidInput("this Idempotency-Key was used for another request: take a fresh one")
    return outcome


def audits_of(received: Received, applied: Sequence[Applied], now: datetime) -> list[AuditRow]:
    """One row per Patient a message was about, or for its only resource; one for the whole when it was about others."""
    named = [one for one in applied if one.state is not None]
    about = [one for one in named if one.item.type == "Patient"] or named
    if len(about) > 1 and about[0].item.type != "Patient":
        return [received.audit(now, 200)]
    return [received.audit_of(one, now) for one in about] or [received.audit(now, 200)]


def _read_audits(
    received: Received, entries: Sequence[Entry], said: Sequence[bundles.Answer], now: datetime
) -> list[AuditRow]:
    """One row per GET inside a Bundle."""
    who = (received.principal, received.connector)
    return [
        AuditRow(now, *who, "R" if entry.id else "E", entry.type, entry.id, answer.status, received.message_id)
        for entry, answer in zip(entries, said, strict=True)
        if entry.method == "GET"
    ]
