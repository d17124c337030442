"""Which section it is: by its LOINC code, else by one of its templates, else by its title (C-CDA R2.1 §2)."""

from __future__ import annotations

from .codes import SECTION_CODES, SECTION_ROOTS, SECTION_TITLES
from .node import Node


def section_kind(section: Node) -> str | None:
    """The LOINC code by which its entries are read; the code as written where nobody knows the section."""
    code = section.attribute("code", "code")
    if code in SECTION_CODES:
        return SECTION_CODES[code]
    for root in section.templates():
        if root in SECTION_ROOTS:
            return SECTION_ROOTS[root]
    title = (section.text("title") or "").casefold().strip(" :.")
    return SECTION_TITLES.get(title, code)
