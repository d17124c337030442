"""A FHIR R4 server in memory, strict where partners are strict. It shares no upsert, search or validation code with
the gateway, so that client and server cannot err alike."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import Unparsable
from gateway.fhir import json
from gateway.sandbox.faults import Relay, Sandbox
from gateway.sandbox.fhir_hooks import Hooks, due
from gateway.sandbox.fhir_search import Query

BASE = "/fhir"
MEDIA = "application/fhir+json"
Resource = dict[str, Any]


class OutcomeError(Exception):
    """Answered as OperationOutcome; a transaction is undone."""

    def __init__(self, status: int, code: str, text: str, path: str | None = None) -> None:
        super().__init__(text)
        self.status, self.code = status, code
        issue = {"severity": "error", "code": code, "diagnostics": text} | ({"expression": [path]} if path else {})
        self.outcome = {"resourceType": "OperationOutcome", "issue": [issue]}


@dataclass
class Server:
    """`held`: (type, id) -> its versions, oldest first; None = deleted. `changed`: what nobody was told of yet;
    `transactions`: whether Bundles are taken at all."""

    held: dict[tuple[str, str], list[Resource | None]] = field(default_factory=dict)
    changed: list[Resource] = field(default_factory=list)
    transactions: bool = True

    def current(self, kind: str, id_: str) -> Resource:
        versions = self.held.get((kind, id_))
        if not versions:
            raise OutcomeError(404, "not-found", f"no {kind} with that id")
        if versions[-1] is None:
            raise OutcomeError(410, "deleted", f"that {kind} was deleted")
        return versions[-1]

    def search(self, kind: str, query: str) -> list[Resource]:
        """What `fhir_search` knows to look for; anything else is refused."""
        asked = Query(query)
        if asked.unknown:
            raise OutcomeError(400, "not-supported", f"unknown search parameters: {', '.join(asked.unknown)}")
        return asked.matches(self.alive(kind))

    def alive(self, kind: str) -> list[Resource]:
        current = (versions[-1] for (type_, _), versions in self.held.items() if type_ == kind)
        return [one for one in current if one is not None]

    def only(self, kind: str, query: str) -> str | None:
        """The id of a condition's one match."""
        found = self.search(kind, query)
        if len(found) > 1:
            raise OutcomeError(412, "multiple-matches", f"{len(found)} resources of type {kind} match the condition")
        return str(found[0]["id"]) if found else None

    def store(self, kind: str, id_: str, resource: Resource) -> Resource:
        versions = self.held.setdefault((kind, id_), [])
        meta = {**resource.get("meta", {}), "versionId": str(len(versions) + 1), "lastUpdated": _now()}
        stored = {**resource, "id": id_, "meta": meta}
        versions.append(stored)
        self.changed.append(stored)
        return stored

    def put(self, kind: str, id_: str, resource: Resource, if_match: str | None) -> tuple[int, Resource]:
        if if_match and if_match != _etag(self.current(kind, id_)):
            raise OutcomeError(412, "conflict", "that version is not the current one")
        if resource.get("id") != id_:
            raise OutcomeError(400, "invalid", "the id of the resource must be that of the URL")
        return (200 if self.holds(kind, id_) else 201), self.store(kind, id_, resource)

    def delete(self, kind: str, id_: str) -> None:
        self.current(kind, id_)
        self.held[kind, id_].append(None)

    def holds(self, kind: str, id_: str) -> bool:
        return self.held.get((kind, id_), [None])[-1] is not None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _etag(resource: Resource) -> str:
    return f'W/"{resource["meta"]["versionId"]}"'


def _location(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}/_history/{resource['meta']['versionId']}"


@dataclass
class Step:
    """One entry of a transaction; `id` = where it goes, found before anything is written."""

    path: str
    method: str
    kind: str
    id: str
    resource: Resource
    full_url: str | None
    if_match: str | None
    existing: bool


