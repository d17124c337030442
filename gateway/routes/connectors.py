"""The registry of connectors (HMS-API, "External System Synchronization"): `/api/external-connectors`."""

from __future__ import annotations

import dataclasses
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from gateway.fhir import json
from gateway.fhir.json import Json
from gateway.registry.repeats import Repeats
from gateway.registry.service import Registry
from gateway.routes.context import context_of
from gateway.routes.http import number_of, plain_json, read_body, read_json

router = APIRouter(prefix="/api/external-connectors")

LIMIT = 1_000_000
"""Bytes of a body: a mapping is long at times, a connector never."""
_PAGE = 1_000
_READ, _WRITE, _SYNC = "connectors:read", "connectors:write", "connectors:sync"


@router.post("")
async def create(request: Request) -> Response:
    """201 with the connector; what its system refuses is its status."""
    registry, principal = await _may(request, _WRITE)
    raw, body = await read_json(request, LIMIT, untyped=True)
    made = await registry.create(body, _repeats(request, principal, raw))
    return plain_json(made, 201, {"Location": f"/api/external-connectors/{made['connectorId']}"})


@router.get("")
async def listed(request: Request) -> Response:
    """A bare array; with `limit` the rest is behind `Link: rel=next`."""
    registry, _ = await _may(request, _READ)
    limit = number_of(request, "limit", _PAGE, _PAGE, least=1)
    found = await registry.listed(limit=limit + 1, after=request.query_params.get("cursor", ""))
    page = found[:limit]
    following = urlencode({"limit": limit, "cursor": page[-1]["name"]}) if len(found) > limit else None
    headers = {"Link": f'<{request.url.path}?{following}>; rel="next"'} if following else {}
    return plain_json(page, headers=headers)


@router.get("/{name}")
async def one(request: Request, name: str) -> Response:
    registry, _ = await _may(request, _READ)
    return plain_json(await registry.get(name))


@router.put("/{name}")
async def replace(request: Request, name: str) -> Response:
    registry, _ = await _may(request, _WRITE)
    _, body = await read_json(request, LIMIT, untyped=True)
    return plain_json(await registry.replace(name, body))


@router.patch("/{name}")
async def patch(request: Request, name: str) -> Response:
    """A merge patch (RFC 7396)."""
    registry, _ = await _may(request, _WRITE)
    body = json.decode(await read_body(request, LIMIT))
    return plain_json(await registry.patch(name, body))


@router.delete("/{name}")
async def delete(request: Request, name: str) -> Response:
    registry, _ = await _may(request, _WRITE)
    await registry.delete(name)
    return Response(status_code=204)


@router.post("/{name}/pause")
async def pause(request: Request, name: str) -> Response:
    registry, _ = await _may(request, _WRITE)
    return plain_json(await registry.pause(name))


@router.post("/{name}/resume")
async def resume(request: Request, name: str) -> Response:
    registry, _ = await _may(request, _WRITE)
    return plain_json(await registry.resume(name))


@router.post("/{name}/unlink")
async def unlink(request: Request, name: str) -> Response:
    """An operator's word that they no longer hold a resource: nothing is sent to it there any more."""
    registry, _ = await _may(request, _WRITE)
    _, body = await read_json(request, LIMIT, untyped=True)
    return plain_json(await registry.unlink(name, body))


@router.post("/{name}/go")
async def go(request: Request, name: str) -> Response:
    """The operator's word after a first contact in plan."""
    registry, _ = await _may(request, _WRITE)
    return plain_json(await registry.go(name))


@router.post("/{name}/test")
async def test(request: Request, name: str) -> Response:
    """Log in there and ask for the least."""
    registry, _ = await _may(request, _WRITE)
    return plain_json(await registry.test(name))


@router.post("/{name}/rotate-secret")
async def rotate_secret(request: Request, name: str) -> Response:
    """A fresh webhook secret, shown this once, or the one of the body."""
    registry, _ = await _may(request, _WRITE)
    _, body = await _optional(request)
    return plain_json(await registry.rotate_secret(name, body))


@router.post("/{name}/sync")
async def sync(request: Request, name: str) -> Response:
    """202 at once; `GET .../syncs/{syncId}` tells how it goes on."""
    registry, principal = await _may(request, _SYNC)
    raw, body = await _optional(request)
    return plain_json(await registry.sync(name, body, _repeats(request, principal, raw)), 202)


@router.get("/{name}/syncs")
async def syncs(request: Request, name: str) -> Response:
    registry, _ = await _may(request, _READ)
    return plain_json(await registry.syncs(name))


@router.get("/{name}/syncs/{run_id}")
async def progress(request: Request, name: str, run_id: str) -> Response:
    registry, _ = await _may(request, _READ)
    return plain_json(await registry.run(name, run_id))


@router.get("/{name}/status")
async def status(request: Request, name: str) -> Response:
    registry, _ = await _may(request, _READ)
    return plain_json(await registry.status(name))


async def _may(request: Request, scope: str) -> tuple[Registry, str]:
    """The registry, and who asks. Raises NotAuthenticated, NotPermitted."""
    context = context_of(request)
    principal = await context.caller(request)
    principal.require_operation(scope)
    return dataclasses.replace(context.registry, by=principal.name), principal.name


def _repeats(request: Request, principal: str, raw: bytes) -> Repeats:
    key = request.headers.get("idempotency-key")
    call = f"{request.method} {request.url.path}"
    return Repeats.of(key, principal, call, raw, context_of(request).seal)


async def _optional(request: Request) -> tuple[bytes, Json]:
    """A body that may be left out, and what it says."""
    raw = await read_body(request, LIMIT, empty=True)
    return raw, json.decode(raw) if raw.strip() else None
