"""How commands print: tables for people, JSON for machines, errors as one line on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.fhir import json

_UNBOUND_WIDTH = 400
_ANY_WIDTH = 100_000


def print_json(value: Any) -> None:
    print_bytes(json.encode(value) + b"\n")


def print_bytes(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def print_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Name and value, one below the other."""
    _console().print(_grid(pairs))


def _grid(pairs: Iterable[tuple[str, object]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column()
    for name, value in pairs:
        grid.add_row(name, escape(text(value)))
    return grid


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    empty: str = "",
    *,
    console: Console | None = None,
) -> None:
    """`empty` = what to say, and to do next, when there are no rows. Cells are never read as markup. Where the terminal
    is too narrow for rows of one line, whose ids could not be copied, they are told field by field."""
    listed = list(rows)
    if not listed:
        print_line(empty)
        return
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in listed:
        table.add_row(*(escape(text(cell)) for cell in row))
    console = console or _console()
    if _fits(console, table):
        console.print(table)
        return
    console.print(f"[italic]{escape(title)}[/]")
    for row in listed:
        console.print(_grid((name, cell) for name, cell in zip(columns, row, strict=True) if text(cell)))
        console.print()


def _fits(console: Console, table: Table) -> bool:
    natural = Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), table).maximum
    return not console.is_terminal or natural <= console.width


def _console() -> Console:
    """As wide as the terminal; where there is none, wide enough that a row stays a line."""
    return Console(width=None if sys.stdout.isatty() else _UNBOUND_WIDTH)


def print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def print_error(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def text(cell: object) -> str:
    """A cell as people read it: times to the second, in UTC; nothing as nothing."""
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M:%S}"
    if isinstance(cell, (list, tuple, set, frozenset)):
        return " ".join(sorted(str(part) for part in cell))
    if isinstance(cell, dict):
        return ", ".join(f"{name}: {text(part)}" for name, part in cell.items())
    return "" if cell is None else str(cell)


@contextmanager
def progress(total: int, label: str) -> Iterator[Progress]:
    """A bar on standard error, only where that is a terminal; it ends with the block."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        bar.add_task(label, total=total)
        yield bar
