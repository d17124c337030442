"""Metriport's consolidated data and medical record summary, of our own patients."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.auth import Principal
from gateway.consolidated import adt, demographics, gather, queries
from gateway.consolidated.pdf import pdf
from gateway.consolidated.queries import Asked, Caller
from gateway.consolidated.rows import Summary
from gateway.errors import InvalidInput, Missing
from gateway.fhir import gate, json, times
from gateway.fhir.json import Resource
from gateway.routes.context import Context, context_of
from gateway.routes.http import JSON_TYPES, media_type, plain_json, read_body
from gateway.routes.metriport.errors import Route
from gateway.store import Reader
from gateway.store.requests import Request as StoredRequest
from gateway.store.requests import find_request
from gateway.store.subscribers import Subscriber
from gateway.telling import settings

router = APIRouter(prefix="/medical/v1", route_class=Route)

_LARGEST = 100_000
_PRIVATE = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
}
"""The address is all that is needed to read it, and what others wrote is never run as a page of ours."""
_MESSAGE = "Trigger a new query by POST /patient/:id/consolidated/query; data will be sent through Webhook"


@router.get("/patient/external-id")
async def by_external_id(request: Request) -> Response:
    """Whom the caller's system knows by that id."""
    context, principal = await _reader(request)
    theirs, source = (request.query_params.get(name) for name in ("externalId", "source"))
    asked = context.store.query(lambda reader: demographics.find(reader, principal.connector, theirs, source))
    return await _patient(context, principal, await context.look(principal, "E", "Patient", None, asked))


@router.get("/patient/{patient_id}")
async def patient(request: Request, patient_id: str) -> Response:
    return await _patient(*await _reader(request), patient_id)


async def _patient(context: Context, principal: Principal, patient_id: str) -> Response:
    directory, connector = context.flow.directory, principal.connector
    asked = context.store.query(lambda reader: demographics.show(reader, directory, connector, patient_id))
    return plain_json(await context.look(principal, "R", "Patient", patient_id, asked))


@router.get("/document")
async def documents(request: Request) -> Response:
    """`?patientId=&dateFrom=&dateTo=`: what is known of her documents."""
    context, principal = await _reader(request)
    principal.require("r", "DocumentReference")
    patient_id = _patient_of(request)
    asked = queries.parse({**request.query_params, "resources": "DocumentReference"}, None, principal.scopes)
    gathered = context.store.query_aside(
        lambda reader: gather.resources(reader, context.flow.directory, patient_id, asked.filter, _may(principal))
    )
    found = await context.look(principal, "R", "Patient", patient_id, gathered)
    return plain_json({"documents": found[1:]})


@router.post("/patient/{patient_id}/consolidated/query")
async def start(request: Request, patient_id: str) -> Response:
    """Asked for now, answered by webhook."""
    context, principal = await _reader(request)
    body = await _optional_json(request)
    asked = queries.parse(_params(request), body, principal.scopes)

    def job(tx: Any) -> Resource:
        caller = _caller(tx, principal, settings.get(tx, principal.connector))
        return queries.start(tx, caller, patient_id, asked, context.tickets)

    said = await context.store.write(job)
    context.flow.ordered()
    return plain_json(said)


@router.get("/patient/{patient_id}/consolidated/query")
async def listed(request: Request, patient_id: str) -> Response:
    context, principal = await _reader(request)
    found = await context.store.query(lambda reader: queries.listed(reader, _caller(reader, principal), patient_id))
    return plain_json({"queries": found, "message": _MESSAGE})


@router.get("/patient/{patient_id}/consolidated/query/{request_id}")
async def one(request: Request, patient_id: str, request_id: str) -> Response:
    context, principal = await _reader(request)
    said = await context.store.query(
        lambda reader: queries.get(reader, _caller(reader, principal), patient_id, request_id)
    )
    return plain_json(said)


@router.get("/patient/{patient_id}/consolidated/count")
async def count(request: Request, patient_id: str) -> Response:
    context, principal = await _reader(request)
    asked = queries.parse(_params(request), None, principal.scopes)
    counted = context.store.query_aside(
        lambda reader: gather.count(reader, context.flow.directory, patient_id, asked.filter, _may(principal))
    )
    numbers = await context.look(principal, "R", "Patient", patient_id, counted)
    return plain_json({"total": sum(numbers.values()), "resources": numbers, "filter": _shown(asked)})


@router.get("/patient/{patient_id}/consolidated")
async def now(request: Request, patient_id: str) -> Response:
    """The Bundle at once."""
    context, principal = await _reader(request)
    asked = queries.parse(_params(request), None, principal.scopes)
    gathered = context.store.query_aside(
        lambda reader: gather.record(reader, context.flow.directory, patient_id, asked.filter, _may(principal))
    )
    found = await context.look(principal, "R", "Patient", patient_id, gathered)
    return plain_json(gather.bundle(found, context.flow.ours))


