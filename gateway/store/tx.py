"""Tx: one job's turn in the writer's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from gateway.errors import InvalidInput

from .ahead import Ahead, Known
from .clock import maybe_to_micros, to_micros
from .health import from_health
from .incidents import from_incident
from .keys import Keys
from .mutations import Mutations
from .partners import Remote
from .reader import Reader
from .repeats import RepeatRow
from .rows import (
    AuditRow,
    Changes,
    ConnectorRow,
    Delivery,
    Head,
    HealthRow,
    Identifier,
    IncidentRow,
    Key,
    LinkRow,
    NewVersion,
    PrincipalRow,
    RecordRow,
)
from .runs import RunRow, to_run
from .schema import LIVE
from .source import Statements
from .sql import Row, Session, Step
from .vault import Vault

LONGEST_KEY = 600
"""Characters of an identifier and its system."""


class Turn:
    """What the jobs of one batch share: the next seq, the time of the last change, what was read for all of them."""

    __slots__ = ("ahead", "epoch", "micros", "seq")

    def __init__(self, seq: int, micros: int) -> None:
        self.seq = seq
        self.micros = micros
        self.ahead: Ahead | None = None
        self.epoch: int | None = None


class Tx(Reader):
    """`now` is fixed for the job and later than the time of every earlier version. A job is run again when the batch
    is, so it must not change anything outside."""

    def __init__(
        self,
        session: Session,
        statements: Statements,
        mutations: Mutations,
        vault: Vault | None,
        keys: Keys,
        turn: Turn,
        now: datetime,
    ) -> None:
        super().__init__(session, statements, vault)
        self.mutations = mutations
        self._keys = keys
        self._turn = turn
        self.now = now
        self.wrote = False

    def new_rid(self) -> int:
        return self._keys.take()

    def new_id(self, *, after: int = 0) -> int:
        """For records, links and whatever else has a number of its own. `after`: what it must be larger than, where the
        numbers of several processes have to be in order."""
        return self._keys.take(after)

    def heads_and_patients(self, rids: Iterable[int]) -> list[tuple[Head, bytes | None]]:
        known = self._ahead(rids := list(rids))
        return super().heads_and_patients(rids) if known is None else [(one.head, one.body) for one in known]

    def records(self, rids: Iterable[int]) -> dict[int, list[RecordRow]]:
        known = self._ahead(rids := list(rids))
        return super().records(rids) if known is None else {one.head.rid: one.records for one in known}

    def links(self, rids: Iterable[int]) -> dict[int, list[LinkRow]]:
        known = self._ahead(rids := list(rids))
        return super().links(rids) if known is None else {one.head.rid: one.links for one in known}

    def _ahead(self, rids: Sequence[int]) -> list[Known] | None:
        return None if self._turn.ahead is None else self._turn.ahead.find(rids)

    def connector_epoch(self) -> int:
        if self._turn.epoch is None:
            self._turn.epoch = super().connector_epoch()
        return self._turn.epoch

    def write(self, changes: Changes) -> None:
        """Raises Stale (the writer plans the batch again) and InvalidInput (a text with U+0000 and the like)."""
        if self._turn.ahead is not None:
            self._turn.ahead.forget(changes)
        self.apply(tuple(self._steps(changes)))

    def apply(self, steps: Sequence[Step]) -> None:
        filled = [step for step in steps if step.rows]
        if filled:
            self.wrote = True
            self._session.apply(filled)

    def _steps(self, changes: Changes) -> Iterator[Step]:
        to, at = self.mutations, to_micros(self.now)
        _refuse_long(changes.keys_added)
        _refuse_long(changes.identifiers_added)
        yield from self._resources(changes, at)
        yield Step(to.keys_removed, changes.keys_removed)
        yield Step(to.keys_added, changes.keys_added)
        yield Step(to.identifiers_removed, changes.identifiers_removed)
        yield Step(to.identifiers_added, [(kind, value, system, rid) for kind, system, value, rid in _unique(changes)])
        yield from self._copies(changes, at)
        yield Step(to.deliveries, [self._order(*row, at) for row in changes.deliveries])
        yield Step(to.messages_new, [(*row[:5], to_micros(row.at), *row[6:]) for row in changes.messages])
        yield Step(to.messages_updated, [(*row[1:], row[0]) for row in changes.message_updates], exact=True)
        yield self._audited(changes.audits)
        yield Step(to.conflicts_removed, [(rid,) for rid in changes.conflicts])
        listed = [(rid, *row, at) for rid, rows in changes.conflicts.items() for row in rows]
        yield Step(to.conflicts_new, listed)

    def _resources(self, changes: Changes, at: int) -> Iterator[Step]:
        versions = [self._numbered(version, at) for version in changes.versions]
        newest = {row[1]: (row[2], row[0], at, row[6] == "delete") for row in versions}
        heads = [(head.rid, head.type, head.id, *newest[head.rid], head.patient) for head in changes.heads_new]
        updates = [(*newest[head.rid], head.patient, head.rid, head.expected) for head in changes.heads_updated]
        yield Step(self.mutations.heads_new, heads)
        yield Step(self.mutations.heads_updated, updates, exact=True)
        yield Step(self.mutations.versions, versions)
        yield Step(self.mutations.belongs_removed, [(rid,) for rid in changes.belongs])
        yield Step(self.mutations.belongs_new, [(rid, one) for rid, all_ in changes.belongs.items() for one in all_])

    def _numbered(self, version: NewVersion, at: int) -> Row:
        self._turn.seq += 1
        rid, number, method, source, message_id, body = version
        return (self._turn.seq, rid, number, at, message_id, source, method, body)

    def _copies(self, changes: Changes, at: int) -> Iterator[Step]:
        to = self.mutations
        new = [record for record in changes.records if not record.revision]
        known = [record for record in changes.records if record.revision]
        yield Step(to.records_new, [self._first(record) for record in new])
        yield Step(to.records_updated, [_next(record) for record in known], exact=True)
        yield Step(to.links_undone, [(at, number) for number in changes.links_undone], exact=True)
        links = [(*row[:6], to_micros(row.at), maybe_to_micros(row.undone_at) or LIVE) for row in changes.links]
        yield Step(to.links_new, links)

    def _first(self, record: RecordRow) -> Row:
        _, connector, kind, remote_id, rid, _, state, digest, read_at = record
        number = record.record_id or self._keys.take()
        return (number, connector, kind, remote_id, rid, 1, state, digest, maybe_to_micros(read_at))

    def _order(
        self, connector: str, rid: int, remote_id: str, patient: int | None, want: int, due_at: datetime, at: int
    ) -> Row:
        group = rid if patient is None else patient
        due = to_micros(due_at)
        return (self._keys.take(), connector, rid, remote_id, group, "due", 0, due, None, None, want, None, at)

    def write_audits(self, audits: Sequence[AuditRow]) -> None:
        if audits:
            self.apply([self._audited(audits)])

    def _audited(self, audits: Sequence[AuditRow]) -> Step:
        rows = [(self._keys.take(), to_micros(row.at), *row[1:]) for row in audits]
        return Step(self.mutations.audits, rows)

    def put_connector(self, name: str, config: str, *, state: str = "connected") -> ConnectorRow:
        """Make or replace it; its number stays. `config`: JSON text without secrets."""
        at, changed = to_micros(self.now), self.connector_epoch() + 1
        self.apply([Step(self.mutations.connectors, [(name, self._keys.take(), config, state, at, changed)])])
        self._turn.epoch = changed
        return ConnectorRow(name, self.connector_id(name), config, state, self.now, changed)

    def set_connector_state(self, name: str, state: str) -> None:
        """Raises Missing."""
        self.connector_id(name)
        changed = self.connector_epoch() + 1
        self.apply([Step(self.mutations.connector_states, [(state, to_micros(self.now), changed, name)])])
        self._turn.epoch = changed

    def put_secret(self, connector: str, name: str, value: str) -> None:
        """Encrypted, bound to this connector. Raises Missing."""
        token = self._keeper().seal(self.connector_id(connector), name, value)
        self.apply([Step(self.mutations.secrets, [(connector, name, token)])])

    def remove_secret(self, connector: str, name: str) -> None:
        self.apply([Step(self.mutations.secrets_removed, [(connector, name)])])

    def put_run(self, row: RunRow) -> None:
        """Make or change it."""
        self.apply([Step(self.mutations.runs, [to_run(row)])])

    def put_repeat(self, row: RepeatRow) -> None:
        """What an Idempotency-Key was used for."""
        kept = (row.repeat_id, "repeat", row.principal, row.made, "done", row.asked, None, to_micros(self.now), None)
        self.apply([Step(self.mutations.requests_new, [kept])])

    def put_digests(self, connector: str, digests: Mapping[Remote, bytes]) -> None:
        """What their resources are like now."""
        rows = [(connector, *remote, digest) for remote, digest in digests.items()]
        self.apply([Step(self.mutations.digests, rows)])

    def put_health(self, row: HealthRow) -> None:
        """How a connector is doing from now on."""
        self.apply([Step(self.mutations.healths, [from_health(row)])])

    def put_incident(self, row: IncidentRow) -> None:
        """A new one, or one that was seen again or is over."""
        self.apply([Step(self.mutations.incidents, [from_incident(row)])])

    def replay(self, rows: Sequence[Delivery]) -> None:
        """Try these again from the beginning, now. Raises Stale when one of them has another state by now."""
        at = to_micros(self.now)
        again = [("due", 0, at, None, at, row.delivery_id, row.state) for row in rows]
        self.apply([Step(self.mutations.deliveries_replayed, again, exact=True)])

    def make_due(self, connector: str, *, limit: int) -> int:
        """Those of its deliveries whose time has not come are due at once, at most `limit`; how many there were."""
        ids = self.later(connector, self.now, limit=limit)
        at = to_micros(self.now)
        self.apply([Step(self.mutations.deliveries_made_due, [(at, one, "due") for one in ids])])
        self.apply([Step(self.mutations.deliveries_made_due, [(at, one, "unknown") for one in ids])])
        return len(ids)

    def stop_patient(self, connector: str, patient: int) -> None:
        """Send nothing about this patient there until it is released."""
        self.apply([Step(self.mutations.stops, [(connector, patient, to_micros(self.now))])])

    def release_patient(self, connector: str, patient: int) -> None:
        self.apply([Step(self.mutations.stops_ended, [(connector, patient)])])

    def add_principal(self, name: str, connector: str, scopes: Sequence[str], key_hash: bytes) -> PrincipalRow:
        row = PrincipalRow(self._keys.take(), name, connector, tuple(scopes), key_hash, self.now)
        stored = (row.principal_id, name, connector, " ".join(scopes), key_hash, to_micros(self.now), None, None)
        self.apply([Step(self.mutations.principals_new, [stored])])
        return row

    def revoke_principal(self, principal_id: int) -> None:
        self.apply([Step(self.mutations.principals_revoked, [(to_micros(self.now), principal_id)], exact=True)])

    def touch_principals(self, principal_ids: Sequence[int]) -> None:
        """They were used now."""
        rows = [(to_micros(self.now), number) for number in principal_ids]
        self.apply([Step(self.mutations.principals_used, rows)])


def _refuse_long(rows: Sequence[Key] | Sequence[Identifier]) -> None:
    """PostgreSQL cannot index more; the same on both."""
    for row in rows:
        if len(row.system) + len(row.value) > LONGEST_KEY:
            raise InvalidInput(f"an identifier of more than {LONGEST_KEY} characters cannot be stored")


def _unique(changes: Changes) -> Iterator[tuple[str, str, str, int]]:
    return iter(dict.fromkeys(changes.identifiers_added))


def _next(record: RecordRow) -> Row:
    read_at = maybe_to_micros(record.read_at)
    fresh = (record.remote_id, record.rid, record.state, record.digest, read_at, record.revision + 1)
    return (*fresh, record.record_id, record.revision)
