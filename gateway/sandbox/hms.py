"""The peer side of HMS-API ("External System Synchronization"): REST collections below `/api` with `/subscribe`, signed
events and lists that tell what changed since, and a FHIR server below `/fhir`; an API key or OAuth2 for both."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import Unparsable
from gateway.fhir import json
from gateway.sandbox import fhir_server
from gateway.sandbox.faults import Sandbox
from gateway.sandbox.hms_events import EVERYTHING, Events

API_KEY = "hms-key-for-the-gateway"
CLIENT = ("ABC123", "SECRET")
"""Client id and secret, as in the seed's request."""
SEEDS = {"patients": ({"id": "p1", "name": "Ada Example", "dob": "1980-02-22"},)}

_TOKEN_LIFE = timedelta(minutes=5)
_PAGE = 500


class Service:
    """What it holds: collection -> id -> item. Every item has `id` and `updatedAt`, which it sets itself."""

    def __init__(self, seeds: Mapping[str, Iterable[Mapping[str, Any]]], key: str) -> None:
        self.key = key
        self.tokens: dict[str, datetime] = {}
        self.items: dict[str, dict[str, dict[str, Any]]] = {}
        self.events = Events()
        self.token_status: int | None = None
        self.subscribe_status: int | None = None
        self._made = 0
        self._last = datetime.now(UTC)
        for collection, listed in seeds.items():
            for item in listed:
                self.put(collection, item)

    def collection(self, name: str) -> dict[str, dict[str, Any]]:
        return self.items.setdefault(name, {})

    def put(self, collection: str, body: Mapping[str, Any], *, whole: bool = True) -> dict[str, Any]:
        """The item as it now is. `whole`: what the body leaves out is gone."""
        item_id = str(body.get("id") or self._new_id(collection))
        held = {} if whole else self.collection(collection).get(item_id, {})
        item = {**held, **body, "id": item_id, "updatedAt": self._now()}
        self.collection(collection).pop(item_id, None)  # the newest stands last, so that lists are in order of change
        self.collection(collection)[item_id] = item
        return item

    def fill(self, collection: str, count: int) -> None:
        """So many people, each with a name and a birth date of her own."""
        for number in range(count):
            born = datetime(1930, 1, 1, tzinfo=UTC) + timedelta(days=number % 29_000)
            name = f"Given{number:06d} Family{number:06d}"
            self.put(collection, {"id": f"n{number:06d}", "name": name, "dob": born.date().isoformat()})

    def token(self) -> str:
        made = secrets.token_urlsafe(24)
        self.tokens[made] = datetime.now(UTC) + _TOKEN_LIFE
        return made

    def knows(self, headers: Mapping[str, str]) -> bool:
        """An API key, or a token that has not run out."""
        if hmac.compare_digest(headers.get("x-api-key", "").encode(), self.key.encode()):
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.tokens.get(token, datetime.min.replace(tzinfo=UTC)) > datetime.now(
            UTC
        )

    def _new_id(self, collection: str) -> str:
        self._made += 1
        return f"{collection[:1]}_{self._made}"

    def _now(self) -> str:
        """Later than every time before, so that `since` never meets two changes of one moment."""
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        return self._last.isoformat().replace("+00:00", "Z")


