"""What goes into the store and comes out of it: narrow immutable rows; times are aware datetimes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple


class Head(NamedTuple):
    """A resource as it stands: `number` is meta.versionId, `seq` its place in the feed, `patient` the rid of the
    Patient in whose compartment it is (a Patient's own)."""

    rid: int
    type: str
    id: str
    number: int
    seq: int
    at: datetime
    deleted: bool
    patient: int | None


class Hit(NamedTuple):
    """A resource with its current body, None when it is deleted; `linked`: a record of it may go by another id than
    ours."""

    head: Head
    body: bytes | None
    linked: bool


class Version(NamedTuple):
    """One version; `body` None when it is a deletion."""

    seq: int
    rid: int
    number: int
    at: datetime
    message_id: str | None
    source: str
    method: str
    body: bytes | None


class FeedEntry(NamedTuple):
    """A version with what its resource is, in commit order."""

    seq: int
    rid: int
    type: str
    id: str
    patient: int | None
    number: int
    at: datetime
    message_id: str | None
    source: str
    method: str
    body: bytes | None


class NewHead(NamedTuple):
    """A resource that did not exist; its first version is in the same Changes."""

    rid: int
    type: str
    id: str
    patient: int | None = None


class HeadUpdate(NamedTuple):
    """A resource with a new version; `expected` is the number that was read."""

    rid: int
    expected: int
    patient: int | None = None


class NewVersion(NamedTuple):
    """`method`: create, update or delete; `source`: the connector's name. The store gives seq and time."""

    rid: int
    number: int
    method: str
    source: str
    message_id: str | None
    body: bytes | None


class Key(NamedTuple):
    """`kind`: 'key' (an identifier of a key system) or 'condition' (a caller's own)."""

    type: str
    kind: str
    system: str
    value: str
    rid: int


class Identifier(NamedTuple):
    """A search index row; `system` '' when absent."""

    type: str
    system: str
    value: str
    rid: int


class RecordRow(NamedTuple):
    """One system's copy. `revision` is the one that was read; 0 = new. `state` is opaque to the store."""

    record_id: int
    connector: str
    type: str
    remote_id: str
    rid: int | None
    revision: int
    state: bytes
    digest: bytes | None = None
    read_at: datetime | None = None


class LinkRow(NamedTuple):
    """`reason`: JSON text, which identifier, rule or person decided."""

    link_id: int
    connector: str
    type: str
    remote_id: str
    rid: int
    reason: str
    at: datetime
    undone_at: datetime | None = None


class NewDelivery(NamedTuple):
    """A standing order to bring version `want`; `remote_id` '' = new there; `patient` None = a group of its own."""

    connector: str
    rid: int
    remote_id: str
    patient: int | None
    want: int
    due_at: datetime


class Delivery(NamedTuple):
    """A standing order as it stands; state: due, unknown, rejected, exhausted or done."""

    delivery_id: int
    connector: str
    rid: int
    remote_id: str
    patient: int
    state: str
    attempt: int
    due_at: datetime
    lease_until: datetime | None
    fence: int | None
    want: int
    error: str | None
    at: datetime


class MessageRow(NamedTuple):
    """What came in. state: received, applied, held or failed; `result` is the stored answer, `issues` JSON."""

    message_id: str
    connector: str
    principal: str | None
    kind: str
    media_type: str
    at: datetime
    dedupe: str | None
    state: str
    body: bytes
    result: bytes | None = None
    error: str | None = None
    issues: bytes | None = None


class MessageUpdate(NamedTuple):
    message_id: str
    state: str
    result: bytes | None = None
    error: str | None = None
    issues: bytes | None = None


class AuditRow(NamedTuple):
    """Who did what. `action`: C, R, U, D or E (FHIR R4 AuditEvent.action); `status`: the HTTP status answered."""

    at: datetime
    principal: str | None
    connector: str | None
    action: str
    type: str | None
    id: str | None
    status: int
    message_id: str | None = None
    request_id: str | None = None


class ConflictRow(NamedTuple):
    """An open conflict: these connectors (JSON text) assert different values for this slot."""

    rid: int
    slot: str
    connectors: str
    at: datetime


class ConnectorRow(NamedTuple):
    """`config`: JSON text without secrets; `changed` grows with every change of any connector."""

    name: str
    connector_id: int
    config: str
    state: str
    at: datetime
    changed: int


class HealthRow(NamedTuple):
    """How a connector is doing. state: pending, connected, degraded, needs_reauth or error, `since` when; `failures` in
    a row; nothing is sent before `open_until`; `last_error`: JSON text of its code, message and time; `cursor` where
    the next poll starts; `registration` = their id of our webhooks."""

    connector: str
    state: str
    since: datetime
    failures: int = 0
    open_until: datetime | None = None
    last_sync_at: datetime | None = None
    last_success_at: datetime | None = None
    last_error: str | None = None
    cursor: str | None = None
    registration: str | None = None


class Backlog(NamedTuple):
    """What is owed to one system: `queued` in all, `held` of them at work, `failed` given up; the oldest is due since
    `oldest`."""

    queued: int
    held: int
    failed: int
    oldest: datetime | None


class IncidentRow(NamedTuple):
    """Something that went wrong with a connector, once per cause: seen `times` times, the last time at `last_at`."""

    incident_id: int
    connector: str
    cause: str
    opened_at: datetime
    last_at: datetime
    closed_at: datetime | None
    times: int
    detail: str

    def to_json(self) -> dict[str, Any]:
        """As operators get it."""
        closed = None if self.closed_at is None else self.closed_at.isoformat()
        moments = {"openedAt": self.opened_at.isoformat(), "lastAt": self.last_at.isoformat(), "closedAt": closed}
        named = {"id": self.incident_id, "connector": self.connector, "cause": self.cause}
        return {**named, **moments, "times": self.times, "detail": self.detail}


class PrincipalRow(NamedTuple):
    principal_id: int
    name: str
    connector: str
    scopes: tuple[str, ...]
    key_hash: bytes
    created_at: datetime
    revoked_at: datetime | None = None
    last_used: datetime | None = None


@dataclass(slots=True)
class Changes:
    """Everything one job writes, in bulk. `belongs`: rid -> all the patients whose it is where they are several, else
    none, replacing who they were. `conflicts`: rid -> all its open conflicts as (slot, connectors JSON), replacing what
    was listed. A delivery that exists becomes due again, attempt 0, and stays one row."""

    heads_new: list[NewHead] = field(default_factory=list)
    heads_updated: list[HeadUpdate] = field(default_factory=list)
    versions: list[NewVersion] = field(default_factory=list)
    belongs: dict[int, Sequence[int]] = field(default_factory=dict)
    keys_added: list[Key] = field(default_factory=list)
    keys_removed: list[Key] = field(default_factory=list)
    identifiers_added: list[Identifier] = field(default_factory=list)
    identifiers_removed: list[Identifier] = field(default_factory=list)
    records: list[RecordRow] = field(default_factory=list)
    links: list[LinkRow] = field(default_factory=list)
    links_undone: list[int] = field(default_factory=list)
    deliveries: list[NewDelivery] = field(default_factory=list)
    messages: list[MessageRow] = field(default_factory=list)
    message_updates: list[MessageUpdate] = field(default_factory=list)
    audits: list[AuditRow] = field(default_factory=list)
    conflicts: dict[int, Sequence[tuple[str, str]]] = field(default_factory=dict)
