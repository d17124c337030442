"""Whatever a partner answers, a connector returns or raises one of our errors: a bug of theirs is no crash of ours."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from gateway.connectors import canvas, canvas_fhir, fhir_server
from gateway.connectors.call import Accepted, Call, Page, Reply, Seen
from gateway.connectors.protocol import Item, Side, Target
from gateway.errors import GatewayError
from gateway.fhir import json

SIDE = Side(ours="https://gateway.example/fhir", id_system="https://partner.example")
BODY = {"resourceType": "Patient", "id": "p", "name": [{"family": "Bell", "given": ["Ann"]}]}
ITEM = Item("Patient", "p", BODY)
KNOWN = Item("Patient", "p", BODY, "r", 'W/"1"')
BORN = Item("Patient", "p", {**BODY, "birthDate": "1990-01-01"}, "r")
LOCAL = {"Patient/r": "Patient/p"}

OK_PATIENT = {
    "resourceType": "Patient",
    "id": "r",
    "meta": {"versionId": "1", "lastUpdated": "2026-01-01T00:00:00Z"},
    "identifier": [{"system": f"{SIDE.ours}/Patient", "value": "p"}],
    "link": [{"other": {"reference": "Patient/r"}}],
}
ENTRY = {
    "resource": OK_PATIENT,
    "response": {"status": "201", "location": "Patient/r/_history/1", "etag": 'W/"1"', "lastModified": "2026-01-01"},
    "search": {"mode": "match"},
}
WELL_FORMED: list[tuple[int, Any]] = [
    (200, OK_PATIENT),
    (200, {"resourceType": "Bundle", "entry": [ENTRY, ENTRY]}),
    (200, {"resourceType": "Bundle", "entry": [ENTRY]}),
    (
        422,
        {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "error", "code": "x", "expression": ["Bundle.entry[7]"]}],
        },
    ),
    (201, {"id": "pat_1", "externalId": "p", "firstName": "Ann", "lastName": "Bell", "dateOfBirth": "1990-01-01"}),
    (409, {"error": "duplicate", "id": "pat_1"}),
]
EVENTS: list[Any] = [
    OK_PATIENT,
    {
        "id": "e",
        "type": "patient.updated",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {"id": "r", "lastName": "Cole"},
    },
]
ODD: list[Any] = [None, True, -1, "", "..", "Patient/r", [], [None], ["x"], [[]], {}, {"x": None}, {"id": {}}]


def broken(value: Any) -> Iterator[Any]:
    """The value with one of its nodes, itself included, replaced by each odd one, or left out."""
    yield from ODD
    if isinstance(value, dict):
        for key, held in value.items():
            yield {name: one for name, one in value.items() if name != key}
            yield from ({**value, key: odd} for odd in broken(held))
    if isinstance(value, list):
        for at, held in enumerate(value):
            yield from ([*value[:at], odd, *value[at + 1 :]] for odd in broken(held))


def answers() -> Iterator[list[Reply]]:
    well = [Reply(status, {}, json.encode(body)) for status, body in WELL_FORMED]
    for status, body in WELL_FORMED:
        for odd in broken(body):
            yield [Reply(status, {}, json.encode(odd)), *well]


def play(calls: Generator[Call, Reply, Any], replies: list[Reply]) -> Any:
    """What comes of it: the result, or the error of ours that it raised."""
    try:
        next(calls)
        for reply in replies:
            calls.send(reply)
    except StopIteration as finished:
        return finished.value
    except GatewayError as error:
        return error
    raise AssertionError("it asks without end")


@pytest.mark.parametrize(
    "begin",
    [
        lambda: canvas.read(Target("Patient", "p"), SIDE),
        lambda: canvas.push(ITEM, SIDE),
        lambda: canvas.push(KNOWN, SIDE),
        lambda: fhir_server.read(Target("Patient", "p", local=LOCAL), SIDE),
        lambda: fhir_server.read(Target("Patient", "p", "r", local=LOCAL), SIDE),
        lambda: fhir_server.push(KNOWN, SIDE),
        lambda: fhir_server.push_bundle([ITEM, KNOWN], SIDE, {}),
        lambda: canvas_fhir.read(Target("Patient", "p", "r"), SIDE),
        lambda: canvas_fhir.read(Target("Patient", "p"), SIDE),
        lambda: canvas_fhir.push(BORN, SIDE),
        lambda: canvas_fhir.scan(None, SIDE),
    ],
    ids=[
        "canvas read",
        "canvas create",
        "canvas update",
        "fhir search",
        "fhir read",
        "fhir push",
        "fhir group",
        "canvas fhir read",
        "canvas fhir search",
        "canvas fhir update",
        "canvas fhir scan",
    ],
)
def test_any_answer_is_survived(begin: Callable[[], Generator[Call, Reply, Any]]) -> None:
    outcomes = [play(begin(), replies) for replies in answers()]
    assert len(outcomes) > 1000
    assert any(isinstance(outcome, GatewayError) for outcome in outcomes)
    assert any(isinstance(outcome, Seen | Accepted | Page | list) for outcome in outcomes), "and some were good"


@pytest.mark.parametrize("connector", [canvas, canvas_fhir, fhir_server])
@pytest.mark.parametrize("well_formed", EVENTS, ids=["resource", "event"])
def test_any_webhook_is_survived(connector: Any, well_formed: Any) -> None:
    for payload in broken(well_formed):
        try:
            event = connector.event(payload)
            if event.kind == "changed":
                target = Target(event.type, "p", event.remote_id, local=LOCAL)
                connector.translate(event.data, target, SIDE)
        except GatewayError:
            continue
