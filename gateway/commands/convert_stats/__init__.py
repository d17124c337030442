"""`gateway convert --stats`: what the converter keeps of a folder of documents, measured from outside.

Kept means: the code, quantity, date, id or person stands in the element that the mapping names, on a resource that is
linked to the patient. Narrative is counted by itself, word by word; Binary and fallbacks do not count. Nothing of the
converter but `convert` itself is used: the documents are walked with tables of this package.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxml import etree

from gateway.errors import GatewayError
from gateway.translators.ccda import convert

from .kept import KINDS, Measure, measure
from .source import read

_MOST = 40


@dataclass(slots=True)
class Stats:
    """A folder's measure; `refused` = documents that gave no Bundle, `unread` = those that lxml itself refuses."""

    documents: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    unmeasured: list[str] = field(default_factory=list)
    total: Measure = field(default_factory=Measure)
    entries: int = 0
    fallbacks: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "documents": self.documents,
            "refused": self.refused,
            "unmeasured": self.unmeasured,
            "entries": self.entries,
            "fallbacks": self.fallbacks,
            "kept": {kind: {"seen": self.total.seen[kind], "kept": self.total.kept[kind]} for kind in KINDS},
            "lost": [{"template": name, "part": part, "count": n} for (name, part), n in self.total.lost.most_common()],
            "invented": [{"what": what, "count": count} for what, count in self.total.invented.most_common()],
        }

    def kept_rows(self) -> Iterator[tuple[str, int, int, str]]:
        for kind in KINDS:
            seen, kept = self.total.seen[kind], self.total.kept[kind]
            yield kind, seen, kept, f"{100 * kept / seen:.1f} %" if seen else "-"

    def lost_rows(self) -> Iterator[tuple[str, str, int]]:
        for (name, part), count in self.total.lost.most_common(_MOST):
            yield name, part, count

    def invented_rows(self) -> Iterator[tuple[str, int]]:
        yield from self.total.invented.most_common(_MOST)


def measure_folder(folder: Path) -> Stats:
    """Every XML document in the folder, in order of its name."""
    found = Stats()
    for path in sorted(folder.rglob("*.xml")):
        _measure_one(path, found)
    return found


def _measure_one(path: Path, found: Stats) -> None:
    data = path.read_bytes()
    found.documents += 1
    try:
        converted = convert(data, patient_id="stats")
    except GatewayError as error:
        found.refused[path.name] = error.message
        return
    for row in converted.report["sections"]:
        found.entries += row["seen"]
        found.fallbacks += row["fallback"]
    try:
        found.total.add(measure(read(data), converted.bundle, data))
    except etree.XMLSyntaxError:
        found.unmeasured.append(path.name)
