"""The values of the flow: outcomes that are kept, entries as items, errors as issues."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.errors import AmbiguousMatch, InvalidInput, NotConformant
from gateway.fhir import bundle
from gateway.fhir.issue import Issue
from gateway.flow import Outcome, Received, dedupe_key, issues_of, to_answer
from gateway.planning.apply import Applied
from gateway.planning.entries import to_item
from gateway.planning.world import Item, State

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("body", [b"", b'{"a":1.50}', b"line\nline\n\n", bytes(range(256))])
def test_an_outcome_comes_back_as_it_was(body: bytes) -> None:
    kept = Outcome(201, body, {"ETag": 'W/"1"', "Location": "http://x/\u00e9"})
    assert Outcome.load(kept.dump("asked")) == (kept, "asked")


def test_the_name_of_a_message() -> None:
    assert dedupe_key("key", None) is None and dedupe_key("key", "") is None
    assert dedupe_key("key", "a") != dedupe_key("event", "a")
    assert dedupe_key("key", "x" * 255) == "key:" + "x" * 255
    with pytest.raises(InvalidInput):
        dedupe_key("key", "x" * 256)


def test_every_message_has_an_id_of_its_own() -> None:
    made = {Received("app", None, "webhook", "", b"").message_id for _ in range(1_000)}
    assert len(made) == 1_000


def entries(*listed: dict[str, Any]) -> list[bundle.Entry]:
    return bundle.read({"resourceType": "Bundle", "type": "batch", "entry": list(listed)})


def test_entries_become_what_they_ask_for() -> None:
    patient = {"resourceType": "Patient", "id": "p"}
    create, update, delete, conditional = map(
        to_item,
        entries(
            {"request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=a|b"}, "resource": patient},
            {"request": {"method": "PUT", "url": "Patient/p", "ifMatch": 'W/"3"'}, "resource": patient},
            {"request": {"method": "DELETE", "url": "Patient/p"}, "resource": patient},
            {"request": {"method": "PUT", "url": "Patient?identifier=a|b"}, "resource": patient},
        ),
    )
    assert (create.action, create.id, create.condition.row) == ("create", None, ("a", "b"))
    assert create.names == ("Patient/p",) and create.path == "Bundle.entry[0].resource"
    assert (update.action, update.id, update.if_match, update.condition) == ("update", "p", "3", None)
    assert (delete.action, delete.resource) == ("delete", None), "what a DELETE carries does not count"
    assert (conditional.action, conditional.id, conditional.condition.value) == ("update", None, "b")


def test_an_error_is_at_least_one_issue() -> None:
    [one] = issues_of(AmbiguousMatch("several", expression="Patient"))
    assert one == Issue("error", "multiple-matches", "several", "Patient")
    listed = [Issue("error", "value", "a"), Issue("warning", "value", "b")]
    assert issues_of(NotConformant("a", issues=listed)) == tuple(listed)


def applied(before: int, after: int, *, resource: dict[str, Any] | None) -> Applied:
    action = "update" if resource else "delete"
    state = State(1, "Patient", "p", number=before, at=NOW)
    return Applied(Item("p", action, "Patient", resource), state, before, after, b'{"resourceType":"Patient"}')


def test_answers_of_entries() -> None:
    later = datetime(2026, 4, 1, tzinfo=UTC)
    made = to_answer(applied(0, 1, resource={"a": 1}), later, full=True)
    assert (made.status, made.location, made.version, made.at) == (201, "Patient/p/_history/1", 1, later)
    assert made.resource is not None
    same = to_answer(applied(2, 2, resource={"a": 1}), later, full=False)
    assert (same.status, same.location, same.at, same.resource) == (200, "Patient/p/_history/2", NOW, None)
    assert to_answer(applied(2, 3, resource=None), later, full=True).status == 204
