"""What every route shares: bodies within limits, media types, charsets, and the two forms of errors."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest
from fastapi import Request
from starlette.types import Message

from gateway.errors import NotAcceptable, PartnerUnavailable, StoreBusy, TooLarge, UnknownFormat, Unparsable
from gateway.fhir import json
from gateway.routes import http

pytestmark = pytest.mark.anyio


def stalled() -> Request:
    """One whose body begins and does not go on."""

    async def receive() -> Message:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"a", "more_body": True}

    return Request({"type": "http", "method": "POST", "path": "/x", "query_string": b"", "headers": []}, receive)


def request(*chunks: bytes, path: str = "/x", query: str = "", **headers: str) -> Request:
    sent = iter(chunks or (b"",))
    left = len(chunks) or 1

    async def receive() -> Message:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": next(sent), "more_body": left > 0}

    listed = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": query.encode(), "headers": listed}
    return Request(scope, receive)


async def test_a_body_is_read_whole_or_not_at_all() -> None:
    assert await http.read_body(request(b"ab", b"c"), 3) == b"abc"
    with pytest.raises(TooLarge):
        await http.read_body(request(b"ab", b"cd"), 3)
    with pytest.raises(TooLarge):
        await http.read_body(request(b"a", content_length="4"), 3)
    with pytest.raises(Unparsable):
        await http.read_body(request(b""), 3)
    assert await http.read_body(request(b""), 3, empty=True) == b""


async def test_a_packed_body_is_unpacked_within_the_limit() -> None:
    packed = gzip.compress(b"abc")
    assert await http.read_body(request(packed[:9], packed[9:], content_encoding="gzip"), 3) == b"abc"
    assert await http.read_body(request(b"abc", content_encoding="identity"), 3) == b"abc"
    assert await http.read_body(request(b"", content_encoding="gzip"), 3, empty=True) == b""
    bomb = gzip.compress(b"0" * 10_000_000)
    with pytest.raises(TooLarge):
        await http.read_body(request(bomb, content_encoding="gzip"), 1_000_000)


@pytest.mark.parametrize(
    "sent",
    [b"abc", gzip.compress(b"abc")[:-1], gzip.compress(b"a") + gzip.compress(b"b"), b"\x1f\x8b"],
    ids=["not packed", "cut short", "two streams", "a head alone"],
)
async def test_a_body_that_is_not_packed_as_it_says_is_refused(sent: bytes) -> None:
    with pytest.raises(Unparsable):
        await http.read_body(request(sent, content_encoding="gzip"), 1_000)


async def test_another_coding_is_415() -> None:
    """RFC 9110 §8.4: what cannot be unpacked is not read as if it were not packed."""
    for coding in ("br", "deflate", "gzip, gzip"):
        with pytest.raises(UnknownFormat):
            await http.read_body(request(b"abc", content_encoding=coding), 3)


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with pytest.raises(Unparsable, match="did not come"):
        await http.read_body(stalled(), 1_000_000, seconds=0.2)


async def test_nothing_more_is_read_once_it_is_too_large() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x"
        raise AssertionError("read on")

    source = chunks()

    async def receive() -> Message:
        return {"type": "http.request", "body": await anext(source), "more_body": True}

    asked = Request({"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}, receive)
    with pytest.raises(TooLarge):
        await http.read_body(asked, 3)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("application/fhir+json", "application/fhir+json"),
        ("Application/JSON; charset=UTF-8", "application/json"),
        ('application/json;charset="utf-8"', "application/json"),
    ],
)
def test_media_types_that_are_read(given: str, kind: str) -> None:
    assert http.media_type(request(content_type=given), http.JSON_TYPES) == kind


@pytest.mark.parametrize(
    "given", ["", "text/plain", "application/xml", "json", "application/json; charset=latin-1", ";", "*/*", "a/b/c"]
)
def test_media_types_that_are_not(given: str) -> None:
    with pytest.raises(UnknownFormat):
        http.media_type(request(content_type=given), http.JSON_TYPES)


DECLARED = b'<?xml version="1.0" encoding="%s"?><a/>'


@pytest.mark.parametrize(
    ("charset", "body"),
    [
        ("utf-8", b"<a/>"),
        ("UTF8", DECLARED % b"utf-8"),
        ("latin1", DECLARED % b"ISO-8859-1"),
        ("us-ascii", DECLARED % b"UTF-8"),
        ("utf-16", "<a/>".encode("utf-16")),
        ("utf-16le", "<a/>".encode("utf-16")),
        ("utf-8", b"\xef\xbb\xbf" + DECLARED % b"UTF-8"),
    ],
)
async def test_a_charset_that_agrees(charset: str, body: bytes) -> None:
    asked = request(body, content_type=f"text/xml; charset={charset}")
    assert await http.read_xml(asked, 1_000) == body


@pytest.mark.parametrize(
    ("charset", "body", "error"),
    [
        ("latin1", b"<a/>", Unparsable),
        ("utf-8", DECLARED % b"ISO-8859-1", Unparsable),
        ("us-ascii", "<a>é</a>".encode(), Unparsable),
        ("utf-8", "<a/>".encode("utf-16"), Unparsable),
        ("klingon", b"<a/>", UnknownFormat),
        ("hex", b"<a/>", Unparsable),
    ],
)
async def test_a_charset_that_does_not(charset: str, body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        await http.read_xml(request(body, content_type=f"text/xml; charset={charset}"), 1_000)


def test_who_takes_json_gets_it() -> None:
    for accept in ("", "*/*", "application/*", "application/fhir+json;fhirVersion=4.0", "text/html,application/json"):
        http.require_json_answer(request(accept=accept))
    http.require_json_answer(request(query="_format=json", accept="application/xml"))
    for refused in (request(accept="application/fhir+xml"), request(query="_format=xml", accept="application/json")):
        with pytest.raises(NotAcceptable):
            http.require_json_answer(refused)


def test_errors_in_their_two_forms() -> None:
    error = Unparsable("not so", expression="a.b")
    fhir, plain = (
        http.problem(request(path="/fhir/Patient"), error),
        http.problem(request(path="/api/documents"), error),
    )
    assert fhir.headers["content-type"] == "application/fhir+json"
    assert json.decode(fhir.body)["issue"][0]["expression"] == ["a.b"]
    assert plain.headers["content-type"] == "application/problem+json"
    assert json.decode(plain.body) == {
        "type": "about:blank",
        "title": "Unparsable",
        "status": 400,
        "detail": "not so",
        "code": "structure",
        "at": "a.b",
    }


def test_what_may_help_later_says_when() -> None:
    assert http.problem(request(), StoreBusy("busy")).headers["retry-after"] == "1"
    assert http.problem(request(), PartnerUnavailable("wait", retry_after=7.4)).headers["retry-after"] == "7"


def test_a_defect_of_ours_tells_nothing() -> None:
    answer = http.unexpected(request(), ValueError("secret payload"))
    assert answer.status_code == 500 and b"secret" not in answer.body


@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_fhir_answer_says_how_long_it_is(status: int) -> None:
    answer = http.fhir_json(b"{}", status, {"ETag": 'W/"1"', "Location": "http://x/é"})
    assert answer.headers["etag"] == 'W/"1"' and answer.headers["location"] == "http://x/é"
    assert answer.headers["content-type"] == "application/fhir+json"
    assert answer.headers.get("content-length") == (None if status == 204 else "2")
