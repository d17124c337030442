"""Records that end: a system deleted its copy, so its link is undone; what it had said stays known."""

from __future__ import annotations

from gateway.planning.world import World


def end_record(world: World, connector: str, type_: str, remote_id: str) -> None:
    """Queue the end of a link; nothing when there is none."""
    links = world.tx.links_of(connector, [(type_, remote_id)])
    world.changes.links_undone += [link.link_id for link in links.values() if link.undone_at is None]
