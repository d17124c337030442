"""A partner's webhook settings at the root, as Metriport mounts them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.auth import Principal
from gateway.fhir.json import Resource
from gateway.routes.context import Context, context_of
from gateway.routes.http import plain_json, read_json
from gateway.routes.metriport.errors import Route
from gateway.telling import settings

router = APIRouter(prefix="/settings", route_class=Route)


@router.get("")
async def show(request: Request) -> Response:
    context, principal = await _account(request)
    return plain_json(await context.store.query(lambda reader: settings.show(reader, principal.connector)))


@router.post("")
async def put(request: Request) -> Response:
    """`{"webhookUrl"}`; a ping is sent there."""
    context, principal = await _account(request)
    _, body = await read_json(request, 10_000, untyped=True)
    url = body.get("webhookUrl") if isinstance(body, dict) else None

    def job(tx: Any) -> Resource:
        return settings.put(tx, context.flow.directory(tx).peer(principal.connector), url)

    said = await context.store.write(job)
    context.flow.ordered()
    return plain_json(said)


@router.get("/webhook")
async def status(request: Request) -> Response:
    context, principal = await _account(request)
    said = await context.store.query(lambda reader: settings.status(reader, principal.connector))
    return plain_json(said) if said else Response(status_code=200)


@router.post("/webhook/retry")
async def retry(request: Request) -> Response:
    """What failed is sent again, in order, with the same message ids."""
    context, principal = await _account(request)
    await context.store.write(lambda tx: settings.retry(tx, principal.connector))
    context.flow.ordered()
    return Response(status_code=200)


async def _account(request: Request) -> tuple[Context, Principal]:
    context = context_of(request)
    principal = await context.caller(request)
    principal.require("r", "Patient")
    return context, principal
