"""Impilo, API v3, as strict as what is documented of it: patients, webhooks, readings by event.

Control routes for whoever plays the clinic's user: `POST /_edit/{id}`, `/_reading/{kind}`, `/_knobs`, `GET /_patients`.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.errors import Unparsable
from gateway.fhir import json
from gateway.sandbox import impilo_model as model
from gateway.sandbox.faults import Sandbox
from gateway.sandbox.impilo_model import Model, Refusal
from gateway.sandbox.impilo_webhooks import Webhooks

API_KEY = "impilo-sandbox-key"
BASE = "/api/v3"
SEEDS: tuple[Model, ...] = (
    {
        "id": 101,
        "externalIdentifier": "clinic-0001",
        "firstName": "Ines",
        "lastName": "Sample",
        "dateOfBirth": "1974-03-09",
        "email": "ines.sample@example.com",
        "phoneNumber": "555-010-2030",
        "sex": "female",
        "address": {
            "lineOne": "12 Harbour Road",
            "lineTwo": "Flat 3",
            "city": "Springfield",
            "state": "IL",
            "zipCode": "62701",
            "country": "USA",
            "note": "Ring twice",
        },
        "site": {"name": "North Clinic", "active": True, "phoneNumber": "555-010-9999"},
        "archived": False,
        "enrolled": True,
    },
)

_TESTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "weight": ("weight", ("weight",)),
    "blood-pressure": ("bloodPressure", ("systolic", "diastolic", "heartRate")),
    "blood-glucose": ("bloodGlucose", ("bloodGlucose",)),
    "blood-oxygen": ("bloodOxygen", ("bloodOxygen", "heartRate")),
    "temperature": ("temperature", ("temperature",)),
}
"""Of the test events only that of blood pressure is documented; the others are its siblings."""


class Impilo:
    """The data, and the knobs of what the documentation leaves open: `created` = the status of a create, `echo` =
    whether changes made by API are told too, `timestamps` = birth dates shown as `1980-01-01T00:00:00Z`."""

    def __init__(self, seeds: Iterable[Model], key: str) -> None:
        self.patients: dict[int, Model] = {one["id"]: dict(one) for one in seeds}
        self.key = key
        self.webhooks = Webhooks()
        self.created = 201
        self.echo = True
        self.timestamps = False
        self._made = 1000

    def create(self, body: Model) -> Model:
        self._check_free(body, None)
        self._made += 1
        self.patients[self._made] = {"id": self._made, "archived": False, "enrolled": False, **_given(body)}
        return self._changed("patient.created", self._made)

    def update(self, patient_id: int, body: Model, *, whole: bool) -> Model:
        """PUT replaces everything, PATCH what it names; null and what a PUT leaves out are cleared."""
        held = self.get(patient_id)
        self._check_free(body, patient_id)
        cleared = {"archived": False, "enrolled": False} if whole else {k: v for k, v in held.items() if k not in body}
        self.patients[patient_id] = {**cleared, **_given(body), "id": patient_id}
        return self._changed("patient.updated", patient_id)

    def get(self, patient_id: int) -> Model:
        if patient_id not in self.patients:
            raise Refusal(404, "no such patient")
        return self.patients[patient_id]

    def shown(self, patient: Model) -> Model:
        born = patient.get("dateOfBirth")
        return {**patient, "dateOfBirth": f"{born}T00:00:00Z"} if born and self.timestamps else dict(patient)

    def edit(self, patient_id: int, fields: Model) -> None:
        """A user's change, null clears."""
        kept = {name: value for name, value in self.get(patient_id).items() if name not in fields}
        self.patients[patient_id] = kept | _given(fields)

    def reading(self, values: Model) -> Model:
        """A reading's payload, as its webhook carries it."""
        self._made += 1
        patient = self.shown(self.get(int(values["patientId"])))
        at = values.get("readingTimestamp") or datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        named = {name: value for name, value in values.items() if name not in ("patientId", "readingTimestamp")}
        around = {"item": {}, "device": {"id": 31, "serialNumber": "SN-31"}, "site": patient.get("site") or {}}
        return {"id": self._made, "readingTimestamp": at, "manual": False, "patient": patient, **around, **named}

    def _changed(self, kind: str, patient_id: int) -> Model:
        patient = self.shown(self.patients[patient_id])
        if self.echo:
            self.webhooks.fire(kind, patient)
        return patient

    def _check_free(self, body: Model, own_id: int | None) -> None:
        asked = body.get("externalIdentifier")
        holders = [one for one in self.patients.values() if asked and one.get("externalIdentifier") == asked]
        if any(one["id"] != own_id for one in holders):
            raise Refusal(409, "externalIdentifier is in use")


