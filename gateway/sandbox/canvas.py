"""Canvas itself: its plugin endpoint, its calls to a partner, its FHIR API and its logins (canvas.md).

One address serves what Canvas spreads over two hosts: `/plugin-io/...`, `/auth/...` and `/Patient`. For whoever plays
its user or operator: `/_knobs`, `/_patients`, `/_create`, `/_edit/{id}`, `/_event/{id}`, `/_calls`; of the logins
`/_oauth`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.errors import Unparsable
from gateway.fhir import json
from gateway.sandbox import canvas_login
from gateway.sandbox.canvas_chart import BIRTH_SEX, CanvasError, Chart, Patient
from gateway.sandbox.canvas_login import check
from gateway.sandbox.canvas_plugin import PATH, Plugin
from gateway.sandbox.faults import Sandbox
from gateway.sandbox.oauth import OAuthServer

MEDIA = "application/fhir+json"
DEFAULT_COUNT = 10
LARGEST_COUNT = 100


class Api:
    """The FHIR side ("Fumage")."""

    def __init__(self, chart: Chart, logins: OAuthServer, plugin: Plugin) -> None:
        self.chart, self.logins, self.plugin = chart, logins, plugin

    async def search(self, request: Request) -> Response:
        check(self.logins, request, "read")
        wanted = parse_qs(request.url.query, keep_blank_values=True)
        found = self.chart.search(wanted)
        count = min(_number(wanted, "_count", DEFAULT_COUNT), LARGEST_COUNT)
        offset = _number(wanted, "_offset", 0)
        page = [{"resource": self.chart.read(one)} for one in found[offset : offset + count]]
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
        links = {"link": _links(wanted, len(found), count, offset)} if found else {}
        return _answer(200, {**bundle, **links, **({"entry": page} if page else {})})

    async def create(self, request: Request) -> Response:
        check(self.logins, request, "write")
        patient_id = self.chart.create(await _body(request))
        self.plugin.announce(patient_id)
        return _answer(201, None, {"location": f"{request.base_url}Patient/{patient_id}/_history/1"})

    async def read(self, request: Request) -> Response:
        check(self.logins, request, "read")
        return _answer(200, self.chart.read(request.path_params["id"]))

    async def update(self, request: Request) -> Response:
        check(self.logins, request, "write")
        since = request.headers.get("if-unmodified-since")
        self.chart.update(request.path_params["id"], await _body(request), since)
        return _answer(200, None)


class Desk:
    """For whoever plays a user or the operator of Canvas."""

    def __init__(self, chart: Chart, plugin: Plugin) -> None:
        self.chart, self.plugin = chart, plugin

    async def knobs(self, request: Request) -> Response:
        """`{"partner_url","delay",..}`: turned from now on."""
        if request.method == "POST":
            asked = json.decode(await request.body())
            turned: dict[str, Any] = {name: float(one) if name == "delay" else one for name, one in asked.items()}
            self.plugin.knobs = replace(self.plugin.knobs, **turned)
            self.chart.last_updated = self.plugin.knobs.last_updated
        shown = asdict(self.plugin.knobs)
        return JSONResponse({name: value for name, value in shown.items() if not name.endswith("key")})

    async def patients(self, _: Request) -> Response:
        return Response(json.encode([self.chart.read(one) for one in self.chart.held]), media_type="application/json")

    async def create(self, request: Request) -> Response:
        """A user registers a patient: `{"firstName","lastName","dateOfBirth"}`, or a Patient."""
        asked = json.decode(await request.body())
        patient_id = self.chart.create(asked if "resourceType" in asked else _registered(asked))
        await self.plugin.created(patient_id)
        return JSONResponse({"id": patient_id}, 201)

    async def edit(self, request: Request) -> Response:
        """A user's change: elements of the Patient as it is read, null takes one away."""
        asked = json.decode(await request.body())
        self.chart.edit(request.path_params["id"], lambda patient: _set(patient, asked))
        return Response(json.encode(self.chart.read(request.path_params["id"])), media_type="application/json")

    async def event(self, request: Request) -> Response:
        """PATIENT_CREATED once more."""
        await self.plugin.created(request.path_params["id"])
        return JSONResponse({"calls": len(self.plugin.calls), "failures": self.plugin.failures})

    async def calls(self, _: Request) -> Response:
        return Response(json.encode(self.plugin.calls), media_type="application/json")


