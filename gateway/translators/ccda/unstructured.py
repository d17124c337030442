"""nonXMLBody -> DocumentReference and Binary: a scanned or typed document with a CDA header (C-CDA R2.1 §1.1.14)."""

from __future__ import annotations

import re
from base64 import b64encode

from .context import Context, Reference
from .node import V3, Element, Node, children
from .values import Value, absent_concept, codeable, identifier, kept

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_INSTANT = 19
"""A date with seconds: what DocumentReference.date asks for; a shorter one stays in the Composition."""


def unstructured(document: Node, ctx: Context) -> None:
    """Take the body in; nothing when it holds neither data nor the place where they are."""
    for component in document.nodes("component"):
        body = component.node("nonXMLBody")
        text = body.get("text") if body else None
        if body is not None and text is not None:
            _taken(document, body, text, ctx)


def _taken(document: Node, body: Node, text: Element, ctx: Context) -> None:
    content = attachment(text, ctx)
    if content is None:
        ctx.issue("warning", "incomplete", "nonXMLBody holds no data", body.element)
        return
    own = document.get("id")
    date = ctx.moment(document.get("effectiveTime")) or ""
    reference = {
        "masterIdentifier": identifier(own) if own is not None else None,
        "status": "current",
        "type": codeable(document.get("code"), ctx) or absent_concept(document.get("code")),
        "subject": ctx.patient,
        "date": date if len(date) > _INSTANT else None,
        "description": document.text("title"),
        "content": [{"attachment": content}],
    }
    ctx.add("DocumentReference", kept(reference), document)


def inline(element: Element) -> Value | None:
    """ED -> Attachment with its data, or the address under which they are (C-CDA on FHIR, CDA ED)."""
    data = _data(element)
    if data is not None:
        said: Value = {"data": data}
    else:
        links = [link for child in children(element) if child.tag == V3 + "reference" if (link := child.get("value"))]
        if not links or links[0].startswith("#"):
            return None
        said = {"url": links[0]}
    return kept({"contentType": element.get("mediaType"), "language": element.get("language"), **said})


def attachment(text: Element, ctx: Context) -> Value | None:
    """Where the bytes are: in a Binary of our own, or under the URL that the document names."""
    kind = text.get("mediaType") or "text/plain"
    for child in children(text):
        if child.tag == V3 + "reference" and child.get("value"):
            return kept({"contentType": text.get("mediaType"), "url": child.get("value")})
    data = _data(text)
    if data is None:
        return None
    binary: Reference = ctx.add_equal("Binary", {"contentType": kind, "data": data}, text)
    return {"contentType": kind, "url": binary["reference"]}


def _data(text: Element) -> str | None:
    """The base64 as it is, without its line breaks; plain text as base64."""
    written = text.text or ""
    if text.get("representation") == "B64":
        joined = "".join(written.split())
        return joined if joined and _BASE64.fullmatch(joined) else None
    return b64encode(written.encode()).decode() if written.strip() else None
