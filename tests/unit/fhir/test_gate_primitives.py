"""The lexical rules of the primitive types, value by value."""

from __future__ import annotations

import re
from calendar import monthrange
from decimal import Decimal
from typing import Any

import jsonschema_rs
import pytest

from gateway.fhir import json
from gateway.fhir.gate_keywords import KEYWORDS
from gateway.fhir.partial_date import is_after
from gateway.fhir.primitives import EXPECTED, PRIMITIVES
from tests.conftest import shared_files


def is_valid(kind: str, value: Any) -> bool:
    schema = jsonschema_rs.Draft202012Validator(
        PRIMITIVES[kind], keywords=KEYWORDS, pattern_options=jsonschema_rs.RegexOptions()
    )
    return schema.is_valid(value)


ALLOWED = {
    "base64Binary": ["YQ==", "YWI=", "YWJj", "YW Jj\r\n", " YWJj"],
    "boolean": [True, False],
    "canonical": ["http://a.b/c|1.0", "#x"],
    "code": ["a", "a b", "ü"],
    "date": ["0001", "2024", "2024-12", "2024-02-29", "2000-02-29", "9999-12-31"],
    "dateTime": ["2024", "2024-02-29", "2024-02-29T23:59:60Z", "2024-01-01T00:00:00.123456789-12:00"],
    "decimal": [1, -1, Decimal("0.10"), Decimal("1E+400"), 0],
    "id": ["a", "A-z.9", "a" * 64],
    "instant": ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.1+14:00"],
    "integer": [0, -1, 2**31 - 1, -(2**31)],
    "markdown": ["# a\n\tb"],
    "oid": ["urn:oid:1.2.3", "urn:oid:2.16.840.1.113883"],
    "positiveInt": [1, 2**31 - 1],
    "string": ["a", " a ", "\t\r\n", "\u00a0", "😀"],
    "time": ["00:00:00", "23:59:60", "10:00:00.5"],
    "unsignedInt": [0, 2**31 - 1],
    "uri": ["urn:x", "a/b?c#d", "http://müller.example"],
    "url": ["https://a.b", "mailto:a@b"],
    "uuid": ["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
}

REFUSED = {
    "base64Binary": ["", " ", "YQ=", "YQ", "Y===", "=YQ=", "YQ==YQ==", "YW-j", 1],
    "boolean": ["true", 0, 1],
    "canonical": ["", "a b", 1],
    "code": ["", " a", "a ", "a  b", "a\u00a0", 1],
    "date": [
        "0000",
        "24",
        "2024-1",
        "2024-00",
        "2024-13",
        "2024-01-00",
        "2024-01-32",
        "2024-06-31",
        "2023-02-29",
        "1900-02-29",
        "2100-02-29",
        "0000-02-29",
        "2024-01-01\n",
        " 2024",
        "2024-01-01T00:00:00Z",
        "20240101",
    ],
    "dateTime": [
        "2024-01-01T",
        "2024-01-01T00:00:00",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00Z",
        "2024-01-01T00:00:00+14:01",
        "2024-01-01T00:00:00+1:00",
        "2024-01-01 00:00:00Z",
        "2024-02-30T00:00:00Z",
        "2024-01-01T00:00:00.Z",
        "2024-01T00:00:00Z",
    ],
    "decimal": ["1", True, None, float("nan"), Decimal("Infinity")],
    "id": ["", "a_b", "a/b", "a" * 65, "ä", "a\n", 1],
    "instant": ["2024", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01T00:00Z"],
    "integer": [2**31, -(2**31) - 1, Decimal("1.0"), 1.0, Decimal("1.5"), "1", True],
    "markdown": ["", "\u0000", 1],
    "oid": ["1.2.3", "urn:oid:3.1", "urn:oid:1.02", "urn:oid:1", "urn:oid:1."],
    "positiveInt": [0, -1, 2**31, Decimal("1.0")],
    "string": ["", "a\u0000", "\u0008", "\u001f", 1],
    "time": ["24:00:00", "10:00", "10:00:61", "1:00:00", "10:00:00Z"],
    "unsignedInt": [-1, 2**31, Decimal("0.0")],
    "uri": ["", "a b", "a\n", "\t", 1],
    "url": ["", " ", "a b"],
    "uuid": ["c757873d-ec9a-4326-a141-556f43239520", "urn:uuid:C757873D-EC9A-4326-A141-556F43239520", "urn:uuid:1"],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in ALLOWED.items() for value in values])
def test_allowed(kind: str, value: Any) -> None:
    assert is_valid(kind, value)


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in REFUSED.items() for value in values])
def test_refused(kind: str, value: Any) -> None:
    assert not is_valid(kind, value)


def test_every_type_has_cases_and_a_sentence() -> None:
    assert set(PRIMITIVES) - {"xhtml"} == set(ALLOWED) == set(REFUSED)
    assert set(EXPECTED) == set(PRIMITIVES)


@pytest.mark.parametrize("year", [1, 4, 100, 400, 1896, 1900, 1999, 2000, 2023, 2024, 2100, 2400, 9996])
def test_a_date_is_allowed_exactly_when_the_calendar_has_it(year: int) -> None:
    schema = jsonschema_rs.Draft202012Validator(PRIMITIVES["date"], pattern_options=jsonschema_rs.RegexOptions())
    for month in range(14):
        days = monthrange(year, month)[1] if 1 <= month <= 12 else 0
        for day in range(40):
            assert schema.is_valid(f"{year:04}-{month:02}-{day:02}") == (1 <= day <= days)


NAMES = {
    "date_time": "dateTime",
    "positive_int": "positiveInt",
    "unsigned_int": "unsignedInt",
    "base64_binary": "base64Binary",
}


def corpus() -> list[tuple[str, bool, str]]:
    rows = []
    for path in shared_files("fhir/primitives/*.ndjson"):
        kind, verdict, _ = path.name.split(".")
        if (name := NAMES.get(kind, kind)) in PRIMITIVES and name != "xhtml":
            rows += [(name, verdict == "valid", line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    return [row for row in rows if row[2] != "null"]


@pytest.mark.parametrize(("kind", "valid", "text"), corpus())
def test_outside_corpus(kind: str, valid: bool, text: str) -> None:
    if re.fullmatch(r"[a-z]|[+].*", text):
        with pytest.raises(json.Unparsable):
            json.decode(text)
    else:
        assert is_valid(kind, json.decode(text)) == valid


@pytest.mark.parametrize(
    ("first", "second", "after"),
    [
        ("2024-05-02", "2024-05-01", True),
        ("2024-05-01", "2024-05-01", False),
        ("2024-05", "2024-05-01", False),
        ("2024-06", "2024-05-31", True),
        ("2024", "2024-01", False),
        ("2025", "2024-12", True),
        ("2024-05-01T00:00:01Z", "2024-05-01T00:00:00Z", True),
        ("2024-05-01T01:00:00+01:00", "2024-05-01T00:00:00Z", False),
        ("2024-05-01T23:59:60Z", "2024-05-01T23:59:59Z", False),
        ("2024-05-01T00:00:00.123456789Z", "2024-05-01T00:00:00Z", True),
        ("2024-05-01", "2024-05-01T00:00:00+14:00", False),
        ("2024-05-03", "2024-05-01T00:00:00Z", True),
        ("9999-12-31", "9999-12-31T00:00:00Z", False),
        ("soon", "2024", False),
        ("2024-05-01T00:00:00", "2023-05-01T00:00:00Z", False),
    ],
)
def test_is_after(first: str, second: str, after: bool) -> None:
    assert is_after(first, second) is after
    assert not (after and is_after(second, first))
