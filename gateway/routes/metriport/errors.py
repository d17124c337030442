"""Errors as Metriport's clients expect them: `{"status","name","title","detail"}`, application/json."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from gateway.errors import GatewayError, Missing, NotAllowed
from gateway.routes import http
from gateway.routes.http import headers_of, plain_json

_NAMES = {"Missing": "NotFound", "NotAuthenticated": "Unauthorized"}


class Route(APIRoute):
    """A route whose errors are told in that form."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handler = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handler(request)
            except GatewayError as error:
                return plain_json(body(error), error.status, headers_of(error))

        return told


def body(error: GatewayError) -> dict[str, Any]:
    """NotPermitted -> NOT_PERMITTED, NotPermittedError; a 400 has the name and title that clients look for."""
    kind = type(error).__name__
    named = "BadRequest" if error.status == 400 else _NAMES.get(kind, kind)
    title = "Missing or invalid parameters" if error.status == 400 else f"{named}Error"
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", named).upper()
    return {"status": error.status, "name": name, "title": title, "detail": error.message}


def not_found(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: below Metriport's paths in its form, elsewhere in ours."""
    if not request.url.path.startswith(("/medical/v1/", "/settings")):
        return http.not_found(request, error)
    assert isinstance(error, HTTPException)
    kind = NotAllowed if error.status_code == 405 else Missing
    refusal = body(kind(f"Could not find {request.method} at this path"))
    return plain_json(refusal, kind.status, error.headers)  # which methods do (RFC 9110 §15.5.6)
