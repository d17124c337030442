"""Snapshot: every live resource as it was at one point of the version log, one file per type, for analysts."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from gateway.fhir import json
from gateway.store import FeedEntry, Head, Reader, Store

from . import patients
from .folder import MANIFEST, Manifest, Writer, Writers, replacing

Progress = Callable[[int, int], None]
"""Called with the sequence number reached and the one to reach."""

_PATIENT_TABLE = "patient.csv"
_FEWEST, _MOST = 16, 512
_LARGE = 8_000_000


@dataclass(frozen=True, slots=True)
class _Page:
    """`reached`: the last version of the log that it covers. `size`: bytes read. `current`: type and bytes of what was
    current at the snapshot's point in time and is not deleted."""

    reached: int
    size: int
    current: list[tuple[str, bytes]]


def write(store: Store, out: Path, *, now: datetime | None = None, progress: Progress | None = None) -> Manifest:
    """`out` becomes `<Type>.ndjson` (the stored bytes, one resource a line), `patient.csv` and `manifest.json`.

    Reads page by page while others write: the point in time is the newest version when it starts. Deleted resources
    are left out. Raises InvalidInput when `out` is a folder of something else.
    """
    sequence = store.query_now(lambda reader: reader.last_seq())
    with replacing(out) as folder, Writers(folder) as files:
        _table_line(files.get(_PATIENT_TABLE), patients.HEADER, rows=0)
        for page in _pages(store, sequence):
            for resource_type, body in page.current:
                _add(files, resource_type, body)
            if progress:
                progress(page.reached, sequence)
        manifest = Manifest(sequence, now or datetime.now(UTC), files.close())
        (folder / MANIFEST).write_bytes(manifest.to_json())
    return manifest


def _pages(store: Store, sequence: int) -> Iterator[_Page]:
    """The log up to `sequence`, in pages that grow while they stay small: one version may hold a document of 50 MB."""
    limit, page = _FEWEST, _Page(0, 0, [])
    while page.reached < sequence:
        page = store.query_now(partial(_page, after=page.reached, sequence=sequence, limit=limit))
        limit = min(limit * 2, _MOST) if page.size < _LARGE else max(limit // 2, _FEWEST)
        yield page


def _page(reader: Reader, *, after: int, sequence: int, limit: int) -> _Page:
    entries = [entry for entry in reader.feed(after, limit=limit) if entry.seq <= sequence]
    if not entries:
        return _Page(sequence, 0, [])
    heads = reader.heads_by_rid({entry.rid for entry in entries})
    current = [
        (entry.type, entry.body)
        for entry in entries
        if entry.body is not None and _was_current(reader, entry, heads[entry.rid], sequence)
    ]
    return _Page(entries[-1].seq, sum(len(entry.body or b"") for entry in entries), current)


def _was_current(reader: Reader, entry: FeedEntry, head: Head, sequence: int) -> bool:
    if head.number == entry.number:
        return True
    if head.seq <= sequence:
        return False
    following = reader.version(entry.rid, entry.number + 1)
    return following is None or following.seq > sequence


def _add(files: Writers, resource_type: str, body: bytes) -> None:
    files.get(f"{resource_type}.ndjson").write(body + b"\n")
    if resource_type == "Patient":
        _table_line(files.get(_PATIENT_TABLE), patients.row(json.decode(body)))


def _table_line(table: Writer, cells: Sequence[str], *, rows: int = 1) -> None:
    guarded = [patients.guarded(cell) for cell in cells]
    line = io.StringIO()
    csv.writer(line).writerow(guarded)
    table.write(line.getvalue().encode(), rows=rows)
    table.guarded += sum(cell != kept for cell, kept in zip(cells, guarded, strict=True))
