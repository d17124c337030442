"""How Metriport's API speaks: keys, errors, limits, pages - and addresses that die (metriport.md, "Base, auth,
conventions")."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import Unparsable
from gateway.fhir import json

NAMES = {
    400: ("BAD_REQUEST", "BadRequestError"),
    401: ("UNAUTHORIZED", "UnauthorizedError"),
    403: ("FORBIDDEN", "ForbiddenError"),
    404: ("NOT_FOUND", "NotFoundError"),
    409: ("CONFLICT", "ConflictError"),
    412: ("PRECONDITION_FAILED", "VersionMismatchError"),
    413: ("PAYLOAD_TOO_LARGE", "PayloadTooLargeError"),
}
_INVALID = "Missing or invalid parameters"
_WINDOW = 60
_PAGE, _LARGEST_PAGE = 50, 500


class Refusal(Exception):
    """An error as they answer it: RFC 7807-like, `application/json`."""

    def __init__(self, status: int, detail: str, *, title: str | None = None, body: Any = None) -> None:
        super().__init__(detail)
        name, usual = NAMES[status]
        self.status = status
        self.body = body or {"status": status, "name": name, "title": title or usual, "detail": detail}


def invalid(*problems: tuple[str, str]) -> Refusal:
    """(message, path): a validation error."""
    return Refusal(400, ", ".join(f"{message}, on [{path}]" for message, path in problems), title=_INVALID)


def missing(what: str) -> Refusal:
    return Refusal(404, f"Could not find {what}")


@dataclass(slots=True)
class Clock:
    """Their time; tests move it forward to see addresses and windows end."""

    ahead: float = 0.0

    def now(self) -> float:
        return time.time() + self.ahead


@dataclass(slots=True)
class Limit:
    """A fixed window of one minute for one operation of the account (express-rate-limit, standard headers)."""

    most: int
    what: str
    clock: Clock
    _window: int = 0
    _used: int = 0

    def take(self) -> tuple[dict[str, str], str | None]:
        """The headers of the answer, and what to say when it is too much."""
        now = int(self.clock.now())
        if now // _WINDOW != self._window:
            self._window, self._used = now // _WINDOW, 0
        self._used += 1
        reset = str(_WINDOW - now % _WINDOW)
        left = str(max(0, self.most - self._used))
        headers = {"RateLimit-Limit": str(self.most), "RateLimit-Remaining": left, "RateLimit-Reset": reset}
        if self._used <= self.most:
            return headers, None
        return {**headers, "Retry-After": reset}, f"Too many {self.what}, please try again later."


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the handlers see it. `base` = how the caller reached us, for absolute addresses."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    base: str
    at: str = ""
    body: Any = None
    raw: bytes = b""

    def need(self, name: str) -> str:
        """A query parameter that must be there."""
        if not self.query.get(name):
            raise invalid(("Required", f"query,{name}"))
        return self.query[name]

    def object(self) -> dict[str, Any]:
        if not isinstance(self.body, dict):
            raise invalid(("Expected object", ""))
        return self.body

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() == "true"


@dataclass(frozen=True, slots=True)
class Said:
    """What a handler answers beside plain JSON with 200."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Asked], Any]


def answered(said: Any, more: Mapping[str, str]) -> Response:
    """JSON, or nothing at all where the contract says so."""
    found = said if isinstance(said, Said) else Said(said)
    content = b"" if found.body is None else json.encode(found.body)
    return Response(content, found.status, {**more, **found.headers}, media_type="application/json")


def endpoint(handler: Handler, key: str, limit: Limit | None = None) -> Callable[[Request], Awaitable[Response]]:
    """A route: key, limit, JSON, then the handler."""

    async def serve(request: Request) -> Response:
        headers: dict[str, str] = {}
        try:
            if not hmac.compare_digest(request.headers.get("x-api-key", "").encode(), key.encode()):
                raise Refusal(401, "Missing or invalid API key")
            if limit is not None:
                headers, stop = limit.take()
                if stop is not None:
                    return Response(stop, 429, headers, media_type="text/plain")
            return answered(handler(await _asked(request)), headers)
        except Refusal as refusal:
            return Response(json.encode(refusal.body), refusal.status, headers, media_type="application/json")

    return serve


async def _asked(request: Request) -> Asked:
    raw = await request.body()
    try:
        body = json.decode(raw) if raw else None
    except Unparsable:
        raise Refusal(400, "The body is not JSON") from None
    base = str(request.base_url).rstrip("/")
    return Asked(request.path_params, dict(request.query_params), request.headers, base, request.url.path, body, raw)


