"""Writes docs/reference/ccda-mapping.md: for each row of HL7 C-CDA on FHIR the function that covers it, or why not.

The rows are in docs/reference/ccda-mapping/*.tsv, one file per page of the guide. Each is an example that runs
(tests/conformance/test_ccda_mapping.py): `given` is set in a document of the kind `start`, `expected` is what the
Bundle then says and without it does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference" / "ccda-mapping"
CODE = "gateway/translators/ccda"
GUIDE = "HL7 C-CDA on FHIR 2.0.0"
NOT_OURS = "-"
_CONDITION = re.compile(r"(?:\[[^\]]*\]|[^\[\]=~])+")


class Row(NamedTuple):
    """`number`: its place in the table of the guide's page; `function` is `-` where no code of ours covers it."""

    page: str
    number: str
    start: str
    given: str
    expected: str
    function: str
    note: str

    @property
    def covered(self) -> bool:
        return self.function != NOT_OURS

    @property
    def source(self) -> str:
        """The path of the row's own element, without the value of the example."""
        return "" if self.given == "-" else _path(self.given.split("; ")[0])

    @property
    def target(self) -> str:
        return "" if self.expected == "-" else _path(self.expected.split("; ")[0])


def _path(assignment: str) -> str:
    found = _CONDITION.match(assignment.lstrip("!"))
    return found[0] if found else assignment


def pages() -> list[str]:
    return [path.stem for path in sorted(FOLDER.glob("*.tsv"))]


def rows(page: str) -> Iterator[Row]:
    for line in (FOLDER / f"{page}.tsv").read_text("utf-8").splitlines()[1:]:
        yield Row(page, *(cell.strip() for cell in line.split("\t")))


def page() -> str:
    """The whole page: what it shows, how much is covered, and a table per page of the guide."""
    every = {name: [*rows(name)] for name in pages()}
    head = "| page | rows | covered | not covered, with a reason |\n|---|---|---|---|"
    counts = [_count(name, found) for name, found in every.items()]
    total = _count("all", [row for found in every.values() for row in found])
    tables = [line for name, found in every.items() for line in _table(name, found)]
    return "\n".join(["# C-CDA mapping, row by row", "", _MADE, _INTRO, "", head, *counts, total, *tables, ""])


_MADE = "<!-- made by `make docs` from docs/reference/ccda-mapping/*.tsv: change the rows, not this page -->\n"
_INTRO = (
    f"Every row of the mapping tables of {GUIDE}, with the function that covers it. The paths are short forms: of the "
    "statement that the row is about in C-CDA, of the resource in FHIR. Each row is an example that the tests run: "
    "what is given is set in a document and the Bundle says what is expected; without it the Bundle does not say it; "
    "the named function was called. `→` in a FHIR path follows a reference. Rows without a function say why. Where the "
    "guide maps nothing (goals, payers, family history, advance directives, medical equipment), US Core decides."
)


def _count(name: str, found: list[Row]) -> str:
    covered = sum(row.covered for row in found)
    return f"| {name} | {len(found)} | {covered} | {len(found) - covered} |"


def _table(name: str, found: list[Row]) -> list[str]:
    head = "| row | C-CDA | FHIR | example | covered by |\n|---|---|---|---|---|"
    return [
        "",
        f"## CF-{name}" if name != "guidance" else "## Mapping guidance: data types",
        "",
        head,
        *map(_line, found),
    ]


def _line(row: Row) -> str:
    example = "" if row.given == "-" and row.expected == "-" else _example(row)
    cells = (row.number, _code(f"{row.start}: {row.source}" if row.source else row.start), _code(row.target))
    return "| " + " | ".join([*cells, example, _by(row)]) + " |"


def _example(row: Row) -> str:
    if not row.covered:
        return ""
    given = "always" if row.given == "-" else _code(_value(row.given))
    return f"{given} gives {_code(_value(row.expected))}"


def _value(assignments: str) -> str:
    first = assignments.split("; ")[0]
    return first.lstrip("!")[len(_path(first)) + 1 :] or "it is there"


def _code(text: str) -> str:
    shown = text.replace(".resolve()", " →").replace("|", "\\|")
    return f"`{shown}`" if shown else ""


def _by(row: Row) -> str:
    if not row.covered:
        return row.note
    file, _, name = row.function.partition(":")
    link = f"[{name}](../../{CODE}/{file})"
    return f"{link}. {row.note}" if row.note else link
