"""nonXMLBody -> DocumentReference and Binary: a scanned or typed document with a CDA header (C-CDA R2.1 §1.1.14)."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator

from .codes import language_tag
from .context import Context, Reference
from .node import V3, Element, Node, children, folded
from .people import fits
from .values import CONFIDENTIALITY, Value, absent_concept, codeable, concept, identifier, kept

CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category"

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_URL_SAFE = str.maketrans("-_", "+/")
_BYTES = "application/octet-stream"
_WORDS = ("text/plain", "text/html", "text/xml")
_PACKED = {"GZ": "application/gzip", "ZL": "application/zlib", "DF": _BYTES, "Z": _BYTES}
_INSTANT = 19
"""A date with seconds: what DocumentReference.date asks for; a shorter one stays in the Composition."""

AUTHENTICATORS = ("Practitioner", "PractitionerRole", "Organization")


def unstructured(document: Node, header: Value, ctx: Context) -> None:
    """Take the body in; nothing when it holds neither data nor the place where they are. `header`: the
    Composition, of which it becomes a section, as everything in a FHIR document hangs together (FHIR R4 §3.3.1)."""
    for component in document.nodes("component"):
        body = component.node("nonXMLBody")
        text = body.get("text") if body else None
        if body is not None and text is not None:
            _taken(document, header, body, text, ctx)


def _taken(document: Node, header: Value, body: Node, text: Element, ctx: Context) -> None:
    before = len(ctx.made)
    content = attachment(text, ctx)
    if content is None:
        ctx.issue("warning", "incomplete", "nonXMLBody holds no data", body.element)
        return
    own, date = document.get("id"), header.get("date", "")
    labels = header.get("meta", {}).get("security", [])
    label = labels[0]["code"] if labels else header.get("confidentiality")
    reference = {
        "masterIdentifier": identifier(own) if own is not None else None,
        "status": "current",
        "docStatus": header["status"],
        "type": codeable(document.get("code"), ctx) or absent_concept(document.get("code")),
        "category": [concept("clinical-note", CATEGORY, "Clinical Note")],
        "subject": ctx.patient,
        "date": date if len(date) > _INSTANT else None,
        "author": [one for one in header["author"] if "reference" in one],
        "authenticator": next(_authenticators(header), None),
        "custodian": header.get("custodian"),
        "relatesTo": [
            {"code": one["code"], "target": {"identifier": one["targetIdentifier"]}}
            for one in header.get("relatesTo", ())
        ],
        "description": document.text("title"),
        "securityLabel": [concept(label, CONFIDENTIALITY)] if label else None,
        "content": [{"attachment": content}],
        "context": _surroundings(header),
    }
    made = ctx.add("DocumentReference", kept(reference), document)
    header.setdefault("section", []).append({"entry": [made]})
    if labels:
        ctx.labels += labels
        ctx.label([one.reference for one in ctx.made[before:]])


def _authenticators(header: Value) -> Iterator[Reference]:
    """The legal one first, as the Composition has them."""
    for attester in header.get("attester", ()):
        if found := fits(attester.get("party"), *AUTHENTICATORS):
            yield found


def _surroundings(header: Value) -> Value:
    """The visit, and the time of the event that it documents."""
    encounter = header.get("encounter")
    during = next((one["period"] for one in header.get("event", ()) if "period" in one), None)
    return kept({"encounter": [encounter] if encounter else None, "period": during})


def inline(element: Element) -> Value | None:
    """ED -> Attachment with its data, or the address under which they are (C-CDA on FHIR, CDA ED)."""
    kind = _kind(element)
    data = _data(element, kind or "text/plain")
    link = None if data else _link(element)
    if not data and (link is None or link.startswith("#")):
        return None
    return kept({"contentType": kind, "language": language_tag(element.get("language")), "data": data, "url": link})


def _kind(element: Element) -> str | None:
    return _PACKED.get(element.get("compression") or "") or folded(element.get("mediaType"))


def _link(element: Element) -> str | None:
    links = [child.get("value") for child in children(element) if child.tag == V3 + "reference"]
    return next((link for one in links if (link := to_url(one))), None)


def to_url(written: str | None) -> str | None:
    """As a URL has it: documents name files with blanks in their names."""
    return "%20".join(written.split()) if written else None


def attachment(text: Element, ctx: Context) -> Value | None:
    """Where the bytes are: in a Binary of our own, or under the URL that the document names, which a place in its
    narrative is not."""
    kind = _kind(text)
    data = _data(text, kind or "text/plain")
    if data is None:
        link = _link(text)
        return None if link is None or link.startswith("#") else kept({"contentType": kind, "url": link})
    kind = kind or "text/plain"
    binary: Reference = ctx.add_equal("Binary", {"contentType": kind, "data": data}, text)
    return {"contentType": kind, "url": binary["reference"]}


def _data(text: Element, kind: str) -> str | None:
    """The base64 as it is, without its line breaks; plain text as base64."""
    written = "".join([text.text or "", *(child.tail or "" for child in children(text))])
    if text.get("representation") == "B64":
        return _base64(written)
    if kind not in _WORDS and (data := _base64(written)):
        return data
    return b64encode(written.encode()).decode() if written.strip() else None


def _base64(written: str) -> str | None:
    """What else than words is there can only be base64, whether the document says so or not: a picture has bytes that
    no XML could hold, RTF braces. The padding and the letters of URLs change nothing in what it means."""
    joined = "".join(written.split())
    if not joined:
        return None
    if _BASE64.fullmatch(joined):
        return joined
    padded = joined.translate(_URL_SAFE).rstrip("=")
    padded += "=" * (-len(padded) % 4)
    return padded if _BASE64.fullmatch(padded) else None
