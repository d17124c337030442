"""The FHIR R4 API under `/fhir`: interactions of FHIR R4 §3.1.0, answered with bytes as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime

from fastapi import Request, Response

from gateway import reading
from gateway.auth import Principal
from gateway.errors import InvalidInput, Missing, NotAllowed, NotConformant, NotPermitted
from gateway.fhir import bundle, condition, gate, issue, json, search, times
from gateway.fhir.bundle import Entry
from gateway.fhir.condition import Condition
from gateway.fhir.json import Json, Resource
from gateway.fhir.searchset import searchset
from gateway.flow import Outcome
from gateway.planning import bodies
from gateway.planning.world import Action, Item
from gateway.reading import Read, Span
from gateway.routes.capability import statement
from gateway.routes.context import Context, context_of
from gateway.routes.http import fhir_json, media_type, read_body, read_json, require_json_answer

_LETTERS = {"POST": "c", "PUT": "u", "DELETE": "d"}
_FORM, _LARGEST_FORM = "application/x-www-form-urlencoded", 1_000_000
_ALL_OK = json.encode(issue.outcome(()))
_UNQUOTED = str.maketrans("", "", ' \t"')
_HISTORY_PAGE, _MOST = 50, 1_000


async def metadata(request: Request) -> Response:
    """CapabilityStatement; needs no key (FHIR R4 §3.1.0.7)."""
    require_json_answer(request)
    return fhir_json(statement(context_of(request).flow.ours))


async def post_bundle(request: Request) -> Response:
    """A transaction or batch."""
    context, principal = await _called(request)
    with context.bodies.place() as grow:
        raw, body = await read_json(request, context.settings.max_bytes, grow)
        received = context.received(request, principal, "fhir-bundle", raw)
        async with context.flow.accepted(received):
            entries = [_permitted(principal, entry) for entry in context.flow.entries(_object(body), raw)]
            full = _prefers(request, "return=representation") and _may_see(principal, entries)
            kind = context.flow.transaction if body["type"] == "transaction" else context.flow.batch
            outcome = await kind(received, entries, full=full)
    return _answer(outcome)


async def create(request: Request) -> Response:
    """Create, or conditional create with If-None-Exist (FHIR R4 §3.1.0.8)."""
    type_ = request.path_params["type_"]
    context, principal = await _called(request, type_)
    principal.require("c", type_)
    if request.scope["query_string"] and not request.query_params.keys() <= search.ELSEWHERE:
        raise InvalidInput("POST names the type alone: a condition goes to If-None-Exist, a search to _search")
    asked = request.headers.get("if-none-exist")
    named = condition.parse(type_, asked, context.flow.ours) if asked is not None else None
    return await _write(request, context, principal, type_, "create", named=named)


async def conditional_update(request: Request) -> Response:
    """Update whom the condition names, else create (FHIR R4 §3.1.0.4.3)."""
    type_ = request.path_params["type_"]
    context, principal = await _called(request, type_)
    principal.require("u", type_)
    return await _write(request, context, principal, type_, "update", named=_condition(request, type_))


async def update(request: Request) -> Response:
    """Update by id; an id that we did not give is refused (FHIR R4 §3.1.0.4)."""
    type_, id_ = request.path_params["type_"], request.path_params["id_"]
    context, principal = await _called(request, type_)
    principal.require("u", type_)
    return await _write(request, context, principal, type_, "update", id_=id_)


async def conditional_delete(request: Request) -> Response:
    """Delete whom the condition names (FHIR R4 §3.1.0.7.1)."""
    type_ = request.path_params["type_"]
    context, principal = await _called(request, type_)
    principal.require("d", type_)
    item = Item(type_, "delete", type_, condition=_condition(request, type_), if_match=_if_match(request))
    return await _delete(request, context, principal, item)


async def delete(request: Request) -> Response:
    """Delete; its history stays (FHIR R4 §3.1.0.7)."""
    type_, id_ = request.path_params["type_"], request.path_params["id_"]
    context, principal = await _called(request, type_)
    principal.require("d", type_)
    item = Item(type_, "delete", type_, id=id_, if_match=_if_match(request))
    return await _delete(request, context, principal, item)


async def search_type(request: Request) -> Response:
    """Search with paging (FHIR R4 §3.1.1)."""
    type_ = request.path_params["type_"]
    return await _search(request, type_, _query(request))


async def search_by_post(request: Request) -> Response:
    """The same search as a form, so that identifiers stay out of URLs (FHIR R4 §3.1.1.2.1)."""
    type_ = request.path_params["type_"]
    await _called(request, type_)
    sent = await read_body(request, _LARGEST_FORM, empty=True)
    if sent or "content-type" in request.headers:
        media_type(request, (_FORM,))
    form = sent.decode("utf-8", "surrogateescape")
    return await _search(request, type_, "&".join(part for part in (_query(request), form) if part))


async def read(request: Request) -> Response:
    """The current version, 304 when the caller has it (FHIR R4 §3.1.0.2)."""
    type_, id_ = request.path_params["type_"], request.path_params["id_"]
    context, principal = await _called(request, type_)
    principal.require("r", type_)
    flow = context.flow
    asked = context.store.query(lambda reader: reading.read(reader, flow.directory, type_, id_))
    found = await context.look(principal, "R", type_, id_, asked)
    return _read_answer(request, found)


async def history(request: Request) -> Response:
    """The versions of one resource, all or those `_since` a moment, newest first (FHIR R4 §3.1.0.9)."""
    type_, id_ = request.path_params["type_"], request.path_params["id_"]
    context, principal = await _called(request, type_)
    principal.require("r", type_)
    search.check_history(request.query_params, _handling(request))
    count = min(_number(request, "_count") or _HISTORY_PAGE, _MOST)
    span, base = Span(count, _number(request, "before"), _moment(request, "_since")), context.flow.ours
    asked = context.store.query(lambda reader: reading.history(reader, type_, id_, span, base=base))
    found = await context.look(principal, "R", type_, id_, asked)
    return fhir_json(json.encode(found))


async def vread(request: Request) -> Response:
    """One version (FHIR R4 §3.1.0.3)."""
    type_, id_, number = (request.path_params[name] for name in ("type_", "id_", "number"))
    context, principal = await _called(request, type_)
    principal.require("r", type_)
    asked = context.store.query(lambda reader: reading.vread(reader, type_, id_, number))
    found = await context.look(principal, "R", type_, id_, asked)
    return _read_answer(request, found)


async def unknown(_request: Request) -> Response:
    """Everything that is no interaction of ours."""
    raise Missing("the FHIR API has nothing at this address: see /fhir/metadata")


async def _called(request: Request, type_: str | None = None) -> tuple[Context, Principal]:
    require_json_answer(request)
    context = context_of(request)
    principal = await context.caller(request)
    if type_ is not None and not gate.is_r4_type(type_):
        raise Missing("that is no resource type of FHIR R4 4.0.1 that is kept here")
    return context, principal


async def _write(
    request: Request,
    context: Context,
    principal: Principal,
    type_: str,
    action: Action,
    *,
    id_: str | None = None,
    named: Condition | None = None,
) -> Response:
    with context.bodies.place() as grow:
        raw, body = await read_json(request, context.settings.max_bytes, grow)
        received = context.received(request, principal, f"fhir-{action}", raw)
        outcome_only = _prefers(request, "return=operationoutcome")
        full = not (outcome_only or _prefers(request, "return=minimal")) and principal.may("r", type_)
        async with context.flow.accepted(received):
            resource = _object(body)
            gate.require(resource)
            _check_target(resource, type_, id_)
            unless = request.headers.get("if-none-match") if action == "update" else None
            item = Item(type_, action, type_, resource, id_, None, named, _if_match(request), unless)
            outcome = await context.flow.interact(received, item, full=full)
    return _answer(replace(outcome, body=_ALL_OK) if outcome_only else outcome)


async def _delete(request: Request, context: Context, principal: Principal, item: Item) -> Response:
    received = context.received(request, principal, "fhir-delete", b"")
    async with context.flow.accepted(received):
        outcome = await context.flow.interact(received, item, full=False)
    return _answer(outcome)


async def _search(request: Request, type_: str, query: str) -> Response:
    context, principal = await _called(request, type_)
    principal.require("s", type_)
    asked = search.parse(type_, query, base=context.flow.ours, handling=_handling(request))
    flow = context.flow
    answered = context.store.query(lambda reader: reading.find(reader, flow.directory, asked, flow.ours))
    page = await context.look(principal, "E", type_, None, answered)
    found = searchset(asked, page.matches, base=flow.ours, cursor=page.cursor, total=page.total)
    return fhir_json(json.encode(found))


def _permitted(principal: Principal, entry: Entry) -> Entry:
    """An entry with the error that its own scope is missing, where it is."""
    try:
        if entry.error is None:
            principal.require(_LETTERS.get(entry.method) or ("r" if entry.id else "s"), entry.type)
    except NotPermitted as error:
        error.expression = entry.path
        return replace(entry, error=error)
    return entry


def _may_see(principal: Principal, entries: Sequence[Entry]) -> bool:
    """Whether it may read what it writes: the stored form may tell what others said."""
    return all(principal.may("r", entry.type) for entry in entries if entry.writes and entry.error is None)


def _object(body: Json) -> Resource:
    if not isinstance(body, dict):
        raise NotConformant("a resource is a JSON object")
    return body


def _check_target(resource: Resource, type_: str, id_: str | None) -> None:
    if resource.get("resourceType") != type_:
        raise InvalidInput(f"the URL says {type_}, the body is another type", expression="resourceType")
    if id_ is not None and resource.get("id") != id_:
        raise InvalidInput("the id of the body is not the id of the URL", expression=f"{type_}.id")


def _condition(request: Request, type_: str) -> Condition:
    if not request.url.query:
        raise NotAllowed("name the resource: Type/id, or Type?identifier=system|value")
    return condition.parse(type_, request.url.query)


def _query(request: Request) -> str:
    """As it was sent; what is no UTF-8 in it is refused where it is read."""
    sent: bytes = request.scope["query_string"]
    return sent.decode("utf-8", "surrogateescape")


def _prefers(request: Request, what: str) -> bool:
    """Whether one of its Prefer headers says so; there may be several, with blanks and quotes (RFC 7240 §2)."""
    said = ",".join(request.headers.getlist("prefer")).lower().translate(_UNQUOTED)
    return what in said and what in said.replace(";", ",").split(",")


def _handling(request: Request) -> search.Handling:
    if _prefers(request, "handling=strict"):
        return "strict"
    return "lenient" if _prefers(request, "handling=lenient") else None


def _if_match(request: Request) -> str | None:
    given = request.headers.get("if-match")
    return bundle.version_of(given) if given is not None else None


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    number = bodies.version_number(text)
    if number is None or not 0 < number <= bodies.LARGEST:
        raise InvalidInput(f"{name} is a whole number from 1 to {bodies.LARGEST}")
    return number


def _moment(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name)
    return None if text is None else times.from_instant(text.replace(" ", "+"))  # a plus sign that nobody escaped


def _answer(outcome: Outcome) -> Response:
    return fhir_json(outcome.body, outcome.status, outcome.headers)


def _read_answer(request: Request, found: Read) -> Response:
    headers = {"ETag": bundle.etag(found.number), "Last-Modified": times.http_date(found.at)}
    if _is_known(request, found):
        return Response(status_code=304, headers=headers)
    return fhir_json(found.body, 200, headers)


def _is_known(request: Request, found: Read) -> bool:
    known = request.headers.get("if-none-match")
    if known:
        return bundle.is_named(known, found.number)
    since = request.headers.get("if-modified-since")
    if not since:
        return False
    try:
        return found.at.replace(microsecond=0) <= parsedate_to_datetime(since)
    except (ValueError, TypeError):
        return False
