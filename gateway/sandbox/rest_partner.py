"""A state's EHR with a REST API of its own making, for mappings: envelopes, cursors, references by id, JSON or XML.

Strict: unknown fields, missing ones and references to nobody are refused; a PUT clears what it leaves out; `externalId`
is unique. Events say their type and are signed by Standard Webhooks.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import httpx
from standardwebhooks.webhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import Unparsable
from gateway.fhir import json
from gateway.sandbox.faults import Relay, Sandbox, at_once

API_KEY = "state-ehr-key"

Model = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A collection: the name of one, the fields it requires and may have, and which of them is a person's id."""

    one: str
    required: tuple[str, ...]
    allowed: tuple[str, ...]
    person: str | None = None


KINDS: Mapping[str, Kind] = {
    "people": Kind("person", ("last", "first"), ("externalId", "dob", "sex", "mobile", "street", "town", "note")),
    "bookings": Kind(
        "booking", ("personId", "startsAt", "state"), ("externalId", "endsAt", "vaccine", "desk"), "personId"
    ),
    "shots": Kind("shot", ("personId", "cvx", "givenOn"), ("externalId", "lot", "vaccineName", "state"), "personId"),
}
SEEDS: Mapping[str, tuple[Model, ...]] = {
    "people": ({"id": "s-1", "last": "Sample", "first": "Ines Maria", "dob": "03/09/1974"},)
}

_LARGEST_PAGE = 50
_DOB = re.compile(r"\d\d/\d\d/\d{4}")


class Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Ehr:
    """What it holds: collection -> id -> model, in the order of their last change."""

    def __init__(self, seeds: Mapping[str, Iterable[Model]], key: str, *, xml: bool) -> None:
        self.key = key
        self.xml = xml
        self.held: dict[str, dict[str, Model]] = {name: {} for name in KINDS}
        self.hook: dict[str, str] = {}
        self.relay: Relay = at_once
        self._made = 0
        self._told = 0
        for name, listed in seeds.items():
            for model in listed:
                self.keep(name, model)

    def keep(self, name: str, model: Model) -> Model:
        item_id = model.get("id") or self._new_id(name)
        self.held[name].pop(item_id, None)
        self._told += 1
        at = datetime(2026, 1, 1, tzinfo=UTC).timestamp() + self._told
        stamp = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
        self.held[name][item_id] = {**model, "id": item_id, "changed": stamp}
        return self.held[name][item_id]

    def check(self, name: str, body: Any, own_id: str | None = None, *, whole: bool = True) -> Model:
        kind = KINDS[name]
        if not isinstance(body, dict):
            raise Refusal(400, f"send a {kind.one}")
        for field in body:
            if field not in (*kind.required, *kind.allowed):
                raise Refusal(422, f"{field} is no field of a {kind.one}")
        missing = [field for field in kind.required if (whole or field in body) and not body.get(field)]
        if missing:
            raise Refusal(422, f"{missing[0]} is required")
        if body.get("dob") and not _DOB.fullmatch(str(body["dob"])):
            raise Refusal(422, "dob is MM/DD/YYYY")
        if kind.person and kind.person in body and body[kind.person] not in self.held["people"]:
            raise Refusal(422, f"{kind.person} is nobody's id")
        self._check_free(name, body, own_id)
        return {field: value for field, value in body.items() if value not in (None, "")}

    def _check_free(self, name: str, body: Model, own_id: str | None) -> None:
        asked = body.get("externalId")
        if asked and any(m["id"] != own_id and m.get("externalId") == asked for m in self.held[name].values()):
            raise Refusal(409, "externalId is in use")

    def get(self, name: str, item_id: str) -> Model:
        if item_id not in self.held[name]:
            raise Refusal(404, f"no such {KINDS[name].one}")
        return self.held[name][item_id]

    async def tell(self, name: str, model: Model, verb: str) -> int:
        """The status that the event was answered with; 0 = nobody asked for it, or nobody answered."""
        if not self.hook:
            return 0
        self._told += 1
        event_id, now = f"e{self._told}", datetime.now(UTC)
        event = {"eventId": event_id, "kind": f"{KINDS[name].one}.{verb}", "model": model}
        body = _xml("event", event) if self.xml else json.encode(event)
        headers = {
            "content-type": "application/xml" if self.xml else "application/json",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
        }
        headers["webhook-signature"] = Webhook(self.hook["secret"]).sign(event_id, now, body.decode())
        sent = await self.relay(lambda: _post(self.hook["url"], body, headers))
        return sent[0] if sent else 0

    def _new_id(self, name: str) -> str:
        self._made += 1
        return f"{name[0]}-{self._made}"


async def _post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """The status, 0 for no answer."""
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            return (await client.post(url, content=body, headers=headers)).status_code
        except httpx.HTTPError:
            return 0


