"""Reading: resources as callers get them, remote ids of links included (FHIR R4 §3.1.0.2 read, §3.1.1 search)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.errors import Gone, InvalidInput, Missing
from gateway.fhir import bundle, json, search, times
from gateway.fhir.bundle import Answer, Entry
from gateway.fhir.json import Json, Resource
from gateway.fhir.references import SHARED
from gateway.fhir.search import Order, Query
from gateway.fhir.searchset import searchset
from gateway.fhir.tokens import Token
from gateway.planning import bodies
from gateway.planning.directory import Directory
from gateway.store import Head, Hit, LinkRow, Reader, Version

Known = Callable[[Reader], Directory]
"""How to get the directory, asked only where a link has to be shown."""


@dataclass(frozen=True, slots=True)
class Read:
    """One version as it is served."""

    body: bytes
    number: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search. `cursor`: where the next page starts, None on the last."""

    matches: list[tuple[str, Json]]
    cursor: str | None
    total: int | None


def read(reader: Reader, directory: Known, type_: str, id_: str) -> Read:
    """The current version. Raises Missing, and Gone when it was deleted."""
    found = reader.read(type_, id_)
    if found is None:
        raise Missing(f"there is no {type_} with this id")
    if found.head.deleted or found.body is None:
        raise Gone(f"this {type_} was deleted; its history is at {type_}/{id_}/_history")
    return Read(_with_links(reader, directory, [found])[0], found.head.number, found.head.at)


def vread(reader: Reader, type_: str, id_: str, number: str) -> Read:
    """One version as it was stored. Raises Missing, and Gone for the version that deleted it."""
    head = _head(reader, type_, id_)
    named = bodies.version_number(number)
    version = reader.version(head.rid, named) if named is not None else None
    if version is None:
        raise Missing(f"this {type_} has no such version")
    if version.body is None:
        raise Gone(f"this {type_} was deleted with this version")
    return Read(version.body, version.number, version.at)


@dataclass(frozen=True, slots=True)
class Span:
    """Which versions of a history: at most `count`, smaller than `before`, made at or after `since`."""

    count: int
    before: int | None = None
    since: datetime | None = None

    def link(self, url: str, before: int | None) -> str:
        since = f"&_since={times.to_instant(self.since)}" if self.since is not None else ""
        return f"{url}/_history?_count={self.count}{since}" + (f"&before={before}" if before is not None else "")


def history(reader: Reader, type_: str, id_: str, span: Span, *, base: str) -> Resource:
    """The versions, newest first (FHIR R4 §3.1.0.9); the total where all of them are asked for."""
    head = _head(reader, type_, id_)
    asked = reader.history(head.rid, limit=span.count + 1, before=span.before)
    versions = [one for one in asked if span.since is None or one.at >= span.since]
    url = f"{base}/{type_}/{id_}"
    links = [{"relation": "self", "url": span.link(url, span.before)}]
    if len(versions) > span.count:
        links.append({"relation": "next", "url": span.link(url, versions[span.count - 1].number)})
    entries = [_past(one, type_, id_, url) for one in versions[: span.count]]
    counted = {"total": head.number} if span.since is None else {}
    listed = {"entry": entries} if entries else {}
    return {"resourceType": "Bundle", "type": "history", **counted, "link": links, **listed}


def find(reader: Reader, directory: Known, query: Query, base: str) -> Page:
    """One page of what a search finds, in the order of creation unless another is asked for. Where each page begins is
    a place in that order: what did not change meanwhile is met once, whatever else is written."""
    filters = _filters(reader, query, base)
    if filters is None:
        return Page([], None, 0 if query.total or not query.count else None)
    order, more = query.order or "id", query.count + 1
    hits = reader.search(query.type, **filters, order=order, after=query.cursor, limit=more) if query.count else []
    page = hits[: query.count]
    bodies = _with_links(reader, directory, page)
    matches = [(hit.head.id, json.raw(body)) for hit, body in zip(page, bodies, strict=True)]
    cursor = _place(page[-1].head, order) if len(hits) > query.count > 0 else None
    total = reader.count(query.type, **filters) if query.total or not query.count else None
    return Page(matches, cursor, total)


def _place(head: Head, order: Order) -> str:
    return head.id if order in ("id", "-id") else str(head.seq)


def answer(reader: Reader, directory: Known, entry: Entry, base: str) -> Answer:
    """A GET inside a Bundle: read, vread or search."""
    if entry.id is None:
        query = _asked(entry, base)
        page = find(reader, directory, query, base)
        found = searchset(query, page.matches, base=base, cursor=page.cursor, total=page.total)
        return Answer(200, resource=found)
    if entry.version is not None:
        got = vread(reader, entry.type, entry.id, entry.version)
    else:
        got = read(reader, directory, entry.type, entry.id)
    if entry.if_none_match is not None and bundle.is_named(entry.if_none_match, got.number):
        return Answer(304, version=got.number, at=got.at)
    return Answer(200, version=got.number, at=got.at, resource=json.raw(got.body))


