"""Offering: what a system lacks of ours is ordered for it, once, after its first contact; page by page of the feed."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.connectors.config import Config
from gateway.flow import Flow
from gateway.planning.orders import order_lacking
from gateway.planning.world import World
from gateway.store import FeedEntry, Reader, Tx

_PAGE = 200


async def offer(flow: Flow, config: Config, after: int, *, dry: bool) -> tuple[int, int | None]:
    """One page of the feed from `after` on: how many orders, and where the next one starts, None at the end."""
    found = await flow.store.query(lambda reader: reader.feed(after, limit=_PAGE))

    def job(tx: Tx) -> int:
        world = World(tx, flow.directory(tx))
        for entry in _current(tx, found, config):
            order_lacking(world, entry.rid, entry.source, config)
        if not dry:
            tx.write(world.changes)
        return len(world.changes.deliveries)

    ordered = await flow.store.write(job) if found else 0
    if ordered and not dry:
        flow.ordered()
    return ordered, found[-1].seq if len(found) == _PAGE else None


def _current(reader: Reader, entries: Sequence[FeedEntry], config: Config) -> list[FeedEntry]:
    """Those that are the live version of a resource that is sent there."""
    heads = reader.heads_by_rid({entry.rid for entry in entries})
    alive = [one for one in entries if heads[one.rid].seq == one.seq and not heads[one.rid].deleted]
    return [one for one in alive if config.pushes(one.type)]
