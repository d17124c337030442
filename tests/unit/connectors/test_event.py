"""What webhooks mean."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.connectors import canvas, fhir_server, intake
from gateway.connectors.event import Event, from_standard
from gateway.connectors.protocol import Side, Target
from gateway.errors import InvalidInput, NotAllowed

SIDE = Side(ours="https://gateway.example/fhir", id_system="x")


def test_an_update_names_its_patient() -> None:
    event = from_standard(
        {"id": "evt_1", "type": "patient.updated", "timestamp": "2026-01-01T00:00:00Z", "data": {"id": 7}}
    )
    assert event == Event("changed", "Patient", "7", {"id": 7}, "evt_1", "2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("kind", "meaning"),
    [
        ("patient.created", "changed"),
        ("Patient.Updated", "changed"),
        ("patient.deleted", "deleted"),
        ("appointment.updated", "ignored"),
        ("patient.viewed", "ignored"),
        ("ping", "ignored"),
    ],
)
def test_kinds(kind: str, meaning: str) -> None:
    assert from_standard({"type": kind, "data": {"id": "p"}}).kind == meaning


@pytest.mark.parametrize("at", [None, 5, "yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-02-30T00:00:00Z"])
def test_a_time_that_orders_nothing_is_left_out(at: Any) -> None:
    event = from_standard({"type": "patient.updated", "timestamp": at, "data": {"id": "p"}})
    assert (event.kind, event.at) == ("changed", None)


def test_an_event_about_something_else_needs_no_data() -> None:
    assert from_standard({"type": "ping"}) == Event("ignored")


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "x",
        {},
        {"type": 3},
        {"type": "patient.updated"},
        {"type": "patient.updated", "data": {}},
        {"type": "patient.updated", "data": {"id": ""}},
        {"type": "patient.updated", "data": {"id": True}},
        {"type": "patient.updated", "data": [1]},
    ],
)
def test_what_says_nothing_is_refused(payload: Any) -> None:
    with pytest.raises(InvalidInput):
        from_standard(payload)


def test_partial_data_cover_what_they_name_and_nothing_by_absence() -> None:
    target = Target("Patient", "our-1", "pat_1", known={"name": [{"family": "Bell", "given": ["Ann"]}]})
    seen = canvas.translate({"id": "pat_1", "lastName": "Cole"}, target, SIDE)
    assert seen.remote_id == "pat_1"
    assert seen.body == {"resourceType": "Patient", "name": [{"family": "Cole", "given": ["Ann"]}]}
    assert seen.coverage is not None
    assert seen.coverage.covers("name[-]") and not seen.coverage.covers("birthDate")
    assert not seen.coverage.absence


def test_a_fhir_server_may_send_the_resource_itself() -> None:
    patient = {"resourceType": "Patient", "id": "x1", "meta": {"versionId": "3", "lastUpdated": "2026-01-01T00:00:00Z"}}
    event = fhir_server.event(patient)
    assert (event.kind, event.type, event.remote_id) == ("changed", "Patient", "x1")
    seen = fhir_server.translate(event.data, Target("Patient", "our-1", "x1"), SIDE)
    assert (seen.version, seen.at) == ('W/"3"', "2026-01-01T00:00:00Z")
    assert fhir_server.event({"resourceType": "AuditEvent", "id": "a"}).kind == "ignored"
    assert fhir_server.event({"type": "patient.deleted", "data": {"id": "x1"}}).kind == "deleted"


def test_an_intake_has_neither_webhooks_nor_a_side() -> None:
    with pytest.raises(InvalidInput):
        intake.event({"type": "patient.updated", "data": {"id": "x"}})
    with pytest.raises(NotAllowed):
        intake.read(Target("Patient", "p"), SIDE)
