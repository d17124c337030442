"""Keys and scopes: what is read from headers, what a scope allows."""

from __future__ import annotations

import hashlib

import pytest

from gateway.auth import Principal, digest, new_key, parse_scopes, presented_key
from gateway.errors import InvalidInput, NotAuthenticated, NotPermitted


def principal(*scopes: str) -> Principal:
    return Principal("name", "connector", parse_scopes(scopes))


@pytest.mark.parametrize(
    ("headers", "raw", "key"),
    [
        ({"authorization": "Bearer abc"}, False, "abc"),
        ({"authorization": "bearer   abc  "}, False, "abc"),
        ({"x-api-key": " abc "}, False, "abc"),
        ({"authorization": "Bearer abc", "x-api-key": "def"}, False, "abc"),
        ({"authorization": "Basic eA==", "x-api-key": "def"}, False, "def"),
        ({"authorization": "abc"}, True, "abc"),
        ({"authorization": "Bearer abc"}, True, "abc"),
        ({"authorization": "abc", "x-api-key": "def"}, True, "def"),
    ],
)
def test_where_a_key_may_be(headers: dict[str, str], raw: bool, key: str) -> None:
    assert presented_key(headers, raw_authorization=raw) == key


@pytest.mark.parametrize(
    ("headers", "raw"),
    [
        ({}, False),
        ({}, True),
        ({"authorization": ""}, True),
        ({"authorization": "abc"}, False),
        ({"authorization": "Bearer"}, False),
        ({"authorization": "Bearer "}, False),
        ({"authorization": "Basic abc"}, True),
        ({"authorization": "Token abc"}, True),
        ({"x-api-key": "  "}, False),
    ],
)
def test_where_there_is_none(headers: dict[str, str], raw: bool) -> None:
    with pytest.raises(NotAuthenticated):
        presented_key(headers, raw_authorization=raw)


def test_a_key_is_long_random_and_kept_as_its_hash_only() -> None:
    (key, hashed), (other, _) = new_key(), new_key()
    assert key != other and len(key) >= 43 and key.startswith("gw_")
    assert hashed == digest(key) == hashlib.sha256(key.encode()).digest()


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("system/*.cruds", {(letter, type_) for letter in "cruds" for type_ in ("Patient", "Observation")}),
        ("system/Patient.r", {("r", "Patient")}),
        ("system/Patient.rs", {("r", "Patient"), ("s", "Patient")}),
        ("system/*.d", {("d", "Patient"), ("d", "Observation")}),
        ("documents", set()),
        ("operator", set()),
    ],
)
def test_what_a_scope_allows(scope: str, allowed: set[tuple[str, str]]) -> None:
    who = principal(scope)
    for letter in "cruds":
        for type_ in ("Patient", "Observation"):
            assert who.may(letter, type_) == ((letter, type_) in allowed), (letter, type_)
            if (letter, type_) not in allowed:
                with pytest.raises(NotPermitted, match=rf"system/{type_}\.{letter}"):
                    who.require(letter, type_)


def test_a_service_is_named_exactly() -> None:
    principal("documents").require_service("documents")
    with pytest.raises(NotPermitted, match="convert"):
        principal("documents", "system/*.cruds").require_service("convert")


@pytest.mark.parametrize(
    "scope",
    ["", " ", "everything", "system/Patient", "system/Patient.", "system/Patient.x", "system/Patient.sr", "user/*.r",
     "system/*.cruds;", "system/patient.r", "system/Patient.rr", "patient/Patient.r", "Documents"],
)  # fmt: skip
def test_what_is_no_scope_is_refused(scope: str) -> None:
    with pytest.raises(InvalidInput):
        parse_scopes([scope])


def test_scopes_come_apart_at_blanks() -> None:
    assert parse_scopes(["system/*.r documents", "convert"]) == {"system/*.r", "documents", "convert"}
