"""How a connector is doing: what an attempt tells about its whole system, and what may be tried next.

The states are HMS-API's (`pending`, `connected`, `degraded`, `needs_reauth`, `error`; `paused` is the operator's and
stands with the connector). The circuit breaker is the usual one (Nygard, Release It!, chapter 5): after so many
failures in a row nothing is sent for a while, then one patient is tried, and the first success opens the way for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from gateway.errors import (
    GatewayError,
    HeldBack,
    PartnerLoginExpired,
    PartnerPending,
    PartnerUnavailable,
    PartnerUnknown,
)
from gateway.fhir import json
from gateway.store import HealthRow

PENDING, CONNECTED, DEGRADED = "pending", "connected", "degraded"
NEEDS_REAUTH, ERROR, PAUSED = "needs_reauth", "error", "paused"

BROKEN = (NEEDS_REAUTH, ERROR)
"""States in which one patient is tried now and then. A key that was taken again at their side needs nobody here."""

UNREACHABLE, LOGIN = "unreachable", "login"
"""Causes of incidents; there is one open incident per connector and cause."""

_ALONE = 30.0
"""Seconds of rest at most where it may be one patient's trouble on a quiet system: others are waiting for nothing."""
_STAMP = timedelta(seconds=10)
"""How exact `last_success_at` is: it is not worth a write for every delivery."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """After `failures` in a row nothing is sent for `pause` seconds, then twice as long after each failed probe, at
    most `longest`."""

    failures: int = 5
    pause: float = 5.0
    longest: float = 300.0

    def wait(self, failures: int) -> float | None:
        """Seconds of rest after so many failures in a row; None while the circuit is closed."""
        over = failures - self.failures
        return None if over < 0 else min(self.pause * 2.0 ** min(over, 32), self.longest)


@dataclass(frozen=True, slots=True)
class Sign:
    """What an attempt told about the system: that it answers (`up`), that it does not (`down`), that our login is no
    longer taken (`login`). `wait`: seconds they asked us to be quiet for. `alone`: it may be one patient's trouble."""

    kind: Literal["up", "down", "login"]
    error: GatewayError | None = None
    wait: float | None = None
    alone: bool = False


def sign_of(error: GatewayError, *, repeated: bool) -> Sign | None:
    """None when it tells nothing about the system as a whole. A patient that fails again and again (`repeated`) while
    others get through is that patient's own trouble, unless nothing could be sent at all."""
    if isinstance(error, PartnerLoginExpired):
        return Sign("login", error)
    if isinstance(error, HeldBack):
        return None
    if isinstance(error, PartnerUnavailable):
        silent = error.retry_after is not None or not error.reached
        return Sign("down", error, error.retry_after, alone=repeated and not silent)
    if isinstance(error, PartnerPending):
        return Sign("up")  # it answered, even if only that it will
    if isinstance(error, PartnerUnknown):
        return Sign("down", error, alone=repeated)
    return None


def fresh(connector: str, now: datetime) -> HealthRow:
    """Before its first call."""
    return HealthRow(connector, PENDING, now)


def allowance(row: HealthRow | None, now: datetime, most: int) -> int:
    """How many patients may be worked on: none while the circuit is open, one as a probe."""
    if row is None:
        return most
    if row.open_until is not None and row.open_until > now:
        return 0
    return min(most, 1) if row.state in BROKEN else most


def rest(row: HealthRow | None, now: datetime) -> float:
    """Seconds that nothing is asked of it: they asked us to wait, or the circuit is open."""
    until = row.open_until if row is not None else None
    return 0.0 if until is None else max((until - now).total_seconds(), 0.0)


def waits_for_login(row: HealthRow | None, now: datetime) -> bool:
    """Whether it is useless to call: nobody has authorised us again yet."""
    return row is not None and row.state == NEEDS_REAUTH and row.open_until is not None and row.open_until > now


def after(row: HealthRow, sign: Sign, now: datetime, breaker: Breaker, *, probe: bool = False) -> HealthRow:
    """The health after an attempt; the row itself when there is nothing to write down: what was under way when the
    circuit opened tells nothing new, only a `probe` does."""
    if sign.kind == "up":
        return _up(row, now, probe=probe)
    if sign.kind == "down" and not probe and row.open_until is not None and row.open_until > now:
        return row
    if sign.alone and row.failures == 0:
        return row  # the last one got through
    noted = row._replace(last_error=error_text(sign.error, now))
    if sign.kind == "login":
        return _moved(noted, NEEDS_REAUTH, now)._replace(open_until=now + timedelta(seconds=breaker.longest))
    failures = row.failures + 1
    wait = breaker.wait(failures)
    if wait is not None and sign.alone:
        wait = min(wait, _ALONE)
    if row.state == NEEDS_REAUTH:
        return noted
    pause = max(wait or 0.0, sign.wait or 0.0)
    open_until = now + timedelta(seconds=pause) if pause else None
    state = DEGRADED if wait is None else ERROR
    return _moved(noted, state, now)._replace(failures=failures, open_until=open_until)


def authorised(row: HealthRow, now: datetime) -> HealthRow:
    """After somebody authorised us again, or the credentials were replaced: as before the first call, so that the next
    poll is due as well."""
    return _moved(row, PENDING, now)._replace(failures=0, open_until=None, last_sync_at=None, last_error=None)


def _up(row: HealthRow, now: datetime, *, probe: bool) -> HealthRow:
    rests = row.open_until is not None and row.open_until > now
    if (row.state == NEEDS_REAUTH or rests) and not probe:
        return row  # an answer that was under way when the login was lost, or when they asked us to wait
    stamped = row.last_success_at is not None and now - row.last_success_at < _STAMP
    if row.state == CONNECTED and row.failures == 0 and row.open_until is None and stamped:
        return row
    return _moved(row, CONNECTED, now)._replace(failures=0, open_until=None, last_success_at=now)


def _moved(row: HealthRow, state: str, now: datetime) -> HealthRow:
    return row if row.state == state else row._replace(state=state, since=now)


def error_text(error: GatewayError | None, now: datetime) -> str:
    """`lastError` of HMS-API's status: a stable code, the message and the time; messages of ours never hold payload
    text."""
    code, message = (error.code, error.message) if error else (GatewayError.code, "")
    return json.encode({"code": code, "message": message, "at": now}).decode()
