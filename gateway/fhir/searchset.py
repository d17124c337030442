"""Searchset: the Bundle that answers a search, with its links (FHIR R4 §3.1.1.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from gateway.fhir.json import Resource
from gateway.fhir.search import Query


def self_link(query: Query, base: str) -> str:
    """The search as it was understood (FHIR R4 §3.1.1.3.2)."""
    return _link(query, base, query.applied)


def next_link(query: Query, base: str, cursor: str) -> str:
    """The same search from where this page ended."""
    return _link(query, base, [*(pair for pair in query.applied if pair[0] != "_cursor"), ("_cursor", cursor)])


def _link(query: Query, base: str, pairs: Iterable[tuple[str, str]]) -> str:
    """The names are those that we know, so only the values need escaping."""
    asked = "&".join([f"{name}={_quoted(value)}" for name, value in pairs])
    return f"{base}/{query.type}?{asked}" if asked else f"{base}/{query.type}"


def _quoted(text: str) -> str:
    """Percent-encoded (RFC 3986 §2.1); what is plain ASCII, nearly everything, by one table."""
    return text.translate(_PERCENT) if text.isascii() else quote(text, safe="")


_PERCENT = {code: quote(chr(code), safe="") for code in range(128)}


def searchset(
    query: Query,
    matches: Iterable[tuple[str, Any]],
    *,
    base: str,
    cursor: str | None = None,
    total: int | None = None,
) -> Resource:
    """The Bundle of one page: `matches` are (id, body), a body parsed or msgspec.Raw; `cursor` = where the next begins.

    A first page that is also the last tells the total for nothing.
    """
    entries = [_entry(f"{base}/{query.type}/{id_}", body) for id_, body in matches]
    links = [{"relation": "self", "url": self_link(query, base)}]
    if cursor is not None:
        links.append({"relation": "next", "url": next_link(query, base, cursor)})
    elif total is None and query.cursor is None and query.count:
        total = len(entries)
    counted = {} if total is None else {"total": total}
    listed = {"entry": entries} if entries else {}
    return {"resourceType": "Bundle", "type": "searchset", **counted, "link": links, **listed}


def _entry(full_url: str, body: Any) -> Resource:
    return {"fullUrl": full_url, "resource": body, "search": {"mode": "match"}}
