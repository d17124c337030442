"""Outcome: what became of the deliveries of one attempt, and what it told about the system."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.connectors.call import Accepted
from gateway.delivery.health import Sign
from gateway.errors import (
    GatewayError,
    HeldBack,
    PartnerLoginExpired,
    PartnerPending,
    PartnerUnavailable,
    PartnerUnknown,
)
from gateway.planning.groups import Part
from gateway.store import Delivery, NewDelivery, Tx


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one delivery: `state` as stored, for a retry how long to wait. `counts`: whether it uses up one of
    its attempts; `wrote`: whether something was or may have been written there; `compared`: when what was brought was
    compared, where an order that came later may be for something else."""

    state: str
    want: int
    remote_id: str
    error: str | None = None
    retry_after: float | None = None
    counts: bool = True
    wrote: bool = False
    compared: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer after which nothing more is sent: `record` writes it down in the transaction that settles the claim.
    `remote_id`: as it was before; `about`: the rids that recording reads."""

    delivery_id: int
    remote_id: str
    record: Callable[[Tx], None]
    about: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """`done` by delivery id; `sign`: what it told about the system; `orders`: what others wait for and nobody had
    ordered; `last`: what is still to be recorded."""

    done: Mapping[int, Done]
    sign: Sign | None = None
    orders: Sequence[NewDelivery] = ()
    last: Answered | None = None

    def refused(self, error: GatewayError) -> Result:
        """When the last answer cannot be recorded: that is its resource's own failure."""
        assert self.last is not None
        sent = self.done[self.last.delivery_id]
        failed = replace(sent, state="rejected", remote_id=self.last.remote_id, error=error.message, compared=None)
        return replace(self, done={**self.done, self.last.delivery_id: failed}, last=None)


def brought(part: Part, accepted: Accepted) -> Done:
    """A clinical resource that they took."""
    return Done("done", part.number, accepted.remote_id, wrote=True)


def failed(row: Delivery, error: GatewayError) -> Done:
    """What an error that is the system's means for one delivery."""
    if isinstance(error, PartnerUnknown):
        wrote = not isinstance(error, PartnerPending) or error.sent
        return Done("unknown", row.want, row.remote_id, error.message, wrote=wrote)
    if isinstance(error, PartnerUnavailable):
        held = isinstance(error, HeldBack)
        return Done("due", row.want, row.remote_id, error.message, error.retry_after, counts=not held)
    return Done("due", row.want, row.remote_id, error.message, counts=not isinstance(error, PartnerLoginExpired))
