"""The tables (docs/explain/architecture.md, "Storage"). Times are integer microseconds UTC.

Keys are allocated in the process (`numbers.py`), so no column counts by itself. Text keys compare by code point on
both databases. The migrations create the same tables; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text, text

REVISION = "0003"
"""The newest migration: what a database must be at to be opened."""

metadata = MetaData()

Key = Text().with_variant(Text(collation="C"), "postgresql")

Number = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits on both; SQLite's row id goes by no other name than INTEGER."""


def _number(name: str, *, key: bool = False, null: bool = False) -> Column[int]:
    return Column(name, Number, primary_key=key, nullable=null, autoincrement=False)


def _key(name: str, *, key: bool = False, null: bool = False) -> Column[str]:
    return Column(name, Key, primary_key=key, nullable=null)


def _text(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null)


def _bytes(name: str, *, null: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=null)


resource = Table(
    "resource",
    metadata,
    _number("rid", key=True),
    _key("type"),
    _key("id"),
    _number("number"),
    _number("seq"),
    _number("at"),
    Column("deleted", Boolean(create_constraint=False), nullable=False),
    _number("patient", null=True),
    Index("resource_id", "type", "id", unique=True),
    Index("resource_patient", "patient", "type"),
    Index("resource_seq", "type", "seq"),
)
"""One narrow head per resource; its body is the version at `seq`."""

belongs = Table(
    "belongs",
    metadata,
    _number("rid", key=True),
    _number("patient", key=True),
    Index("belongs_patient", "patient", "rid"),
    sqlite_with_rowid=False,
)
"""What belongs to several patients: a row for each of them. What belongs to one has none, the head names her."""

version = Table(
    "version",
    metadata,
    _number("seq", key=True),
    _number("rid"),
    _number("number"),
    _number("at"),
    _key("message_id", null=True),
    _key("source"),
    _key("method"),
    _bytes("body", null=True),
    Index("version_number", "rid", "number", unique=True),
)
"""Append-only: history and change feed in one; `seq` is the commit order."""

identity_key = Table(
    "identity_key",
    metadata,
    _key("type", key=True),
    _key("kind", key=True),
    _key("system", key=True),
    _key("value", key=True),
    _number("rid"),
    sqlite_with_rowid=False,
)
"""Its primary key is what prevents two resources of one identity."""

identifier = Table(
    "identifier",
    metadata,
    _key("type", key=True),
    _key("value", key=True),
    _key("system", key=True),
    _number("rid", key=True),
    sqlite_with_rowid=False,
)
"""Search index; the value comes first so that a search without system uses it as well."""

record = Table(
    "record",
    metadata,
    _number("record_id", key=True),
    _key("connector"),
    _key("type"),
    _key("remote_id"),
    _number("rid", null=True),
    _number("revision"),
    _bytes("state"),
    _bytes("digest", null=True),
    _number("read_at", null=True),
    Index("record_key", "connector", "type", "remote_id", unique=True),
    Index("record_rid", "rid"),
)

link = Table(
    "link",
    metadata,
    _number("link_id", key=True),
    _key("connector"),
    _key("type"),
    _key("remote_id"),
    _number("rid"),
    _text("reason"),
    _number("at"),
    _number("undone_at"),
    Index("link_live", "connector", "type", "remote_id", "undone_at", unique=True),
    Index("link_rid", "rid"),
)

LIVE = 0
"""link.undone_at of a link that stands. Not NULL with a partial index: PostgreSQL takes such an index for tiny and
reads it whole while the table is young."""

CLAIMABLE = text("state IN ('due', 'unknown')")
DEAD = text("state IN ('rejected', 'exhausted')")

delivery = Table(
    "delivery",
    metadata,
    _number("delivery_id", key=True),
    _key("connector"),
    _number("rid"),
    _key("remote_id"),
    _number("patient"),
    _key("state"),
    _number("attempt"),
    _number("due_at"),
    _number("lease_until", null=True),
    _number("fence", null=True),
    _number("want"),
    _text("error", null=True),
    _number("at"),
    Index("delivery_order", "rid", "connector", "remote_id", unique=True),
    Index("delivery_due", "connector", "due_at", "delivery_id", sqlite_where=CLAIMABLE, postgresql_where=CLAIMABLE),
    Index("delivery_dead", "connector", "delivery_id", sqlite_where=DEAD, postgresql_where=DEAD),
    Index("delivery_group", "patient", "connector", sqlite_where=CLAIMABLE, postgresql_where=CLAIMABLE),
)

UNFINISHED = text("state <> 'applied'")

message = Table(
    "message",
    metadata,
    _key("message_id", key=True),
    _key("connector"),
    _key("principal", null=True),
    _key("kind"),
    _key("media_type"),
    _number("at"),
    _key("dedupe", null=True),
    _key("state"),
    _bytes("body"),
    _bytes("result", null=True),
    _text("error", null=True),
    _bytes("issues", null=True),
    Index("message_dedupe", "connector", "dedupe", unique=True),
    Index("message_state", "state", "message_id", sqlite_where=UNFINISHED, postgresql_where=UNFINISHED),
)

connector = Table(
    "connector",
    metadata,
    _key("name", key=True),
    _number("connector_id"),
    _text("config"),
    _key("state"),
    _number("at"),
    _number("changed"),
)

