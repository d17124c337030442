"""The summary as a PDF (extra `pdf`). Its fonts hold Latin letters; any other character is printed as its code point,
so that nothing is left out unseen."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

from gateway.errors import UnknownFormat

from .rows import COLUMNS, Summary

_WIDTHS = (0.16, 0.34, 0.32, 0.18)
_MARGIN = 42.0
_PADDING = 12.0
"""Of a cell, left and right together."""
_GRID = 100
"""Rows that are laid out together."""


def pdf(summary: Summary) -> bytes:
    """Raises UnknownFormat when the extra is not installed."""
    try:
        from reportlab.lib.pagesizes import A4
        from reportlab.lib.styles import getSampleStyleSheet
        from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer
    except ImportError:
        raise UnknownFormat("PDF needs the extra 'pdf': pip install fhir-gateway[pdf]; json and html do not") from None
    styles = getSampleStyleSheet()
    out = io.BytesIO()
    margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), _MARGIN)
    # `invariant`: the same record gives the same bytes.
    document = SimpleDocTemplate(out, pagesize=A4, title=summary.title, invariant=1, **margins)
    width = A4[0] - 2 * _MARGIN
    story = [Paragraph(escape(summary.title), styles["Title"])]
    story += _grids(
        [(label, text) for label, text in (*summary.who, *summary.limits)], (0.25, 0.75), width, styles["BodyText"]
    )
    for table in summary.tables:
        story += [Spacer(0, 10), Paragraph(escape(f"{table.title} ({len(table.rows)})"), styles["Heading3"])]
        story += _grids([COLUMNS, *table.rows], _WIDTHS, width, styles["BodyText"])
    story += [] if summary.tables else [Spacer(0, 10), Paragraph(escape(summary.nothing), styles["BodyText"])]
    document.build(story)
    return out.getvalue()


def _grids(rows: list[tuple[str, ...]], shares: tuple[float, ...], width: float, style: Any) -> Iterator[Any]:
    """One below the other look like one. A whole one is copied for every page that it is split over."""
    from reportlab.lib import colors
    from reportlab.platypus import Table as Grid
    from reportlab.platypus import TableStyle

    widths = [share * width for share in shares]
    lines = TableStyle(
        [
            ("LINEBELOW", (0, 0), (-1, -1), 0.3, colors.lightgrey),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("FONT", (0, 0), (-1, -1), style.fontName, style.fontSize, style.leading),
        ]
    )
    for start in range(0, len(rows), _GRID):
        cells = [
            [_cell(text, room, style) for text, room in zip(row, widths, strict=True)]
            for row in rows[start : start + _GRID]
        ]
        yield Grid(cells, colWidths=widths, style=lines, repeatRows=0, splitInRow=1)


def _cell(text: str, width: float, style: Any) -> Any:
    """What fits on one line as it is: a paragraph takes five times as long."""
    from reportlab.pdfbase.pdfmetrics import stringWidth
    from reportlab.platypus import Paragraph

    shown = " ".join(printable(text).split())
    if stringWidth(shown, style.fontName, style.fontSize) <= width - _PADDING:
        return shown
    return Paragraph(escape(shown), style)


def printable(text: str) -> str:
    """With every character that the fonts lack written as `[U+XXXX]`."""
    return "".join(one if _is_printable(one) else f"[U+{ord(one):04X}]" for one in text)


def _is_printable(letter: str) -> bool:
    try:
        letter.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return letter.isprintable() or letter in "\n\t"
