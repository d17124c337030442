"""Metriport as its sandbox behaves: Medical API, webhooks, short-lived addresses, the five personas (metriport.md).

Beside its API, for whoever plays its user or its dashboard: `POST /_events/{admit|transfer|discharge}/{patient}`,
`POST /_message/{patient}`, `POST /_edit/{patient}` (a user's change), and `POST /_knobs` with any of `ahead` (seconds
that its clock is ahead), `pace`, `closed` (sources), `patientLimit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.errors import Unparsable
from gateway.fhir import json
from gateway.sandbox import metriport_personas as personas
from gateway.sandbox.faults import Sandbox
from gateway.sandbox.metriport_access import Access
from gateway.sandbox.metriport_account import FACILITY, Account
from gateway.sandbox.metriport_data import Data
from gateway.sandbox.metriport_http import Asked, Handler, Limit, Refusal, Said, endpoint, invalid, page
from gateway.sandbox.metriport_papers import Papers

API_KEY = "metriport-sandbox-key"
FACILITY_ID = str(FACILITY["id"])

_M = "/medical/v1"
_ADMIT, _MOVED, _LEFT = "2025-01-28T23:00:00.000Z", "2025-01-29T15:45:00.000Z", "2025-01-30T23:00:00.000Z"
_EVENT_SECONDS = 600
_NETWORK = (
    ("1", "Alder Health Network", "OH", "43999"),
    ("2", "Hollin Reach Partners", "DE", "19999"),
    ("3", "Larkfield Exchange", "OH", "43998"),
)


class Metriport:
    """One account and everything it can ask."""

    def __init__(self, key: str, patient_limit: int) -> None:
        self.key = key
        self.account = Account(patient_limit)
        self.data = Data(self.account)
        self.papers = Papers(self.account)
        self.access = Access(self.data)

    # --- settings, events, network entries ----------------------------------------------------------------------------

    def settings(self, asked: Asked) -> Any:
        hooks = self.account.hooks
        if asked.body is not None:
            url = asked.object().get("webhookUrl")
            if not isinstance(url, str) or (url and not url.startswith(("http://", "https://"))):
                raise invalid(("Invalid url", "webhookUrl"))
            hooks.set(url)
        return hooks.settings()

    def hook_status(self, _: Asked) -> Any:
        hooks = self.account.hooks
        return hooks.status() if hooks.url or hooks.sent else Said(None)

    def hook_retry(self, _: Asked) -> Said:
        self.account.hooks.retry()
        return Said(None)

    def network_entries(self, asked: Asked) -> dict[str, Any]:
        arc = "2.25.59778615075790855151715354782056170808.22"
        rows = [
            {
                "id": f"{arc}.{number}",
                "name": name,
                "rootOrganization": "Alder Health",
                "managingOrgId": f"{arc}.0",
                "state": state,
                "zip": code,
            }
            for number, name, state, code in _NETWORK
        ]
        wanted = asked.query.get("filter", "").lower()
        meta, shown = page(asked, [one for one in rows if wanted in " ".join(one.values()).lower()])
        return {"meta": meta, "networkEntries": shown}

    # --- for whoever plays its user -----------------------------------------------------------------------------------

    async def play_event(self, request: Request) -> Response:
        """The dashboard's button: a hospital tells of this patient."""
        event, patient = request.path_params["event"], self.account.patients.get(request.path_params["id"])
        if patient is None or event not in ("admit", "transfer", "discharge"):
            return JSONResponse({"error": "no such event or patient"}, 404)
        entries = personas.encounter(patient, event, {"admit": _ADMIT, "discharge": _LEFT})
        listed = [{"resource": one} for one in entries]
        bundle = {"resourceType": "Bundle", "type": "message", "timestamp": _LEFT, "entry": listed}
        base = str(request.base_url).rstrip("/")
        url = self.account.storage.url(base, json.encode(bundle), "application/json", _EVENT_SECONDS)
        sent_at = {"admit": _ADMIT, "transfer": _MOVED, "discharge": _LEFT}[event]
        payload = {"url": url, **self.account.names(patient), "whenSourceSent": sent_at, "admitTimestamp": _ADMIT}
        sent = self.account.hooks.tell(f"patient.{event}", {"payload": payload | _times(event)})
        return Response(sent.body, media_type="application/json")

    async def play_message(self, request: Request) -> Response:
        patient, asked = self.account.patients.get(request.path_params["id"]), await _json(request)
        if patient is None:
            return JSONResponse({"error": "no such patient"}, 404)
        base = str(request.base_url).rstrip("/")
        made = self.papers.receive(patient, asked.get("subject", "Reply"), asked.get("body", "Thank you."), base)
        return JSONResponse(made)

    async def play_edit(self, request: Request) -> Response:
        """A user of the dashboard changes somebody; no event is told."""
        patient, asked = self.account.patients.get(request.path_params["id"]), await _json(request)
        if patient is None:
            return JSONResponse({"error": "no such patient"}, 404)
        patient.update(asked)
        patient["eTag"] = f"edited-{patient['eTag']}"[:60]
        return JSONResponse(patient)

    async def knobs(self, request: Request) -> Response:
        asked = await _json(request)
        self.account.clock.ahead = float(asked.get("ahead", self.account.clock.ahead))
        self.data.pace = float(asked.get("pace", self.data.pace))
        self.data.closed = set(asked.get("closed", self.data.closed))
        self.account.patient_limit = int(asked.get("patientLimit", self.account.patient_limit))
        return JSONResponse({"ahead": self.account.clock.ahead, "closed": sorted(self.data.closed)})

    async def webhooks(self, _: Request) -> Response:
        """What was sent: type, state, tries, body."""
        sent = self.account.hooks.sent
        return JSONResponse([[one.type, one.state, one.tries, one.body.decode()] for one in sent])

    # --- routes -------------------------------------------------------------------------------------------------------

    def routes(self) -> list[Route]:
        served = [self._route(*row) for row in self._table()]
        storage = self.account.storage.serve
        played: tuple[tuple[str, Callable[..., Any], list[str]], ...] = (
            ("/storage/{token}", storage, ["GET", "PUT"]),
            ("/ias/s/{session}", self.access.prove, ["GET"]),
            ("/ias/aal2/{challenge}", self.access.verify, ["GET"]),
            ("/_events/{event}/{id}", self.play_event, ["POST"]),
            ("/_message/{id}", self.play_message, ["POST"]),
            ("/_edit/{id}", self.play_edit, ["POST"]),
            ("/_knobs", self.knobs, ["POST"]),
            ("/_webhooks", self.webhooks, ["GET"]),
        )
        return [*served, *(Route(path, handler, methods=methods) for path, handler, methods in played)]

    def _route(self, methods: str, path: str, handler: Handler, limit: Limit | None = None) -> Route:
        return Route(path, endpoint(handler, self.key, limit), methods=methods.split())

    def _table(self) -> list[tuple[Any, ...]]:
        account, data, papers, access = self.account, self.data, self.papers, self.access
        people = Limit(15, "patient creates or updates", account.clock)
        documents = Limit(20, "document queries", account.clock)
        consolidated = Limit(120, "consolidated queries", account.clock)
        one = f"{_M}/patient/{{id}}"
        return [
            ("POST", f"{_M}/patient", account.create, people),
            ("GET", f"{_M}/patient", account.listed),
            ("POST", f"{_M}/patient/match", account.match),
            ("GET", f"{_M}/patient/external-id", account.by_external_id),
            ("POST", f"{_M}/patient/bulk", account.bulk),
            ("GET", f"{_M}/patient/bulk/{{request}}", account.bulk_status),
            ("PUT", one, account.update, people),
            ("GET", one, account.read),
            ("DELETE", one, account.delete),
            ("PUT", f"{one}/hie-opt-out", account.opt_out),
            ("POST", f"{one}/external/sync", account.sync_external),
            ("POST GET", f"{one}/facility", account.patient_facilities),
            ("POST", f"{one}/consolidated/query", data.start, consolidated),
            ("GET", f"{one}/consolidated/query", data.listed),
            ("GET", f"{one}/consolidated/query/{{request}}", data.one),
            ("GET", f"{one}/consolidated/count", data.count),
            ("GET", f"{one}/consolidated", data.bundle),
            ("GET", f"{one}/consolidated/search", data.search),
            ("PUT POST", f"{one}/consolidated", data.contribute),
            ("GET", f"{one}/medical-record", data.summary),
            ("GET", f"{one}/medical-record-status", data.summary_status),
            ("POST", f"{_M}/network/query", data.query),
            ("GET", f"{_M}/network/query/{{request}}", data.network),
            ("GET", f"{_M}/network-entry", self.network_entries),
            ("POST", f"{_M}/document/query", papers.start, documents),
            ("GET", f"{_M}/document/query", papers.progress),
            ("GET", f"{_M}/document", papers.listed),
            ("GET", f"{_M}/document/download-url", papers.download),
            ("POST", f"{_M}/document/download-url/bulk", papers.bulk),
            ("POST", f"{_M}/document/upload", papers.upload),
            ("POST", f"{_M}/message", papers.send),
            ("GET", f"{_M}/message", papers.messages_listed),
            ("GET", f"{_M}/message/destination", papers.destinations),
            ("GET", f"{_M}/message/{{id}}", papers.message),
            ("POST", f"{_M}/identity/session", access.session),
            ("POST", f"{_M}/identity/aal2/challenge", access.challenge),
            ("POST", f"{_M}/token/embed", access.token),
            ("POST PUT", f"{_M}/organization", account.put_organization),
            ("GET", f"{_M}/organization", account.get_organization),
            ("POST", f"{_M}/facility", account.create_facility),
            ("GET", f"{_M}/facility", account.facilities_listed),
            ("GET PUT", f"{_M}/facility/{{id}}", account.one_facility),
            ("DELETE", f"{_M}/facility/{{id}}", account.remove_facility),
            *(
                row
                for root in ("", _M)
                for row in (
                    ("GET POST", f"{root}/settings", self.settings),
                    ("GET", f"{root}/settings/webhook", self.hook_status),
                    ("POST", f"{root}/settings/webhook/retry", self.hook_retry),
                )
            ),
        ]