def _asked(entry: Entry, base: str) -> Query:
    try:
        return search.parse(entry.type, entry.query or "", base=base)
    except InvalidInput as error:
        error.expression = f"{entry.path}.request.url"
        raise


def _head(reader: Reader, type_: str, id_: str) -> Head:
    head = reader.heads([(type_, id_)]).get((type_, id_))
    if head is None:
        raise Missing(f"there is no {type_} with this id")
    return head


def _past(version: Version, type_: str, id_: str, url: str) -> Resource:
    methods = {"create": ("POST", type_, "201 Created"), "delete": ("DELETE", f"{type_}/{id_}", "204 No Content")}
    method, path, status = methods.get(version.method, ("PUT", f"{type_}/{id_}", "200 OK"))
    said = {"status": status, "etag": bundle.etag(version.number), "lastModified": times.to_instant(version.at)}
    entry: Resource = {"fullUrl": url, "request": {"method": method, "url": path}, "response": said}
    return entry if version.body is None else {**entry, "resource": json.raw(version.body)}


def _filters(reader: Reader, query: Query, base: str) -> dict[str, Json] | None:
    """The query as the store takes it; None when nothing can match."""
    filters: dict[str, Json] = {"at": query.updated}
    ids = query.ids
    if query.patients is not None:
        heads = reader.heads([("Patient", id_) for id_ in query.patients])
        filters["patient"] = [head.rid for head in heads.values()]
        filters["shared"] = query.type in SHARED
    if query.identifiers:
        own = f"{base}/{query.type}"
        last = query.identifiers[-1]
        others = query.identifiers if any(one.system == own for one in last) else query.identifiers[:-1]
        for group in others:
            ids = tuple(_narrowed(reader, query.type, ids, group, own))
        if len(others) < len(query.identifiers):
            filters["identifiers"] = list(last)
    if ids is not None:
        filters["ids"] = list(ids)
    empty = (ids is not None and not ids) or filters.get("patient") == []
    return None if empty else filters


def _narrowed(reader: Reader, type_: str, ids: Sequence[str] | None, group: Iterable[Token], own: str) -> list[str]:
    """Repeated parameters are all to be met: the ids that one of them leaves over (FHIR R4 §3.1.1.4.17). An identifier
    of our `own` system is the id itself, and no row."""
    named = [one.value for one in group if one.system == own and one.value]
    asked = [(one.system, one.value or "") for one in group if one.system != own]
    found = reader.search(type_, identifiers=asked, ids=ids, limit=_MOST + 1) if asked else []
    if len(found) > _MOST:
        raise InvalidInput(f"one of several identifier parameters finds more than {_MOST} resources by itself")
    known = None if ids is None else frozenset(ids)
    return [*(hit.head.id for hit in found), *(one for one in named if known is None or one in known)]


_MOST = 10_000
"""What is left out here would be missing in the answer without a word."""


def _with_links(reader: Reader, directory: Known, page: Sequence[Hit]) -> list[bytes]:
    """The bodies as served: a Patient shows the remote ids of its links as identifiers of those systems."""
    linked = [hit.head.rid for hit in page if hit.linked and hit.head.type == "Patient"]
    if not linked:
        return [hit.body or b"" for hit in page]
    links, known = reader.links(linked), directory(reader)
    return [_presented(hit.body or b"", hit.head, links.get(hit.head.rid, ()), known) for hit in page]


def _presented(body: bytes, head: Head, links: Iterable[LinkRow], directory: Directory) -> bytes:
    shown = [one for link in links if (one := _as_identifier(link, head, directory)) is not None]
    if not shown:
        return body
    patient = json.decode(body)
    given = patient.get("identifier", [])
    there = {(one.get("system"), one.get("value")) for one in given}
    told = {(one["system"], one["value"]): one for one in shown}  # two connectors may speak of one system's ids
    more = [one for pair, one in told.items() if pair not in there]
    return json.encode({**patient, "identifier": [*given, *more]}) if more else body


def _is_theirs(link: LinkRow, head: Head) -> bool:
    """Whether it names an id of another system: a FHIR client's own record goes by ours."""
    return link.undone_at is None and link.remote_id != head.id


def _as_identifier(link: LinkRow, head: Head, directory: Directory) -> Mapping[str, str] | None:
    system = directory.id_system(link.connector)
    if system is None or not _is_theirs(link, head):
        return None
    return {"system": system, "value": link.remote_id}
