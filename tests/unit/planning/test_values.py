"""The small values of planning: ids, stored forms, version numbers, the directory of connectors."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import Missing
from gateway.fhir import json
from gateway.planning import bodies, orders
from gateway.planning.directory import Directory, build
from gateway.planning.uuid7 import new_id
from gateway.store import ConnectorRow

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def test_ids_are_uuids_that_sort_by_time() -> None:
    made = [new_id(NOW + timedelta(milliseconds=n)) for n in range(2_000)]
    assert made == sorted(made) and len(set(made)) == 2_000
    parsed = uuid.UUID(made[0])
    assert parsed.version == 7 and parsed.variant == uuid.RFC_4122
    assert int(parsed) >> 80 == int(NOW.timestamp() * 1000)
    assert str(parsed) == made[0]


def test_ids_of_one_moment_differ() -> None:
    assert len({new_id(NOW) for _ in range(10_000)}) == 10_000


def test_the_stored_form_has_our_id_and_version_and_keeps_the_rest() -> None:
    content = {
        "resourceType": "Patient",
        "id": "theirs",
        "meta": {"versionId": "7", "lastUpdated": "1999-01-01", "tag": [{"code": "x"}]},
        "active": True,
    }
    stored = bodies.stored(content, "ours", 3, NOW)
    assert (stored["id"], stored["meta"]["versionId"], stored["active"]) == ("ours", "3", True)
    assert stored["meta"]["lastUpdated"].startswith("2026-03-01T12:00:00") and stored["meta"]["tag"] == [{"code": "x"}]
    assert content["id"] == "theirs", "what was parsed stays"
    assert bodies.content_of(stored) == {"resourceType": "Patient", "active": True, "meta": {"tag": [{"code": "x"}]}}


def test_the_digest_is_of_what_is_said_not_of_how_it_is_ordered() -> None:
    one = json.decode(b'{"a":1.50,"b":[1,2]}')
    assert bodies.digest(one) == bodies.digest(json.decode(b'{"b":[1,2],"a":1.50}'))
    for other in (b'{"a":1.5,"b":[1,2]}', b'{"a":1.50,"b":[2,1]}', b'{"a":1.50,"b":[1,2],"c":null}'):
        assert bodies.digest(one) != bodies.digest(json.decode(other))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("007", 7),
        ("", None),
        ("-1", None),
        ("1.0", None),
        ("\u00b2", None),
        ("\u0661", None),
        ("9" * 14, None),
        ("9" * 9_999, None),
    ],
)
def test_version_numbers(text: str, number: int | None) -> None:
    assert bodies.version_number(text) == number


def directory(*configs: dict[str, object]) -> Directory:
    rows = [
        ConnectorRow(str(one["name"]), at, json.encode(one).decode(), "connected", NOW, 1)
        for at, one in enumerate(configs)
    ]
    return build(rows, ours="http://x/fhir", tolerance=timedelta(0))


def test_the_directory_knows_whom_to_send_what() -> None:
    found = directory(
        {"name": "fhir", "profile": "fhir", "endpoint": "http://a"},
        {"name": "some", "profile": "fhir", "endpoint": "http://b", "push": ["Patient"]},
        {"name": "none", "profile": "fhir", "endpoint": "http://c", "push": False},
        {"name": "rest", "profile": "canvas", "endpoint": "http://d"},
        {"name": "app", "profile": "intake", "push": False},
    )
    assert [one.name for one in found.targets("Patient")] == ["fhir", "some", "rest"]
    assert [one.name for one in found.targets("Observation")] == ["fhir"]
    assert found.targets("Provenance") == found.targets("Binary") == []
    with pytest.raises(Missing):
        found.peer("nobody")


def test_whose_ids_are_identifiers_and_which_systems_decide() -> None:
    found = directory(
        {"name": "camp", "profile": "intake", "push": False, "idSystem": "https://Camp.example/ids"},
        {"name": "fhir", "profile": "fhir", "endpoint": "http://a/fhir"},
        {"name": "app", "profile": "intake", "push": False, "keySystems": ["1.2.3", "http://hl7.org/fhir/sid/us-ssn"]},
    )
    assert found.id_system("camp") == "https://Camp.example/ids"
    assert found.id_system("fhir") == "http://a/fhir"
    assert found.id_system("app") is None and found.id_system("nobody") is None
    assert found.keys.listed == {"http://x/fhir/Patient", "https://camp.example/ids", "http://a/fhir", "urn:oid:1.2.3"}


def test_webhooks_are_found_by_their_whole_path() -> None:
    found = directory(
        {"name": "one", "profile": "canvas", "endpoint": "http://a", "sync": {"mode": "webhook"}},
        {
            "name": "two",
            "profile": "canvas",
            "endpoint": "http://a",
            "sync": {"mode": "webhook", "path": "/api/webhooks/x/y"},
        },
        {"name": "three", "profile": "canvas", "endpoint": "http://a"},
    )
    assert found.by_path("/api/webhooks/one").name == "one"
    assert found.by_path("/api/webhooks/x/y").name == "two"
    for path in ("/api/webhooks/two", "/api/webhooks/three", "/api/webhooks/one/", "/api/webhooks/", ""):
        with pytest.raises(Missing):
            found.by_path(path)


def test_others_get_our_id_once_and_learn_that_somebody_was_deleted() -> None:
    found = directory()
    content = {
        "resourceType": "Patient",
        "identifier": [{"system": "http://x/fhir/Patient", "value": "old"}, {"value": "1"}],
    }
    sent = orders.outgoing("p", content, found)
    assert sent["identifier"] == [{"value": "1"}, {"system": "http://x/fhir/Patient", "value": "p"}]
    assert "active" not in sent and len(content["identifier"]) == 2
    assert orders.outgoing("p", {**content, "active": True}, found, deleted=True)["active"] is False
