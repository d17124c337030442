"""`gateway deliveries`: what is owed to systems, what was given up and why, and trying it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.opening import Json, opened
from gateway.errors import InvalidInput

if TYPE_CHECKING:
    from gateway.delivery.owed import Order

app = typer.Typer(help="What is owed to other systems, and what was given up.", no_args_is_help=True)

_COLUMNS = ("id", "connector", "resource", "there", "state", "attempts", "due", "error")
_EMPTY = "No such deliveries."


@app.command("list")
def listed(
    state: Annotated[
        str | None, typer.Option(help="due, unknown, rejected, exhausted, done or stopped; else those given up.")
    ] = None,
    connector: Annotated[str | None, typer.Option(help="Only those to this connector.")] = None,
    after: Annotated[int, typer.Option(help="Only those after the delivery with this id.")] = 0,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 50,
    as_json: Json = False,
) -> None:
    """Deliveries with what became of them, and why."""
    from gateway.commands import terminal
    from gateway.delivery import owed

    with opened() as store:
        orders = store.query_now(lambda reader: owed.listed(reader, state, connector, limit=limit, after=after))
    if as_json:
        terminal.print_json([order.to_json() for order in orders])
    else:
        terminal.print_table("deliveries", _COLUMNS, map(_cells, orders), _EMPTY)


@app.command("replay")
def replay(
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID...", help="Only these.")] = None,
    connector: Annotated[str | None, typer.Option(help="Only those to this connector.")] = None,
    since: Annotated[str | None, typer.Option(help="Only those last tried at this time or later.")] = None,
    until: Annotated[str | None, typer.Option(help="Only those last tried at this time or earlier.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that was given up.")] = False,
    go: Annotated[bool, typer.Option("--go", help="Do it; without it is only shown what would be done.")] = False,
) -> None:
    """Try again what was given up: one, a range or all."""
    from gateway.commands import terminal
    from gateway.delivery import owed

    chosen = owed.Selection(tuple(ids or ()), connector, _moment(since), _moment(until), everything)
    with opened() as store:
        orders = owed.replay(store, chosen, dry=not go)
    for line in _summary(orders, dry=not go):
        terminal.print_line(line)


@app.command("release")
def release(
    connector: Annotated[str, typer.Argument(help="The connector where the loop alarm stopped them.")],
    patient: Annotated[str, typer.Argument(help="The id of the Patient here.")],
) -> None:
    """Let the deliveries of a patient go on that the loop alarm stopped."""
    from gateway.commands import terminal
    from gateway.delivery import owed

    with opened() as store:
        owed.release(store, connector, patient)
    terminal.print_line(f"released: Patient/{patient} to {connector}")


def _cells(order: Order) -> tuple[object, ...]:
    there = order.there or "new"
    return (order.id, order.connector, order.resource, there, order.state, order.attempts, order.due, order.error)


def _summary(orders: Sequence[Order], *, dry: bool) -> list[str]:
    """One line per connector, and what to do next."""
    counts = Counter(order.connector for order in orders)
    verb = "would be tried again" if dry else "due again"
    lines = [f"{name}: {count} {verb}" for name, count in sorted(counts.items())] or ["nothing that was given up fits"]
    return [*lines, "nothing was changed: add --go to do it"] if dry and orders else lines


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput("give times as 2026-11-25 or 2026-11-25T09:30:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