secret = Table("secret", metadata, _key("connector", key=True), _key("name", key=True), _bytes("token"))

principal = Table(
    "principal",
    metadata,
    _number("principal_id", key=True),
    _key("name"),
    _key("connector"),
    _text("scopes"),
    _bytes("key_hash"),
    _number("created_at"),
    _number("revoked_at", null=True),
    _number("last_used", null=True),
    Index("principal_key", "key_hash", unique=True),
)

audit = Table(
    "audit",
    metadata,
    _number("audit_id", key=True),
    _number("at"),
    _key("principal", null=True),
    _key("connector", null=True),
    _key("action"),
    _key("type", null=True),
    _key("id", null=True),
    _number("status"),
    _key("message_id", null=True),
    _key("request_id", null=True),
)

conflict = Table(
    "conflict",
    metadata,
    _number("rid", key=True),
    _key("slot", key=True),
    _text("connectors"),
    _number("at"),
    sqlite_with_rowid=False,
)

counter = Table("counter", metadata, _key("name", key=True), _number("next"))
"""The next free block of keys (`numbers.py`)."""

# --- connectors at work -----------------------------------------------------------------------------------------------

health = Table(
    "health",
    metadata,
    _key("connector", key=True),
    _key("state"),
    _number("since"),
    _number("failures"),
    _number("open_until", null=True),
    _number("last_sync_at", null=True),
    _number("last_success_at", null=True),
    _text("last_error", null=True),
    _text("cursor", null=True),
    _key("registration", null=True),
)
"""How a connector is doing: `failures` in a row, the circuit `open_until`, `last_error` as JSON, where the next poll
starts, and their id of our webhook registration."""

OPEN = text("closed_at IS NULL")

incident = Table(
    "incident",
    metadata,
    _number("incident_id", key=True),
    _key("connector"),
    _key("cause"),
    _number("opened_at"),
    _number("last_at"),
    _number("closed_at", null=True),
    _number("count"),
    _text("detail"),
    Index("incident_open", "connector", "cause", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),
)
"""One open per (connector, cause)."""

stopped = Table(
    "stopped",
    metadata,
    _key("connector", key=True),
    _number("patient", key=True),
    _number("at"),
    sqlite_with_rowid=False,
)
"""Patients that a system is sent nothing about until an operator releases them: the loop alarm."""

run = Table(
    "run",
    metadata,
    _key("run_id", key=True),
    _key("connector"),
    _key("mode"),
    _key("state"),
    Column("dry", Boolean(create_constraint=False), nullable=False),
    _text("asked"),
    _number("started_at"),
    _number("at"),
    _number("finished_at", null=True),
    _text("cursor", null=True),
    _text("report"),
    _text("error", null=True),
    Index("run_connector", "connector", "started_at"),
)
"""A manual sync or a first contact: `asked` and `report` as JSON, `cursor` where it goes on after a restart."""

poll_digest = Table(
    "poll_digest",
    metadata,
    _key("connector", key=True),
    _key("type", key=True),
    _key("remote_id", key=True),
    _bytes("digest"),
    sqlite_with_rowid=False,
)
"""The content of each of their resources at the last poll: what did not change costs nothing."""

lock = Table("lock", metadata, _key("name", key=True), _number("fence"), _number("until"), sqlite_with_rowid=False)
"""What only one process may do at a time, for as long as its lease lasts."""

# --- those whom we tell -----------------------------------------------------------------------------------------------

subscriber = Table(
    "subscriber",
    metadata,
    _number("subscriber_id", key=True),
    _key("name"),
    _key("connector"),
    _text("config"),
    _key("state"),
    _number("seq"),
    _number("at"),
    Index("subscriber_name", "name", unique=True),
)
"""Who is told of changes: `config` as JSON without secrets, `seq` = how far into the feed it was told."""

OUTSTANDING = text("state IN ('due', 'unknown', 'exhausted')")

outgoing = Table(
    "outgoing",
    metadata,
    _number("outgoing_id", key=True),
    _number("subscriber_id"),
    _key("event_id"),
    _key("type"),
    _number("patient", null=True),
    _bytes("body"),
    _key("state"),
    _number("attempt"),
    _number("due_at"),
    _number("lease_until", null=True),
    _number("fence"),
    _number("status", null=True),
    _text("error", null=True),
    _number("created_at"),
    _number("at"),
    Index("outgoing_event", "subscriber_id", "event_id", unique=True),
    Index("outgoing_order", "subscriber_id", "outgoing_id"),
    Index("outgoing_open", "subscriber_id", "outgoing_id", sqlite_where=OUTSTANDING, postgresql_where=OUTSTANDING),
)
"""An event for a subscriber, with what became of the attempts to tell it."""

request = Table(
    "request",
    metadata,
    _key("request_id", key=True),
    _key("kind"),
    _key("principal"),
    _key("subject", null=True),
    _key("state"),
    _text("asked"),
    _bytes("result", null=True),
    _number("at"),
    _number("expires_at", null=True),
    Index("request_subject", "kind", "principal", "subject"),
)
"""What an API of ours has to remember between two calls: a consolidated query, an authorisation under way."""
