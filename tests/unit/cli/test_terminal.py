"""What commands print for people."""

from __future__ import annotations

import io

from rich.console import Console

from gateway.commands import terminal

ID = "Patient/01a216e2-9ca0-7cd7-b980-c35f7dfce358"
ROW = (196613, "clinic", ID, None, "due", 0, "clinic cannot be reached")
COLUMNS = ("id", "connector", "resource", "there", "state", "attempts", "error")


def printed(width: int, *, terminal_: bool = True) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal_, color_system=None)
    terminal.print_table("deliveries", COLUMNS, [ROW, ROW], console=console)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_row_is_a_line_where_there_is_room() -> None:
    lines = printed(140)
    assert len([line for line in lines if ID in line and line.endswith("reached")]) == 2


def test_no_id_is_broken_on_a_narrow_terminal() -> None:
    lines = printed(80)
    assert lines.count(f"resource   {ID}") == 2 and lines.count("error      clinic cannot be reached") == 2
    assert not any(line.startswith("there") for line in lines), "nothing is said of nothing"


def test_what_another_program_reads_stays_a_table() -> None:
    assert not any(line.startswith("resource ") for line in printed(80, terminal_=False))


def test_what_is_told_by_parts_is_no_python() -> None:
    assert terminal.text({"code": "timeout", "message": None}) == "code: timeout, message: "
