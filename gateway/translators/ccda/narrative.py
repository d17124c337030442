"""CDA narrative block -> XHTML that FHIR allows, and the map of its IDs (C-CDA on FHIR, Narrative; FHIR R4 §2.4.0).

One walk writes the XHTML and notes every element that has an ID, for the references of the entries.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from .node import V3, Element, children, folded

_SECTION = V3 + "section"


class Ids(dict[str, Element]):
    """ID -> the element that has it first. Some systems number the rows of each section anew: `again` has for such an
    ID the first in each section."""

    __slots__ = ("again",)

    def __init__(self) -> None:
        self.again: dict[str, dict[Element | None, Element]] = {}

    def repeat(self, name: str, element: Element) -> None:
        """Somebody else has it already."""
        if name not in self.again:
            first = self[name]
            self.again[name] = {_section_of(first): first}
        self.again[name].setdefault(_section_of(element), element)

    def named(self, reference: Element) -> Element | None:
        """The element that a reference means: of several with the same ID the one in its own section."""
        name = (reference.get("value") or "").removeprefix("#").strip()
        first = self.get(name)
        if first is None or name not in self.again:
            return first
        return self.again[name].get(_section_of(reference), first)


def _section_of(element: Element) -> Element | None:
    return next(element.iterancestors(_SECTION), None)


_HTML = {
    "content": "span",
    "paragraph": "p",
    "item": "li",
    "linkHtml": "a",
    **{name: name for name in ("table", "thead", "tbody", "tfoot", "tr", "th", "td", "colgroup", "sub", "sup")},
}
_PLAIN = {V3 + name: html for name, html in _HTML.items() if name != "paragraph"}
"""What an element becomes whatever is in it and around it."""

_SEPARATE = ("td", "th", "item", "paragraph", "br", "list", "tr", "table", "caption")
_SEPARATING = frozenset(V3 + name for name in _SEPARATE)
_BLOCKS = frozenset(V3 + name for name in ("list", "table", "paragraph"))
_STYLES = {"Bold": "font-weight:bold", "Italics": "font-style:italic", "Underline": "text-decoration:underline"}
_VOID = {V3 + "br": "<br/>", V3 + "col": "<col/>"}
_CAPTION, _TABLE, _LIST = V3 + "caption", V3 + "table", V3 + "list"
_CELLS, _LINK, _PARAGRAPH = (V3 + "td", V3 + "th"), V3 + "linkHtml", V3 + "paragraph"
_CAPTIONS = {_TABLE: "caption", _LIST: "li"}
_is_xml_name = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*").fullmatch
_WORDS = re.compile(r"(?:^|>)\s*[^<\s]")
"""Text that is not blank, outside of the tags."""

_CLASS = re.compile(r"[A-Za-z0-9_\- ]+")
_SPAN = re.compile(r"[1-9][0-9]{0,3}")
_LINKED = re.compile(r"(?:https?://|mailto:|#)[^\s\"<>]*")

Write = Callable[[str], None]


def escape(text: str) -> str:
    """As XML text, indentation as one blank; most text has nothing to escape."""
    if text.isspace():
        return " "
    if "&" in text or "<" in text or ">" in text:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text


def xhtml(text: Element, ids: Ids) -> str | None:
    """The `div` of a section's text, None when it says nothing; its IDs are added to `ids`."""
    if identifier := text.get("ID"):
        ids.setdefault(identifier, text)
    parts: list[str] = []
    _inside(text, parts.append, ids)
    inner = "".join(parts)
    if not _WORDS.search(inner):
        return None
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>'


def _inside(element: Element, write: Write, ids: Ids) -> None:
    """The text and the children of an element, in order; between the rows of a table there are only blanks."""
    if text := element.text:
        write(" " if text.isspace() else escape(text))
    for child in children(element):
        tag: Any = child.tag
        name = _PLAIN.get(tag) or _name(tag, child)
        tail = child.tail
        after = "" if tail is None else " " if tail.isspace() else escape(tail)
        if name is None:
            write(_VOID.get(tag, "") + after)
            continue
        attributes: Any = child.items()
        opening = name + _attributes(tag, child, attributes, ids) if attributes else name
        if len(child):
            write(f"<{opening}>")
            _inside(child, write, ids)
            write(f"</{name}>{after}")
        else:
            write(f"<{opening}>{escape(text) if (text := child.text) else ''}</{name}>{after}")


def _name(tag: str, element: Element) -> str | None:
    """A caption is one only in a table, in a list it is an item; a paragraph that holds blocks is a division; what CDA
    does not have in a narrative is only a span, and code for a browser is nothing at all."""
    if tag == _CAPTION:
        parent = element.getparent()
        return _CAPTIONS.get(str(parent.tag), "span") if parent is not None else "span"
    if tag == _LIST:
        return "ol" if element.get("listType") == "ordered" else "ul"
    if tag == _PARAGRAPH:
        return "div" if any(child.tag in _BLOCKS for child in children(element)) else "p"
    return None if tag in _VOID or _is_code(tag) else "span"


def _is_code(tag: str) -> bool:
    """HTML's script and style, in whatever namespace: what they hold are no words."""
    return tag.rpartition("}")[2].lower() in ("script", "style")


def _attributes(tag: str, element: Element, attributes: list[tuple[str, str]], ids: Ids) -> str:
    written = ""
    for name, value in attributes:
        if name == "ID":
            if ids.setdefault(value, element) is not element:
                ids.repeat(value, element)
            if _is_xml_name(value):
                written += f' id="{value}"'
        elif name == "styleCode":
            written += _style(value)
        elif name in ("colspan", "rowspan"):
            if tag in _CELLS and _SPAN.fullmatch(value):
                written += f' {name}="{value}"'
        elif name == "href" and tag == _LINK and _LINKED.fullmatch(value):
            written += f' href="{escape(value)}"'
    return written


@lru_cache(maxsize=256)
def _style(codes: str) -> str:
    """Bold, Italics and Underline have a look in HTML; the others (`Rrule`, `xsectionCode`) stay as class names."""
    styles = ";".join(_STYLES[code] for code in codes.split() if code in _STYLES)
    others = " ".join(code for code in codes.split() if code not in _STYLES)
    written = f' style="{styles}"' if styles else ""
    return f'{written} class="{others}"' if _CLASS.fullmatch(others) else written


def text_of(element: Element) -> str | None:
    """The words of a piece of narrative; cells, items and paragraphs are set apart by a blank."""
    if len(element) == 0:
        return folded(element.text)
    parts: list[str] = []
    _words(element, parts.append)
    return folded("".join(parts))


def _words(element: Element, write: Write) -> None:
    tag: Any = element.tag
    apart = tag in _SEPARATING
    if not apart and tag not in _PLAIN and _is_code(tag):
        return
    if apart:
        write(" ")
    write(element.text or "")
    for child in children(element):
        _words(child, write)
        write(child.tail or "")
    if apart:
        write(" ")
