"""How long a resource waits for what it refers to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.connectors.config import Config
from gateway.planning import waiting
from gateway.store import Delivery, Head

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CONFIG = Config(name="registry", profile="fhir", endpoint="https://registry.example")
NAME = "Practitioner/d"


def reader(*standing: Delivery) -> Any:
    """What the store would answer: one Practitioner, and these deliveries of it."""
    head = Head(7, "Practitioner", "d", 3, 1, NOW, False, None)
    return SimpleNamespace(
        heads=lambda pairs: {("Practitioner", "d"): head} if ("Practitioner", "d") in pairs else {},
        deliveries_of=lambda rids: {7: list(standing)} if list(rids) else {},
    )


def standing(state: str, *, connector: str = "registry", seconds: float = 0.0) -> Delivery:
    due = NOW + timedelta(seconds=seconds)
    return Delivery(1, connector, 7, "", 7, state, 0, due, None, None, 3, None, NOW)


@pytest.mark.parametrize(
    ("state", "due_in", "seconds"),
    [("due", 0, 1.0), ("unknown", 20, 21.0), ("due", 9_999, 300.0), ("rejected", 0, 300.0), ("done", 0, 1.0)],
)
def test_it_looks_again_when_that_may_be_there(state: str, due_in: float, seconds: float) -> None:
    wait = waiting.plan(reader(standing(state, seconds=due_in)), CONFIG, [NAME], NOW)
    assert (wait.seconds, wait.orders) == (seconds, ())
    told = f"waits for {NAME}" + (", which was rejected" if state == "rejected" else "")
    assert wait.reason == told


def test_what_nobody_ordered_is_ordered() -> None:
    wait = waiting.plan(reader(standing("due", connector="another")), CONFIG, [NAME], NOW)
    [order] = wait.orders
    assert (order.connector, order.rid, order.remote_id, order.want) == ("registry", 7, "", 3)
    assert wait.seconds == 1.0


def test_what_is_not_even_here_is_named() -> None:
    wait = waiting.plan(reader(), CONFIG, ["Device/x"], NOW)
    assert wait == waiting.Wait("waits for Device/x", 1.0)
