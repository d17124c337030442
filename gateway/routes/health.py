"""Health: whether the process lives and its database answers. No key, no detail."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gateway import __version__
from gateway.routes.context import context_of
from gateway.routes.http import plain_json

router = APIRouter()


@router.get("/health")
async def health(request: Request) -> Response:
    """200 when reads work; for load balancers and `make demo`."""
    await context_of(request).store.query(lambda reader: reader.connector_epoch())
    return plain_json({"status": "ok", "version": __version__})