class Api:
    """In XML the same API as a service of an older kind has it."""

    def __init__(self, ehr: Ehr) -> None:
        self.ehr = ehr
        self.xml = ehr.xml

    async def collection(self, request: Request) -> Response:
        return await self._answered(request, self._list if request.method == "GET" else self._create)

    async def item(self, request: Request) -> Response:
        return await self._answered(request, self._read if request.method == "GET" else self._update)

    async def subscribe(self, request: Request) -> Response:
        body = json.decode(await request.body())
        if request.headers.get("x-api-key") != self.ehr.key or not {"url", "events", "secret"} <= body.keys():
            return _json({"error": "url, events and secret are required, and the key"}, 422)
        self.ehr.hook = body
        return _json({"id": "sub-1"}, 201)

    async def edit(self, request: Request) -> Response:
        """`{"set": {..}, "verb": "updated", "tell": true}`: a clerk's change of an item, or a new one of that id."""
        asked, name = json.decode(await request.body()), request.path_params["name"]
        item_id = request.path_params["id"]
        model = self.ehr.keep(name, {**self.ehr.held[name].get(item_id, {}), **asked.get("set", {}), "id": item_id})
        told = await self.ehr.tell(name, model, asked.get("verb", "updated")) if asked.get("tell", True) else 0
        return _json({"model": model, "webhook": told})

    async def held(self, request: Request) -> Response:
        return _json(list(self.ehr.held[request.path_params["name"]].values()))

    async def _answered(self, request: Request, call: Any) -> Response:
        if not hmac.compare_digest(request.headers.get("x-api-key", "").encode(), self.ehr.key.encode()):
            return self._say({"error": "wrong key"}, 401)
        try:
            if (name := request.path_params["name"]) not in KINDS:
                raise Refusal(404, "no such collection")
            found: Response = await call(request, name)
            return found
        except Refusal as refusal:
            return self._say({"error": str(refusal)}, refusal.status)

    async def _list(self, request: Request, name: str) -> Response:
        query = request.query_params
        for parameter in query:
            if parameter not in ("after", "max", "changedSince", "externalId"):
                raise Refusal(400, f"{parameter} is no parameter")
        found = list(self.ehr.held[name].values())
        found = [one for one in found if one["changed"] > query.get("changedSince", "")]
        found = [one for one in found if query.get("externalId") in (None, one.get("externalId"))]
        start = next((at + 1 for at, one in enumerate(found) if one["id"] == query.get("after")), 0)
        page = found[start : start + min(int(query.get("max", _LARGEST_PAGE)), _LARGEST_PAGE)]
        rest = len(found) > start + len(page)
        one = KINDS[name].one
        meta = {"next": page[-1]["id"]} if rest else {}
        return self._say({"data": {one: page} if self.xml else page, "meta": meta})

    async def _read(self, request: Request, name: str) -> Response:
        return self._one(name, self.ehr.get(name, request.path_params["id"]))

    async def _create(self, request: Request, name: str) -> Response:
        return self._one(name, self.ehr.keep(name, self.ehr.check(name, await self._body(request, name))), 201)

    async def _update(self, request: Request, name: str) -> Response:
        item_id = request.path_params["id"]
        held, whole = self.ehr.get(name, item_id), request.method == "PUT"
        body = await self._body(request, name)
        sent = {field: value for field, value in body.items() if not (whole and field in ("id", "changed"))}
        checked = self.ehr.check(name, sent, item_id, whole=whole)
        kept = {} if whole else {field: value for field, value in held.items() if field not in sent}
        return self._one(name, self.ehr.keep(name, {**kept, **checked, "id": item_id}))

    def _one(self, name: str, model: Model, status: int = 200) -> Response:
        return self._say(model if self.xml else {"data": model}, status, root=KINDS[name].one)

    async def _body(self, request: Request, name: str) -> Any:
        raw = await request.body()
        try:
            if not self.xml:
                return json.decode(raw)[KINDS[name].one]
            root = ElementTree.fromstring(raw)  # noqa: S314 (what the gateway sends to a stand-in)
        except (Unparsable, KeyError, TypeError, ElementTree.ParseError):
            raise Refusal(400, f"send a {KINDS[name].one}") from None
        if root.tag != KINDS[name].one:
            raise Refusal(400, f"the root must be {KINDS[name].one}")
        named = {"id": root.get("id")} if root.get("id") else {}
        return {child.tag: (child.text or "").strip() for child in root} | named

    def _say(self, content: Any, status: int = 200, root: str = "answer") -> Response:
        if not self.xml:
            return _json(content, status)
        return Response(_xml(root, content), status, media_type="application/xml")


def _xml(root: str, content: Any) -> bytes:
    element = ElementTree.Element(root)
    _fill(element, content)
    found: bytes = ElementTree.tostring(element)
    return found


def _fill(element: ElementTree.Element, content: Any) -> None:
    for name, value in content.items():
        if name == "id":
            element.set("id", value)
            continue
        for one in value if isinstance(value, list) else [value]:
            child = ElementTree.SubElement(element, name)
            if isinstance(one, dict):
                _fill(child, one)
            else:
                child.text = str(one)


def _json(content: Any, status: int = 200) -> Response:
    return Response(json.encode(content), status, media_type="application/json")


def create(*, seeds: Mapping[str, Iterable[Model]] = SEEDS, key: str = API_KEY, xml: bool = False) -> Sandbox:
    """The EHR with whom it knows from the start."""
    ehr = Ehr(seeds, key, xml=xml)
    api = Api(ehr)
    routes = [
        Route("/api/subscribe", api.subscribe, methods=["POST"]),
        Route("/api/{name}", api.collection, methods=["GET", "POST"]),
        Route("/api/{name}/{id}", api.item, methods=["GET", "PUT", "PATCH"]),
        Route("/_edit/{name}/{id}", api.edit, methods=["POST"]),
        Route("/_held/{name}", api.held, methods=["GET"]),
    ]
    sandbox = Sandbox(Starlette(routes=routes))
    ehr.relay = sandbox.tell
    return sandbox
