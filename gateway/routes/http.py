"""What every route shares: reading a body within its limits, media types, and errors in the form their callers expect.

FHIR routes answer OperationOutcome (FHIR R4 §3.1.0.1.5), the others problem+json (RFC 9457).
"""

from __future__ import annotations

import asyncio
import codecs
import re
import zlib
from collections.abc import Mapping
from contextlib import suppress
from email.message import Message
from functools import lru_cache

from fastapi import Request, Response
from starlette.exceptions import HTTPException

from gateway.errors import (
    GatewayError,
    InvalidInput,
    Missing,
    NotAcceptable,
    NotAllowed,
    PartnerUnavailable,
    TooLarge,
    UnknownFormat,
    Unparsable,
)
from gateway.fhir import json
from gateway.fhir.issue import Issue, outcome
from gateway.work import Grow

BODY_SECONDS = 600.0
"""What a line of 1 Mbit/s needs for the largest body; who takes longer holds what others wait for."""

FHIR_JSON = "application/fhir+json"
JSON_TYPES = (FHIR_JSON, "application/json", "text/json", "application/json+fhir")
_ENCODING = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._\-]+)[\"']")
_RELEASE = re.compile(r";\s*fhirversion\s*=\s*\"?([\w.\-]*)", re.ASCII | re.IGNORECASE)
_REFUSED = re.compile(r"(?:^|;)\s*q\s*=\s*0(?:\.0*)?\s*(?:;|$)", re.ASCII)
XML_TYPES = ("application/xml", "text/xml", "application/hl7-v3+xml")


def _unbounded(_size: int) -> None:
    """Where bodies are small enough for as many as may come."""


async def read_body(
    request: Request, limit: int, grow: Grow = _unbounded, *, empty: bool = False, seconds: float = BODY_SECONDS
) -> bytes:
    """The whole body. Raises TooLarge as soon as it is over `limit` bytes, Unparsable when there is none and it may
    not be `empty`, or when it is not there in `seconds`. `grow` is told how large it is: what its header says, then
    what has come."""
    declared = declared_size(request)
    if declared > limit:
        raise TooLarge(f"the body is over the limit of {limit} bytes")
    grow(declared)
    try:
        async with asyncio.timeout(seconds):
            body = await _streamed(request, limit, grow)
    except TimeoutError:
        raise Unparsable(f"the body did not come to its end in {seconds:.0f} s") from None
    if not body and not empty:
        raise Unparsable("the body is empty")
    return body


async def _streamed(request: Request, limit: int, grow: Grow) -> bytes:
    """The body, unpacked where it is gzip (RFC 9110 §8.4); the limit is that of what comes out."""
    packed = _Packed() if _is_gzip(request.headers.get("content-encoding", "identity")) else None
    chunks: list[bytes] = []
    size = 0
    async for sent in request.stream():
        chunk = packed.unpack(sent, limit + 1 - size) if packed else sent
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"the body is over the limit of {limit} bytes")
        grow(size)
        chunks.append(chunk)
    if packed and size:
        packed.end()
    return b"".join(chunks)


def _is_gzip(coding: str) -> bool:
    if coding.lower() not in ("identity", "gzip", "x-gzip"):
        raise UnknownFormat("Content-Encoding is gzip here, or left out")
    return coding.lower() != "identity"


class _Packed:
    """One gzip stream (RFC 1952), unpacked as it comes and never further than asked for."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    def unpack(self, sent: bytes, most: int) -> bytes:
        try:
            return self._inner.decompress(sent, most)
        except zlib.error:
            raise Unparsable("the body is no gzip, as its Content-Encoding says") from None

    def end(self) -> None:
        """Raises Unparsable for a body that was cut short, or went on after its end."""
        if not self._inner.eof or self._inner.unused_data:
            raise Unparsable("the body is not one whole gzip stream")


def declared_size(request: Request) -> int:
    """Bytes of the body as its header says; 0 where it does not."""
    declared = request.headers.get("content-length", "")
    return int(declared[:18]) if declared.isdecimal() else 0


def media_type(request: Request, allowed: tuple[str, ...]) -> str:
    """The media type of the body, lower case. Raises UnknownFormat that says what this route reads."""
    kind, charset = _content_type(request.headers.get("content-type", ""))
    if kind not in allowed:
        raise UnknownFormat(f"this route reads {', '.join(allowed)}: set Content-Type to one of them")
    if kind in JSON_TYPES and (charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise UnknownFormat("JSON is read as UTF-8 only: drop the charset or set it to utf-8")
    if kind in JSON_TYPES and _is_other_release(request.headers["content-type"]):
        raise UnknownFormat("FHIR R4 is read here: fhirVersion is 4.0")
    return kind


async def read_xml(request: Request, limit: int, grow: Grow = _unbounded) -> bytes:
    """The raw body of an XML document, whose charset parameter does not contradict it (RFC 7303 §3).

    Raises UnknownFormat for an unknown charset, Unparsable when document and header do not agree.
    """
    media_type(request, XML_TYPES)
    body = await read_body(request, limit, grow)
    _, named = _content_type(request.headers.get("content-type", ""))
    if named is not None:
        _check_charset(named, body)
    return body


def _check_charset(named: str, body: bytes) -> None:
    try:
        charset = codecs.lookup(named).name
    except LookupError:
        raise UnknownFormat("an unknown charset: drop the parameter or set it to utf-8") from None
    declared = _ENCODING.match(body[:300])
    own = "utf-16" if body[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8"
    if declared is not None:
        with suppress(LookupError):  # what the document itself cannot be read by is refused by the parser
            own = codecs.lookup(declared[1].decode("ascii")).name
    if charset.removesuffix("-le").removesuffix("-be") != own and not (charset == "ascii" and body.isascii()):
        raise Unparsable("the charset of Content-Type is not the document's own: drop the one that is wrong")


@lru_cache(maxsize=64)  # a caller says the same every time, and parsing it costs as much as a point read
def _content_type(header: str) -> tuple[str, str | None]:
    """The media type, lower case and "" when there is none, and the charset it names."""
    message = Message()
    message["content-type"] = header
    charset = message.get_param("charset")
    return message.get_content_type() if header else "", None if charset is None else str(charset)


async def read_json(
    request: Request, limit: int, grow: Grow = _unbounded, *, untyped: bool = False
) -> tuple[bytes, json.Json]:
    """The raw body and what it says; `untyped`: one without a Content-Type is read as well (RFC 9110 §8.3)."""
    if not untyped or "content-type" in request.headers:
        media_type(request, JSON_TYPES)
    raw = await read_body(request, limit, grow)
    return raw, json.decode(raw)


def number_of(request: Request, name: str, default: int, most: int, *, least: int = 0) -> int:
    """A whole number of the query, `default` where it is not there. Raises InvalidInput that says what it may be."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise InvalidInput(f"{name} must be a number from {least} to {most}")
    return int(text)


