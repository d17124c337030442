"""One middleware for every stand-in: what it received (`GET /_log`) and what goes wrong with it (`POST /_faults`)."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Unparsable
from gateway.fhir import json

HTML = "<html><body><h1>Something went wrong</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Faults:
    """The knobs. `times` = for how many calls `delay`, `drop`, `status` and `html` hold, None = until changed;
    `methods` = which calls they hold for, empty = all."""

    down: bool = False
    """Every connection is dropped."""
    delay: float = 0.0
    """Seconds before the call is looked at."""
    drop: Literal["before", "after"] | None = None
    """The connection is dropped before the call has its effect, or after it: the answer is lost."""
    status: int | None = None
    """Answered instead, without effect."""
    html: bool = False
    """The body of such an answer is HTML instead of JSON."""
    retry_after: int | None = None
    methods: tuple[str, ...] = ()
    times: int | None = None
    duplicate_webhooks: bool = False
    """Every webhook is sent twice, as senders that never saw our answer do."""


class Sandbox:
    """An application with a log and knobs around it. `faults` and `log` may be used directly by tests."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.faults = Faults()
        self.log: list[dict[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _read(receive)
        request = Request(scope, _replay(body))
        if scope["path"] in ("/_log", "/_faults"):
            await self._control(request, body)(scope, receive, send)
        elif scope["path"].startswith("/_"):
            await self.app(scope, request.receive, send)  # for whoever plays the system's user: never faulty
        else:
            await self._serve(request, body, send)

    def set(self, **knobs: Any) -> None:
        """All knobs back to normal, then these."""
        self.faults = replace(Faults(), **knobs)

    def _control(self, request: Request, body: bytes) -> Response:
        if request.url.path == "/_log":
            return Response(json.encode(self.log), media_type="application/json")
        if request.method == "POST":
            try:
                knobs = json.decode(body)
                self.set(**{name: _plain(value) for name, value in knobs.items()})
            except (Unparsable, TypeError, AttributeError):
                names = ", ".join(field.name for field in fields(Faults))
                return JSONResponse({"error": f"send an object with any of {names}"}, 400)
        return JSONResponse(asdict(self.faults))

    async def _serve(self, request: Request, body: bytes, send: Send) -> None:
        entry = _entry(request, body)
        if self.faults.down:
            await _drop(send)
            return
        self.log.append(entry)
        fault = self._take(request.method)
        await asyncio.sleep(fault.delay)
        if fault.drop == "before":
            await _drop(send)
        elif fault.status is not None:
            entry["status"] = fault.status
            await _answer(fault)(request.scope, request.receive, send)
        else:
            await self._pass(request, entry, send, lost=fault.drop == "after")

    def _take(self, method: str) -> Faults:
        """The faults of this call; one of `times` is used up."""
        fault = self.faults
        if fault.times == 0 or (fault.methods and method not in fault.methods):
            return Faults()
        if fault.times is not None:
            self.faults = replace(fault, times=fault.times - 1)
        return fault

    async def _pass(self, request: Request, entry: dict[str, Any], send: Send, *, lost: bool) -> None:
        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            if not lost:
                await send(message)

        await self.app(request.scope, request.receive, watch)
        if lost:
            await _drop(send)


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else float(value) if hasattr(value, "as_tuple") else value


def _entry(request: Request, body: bytes) -> dict[str, Any]:
    """A line of the log: the headers that checks ask about (never the key), `status` None until answered."""
    names = ("content-type", "prefer", "if-match")
    headers = {name: request.headers[name] for name in names if name in request.headers}
    call = {"method": request.method, "path": request.url.path, "query": request.url.query}
    return {**call, "headers": headers, "body": _parsed(body), "status": None}


def _parsed(body: bytes) -> Any:
    try:
        return json.decode(body) if body else None
    except Unparsable:
        return None


def _answer(fault: Faults) -> Response:
    headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
    if fault.html:
        return Response(HTML, fault.status or 500, headers, "text/html")
    return JSONResponse({"error": "a fault was asked for"}, fault.status or 500, headers)


async def _drop(send: Send) -> None:
    """Cut the connection without an answer. ASGI has no word for that: uvicorn's `send` is a method of the cycle that
    holds the connection."""
    cycle: Any = send.__self__  # type: ignore[attr-defined]
    cycle.transport.abort()
    while not cycle.disconnected:
        await asyncio.sleep(0)
