"""`gateway messages`: what came in, without its text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.commands import messages
from gateway.errors import InvalidInput, Missing
from gateway.fhir import json
from gateway.store import Changes, MessageRow, Store

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ISSUE = {"severity": "error", "code": "conflict", "diagnostics": "two people", "expression": ["Patient.birthDate"]}


@pytest.fixture(autouse=True)
def two(store: Store) -> None:
    body = b'{"family":"Secretname"}'
    held = MessageRow(
        "m1", "app", "reader", "fhir-create", "application/json", AT, None, "held", body, None, "held: two people",
        json.encode([ISSUE]),
    )  # fmt: skip
    applied = MessageRow("m2", "clinic", None, "document", "text/xml", AT, "event-1", "applied", b"<a/>", b"{}")
    store.write_now(lambda tx: tx.write(Changes(messages=[held, applied])))


def test_all_of_them_oldest_first(store: Store) -> None:
    assert [row.message_id for row in messages.listed(store, None, None, 10)] == ["m1", "m2"]
    assert [row.message_id for row in messages.listed(store, None, None, 1, "m1")] == ["m2"]


def test_by_state_and_connector(store: Store) -> None:
    assert [row.message_id for row in messages.listed(store, "held", None, 10)] == ["m1"]
    assert [row.message_id for row in messages.listed(store, None, "clinic", 10)] == ["m2"]
    assert messages.listed(store, "held", "clinic", 10) == []


def test_a_state_that_no_message_has_is_refused(store: Store) -> None:
    with pytest.raises(InvalidInput, match="received, applied, held, failed"):
        messages.listed(store, "open", None, 10)


def test_one_tells_everything_but_its_text(store: Store) -> None:
    row = messages.get(store, "m1")
    told = messages.to_json(row)
    assert (told["connector"], told["state"], told["error"], told["bytes"]) == ("app", "held", "held: two people", 23)
    assert told["issues"] == [ISSUE]
    assert ("issue", "error conflict Patient.birthDate two people") in messages.pairs(row)
    assert "Secretname" not in str(told) + str(messages.pairs(row)) + str(messages.cells(row))


def test_one_that_is_not_there(store: Store) -> None:
    with pytest.raises(Missing, match="messages list"):
        messages.get(store, "nothing")
