"""Subscribers: who is sent webhooks of changes, and what became of each (scope operator)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response

from gateway.auth import Principal
from gateway.errors import InvalidInput
from gateway.routes.context import Context, context_of
from gateway.routes.http import number_of, plain_json, read_json
from gateway.store import AuditRow, Tx
from gateway.store.subscribers import Subscriber
from gateway.telling import admin

router = APIRouter(prefix="/api/subscribers")

T = TypeVar("T")
LARGEST = 100_000
_PAGE = 1000


@router.post("")
async def add(request: Request) -> Response:
    """201 with the secret, which is not shown again."""
    context, principal = await _operator(request)
    body = await _object(request)

    def job(tx: Tx) -> tuple[Subscriber, str]:
        made, secret = admin.add(tx, body)
        tx.write_audits([_row(tx, principal, "C", made.name)])
        return made, secret

    made, secret = await context.store.write(job)
    headers = {"location": f"/api/subscribers/{made.name}"}
    return plain_json({**admin.to_json(made), "secret": secret}, 201, headers)


@router.get("")
async def listed(request: Request) -> Response:
    context, _ = await _operator(request)
    found = await context.store.query(admin.listed)
    return plain_json([admin.to_json(one) for one in found])


@router.get("/{name}")
async def show(request: Request, name: str) -> Response:
    context, _ = await _operator(request)
    return plain_json(admin.to_json(await context.store.query(lambda reader: admin.get(reader, name))))


@router.patch("/{name}")
async def change(request: Request, name: str) -> Response:
    await _operator(request)
    body = await _object(request)
    return await _written(request, name, lambda tx: admin.to_json(admin.change(tx, name, body)))


@router.delete("/{name}")
async def remove(request: Request, name: str) -> Response:
    await _written(request, name, lambda tx: admin.remove(tx, name), action="D")
    return Response(status_code=204)


@router.post("/{name}/pause")
async def pause(request: Request, name: str) -> Response:
    return await _written(request, name, lambda tx: admin.to_json(admin.pause(tx, name)))


@router.post("/{name}/resume")
async def resume(request: Request, name: str) -> Response:
    return await _written(request, name, lambda tx: admin.to_json(admin.resume(tx, name)))


@router.post("/{name}/test")
async def test(request: Request, name: str) -> Response:
    return await _written(request, name, lambda tx: {"event": admin.test(tx, name)}, 202)


@router.post("/{name}/rotate-secret")
async def rotate(request: Request, name: str) -> Response:
    """`?overlapSeconds=`: how long the old secret signs as well; a day without."""
    overlap = timedelta(seconds=number_of(request, "overlapSeconds", 86_400, 30 * 86_400))
    return await _written(request, name, lambda tx: {"secret": admin.rotate(tx, name, overlap=overlap)})


@router.get("/{name}/events")
async def events(request: Request, name: str) -> Response:
    """Oldest first; `?after=` the id of the last one seen, `?limit=`."""
    context, _ = await _operator(request)
    after, limit = number_of(request, "after", 0, 2**62), number_of(request, "limit", 100, _PAGE)
    found = await context.store.query(lambda reader: admin.events(reader, name, after=after, limit=limit))
    return plain_json([admin.event_json(one) for one in found])


async def _operator(request: Request) -> tuple[Context, Principal]:
    context = context_of(request)
    principal = await context.caller(request)
    principal.require_service("operator")
    return context, principal


def _row(tx: Tx, principal: Principal, action: str, name: str) -> AuditRow:
    return AuditRow(tx.now, principal.name, principal.connector, action, "Subscriber", name, 200)


async def _written(
    request: Request, name: str, job: Callable[[Tx], Any], status: int = 200, *, action: str = "U"
) -> Response:
    context, principal = await _operator(request)

    def noted(tx: Tx) -> Any:
        said = job(tx)
        tx.write_audits([_row(tx, principal, action, name)])
        return said

    said = await context.store.write(noted)
    context.flow.ordered()
    return plain_json(said, status)


async def _object(request: Request) -> dict[str, Any]:
    _, body = await read_json(request, LARGEST)
    if not isinstance(body, dict):
        raise InvalidInput("the body must be a JSON object")
    return body
