"""The plugin `example_patient_sync` of the stand-in Canvas: partners' patients in, PATIENT_CREATED out.

Source: canvas.md, surfaces A and B. It behaves as intended; `strict_example` brings back what the published example
does wrong, as far as that can be run at all.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.errors import Unparsable
from gateway.fhir import json
from gateway.sandbox.canvas_chart import BIRTH_SEX, Chart
from gateway.sandbox.faults import Relay, at_once

PATH = "/plugin-io/api/example_patient_sync/patients"
KEY = "canvas-plugin-key"
PARTNER_KEY = "partner-secret-key"
PARTNER_SYSTEM = "https://partner.example"
TIMEOUT = 30.0

_SEX = {"F": "F", "FEMALE": "F", "M": "M", "MALE": "M", "O": "OTH", "OTHER": "OTH", "U": "UNK", "UNKNOWN": "UNK"}
_GENDER = {"F": "female", "M": "male", "OTH": "other", "UNK": "unknown"}


@dataclass
class Knobs:
    """What an operator of the stand-in may turn; the first four are the plugin's secrets.

    `partner_url` "" = nobody is told. `delay` seconds from A's answer to the patient. `event_first`: the event is
    sent, and answered, before A answers. `events`: how often each event is sent, 0 = it is lost.
    """

    key: str = KEY
    partner_system: str = PARTNER_SYSTEM
    partner_url: str = ""
    partner_key: str = PARTNER_KEY
    delay: float = 0.05
    event_first: bool = False
    events: int = 1
    lost: bool = False
    """A answers 202, but the effect never happens."""
    strict_example: bool = False
    last_updated: bool = False


@dataclass
class Plugin:
    """`calls`: what B sent, with the status it was answered. `failures`: why a handler of the example stopped.
    `transport`: how the partner is reached, None = over the network."""

    chart: Chart
    transport: httpx.AsyncBaseTransport | None = None
    knobs: Knobs = field(default_factory=Knobs)
    calls: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    relay: Relay = at_once
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def receive(self, request: Request) -> Response:
        """Surface A: 202 before there is a patient."""
        presented = request.headers.get("authorization", "")
        if not hmac.compare_digest(presented.encode(), self.knobs.key.encode()):
            return JSONResponse({"error": "Provided credentials are invalid"}, 401)
        body = await _object(request)
        if body is None:
            return JSONResponse("Invalid JSON body.", 400)
        try:
            asked = _asked(body)
        except ValueError:
            return Response("<html><body>Internal Server Error</body></html>", 500, media_type="text/html")
        if self.knobs.event_first:
            await self._take(asked, 0)
        elif not self.knobs.lost:
            self._start(self._take(asked, self.knobs.delay))
        external = {"system": self.knobs.partner_system, "value": asked["partnerId"]}
        return JSONResponse({"external_identifier": external}, 202)

    def announce(self, patient_id: str) -> None:
        """PATIENT_CREATED after the answer to whoever created her by FHIR."""
        self._start(self.created(patient_id))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, asked: Mapping[str, Any], delay: float) -> None:
        await asyncio.sleep(delay)
        await self.created(self._made(asked))

    def _made(self, asked: Mapping[str, Any]) -> str:
        sex = asked["sex"] or "UNK"
        body = {
            "resourceType": "Patient",
            "extension": [{"url": BIRTH_SEX, "valueCode": sex}],
            "gender": _GENDER[sex],
            "name": [{"use": "official", "family": asked["lastName"], "given": [asked["firstName"]]}],
            "birthDate": asked["dateOfBirth"] or "0001-01-01",
            "identifier": [{"system": self.knobs.partner_system, "value": asked["partnerId"]}],
        }
        return self.chart.create(body)

    async def created(self, patient_id: str) -> None:
        """Surface B: PATIENT_CREATED, as often as the knob says."""
        for _ in range(self.knobs.events if self.knobs.partner_url else 0):
            await self.relay(lambda: self._handled(patient_id))

    async def _handled(self, patient_id: str) -> int:
        try:
            await self._tell(patient_id)
        except (httpx.HTTPError, ValueError, AttributeError) as error:
            self.failures.append(type(error).__name__)
        return int(self.calls[-1]["status"]) if self.calls else 0

    async def _tell(self, patient_id: str) -> None:
        known = self.chart.external(patient_id, self.knobs.partner_system)
        partner_id = known or await self._ask(patient_id)
        path = f"/patients/v2/{partner_id}" if partner_id else "/patients/v2"
        answer = await self._call("POST", path, self._body(patient_id))
        body = answer.json() if self.knobs.strict_example else _json(answer)
        if answer.status_code == 409:
            return
        if known is None:
            self._keep(patient_id, partner_id or self._answered_id(answer, body))

    def _body(self, patient_id: str) -> dict[str, Any]:
        patient = self.chart.read(patient_id)
        official = next(name for name in patient["name"] if name["use"] == "official")
        born = patient["birthDate"]
        if self.knobs.strict_example:
            born = date.fromisoformat(born).isoformat() if born != "0001-01-01" else None.isoformat()  # type: ignore[attr-defined]
        told = {"externalId": patient_id, "firstName": official["given"][0], "lastName": official["family"]}
        return told | ({"dateOfBirth": born} if born != "0001-01-01" else {})

    def _answered_id(self, answer: httpx.Response, body: Any) -> str | None:
        """The published example takes `id` of whatever it was answered, an error too: the text "None"."""
        found = body.get("id") if isinstance(body, dict) else None
        if self.knobs.strict_example:
            return str(found)
        return str(found) if found is not None and answer.is_success else None

    def _keep(self, patient_id: str, partner_id: str | None) -> None:
        if partner_id is not None:
            self.chart.add_identifier(patient_id, self.knobs.partner_system, partner_id)

    async def _ask(self, patient_id: str) -> str | None:
        answer = await self._call("GET", f"/patients/v2/{patient_id}")
        body = _json(answer)
        return str(body["id"]) if answer.status_code == 200 and isinstance(body, dict) and "id" in body else None

    async def _call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"X-API-Key": self.knobs.partner_key}
        async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT, transport=self.transport) as client:
            answer = await client.request(method, self.knobs.partner_url + path, json=body, headers=headers)
        self.calls.append({"method": method, "path": path, "body": body, "status": answer.status_code})
        return answer


async def _object(request: Request) -> dict[str, Any] | None:
    try:
        body = json.decode(await request.body())
    except Unparsable:
        return None
    return body if isinstance(body, dict) else None


def _asked(body: Mapping[str, Any]) -> dict[str, Any]:
    """As Python reads it: what is absent is the text "None". Raises ValueError for a date that is none."""
    names = {name: str(body.get(name)) for name in ("firstName", "lastName", "partnerId")}
    sex = _SEX.get(str(body["sexAtBirth"]).strip().upper()) if body.get("sexAtBirth") else None
    return {**names, "sex": sex, "dateOfBirth": _date(body.get("dateOfBirth"))}


def _date(value: Any) -> str | None:
    """A part of a date is the first of it, and a time after it is dropped, as arrow reads it."""
    if not value:
        return None
    day, _, time = re.sub(r"[ T]", "T", str(value), count=1).partition("T")
    form = next((form for shape, form in _DATES if re.fullmatch(shape, day, re.ASCII)), None)
    if form is None or (time and not _TIME.fullmatch(time)):
        raise ValueError("not a date")
    return datetime.strptime(re.sub(r"[/.]", "-", day), form).replace(tzinfo=UTC).date().isoformat()


_DATES = (
    (r"\d{4}([-/.])\d\d?\1\d\d?", "%Y-%m-%d"),
    (r"\d{4}[-/.]\d\d", "%Y-%m"),
    (r"\d{4}-\d{3}", "%Y-%j"),
    (r"\d{8}", "%Y%m%d"),
    (r"\d{7}", "%Y%j"),
    (r"\d{4}", "%Y"),
)
_TIME = re.compile(r"\d\d(:?\d\d(:?\d\d([.,]\d+)?)?)?(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII)


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
