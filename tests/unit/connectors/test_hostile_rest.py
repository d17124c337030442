"""Whatever Impilo or a mapped REST system answers: a result, or one of our errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.connectors import impilo, rest
from gateway.connectors.call import Page, Reply
from gateway.connectors.event import Event
from gateway.connectors.protocol import Hook, Item, Side, Target
from gateway.fhir import json
from tests.contract.rest_mapping import MAPPING

from .test_hostile import broken, play

BODY = {"resourceType": "Patient", "id": "p", "name": [{"family": "Bell", "given": ["Ann"]}]}
DUE = frozenset({"address[-]", "name[-]"})
ITEMS = [Item("Patient", "p", BODY), Item("Patient", "p", BODY, "5"), Item("Patient", "p", BODY, "5", due=DUE)]
IMPILO = Side("https://gateway.example/fhir", impilo.ID_SYSTEM, options=impilo.Options())
PUT = Side("https://gateway.example/fhir", impilo.ID_SYSTEM, "PUT", options=impilo.Options())
REST = Side("https://gateway.example/fhir", "https://ehr.example", name="ehr", mapping=MAPPING)
XML = Side("https://gateway.example/fhir", "https://ehr.example", name="ehr", mapping=MAPPING, content_type="xml")

PATIENT = {"id": 5, "externalIdentifier": "p", "firstName": "Ann", "lastName": "Bell", "dateOfBirth": "1990-01-01"}
PATIENT |= {"address": {"lineOne": "1 High St"}, "site": {"name": "North"}, "archived": False}
WELL: list[tuple[int, Any]] = [
    (200, PATIENT),
    (200, {"content": [PATIENT], "page": 1, "last": False}),
    (200, {"content": [{"id": 1, "type": "patient.updated", "url": "https://gateway.example"}], "last": True}),
    (200, {"data": {"id": "5", "last": "Bell", "first": "Ann", "changed": "2026-01-01T00:00:00Z"}}),
    (200, {"data": [{"id": "5", "last": "Bell", "first": "Ann", "externalId": "p"}], "meta": {"next": "5"}}),
    (409, {"error": "in use"}),
]
READING = {"kind": "weight", "reading": {"id": 1, "weight": 70, "patient": {"id": 5}}}

CALLS: dict[str, Callable[[], Any]] = {
    "impilo read": lambda: impilo.read(Target("Patient", "p", identifiers=((impilo.ID_SYSTEM, "5"),)), IMPILO),
    "impilo scan": lambda: impilo.scan(None, IMPILO),
    "impilo gather": lambda: impilo.gather(Event("gather", "Observation", "weight-1", READING), IMPILO),
    "impilo register": lambda: impilo.register(Hook("https://gateway.example", "s"), IMPILO),
    "rest read": lambda: rest.read(Target("Patient", "p"), REST),
    "rest scan": lambda: rest.scan(None, REST),
    "rest gather": lambda: rest.gather(Event("gather", "Immunization", "x"), REST),
    "rest register": lambda: rest.register(Hook("https://gateway.example", "s"), REST),
    "xml read": lambda: rest.read(Target("Patient", "p", "5"), XML),
}
for number, item in enumerate(ITEMS):
    CALLS |= {f"impilo push {number}": lambda item=item: impilo.push(item, IMPILO)}  # type: ignore[misc]
    CALLS |= {f"impilo put {number}": lambda item=item: impilo.push(item, PUT)}  # type: ignore[misc]
    CALLS |= {f"rest push {number}": lambda item=item: rest.push(item, REST)}  # type: ignore[misc]


def answers() -> Iterator[list[Reply]]:
    well = [Reply(status, {}, json.encode(body)) for status, body in WELL]
    for status, body in WELL:
        for odd in broken(body):
            yield [Reply(status, {}, json.encode(odd)), *well]
            yield [*well[:2], Reply(status, {}, json.encode(odd)), *well]


@pytest.mark.parametrize("name", CALLS)
def test_no_answer_breaks_it(name: str) -> None:
    for replies in answers():
        play(CALLS[name](), list(replies))


def test_one_odd_row_of_a_list_costs_none_of_the_others() -> None:
    """One without an id is none; one that cannot be read is for a person to look at."""
    path = "marks.where(kind = 'legal').text.substring(0, 20)"
    fields = {"name.family": "last", "name.given": "first", "maritalStatus.text": {"path": path, "direction": "in"}}
    side = Side(
        "https://gateway.example/fhir", "https://ehr.example", name="ehr", mapping={"Patient": {"fields": fields}}
    )
    rows = [
        {"last": "Bell", "first": "Ann"},
        {"id": "2", "last": "Cole", "first": "Bob", "marks": [{"kind": "legal", "text": 5}]},
        {"id": "3", "last": "Dunn", "first": "Cay"},
    ]
    page = play(rest.scan(None, side), [Reply(200, {}, json.encode(rows))])
    assert isinstance(page, Page)
    assert [(one.remote_id, one.doubt is not None) for one in page.found] == [("2", True), ("3", False)]
