"""Teller: turns the change feed into each subscriber's events, and sends those in order until they arrived."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from gateway.connectors.call import Call, Reply
from gateway.delivery import guard
from gateway.delivery.http import Outbound, Peer
from gateway.delivery.retry import next_attempt
from gateway.errors import GatewayError, PartnerUnavailable
from gateway.fhir import json
from gateway.store import Reader, Store, Tx
from gateway.store.subscribers import (
    Outgoing,
    Subscriber,
    Told,
    Turn,
    advance,
    claim,
    renew,
    settle,
    subscribers,
)
from gateway.telling import keys, wish
from gateway.telling.wish import Wish

log = structlog.get_logger(__name__)

PAGE = 500
"""Entries of the feed that are looked at in one transaction."""

EACH = 50
"""Events of one subscriber that are sent under one claim."""

TIMEOUT = 15.0
METRIPORT_TIMEOUT = 5.0
PING_TIMEOUT = 2.0
"""Metriport, "Webhooks"."""

_NOWHERE = "there is no webhook URL"


@dataclass(frozen=True, slots=True)
class Sent:
    """What a turn came to; `stop`: tell this subscriber nothing more until somebody resumes it."""

    told: tuple[Told, ...]
    stop: bool = False


@dataclass(slots=True)
class Teller:
    """The steps for `delivery.worker.Worker`; `schedule` and `lease` in seconds."""

    store: Store
    outbound: Outbound
    schedule: Sequence[float]
    lease: float
    rng: random.Random = field(default_factory=random.SystemRandom)

    async def claim(self, limit: int) -> Sequence[Turn]:
        """What is new in the feed is spread first."""
        behind = await self.store.query(_is_behind)
        if behind is None:
            return ()
        while behind:
            behind = await self.store.write(_spread)
        lease = timedelta(seconds=self.lease)
        return await self.store.write(lambda tx: claim(tx, lease=lease, limit=limit, each=EACH))

    async def renew(self, turn: Turn) -> bool:
        return await self.store.write(lambda tx: renew(tx, turn, tx.now + timedelta(seconds=self.lease)))

    async def reconcile(self, turn: Turn) -> Sent:
        """Send one after the other, no later one before an earlier one has arrived."""
        wanted = wish.load(turn.subscriber.config)
        if not wanted.url:
            return Sent(tuple(self._judged(wanted, one, None, _NOWHERE, None) for one in turn.events))
        kept = await self.store.query(lambda reader: reader.secrets(turn.subscriber.connector))
        signing = keys.find(kept, turn.subscriber)
        if signing is None:
            return Sent((), stop=True)
        told: list[Told] = []
        until = asyncio.get_running_loop().time() + self.lease / 2
        for event in turn.events:
            one = await self._send(turn.subscriber, wanted, signing, event)
            told.append(one)
            if wanted.form == "standard" and one.state != "done":
                return Sent(tuple(told), stop=one.state == "exhausted")
            if asyncio.get_running_loop().time() > until:
                break
        return Sent(tuple(told))

    async def settle(self, turn: Turn, sent: Sent) -> None:
        await self.store.write(lambda tx: settle(tx, turn, sent.told, stop=sent.stop))

    async def release(self, turn: Turn, error: Exception | None) -> None:
        """After an unexpected error it counts as an attempt; because we stop, it is given back as it was."""
        what = type(error).__name__
        wanted = wish.load(turn.subscriber.config)
        told = [self._judged(wanted, turn.events[0], None, what, None)] if error else []
        await self.store.write(lambda tx: settle(tx, turn, told, stop=any(one.state == "exhausted" for one in told)))

    async def _send(self, to: Subscriber, wanted: Wish, signing: keys.Keys, event: Outgoing) -> Told:
        headers = {"content-type": "application/json", **_signed(wanted, signing, event, datetime.now(UTC))}
        status, error, wait = None, None, None
        try:
            call = Call("POST", "", content=event.body, headers=headers)
            reply = await self.outbound.send(call, _peer(to, wanted, event))
            status = reply.status
            error = _wrong(event, reply)
        except GatewayError as failed:
            error = failed.message
            wait = failed.retry_after if isinstance(failed, PartnerUnavailable) else None
        return self._judged(wanted, event, status, error, wait)

    def _judged(self, wanted: Wish, event: Outgoing, status: int | None, error: str | None, wait: float | None) -> Told:
        """A wait begins with the answer, by the clock that retries go by."""
        attempt, now = event.attempt + 1, self.store.now()
        if error is None:
            return Told(event.outgoing_id, "done", attempt, now, status)
        if wanted.form == "metriport":
            return Told(event.outgoing_id, "failed", attempt, now, status, error)
        due = next_attempt(self.schedule, attempt, now, retry_after=wait, rng=self.rng)
        if due is None or status == 410:  # Gone: they want no more of it (Standard Webhooks, "Deliverability")
            return Told(event.outgoing_id, "exhausted", attempt, now, status, error)
        return Told(event.outgoing_id, "due", attempt, due, status, error)


def _wrong(event: Outgoing, reply: Reply) -> str | None:
    """What is wrong with an answer; a ping wants its own word back (Metriport, "Webhooks")."""
    if not reply.ok:
        return f"Request failed with status code {reply.status}"
    if event.type == "ping" and (reply.find_object() or {}).get("pong") != json.decode(event.body)["ping"]:
        return "the ping was not answered with its pong"
    return None


def _is_behind(reader: Reader) -> bool | None:
    """Whether any subscriber was not told of all there is; None when there are no subscribers."""
    known = subscribers(reader)
    return any(one.seq < reader.last_seq() for one in known) if known else None


def _spread(tx: Tx) -> bool:
    """Queue what is new for every subscriber; whether there may be more."""
    more = False
    for known in subscribers(tx):
        entries = tx.feed(known.seq, limit=PAGE)
        if entries:
            wanted = wish.load(known.config)
            events = [wish.event(wanted, entry) for entry in entries if wish.wants(wanted, entry)]
            advance(tx, known, entries[-1].seq, events)
            more = more or len(entries) == PAGE
    return more


def _peer(subscriber: Subscriber, wanted: Wish, event: Outgoing) -> Peer:
    ours = PING_TIMEOUT if event.type == "ping" else METRIPORT_TIMEOUT
    timeout = ours if wanted.form == "metriport" else TIMEOUT
    return Peer(
        subscriber.name, wanted.url, {}, guard.networks(wanted.allow_networks), timeout, largest_answer=1_000_000
    )


def _signed(wanted: Wish, signing: keys.Keys, event: Outgoing, now: datetime) -> Mapping[str, str]:
    if wanted.form == "metriport":
        return keys.metriport(signing, event.body)
    return keys.standard(signing, event.event_id, event.body, now)
