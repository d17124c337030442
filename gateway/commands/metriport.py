"""`gateway metriport`: what Metriport can be asked for, from the command line; no server has to run."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands.opening import Json, json_of, opened, settings_of
from gateway.errors import InvalidInput

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.store import Store
    from gateway.systems.metriport import Answer

app = typer.Typer(help="Metriport: networks, consolidated data, documents, messages.", no_args_is_help=True)


@app.command("operations")
def operations(as_json: Json = False) -> None:
    """What can be asked for, and which arguments each takes; those that must be given have a *."""
    from gateway.commands import terminal
    from gateway.connectors.metriport_calls import OPERATIONS

    if as_json:
        terminal.print_json(
            {name: {"about": row.about, "arguments": row.arguments} for name, row in OPERATIONS.items()}
        )
        return
    rows = [
        (name, row.about, ", ".join(f"{one}*" if one in row.required else one for one in row.arguments))
        for name, row in OPERATIONS.items()
    ]
    terminal.print_table("operations", ("operation", "what it does", "arguments"), rows)


@app.command("run")
def run(
    connector: Annotated[str, typer.Argument(help="The connector's name.")],
    operation: Annotated[str, typer.Argument(help="One of gateway metriport operations.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE...", help="Its arguments; JSON where it is no text.")
    ] = None,
    given_in: Annotated[
        str | None,
        typer.Option("--arguments", metavar="FILE", help="More of them, as a JSON object; - is standard input."),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="The file to send (document-upload, bulk-create).")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the answer here: a document, a summary.")] = None,
) -> None:
    """Have Metriport do one thing, and print its answer as JSON. A patient is named by our id: patient=ID.
    What tells of somebody belongs into --arguments: every user of the machine sees a command line."""
    from gateway.commands import terminal

    settings = settings_of()
    given = {**(_object(given_in) if given_in else {}), **parse(arguments or ())}
    content = file.read_bytes() if file else b""
    media = (mimetypes.guess_type(file.name)[0] or "application/octet-stream") if file else ""
    with opened(settings) as store:
        answer = asyncio.run(order(store, settings, connector, operation, given, content, media))
    if out is not None:
        out.write_bytes(answer.data if answer.data is not None else _json(answer))
    elif answer.data is not None:
        terminal.print_bytes(answer.data)
    else:
        terminal.print_json(answer.json)


def parse(words: Sequence[str]) -> dict[str, Any]:
    """`name=value`: JSON objects, lists, numbers, true and false as such, anything else as text."""
    from gateway.errors import Unparsable
    from gateway.fhir import json

    given: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise InvalidInput(f"{name!r} has no value: write NAME=VALUE")
        try:
            given[name] = json.decode(text) if text[:1] in ("{", "[") or text in ("true", "false") else text
        except Unparsable:
            raise InvalidInput(f"{name} is no JSON, though it begins as if it were") from None
    return given


def _object(file: str) -> dict[str, Any]:
    found = json_of(file)
    if not isinstance(found, dict):
        raise InvalidInput("the arguments must be a JSON object")
    return found


async def order(
    store: Store,
    settings: Settings,
    connector: str,
    operation: str,
    arguments: Mapping[str, Any],
    content: bytes,
    media: str,
) -> Answer:
    """One operation over a store, with an outbound client of its own."""
    from gateway.commands.calling import calling
    from gateway.systems.metriport import Metriport

    async with calling(store, settings) as caller:
        client = Metriport(caller.flow, caller.ask, public=settings.public_url)
        return await client.run(connector, operation, arguments, content=content, media=media)


def _json(answer: Answer) -> bytes:
    from gateway.fhir import json

    return json.encode(answer.json)
