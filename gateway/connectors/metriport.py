"""Metriport: a patient under our id as `externalId`; what the networks know of her comes by webhooks.

Source: metriport.md. An API key in `x-api-key`. Creating somebody they hold already answers 201 with that patient: the
externalId tells whose it is. Their eTag makes every change conditional. Their webhooks name short-lived addresses,
which are fetched at once (`metriport_events`); everything a user or an operator starts is in `metriport_calls`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from gateway.connectors import event as events
from gateway.connectors import metriport_events as told
from gateway.connectors.call import (
    Accepted,
    Call,
    Found,
    Gather,
    Page,
    Push,
    Read,
    Reply,
    Scan,
    Seen,
    absent,
    refused,
    segment,
)
from gateway.connectors.event import Event
from gateway.connectors.metriport_calls import PATIENTS, Options, complaint, facility_of, options_of
from gateway.connectors.protocol import Hook, Item, Side, Target, TheirSecret
from gateway.errors import Conflict, PartnerRejected, VersionConflict
from gateway.fhir.json import Resource
from gateway.identity.agree import agrees, may_be_relatives
from gateway.translators.json import metriport as model

__all__ = ["Options"]

PROFILE = "metriport"

form = model.FORM

_PAGE = 500


class Listed(msgspec.Struct):
    """A page of their patients."""

    meta: dict[str, Any]
    patients: list[dict[str, Any]]


def accepts(resource_type: str) -> bool:
    """Clinical resources are contributed when somebody asks for it, never by themselves."""
    return resource_type == "Patient"


def read(target: Target, side: Side) -> Read:
    """By their id; before a link by ours, which they keep as externalId."""
    if target.remote_id is not None:
        reply = yield Call("GET", f"{PATIENTS}/{segment(target.remote_id)}")
    else:
        reply = yield Call("GET", f"{PATIENTS}/external-id", params=(("externalId", target.id),))
    if (none := absent(reply)) is not None:
        return none
    held = _patient_of(reply, "reading a patient", target.remote_id)
    if target.remote_id is None and held.get("externalId") != target.id:
        raise PartnerRejected("they answer the search by our id with a patient who does not have it")
    return _seen(held, side)


def push(item: Item, side: Side) -> Push:
    """Change the patient that is linked; else look whether they hold her already, and create her if not."""
    wanted = model.to_partner(item.body, our_id=item.id)
    if wanted.missing:
        raise PartnerRejected(f"they require what is missing here: {', '.join(wanted.missing)}")
    if item.remote_id is not None:
        return (yield from _update(item, side, item.remote_id, wanted.body))
    reply = yield Call("POST", f"{PATIENTS}/match", wanted.body)
    if reply.status == 404:
        reply = yield Call("POST", PATIENTS, wanted.body, params=_facility(side))
        _check(reply, "creating a patient")
    else:
        _check(reply, "matching a patient")
    held = _patient_of(reply, "creating a patient")
    if held.get("externalId") == item.id:
        seen = _seen(held, side)
        return Accepted(seen.remote_id or "", seen.body, seen.at, seen.version, seen.coverage)
    yield from _adopt(item, side, held)
    # Theirs now bears our id: it is read again and compared as any other copy, before a word of it is changed.
    raise VersionConflict("they held this patient already, and now know it by our id")


def event(payload: Any) -> Event:
    return told.event(payload)


def translate(data: Mapping[str, Any], target: Target, side: Side) -> Seen:  # noqa: ARG001 (the protocol's signature)
    return _seen(data, side)


def gather(event: Event, side: Side) -> Gather:
    """Everything a webhook speaks of, from its short-lived addresses; the patients it names first."""
    return told.gather(event, side)


def answer(payload: Any) -> Any | None:
    """A ping is answered with its pong."""
    ping = payload.get("ping") if isinstance(payload, dict) else None
    return {"pong": ping} if isinstance(ping, str) and told.kind_of(payload) == "ping" else None


def event_id(payload: Any) -> str | None:
    """The messageId and the type, which a retry repeats: the signature has no time, so these alone stop a replay."""
    meta = payload.get("meta") if isinstance(payload, dict) else None
    name = events.text(meta.get("messageId")) if isinstance(meta, dict) else None
    return f"{name} {told.kind_of(payload)}".strip() if name else None


def scan(cursor: str | None, side: Side) -> Scan:
    """A page of the patients, all of them each time: there is no list of changes. `cursor` = its first item."""
    options = options_of(side)
    params: list[tuple[str, str]] = [("count", str(_PAGE))]
    params += [("facilityId", options.facility_id)] if options.facility_id else []
    params += [("filters", options.filters)] if options.filters else []
    params += [("fromItem", cursor)] if cursor else []
    reply = yield Call("GET", PATIENTS, params=tuple(params))
    listed = reply.find(Listed) if reply.ok else None
    if listed is None:
        raise refused("listing the patients", reply)
    found = tuple(_found(_seen(held, side)) for held in listed.patients if events.text(held.get("id")))
    following = _next(listed.meta)
    return Page(found, following, more=following is not None)


def register(hook: Hook, side: Side) -> Generator[Call, Reply, TheirSecret | None]:  # noqa: ARG001 (the protocol's)
    """`POST /settings`: one address per account, which is left alone where it is somebody else's; the key is theirs."""
    reply = yield Call("GET", "/settings")
    taken = events.text((reply.find_object() or {}).get("webhookUrl")) if reply.ok else None
    if taken not in (None, hook.url):
        return None
    reply = yield Call("POST", "/settings", {"webhookUrl": hook.url})
    if not reply.ok:
        raise refused("registering a webhook", reply)
    key = events.text((reply.find_object() or {}).get("webhookKey"))
    return TheirSecret(key) if key is not None else None


