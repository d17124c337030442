"""Waiting: what has to be at a system before something else can go there, and until when to wait for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.connectors.config import Config
from gateway.store import Delivery, Head, NewDelivery, Reader

SOON = 1.0
"""Seconds until we look again for what is on its way."""
LATER = 300.0
"""Seconds until we look again for what was given up."""

_ON_ITS_WAY = ("due", "unknown")


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a part is not sent, in a sentence without payload, and seconds until it is looked at again. `orders`: what it
    waits for and nobody had ordered yet."""

    reason: str
    seconds: float
    orders: tuple[NewDelivery, ...] = ()


def plan(reader: Reader, config: Config, missing: Iterable[str], now: datetime) -> Wait:
    """How long a part waits for these (our `Type/id`)."""
    pairs = [(name.partition("/")[0], name.partition("/")[2]) for name in sorted(missing)]
    heads = list(reader.heads(pairs).values())
    deliveries = reader.deliveries_of([head.rid for head in heads])
    standing = {head.rid: _standing(deliveries.get(head.rid, ()), config) for head in heads}
    orders = [
        NewDelivery(config.name, one.rid, "", one.patient, one.number, now) for one in heads if not standing[one.rid]
    ]
    reason = ", ".join(_told(head, standing[head.rid]) for head in heads) or ", ".join(sorted(missing))
    return Wait(f"waits for {reason}", _seconds(standing, now), tuple(orders))


def is_on_its_way(reader: Reader, config: Config, head: Head) -> bool:
    """Whether it is being sent there, or may have been."""
    standing = _standing(reader.deliveries_of([head.rid]).get(head.rid, ()), config)
    return standing is not None and standing.state in _ON_ITS_WAY


def _standing(deliveries: Iterable[Delivery], config: Config) -> Delivery | None:
    return next((one for one in deliveries if one.connector == config.name), None)


def _told(head: Head, standing: Delivery | None) -> str:
    given_up = standing is not None and standing.state not in (*_ON_ITS_WAY, "done")
    return f"{head.type}/{head.id}" + (f", which was {standing.state}" if standing and given_up else "")


def _seconds(standing: Mapping[int, Delivery | None], now: datetime) -> float:
    """Until the last of them may be there."""
    waits = [SOON]
    for one in standing.values():
        if one is not None and one.state in _ON_ITS_WAY:
            waits.append((one.due_at - now) / timedelta(seconds=1) + SOON)
        elif one is not None and one.state != "done":
            waits.append(LATER)
    return min(max(waits), LATER)
