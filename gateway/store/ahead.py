"""Ahead: what several jobs of one batch are going to read, read for all of them at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from .reader import Reader
from .rows import Changes, Head, LinkRow, RecordRow


class Known(NamedTuple):
    """A resource as `heads_and_patients`, `records` and `links` answer for it."""

    head: Head
    body: bytes | None
    records: list[RecordRow]
    links: list[LinkRow]


class Ahead:
    """True until a job of the batch changes it: `forget` what a write touches."""

    def __init__(self, known: dict[int, Known]) -> None:
        self._known = known
        self._records = {row.record_id: rid for rid, one in known.items() for row in one.records}
        self._links = {row.link_id: rid for rid, one in known.items() for row in one.links}

    @classmethod
    def read(cls, reader: Reader, rids: Collection[int]) -> Ahead:
        records, links = reader.records(rids), reader.links(rids)
        heads = reader.heads_and_patients(rids)
        return cls(
            {head.rid: Known(head, body, records.get(head.rid, []), links.get(head.rid, [])) for head, body in heads}
        )

    def find(self, rids: Iterable[int]) -> list[Known] | None:
        """In that order; None when any is not known."""
        found = [self._known.get(rid) for rid in rids]
        known = [one for one in found if one is not None]
        return known if len(known) == len(found) else None

    def forget(self, changes: Changes) -> None:
        """What these rows touch; a record or link that goes to another resource touches both."""
        touched: set[int | None] = {one.rid for one in changes.heads_updated}
        touched |= {one.rid for one in changes.versions} | {one.rid for one in changes.links}
        for row in changes.records:
            touched |= {row.rid, self._records.get(row.record_id)}
        touched |= {self._links.get(number) for number in changes.links_undone}
        for rid in touched:
            if rid is not None:
                self._known.pop(rid, None)
