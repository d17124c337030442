"""Addresses of brokers, and extras that are not installed."""

from __future__ import annotations

import sys

import pytest

from gateway.connectors.config import from_json
from gateway.delivery import queues
from gateway.errors import InvalidInput


def test_an_address_names_hosts_and_ports() -> None:
    assert queues.hosts("a.example:9092, b.example:9093") == [("a.example", 9092), ("b.example", 9093)]
    assert queues.hosts("[::1]:5672") == [("::1", 5672)]


@pytest.mark.parametrize("text", ["", "a.example", ":9092", "a.example:", "a.example:x", "a:1,"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"sync\.address"):
        queues.hosts(text)


def test_a_broker_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gateway.delivery.kafka", None)
    sync = {"mode": "queue", "broker": "kafka", "address": "a:1", "topic": "t"}
    config = from_json({"name": "q", "profile": "fhir", "endpoint": "https://q.example", "sync": sync})
    with pytest.raises(InvalidInput, match=r"fhir-gateway\[kafka\]"):
        queues.opener(config)
