"""Runs: looking through all that a system holds, asked for by an operator or by the first contact."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal

import msgspec

from gateway.connectors.config import from_json
from gateway.errors import Conflict, InvalidInput, Missing, NotConformant
from gateway.fhir import json, times
from gateway.fhir.json import Json
from gateway.planning.directory import STILL
from gateway.planning.uuid7 import new_id
from gateway.store import ConnectorRow, Reader, RunRow, Tx

RUNNING, DONE, PLANNED, FAILED = "running", "done", "planned", "failed"
PREFIX = "sync_"

_MOST_IDS = 10_000
_MOST_LISTED = 1_000
"""How many of the held and of the conflicts a report names; all are counted."""


class Asked(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The body of `POST .../{id}/sync` (HMS-API). full = everything, delta = what changed since the last look, resend =
    what failed is tried again. `patientIds` are theirs or ours. `first` = a first contact in plan. `offer` = afterwards
    they are sent what they lack of ours."""

    mode: Literal["full", "delta", "resend", "first"] = "full"
    since: str | None = None
    dry_run: bool = msgspec.field(default=False, name="dryRun")
    patient_ids: tuple[str, ...] = msgspec.field(default=(), name="patientIds")
    offer: bool = False

    @property
    def after(self) -> datetime | None:
        """What they last changed before that is left out."""
        return times.from_instant(_SHORT.sub(r"\1:00\2", self.since)) if self.since else None


_SHORT = re.compile(r"(T\d\d:\d\d)(Z|[+-]\d\d:\d\d)$", re.ASCII)
"""HMS-API writes times without seconds too."""

FIRST = Asked(mode="first", dry_run=True, offer=True)
AFTER_GO = Asked(offer=True)


class Listed(msgspec.Struct, frozen=True):
    """One of theirs that a person must look at, by its id there; never what is in it."""

    type: str
    id: str
    reason: str


class Report(msgspec.Struct):
    """What came, or would come, of what was seen: so many of theirs made a resource, were linked to one of ours,
    changed one, were as known, or are no longer there; held and failed ones changed nothing. `conflicts`: resources on
    which they and others disagree. `offered`: resources of ours that they lack and are sent."""

    seen: int = 0
    created: int = 0
    linked: int = 0
    changed: int = 0
    same: int = 0
    ended: int = 0
    held: int = 0
    failed: int = 0
    conflicts: int = 0
    pages: int = 0
    retried: int = 0
    offered: int = 0
    must_look: list[Listed] = msgspec.field(default_factory=list, name="mustLook")
    differ: list[Listed] = msgspec.field(default_factory=list)

    def list_held(self, one: Listed) -> None:
        if len(self.must_look) < _MOST_LISTED:
            self.must_look.append(one)

    def list_conflict(self, one: Listed) -> None:
        self.conflicts += 1
        if len(self.differ) < _MOST_LISTED:
            self.differ.append(one)


def parse(body: Json) -> Asked:
    """Raises NotConformant naming the field."""
    try:
        asked = msgspec.convert({} if body is None else body, Asked)
    except msgspec.ValidationError as error:
        raise NotConformant(f"sync: {error}") from None
    if asked.mode == "first":
        raise NotConformant("sync: mode must be full, delta or resend")
    if len(asked.patient_ids) > _MOST_IDS or not all(one.strip() for one in asked.patient_ids):
        raise NotConformant(f"sync: patientIds must list at most {_MOST_IDS} ids, none of them blank")
    _check_since(asked)
    return asked


def _check_since(asked: Asked) -> None:
    try:
        _ = asked.after
    except InvalidInput:
        raise NotConformant("sync: since must be a date and time with its offset") from None


def begin(tx: Tx, row: ConnectorRow, asked: Asked) -> RunRow:
    """A new run, or the one that is under way: one at a time. Raises Conflict when the connector is not at work."""
    under_way = running(tx, row.name)
    if under_way is not None:
        return under_way
    if (row.state in STILL or from_json(json.decode(row.config)).waits) and not asked.dry_run:
        raise Conflict(f"{row.name} is paused, or waits for go: only a dry run can be made now")
    text = json.encode(msgspec.to_builtins(asked)).decode()
    made = RunRow(f"{PREFIX}{new_id(tx.now)}", row.name, asked.mode, RUNNING, asked.dry_run, text, tx.now, tx.now)
    tx.put_run(made)
    return made


def keep(tx: Tx, row: RunRow) -> bool:
    """Write down how far it is. False, and nothing is written, when it was ended meanwhile."""
    stored = tx.run(row.run_id)
    if stored is None or stored.state != RUNNING:
        return False
    tx.put_run(row)
    return True


def end_plan(tx: Tx, row: ConnectorRow) -> None:
    """The operator said go: the first contact in plan is over, finished or not."""
    for one in tx.runs_of(row.name, limit=_MOST_PLANS):
        if one.mode == "first" and one.state in (RUNNING, PLANNED):
            tx.put_run(one._replace(state=DONE, at=tx.now, finished_at=one.finished_at or tx.now))


_MOST_PLANS = 100


def running(reader: Reader, connector: str) -> RunRow | None:
    return next((one for one in reader.running() if one.connector == connector), None)


def get(reader: Reader, connector: ConnectorRow, run_id: str) -> RunRow:
    """Raises Missing."""
    found = reader.run(run_id)
    if found is None or found.connector != connector.name:
        raise Missing(f"{connector.name} has no sync {run_id!r}")
    return found


def asked_of(row: RunRow) -> Asked:
    return msgspec.convert(json.decode(row.asked), Asked)


def report_of(row: RunRow) -> Report:
    return msgspec.convert(json.decode(row.report), Report)


def started(row: RunRow) -> dict[str, Any]:
    """The answer to `POST .../{id}/sync`."""
    return {"status": "sync_started", "startedAt": _instant(row.started_at), "syncId": row.run_id}


def shown(row: RunRow, connector_id: str) -> dict[str, Any]:
    """Progress and, as far as it went, the report."""
    return {
        "syncId": row.run_id,
        "connectorId": connector_id,
        "status": row.state,
        "mode": row.mode,
        "dryRun": row.dry,
        "startedAt": _instant(row.started_at),
        "updatedAt": _instant(row.at),
        "finishedAt": _instant(row.finished_at) if row.finished_at else None,
        "report": msgspec.to_builtins(report_of(row)),
        "error": row.error,
    }


def _instant(moment: datetime) -> str:
    """To the second, as HMS-API writes times."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