@router.get("/patient/{patient_id}/medical-record")
async def summary(request: Request, patient_id: str) -> Response:
    """The address of the last summary that was asked for, for 180 s."""
    context, principal = await _reader(request)
    form = queries.summary_form(request.query_params.get("conversionType"))
    row = await context.store.query(lambda reader: _newest(reader, principal, patient_id, form))
    if row is None:
        raise Missing("Could not find a medical record summary: ask for one by a consolidated query first")
    return plain_json({"url": context.tickets.url(row.request_id, form, datetime.now(UTC))})


@router.get("/patient/{patient_id}/medical-record-status")
async def summary_status(request: Request, patient_id: str) -> Response:
    context, principal = await _reader(request)

    def ask(reader: Reader) -> Resource:
        gather.patient_rid(reader, patient_id)
        found = {form: _newest(reader, principal, patient_id, form) for form in ("html", "pdf")}
        return {f"{form}CreatedAt": times.to_millis(row.at) for form, row in found.items() if row is not None}

    return plain_json(await context.store.query(ask))


@router.get("/download/{ticket}")
async def download(request: Request, ticket: str) -> Response:
    """What a ticket stands for; it needs no key, and is over after a few minutes."""
    context = context_of(request)
    request_id, form = context.tickets.open(ticket, datetime.now(UTC))

    def ask(reader: Reader) -> tuple[str, str, bytes | Summary]:
        row = find_request(reader, request_id)
        if row is None:
            raise Missing("nothing is here, or no longer")
        if form == "adt":
            return row.principal, row.subject or "", adt.content(reader, context.flow.directory, row)
        holder = Principal("ticket", row.principal, queries.scopes_of(row))
        content = queries.content(reader, context.flow.directory, row, form, context.flow.ours, _may(holder))
        return row.principal, row.subject or "", content

    connector, subject, content = await context.store.query_aside(ask)
    if isinstance(content, Summary):
        content = await context.pool.run(pdf, content)
    await context.audit_read(Principal("ticket", connector, frozenset()), "R", "Patient", subject, 200)
    return Response(content, media_type=queries.MEDIA[form], headers=_PRIVATE)


@router.post("/test-event")
async def test_event(request: Request) -> Response:
    """`?patientId=&type=admit|transfer|discharge`: a webhook about a made-up stay, to try a receiver with."""
    context, principal = await _reader(request)
    patient_id, stage = _patient_of(request), request.query_params.get("type", "")

    def job(tx: Any) -> Resource:
        subscriber = settings.get(tx, principal.connector)
        return {"messageId": adt.send(tx, subscriber, patient_id, stage, context.tickets)}

    said = await context.store.write(job)
    context.flow.ordered()
    return plain_json(said)


async def _reader(request: Request) -> tuple[Context, Principal]:
    context = context_of(request)
    principal = await context.caller(request)
    principal.require("r", "Patient")
    return context, principal


def _patient_of(request: Request) -> str:
    """Raises InvalidInput."""
    if patient_id := request.query_params.get("patientId"):
        return patient_id
    raise InvalidInput("Required, on [patientId]")


def _params(request: Request) -> dict[str, str]:
    """With every `resources`: some clients name the parameter once for each type."""
    return {**request.query_params, "resources": ",".join(request.query_params.getlist("resources"))}


def _caller(reader: Reader, principal: Principal, subscriber: Subscriber | None = None) -> Caller:
    told = subscriber or settings.find(reader, principal.connector)
    return Caller(principal.connector, principal.scopes, told)


def _newest(reader: Reader, principal: Principal, patient_id: str, form: str) -> StoredRequest | None:
    """Of a connector with several keys: what one asked for is another's only if that may read all that it shows."""
    may = _may(principal)

    def open_to(row: StoredRequest) -> bool:
        shown = _may(Principal("ticket", row.principal, queries.scopes_of(row)))
        return all(may(type_) for type_ in gate.TYPES if shown(type_))

    return queries.newest(reader, _caller(reader, principal), patient_id, form, open_to)


def _may(principal: Principal) -> Callable[[str], bool]:
    return lambda type_: principal.may("r", type_)


def _shown(asked: Asked) -> Resource:
    said: Resource = {"resources": list(asked.types) or "all"}
    return said | {
        name: value for name, value in (("dateFrom", asked.date_from), ("dateTo", asked.date_to)) if value is not None
    }


async def _optional_json(request: Request) -> Any:
    """What the body says: a client may send none, whatever media type it names, or name none."""
    body = await read_body(request, _LARGEST, empty=True)
    if body and "content-type" in request.headers:
        media_type(request, JSON_TYPES)
    return json.decode(body) if body else None