def flag_of(request: Request, name: str) -> bool:
    """`true` or `false` of the query, False where it is not there. Raises InvalidInput."""
    text = request.query_params.get(name, "false").lower()
    if text not in ("true", "false"):
        raise InvalidInput(f"{name} must be true or false")
    return text == "true"


def require_json_answer(request: Request) -> None:
    """Raises NotAcceptable when the caller takes something else only (FHIR R4 §3.1.0.1.11)."""
    asked = request.query_params.get("_format") if b"_format" in request.scope["query_string"] else None
    if not _takes_json(asked or request.headers.get("accept") or "*/*"):
        raise NotAcceptable("only JSON of FHIR R4 is spoken here: ask for application/fhir+json")


@lru_cache(maxsize=64)
def _takes_json(accept: str) -> bool:
    """Whether one of its media ranges takes JSON of R4: `q=0` says that it does not (RFC 9110 §12.5.1)."""
    ranges = [one.partition(";") for one in accept.lower().split(",")]
    return any(
        ("json" in kind or kind.strip() in ("*/*", "application/*"))
        and not _REFUSED.search(parameters)
        and not _is_other_release(f";{parameters}")
        for kind, _, parameters in ranges
    )


def _is_other_release(parameters: str) -> bool:
    """Whether the `fhirVersion` of a media type is another release than R4 (FHIR R4 §3.1.0.1)."""
    named = _RELEASE.search(parameters)
    return named is not None and named[1] not in ("4.0", "4.0.1")


def fhir_json(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A FHIR answer; the bytes are sent as they are."""
    return _FhirResponse(body, status, headers)


class _FhirResponse(Response):
    """A Response whose headers are written straight down: what Starlette works out for any answer costs as much as
    asking the database."""

    media_type = FHIR_JSON

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str] | None) -> None:
        self.status_code, self.body, self.background = status, body, None
        self.raw_headers = [(b"content-type", FHIR_JSON.encode())] if body else []
        self.raw_headers += [
            (name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()
        ]
        if status not in (204, 304):
            self.raw_headers.append((b"content-length", str(len(body)).encode()))


def plain_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A plain JSON answer."""
    return Response(json.encode(value), status, dict(headers or {}), media_type="application/json")


def fhir_error(_request: Request, error: Exception) -> Response:
    """OperationOutcome of one of our errors."""
    assert isinstance(error, GatewayError)
    issues = error.issues or (Issue("error", error.code, error.message, error.expression),)
    return fhir_json(json.encode(outcome(issues)), error.status, headers_of(error))


def problem(request: Request, error: Exception) -> Response:
    """problem+json of one of our errors."""
    assert isinstance(error, GatewayError)
    if request.url.path.startswith("/fhir"):
        return fhir_error(request, error)
    name = type(error).__name__
    body = {
        "type": "about:blank",
        "title": name,
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        **({"at": error.expression} if error.expression else {}),
        **({"issues": [issue.to_fhir() for issue in error.issues]} if error.issues else {}),
    }
    return Response(json.encode(body), error.status, headers_of(error), media_type="application/problem+json")


def headers_of(error: GatewayError) -> dict[str, str]:
    """How to go on after a refusal: how to log in, when to come again."""
    headers: dict[str, str] = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, PartnerUnavailable) and error.retry_after:
        headers["Retry-After"] = str(round(error.retry_after))
    elif error.transient:
        headers["Retry-After"] = "1"
    return headers


def not_found(request: Request, error: Exception) -> Response:
    """What the framework itself refuses (no such route or method), in the same forms."""
    assert isinstance(error, HTTPException)
    kind = NotAllowed if error.status_code == 405 else Missing
    refusal = problem(request, kind(f"nothing answers {request.method} at this path"))
    refusal.headers.update(error.headers or {})  # which methods do (RFC 9110 §15.5.6)
    return refusal


def unexpected(request: Request, _error: Exception) -> Response:
    """A defect of ours: nothing of it is told but that it happened; the log has its kind and place."""
    return problem(request, GatewayError("an internal error; nothing was stored of this request"))