def page(asked: Asked, rows: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """`meta` and the rows of the page: `count`, `fromItem`, `toItem`, any two."""
    first, last, count = asked.query.get("fromItem"), asked.query.get("toItem"), _count(asked)
    if first and last and "count" in asked.query:
        raise invalid(("Only two of count, fromItem, toItem may be used", "query"))
    ids = [row["id"] for row in rows]
    start = _at(ids, first, "fromItem") if first else 0
    end = _at(ids, last, "toItem") + 1 if last else len(ids)
    if last and not first:
        start = max(0, end - count)
    elif not last:
        end = min(end, start + count)
    meta: dict[str, Any] = {"itemsOnPage": end - start}
    if start == 0:
        meta["itemsInTotal"] = len(ids)
    else:
        meta["prevPage"] = _link(asked, toItem=ids[start - 1], count=str(count))
    if end < len(ids):
        meta["nextPage"] = _link(asked, fromItem=ids[end], count=str(count))
    return meta, list(rows[start:end])


def _count(asked: Asked) -> int:
    text = asked.query.get("count", str(_PAGE))
    if not text.isdigit() or not 0 < int(text) <= _LARGEST_PAGE:
        raise invalid((f"Must be between 1 and {_LARGEST_PAGE}", "query,count"))
    return int(text)


def _at(ids: Sequence[str], wanted: str, name: str) -> int:
    if wanted not in ids:
        raise invalid(("Invalid item", f"query,{name}"))
    return ids.index(wanted)


def _link(asked: Asked, **more: str) -> str:
    kept = {name: value for name, value in asked.query.items() if name not in ("fromItem", "toItem", "count")}
    return f"{asked.base}{asked.at}?{urlencode({**kept, **more})}"


@dataclass(frozen=True, slots=True)
class Stored:
    """A file behind an address that dies. `put` = an upload is expected there instead."""

    media: str
    data: bytes
    until: float
    put: Callable[[bytes, str], None] | None = None


@dataclass(slots=True)
class Storage:
    """Presigned addresses (they name a bucket there): no key, and none is tolerated; dead after their seconds."""

    clock: Clock
    files: dict[str, Stored] = field(default_factory=dict)

    def url(self, base: str, data: bytes, media: str, seconds: int) -> str:
        return self._sign(base, Stored(media, data, self.clock.now() + seconds), seconds)

    def upload(self, base: str, seconds: int, put: Callable[[bytes, str], None], media: str = "") -> str:
        return self._sign(base, Stored(media, b"", self.clock.now() + seconds, put), seconds)

    def _sign(self, base: str, stored: Stored, seconds: int) -> str:
        token = secrets.token_urlsafe(24)
        self.files[token] = stored
        signature = hashlib.sha256(token.encode()).hexdigest()
        query = urlencode({"X-Amz-Expires": seconds, "X-Amz-SignedHeaders": "host", "X-Amz-Signature": signature})
        return f"{base}/storage/{token}?{query}"

    async def serve(self, request: Request) -> Response:
        """GET a file, or PUT one where an upload is expected."""
        token = request.path_params["token"]
        stored = self.files.get(token)
        if "authorization" in request.headers or "x-api-key" in request.headers:
            return _xml(400, "InvalidArgument", "Only one auth mechanism allowed")
        signature = hashlib.sha256(token.encode()).hexdigest()
        if stored is None or request.query_params.get("X-Amz-Signature") != signature:
            return _xml(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
        if self.clock.now() >= stored.until:
            return _xml(403, "AccessDenied", "Request has expired")
        if request.method == "PUT":
            return await _take(stored, request)
        return Response(stored.data, media_type=stored.media) if stored.put is None else _xml(404, "NoSuchKey", "")


_LARGEST_UPLOAD = 50_000_000


async def _take(stored: Stored, request: Request) -> Response:
    if stored.put is None:
        return _xml(403, "AccessDenied", "Access Denied")
    length = request.headers.get("content-length", "")
    if not length.isdigit():
        return _xml(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    if int(length) > _LARGEST_UPLOAD:
        return _xml(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
    media = request.headers.get("content-type", "")
    if stored.media and media.partition(";")[0] != stored.media:
        return _xml(403, "SignatureDoesNotMatch", f"the upload was signed for {stored.media}")
    stored.put(await request.body(), media)
    return Response()


def _xml(status: int, code: str, message: str) -> Response:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Response(body, status, media_type="application/xml")


def new_id() -> str:
    """Sorts by the time it was made, as their ids do (UUID version 7)."""
    stamp = time.time_ns() // 1_000_000
    value = (stamp << 80) | (7 << 76) | (secrets.randbits(12) << 64) | (2 << 62) | secrets.randbits(62)
    return str(uuid.UUID(int=value))