def _registered(asked: dict[str, Any]) -> Patient:
    name = {"use": "official", "family": asked["lastName"], "given": [asked["firstName"]]}
    sex = [{"url": BIRTH_SEX, "valueCode": "UNK"}]
    patient = {"resourceType": "Patient", "extension": sex, "gender": "unknown", "name": [name]}
    return {**patient, "birthDate": asked.get("dateOfBirth") or "0001-01-01"}


def _set(patient: Patient, asked: dict[str, Any]) -> None:
    for name, value in asked.items():
        patient.pop(name, None)
        if value is not None:
            patient[name] = value


def _number(wanted: dict[str, list[str]], name: str, default: int) -> int:
    text = wanted.get(name, [str(default)])[-1]
    if not text.isdigit():
        raise CanvasError(400, "invalid", "Bad request")
    return int(text)


def _links(wanted: dict[str, list[str]], total: int, count: int, offset: int) -> list[dict[str, str]]:
    """Relative addresses, as Canvas writes them."""
    last = (total - 1) // count * count if count else 0
    places = {"self": offset, "first": 0, "last": last}
    if offset + count < total:
        places["next"] = offset + count
    if offset:
        places["previous"] = max(offset - count, 0)
    kept = [(name, value) for name, values in wanted.items() for value in values if name not in ("_count", "_offset")]
    return [
        {"relation": relation, "url": f"/Patient?{urlencode([*kept, ('_count', count), ('_offset', place)])}"}
        for relation, place in places.items()
    ]


async def _body(request: Request) -> Any:
    media = request.headers.get("content-type", "").partition(";")[0].strip()
    if media not in (MEDIA, "application/json"):
        raise CanvasError(400, "invalid", "Bad request")
    try:
        return json.decode(await request.body())
    except Unparsable:
        raise CanvasError(400, "invalid", "Bad request") from None


def _answer(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(json.encode(body), status, headers or {}, MEDIA)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, CanvasError)
    issue = {"severity": "error", "code": error.code, "details": {"text": error.text}}
    return _answer(error.status, {"resourceType": "OperationOutcome", "issue": [issue]})


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return await _refused(request, CanvasError(405, "not-supported", "Operation is not supported"))
    return await _refused(request, CanvasError(error.status_code, "not-found", "Unknown resource"))


def create(
    *, redirects: Iterable[str] = canvas_login.REDIRECTS, transport: httpx.AsyncBaseTransport | None = None
) -> Sandbox:
    """Canvas without a patient; nobody is told of new ones until `/_knobs` says whom. `transport`: how the partner is
    reached, None = over the network."""
    chart, logins = Chart(), canvas_login.server(redirects)
    plugin = Plugin(chart, transport)
    api, desk = Api(chart, logins, plugin), Desk(chart, plugin)
    routes = [
        Route(PATH, plugin.receive, methods=["POST"]),
        *logins.routes(authorize="/auth/authorize/", token="/auth/token/"),  # noqa: S106 (an address)
        Route("/Patient", api.search, methods=["GET"]),
        Route("/Patient", api.create, methods=["POST"]),
        Route("/Patient/{id}", api.read, methods=["GET"]),
        Route("/Patient/{id}", api.update, methods=["PUT"]),
        Route("/_knobs", desk.knobs, methods=["GET", "POST"]),
        Route("/_patients", desk.patients, methods=["GET"]),
        Route("/_create", desk.create, methods=["POST"]),
        Route("/_edit/{id}", desk.edit, methods=["POST"]),
        Route("/_event/{id}", desk.event, methods=["POST"]),
        Route("/_calls", desk.calls, methods=["GET"]),
    ]
    sandbox = Sandbox(Starlette(routes=routes, exception_handlers={CanvasError: _refused, HTTPException: _unknown}))
    plugin.relay = sandbox.tell
    return sandbox
