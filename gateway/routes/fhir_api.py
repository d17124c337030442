"""The FHIR API as an application of its own: which interaction an address and a method name (FHIR R4 §3.1.0.1).

It stands beside the framework's routes, not among them: their matching and middlewares cost as much as a read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from gateway.errors import GatewayError, NotAllowed
from gateway.routes import fhir
from gateway.routes.http import fhir_error, unexpected

Handler = Callable[[Request], Awaitable[Response]]

PREFIX = "/fhir"


def is_ours(path: str) -> bool:
    """Whether a path is below our FHIR base."""
    return path.startswith(PREFIX) and path[len(PREFIX) :][:1] in ("", "/")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """One request; a defect of ours is answered, then raised for the log."""
    handler, scope["path_params"] = _address(scope["path"])
    request = Request(scope, receive, send)
    try:
        response = await handler(request)
    except GatewayError as error:
        response = fhir_error(request, error)
        others = handler.others(request.method) if isinstance(handler, _Methods) else ""
        if others and error.status == NotAllowed.status:
            response.headers["allow"] = others
    except Exception as error:
        await unexpected(request, error)(scope, receive, send)
        raise
    await response(scope, receive, send)


class _Methods:
    """One address, its interactions by HTTP method; HEAD where GET is (FHIR R4 §3.1.0.1.7)."""

    def __init__(self, **handlers: Handler) -> None:
        self._known = {**handlers, **({"HEAD": handlers["GET"]} if "GET" in handlers else {})}

    def __call__(self, request: Request) -> Awaitable[Response]:
        return self._known.get(request.method, self._refuse)(request)

    async def _refuse(self, request: Request) -> Response:
        raise NotAllowed(f"{request.method} is not done here: there is {self.others(request.method)}")

    def others(self, method: str) -> str:
        """What is done here instead of a method that is refused (RFC 9110 §10.2.1)."""
        return ", ".join(sorted(self._known.keys() - {method}))


def _address(path: str) -> tuple[Handler, dict[str, str]]:
    parts = path[len(PREFIX) + 1 :].split("/")
    if len(parts) > 1 and not parts[-1]:
        parts.pop()  # `PUT [base]/[type]/?[search parameters]`, as FHIR R4 §3.1.0.4.3 writes it
    match parts:
        case [""]:
            return _BASE, {}
        case ["metadata"]:
            return _METADATA, {}
        case [type_] if type_:
            return _TYPE, {"type_": type_}
        case [type_, "_search"] if type_:
            return _SEARCH, {"type_": type_}
        case [type_, id_] if type_ and id_:
            return _INSTANCE, {"type_": type_, "id_": id_}
        case [type_, id_, "_history"] if type_ and id_:
            return _HISTORY, {"type_": type_, "id_": id_}
        case [type_, id_, "_history", number] if type_ and id_ and number:
            return _VERSION, {"type_": type_, "id_": id_, "number": number}
    return fhir.unknown, {}


_BASE = _Methods(POST=fhir.post_bundle)
_METADATA = _Methods(GET=fhir.metadata)
_TYPE = _Methods(GET=fhir.search_type, POST=fhir.create, PUT=fhir.conditional_update, DELETE=fhir.conditional_delete)
_SEARCH = _Methods(POST=fhir.search_by_post)
_INSTANCE = _Methods(GET=fhir.read, PUT=fhir.update, DELETE=fhir.delete)
_HISTORY = _Methods(GET=fhir.history)
_VERSION = _Methods(GET=fhir.vread)
