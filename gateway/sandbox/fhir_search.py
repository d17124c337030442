"""What the FHIR stand-in finds: `_id`, `identifier`, `url`, `_lastUpdated`, sorted and in pages (FHIR R4 §3.1.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, urlencode

Resource = dict[str, Any]

KNOWN = frozenset({"_id", "identifier", "_count", "_lastUpdated", "_sort", "_offset", "url"})
_PAGE = 50


class Query:
    """A search as it was asked; a comma means or, a repeated parameter and."""

    def __init__(self, text: str) -> None:
        self._wanted = parse_qs(text, keep_blank_values=True)
        self.unknown = sorted(self._wanted.keys() - KNOWN)
        self.unknown += [one for one in self._wanted.get("_sort", ()) if one.removeprefix("-") != "_lastUpdated"]

    def matches(self, alive: Iterable[Resource]) -> list[Resource]:
        found = [one for one in alive if self._fits(one)]
        order = self._wanted.get("_sort", [""])[0]
        if not order:
            return found
        return sorted(found, key=lambda one: str(one["meta"]["lastUpdated"]), reverse=order.startswith("-"))

    def page(self, kind: str, found: list[Resource], base: str, now: str) -> Resource:
        """A searchset with as much as was asked for, and the address of what follows."""
        size, start = int(self._wanted.get("_count", [_PAGE])[0]), int(self._wanted.get("_offset", [0])[0])
        bundle: Resource = {"resourceType": "Bundle", "type": "searchset", "meta": {"lastUpdated": now}}
        bundle["total"] = len(found)
        if start + size < len(found):
            asked = [(name, one) for name, ones in self._wanted.items() for one in ones if name != "_offset"]
            following = urlencode([*asked, ("_offset", start + size)])
            bundle["link"] = [{"relation": "next", "url": f"{base}/{kind}?{following}"}]
        entries = [_entry(kind, one, base) for one in found[start : start + size]]
        return bundle | ({"entry": entries} if entries else {})

    def _fits(self, resource: Resource) -> bool:
        ids = all(resource["id"] in one.split(",") for one in self._wanted.get("_id", ()))
        named = all(any(_has(resource, token) for token in _tokens(one)) for one in self._wanted.get("identifier", ()))
        channel = (resource.get("channel") or {}).get("endpoint")
        told = all(channel == one for one in self._wanted.get("url", ()))
        return ids and named and told and all(_since(resource, one) for one in self._wanted.get("_lastUpdated", ()))


def _entry(kind: str, resource: Resource, base: str) -> Resource:
    return {"fullUrl": f"{base}/{kind}/{resource['id']}", "resource": resource, "search": {"mode": "match"}}


def _since(resource: Resource, asked: str) -> bool:
    """`ge` and an instant of ours in UTC: compared as text."""
    return str(resource["meta"]["lastUpdated"]) >= asked.removeprefix("ge").replace("+00:00", "Z")


def _tokens(text: str) -> list[str]:
    return [re.sub(r"\\(.)", r"\1", token) for token in re.split(r"(?<!\\),", text)]


def _has(resource: Resource, token: str) -> bool:
    system, bar, value = token.rpartition("|")
    listed = resource.get("identifier") or []
    return any(
        (not bar or one.get("system", "") == system) and (not value or one.get("value") == value)
        for one in (listed if isinstance(listed, list) else [listed])
    )
