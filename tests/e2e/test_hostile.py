"""Whatever comes in is answered in time and in form; never a 500, and nothing of it is stored by accident."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .desk import CANVAS, FHIR, MRN, Desk, bundle, decoded, entry, observation, opened, patient

SLOWEST = 5.0
"""Seconds for one answer on a busy machine."""


class Room:
    """A gateway that outlives the examples of one test."""

    def __init__(self, runner: asyncio.Runner, desk: Desk) -> None:
        self._runner = runner
        self.desk = desk

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """The answer, which must be one: in time, no 500, an error in its form."""
        began = time.monotonic()
        answer = self._runner.run(self.desk.call(method, path, body, **more))
        assert time.monotonic() - began < SLOWEST
        assert answer.status_code < 500, (method, path[:200], str(body)[:200], answer.text[:500])
        if answer.status_code >= 400 and method != "HEAD":
            form = FHIR if answer.request.url.path.startswith("/fhir") else "application/problem+json"
            if path.partition("?")[0] == CANVAS and answer.text == '"Invalid JSON body."':
                form = "application/json"  # as Canvas itself says it (canvas.md, surface A)
            assert answer.headers["content-type"] == form, (method, path[:200])
            assert "error" in answer.text or '"status"' in answer.text or form == "application/json"
        return answer


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with asyncio.Runner() as runner:
        context = opened(tmp_path_factory.mktemp("room"), raises=True, max_bytes=3_000_000)
        desk = runner.run(context.__aenter__())
        desk.connect(
            {
                "name": "open",
                "profile": "fhir",
                "endpoint": "http://127.0.0.1:9",
                "push": False,
                "sync": {"mode": "webhook", "signature": "none", "read": False},
            }
        )
        yield Room(runner, desk)
        runner.run(context.__aexit__(None, None, None))


ROUTES = [
    "/fhir",
    "/fhir/Patient",
    "/fhir/Patient/x",
    "/fhir/Patient/_search",
    CANVAS,
    "/api/documents",
    "/convert/v1/ccda/to/fhir?patientId=p",
    "/api/webhooks/open",
]


def measured(number: bytes) -> bytes:
    """An Observation of that value."""
    head = b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":'
    return head + number + b"}}"


def many(element: str) -> bytes:
    """A Patient with very many different elements of one kind."""
    forms = {
        "name": '{"family":"x%d"}',
        "identifier": '{"system":"urn:x","value":"v%d"}',
        "telecom": '{"system":"phone","value":"+1 555 %d"}',
        "extension": '{"url":"https://x.example/%d","valueBoolean":true}',
        "contained": '{"resourceType":"Organization","id":"o%d","name":"x"}',
    }
    listed = ",".join(forms[element] % number for number in range(5_000))
    return f'{{"resourceType":"Patient","{element}":[{listed}]}}'.encode()


BODIES: dict[str, bytes] = {
    "deep lists": b"[" * 100_000,
    "deep closed lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "101 levels": b'{"resourceType":"Patient","extension":' + b'[{"extension":' * 60 + b"[]" + b"}]" * 60 + b"}",
    "deep contained": b'{"resourceType":"Patient","contained":[' * 80 + b"{}" + b"]}" * 80,
    "huge integer": b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 10_000 + b"}",
    "huge exponent": measured(b"1e400"),
    "huger exponent": measured(b"1e999999999"),
    "tiny exponent": measured(b"1e-999999999"),
    "endless exponent": measured(b"1e" + b"9" * 5_000),
    "long decimal": measured(b"0." + b"3" * 100_000),
    "NaN": measured(b"NaN"),
    "NUL": b'{"resourceType":"Patient","name":[{"family":"a\\u0000b"}]}',
    "raw NUL": b'{"resourceType":"Patient","name":[{"family":"a\0b"}]}',
    "NUL in an id": b'{"resourceType":"Patient","id":"a\\u0000b"}',
    "NUL in an identifier": b'{"resourceType":"Patient","identifier":[{"system":"a\\u0000b","value":"\\u0000"}]}',
    "lone surrogate": b'{"resourceType":"Patient","name":[{"family":"\\ud800"}]}',
    "surrogate key": b'{"resourceType":"Patient","\\udc00":1}',
    "duplicate keys": b'{"resourceType":"Patient","resourceType":"Observation","id":"1","id":"2"}',
    "BOM": b'\xef\xbb\xbf{"resourceType":"Patient"}',
    "UTF-16": '{"resourceType":"Patient"}'.encode("utf-16"),
    "invalid UTF-8": b'{"resourceType":"Patient","name":[{"family":"\xff\xfe"}]}',
    "overlong UTF-8": b'{"resourceType":"\xc0\xafPatient"}',
    "half": b'{"resourceType":"Patient","na',
    "two": b'{"resourceType":"Patient"}{"resourceType":"Patient"}',
    "number": b"1",
    "null": b"null",
    "type of an object": b'{"resourceType":{"a":1}}',
    "type of a list": b'{"resourceType":["Patient"]}',
    "proto": b'{"__proto__":{"a":1},"constructor":1,"resourceType":"Patient"}',
    "long text": b'{"resourceType":"Patient","name":[{"family":"' + b"x" * 2_000_000 + b'"}]}',
    **{f"many {element}": many(element) for element in ("name", "identifier", "telecom", "extension", "contained")},
    "long identifier": b'{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"'
    + b"v" * 100_000
    + b'"}]}',
    "bad bundle": b'{"resourceType":"Bundle","type":"transaction","entry":[null,1,"x",{},{"request":null}]}',
    "bad batch": b'{"resourceType":"Bundle","type":"batch","entry":[null,1,"x",{},{"request":null},{"request":{}}]}',
    "entry no list": b'{"resourceType":"Bundle","type":"batch","entry":{"a":1}}',
    "odd urls": b'{"resourceType":"Bundle","type":"batch","entry":['
    + b",".join(
        b'{"request":{"method":"GET","url":"%s"}}' % url
        for url in (
            b"",
            b"/",
            b"..",
            b"Patient/../../x",
            b"Patient/a\\u0000",
            b"http://elsewhere/Patient/1",
            b"Patient?",
            b"Patient?identifier=%00",
            b"Patient?_lastUpdated=x",
            b"Patient/x/_history/" + b"9" * 60,
            b"metadata",
            b"Patient?_count=99999999999999999999",
            b"Nothing/1",
            b"Patient/" + b"x" * 64,
        )
    )
    + b"]}",
    "XML": b"<?xml version='1.0'?><a/>",
    "event": b'{"type":"patient.updated","data":{"id":"a\\u0000b"}}',
    "event without id": b'{"type":"patient.updated","data":{}}',
    "event of a list": b'{"type":["patient.updated"],"data":[]}',
    "event with a long id": b'{"type":"patient.updated","data":{"id":"' + b"x" * 100_000 + b'"}}',
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(room: Room, name: str) -> None:
    for path in ROUTES:
        for kind in (FHIR, "application/json", "application/xml", "application/x-www-form-urlencoded"):
            room.call("POST", path, BODIES[name], kind=kind)
    room.call("PUT", "/fhir/Patient/x", BODIES[name])
    room.call("PUT", "/fhir/Patient?identifier=a|b", BODIES[name])


IDS = [
    "..",
    "../..",
    "%2e%2e%2f",
    "..%2f..%2fetc%2fpasswd",
    "a%00b",
    "%00",
    "a%0d%0aX-Evil:1",
    "%0d%0a",
    "%ff",
    "%ED%A0%80",
    "x" * 65,
    "x" * 5_000,
    "a b",
    "a|b",
    "é",
    "%25",
    "'; DROP TABLE resource;--",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "%s%n",
    "_history",
    "_search",
    "$everything",
    "metadata",
    "*",
    "~",
    ".",
    "-",
]


@pytest.mark.parametrize("odd", IDS)
def test_ids_in_paths(room: Room, odd: str) -> None:
    safe = quote(odd, safe="%/._-$*~")
    for path in (
        f"/fhir/Patient/{safe}",
        f"/fhir/Patient/{safe}/_history",
        f"/fhir/Patient/x/_history/{safe}",
        f"/fhir/{safe}",
        f"/fhir/{safe}/x",
        f"/api/webhooks/{safe}",
        f"/{safe}",
    ):
        for method in ("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"):
            answer = room.call(method, path, observation() if method in ("PUT", "POST") else None)
            assert "x-evil" not in answer.headers


@pytest.mark.parametrize("odd", IDS)
def test_values_in_queries(room: Room, odd: str) -> None:
    value = quote(odd, safe="%")
    for name in ("_id", "identifier", "patient", "_lastUpdated", "_count", "_cursor", "_total", "_format", "x", odd):
        room.call("GET", f"/fhir/Observation?{quote(name, safe='%')}={value}")
    room.call("DELETE", f"/fhir/Observation?identifier={value}")
    room.call("POST", "/fhir/Observation", observation(), headers={"if-none-exist": f"identifier={value}"})
    room.call("POST", f"/convert/v1/ccda/to/fhir?patientId={value}&timezone={value}", b"<a/>", kind="text/xml")


HEADERS = [
    "if-match",
    "if-none-match",
    "if-none-exist",
    "if-modified-since",
    "prefer",
    "accept",
    "content-type",
    "idempotency-key",
    "content-length",
    "accept-encoding",
    "authorization",
    "x-api-key",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
]
VALUES = [
    "",
    " ",
    "*",
    "W/",
    'W/"',
    "\t",
    "x" * 60_000,
    "é",
    "\xff",
    'W/"%s"' % ("9" * 60),
    "-1",
    "9" * 5_000,
    "1e9",
    ";;;===",
    'application/json; charset="',
    "a/b/c",
    "Thu, 99 Jan 99999 99:99:99 GMT",
    "Bearer ",
    "identifier",
]


@pytest.mark.parametrize("name", HEADERS)
def test_headers(room: Room, name: str) -> None:
    for value in VALUES:
        raw = {name: value.encode("latin-1")}
        for method, path in (
            ("GET", "/fhir/Patient/x"),
            ("GET", "/fhir/Patient"),
            ("POST", "/fhir/Observation"),
            ("PUT", "/fhir/Patient/x"),
            ("DELETE", "/fhir/Patient/x"),
            ("POST", CANVAS),
            ("POST", "/api/documents"),
            ("POST", "/api/webhooks/open"),
        ):
            body = b"{}" if method in ("POST", "PUT") else None
            room.call(method, path, body, headers=raw)


def test_a_url_of_a_hundred_kilobytes(room: Room) -> None:
    room.call("GET", "/fhir/Patient?identifier=" + "x" * 60_000)
    room.call("GET", "/fhir/Patient?_id=" + ",".join(["x"] * 30_000))
    room.call("GET", "/fhir/Patient/" + "x" * 60_000)
    room.call("GET", "/fhir/Patient?" + "&".join(["_id=x"] * 10_000))


def test_methods_that_nobody_serves(room: Room) -> None:
    for method in ("TRACE", "CONNECT", "PROPFIND", "FOO", "OPTIONS", "PATCH"):
        for path in ["/", "/health", "/nothing", *ROUTES, "/fhir/metadata", "/fhir/Patient/x/_history/1"]:
            assert room.call(method, path).status_code in (404, 405), (method, path)


def test_405_says_what_is_allowed(room: Room) -> None:
    for path in ("/fhir/Patient/x", "/fhir/Patient", "/fhir", "/fhir/metadata"):
        answer = room.call("OPTIONS", path)
        assert answer.status_code == 405 and answer.headers["allow"]
    for path, allowed in ((CANVAS, "POST"), ("/api/documents", "POST"), ("/api/webhooks/open", "POST")):
        answer = room.call("GET", path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_limits_count_before_anything_is_kept(room: Room) -> None:
    for path in ROUTES:
        if path == "/fhir/Patient/x":
            continue  # nothing is posted there
        for kind in (FHIR, "application/json", "application/xml", "application/x-www-form-urlencoded"):
            answer = room.call("POST", path, b" " * 6_000_000, kind=kind)
            assert answer.status_code in (413, 415), (path, kind)


def test_a_number_that_json_can_hold_keeps_its_digits(room: Room) -> None:
    for digits in (b"1e400", b"0.1000", b"-0.0", b"1E-7", b"123456789012345678901234567890.123456789"):
        body = (
            b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":%s}}' % digits
        )
        answer = room.call("POST", "/fhir/Observation", body)
        if answer.status_code == 201:
            value = decoded(answer)["valueQuantity"]["value"]
            assert type(value)(digits.decode()) == value or int(digits) == value


_text = st.text(max_size=20)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _text,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_text | st.sampled_from(list(patient("x"))), inner, max_size=4)
    ),
    max_leaves=12,
)
_names = [
    "resourceType",
    "id",
    "meta",
    "identifier",
    "name",
    "subject",
    "contained",
    "extension",
    "request",
    "entry",
    "type",
    "fullUrl",
    "data",
    "firstName",
    "lastName",
    "partnerId",
]
_object = st.dictionaries(st.sampled_from(_names), _json, max_size=6)
_typed = st.builds(
    lambda kind, more: {**more, "resourceType": kind},
    st.sampled_from(["Patient", "Observation", "Bundle", "Binary", "Parameters", "Nothing"]),
    _object,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from(ROUTES), body=_json | _object | _typed)
def test_any_json(room: Room, path: str, body: Any) -> None:
    try:
        room.call("POST", path, body, kind="application/json")
    except (UnicodeEncodeError, OverflowError, ValueError) as error:
        assert isinstance(error, UnicodeEncodeError), "only what no JSON text can hold is not sent"


_requests = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "X"]) | _json,
        "url": st.sampled_from(["Patient", "Patient/x", "Patient?identifier=a|b", "Observation?_id=x", "", "/"])
        | _text,
    },
    optional={"ifMatch": _text, "ifNoneExist": _text, "ifNoneMatch": _text},
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(["batch", "transaction"]),
    entries=st.lists(
        st.fixed_dictionaries({"request": _requests}, optional={"resource": _typed | _json, "fullUrl": _text}),
        max_size=4,
    ),
)
def test_any_bundle(room: Room, kind: str, entries: list[Any]) -> None:
    try:
        answer = room.call("POST", "/fhir", bundle(kind, *entries))
    except UnicodeEncodeError:
        return
    if kind == "batch" and answer.status_code == 200:
        assert len(decoded(answer).get("entry", [])) == len(entries)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"]),
    parts=st.lists(
        st.sampled_from(["Patient", "Observation", "_history", "_search", "1", "x", ""]) | _text, max_size=5
    ),
    query=st.lists(
        st.tuples(st.sampled_from(["_id", "identifier", "_lastUpdated", "_count", "patient", "before"]) | _text, _text),
        max_size=3,
    ),
)
def test_any_address(room: Room, method: str, parts: list[str], query: list[tuple[str, str]]) -> None:
    def safe(text: str) -> str:
        return quote(text.encode("utf-8", "surrogatepass"), safe="")

    path = "/fhir/" + "/".join(map(safe, parts))
    asked = "&".join(f"{safe(name)}={safe(value)}" for name, value in query)
    room.call(method, f"{path}?{asked}", {"resourceType": "Patient"} if method in ("POST", "PUT") else None)


def test_afterwards_it_still_works(room: Room) -> None:
    answer = room.call("POST", "/fhir", bundle("transaction", entry("POST", "Patient", patient("Fine", (MRN, "fine")))))
    assert answer.status_code == 200


def test_no_path_leads_to_files(room: Room) -> None:
    for path in (
        "/../../etc/passwd",
        "/fhir/../../../etc/passwd",
        "/static/../secret.key",
        "//etc/passwd",
        "/data/secret.key",
    ):
        answer = room.call("GET", path)
        assert answer.status_code in (401, 404, 405) and "root:" not in answer.text


def test_the_folder_of_our_own_is_not_readable_by_others(tmp_path: Path) -> None:
    async def start() -> None:
        async with opened(tmp_path):
            pass

    asyncio.run(start())
    assert (tmp_path / "secret.key").stat().st_mode & 0o077 == 0
