"""Errors as Metriport's clients expect them: `{"status","name","title","detail"}`, application/json."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from gateway.errors import GatewayError
from gateway.routes.http import plain_json


class Route(APIRoute):
    """A route whose errors are told in that form."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handler = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handler(request)
            except GatewayError as error:
                return plain_json(body(error), error.status)

        return told


def body(error: GatewayError) -> dict[str, Any]:
    """NotPermitted -> NOT_PERMITTED, NotPermittedError; a 400 has the title that clients look for."""
    kind = type(error).__name__
    named = {"Missing": "NotFound", "InvalidInput": "BadRequest", "NotAuthenticated": "Unauthorized"}.get(kind, kind)
    title = "Missing or invalid parameters" if error.status == 400 else f"{named}Error"
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", named).upper()
    return {"status": error.status, "name": name, "title": title, "detail": error.message}