class Api:
    """The HTTP side: `/api/{collection}` for the gateway, `/_...` for whoever plays the service's user."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def token(self, request: Request) -> Response:
        """RFC 6749 §4.4; the client shows itself by Basic or in the form."""
        form = dict(parse_qsl((await request.body()).decode()))
        if self.service.token_status:
            return JSONResponse({"error": "invalid_client"}, self.service.token_status)
        if form.get("grant_type") != "client_credentials":
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        if _client(request, form) != CLIENT:
            return JSONResponse({"error": "invalid_client"}, 401)
        life = int(_TOKEN_LIFE.total_seconds())
        return JSONResponse({"access_token": self.service.token(), "token_type": "Bearer", "expires_in": life})

    async def list(self, request: Request) -> Response:
        """`?_since=` or `?updatedSince=`, oldest change first; `limit` and `cursor`, and a Link to what follows. A page
        starts after the last item of the one before, so that what changes meanwhile pushes nothing out of sight."""
        if refusal := self._refusal(request):
            return refusal
        query = request.query_params
        since = query.get("cursor") or query.get("_since") or query.get("updatedSince") or ""
        held = self.service.collection(request.path_params["collection"]).values()
        found = [item for item in held if not since or item["updatedAt"] > since]
        limit = min(int(query.get("limit", _PAGE)), _PAGE)
        headers = {}
        if limit < len(found):
            following = request.url.include_query_params(cursor=found[limit - 1]["updatedAt"], limit=limit)
            headers["link"] = f'<{following}>; rel="next"'
        return JSONResponse(found[:limit], headers=headers)

    async def read(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        found = self.service.collection(request.path_params["collection"]).get(request.path_params["id"])
        return JSONResponse(found) if found else _error(404, "no such item")

    async def create(self, request: Request) -> Response:
        """An upsert: with an id that it holds, 200; else 201."""
        collection, body = request.path_params["collection"], await _body(request)
        if refusal := self._refusal(request) or _faulty(body):
            return refusal
        known = str(body.get("id")) in self.service.collection(collection)
        return JSONResponse(self.service.put(collection, body, whole=not known), 200 if known else 201)

    async def update(self, request: Request) -> Response:
        """PUT replaces or makes, PATCH changes what it names."""
        collection, item_id, body = request.path_params["collection"], request.path_params["id"], await _body(request)
        if refusal := self._refusal(request) or _faulty(body):
            return refusal
        known = item_id in self.service.collection(collection)
        if not known and request.method == "PATCH":
            return _error(404, "no such item")
        item = self.service.put(collection, {**body, "id": item_id}, whole=request.method == "PUT")
        return JSONResponse(item, 200 if known else 201)

    async def delete(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        gone = self.service.collection(request.path_params["collection"]).pop(request.path_params["id"], None)
        return Response(status_code=204) if gone else _error(404, "no such item")

    async def subscribe(self, request: Request) -> Response:
        """`{"url","events","secret"}`: where events of this collection go from now on, or those of all; how they are
        signed."""
        body = await _body(request)
        if refusal := self._refusal(request) or _faulty(body):
            return refusal
        if self.service.subscribe_status:
            return _error(self.service.subscribe_status, "a fault was asked for")
        if not all(isinstance(body.get(name), str) and body[name] for name in ("url", "secret")):
            return _error(422, "url and secret are required")
        if not isinstance(body.get("events"), list):
            return _error(422, "events must be a list")
        made = self.service.events.subscribe(request.path_params.get("collection", EVERYTHING), body)
        return JSONResponse({"id": made, "url": body["url"], "events": body["events"]}, 201)

    # --- for whoever plays its user ----------------------------------------------------------------------------------

    async def edit(self, request: Request) -> Response:
        """`{"set": {..}, "tell": true}`: a user's change; the statuses that its events were answered with."""
        asked = await _body(request)
        collection, item_id = request.path_params["collection"], request.path_params["id"]
        if not isinstance(asked, dict):
            return _error(400, "the body must be a JSON object")
        item = self.service.put(collection, {**asked.get("set", {}), "id": item_id}, whole=False)
        told = await self.service.events.tell(collection, item) if asked.get("tell", True) else []
        return JSONResponse({"item": item, "webhooks": told})

    async def items(self, request: Request) -> Response:
        return JSONResponse(list(self.service.collection(request.path_params["collection"]).values()))

    async def fill(self, request: Request) -> Response:
        """`{"count": 100000}`: so many people at once."""
        self.service.fill(request.path_params["collection"], int((await _body(request))["count"]))
        return Response(status_code=204)

    async def knobs(self, request: Request) -> Response:
        """`{"token": 401, "subscribe": 500, "signature": "hex", "duplicate": true, "reorder": true}`: what goes wrong
        beside the faults that every stand-in has; what is left out is as it should be."""
        asked = await _body(request)
        self.service.token_status, self.service.subscribe_status = asked.get("token"), asked.get("subscribe")
        self.service.events.set(
            asked.get("signature", "standard"),
            duplicate=bool(asked.get("duplicate")),
            reorder=bool(asked.get("reorder")),
        )
        if asked.get("expire"):
            self.service.tokens.clear()
        return Response(status_code=204)

    async def flush(self, _: Request) -> Response:
        """Events that were kept back to be told out of order are told now, newest first."""
        return JSONResponse(await self.service.events.flush())

    async def subscriptions(self, _: Request) -> Response:
        """Where events go; never the secrets."""
        return JSONResponse(self.service.events.listed())

    def _refusal(self, request: Request) -> Response | None:
        return None if self.service.knows(request.headers) else _error(401, "neither an API key nor a token")


