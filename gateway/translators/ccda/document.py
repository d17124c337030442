"""Bytes -> the ClinicalDocument element, or one clear refusal (CDA R2 §4.1). No DOCTYPE, no network, no files."""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

from gateway.errors import TooLarge, Unparsable
from gateway.fhir.issue import Issue

from .node import V3, Element
from .repair import is_misread, repairs

MAX_BYTES = 50_000_000
MAX_DEPTH = 256
_HUGE = 9_000_000
"""libxml2 refuses text nodes over 10 MB and nesting over 256 unless told otherwise: only a large document is."""

_DECLARED = re.compile(rb"\s*<\?xml[^>]{0,200}?\bencoding\s*=\s*[\"']([A-Za-z0-9._\-]+)[\"']")
_KNOWN = re.compile(
    r"utf-?8|utf-?16(le|be)?|us-ascii|ascii|iso-?8859-\d{1,2}|latin-?1|windows-125\d|cp125\d", re.IGNORECASE
)
_PROLOG = re.compile(rb"\s*(<\?|<!--)")
_DOCTYPE = re.compile(rb"\s*<!DOCTYPE")
_WIDE_DOCTYPES = tuple("<!DOCTYPE".encode(name) for name in ("utf-16-le", "utf-16-be"))
_TOO_DEEP = etree.XPath("/*" * MAX_DEPTH)


def parse(data: bytes, issues: list[Issue], *, limit: int = MAX_BYTES) -> Element:
    """The root element, its tags in the HL7 v3 namespace.

    Raises TooLarge over `limit` bytes or MAX_DEPTH levels, Unparsable for everything else that is no CDA document.
    """
    if len(data) > limit:
        raise TooLarge(f"more than {limit} bytes")
    if not data.strip():
        raise Unparsable("empty")
    root = _read(data, issues, limit)
    if root.getroottree().docinfo.internalDTD is not None:
        raise Unparsable("a DOCTYPE is not allowed")
    if len(data) > _HUGE and _TOO_DEEP(root):
        raise TooLarge(f"nested deeper than {MAX_DEPTH} levels")
    return _clinical_document(root, issues)


def _read(data: bytes, issues: list[Issue], limit: int) -> Element:
    """The root as the document is or, where that cannot be read, as it was certainly meant."""
    _refuse_declarations(data)
    try:
        if not is_misread(data):
            return _parsed(data)
        reason = Unparsable("not XML")
    except Unparsable as error:
        reason = error
    for meant, done in repairs(data):
        try:
            root = _meant(meant, limit)
        except Unparsable as error:
            reason = error
        else:
            issues.extend(Issue("warning", "structure", what, "/ClinicalDocument") for what in done)
            return root
    raise reason


def _meant(data: bytes, limit: int) -> Element:
    if len(data) > limit:
        raise TooLarge(f"more than {limit} bytes")
    _refuse_declarations(data)
    return _parsed(data)


def _refuse_declarations(data: bytes) -> None:
    """Before the parser sees them: entities expand while it reads. No encoding in which a DOCTYPE could hide."""
    declared = _DECLARED.match(data)
    if declared and not _KNOWN.fullmatch(declared[1].decode("ascii")):
        raise Unparsable("an encoding that we do not read; send UTF-8")
    if data[:4] in (b"\x00\x00\xfe\xff", b"\xff\xfe\x00\x00", b"\x00\x00\x00<", b"<\x00\x00\x00", b"Lo\xa7\x94"):
        raise Unparsable("an encoding that we do not read; send UTF-8")
    if _begins_with_doctype(data) or (b"\0" in data and any(doctype in data for doctype in _WIDE_DOCTYPES)):
        raise Unparsable("a DOCTYPE is not allowed")


def _begins_with_doctype(data: bytes) -> bool:
    """Whether a DOCTYPE is what follows the blanks, comments and processing instructions of the prolog; after the root
    element has begun the same characters are only text."""
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while found := _PROLOG.match(data, at):
        closing = b"?>" if found[1] == b"<?" else b"-->"
        end = data.find(closing, found.end())
        if end < 0:
            return False
        at = end + len(closing)
    return _DOCTYPE.match(data, at) is not None


def _parsed(data: bytes) -> Element:
    options: Any = {"resolve_entities": False, "no_network": True, "remove_comments": True, "remove_pis": True}
    parser = etree.XMLParser(huge_tree=len(data) > _HUGE, load_dtd=False, collect_ids=False, **options)
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise Unparsable(f"not well-formed XML at line {line}, column {column}") from None
    except (ValueError, LookupError):
        raise Unparsable("not XML") from None


def _clinical_document(root: Element, issues: list[Issue]) -> Element:
    tag = str(root.tag)
    if tag == V3 + "ClinicalDocument":
        return root
    if tag != "ClinicalDocument":
        raise Unparsable("the root element is no HL7 v3 ClinicalDocument")
    for element in root.iter():
        if isinstance(element.tag, str) and not element.tag.startswith("{"):
            element.tag = V3 + element.tag
    issues.append(Issue("warning", "structure", "no namespace: read as HL7 v3", "/ClinicalDocument"))
    return root