def probe(side: Side) -> Generator[Call, Reply, None]:  # noqa: ARG001
    """The settings: the only call that needs no patient."""
    reply = yield Call("GET", "/settings")
    if not reply.ok:
        raise refused("reading the settings", reply)


def _update(item: Item, side: Side, remote_id: str, body: Mapping[str, Any]) -> Push:
    path = f"{PATIENTS}/{segment(remote_id)}"
    held = _patient_of((yield Call("GET", path)), "reading a patient", remote_id)
    version = events.text(held.get("eTag"))
    if item.version is not None and version != item.version:
        raise VersionConflict("they changed this patient since it was read")
    # An externalId that somebody else gave her is not ours to take: the link is by their own id.
    whole = model.merge(held, body) | {"externalId": events.text(held.get("externalId")) or item.id}
    reply = yield from _put(path, whole, version, side)
    seen = _seen(_patient_of(reply, "updating a patient", remote_id), side)
    return Accepted(remote_id, seen.body, seen.at, seen.version, seen.coverage)


def _put(path: str, body: Mapping[str, Any], version: str | None, side: Side) -> Generator[Call, Reply, Reply]:
    condition = {"if-match": version} if version else {}
    reply = yield Call("PUT", path, dict(body), condition, _facility(side))
    if reply.status == 412:
        raise VersionConflict("they changed this patient since it was read")
    _check(reply, "updating a patient")
    return reply


def _adopt(item: Item, side: Side, held: Mapping[str, Any]) -> Generator[Call, Reply, None]:
    """Put our id on a patient they hold already, and nothing else. Raises Conflict when it may be somebody else."""
    if held.get("externalId"):
        raise Conflict("held: they hold this patient under another externalId than ours; a person must look")
    body = _seen(held, side).body or {}
    if not agrees(body, item.body).full or may_be_relatives(body, item.body):
        raise Conflict("held: they matched a patient whose name or birth date differs; a person must look")
    path = f"{PATIENTS}/{segment(str(held['id']))}"
    yield from _put(path, model.of_theirs(held) | {"externalId": item.id}, events.text(held.get("eTag")), side)


def _check(reply: Reply, call: str) -> None:
    """Raises PartnerRejected naming the fields that they complain about, never what stands in them."""
    if not reply.ok:
        raise PartnerRejected(f"{call} was answered with status {reply.status}{complaint(reply)}")


def _patient_of(reply: Reply, call: str, remote_id: str | None = None) -> dict[str, Any]:
    """Raises PartnerRejected for no patient, and for another than the one that was asked for."""
    held = reply.find_object() if reply.ok else None
    named = events.text(held.get("id")) if held is not None else None
    if held is None or named is None:
        raise refused(call, reply)
    if remote_id is not None and named != remote_id:
        raise PartnerRejected(f"{call} was answered with another patient than was asked for")
    return held


def _facility(side: Side) -> tuple[tuple[str, str], ...]:
    return (("facilityId", facility_of(side)),)


def _seen(held: Mapping[str, Any], side: Side) -> Seen:
    read = model.from_partner(held, ours=side.ours, theirs=side.id_system)
    version = events.text(held.get("eTag"))
    return Seen(events.text(held.get("id")), read.patient, None, version, read.coverage, issues=read.issues)


def _found(seen: Seen) -> Found:
    body: Resource | None = seen.body
    return Found("Patient", seen.remote_id or "", body, seen.at, seen.version, seen.coverage, seen.issues)


def _next(meta: Mapping[str, Any]) -> str | None:
    """The first item of the next page, out of their address of it, which is not followed."""
    url = meta.get("nextPage")
    query = parse_qs(urlsplit(url).query) if isinstance(url, str) else {}
    return next(iter(query.get("fromItem", ())), None)
