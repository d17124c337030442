"""The login of an administrator at another system: the link, the page that starts it, the page that ends it."""

from __future__ import annotations

import html
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from starlette.responses import HTMLResponse, RedirectResponse

from gateway.auth import Principal
from gateway.connectors.config import Config
from gateway.errors import GatewayError, InvalidInput, PartnerError
from gateway.registry import entries
from gateway.routes.context import context_of
from gateway.routes.http import plain_json, read_json
from gateway.store import AuditRow
from gateway.systems import priming

router = APIRouter()

_LIMIT = 10_000
_PRIVATE = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}
"""The address holds a one-time ticket or code: nobody else is to learn it."""

_REASONS = {
    "access_denied": "Access was denied at the other system.",
    "invalid_scope": "The other system does not grant the scopes that this connector asks for.",
    "unauthorized_client": "The other system does not know this gateway, or not under this address.",
    "temporarily_unavailable": "The other system is not available at the moment.",
    "server_error": "The other system failed.",
}
"""What they may answer (RFC 6749 §4.1.2.1); their own text is never shown."""


@router.post("/api/external-connectors/{connector}/authorize")
async def authorize(request: Request, connector: str) -> Response:
    """A one-time link for the browser, good for ten minutes."""
    context = context_of(request)
    principal, config = await operated(request, connector)
    link, job = priming.new_link(config, context.settings.public_url)
    await context.store.write(job)
    row = AuditRow(datetime.now(UTC), principal.name, config.name, "authorize-link", None, None, 201)
    context.store.audit(row)
    return plain_json({"url": link.url, "expiresAt": link.expires.isoformat(timespec="seconds")}, 201, _PRIVATE)


@router.post("/api/external-connectors/{connector}/access-information")
async def access_information(request: Request, connector: str) -> Response:
    """`{"code","redirectUri","codeVerifier"?}`: the code of a login that ran elsewhere (Z.MIS
    store_access_information)."""
    principal, config = await operated(request, connector)
    _, body = await read_json(request, _LIMIT)
    asked = body if isinstance(body, dict) else {}
    code, redirect, verifier = (asked.get(name) for name in ("code", "redirectUri", "codeVerifier"))
    if not (isinstance(code, str) and isinstance(redirect, str) and isinstance(verifier, str | None)):
        raise InvalidInput("code and redirectUri are required: the code and the address it was sent to, as strings")
    await context_of(request).priming.store_access_information(config, code, redirect, principal.name, verifier)
    return plain_json({"name": config.name, "status": "connected"})


@router.get("/oauth/start/{ticket}")
async def start(request: Request, ticket: str) -> Response:
    """The link was opened: on to their login page."""
    try:
        address = await context_of(request).priming.start(ticket)
    except GatewayError as error:
        return _page(error.status, "The login cannot start", error.message)
    return RedirectResponse(address, 303, _PRIVATE)


@router.get("/oauth/callback")
async def callback(request: Request) -> Response:
    """Their login page sends the browser back here."""
    asked = request.query_params
    code = asked.get("code") or None
    try:
        name = await context_of(request).priming.finish(asked.get("state", ""), code)
    except PartnerError as error:
        return _page(502, "Not connected", error.message)
    except GatewayError as error:
        return _page(error.status, "Not connected", error.message)
    if code is None:
        reason = _REASONS.get(asked.get("error", ""), "The other system did not grant access.")
        return _page(403, "Not connected", f"{name}: {reason} Ask for a new link to try again.")
    return _page(200, "Connected", f"The gateway is now logged in to {name}. You may close this page.")


async def operated(request: Request, connector: str) -> tuple[Principal, Config]:
    """The operator who calls, and the connector she means: by its name, or by the id that the registry gave it.

    Raises NotPermitted, Missing and Gone.
    """
    context = context_of(request)
    principal = await context.caller(request)
    principal.require_service("operator")
    return principal, await context.store.query(lambda reader: entries.config_of(entries.get(reader, connector)))


def _page(status: int, title: str, text: str) -> Response:
    shown = html.escape(text)
    body = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:18px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:34rem;padding:0 1rem}}</style></head>
<body><h1>{title}</h1><p>{shown}</p></body></html>"""
    return HTMLResponse(body, status, _PRIVATE)
