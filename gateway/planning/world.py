"""World: what one message meets (heads, bodies, records) and what it will change, as rows for one write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from gateway.fhir import json, record
from gateway.fhir.condition import Condition
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage, Record
from gateway.planning.directory import Directory
from gateway.store import Changes, Head, LinkRow, RecordRow, Tx

Action = Literal["create", "update", "delete"]
EVERYTHING = Coverage()


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who states something. `client`: a FHIR client, which means our resources; `system`: a system with its own ids.

    `at` = the source's own time of what it says, `read_start` = when the read that told it began; `shows` = whether
    the answer carries the stored form, which then counts as shown to the caller.
    """

    connector: str
    kind: Literal["client", "system"]
    message_id: str
    principal: str | None = None
    coverage: Coverage = EVERYTHING
    at: datetime | None = None
    read_start: datetime | None = None
    shows: bool = False
    dated: bool = False


class Item(NamedTuple):
    """One resource of a message. `id` = ours (a FHIR client's PUT or DELETE by id), `remote_id` = the source's own.

    `identity`: who it is about, where `resource` is but a part of what its system is known to show of that record.
    `if_none_match`: as its header is written; where it names what is there, nothing may be overwritten.
    `document`: the remote id is merely the first id that a document gives its patient, of whatever system.
    """

    path: str
    action: Action
    type: str
    resource: Resource | None = None
    id: str | None = None
    remote_id: str | None = None
    condition: Condition | None = None
    if_match: str | None = None
    if_none_match: str | None = None
    full_url: str | None = None
    names: tuple[str, ...] = ()
    identity: Resource | None = None
    document: bool = False


@dataclass(slots=True)
class Known:
    """One system's record as stored (`row`) and as planned (`record`)."""

    row: RecordRow
    record: Record


@dataclass(slots=True)
class State:
    """One resource as this message finds it, and as it leaves it. `number` 0 = it does not exist yet."""

    rid: int
    type: str
    id: str
    number: int = 0
    at: datetime | None = None
    deleted: bool = False
    patient: int | None = None
    raw: bytes | None = None
    is_read: bool = False
    records: dict[tuple[str, str], Known] = field(default_factory=dict)
    links: list[LinkRow] = field(default_factory=list)
    _body: Resource | None = None

    @property
    def body(self) -> Resource:
        """The current version, parsed; empty when there is none. Only after `World.load_bodies`."""
        assert self.is_read, "bodies are read in bulk, before they are needed"
        if self._body is None:
            self._body = json.decode(self.raw) if self.raw else {}
        return self._body

    @property
    def location(self) -> str:
        return f"{self.type}/{self.id}"


class World:
    """Reads in bulk, remembers, and collects rows; lives as long as one job in the writer's turn."""

    def __init__(self, tx: Tx, directory: Directory) -> None:
        self.tx = tx
        self.directory = directory
        self.now = tx.now
        self.changes = Changes()
        self.states: dict[int, State] = {}

    def load(self, rids: Iterable[int]) -> None:
        """Heads and records of these resources, and the bodies of the Patients among them, once each."""
        wanted = [rid for rid in dict.fromkeys(rids) if rid not in self.states]
        if not wanted:
            return
        for head, body in self.tx.heads_and_patients(wanted):
            state = self.states[head.rid] = _from_head(head)
            state.raw, state.is_read = body, head.type == "Patient"
        self._load_records(wanted)

    def load_bodies(self, rids: Iterable[int]) -> None:
        """Their current versions; of clinical resources most messages need none."""
        wanted = [rid for rid in rids if not self.states[rid].is_read]
        for rid, version in self.tx.current(wanted).items() if wanted else ():
            self.states[rid].raw = version.body
        for rid in wanted:
            self.states[rid].is_read = True

    def _load_records(self, rids: list[int]) -> None:
        for rid, rows in self.tx.records(rids).items():
            for row in rows:
                self.states[rid].records[row.connector, row.remote_id] = _known(row)
        patients = [rid for rid in rids if rid in self.states and self.states[rid].type == "Patient"]
        for rid, links in self.tx.links(patients).items() if patients else ():
            self.states[rid].links = [link for link in links if link.undone_at is None]

    def create(self, resource_type: str, public_id: str) -> State:
        """A resource that does not exist yet."""
        state = State(self.tx.new_rid(), resource_type, public_id, is_read=True)
        self.states[state.rid] = state
        return state


def _from_head(head: Head) -> State:
    return State(head.rid, head.type, head.id, head.number, head.at, head.deleted, head.patient)


def _known(row: RecordRow) -> Known:
    if row.type != "Patient":
        return Known(row, _BY_DIGEST)
    return Known(row, record.load(row.connector, row.type, row.remote_id, row.state))


_BY_DIGEST = Record("", "", "")
"""Of a clinical resource its row says all: the digest of what its source last stated."""