def transact(server: Server, bundle: Resource, *, full: bool) -> Resource:
    """All or nothing, in the order DELETE, POST, PUT (FHIR R4 §3.1.0.11.2)."""
    before = {key: list(versions) for key, versions in server.held.items()}
    steps = [_step(server, f"Bundle.entry[{at}]", entry) for at, entry in enumerate(bundle.get("entry") or [])]
    places = {step.full_url: f"{step.kind}/{step.id}" for step in steps if step.full_url}
    if len({(step.kind, step.id) for step in steps}) < len(steps):
        raise OutcomeError(400, "duplicate", "two entries write the same resource")
    try:
        for step in steps:
            step.resource = _resolved(server, step.resource, places, f"{step.path}.resource")
        done = {step.path: _do(server, step, full=full) for step in sorted(steps, key=lambda one: one.method)}
    except OutcomeError:
        server.held = before
        raise
    return {"resourceType": "Bundle", "type": "transaction-response", "entry": [done[step.path] for step in steps]}


def _step(server: Server, path: str, entry: Resource) -> Step:
    request, resource = entry.get("request") or {}, entry.get("resource") or {}
    method, url = request.get("method"), request.get("url")
    if method not in ("DELETE", "POST", "PUT") or not url:
        raise OutcomeError(400, "required", "an entry needs a method (DELETE, POST, PUT) and a url", f"{path}.request")
    place, _, query = url.partition("?")
    kind, _, id_ = place.partition("/")
    if method != "DELETE" and resource.get("resourceType") != kind:
        raise OutcomeError(400, "invalid", "the resource is not of the type of its url", f"{path}.resource")
    condition = query or request.get("ifNoneExist")
    found = server.only(kind, condition) if condition else None
    if method == "PUT" and query:
        resource = {**resource, "id": found or str(uuid.uuid4())}
    id_ = id_ or found or resource.get("id", "") if method != "POST" else found or str(uuid.uuid4())
    return Step(path, method, kind, id_, resource, entry.get("fullUrl"), request.get("ifMatch"), found is not None)


def _resolved(server: Server, value: Any, places: dict[str, str], path: str) -> Any:
    """The value with every reference to an entry, or by condition, replaced by what it means."""
    if isinstance(value, list):
        return [_resolved(server, one, places, f"{path}[{at}]") for at, one in enumerate(value)]
    if not isinstance(value, dict):
        return value
    fresh = {key: _resolved(server, one, places, f"{path}.{key}") for key, one in value.items()}
    if isinstance(fresh.get("reference"), str):
        fresh["reference"] = _target(server, fresh["reference"], places, f"{path}.reference")
    return fresh


def _target(server: Server, reference: str, places: dict[str, str], path: str) -> str:
    if reference in places:
        return places[reference]
    if reference.startswith(("http://", "https://", "#")) or reference in places.values():
        return reference
    kind, _, query = reference.partition("?")
    kind, _, id_ = kind.partition("/")
    found = server.only(kind, query) if query else id_ if server.holds(kind, id_) else None
    if found is None:
        raise OutcomeError(400, "not-found", "a reference to nothing: no entry and no resource has it", path)
    return f"{kind}/{found}"


def _do(server: Server, step: Step, *, full: bool) -> Resource:
    try:
        status, resource = _write(server, step)
    except OutcomeError as error:
        raise OutcomeError(error.status, error.code, str(error), step.path) from None
    if resource is None:
        return {"response": {"status": "204 No Content"}}
    response = {"status": "201 Created" if status == 201 else "200 OK", "location": _location(resource)}
    response |= {"etag": _etag(resource), "lastModified": resource["meta"]["lastUpdated"]}
    return {"response": response} | ({"resource": resource} if full else {})


def _write(server: Server, step: Step) -> tuple[int, Resource | None]:
    if step.method == "DELETE":
        server.delete(step.kind, step.id)
        return 204, None
    if step.method == "PUT":
        return server.put(step.kind, step.id, step.resource, step.if_match)
    if step.existing:
        return 200, server.current(step.kind, step.id)
    return 201, server.store(step.kind, step.id, step.resource)


def batch(server: Server, bundle: Resource, *, full: bool) -> Resource:
    """Every entry for itself."""
    done = []
    for entry in bundle.get("entry") or []:
        try:
            done += transact(server, {"entry": [entry]}, full=full)["entry"]
        except OutcomeError as error:
            done.append({"response": {"status": str(error.status), "outcome": error.outcome}})
    return {"resourceType": "Bundle", "type": "batch-response", "entry": done}