class Guarded:
    """The FHIR stand-in behind the same credentials; where tokens are had is open (SMART App Launch, "Discovery")."""

    def __init__(self, service: Service, fhir: ASGIApp) -> None:
        self._service = service
        self._fhir = fhir

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        answer: ASGIApp = self._fhir
        if request.url.path == _DISCOVERY:
            answer = JSONResponse(_smart(str(request.base_url)))
        elif not self._service.knows(request.headers):
            outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "login"}]}
            answer = JSONResponse(outcome, 401, {"www-authenticate": "Bearer"}, "application/fhir+json")
        await answer(scope, receive, send)


_DISCOVERY = "/fhir/.well-known/smart-configuration"


def _smart(base: str) -> dict[str, Any]:
    return {
        "token_endpoint": f"{base}oauth/token",
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "capabilities": ["client-confidential-symmetric"],
    }


def _client(request: Request, form: Mapping[str, Any]) -> tuple[str, str]:
    scheme, _, coded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        name, _, secret = base64.b64decode(coded).decode().partition(":")
        return name, secret
    return str(form.get("client_id")), str(form.get("client_secret"))


async def _body(request: Request) -> Any:
    try:
        return json.decode(await request.body())
    except Unparsable:
        return None


def _faulty(body: Any) -> Response | None:
    return None if isinstance(body, dict) else _error(400, "the body must be a JSON object")


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)


def create(*, seeds: Mapping[str, Iterable[Mapping[str, Any]]] = SEEDS, key: str = API_KEY) -> Sandbox:
    """The service with what it holds from the start."""
    service = Service(seeds, key)
    api = Api(service)

    async def relay(send: Callable[[], Awaitable[int]]) -> list[int]:
        return await sandbox.tell(send)

    service.events.relay = relay
    guarded = Guarded(service, fhir_server.application(relay=relay))
    routes = [
        Route("/oauth/token", api.token, methods=["POST"]),
        Route("/api/subscribe", api.subscribe, methods=["POST"]),
        Route("/api/{collection}/subscribe", api.subscribe, methods=["POST"]),
        Route("/api/{collection}", api.list, methods=["GET"]),
        Route("/api/{collection}", api.create, methods=["POST"]),
        Route("/api/{collection}/{id}", api.read, methods=["GET"]),
        Route("/api/{collection}/{id}", api.update, methods=["PUT", "PATCH"]),
        Route("/api/{collection}/{id}", api.delete, methods=["DELETE"]),
        Route("/_edit/{collection}/{id}", api.edit, methods=["POST"]),
        Route("/_items/{collection}", api.items, methods=["GET"]),
        Route("/_fill/{collection}", api.fill, methods=["POST"]),
        Route("/_knobs", api.knobs, methods=["POST"]),
        Route("/_flush", api.flush, methods=["POST"]),
        Route("/_subscriptions", api.subscriptions, methods=["GET"]),
        Route("/fhir", guarded),
        Route("/fhir/{path:path}", guarded),
    ]
    sandbox = Sandbox(Starlette(routes=routes))
    return sandbox
