"""Writes the pages of docs/reference that are made of code and data (`make docs`); a test compares them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from gateway.cli import app
from gateway.errors import GatewayError
from gateway.settings import Settings
from tools import ccda_mapping, ccda_pairs

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"
_MADE = "<!-- made by `make docs`: change the code, not this page -->\n"


def settings() -> str:
    """One row per setting: name in the environment, default, what it does."""
    rows = [_row(name, field) for name, field in Settings.model_fields.items()]
    head = "| setting | default | what it does |\n|---|---|---|"
    intro = "Read from the environment, else from a file `.env` in the folder where the gateway starts."
    return "\n".join(["# Settings", "", _MADE, intro, "", head, *rows, ""])


def _row(name: str, field: Any) -> str:
    shown = "DATABASE_URL" if name == "database_url" else f"GATEWAY_{name.upper()}"
    default = field.default
    if isinstance(default, tuple):
        default = ",".join(f"{number:g}" for number in default)
    text = "" if default is None else f"`{default}`"
    return f"| `{shown}` | {text} | {field.description} |"


def cli() -> str:
    """Every command with its arguments and options, as --help tells them."""
    root = typer.main.get_command(app)
    return "\n".join(["# Command line", "", _MADE, str(root.help), "", _STATUS, *_commands(root, "gateway"), ""])


_STATUS = (
    "Exit status: 0 when all went well, 1 when it did not (one line on standard error says what to do next), "
    "2 when the command was written wrongly. `--json` prints JSON on standard output for machines to read."
)


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
            continue
        arguments = " ".join(_usage(parameter) for parameter in command.params)
        yield f"\n## {path} {name}\n\n```text\n{path} {name} {arguments}".rstrip() + "\n```\n"
        yield str(command.help)
        described = [f"- `{_spelled(one)}`: {one.help}" for one in command.params if getattr(one, "help", None)]
        if described:
            yield "\n" + "\n".join(described)


def _usage(parameter: Any) -> str:
    spelled = _spelled(parameter)
    repeated = " ..." if parameter.multiple and spelled.startswith("-") else ""
    return f"{spelled}{repeated}" if parameter.required else f"[{spelled}{repeated}]"


def _spelled(parameter: Any) -> str:
    name = str(max(parameter.opts, key=len))
    if not name.startswith("-"):
        return str(parameter.metavar or name.upper())
    return name if parameter.is_flag else f"{name} {parameter.metavar or name.strip('-').upper()}"


def errors() -> str:
    """Every class of error: HTTP status, OperationOutcome code, whether to try again."""
    rows = [
        f"| {kind.status} | `{kind.code}` | `{kind.__name__}` | {_YES[kind.transient]} | {_first_line(kind)} |"
        for kind in _tree(GatewayError)
    ]
    intro = (
        "FHIR routes answer an `OperationOutcome` whose `issue.code` is the code below; the others answer "
        "`application/problem+json` (RFC 9457) with the error as `title`. No answer repeats what was sent."
    )
    head = "| HTTP status | code | error | try again | what it means |\n|---|---|---|---|---|"
    return "\n".join(["# Errors", "", _MADE, intro, "", head, *rows, ""])


_YES = {True: "yes", False: "no"}


def _tree(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == kind.__module__:
            yield from _tree(child)


def _first_line(kind: type[GatewayError]) -> str:
    return str(kind.__doc__).splitlines()[0]


PAGES = {
    "settings.md": settings,
    "cli.md": cli,
    "errors.md": errors,
    "ccda-mapping.md": ccda_mapping.page,
    "ccda-pairs.md": ccda_pairs.page,
}


def main() -> None:
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
