"""What all calls to CampDoc share: paths below the organization, and the objects in its answers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from gateway.connectors.call import Call, Reply, refused, segment
from gateway.connectors.protocol import Side
from gateway.errors import GatewayError
from gateway.translators.json.campdoc import Systems

Refuse = Callable[[str, Reply], GatewayError]
"""The error for an answer that is no success: a delivery's, or that of a call which somebody made by hand."""

BY_IDENTIFIER = (("identifier", "true"),)
"""How a path says that it names a profile or a group by its identifier."""


def place(side: Side, path: str) -> str:
    """A path below the organization."""
    return f"/organizations/{segment(str(side.options.org_id))}{path}"


def systems(side: Side) -> Systems:
    """The identifier systems of the organization."""
    return Systems(str(side.options.org_id), side.ours)


def id_of(row: Mapping[str, Any]) -> str:
    return str(row["id"])


def rows(side: Side, path: str, name: str) -> Generator[Call, Reply, list[dict[str, Any]]]:
    """`{"profiles": [..]}`: those that have an id."""
    return [row for row in (yield from plain_rows(side, path, name)) if "id" in row]


def plain_rows(side: Side, path: str, name: str) -> Generator[Call, Reply, list[dict[str, Any]]]:
    """The objects of a list. Raises PartnerRejected when there is none."""
    reply = yield Call("GET", place(side, path))
    found = (reply.find_object() or {}).get(name) if reply.ok else None
    if not isinstance(found, list):
        raise refused(f"listing {name}", reply)
    return [row for row in found if isinstance(row, dict)]


def member(reply: Reply, name: str) -> dict[str, Any] | None:
    """`{"profile": {..}}`, when it has an id."""
    found = (reply.find_object() or {}).get(name) if reply.ok else None
    return found if isinstance(found, dict) and "id" in found else None


def one(reply: Reply, name: str, doing: str, refuse: Refuse = refused) -> dict[str, Any]:
    """The same; raises what `refuse` makes of it when there is none."""
    found = member(reply, name)
    if found is None:
        raise refuse(doing, reply)
    return found
