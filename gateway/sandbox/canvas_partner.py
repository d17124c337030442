"""A REST partner of the Canvas kind (`/patients/v2`): it holds patients, edits them as its users do, and tells of it by
webhooks signed by Standard Webhooks."""

from __future__ import annotations

import asyncio
import hmac
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
from standardwebhooks.webhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.errors import Unparsable
from gateway.fhir import json
from gateway.sandbox.faults import Relay, Sandbox, at_once

API_KEY = "partner-secret-key"
SEEDS = ({"id": "pat_12345678", "firstName": "Alice", "lastName": "Example", "dateOfBirth": "1980-02-22"},)

_FIELDS = ("externalId", "firstName", "lastName", "dateOfBirth", "sexAtBirth")
_TRIES = 5
_PAUSE = 0.3


class Partner:
    """`names_duplicates`: whether a 409 says under which id it holds the patient; some partners do not."""

    def __init__(self, seeds: Iterable[Mapping[str, Any]], key: str, *, names_duplicates: bool) -> None:
        self.patients = {seed["id"]: dict(seed) for seed in seeds}
        self.key = key
        self.names_duplicates = names_duplicates
        self.webhook: dict[str, str] = {}
        self.relay: Relay = at_once
        self._made = 0

    def find(self, asked: str) -> dict[str, Any] | None:
        """By the caller's id first, then by our own."""
        return self._holder(asked) or self.patients.get(asked)

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self._made += 1
        patient = {"id": f"pat_{self._made}", **_known(body)}
        self.patients[patient["id"]] = patient
        return patient

    def duplicate(self, body: Mapping[str, Any], own_id: str | None) -> dict[str, Any] | None:
        """Another patient who has that externalId already."""
        holder = self._holder(body.get("externalId"))
        return holder if holder and holder["id"] != own_id else None

    def _holder(self, external_id: Any) -> dict[str, Any] | None:
        return next(
            (one for one in self.patients.values() if external_id and one.get("externalId") == external_id), None
        )

    async def tell(self, patient_id: str, data: Mapping[str, Any]) -> list[int]:
        """Send the event; the statuses that it was answered with, 0 for no answer."""
        if not self.webhook:
            return []
        payload = {
            "id": f"evt_{uuid.uuid4().hex}",
            "type": "patient.updated",
            "timestamp": datetime.now(UTC).isoformat(),
        }
        body = json.encode({**payload, "data": {"id": patient_id, **data}})
        return await self.relay(lambda: self._send(payload["id"], body))

    async def _send(self, event_id: str, body: bytes) -> int:
        now = datetime.now(UTC)
        headers = {"webhook-id": event_id, "webhook-timestamp": str(int(now.timestamp()))}
        # standardwebhooks reads the wall-clock fields as UTC.
        headers["webhook-signature"] = Webhook(self.webhook["secret"]).sign(event_id, now, body.decode())
        headers["content-type"] = "application/json"
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(_TRIES):
                try:
                    return (await client.post(self.webhook["url"], content=body, headers=headers)).status_code
                except httpx.HTTPError:
                    await asyncio.sleep(_PAUSE)
        return 0


class Api:
    """The HTTP side: `/patients/v2` for the gateway, `/_edit` and `/_webhook` for whoever plays the partner's user."""

    def __init__(self, partner: Partner) -> None:
        self.partner = partner

    async def read(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        found = self.partner.find(request.path_params["id"])
        return JSONResponse(found) if found else _error(404, "no such patient")

    async def create(self, request: Request) -> Response:
        body = await _body(request)
        if refusal := self._refusal(request) or _faulty(body):
            return refusal
        if not body.get("firstName") or not body.get("lastName"):
            return _error(422, "firstName and lastName are required")
        return self._duplicate(body, None) or JSONResponse(self.partner.create(body), 201)

    async def update(self, request: Request) -> Response:
        body = await _body(request)
        if refusal := self._refusal(request) or _faulty(body):
            return refusal
        patient = self.partner.find(request.path_params["id"])
        if patient is None:
            return _error(404, "no such patient")
        if refusal := self._duplicate(body, patient["id"]):
            return refusal
        patient.update(_known(body))
        return JSONResponse(patient)

    async def edit(self, request: Request) -> Response:
        """`{"set": {..}, "tell": true, "data": {..}}`: a user's change; `data` = beside the id in the event."""
        asked = await _body(request)
        patient = self.partner.patients.get(request.path_params["id"])
        if patient is None or not isinstance(asked, dict):
            return _error(404, "no such patient")
        patient.update(_known(asked.get("set", {})))
        statuses = await self.partner.tell(patient["id"], asked.get("data", {})) if asked.get("tell", True) else []
        return JSONResponse({"patient": patient, "webhooks": statuses})

    async def webhook(self, request: Request) -> Response:
        """`{"url","secret"}`: where events go from now on."""
        self.partner.webhook = await _body(request)
        return Response(status_code=204)

    async def patients(self, _: Request) -> Response:
        return JSONResponse(list(self.partner.patients.values()))

    def _refusal(self, request: Request) -> Response | None:
        presented = request.headers.get("x-api-key", "")
        return None if hmac.compare_digest(presented.encode(), self.partner.key.encode()) else _error(401, "wrong key")

    def _duplicate(self, body: Mapping[str, Any], own_id: str | None) -> Response | None:
        holder = self.partner.duplicate(body, own_id)
        if holder is None:
            return None
        named = {"id": holder["id"]} if self.partner.names_duplicates else {}
        return JSONResponse({"error": "duplicate", **named}, 409)


def _known(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in _FIELDS if name in body}


async def _body(request: Request) -> Any:
    try:
        return json.decode(await request.body())
    except Unparsable:
        return None


def _faulty(body: Any) -> Response | None:
    return None if isinstance(body, dict) else _error(400, "the body must be a JSON object")


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)


def create(*, seeds: Iterable[Mapping[str, Any]] = SEEDS, key: str = API_KEY, names_duplicates: bool = True) -> Sandbox:
    """The partner with the patients it holds from the start."""
    partner = Partner(seeds, key, names_duplicates=names_duplicates)
    api = Api(partner)
    sandbox = Sandbox(
        Starlette(
            routes=[
                Route("/patients/v2", api.create, methods=["POST"]),
                Route("/patients/v2/{id}", api.read, methods=["GET"]),
                Route("/patients/v2/{id}", api.update, methods=["POST", "PATCH"]),
                Route("/_patients", api.patients, methods=["GET"]),
                Route("/_edit/{id}", api.edit, methods=["POST"]),
                Route("/_webhook", api.webhook, methods=["POST"]),
            ]
        )
    )
    partner.relay = sandbox.tell
    return sandbox