class Api:
    """The HTTP side: `{BASE}`, `{BASE}/Type`, `{BASE}/Type/id`."""

    def __init__(self, server: Server, relay: Relay) -> None:
        self.server = server
        self._hooks = Hooks(relay)

    async def bundle(self, request: Request) -> Response:
        if not self.server.transactions:
            raise OutcomeError(405, "not-supported", "this server takes no Bundles")
        body = await _resource(request)
        kinds = {"transaction": transact, "batch": batch}
        if body.get("resourceType") != "Bundle" or body.get("type") not in kinds:
            raise OutcomeError(400, "invalid", "a Bundle of type transaction or batch is expected here", "Bundle.type")
        full = "return=representation" in request.headers.get("prefer", "")
        done = kinds[body["type"]](self.server, body, full=full)
        self._tell()
        return _answer(200, done)

    async def type(self, request: Request) -> Response:
        kind, query = request.path_params["kind"], request.url.query
        if request.method == "GET":
            base = f"{request.url.scheme}://{request.url.netloc}{BASE}"
            return _answer(200, Query(query).page(kind, self.server.search(kind, query), base, _now()))
        how = {"method": request.method, "url": f"{kind}?{query}" if query else kind}
        how["ifNoneExist"] = request.headers.get("if-none-exist", "")
        return self._one({"request": how, "resource": await _resource(request)})

    async def instance(self, request: Request) -> Response:
        kind, id_ = request.path_params["kind"], request.path_params["id"]
        if request.method == "GET":
            return _answer(200, self.server.current(kind, id_))
        how = {"method": request.method, "url": f"{kind}/{id_}", "ifMatch": request.headers.get("if-match")}
        return self._one({"request": how} | ({"resource": await _resource(request)} if request.method == "PUT" else {}))

    def _one(self, entry: Resource) -> Response:
        done = transact(self.server, {"entry": [entry]}, full=True)["entry"][0]
        self._tell()
        return _answer(int(done["response"]["status"][:3]), done.get("resource"))

    def _tell(self) -> None:
        changed, self.server.changed = self.server.changed, []
        self._hooks.tell(due(self.server.alive("Subscription"), changed))


async def _resource(request: Request) -> Resource:
    media = request.headers.get("content-type", "").partition(";")[0].strip()
    if media not in (MEDIA, "application/json"):
        raise OutcomeError(415, "not-supported", f"send {MEDIA}")
    try:
        body = json.decode(await request.body())
    except Unparsable:
        raise OutcomeError(400, "structure", "not JSON") from None
    if not isinstance(body, dict):
        raise OutcomeError(400, "structure", "a resource is a JSON object")
    return body


def _answer(status: int, resource: Resource | None) -> Response:
    if resource is None:
        return Response(status_code=status)
    versioned = "versionId" in resource.get("meta", {})
    headers = {"etag": _etag(resource), "location": f"{BASE}/{_location(resource)}"} if versioned else {}
    return Response(json.encode(resource), status, headers, MEDIA)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, OutcomeError)
    return _answer(error.status, error.outcome)


def create(*, transactions: bool = True) -> Sandbox:
    """The server at `{BASE}`, empty."""
    sandbox = Sandbox(application(relay=lambda send: sandbox.tell(send), transactions=transactions))
    return sandbox


def application(*, relay: Relay, transactions: bool = True) -> Starlette:
    """The same without a sandbox around it, for a stand-in of which it is a part."""
    api = Api(Server(transactions=transactions), relay)
    routes = [
        *(Route(base, api.bundle, methods=["POST"]) for base in (BASE, f"{BASE}/")),
        Route(f"{BASE}/{{kind}}", api.type, methods=["GET", "POST", "PUT"]),
        Route(f"{BASE}/{{kind}}/{{id}}", api.instance, methods=["GET", "PUT", "DELETE"]),
    ]
    return Starlette(routes=routes, exception_handlers={OutcomeError: _refused})
