"""Partners: the webhooks of every system."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from gateway.connectors import registry, signature
from gateway.connectors.config import WEBHOOK_SECRET, WEBHOOK_SECRET_BEFORE, Config
from gateway.connectors.protocol import Answering, Named
from gateway.errors import BadSignature, InvalidInput, NotPermitted, Unparsable
from gateway.fhir import json
from gateway.flow import Received, dedupe_key
from gateway.routes.context import context_of
from gateway.routes.http import plain_json, read_body

router = APIRouter()

WEBHOOK_LIMIT = 5_000_000


@router.post("/api/webhooks/{path:path}")
async def webhook(request: Request, path: str) -> Response:
    """Signed by its sender; stored, then acknowledged; what it says is read again before it is applied."""
    return await _taken(request, path)


@router.put("/api/webhooks/{path:path}/{type_}/{id_}")
async def rest_hook(request: Request, path: str, type_: str, id_: str) -> Response:
    """The same from a FHIR server that tells a Subscription with a payload of a change by updating the resource below
    our address, as HAPI FHIR does. No body: its client would read one as a resource."""
    await _taken(request, path, (type_, id_))
    return Response(status_code=204)


async def _taken(request: Request, path: str, named: tuple[str, str] | None = None) -> Response:
    """`named`: type and id of the resource that the body must be."""
    context = context_of(request)
    body = await read_body(request, min(WEBHOOK_LIMIT, context.settings.max_bytes), empty=True)
    flow = context.flow
    config, secrets = await context.store.query(
        lambda reader: (
            found := flow.directory(reader).by_path(f"/api/webhooks/{path}"),
            reader.secrets(found.name),
        )
    )
    event_id = _verified(config, secrets, request, body, context.settings.webhook_tolerance)
    if not body:
        raise Unparsable("the body is empty")
    if named is not None:
        _check_named(json.decode(body), *named)
    if not config.endpoint and config.sync.read:
        raise NotPermitted(f"the connector {config.name} has no endpoint to read from, nor sync.read false")
    connector = config.connector
    if isinstance(connector, Answering) and (pong := connector.answer(json.decode(body))) is not None:
        return plain_json(pong)
    if event_id is None and isinstance(connector, Named):
        event_id = connector.event_id(json.decode(body))
    elif event_id is None and registry.mapped(config.profile) is not None:
        event_id = _told_id(config, body, flow.ours)
    media = request.headers.get("content-type", "")
    received = Received(config.name, None, "webhook", media, body, dedupe_key("event", event_id))
    kept = await flow.store_first(received)
    fresh = kept == received.message_id
    if fresh:
        context.inbox.put(received)
    return plain_json({"received": True, "message": kept, "duplicate": not fresh})


def _verified(
    config: Config, secrets: Mapping[str, str], request: Request, body: bytes, tolerance: float
) -> str | None:
    """The event's id, where its signature carries one. The secret before the last rotation still counts.

    Raises BadSignature.
    """
    scheme = signature.choose(config.signatures, request.headers)
    known = [secrets[name] for name in (WEBHOOK_SECRET, WEBHOOK_SECRET_BEFORE) if name in secrets]
    now, header = datetime.now(UTC), config.sync.header
    for secret in known[:-1]:
        with suppress(BadSignature):
            return signature.verify(scheme, secret, request.headers, body, now=now, header=header, tolerance=tolerance)
    last = known[-1] if known else None
    return signature.verify(scheme, last, request.headers, body, now=now, header=header, tolerance=tolerance)


def _check_named(body: json.Json, type_: str, id_: str) -> None:
    """FHIR R4 §3.1.0.4: the resource of an update is that of its address."""
    if not isinstance(body, dict) or (body.get("resourceType"), body.get("id")) != (type_, id_):
        raise InvalidInput("the body must be the resource that the address names")


def _told_id(config: Config, body: bytes, ours: str) -> str | None:
    """The event's own id, where the mapping says it stands. What is no event is kept all the same, and fails later."""
    try:
        return config.told(body, ours).id
    except InvalidInput:
        return None
