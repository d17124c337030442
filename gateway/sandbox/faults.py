"""One middleware for every stand-in: what it received (`GET /_log`) and what goes wrong with it (`POST /_faults`)."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Unparsable
from gateway.fhir import json
from gateway.sandbox.formats import FORMATS, rewrite

_LONGEST_HOLD = 1.0
"""Seconds that a call waits to be overtaken by the next one."""

Relay = Callable[[Callable[[], Awaitable[int]]], Awaitable[list[int]]]
"""How a stand-in sends a webhook: `Sandbox.tell`, which the knobs hold for, or at once."""


async def at_once(send: Callable[[], Awaitable[int]]) -> list[int]:
    """Once, and now: a stand-in's parts that no sandbox is around."""
    return [await send()]


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
    duplicate: bool = False
    """The call has its effect twice, as when a proxy repeats it."""
    reorder: bool = False
    """The call waits until the next one was answered (at most a second)."""
    stale: bool = False
    """A read is answered as it was before this knob was set, as by a replica that lags."""
    rate: int | None = None
    """Calls that are taken in `rate_seconds`; those above get 429 and Retry-After."""
    rate_seconds: float = 1.0
    expire_tokens: bool = False
    """Every bearer token that was presented so far is refused with 401 from now on."""
    rewrite: tuple[str, ...] = ()
    """Formats in which the system keeps what it is sent: any of phone, case, dates, order."""
    duplicate_webhooks: bool = False
    """Every webhook is sent twice, as senders that never saw our answer do."""
    reorder_webhooks: bool = False
    """A webhook is kept back until the next one was sent."""

    def __post_init__(self) -> None:
        if unknown := set(self.rewrite) - FORMATS.keys():
            raise TypeError(f"unknown formats: {', '.join(sorted(unknown))}")


class Sandbox:
    """An application with a log and knobs around it. `faults` and `log` may be used directly by tests."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.faults = Faults()
        self.log: list[dict[str, Any]] = []
        self._tokens: set[str] = set()
        self._expired: frozenset[str] = frozenset()
        self._answered: dict[tuple[str, str], list[Message]] = {}
        self._replica: dict[tuple[str, str], list[Message]] = {}
        self._taken: deque[float] = deque()
        self._held: asyncio.Event | None = None
        self._kept_back: list[Callable[[], Awaitable[int]]] = []

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
        self._expired = frozenset(self._tokens) if self.faults.expire_tokens else frozenset()
        self._replica = dict(self._answered) if self.faults.stale else {}
        self._taken.clear()

    async def tell(self, send: Callable[[], Awaitable[int]]) -> list[int]:
        """Send a webhook the way the knobs say; the statuses that it was answered with. One that is kept back is sent
        after the next one."""
        if self.faults.reorder_webhooks and not self._kept_back:
            self._kept_back.append(send)
            return []
        sends = [send] * (2 if self.faults.duplicate_webhooks else 1) + self._kept_back
        self._kept_back = []
        return [await one() for one in sends]

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
        refusal = self._refusal(request)
        if refusal is not None:
            entry["status"] = refusal.status_code
            await refusal(request.scope, request.receive, send)
            return
        fault = self._take(request.method)
        await asyncio.sleep(fault.delay)
        if fault.drop == "before":
            await _drop(send)
        elif fault.status is not None:
            entry["status"] = fault.status
            await _answer(fault)(request.scope, request.receive, send)
        else:
            await self._pass(request, body, entry, send, fault)

    def _refusal(self, request: Request) -> Response | None:
        """Too many calls, or a token that has expired."""
        token = request.headers.get("authorization", "")
        if token.lower().startswith("bearer "):
            self._tokens.add(token)
        if token in self._expired:
            return JSONResponse({"error": "the token has expired"}, 401, {"www-authenticate": "Bearer"})
        return self._throttled()

    def _throttled(self) -> Response | None:
        if self.faults.rate is None:
            return None
        now, window = time.monotonic(), self.faults.rate_seconds
        while self._taken and self._taken[0] <= now - window:
            self._taken.popleft()
        if len(self._taken) < self.faults.rate:
            self._taken.append(now)
            return None
        wait = max(1, round(self._taken[0] + window - now))
        return JSONResponse({"error": "too many calls"}, 429, {"retry-after": str(wait)})

    def _take(self, method: str) -> Faults:
        """The faults of this call; one of `times` is used up."""
        fault = self.faults
        if fault.times == 0 or (fault.methods and method not in fault.methods):
            return replace(Faults(), rewrite=fault.rewrite)
        if fault.times is not None:
            self.faults = replace(fault, times=fault.times - 1)
        return fault

    async def _pass(self, request: Request, body: bytes, entry: dict[str, Any], send: Send, fault: Faults) -> None:
        place = (request.url.path, request.url.query)
        if fault.stale and request.method == "GET" and place in self._replica:
            answer = self._replica[place]
        else:
            if fault.reorder:
                await self._be_overtaken()
            for _ in range(2 if fault.duplicate else 1):
                answer = await self._run(request, _rewritten(body, fault.rewrite))
        entry["status"] = answer[0]["status"]
        if request.method == "GET":
            self._answered[place] = answer
        if fault.drop == "after":
            await _drop(send)
            return
        for message in answer:
            await send(message)
        self._let_go()

    async def _run(self, request: Request, body: bytes) -> list[Message]:
        """The application's answer."""
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        scope = dict(request.scope)
        length = (b"content-length", str(len(body)).encode())
        scope["headers"] = [length if pair[0] == length[0] else pair for pair in request.scope["headers"]]
        await self.app(scope, _replay(body), keep)
        return answer

    async def _be_overtaken(self) -> None:
        if self._held is not None:
            return
        held = self._held = asyncio.Event()
        try:
            async with asyncio.timeout(_LONGEST_HOLD):
                await held.wait()
        except TimeoutError:
            pass
        finally:
            self._held = None

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.set()


def _rewritten(body: bytes, formats: tuple[str, ...]) -> bytes:
    """The body in the system's own formats, where it is JSON."""
    if not formats or not body:
        return body
    try:
        return json.encode(rewrite(json.decode(body), formats))
    except Unparsable:
        return body


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