def _given(body: Mapping[str, Any]) -> Model:
    return {name: value for name, value in body.items() if value is not None}


class Api:
    """The documented calls, each behind the key."""

    def __init__(self, impilo: Impilo) -> None:
        self.impilo = impilo
        self.webhooks = impilo.webhooks

    async def list_patients(self, request: Request) -> Response:
        found = model.select(self.impilo.patients.values(), request.query_params)
        page = model.page_of(found, request.query_params)
        return JSONResponse({**page, "content": [self.impilo.shown(one) for one in page["content"]]})

    async def create_patient(self, request: Request) -> Response:
        return _json(self.impilo.create(model.check(await _body(request))), self.impilo.created)

    async def read_patient(self, request: Request) -> Response:
        return _json(self.impilo.shown(self.impilo.get(_id(request))))

    async def by_identifier(self, request: Request) -> Response:
        asked = request.path_params["identifier"]
        found = [one for one in self.impilo.patients.values() if one.get("externalIdentifier") == asked]
        if not found:
            raise Refusal(404, "no such patient")
        return _json(self.impilo.shown(found[0]))

    async def update_patient(self, request: Request) -> Response:
        body = model.check(await _body(request))
        return _json(self.impilo.update(_id(request), body, whole=request.method == "PUT"))

    async def list_webhooks(self, request: Request) -> Response:
        return _json(model.page_of(list(self.webhooks.subscriptions.values()), request.query_params))

    async def create_webhook(self, request: Request) -> Response:
        return _json(self.webhooks.subscribe(await _body(request)))

    async def change_webhook(self, request: Request) -> Response:
        return _json(self.webhooks.change(_id(request), await _body(request)))

    async def delete_webhook(self, request: Request) -> Response:
        self.webhooks.drop(_id(request))
        return Response(status_code=204)

    async def create_secret(self, request: Request) -> Response:
        return _json(self.webhooks.keep_secret(await _body(request)))

    async def logs(self, request: Request) -> Response:
        return _json(model.page_of(self.webhooks.logged(request.query_params), request.query_params))

    async def test_event(self, request: Request) -> Response:
        kind, fields = _test(request.path_params["name"])
        body = await _body(request)
        allowed = {"patientId", *fields}
        if not isinstance(body, dict) or not body.keys() <= allowed or "patientId" not in body:
            raise Refusal(400, f"patientId is required, and only {', '.join(sorted(allowed))} are allowed")
        self.webhooks.fire(f"reading.{kind}", self.impilo.reading(body))
        return Response(status_code=200)

    def behind_key(self, call: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            presented = request.headers.get("impilo-api-key", "")
            if not hmac.compare_digest(presented.encode(), self.impilo.key.encode()):
                return _error(401, "wrong or missing key")
            return await _answered(call, request)

        return guarded


class Control:
    """For whoever plays the clinic's user."""

    def __init__(self, impilo: Impilo) -> None:
        self.impilo = impilo

    async def patients(self, _: Request) -> Response:
        return _json(list(self.impilo.patients.values()))

    async def edit(self, request: Request) -> Response:
        """`{"set": {..}, "tell": true}`: a change in the portal, and its event."""
        asked = await _body(request)
        self.impilo.edit(_id(request), asked.get("set", {}))
        patient = self.impilo.shown(self.impilo.get(_id(request)))
        fired = self.impilo.webhooks.fire("patient.updated", patient) if asked.get("tell", True) else []
        return _json({"patient": patient, "webhooks": await asyncio.gather(*fired)})

    async def reading(self, request: Request) -> Response:
        """`{"patientId": 101, "weight": 71.2}`: a device or a person measured something."""
        kind = request.path_params["kind"]
        payload = self.impilo.reading(await _body(request))
        fired = self.impilo.webhooks.fire(f"reading.{kind}", payload)
        return _json({"reading": payload, "webhooks": await asyncio.gather(*fired)})

    async def knobs(self, request: Request) -> Response:
        """`{"envelope": "seed", "retries": [0.1], "created": 200, "echo": false, "timestamps": true}`."""
        asked = await _body(request)
        for name in ("created", "echo", "timestamps"):
            setattr(self.impilo, name, asked.get(name, getattr(self.impilo, name)))
        hooks = self.impilo.webhooks
        hooks.envelope = asked.get("envelope", hooks.envelope)
        hooks.retries = tuple(float(wait) for wait in asked.get("retries", hooks.retries))
        return Response(status_code=204)


async def _answered(call: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    try:
        return await call(request)
    except Refusal as refusal:
        return _error(refusal.status, refusal.message)
    except ValueError:
        return _error(400, "a parameter or an id is no number")


def _json(content: Any, status: int = 200) -> Response:
    return Response(json.encode(content), status, media_type="application/json")


def _error(status: int, message: str) -> Response:
    reason = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 409: "Conflict"}[status]
    return JSONResponse({"status": status, "error": reason, "message": message}, status)


async def _body(request: Request) -> Any:
    try:
        return json.decode(await request.body())
    except Unparsable:
        raise Refusal(400, "the body must be JSON") from None


def _id(request: Request) -> int:
    try:
        return int(request.path_params["id"])
    except ValueError:
        raise Refusal(400, "the id must be a number") from None


def _test(name: str) -> tuple[str, tuple[str, ...]]:
    kind = name.removesuffix("-webhook")
    if kind == name or kind not in _TESTS:
        raise Refusal(404, "no such test event")
    return _TESTS[kind]


def _routes(api: Api) -> Iterable[Route]:
    calls: tuple[tuple[str, str, Callable[[Request], Awaitable[Response]]], ...] = (
        ("GET", "/patient", api.list_patients),
        ("POST", "/patient", api.create_patient),
        ("GET", "/patient/identifier/{identifier}", api.by_identifier),
        ("GET", "/patient/{id}", api.read_patient),
        ("PUT", "/patient/{id}", api.update_patient),
        ("PATCH", "/patient/{id}", api.update_patient),
        ("GET", "/webhook", api.list_webhooks),
        ("POST", "/webhook", api.create_webhook),
        ("GET", "/webhook/logs", api.logs),
        ("PATCH", "/webhook/{id}", api.change_webhook),
        ("DELETE", "/webhook/{id}", api.delete_webhook),
        ("POST", "/webhook-secret", api.create_secret),
        ("POST", "/test/{name}", api.test_event),
    )
    for method, path, call in calls:
        yield Route(f"{BASE}{path}", api.behind_key(call), methods=[method])


def create(*, seeds: Iterable[Model] = SEEDS, key: str = API_KEY) -> Sandbox:
    """Impilo with the patients it holds from the start."""
    impilo = Impilo(seeds, key)
    control = Control(impilo)
    sandbox = Sandbox(
        Starlette(
            routes=[
                *_routes(Api(impilo)),
                Route("/_patients", control.patients, methods=["GET"]),
                Route("/_edit/{id}", control.edit, methods=["POST"]),
                Route("/_reading/{kind}", control.reading, methods=["POST"]),
                Route("/_knobs", control.knobs, methods=["POST"]),
            ]
        )
    )
    impilo.webhooks.faults = lambda: sandbox.faults
    return sandbox
