"""CDA narrative block -> XHTML that FHIR allows, and the map of its IDs (C-CDA on FHIR, Narrative; FHIR R4 §2.4.0).

One walk writes the XHTML and notes every element that has an ID, for the references of the entries.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .node import V3, Element, folded

Ids = dict[str, Element]

_NAMES = {
    "content": "span",
    "paragraph": "p",
    "list": "ul",
    "item": "li",
    "linkHtml": "a",
    "footnote": "span",
    "footnoteRef": "span",
    "text": "div",
}
_NAMES.update({name: name for name in ("table", "thead", "tbody", "tfoot", "tr", "th", "td", "colgroup", "sub", "sup")})
_TAGS = {V3 + name: html for name, html in _NAMES.items()}
_BLOCKS = frozenset(V3 + name for name in ("list", "table", "paragraph"))
_SEPARATING = frozenset(V3 + name for name in ("td", "th", "item", "paragraph", "br", "list", "tr", "table", "caption"))
_STYLES = {"Bold": "font-weight:bold", "Italics": "font-style:italic", "Underline": "text-decoration:underline"}
_BR, _COL, _CAPTION, _TABLE = V3 + "br", V3 + "col", V3 + "caption", V3 + "table"
_TD, _TH, _LIST, _LINK, _PARAGRAPH = V3 + "td", V3 + "th", V3 + "list", V3 + "linkHtml", V3 + "paragraph"
_CAPTIONS = {_TABLE: "caption", _LIST: "li"}
_XML_NAME = re.compile(r"[A-Za-z_][\w.\-]*")
_CLASS = re.compile(r"[\w\- ]+")
_LINKED = re.compile(r"(?:https?://|mailto:|#)\S*")

Write = Callable[[str], None]


def escape(text: str) -> str:
    """As XML text; most text has nothing to escape."""
    if "&" in text or "<" in text or ">" in text:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text


def xhtml(text: Element, ids: Ids) -> str | None:
    """The `div` of a section's text, None when it says nothing; its IDs are added to `ids`."""
    parts: list[str] = ['<div xmlns="http://www.w3.org/1999/xhtml">']
    if identifier := text.get("ID"):
        ids.setdefault(identifier, text)
    if text.text:
        parts.append(escape(text.text))
    _children(text, parts.append, ids)
    parts.append("</div>")
    return "".join(parts) if _says_something(text) else None


def _says_something(text: Element) -> bool:
    return any(not piece.isspace() for piece in text.itertext())


def _children(element: Element, write: Write, ids: Ids) -> None:
    for child in element:
        _one(child, write, ids)
        tail = child.tail
        if tail:
            write(escape(tail))


def _one(child: Element, write: Write, ids: Ids) -> None:
    tag: Any = child.tag
    identifier = child.get("ID")
    if identifier:
        ids.setdefault(identifier, child)
    if tag == _BR:
        write("<br/>")
        return
    if tag == _COL:
        return
    name = _name(tag, child)
    write(f"<{name}")
    _attributes(tag, child, identifier, write)
    write(">")
    text = child.text
    if text:
        write(escape(text))
    if len(child):
        _children(child, write, ids)
    write(f"</{name}>")


def _name(tag: str, element: Element) -> str:
    """A caption is one only in a table, in a list it is an item; a paragraph that holds blocks is a division."""
    if tag == _CAPTION:
        parent = element.getparent()
        return _CAPTIONS.get(str(parent.tag), "span") if parent is not None else "span"
    if tag == _LIST and element.get("listType") == "ordered":
        return "ol"
    if tag == _PARAGRAPH and any(child.tag in _BLOCKS for child in element):
        return "div"
    return _TAGS.get(tag, "span")


def _attributes(tag: str, element: Element, identifier: str | None, write: Write) -> None:
    if identifier and _XML_NAME.fullmatch(identifier):
        write(f' id="{identifier}"')
    style = element.get("styleCode")
    if style:
        _style(style, write)
    if tag in (_TD, _TH):
        for name in ("colspan", "rowspan"):
            span = element.get(name)
            if span and span.isdecimal():
                write(f' {name}="{span}"')
    elif tag == _LINK:
        href = element.get("href")
        if href and _LINKED.fullmatch(href):
            write(f' href="{escape(href).replace(chr(34), "&quot;")}"')


def _style(codes: str, write: Write) -> None:
    """Bold, Italics and Underline have a look in HTML; the others (`Rrule`, `xsectionCode`) stay as class names."""
    styles = [_STYLES[code] for code in codes.split() if code in _STYLES]
    others = " ".join(code for code in codes.split() if code not in _STYLES)
    if styles:
        write(f' style="{";".join(styles)}"')
    if others and _CLASS.fullmatch(others):
        write(f' class="{others}"')


def text_of(element: Element) -> str | None:
    """The words of a piece of narrative; cells, items and paragraphs are set apart by a blank."""
    if len(element) == 0:
        return folded(element.text)
    parts: list[str] = []
    _words(element, parts.append)
    return folded("".join(parts))


def _words(element: Element, write: Write) -> None:
    apart = element.tag in _SEPARATING
    if apart:
        write(" ")
    write(element.text or "")
    for child in element:
        _words(child, write)
        write(child.tail or "")
    if apart:
        write(" ")
