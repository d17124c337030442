"""Operators' API: what is owed to systems, what was given up, and what went wrong with them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from gateway.delivery import owed
from gateway.delivery.owed import Selection
from gateway.errors import InvalidInput
from gateway.routes.context import Context, context_of
from gateway.routes.http import flag_of, number_of, plain_json, read_json

router = APIRouter()

_MOST = 1000
_LARGEST = 2**62
_SHOWN = 100


class Replay(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The body of a replay. `all` True = everything that was given up."""

    ids: tuple[int, ...] = ()
    connector: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    all: bool = False
    dry_run: bool = False


class Release(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a release: `patient` = our id."""

    connector: str
    patient: str


@router.get("/api/deliveries")
async def deliveries(request: Request) -> Response:
    """By id; without a state those that were given up, with the reason. `next` = what to give as `after`."""
    context = await _operator(request)
    state, connector = (request.query_params.get(name) for name in ("state", "connector"))
    most, after = _limit(request), number_of(request, "after", 0, _LARGEST)
    found = await context.store.query_aside(
        lambda reader: owed.listed(reader, state, connector, limit=most, after=after)
    )
    more = {"next": found[-1].id} if len(found) == most else {}
    return plain_json({"deliveries": [one.to_json() for one in found], **more})


@router.post("/api/deliveries/replay")
async def replay(request: Request) -> Response:
    """Try given-up ones again: one, a range or all; with `dryRun` only say which."""
    context = await _operator(request)
    asked = await _body(request, Replay)
    since, until = (_aware(moment) for moment in (asked.since, asked.until))
    selection = Selection(asked.ids, asked.connector, since, until, asked.all)
    orders = await run_in_threadpool(owed.replay, context.store, selection, dry=asked.dry_run)
    if not asked.dry_run:
        context.flow.ordered()
    shown = [order.to_json() for order in orders[:_SHOWN]]
    return plain_json({"dryRun": asked.dry_run, "count": len(orders), "deliveries": shown})


@router.post("/api/deliveries/release")
async def release(request: Request) -> Response:
    """End the loop alarm of one patient on one system."""
    context = await _operator(request)
    asked = await _body(request, Release)
    await run_in_threadpool(owed.release, context.store, asked.connector, asked.patient)
    context.flow.ordered()
    return plain_json({"released": True})


@router.get("/api/incidents")
async def incidents(request: Request) -> Response:
    """Newest first; `open` = only those that are not over. `next` = what to give as `before`."""
    context = await _operator(request)
    most, before, opened = _limit(request), number_of(request, "before", _LARGEST, _LARGEST), flag_of(request, "open")
    rows = await context.store.query_aside(lambda reader: reader.incidents(limit=most, before=before, only_open=opened))
    more = {"next": rows[-1].incident_id} if len(rows) == most else {}
    return plain_json({"incidents": [row.to_json() for row in rows], **more})


def _limit(request: Request) -> int:
    """At least one, and no more than a page."""
    return max(1, min(number_of(request, "limit", 100, _LARGEST), _MOST))


async def _operator(request: Request) -> Context:
    context = context_of(request)
    principal = await context.caller(request)
    principal.require_service("operator")
    return context


async def _body(request: Request, shape: type[Any]) -> Any:
    _, body = await read_json(request, context_of(request).settings.max_bytes)
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        raise InvalidInput(str(error)) from None


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
