"""`gateway plan`: what is owed to whom, field by field, and nothing is changed by asking."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.commands import connectors, plan
from gateway.errors import Missing
from gateway.fhir import json
from gateway.flow import Flow, Received
from gateway.planning.directory import ENDED
from gateway.settings import Settings
from gateway.store import Store

OBSERVATION = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "weight"},
    "subject": {"reference": "urn:uuid:0b5f3b52-7c5a-4c53-9a43-0c8f3f8f2b01"},
}
PATIENT = {
    "resourceType": "Patient",
    "identifier": [{"system": "https://app.example/patients", "value": "ada-1"}],
    "name": [{"use": "official", "family": "Quill", "given": ["Ada"]}],
    "birthDate": "1990-12-10",
}
BUNDLE = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": "urn:uuid:0b5f3b52-7c5a-4c53-9a43-0c8f3f8f2b01",
            "resource": PATIENT,
            "request": {"method": "POST", "url": "Patient"},
        },
        {"resource": OBSERVATION, "request": {"method": "POST", "url": "Observation"}},
    ],
}
FILE = [
    {"name": "app", "profile": "intake", "push": False},
    {"name": "registry", "type": "FHIR", "endpoint": "https://registry.example/fhir"},
    {"name": "partner", "profile": "canvas", "endpoint": "https://partner.example"},
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, database_url=None, public_url="http://gateway.example")


@pytest.fixture(autouse=True)
def posted(store: Store, settings: Settings) -> None:
    """A transaction was applied, and no worker runs."""
    connectors.apply(store, json.encode(FILE))
    flow = Flow(store, ours=settings.fhir_base, tolerance=settings.tolerance, ordered=lambda: None)
    raw = json.encode(BUNDLE)
    received = Received("app", "app", "fhir-bundle", "application/fhir+json", raw)
    asyncio.run(flow.transaction(received, flow.entries(json.decode(raw)), full=False))


def test_each_side_is_owed_what_it_can_carry(store: Store, settings: Settings) -> None:
    lines = plan.lines(store, settings, None)
    owed = {(line.connector, line.resource.split("/")[0], line.field) for line in lines}
    assert ("registry", "Observation", plan.WHOLE) in owed
    assert ("registry", "Patient", "birthDate") in owed
    assert ("partner", "Patient", "birthDate") in owed
    assert not any(connector == "partner" and kind == "Observation" for connector, kind, _ in owed)
    assert not any(connector == "app" for connector, _, _ in owed)
    assert {line.there for line in lines} == {None}


def test_one_connector_alone(store: Store, settings: Settings) -> None:
    assert {line.connector for line in plan.lines(store, settings, "partner")} == {"partner"}
    with pytest.raises(Missing, match="nobody"):
        plan.lines(store, settings, "nobody")


def test_values_are_told_only_when_asked_for(store: Store, settings: Settings) -> None:
    lines = plan.lines(store, settings, "registry")
    quiet = str([line.to_json(values=False) for line in lines]) + str([line.cells() for line in lines])
    assert "1990-12-10" not in quiet
    assert "Quill" not in quiet
    assert "1990-12-10" in str([line.to_json(values=True) for line in lines])


def test_asking_changes_nothing(store: Store, settings: Settings) -> None:
    before = store.query_now(lambda reader: (reader.last_seq(), reader.deliveries(["due"], limit=100)))
    assert plan.lines(store, settings, None) == plan.lines(store, settings, None)
    assert store.query_now(lambda reader: (reader.last_seq(), reader.deliveries(["due"], limit=100))) == before


def test_a_connector_that_was_taken_away_is_sent_nothing(store: Store, settings: Settings) -> None:
    store.write_now(lambda tx: tx.set_connector_state("partner", ENDED))
    assert {line.connector for line in plan.lines(store, settings, None)} == {"registry"}
