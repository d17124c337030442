"""The report of a conversion for people: tables of what became of each section, and why something did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from . import terminal
from .convert import Outcome

_WHY = ("why", "where")
_SECTIONS = ("section", "code", "seen", "converted", "fallback", "not understood")


def print_report(outcomes: Iterable[Outcome]) -> None:
    for outcome in outcomes:
        terminal.print_line(f"{outcome.file}: {outcome.error or 'converted'}")
        if outcome.report is not None:
            _print_converted(outcome.report)
        if outcome.report is not None or outcome.issues:
            _print_issues(outcome.issues)


def _print_converted(report: dict[str, Any]) -> None:
    terminal.print_table("Sections", _SECTIONS, _section_rows(report["sections"]), "no sections")
    missed = [one for section in report["sections"] for one in section["notUnderstood"]]
    rows = [(one["reason"], one["xpath"]) for one in missed]
    terminal.print_table("Not understood", _WHY, rows, "Every entry was understood.")
    guessed = [one for section in report["sections"] for one in section["fellBack"]]
    rows = [(one["reason"], one["xpath"]) for one in guessed]
    terminal.print_table("By their element alone", _WHY, rows, "Nothing had to be read by its element alone.")
    made = [(one["resource"].partition("/")[0], one["xpath"]) for one in report.get("resources", ())]
    terminal.print_table("Resources", ("type", "count"), sorted(Counter(kind for kind, _ in made).items()))
    terminal.print_table("Where each came from", ("type", "where"), made)


def _section_rows(sections: Iterable[dict[str, Any]]) -> Iterator[tuple[object, ...]]:
    for one in sections:
        counts = (one["seen"], one["converted"], one["fallback"], len(one["notUnderstood"]))
        yield (one["title"] or "(no title)", one["code"], *counts)


def _print_issues(issues: Iterable[dict[str, Any]]) -> None:
    rows = [(one["severity"], one["diagnostics"], " ".join(one.get("expression", ()))) for one in issues]
    terminal.print_table("Noticed in the document", ("severity", "what", "where"), rows, "Nothing wrong was noticed.")
