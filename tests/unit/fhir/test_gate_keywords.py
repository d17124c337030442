"""The order of two times: compared as written where that tells, as dates where it does not."""

from __future__ import annotations

from itertools import product

import pytest

from gateway.fhir import gate
from gateway.fhir.partial_date import is_after

TIMES = [
    "2024",
    "2024-02",
    "2024-02-28",
    "2024-02-29",
    "2024-02-29T10:00:00Z",
    "2024-02-29T10:00:01Z",
    "2024-02-29T10:00:00+01:00",
    "2024-02-29T10:00:00-05:00",
    "2024-02-29T09:59:59-05:00",
    "2024-02-29T10:00:00.5Z",
    "2024-02-29T10:00:01.4Z",
    "2024-02-29T23:59:60Z",
    "2024-02-29T23:59:59Z",
]


@pytest.mark.parametrize(("start", "end"), list(product(TIMES, repeat=2)))
def test_a_period_is_refused_exactly_when_it_ends_before_it_starts(start: str, end: str) -> None:
    encounter = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
    found = gate.check({**encounter, "period": {"start": start, "end": end}})

    assert bool(found) == is_after(start, end)


def test_both_answers_occur() -> None:
    assert {is_after(start, end) for start, end in product(TIMES, repeat=2)} == {True, False}
