"""What commands open: the settings of the environment, the store they name, and files. Imports nothing that is slow."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.errors import InvalidInput

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.store import Store

STDIN = "-"
"""How standard input is named where a file may be."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine to read.")]


def settings_of(**given: Any) -> Settings:
    """From the environment, with the options of the command line over it."""
    from pydantic import ValidationError

    from gateway.settings import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]).upper()
        why = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"the setting GATEWAY_{name} is wrong: {why}") from None


def json_of(file: str) -> Any:
    """What stands in a file or comes on standard input. Raises Unparsable."""
    from gateway.fhir import json

    return json.decode(sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes())


def log_apart() -> None:
    """What a command logs is no part of what it prints, which may be JSON; what goes well it need not log."""
    from gateway import telemetry

    telemetry.configure("WARNING")


@contextmanager
def opened(settings: Settings | None = None) -> Iterator[Store]:
    settings = settings or settings_of()
    from gateway.store import open_store

    log_apart()
    store = open_store(settings)
    try:
        yield store
    finally:
        store.close()
