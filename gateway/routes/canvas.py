"""Canvas: its plugin's endpoint, played by us (canvas.md, surface A), and the partner API that it calls (surface B).

The published example parses an answer before it looks at the status, so everything here is JSON, errors included.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from fastapi import APIRouter, Request, Response

from gateway.errors import GatewayError, Unparsable
from gateway.fhir import json
from gateway.routes.context import context_of
from gateway.routes.http import headers_of, plain_json, read_body, read_json
from gateway.systems.canvas_partner import Partner

router = APIRouter()

PLUGIN = "/plugin-io/api/example_patient_sync/patients"
PATIENTS = "/patients/v2"
NOT_AN_OBJECT = "Invalid JSON body."
"""The plugin's own answer: a JSON string."""

Handler = Callable[..., Awaitable[Response]]


def answers_json(handler: Handler) -> Handler:
    """A route whose refusals are `{"error","detail"}` in application/json."""

    @wraps(handler)
    async def answered(*args: object, **named: object) -> Response:
        try:
            return await handler(*args, **named)
        except GatewayError as error:
            at = {"at": error.expression} if error.expression else {}
            body = {"error": error.code, "detail": error.message, **at}
            return plain_json(body, error.status, headers_of(error))

    return answered


@router.post(PLUGIN)
async def plugin_patients(request: Request) -> Response:
    """A partner's new patient (Canvas plugin example_patient_sync): 202 with the external identifier."""
    context = context_of(request)
    principal = await context.caller(request, raw_authorization=True)
    principal.require("c", "Patient")
    raw = await read_body(request, context.settings.max_bytes, empty=True)
    try:
        body = json.decode(raw)  # whatever its Content-Type says: the plugin does not look at it
    except Unparsable:
        return plain_json(NOT_AN_OBJECT, 400)
    if not isinstance(body, dict):
        return plain_json(NOT_AN_OBJECT, 400)
    outcome = await context.ingest.seed(context.received(request, principal, "canvas-patient", raw), body)
    return Response(outcome.body, outcome.status, outcome.headers, media_type="application/json")


@router.get(PATIENTS + "/{asked}")
@answers_json
async def partner_read(request: Request, asked: str) -> Response:
    """By Canvas' id, or by the one that we handed out."""
    context = context_of(request)
    principal = await context.caller(request)
    principal.require("r", "Patient")
    try:
        known, shown = await Partner(context.flow).find(principal.connector, asked)
    except GatewayError as error:
        await context.audit_read(principal, "R", "Patient", asked, error.status)
        raise
    await context.audit_read(principal, "R", "Patient", known.id, 200)
    return plain_json(shown)


@router.post(PATIENTS)
@answers_json
async def partner_create(request: Request) -> Response:
    """A patient who was created in Canvas."""
    context = context_of(request)
    principal = await context.caller(request)
    principal.require("c", "Patient")
    raw, body = await read_json(request, context.settings.max_bytes, untyped=True)
    outcome = await Partner(context.flow).create(context.received(request, principal, "canvas-call", raw), body)
    return Response(outcome.body, outcome.status, outcome.headers, media_type="application/json")


@router.post(PATIENTS + "/{asked}")
@router.patch(PATIENTS + "/{asked}")
@answers_json
async def partner_update(request: Request, asked: str) -> Response:
    """What Canvas says of a patient we know, its own id always included."""
    context = context_of(request)
    principal = await context.caller(request)
    principal.require("u", "Patient")
    raw, body = await read_json(request, context.settings.max_bytes, untyped=True)
    outcome = await Partner(context.flow).update(context.received(request, principal, "canvas-call", raw), asked, body)
    return Response(outcome.body, outcome.status, outcome.headers, media_type="application/json")
