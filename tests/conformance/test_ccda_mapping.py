"""HL7 C-CDA on FHIR 2.0.0, row by row: every row that we say is covered is an example that runs.

The rows are in docs/reference/ccda-mapping; that none of HL7's is left out needs the reference corpora.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import pytest
from lxml import etree

from gateway.translators.ccda import convert
from tests.conformance.ccda_paths import Resource, assign, says
from tests.conformance.ccda_starts import STARTS, document
from tests.conftest import SHARED
from tools.ccda_mapping import NOT_OURS, Row, pages, rows

ROWS = [row for page in pages() for row in rows(page)]
COVERED = [row for row in ROWS if row.covered]
TABLE = SHARED / "ccda" / "mapping.tsv"


def name_of(row: Row) -> str:
    return f"{row.page}-{row.number}"


def assignments(row: Row) -> list[str]:
    return [] if row.given == NOT_OURS else row.given.split("; ")


def written(start: str, given: list[str]) -> bytes:
    root, here = document(start)
    for one in given:
        assign(here, one)
    return etree.tostring(root)


@cache
def bundle(data: bytes) -> Resource:
    return convert(data, patient_id="p1").bundle


@pytest.mark.parametrize("row", COVERED, ids=name_of)
def test_what_is_given_arrives(row: Row) -> None:
    said = bundle(written(row.start, assignments(row)))
    assert [wanted for wanted in row.expected.split("; ") if not says(said, wanted)] == []


@pytest.mark.parametrize("row", [row for row in COVERED if row.given != NOT_OURS], ids=name_of)
def test_it_comes_from_what_is_given(row: Row) -> None:
    """Without the row's own element the Bundle does not say it, so that it is no accident of the document."""
    said = bundle(written(row.start, assignments(row)[1:]))
    assert [wanted for wanted in row.expected.split("; ") if not says(said, wanted)] != []


@pytest.mark.parametrize("row", COVERED, ids=name_of)
def test_the_named_function_does_it(row: Row) -> None:
    data = written(row.start, assignments(row))
    assert code_of(row.function) in called(lambda: convert(data, patient_id="p1")), row.function


def code_of(function: str) -> Any:
    """Of the function that a row names; one that has another name by now is to be named in the row."""
    file, _, name = function.partition(":")
    module = import_module("gateway.translators.ccda." + file.removesuffix(".py").replace("/", "."))
    found = getattr(module, name, None)
    assert found, f"{function} is not there: name what does it now in docs/reference/ccda-mapping, then `make docs`"
    return getattr(found, "__wrapped__", found).__code__


def called(run: Callable[[], Any]) -> set[Any]:
    """The code of every Python function that ran."""
    codes: set[Any] = set()
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, _: codes.add(frame.f_code) if event == "call" else None)
    try:
        run()
    finally:
        sys.setprofile(before)
    return codes


@pytest.mark.parametrize("row", [row for row in ROWS if not row.covered], ids=name_of)
def test_what_is_not_covered_says_why(row: Row) -> None:
    assert len(row.note) > 10
    assert row.start in STARTS or row.start == NOT_OURS


@pytest.mark.shared
@pytest.mark.skipif(not TABLE.is_file(), reason="HL7's mapping table is not here: set GATEWAY_SHARED")
def test_every_row_of_the_guide_is_there() -> None:
    wanted = Counter(page_of(row["source"]) for row in source_rows())
    ours = Counter(row.page for row in ROWS)
    assert ours == wanted
    for page in wanted:
        assert [row.number for row in rows(page)] == [str(number + 1) for number in range(wanted[page])]


@pytest.mark.shared
@pytest.mark.skipif(not TABLE.is_file(), reason="HL7's mapping table is not here: set GATEWAY_SHARED")
def test_our_rows_name_what_the_rows_of_the_guide_name() -> None:
    """The element that a row is about, in C-CDA and in FHIR, is one that the guide's row names."""
    theirs: dict[tuple[str, str], dict[str, str]] = {}
    seen: Counter[str] = Counter()
    for source in source_rows():
        page = page_of(source["source"])
        seen[page] += 1
        theirs[page, str(seen[page])] = source
    assert [name_of(row) for row in COVERED if not alike(row, theirs[row.page, row.number])] == []


def source_rows() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def page_of(source: str) -> str:
    name = source.rsplit("/", 1)[-1].removesuffix(".md").removeprefix("CF-")
    return "guidance" if name == "mappingGuidance" else name


def alike(row: Row, theirs: dict[str, str]) -> bool:
    """Whether they share a name on both sides; of data types and CDA's own elements the guide gives examples."""
    said = " ".join(theirs[name] for name in ("base_xpath", "ccda_xpath", "template_oid"))
    target = " ".join(theirs[name] for name in ("fhir_resource", "fhir_path", "note"))
    if row.page in ("guidance", "participations"):
        return bool(words(" ".join(row)) & words(f"{said} {target}"))
    return (row.given == NOT_OURS or bool(words(row.source) & words(said))) and bool(words(row.target) & words(target))


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]{2,}", text.lower()))
