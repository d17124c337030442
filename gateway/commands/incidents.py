"""`gateway incidents`: what went wrong with connectors, once per cause, with when it began and ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.opening import Json, opened

if TYPE_CHECKING:
    from gateway.store import IncidentRow

app = typer.Typer(help="What went wrong with other systems.", no_args_is_help=True)

_COLUMNS = ("connector", "cause", "opened", "last seen", "closed", "times", "detail")


@app.command("list")
def listed(
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are not over.")] = False,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 50,
    as_json: Json = False,
) -> None:
    """What went wrong, newest first."""
    from gateway.commands import terminal

    with opened() as store:
        rows = store.query_now(lambda reader: reader.incidents(limit=limit, only_open=only_open))
    if as_json:
        terminal.print_json([row.to_json() for row in rows])
    else:
        terminal.print_table("incidents", _COLUMNS, map(_cells, rows), "No incidents.")


def _cells(row: IncidentRow) -> tuple[object, ...]:
    return (row.connector, row.cause, row.opened_at, row.last_at, row.closed_at, row.times, row.detail)
