"""The summary as a PDF (extra `pdf`). Its fonts hold Latin letters; any other character is printed as its code point,
so that nothing is left out unseen."""

from __future__ import annotations

import io
from xml.sax.saxutils import escape

from gateway.errors import UnknownFormat

from .rows import COLUMNS, Summary, Table

_WIDTHS = (0.16, 0.34, 0.32, 0.18)
_MARGIN = 42.0


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
    story.append(_grid([(label, text) for label, text in summary.who], (0.25, 0.75), width, styles["BodyText"]))
    for table in summary.tables:
        story += [Spacer(0, 10), Paragraph(escape(f"{table.title} ({len(table.rows)})"), styles["Heading3"])]
        story.append(_table(table, width, styles["BodyText"]))
    document.build(story)
    return out.getvalue()


def _table(table: Table, width: float, style: object) -> object:
    return _grid([COLUMNS, *table.rows], _WIDTHS, width, style)


def _grid(rows: list[tuple[str, ...]], shares: tuple[float, ...], width: float, style: object) -> object:
    from reportlab.lib import colors
    from reportlab.platypus import Paragraph, TableStyle
    from reportlab.platypus import Table as Grid

    cells = [[Paragraph(escape(printable(cell)), style) for cell in row] for row in rows] or [["", ""]]
    lines = TableStyle([("LINEBELOW", (0, 0), (-1, -1), 0.3, colors.lightgrey), ("VALIGN", (0, 0), (-1, -1), "TOP")])
    return Grid(cells, colWidths=[share * width for share in shares], style=lines, repeatRows=0, splitInRow=1)


def printable(text: str) -> str:
    """With every character that the fonts lack written as `[U+XXXX]`."""
    return "".join(one if _is_printable(one) else f"[U+{ord(one):04X}]" for one in text)


def _is_printable(letter: str) -> bool:
    try:
        letter.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return letter.isprintable() or letter in "\n\t"
