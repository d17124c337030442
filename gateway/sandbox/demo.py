"""`gateway demo`: the main job from end to end, checked step by step against two stand-ins on loopback."""

from __future__ import annotations

import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.errors import InvalidInput
from gateway.fhir import json

from .demo_check import Check, run_steps
from .demo_stage import Stage, staged
from .demo_story import chapters

_MARKS = {True: "[green]ok[/]", False: "[red]FAILED[/]"}


def run(*, as_json: bool = False, serve: bool = False, keep: Path | None = None) -> int:
    """0 when every check held, else 1. `keep`: the folder that keeps the database and the snapshot.

    `serve`: everything stays up until Ctrl-C, with addresses and keys printed.
    """
    console = Console(stderr=as_json)
    with _folder(keep) as folder, staged(folder) as stage:
        checks = list(_told(stage, console))
        ok = all(check.ok for check in checks)
        _close(console, checks, keep)
        if as_json:
            report = {"ok": ok, "checks": [check.to_json() for check in checks]}
            sys.stdout.write(json.encode(report).decode() + "\n")
            sys.stdout.flush()
        if serve:
            _serve(stage, console)
    return 0 if ok else 1


def _told(stage: Stage, console: Console) -> Iterator[Check]:
    for title, steps in chapters(stage):
        console.print(f"\n[bold]{escape(title)}[/]")
        for check in run_steps(steps):
            line = Table.grid(padding=(0, 1))
            for width in (7, 6, None):
                line.add_column(width=width, overflow="fold")
            told = f"{escape(check.name)}\n[dim]{escape(check.detail)}[/]" if check.detail else escape(check.name)
            line.add_row(_MARKS[check.ok], f"{check.seconds:.1f} s", told)
            console.print(line)
            yield check


def _close(console: Console, checks: list[Check], keep: Path | None) -> None:
    failed = sum(not check.ok for check in checks)
    seconds = sum(check.seconds for check in checks)
    told = f"[red]{failed} of {len(checks)} checks failed[/]" if failed else f"[green]all {len(checks)} checks held[/]"
    kept = f"; data and snapshot are in {escape(str(keep))}" if keep else ""
    console.print(f"\n{told} in {seconds:.1f} s{kept}")


def _serve(stage: Stage, console: Console) -> None:
    console.print(
        "\n[bold]Everything keeps running; Ctrl-C stops it.[/] Paste this into another terminal to go on by hand:"
    )
    for line in pasted(stage.exports()):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()


def pasted(exports: Mapping[str, str]) -> list[str]:
    """The lines for the other terminal, where the environment of this one is not known: our command comes first."""
    commands = shlex.quote(str(Path(sys.executable).parent))
    return [f'export PATH={commands}:"$PATH"', *(f"export {name}={shlex.quote(exports[name])}" for name in exports)]


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """A folder of its own; one that is to be kept must be new or empty, so that each run starts from nothing."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="gateway-demo-") as temporary:
            yield Path(temporary)
        return
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise InvalidInput(f"{keep} is there and not empty: name a new folder to keep the demo in")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.resolve()
