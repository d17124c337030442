"""A partner's webhook settings at the root, as Metriport mounts them.

Webhooks hold addresses under which whatever a key of the partner's asked for can be fetched: where they go, and by what
they are known, is for those of its keys that may read it all.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.auth import Principal
from gateway.errors import NotPermitted
from gateway.fhir import gate
from gateway.fhir.json import Resource
from gateway.routes.context import Context, context_of
from gateway.routes.http import plain_json, read_json
from gateway.routes.metriport.errors import Route
from gateway.telling import settings

router = APIRouter(prefix="/settings", route_class=Route)


@router.get("")
async def show(request: Request) -> Response:
    context, principal = await _owner(request)
    return plain_json(await context.store.query(lambda reader: settings.show(reader, principal.connector)))


@router.post("")
async def put(request: Request) -> Response:
    """`{"webhookUrl"}`; a ping is sent there."""
    context, principal = await _owner(request)
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


async def _owner(request: Request) -> tuple[Context, Principal]:
    """Raises NotPermitted for a key that may read less than another of its connector."""
    context, principal = await _account(request)
    keys = [row for row in await context.store.query(lambda reader: reader.principals()) if row.revoked_at is None]
    others = [Principal(row.name, row.connector, frozenset(row.scopes)) for row in keys]
    ours = [one for one in others if one.connector == principal.connector]
    if any(one.may("r", type_) and not principal.may("r", type_) for one in ours for type_ in gate.TYPES):
        raise NotPermitted("another key of this connector may read more: its webhook settings are for that one")
    return context, principal
