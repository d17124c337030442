"""The forms of the Bundle (FHIR R4 §2.36): batch of PUTs, transaction of conditional PUTs, document."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

from gateway.errors import InvalidInput, NotConformant
from gateway.fhir.json import Resource
from gateway.identity.keys import never

from .context import Context, Reference
from .ids import full_url, is_uuid
from .node import Node
from .values import URI, Value, identifier, kept

_INSTANT = 19
"""A Bundle's timestamp has seconds and a zone; a shorter time of the document would have to be made up."""

_WRITTEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_ADDRESSES = ("reference", "url")

Entry = tuple[Resource, Reference]


def entries_of(ctx: Context) -> list[Entry]:
    """Every resource with the reference that all use for it, the Patient first."""
    return [(ctx.person, ctx.patient), *((made.body, made.reference) for made in ctx.made)]


Form = Callable[[Node, Context, str | None], Resource]


def form_of(name: str) -> Form:
    """Raises InvalidInput for a form that nobody knows."""
    try:
        return _FORMS[name]
    except KeyError:
        raise InvalidInput(f"form is none of {', '.join(_FORMS)}", expression="form") from None


def instant_of(assembled: str | None) -> str | None:
    """As it was given. Raises InvalidInput for what is no FHIR instant."""
    if assembled is None or (_WRITTEN.fullmatch(assembled) and _is_time(assembled)):
        return assembled
    raise InvalidInput("assembled is no instant, like 2024-05-01T12:00:00Z", expression="assembled")


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text) is not None
    except ValueError:
        return False


def _batch(document: Node, ctx: Context, _assembled: str | None) -> Resource:
    """A PUT per resource under the id that we made; the Patient under the caller's."""
    entries = [
        {
            "fullUrl": full_url(body["id"]),
            "resource": body,
            "request": {"method": "PUT", "url": reference["reference"]},
        }
        for body, reference in entries_of(ctx)
    ]
    return _bundle("batch", _version(document), entries)


def _document(document: Node, ctx: Context, assembled: str | None) -> Resource:
    """The Composition first, every reference the fullUrl of its entry (FHIR R4 §3.3.1; bdl-9 to bdl-11)."""
    time = ctx.moment(document.get("effectiveTime")) or ""
    if len(time) <= _INSTANT:
        if assembled is None:
            raise NotConformant(
                "a FHIR document needs the instant of its making, and effectiveTime has no time of day with a zone: "
                "name the timezone, say when it is assembled, or choose another form"
            )
        time = assembled
    listed = entries_of(ctx)
    listed.sort(key=lambda entry: entry[0]["resourceType"] != "Composition")
    if listed[0][0]["resourceType"] != "Composition":
        raise NotConformant("a FHIR document begins with its Composition, and this one would not be valid R4")
    urls = _urls(listed)
    entries = [{"fullUrl": urls[reference["reference"]], "resource": _linked(body, urls)} for body, reference in listed]
    named = _named(document) or {}
    if not (named.get("system") and named.get("value")):
        named = {"system": URI, "value": entries[0]["fullUrl"]}
    return _bundle("document", named, entries, time)


def _transaction(document: Node, ctx: Context, _assembled: str | None) -> Resource:
    """A conditional PUT per resource, by an identifier that is in it. What has no identifier in R4 is created, and what
    a Binary holds stands in the attachment."""
    listed = entries_of(ctx)
    data = {reference["reference"]: body["data"] for body, reference in listed if body["resourceType"] == "Binary"}
    listed = [entry for entry in listed if entry[0]["resourceType"] != "Binary"]
    urls = _urls(listed)
    entries = []
    for body, reference in listed:
        resource: Resource = _linked(body, urls, data)
        request = _request(resource, reference)
        if "?" in request["url"] or request["method"] == "POST":
            resource.pop("id")
        entries.append({"fullUrl": urls[reference["reference"]], "resource": resource, "request": request})
    return _bundle("transaction", _version(document), entries)


def _request(resource: Resource, reference: Reference) -> Value:
    """How the server is to find it: the patient and the document by their own identifier. Of everything else documents
    repeat ids on others, of other patients too, and one that two have would refuse the whole transaction: it gets our
    identifier, which is made of whose statement it is, its ids, its code and its times. A patient whose numbers may not
    serve has the caller's id: as an identifier where it is a UUID, which nobody else has, else as the server's own."""
    kind = resource["resourceType"]
    own = next(_conditions(resource), None) if kind in _SELF_NAMED else None
    if own or (kind == "Patient" and not is_uuid(resource["id"])):
        return {"method": "PUT", "url": own or reference["reference"]}
    if kind in _NAMELESS or (kind == "Composition" and "identifier" in resource):
        return {"method": "POST", "url": kind}
    ours = {"system": URI, "value": full_url(resource["id"])}
    if kind == "Composition":
        resource["identifier"] = ours
    else:
        resource["identifier"] = [*resource.get("identifier", ()), ours]
    return {"method": "PUT", "url": _asked(kind, ours)}


_SELF_NAMED = frozenset(["Composition", "Patient"])
_NAMELESS = frozenset(["Provenance"])
"""The one type that we make whose R4 form has no identifier."""


_FORMS: dict[str, Form] = {
    "batch": _batch,
    "document": _document,
    "transaction": _transaction,
}
FORMS = tuple(_FORMS)


def _bundle(kind: str, named: Value | None, entries: list[Value], time: str | None = None) -> Resource:
    return kept({"resourceType": "Bundle", "identifier": named, "type": kind, "timestamp": time, "entry": entries})


def _version(document: Node) -> Value | None:
    """The document's id, where the Composition has the one of all its versions instead."""
    return _named(document) if "setId" in document else None


def _named(document: Node) -> Value | None:
    own = document.get("id")
    return None if own is None else identifier(own)


def _urls(entries: list[Entry]) -> dict[str, str]:
    return {reference["reference"]: full_url(body["id"]) for body, reference in entries}


def _linked(value: Any, urls: dict[str, str], data: dict[str, str] | None = None) -> Any:
    """A copy that refers to the entries by their fullUrl: a relative reference resolves only beside a RESTful one.
    `data`: of the Binaries whose place it takes."""
    if isinstance(value, list):
        return [_linked(one, urls, data) for one in value]
    if not isinstance(value, dict):
        return value
    found = {
        name: urls.get(inner, inner) if name in _ADDRESSES and isinstance(inner, str) else _linked(inner, urls, data)
        for name, inner in value.items()
    }
    if data and found.get("url") in data:
        found["data"] = data[found.pop("url")]
    return found


def _conditions(resource: Resource) -> Iterator[str]:
    """`Type?identifier=system|value` for every identifier that may say which one is meant: no OID that names only who
    numbers things, no number that is a placeholder, an example or shared."""
    said = resource.get("identifier", ())
    for one in [said] if isinstance(said, dict) else said:
        system, value = one.get("system"), one.get("value", "")
        bare = system == URI and not value.startswith("urn:uuid:")
        if system and value and not bare and never(one) is None:
            yield _asked(resource["resourceType"], one)


def _asked(kind: str, one: Value) -> str:
    token = quote(f"{one['system']}|{one['value']}", safe=":/")
    return f"{kind}?identifier={token}"