def _times(event: str) -> dict[str, Any]:
    moves: Any = [
        {
            "timestamp": _MOVED,
            "sourceLocation": {"name": "Emergency Department", "type": "department"},
            "destinationLocation": {"name": "General Medical Ward", "type": "unit"},
        }
    ]
    told: dict[str, dict[str, Any]] = {"transfer": {"transfers": moves}, "discharge": {"dischargeTimestamp": _LEFT}}
    return told.get(event, {})


async def _json(request: Request) -> dict[str, Any]:
    try:
        found = json.decode(await request.body() or b"{}")
    except Unparsable:
        return {}
    return found if isinstance(found, dict) else {}


async def _lost(request: Request, _: Exception) -> Response:
    """No such address, or none by that method: Express knows no 405."""
    refusal = Refusal(404, f"Could not find {request.method} {request.url.path}")
    return JSONResponse(refusal.body, 404)


def create(*, key: str = API_KEY, patient_limit: int = 100) -> Sandbox:
    """The sandbox of one account, with one facility and nobody in it."""
    metriport = Metriport(key, patient_limit)
    sandbox = Sandbox(Starlette(routes=metriport.routes(), exception_handlers={404: _lost, 405: _lost}))
    metriport.account.hooks.relay = sandbox.tell
    return sandbox
