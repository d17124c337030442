"""Writes docs/reference/ccda-pairs.md: how much of HL7's own example outputs we give, and why not the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference" / "ccda-pairs"
_MADE = "<!-- made by `make docs` from docs/reference/ccda-pairs/*.tsv: change those, not this page -->\n"
_INTRO = (
    "HL7 C-CDA on FHIR 2.0.0 has example pairs: a piece of a C-CDA document and the resource that it becomes. Each "
    "leaf of HL7's resource is a field, its id aside; a reference is equal when it is to the same type. Every field "
    "that ours does not have equally is below, with the reason: some of the outputs are no valid R4, others say what "
    "their input does not, and drafts are no consensus. `Rec_` are the outputs that HL7 recommends for one whole "
    "document. The tests compare the fields and the scores, and find reasons that are idle."
)


def _lines(name: str) -> Iterator[list[str]]:
    yield from (line.split("\t") for line in (FOLDER / name).read_text("utf-8").splitlines()[1:])


def scores() -> dict[str, tuple[int, int]]:
    """Pair -> how many fields it has, and how many of them we give equally."""
    return {name: (int(fields), int(equal)) for name, fields, equal in _lines("scores.tsv")}


def differences() -> list[tuple[str, str, str]]:
    """Pair, field and reason. A field is `path=value`, `path=*` for any value, `path.*` for all below."""
    return [(name, field, reason) for name, field, reason in _lines("differences.tsv")]


def reasons(pair: str) -> dict[str, str]:
    return {field: reason for name, field, reason in differences() if name == pair}


def page() -> str:
    head = "| pair | fields | equal | share |\n|---|---|---|---|"
    table = [_score(name, fields, equal) for name, (fields, equal) in scores().items()]
    total = _score("all", *(sum(one[at] for one in scores().values()) for at in (0, 1)))
    why = "| pair | field | why it differs |\n|---|---|---|"
    told = [f"| {name} | `{field}` | {reason} |" for name, field, reason in differences()]
    return "\n".join(["# HL7's example pairs", "", _MADE, _INTRO, "", head, *table, total, "", why, *told, ""])


def _score(name: str, fields: int, equal: int) -> str:
    return f"| {name} | {fields} | {equal} | {equal / fields:.0%} |"
