"""What commands leave in the audit trail: they need no key, so who may read the data folder is all that is known."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.store import AuditRow, Store, Tx

COMMAND = "command"
"""The principal of all of them."""


def changed(tx: Tx, action: str, kind: str, id_: str, connector: str | None = None) -> None:
    """With the change itself: `action` C, U or D of a Connector, Key or Subscriber."""
    tx.write_audits([AuditRow(tx.now, COMMAND, connector, action, kind, id_, 200)])


def read(store: Store, kind: str, id_: str | None = None, connector: str | None = None) -> None:
    """Patient data leave the store: of all types (`*`), or the text of one message."""
    store.audit(AuditRow(datetime.now(UTC), COMMAND, connector, "E" if id_ is None else "R", kind, id_, 200))
