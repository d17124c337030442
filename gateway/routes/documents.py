"""Documents: `POST /api/documents` takes a C-CDA in, `/convert/v1/ccda/to/fhir` converts one and keeps nothing."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gateway.errors import InvalidInput
from gateway.routes.context import context_of
from gateway.routes.http import fhir_json, read_xml
from gateway.translators.ccda import convert

router = APIRouter()


@router.post("/api/documents")
async def documents(request: Request) -> Response:
    """Ingest: `{"patient","message","report","issues"}`."""
    context = context_of(request)
    principal = await context.caller(request)
    principal.require_service("documents")
    body = await read_xml(request, context.settings.max_bytes)
    outcome = await context.ingest.document(context.received(request, principal, "document", body))
    return Response(outcome.body, outcome.status, outcome.headers, media_type="application/json")


@router.post("/convert/v1/ccda/to/fhir")
async def ccda_to_fhir(request: Request) -> Response:
    """Stateless: a batch Bundle of PUTs for the caller's patient (Metriport's converter)."""
    context = context_of(request)
    principal = await context.caller(request)
    principal.require_service("convert")
    patient_id = request.query_params.get("patientId")
    if not patient_id:
        raise InvalidInput("patientId is required: what the resources refer to", expression="patientId")
    body = await read_xml(request, context.settings.max_bytes)
    zone, limit = request.query_params.get("timezone"), context.settings.max_bytes
    converted = await context.pool.run(len(body), convert, body, patient_id=patient_id, timezone=zone, limit=limit)
    await context.audit_read(principal, "E", "Bundle", None, 200)
    return fhir_json(converted.encoded)
