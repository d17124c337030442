"""Documents: `POST /api/documents` takes a C-CDA in, `/convert/v1/ccda/to/fhir` converts one and keeps nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.errors import InvalidInput
from gateway.fhir import json
from gateway.routes.context import Context, context_of
from gateway.routes.http import fhir_json, read_xml
from gateway.translators.ccda import convert

router = APIRouter()


@asynccontextmanager
async def document_of(request: Request, context: Context) -> AsyncIterator[bytes]:
    """The body, room being held for it from before it is read until it is done with. Raises Overloaded."""
    with context.pool.room.place() as grow:
        yield await read_xml(request, context.settings.max_bytes, grow)


@router.post("/api/documents")
async def documents(request: Request) -> Response:
    """Ingest: `{"patient","message","report","issues"}`."""
    context = context_of(request)
    principal = await context.caller(request)
    principal.require_service("documents")
    async with document_of(request, context) as body:
        outcome = await context.ingest.document(context.received(request, principal, "document", body))
    return Response(outcome.body, outcome.status, outcome.headers, media_type="application/json")


@router.post("/convert/v1/ccda/to/fhir")
async def ccda_to_fhir(request: Request) -> Response:
    """Stateless: a batch Bundle of PUTs for the caller's patient (Metriport's converter), or the `form` asked for;
    with `Prefer: return=OperationOutcome` what was noticed instead of it."""
    context = context_of(request)
    principal = await context.caller(request)
    principal.require_service("convert")
    patient_id = request.query_params.get("patientId")
    if not patient_id:
        raise InvalidInput("patientId is required: what the resources refer to", expression="patientId")
    query, limit = request.query_params, context.settings.max_bytes
    zone, form = query.get("timezone"), query.get("form", "batch")
    assembled = query.get("assembled")
    async with document_of(request, context) as body:
        options: dict[str, Any] = {"timezone": zone, "form": form, "limit": limit, "assembled": assembled}
        converted = await context.pool.run(convert, body, patient_id=patient_id, **options)
    await context.audit_read(principal, "E", "Bundle", None, 200)
    if "return=operationoutcome" in request.headers.get("prefer", "").lower():
        return fhir_json(json.encode(converted.outcome()))
    return fhir_json(converted.encoded)
