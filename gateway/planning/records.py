"""Records that end: a system deleted its copy, so its link is undone; what it had said stays known."""

from __future__ import annotations

from gateway.store import Changes, Tx


def end_record(tx: Tx, changes: Changes, connector: str, type_: str, remote_id: str) -> None:
    """Queue the end of a link; nothing when there is none. A clinical copy is forgotten with it, so that one which they
    bring back is noticed and linked again."""
    pair = (type_, remote_id)
    link = tx.links_of(connector, [pair]).get(pair)
    if link is None:
        return
    changes.links_undone.append(link.link_id)
    known = tx.records_of(connector, [pair]).get(pair)
    if known is not None:
        changes.records.append(known._replace(digest=None))
