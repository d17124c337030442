"""The store: resources, records, deliveries and messages on SQLite or PostgreSQL; the only package with SQL."""

from .claims import Claim, Settled, claim, due, renew, settle
from .opening import open_store, secret_key
from .reader import Reader
from .repeats import RepeatRow
from .resources import Mark, Name
from .rows import (
    AuditRow,
    Backlog,
    Changes,
    ConflictRow,
    ConnectorRow,
    Delivery,
    FeedEntry,
    Head,
    HeadUpdate,
    HealthRow,
    Hit,
    Identifier,
    IncidentRow,
    Key,
    LinkRow,
    MessageRow,
    MessageUpdate,
    NewDelivery,
    NewHead,
    NewVersion,
    PrincipalRow,
    RecordRow,
    Version,
)
from .runs import RunRow
from .store import Store
from .tx import Tx
from .vault import Vault, load_or_create_key

__all__ = [
    "AuditRow",
    "Backlog",
    "Changes",
    "Claim",
    "ConflictRow",
    "ConnectorRow",
    "Delivery",
    "FeedEntry",
    "Head",
    "HeadUpdate",
    "HealthRow",
    "Hit",
    "Identifier",
    "IncidentRow",
    "Key",
    "LinkRow",
    "Mark",
    "MessageRow",
    "MessageUpdate",
    "Name",
    "NewDelivery",
    "NewHead",
    "NewVersion",
    "PrincipalRow",
    "Reader",
    "RecordRow",
    "RepeatRow",
    "RunRow",
    "Settled",
    "Store",
    "Tx",
    "Vault",
    "Version",
    "claim",
    "due",
    "load_or_create_key",
    "open_store",
    "renew",
    "secret_key",
    "settle",
]
