"""The summary as a PDF: everything on it, and in time that grows with it and no faster."""

from __future__ import annotations

import re
import zlib
from base64 import a85decode

from gateway.consolidated import pdf
from gateway.consolidated.rows import Summary, Table


def text_of(data: bytes) -> str:
    """What is printed, in order; the streams are deflated and in ASCII base 85."""
    streams = re.findall(rb"stream\r?\n(.*?)endstream", data, re.DOTALL)
    pages = [zlib.decompress(a85decode(b"<~" + one.strip(), adobe=True)) for one in streams]
    strings = re.findall(rb"\(((?:[^()\\]|\\.)*)\)\s*Tj", b"\n".join(pages))
    return re.sub(r"\\([()\\])", r"\1", " ".join(one.decode("latin-1") for one in strings))


def summary(rows: list[tuple[str, str, str, str]]) -> Summary:
    return Summary("Ada Quill", [("Birth date", "1990-12-10")], [Table("Observations", rows)])


def test_every_row_is_printed_once_and_in_order() -> None:
    printed = text_of(pdf.pdf(summary([("2020-01-01", f"Weight n{at}", "72.5 kg", "final") for at in range(250)])))
    assert re.findall(r"\bn\d+", printed) == [f"n{at}" for at in range(250)]
    assert "1990-12-10" in printed and "Observations (250)" in printed and printed.count("72.5 kg") == 250


def test_what_it_was_narrowed_down_to_is_printed_and_that_there_is_nothing() -> None:
    limited = Summary("Summary", [("Name", "Ada")], [], [("Shown only", "Immunization")])
    printed = text_of(pdf.pdf(limited))
    assert all(one in printed for one in ("Shown only", "Immunization", "Nothing of what was asked for is shown."))
    assert "Nothing else is known." in text_of(pdf.pdf(Summary("Summary", [("Name", "Ada")], [])))


def test_a_long_cell_is_wrapped_and_whole() -> None:
    words = [f"w{at}" for at in range(60)]
    printed = text_of(pdf.pdf(summary([("2020", " ".join(words), "<b>1</b> & 2", "final")])))
    assert re.findall(r"\bw\d+", printed) == words and "<b>1</b> & 2" in printed


def test_a_table_is_laid_out_in_parts_that_do_not_grow() -> None:
    """One whole table is copied for every page that it goes over: 20,000 rows took 85 s."""
    grids = list(pdf._grids([("a", "b")] * 1_001, (0.5, 0.5), 500.0, _style()))
    assert [len(one._cellvalues) for one in grids] == [100] * 10 + [1]


def _style() -> object:
    from reportlab.lib.styles import getSampleStyleSheet

    return getSampleStyleSheet()["BodyText"]
