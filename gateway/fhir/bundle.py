"""Bundle: a transaction or batch as entries that can be worked through, and the Bundle that answers it.

FHIR R4 §3.1.0.11 (batch/transaction), §2.36 (Bundle).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, NamedTuple

from gateway.errors import GatewayError, InvalidInput, Missing, NotAllowed, NotConformant, TooLarge
from gateway.fhir import condition, references, times
from gateway.fhir.condition import Condition
from gateway.fhir.gate_types import is_r4_type
from gateway.fhir.issue import Issue
from gateway.fhir.json import Json, Resource

MOST = 10_000
KINDS = ("transaction", "batch")
ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "GET": 3}

_URL = re.compile(
    r"([A-Z][A-Za-z]{1,63})(?:/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?)?/?(?:\?(.*))?",
    re.ASCII | re.DOTALL,
)
_ETAG = re.compile(r'(?:W/)?"([A-Za-z0-9\-.]{1,64})"', re.ASCII)
_SCHEME = re.compile(r"(?:https?://|urn:)\S+", re.ASCII)
_NAMED = re.compile(r"https?://\S+/([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})", re.ASCII)


@dataclass(slots=True)  # not frozen: that costs three times as much, for every entry that comes in
class Entry:
    """One entry, checked. `condition` = of a conditional PUT or DELETE, `query` = of a GET that searches,
    `if_match` = the version it names.

    `error` = why it cannot be done (its other fields then do not count); in a batch only, as a transaction with such
    an entry is refused whole.
    """

    index: int
    full_url: str | None = None
    method: str = ""
    type: str = ""
    id: str | None = None
    version: str | None = None
    query: str | None = None
    condition: Condition | None = None
    if_match: str | None = None
    if_none_exist: Condition | None = None
    if_none_match: str | None = None
    resource: Resource | None = None
    error: GatewayError | None = None

    @property
    def path(self) -> str:
        """FHIRPath of the entry."""
        return f"Bundle.entry[{self.index}]"

    @property
    def names(self) -> tuple[str, ...]:
        """The `Type/id` by which other entries may refer to it."""
        if self.resource is None:
            return ()
        own = self.resource.get("id")
        return (f"{self.type}/{own}",) if isinstance(own, str) else ()

    @property
    def writes(self) -> bool:
        return self.method != "GET"


def read(bundle: Resource, *, base: str = "", limit: int = MOST) -> list[Entry]:
    """The entries of a transaction or batch, in its order; `base` = our FHIR base, which their URLs may start with.

    Raises NotConformant for another kind of Bundle, TooLarge, and InvalidInput with all issues when an entry of a
    transaction cannot be done; an entry of a batch carries its own error.
    """
    listed = _listed(bundle, limit)
    entries = [_read(index, raw, base) for index, raw in enumerate(listed)]
    entries = _once(entries, _full_url, lambda _: "fullUrl", _SAME_URL)
    if bundle["type"] == "batch":
        return entries
    entries = _once(entries, _identity, _named_at, _SAME_RESOURCE)
    _refuse([entry.error for entry in entries if entry.error])
    return entries


def _listed(bundle: Resource, limit: int) -> list[Json]:
    if bundle.get("resourceType") != "Bundle":
        raise NotConformant("not a Bundle: only a transaction or batch is posted here", expression="resourceType")
    if bundle.get("type") not in KINDS:
        raise NotConformant("a Bundle is posted here with type transaction or batch", expression="Bundle.type")
    listed = bundle.get("entry", [])
    if not isinstance(listed, list):
        raise NotConformant("entry is a list", expression="Bundle.entry")
    if len(listed) > limit:
        raise TooLarge(f"a Bundle has at most {limit} entries here", expression="Bundle.entry")
    return listed


def _refuse(errors: Sequence[GatewayError]) -> None:
    if not errors:
        return
    first = errors[0]
    issues = [Issue("error", error.code, error.message, error.expression) for error in errors]
    raise InvalidInput(first.message, expression=first.expression, issues=issues)


def _read(index: int, raw: Json, base: str) -> Entry:
    try:
        return _parse(index, raw, base)
    except (InvalidInput, Missing) as error:
        refused = Entry(index, error=error)
        error.expression = f"{refused.path}{error.expression or ''}"
        return refused


def _parse(index: int, raw: Json, base: str) -> Entry:
    request = _request(raw)
    method, (type_, id_, version, query) = _method(request), _url(request, base)
    resource = raw.get("resource")
    _check_url(method, id_, version, query)
    if method in ("PUT", "POST"):
        _check_resource(resource, type_, id_ if method == "PUT" else None)
    elif not is_r4_type(type_):
        raise Missing("the url names no resource type of FHIR R4 that is kept here", expression=".request.url")
    return Entry(
        index,
        _checked_full_url(raw.get("fullUrl"), resource),
        method,
        type_,
        id_,
        version,
        query if method == "GET" else None,
        _condition(type_, query, base, ".request.url") if method != "GET" else None,
        _etag(request.get("ifMatch")),
        _condition(type_, request.get("ifNoneExist"), base, ".request.ifNoneExist") if method == "POST" else None,
        _tags(request.get("ifNoneMatch")),
        resource,
    )


def _request(raw: Json) -> dict[str, Json]:
    request = raw.get("request") if isinstance(raw, dict) else None
    if not isinstance(request, dict):
        raise InvalidInput("an entry of a transaction or batch has a request", expression=".request")
    return request


def _method(request: dict[str, Json]) -> str:
    method = request.get("method")
    if method in ("HEAD", "PATCH"):
        raise NotAllowed("HEAD and PATCH are not done inside a Bundle", expression=".request.method")
    if not isinstance(method, str) or method not in ORDER:
        raise InvalidInput("the method is GET, POST, PUT or DELETE", expression=".request.method")
    return method


def _url(request: dict[str, Json], base: str) -> tuple[str, str | None, str | None, str | None]:
    url = request.get("url")
    match = _URL.fullmatch(references.from_base(url, base).removeprefix("/")) if isinstance(url, str) else None
    if match is None:
        raise InvalidInput("the url is Type, Type/id or Type?query on this server", expression=".request.url")
    return match[1], match[2], match[3], match[4]


def _check_url(method: str, id_: str | None, version: str | None, query: str | None) -> None:
    if method == "POST" and (id_ or query is not None):
        raise InvalidInput("POST names the type alone; a condition goes to ifNoneExist", expression=".request.url")
    if method in ("PUT", "DELETE") and (version or (id_ is None) == (query is None)):
        raise InvalidInput("PUT and DELETE name one Type/id or one Type?identifier=..", expression=".request.url")
    if id_ and query is not None:
        raise InvalidInput("a url with an id has no query", expression=".request.url")


def _check_resource(resource: Json, type_: str, id_: str | None) -> None:
    if not isinstance(resource, dict):
        raise InvalidInput("PUT and POST carry a resource", expression=".resource")
    if resource.get("resourceType") != type_:
        raise InvalidInput("the url names another type than the resource has", expression=".request.url")
    if id_ and resource.get("id") != id_:
        raise InvalidInput("the url names another id than the resource has", expression=".request.url")


def _condition(type_: str, query: Json, base: str, where: str) -> Condition | None:
    if query is None:
        return None
    try:
        return condition.parse(type_, str(query), base)
    except InvalidInput as error:
        error.expression = where
        raise


def _etag(value: Json) -> str | None:
    return None if value is None else version_of(value, expression=".request.ifMatch")


def _tags(value: Json) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InvalidInput("ifNoneMatch is a string", expression=".request.ifNoneMatch")
    return value


def version_of(etag: Json, *, expression: str | None = None) -> str:
    """The version that an ETag `W/"3"` names. Raises InvalidInput."""
    match = _ETAG.fullmatch(etag) if isinstance(etag, str) else None
    if match is None:
        raise InvalidInput('an ETag is written W/"version"', expression=expression)
    return match[1]


def is_named(tags: str, version: int) -> bool:
    """Whether an If-None-Match names this version or any (RFC 9110 §13.1.2)."""
    return any(tag.strip().removeprefix("W/") in (f'"{version}"', "*") for tag in tags.split(","))


def _checked_full_url(value: Json, resource: Json) -> str | None:
    if value is None:
        return None
    if not (isinstance(value, str) and _SCHEME.fullmatch(value)):
        raise InvalidInput("fullUrl is an absolute URL or a urn", expression=".fullUrl")
    named, own = _NAMED.fullmatch(value), resource.get("id") if isinstance(resource, dict) else None
    if own is None or named is None or not is_r4_type(named[1]):
        return value
    if (named[1], named[2]) != (resource.get("resourceType"), own):
        raise InvalidInput("fullUrl names another resource than the entry carries", expression=".fullUrl")
    return value


_SAME_URL = "another entry has the same fullUrl (bdl-7)"
_SAME_RESOURCE = "another entry of the transaction writes the same resource"


def _once(
    entries: list[Entry], key: Callable[[Entry], Hashable], where: Callable[[Entry], str], sentence: str
) -> list[Entry]:
    """The entries, with an error `where` what `key` says of one was said of another before."""
    keys = [None if entry.error else key(entry) for entry in entries]
    first: dict[Hashable, int] = {}
    return [
        entry
        if one is None or first.setdefault(one, at) == at
        else replace(entry, error=InvalidInput(sentence, expression=f"{entry.path}.{where(entry)}"))
        for at, (entry, one) in enumerate(zip(entries, keys, strict=True))
    ]


def _full_url(entry: Entry) -> Hashable:
    """bdl-7: a fullUrl is unique in a Bundle, or its entries differ in meta.versionId."""
    if entry.full_url is None:
        return None
    meta = entry.resource.get("meta") if entry.resource else None
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return entry.full_url, str(version)


def _identity(entry: Entry) -> Hashable:
    """A resource is written once in a transaction (FHIR R4 §3.1.0.11.2)."""
    if entry.method in ("PUT", "DELETE"):
        return entry.condition or (entry.type, entry.id)
    return entry.if_none_exist


def _named_at(entry: Entry) -> str:
    return "request.url" if entry.if_none_exist is None else "request.ifNoneExist"


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """The order a transaction is processed in: deletes, creates, updates, reads (FHIR R4 §3.1.0.11.2)."""
    return sorted(entries, key=lambda entry: ORDER[entry.method])


def targets(entries: Iterable[Entry], base: str = "") -> references.Targets:
    """What references among the entries may name; `base` = our FHIR base."""
    carried = (entry for entry in entries if entry.resource is not None and entry.error is None)
    return references.targets(((entry.index, entry.full_url, entry.names) for entry in carried), base)


class Answer(NamedTuple):
    """What became of one entry. `resource` and `outcome` may be parsed or msgspec.Raw."""

    status: int
    location: str | None = None
    version: int | None = None
    at: datetime | None = None
    resource: Any = None
    outcome: Any = None


def response(kind: str, answers: Iterable[Answer]) -> Resource:
    """The transaction-response or batch-response, one entry per request in the order of the request.

    None has a fullUrl: two entries may be about one version, whose fullUrl may stand once (bdl-7)."""
    entries = [_answer(answer) for answer in answers]
    return {"resourceType": "Bundle", "type": f"{kind}-response", **({"entry": entries} if entries else {})}


def _answer(answer: Answer) -> Resource:
    entry: Resource = {}
    if answer.resource is not None:
        entry["resource"] = answer.resource
    entry["response"] = _said(answer)
    return entry


def _said(answer: Answer) -> Resource:
    """Bundle.entry.response."""
    said: Resource = {"status": _STATUS[answer.status]}
    if answer.location is not None:
        said["location"] = answer.location
    if answer.version is not None:
        said["etag"] = etag(answer.version)
    if answer.at is not None:
        said["lastModified"] = times.to_instant(answer.at)
    if answer.outcome is not None:
        said["outcome"] = answer.outcome
    return said


_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def etag(version: int) -> str:
    """The weak ETag of a version (FHIR R4 §3.1.0.5)."""
    return f'W/"{version}"'
