"""Records that end: a system deleted its copy, so its link is undone; what it had said stays known."""

from __future__ import annotations

from gateway.planning.world import World


def end_record(world: World, connector: str, type_: str, remote_id: str) -> None:
    """Queue the end of a link; nothing when there is none. A clinical copy is forgotten with it, so that one which they
    bring back is noticed and linked again."""
    pair = (type_, remote_id)
    link = world.tx.links_of(connector, [pair]).get(pair)
    if link is None:
        return
    world.changes.links_undone.append(link.link_id)
    known = world.tx.records_of(connector, [pair]).get(pair)
    if known is not None:
        world.changes.records.append(known._replace(digest=None))
