"""What attempts tell about a system: the circuit opens, is probed, closes; a lost login waits for a new one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.delivery import health
from gateway.delivery.health import Breaker, Sign, after, allowance, fresh, sign_of
from gateway.errors import (
    Conflict,
    HeldBack,
    PartnerLoginExpired,
    PartnerPending,
    PartnerRejected,
    PartnerUnavailable,
    PartnerUnknown,
)
from gateway.fhir import json
from gateway.store import HealthRow

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BREAKER = Breaker(failures=3, pause=5.0, longest=60.0)
DOWN = Sign("down", PartnerUnknown("x failed with status 500"))
UP = Sign("up")


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def failed(times: int, *, now: datetime = NOW) -> HealthRow:
    row = fresh("x", NOW)
    for _ in range(times):
        row = after(row, DOWN, now, BREAKER)
    return row


def test_the_first_answer_makes_it_connected() -> None:
    row = after(fresh("x", NOW), UP, later(1), BREAKER)
    assert (row.state, row.since, row.last_success_at) == (health.CONNECTED, later(1), later(1))
    assert after(row, UP, later(2), BREAKER) is row, "not worth a write"
    assert after(row, UP, later(20), BREAKER).last_success_at == later(20)


def test_failures_in_a_row_open_the_circuit() -> None:
    row = failed(2)
    assert (row.state, row.failures, row.open_until) == (health.DEGRADED, 2, None)
    assert allowance(row, NOW, 16) == 16
    row = failed(3)
    assert (row.state, row.open_until) == (health.ERROR, later(5))
    assert json.decode(row.last_error.encode()) == {
        "code": "timeout",
        "message": "x failed with status 500",
        "at": NOW.isoformat().replace("+00:00", "Z"),
    }
    assert [allowance(row, later(seconds), 16) for seconds in (0, 4.9, 5, 100)] == [0, 0, 1, 1]
    assert allowance(None, NOW, 16) == 16


def test_what_was_under_way_when_it_opened_does_not_make_it_longer() -> None:
    row = failed(3)
    assert after(row, DOWN, later(1), BREAKER) is row


def test_each_failed_probe_doubles_the_wait_up_to_the_longest() -> None:
    row, waits = failed(3), []
    for _ in range(6):
        now = row.open_until
        assert now is not None
        row = after(row._replace(open_until=now + timedelta(seconds=30)), DOWN, now, BREAKER, probe=True)
        waits.append((row.open_until - now).total_seconds())  # type: ignore[operator]
    assert waits == [10, 20, 40, 60, 60, 60]
    row = after(row, UP, later(1000), BREAKER)
    assert (row.state, row.failures, row.open_until) == (health.CONNECTED, 0, None)


def test_who_asks_us_to_wait_is_left_alone_so_long() -> None:
    row = after(fresh("x", NOW), Sign("down", wait=7.0), NOW, BREAKER)
    assert (row.state, row.open_until) == (health.DEGRADED, later(7))
    assert allowance(row, later(7), 16) == 16, "no probe: it is not broken"


def test_an_answer_that_was_under_way_does_not_shorten_a_wait_that_they_asked_for() -> None:
    row = after(fresh("x", NOW), Sign("down", wait=7.0), NOW, BREAKER)
    assert after(row, UP, later(1), BREAKER) is row and allowance(row, later(6), 16) == 0
    assert after(row, UP, later(1), BREAKER, probe=True).open_until is None
    assert after(row, UP, later(7), BREAKER).state == health.CONNECTED


def test_a_lost_login_stays_lost_until_somebody_authorises_again() -> None:
    row = after(failed(1), Sign("login", PartnerLoginExpired("gone")), NOW, BREAKER)
    assert row.state == health.NEEDS_REAUTH and allowance(row, later(59), 16) == 0
    assert allowance(row, later(60), 16) == 1, "their side may have made it good"
    assert after(row, UP, later(61), BREAKER, probe=True).state == health.CONNECTED
    assert after(row, UP, later(1), BREAKER) is row, "an answer that was under way"
    assert after(row, DOWN, later(1), BREAKER).state == health.NEEDS_REAUTH
    row = health.authorised(row, later(2))
    assert (row.state, row.since) == (health.PENDING, later(2)) and allowance(row, later(2), 16) == 16


@pytest.mark.parametrize(
    ("error", "repeated", "kind"),
    [
        (PartnerUnknown("500"), False, "down"),
        (PartnerUnknown("500"), True, "down alone"),
        (PartnerUnavailable("read failed"), True, "down alone"),
        (PartnerUnavailable("no connection", reached=False), True, "down"),
        (PartnerUnavailable("429", retry_after=3.0), True, "down"),
        (HeldBack("rate"), False, None),
        (PartnerLoginExpired("401"), True, "login"),
        (PartnerRejected("422"), False, None),
        (PartnerPending("202"), False, "up"),
        (Conflict("held"), False, None),
    ],
)
def test_what_an_error_tells_about_the_whole_system(error: Exception, repeated: bool, kind: str | None) -> None:
    sign = sign_of(error, repeated=repeated)  # type: ignore[arg-type]
    assert (f"{sign.kind}{' alone' if sign.alone else ''}" if sign else None) == kind


def test_what_fails_again_and_again_is_its_patients_own_only_where_others_get_through() -> None:
    again = Sign("down", PartnerUnknown("x failed with status 500"), alone=True)
    answers = after(fresh("x", NOW), UP, NOW, BREAKER)
    assert after(answers, again, later(1), BREAKER) is answers
    row = failed(1)
    for _ in range(2):
        row = after(row, again, later(2), BREAKER)
    assert (row.state, row.open_until) == (health.ERROR, later(7)), (
        "nobody else got through: an outage of a quiet system"
    )
    for _ in range(9):
        row = after(row, again, NOW, BREAKER, probe=True)
    assert row.open_until == later(30), "she may be the only one that fails, so others wait no longer than that"
    assert after(row, DOWN, NOW, BREAKER, probe=True).open_until == later(60)
