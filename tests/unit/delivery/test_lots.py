"""What is read ahead in one go is a few milliseconds of the event loop, however much is due."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.reconciling.reconcile import _LOT, _lots
from gateway.store import Claim, Delivery

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def claimed(patient: int, deliveries: int) -> Claim:
    row = Delivery(1, "rest", 1, "", patient, "due", 0, NOW, None, patient, 1, None, NOW)
    return Claim("rest", patient, patient, NOW, (row,) * deliveries)


def test_small_ones_are_read_together_and_large_ones_alone():
    claims = [claimed(1, 1), claimed(2, _LOT - 1), claimed(3, 1), claimed(4, 3 * _LOT), claimed(5, 1)]
    assert [[one.patient for one in lot] for lot in _lots(claims)] == [[1, 2], [3], [4], [5]]
    assert list(_lots([])) == []
