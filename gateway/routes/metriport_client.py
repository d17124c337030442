"""Metriport as a client: its operations, one route for all of them (scope operator)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.connectors import event as events
from gateway.connectors.metriport_calls import OPERATIONS
from gateway.errors import GatewayError, InvalidInput, NotAllowed
from gateway.fhir import json
from gateway.routes.context import context_of
from gateway.routes.http import JSON_TYPES, media_type, plain_json, read_body
from gateway.routes.oauth import operated
from gateway.systems.metriport import Metriport

router = APIRouter(prefix="/api/connectors/{name}/metriport")

_HARMLESS = {"x-content-type-options": "nosniff", "content-disposition": "attachment"}
"""For files of theirs, which no browser may run as a page of ours."""


@router.get("")
async def listed(request: Request, name: str) -> Response:
    """What there is, and which arguments each takes."""
    await operated(request, name)
    rows = {
        operation: {
            "about": row.about,
            "arguments": row.arguments,
            "required": row.required,
            "reads": row.method == "GET",
        }
        for operation, row in OPERATIONS.items()
    }
    return plain_json(rows)


@router.get("/{operation}")
async def ask(request: Request, name: str, operation: str) -> Response:
    """One that only reads there, its arguments in the query."""
    row = OPERATIONS.get(operation)
    if row is not None and (row.method != "GET" or row.gives == "consolidated"):
        raise NotAllowed(f"{operation} changes something: ask by POST")
    return await _run(request, name, operation, dict(request.query_params), b"", "")


@router.post("/{operation}")
async def order(request: Request, name: str, operation: str) -> Response:
    """One with its arguments as a JSON object; where a file is sent, it is the body and they are in the query."""
    await operated(request, name)
    row = OPERATIONS.get(operation)
    body = await read_body(request, context_of(request).settings.max_bytes, empty=True)
    if row is not None and row.gives == "upload":
        media = request.headers.get("content-type", "")
        return await _run(request, name, operation, _typed(request.query_params), body, media)
    if body:
        media_type(request, JSON_TYPES)
    arguments = json.decode(body) if body else {}
    if not isinstance(arguments, dict):
        raise InvalidInput("the arguments must be a JSON object")
    return await _run(request, name, operation, arguments, b"", "")


async def _run(
    request: Request, name: str, operation: str, arguments: dict[str, Any], content: bytes, media: str
) -> Response:
    context = context_of(request)
    principal, config = await operated(request, name)
    client = Metriport(context.flow, context.ask, public=context.settings.public_url)
    status = 200
    try:
        answer = await client.run(
            config.name, operation, arguments, principal=principal.name, content=content, media=media
        )
    except GatewayError as error:
        status = error.status
        raise
    finally:
        await context.audit_read(principal, "E", "Patient", events.text(arguments.get("patient")), status)
    if answer.data is not None:
        return Response(answer.data, media_type=answer.media, headers=_HARMLESS)
    return plain_json(answer.json)


def _typed(query: Any) -> dict[str, Any]:
    """Objects in the query are JSON (`type` of an upload)."""
    return {key: json.decode(value) if value.startswith(("{", "[")) else value for key, value in query.items()}
