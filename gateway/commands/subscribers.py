"""`gateway subscribers`: who is sent webhooks of changes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands.opening import Json, opened

if TYPE_CHECKING:
    from gateway.store import Tx

app = typer.Typer(help="Those who are sent webhooks of what changes here.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The subscriber's name.")]


@app.command("add")
def add(
    name: Name,
    url: Annotated[str, typer.Argument(help="Where its webhooks go.")],
    connector: Annotated[str, typer.Option(help="The system it belongs to.")],
    types: Annotated[list[str], typer.Option("--type", help="A resource type; * for all.")] = ["Patient"],  # noqa: B006
    resource: Annotated[bool, typer.Option("--resource", help="Send the resource along, not only its id.")] = False,
    form: Annotated[str, typer.Option(help="standard (Standard Webhooks) or metriport.")] = "standard",
    allow_network: Annotated[list[str] | None, typer.Option(help="A private network it may be in.")] = None,
) -> None:
    """Tell somebody of changes from now on. Prints the secret that signs them; it is not shown again."""
    from gateway.commands import terminal, trail
    from gateway.telling import admin

    body: dict[str, Any] = {"name": name, "connector": connector, "url": url, "types": types, "form": form}
    body |= {"payload": "resource" if resource else "id", "allow_networks": allow_network or []}

    def job(tx: Tx) -> str:
        _, secret = admin.add(tx, body)
        trail.changed(tx, "C", "Subscriber", name, connector)
        return secret

    with opened() as store:
        terminal.print_line(store.write_now(job))


@app.command("list")
def listed(as_json: Json = False) -> None:
    """Who is told, of what, and how far."""
    from gateway.commands import terminal
    from gateway.telling import admin

    with opened() as store:
        found = store.query_now(admin.listed)
    if as_json:
        terminal.print_json([admin.to_json(one) for one in found])
    else:
        empty = "Nobody is told yet: gateway subscribers add NAME URL --connector CONNECTOR"
        terminal.print_table("subscribers", admin.COLUMNS, map(admin.cells, found), empty)


@app.command("log")
def log(
    name: Name,
    after: Annotated[int, typer.Option(help="Only events after the one with this id.")] = 0,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 50,
    as_json: Json = False,
) -> None:
    """What it was told, oldest first, and what became of it."""
    from gateway.commands import terminal
    from gateway.telling import admin

    with opened() as store:
        found = store.query_now(lambda reader: admin.events(reader, name, after=after, limit=limit))
    if as_json:
        terminal.print_json([admin.event_json(one) for one in found])
    else:
        rows = map(admin.event_cells, found)
        terminal.print_table(f"told to {name}", admin.LOG_COLUMNS, rows, "Nothing yet.")


@app.command("rotate-secret")
def rotate(
    name: Name,
    overlap: Annotated[float, typer.Option(help="Hours in which the old secret signs as well.", min=0)] = 24.0,
) -> None:
    """A new secret, printed once."""
    from gateway.commands import terminal, trail
    from gateway.telling import admin

    def job(tx: Tx) -> str:
        trail.changed(tx, "U", "Subscriber", name)
        return admin.rotate(tx, name, overlap=timedelta(hours=overlap))

    with opened() as store:
        terminal.print_line(store.write_now(job))


@app.command("pause")
def pause(name: Name) -> None:
    """Send nothing for now; its events go on being queued."""
    _switch(name, "pause")


@app.command("resume")
def resume(name: Name) -> None:
    """Send what waits, in order, the event that could not be sent first."""
    _switch(name, "resume")


@app.command("remove")
def remove(name: Name) -> None:
    """Tell it nothing more, and forget its log."""
    _switch(name, "remove")


def _switch(name: str, what: str) -> None:
    from gateway.commands import terminal, trail
    from gateway.telling import admin

    switch = {"pause": admin.pause, "resume": admin.resume, "remove": admin.remove}[what]

    def job(tx: Tx) -> None:
        switch(tx, name)
        trail.changed(tx, "D" if what == "remove" else "U", "Subscriber", name)

    with opened() as store:
        store.write_now(job)
    terminal.print_line(f"{name}: {what}d")
