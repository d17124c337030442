"""Reads about the other systems: records, links, deliveries, connectors, secrets, principals and conflicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import BigInteger, Select, Text, and_, bindparam, func, select

from gateway.errors import GatewayError, Missing

from .clock import from_micros, maybe_from_micros
from .rows import ConflictRow, ConnectorRow, Delivery, LinkRow, PrincipalRow, RecordRow
from .schema import LIVE, conflict, connector, delivery, link, principal, record, secret
from .source import Source
from .sql import Flavour, Row
from .vault import Vault

Remote = tuple[str, str]
"""(type, remote id)"""


def to_record(row: Row) -> RecordRow:
    return RecordRow._make((*row[:-1], maybe_from_micros(row[-1])))


def to_link(row: Row) -> LinkRow:
    return LinkRow._make((*row[:6], from_micros(row[6]), maybe_from_micros(row[7] or None)))


def to_delivery(row: Row) -> Delivery:
    due_at, lease_until, fence, want, error, at = row[7:]
    moments = (from_micros(due_at), maybe_from_micros(lease_until))
    return Delivery._make((*row[:7], *moments, fence, want, error, from_micros(at)))


def _to_principal(row: Row) -> PrincipalRow:
    number, name, of, scopes, key_hash, created_at, revoked_at, last_used = row
    moments = (from_micros(created_at), maybe_from_micros(revoked_at), maybe_from_micros(last_used))
    return PrincipalRow(number, name, of, tuple(scopes.split()), key_hash, *moments)


def _records(flavour: Flavour) -> Select[Any]:
    given = flavour.given("rids", rid=BigInteger())
    return select(*record.c).select_from(given.join(record, record.c.rid == given.c.rid))


def _records_of(flavour: Flavour) -> Select[Any]:
    given = flavour.given("remotes", connector=Text(), type=Text(), remote_id=Text())
    same = and_(
        record.c.connector == given.c.connector,
        record.c.type == given.c.type,
        record.c.remote_id == given.c.remote_id,
    )
    return select(*record.c).select_from(given.join(record, same))


def _links(flavour: Flavour) -> Select[Any]:
    given = flavour.given("rids", rid=BigInteger())
    return select(*link.c).select_from(given.join(link, link.c.rid == given.c.rid))


def _links_of(flavour: Flavour) -> Select[Any]:
    given = flavour.given("remotes", connector=Text(), type=Text(), remote_id=Text(), undone_at=BigInteger())
    live = and_(
        link.c.connector == given.c.connector,
        link.c.type == given.c.type,
        link.c.remote_id == given.c.remote_id,
        link.c.undone_at == given.c.undone_at,  # as a constant it would tempt PostgreSQL to start from there
    )
    return select(*link.c).select_from(given.join(link, live))


def _links_to(_: Flavour) -> Select[Any]:
    live = (link.c.connector == bindparam("connector"), link.c.undone_at == LIVE, link.c.link_id > bindparam("after"))
    return select(*link.c).where(*live).order_by(link.c.link_id).limit(bindparam("limit"))


def _deliveries_of(flavour: Flavour) -> Select[Any]:
    given = flavour.given("rids", rid=BigInteger())
    return select(*delivery.c).select_from(given.join(delivery, delivery.c.rid == given.c.rid))


def _deliveries_in(flavour: Flavour) -> Select[Any]:
    given = flavour.given("states", state=Text())
    return (
        select(*delivery.c)
        .where(delivery.c.state.in_(select(given.c.state)))
        .order_by(delivery.c.due_at, delivery.c.delivery_id)
        .limit(bindparam("limit"))
    )


def _connectors(_: Flavour) -> Select[Any]:
    return select(*connector.c).order_by(connector.c.name)


def _epoch(_: Flavour) -> Select[Any]:
    return select(func.coalesce(func.max(connector.c.changed), 0))


def _connector_id(_: Flavour) -> Select[Any]:
    return select(connector.c.connector_id).where(connector.c.name == bindparam("name"))


def _secrets(_: Flavour) -> Select[Any]:
    joined = secret.join(connector, connector.c.name == secret.c.connector)
    owned = secret.c.connector == bindparam("connector")
    return select(connector.c.connector_id, secret.c.name, secret.c.token).select_from(joined).where(owned)


def _principals(_: Flavour) -> Select[Any]:
    return select(*principal.c).order_by(principal.c.principal_id)


def _principal_by_hash(_: Flavour) -> Select[Any]:
    return select(*principal.c).where(principal.c.key_hash == bindparam("key_hash"))


def _conflicts(_: Flavour) -> Select[Any]:
    return select(*conflict.c).order_by(conflict.c.rid, conflict.c.slot).limit(bindparam("limit"))


def _conflicts_of(flavour: Flavour) -> Select[Any]:
    given = flavour.given("rids", rid=BigInteger())
    return select(*conflict.c).select_from(given.join(conflict, conflict.c.rid == given.c.rid))


class Partners(Source):
    def records(self, rids: Iterable[int]) -> dict[int, list[RecordRow]]:
        """All systems' copies of each resource."""
        wanted = [(rid,) for rid in rids]
        found: dict[int, list[RecordRow]] = defaultdict(list)
        for row in self.ask(_records, {"rids": wanted}) if wanted else ():
            found[row[4]].append(to_record(row))
        return dict(found)

    def records_of(self, connector: str, remotes: Iterable[Remote]) -> dict[Remote, RecordRow]:
        wanted = [(connector, *remote) for remote in remotes]
        rows = self.ask(_records_of, {"remotes": wanted}) if wanted else []
        return {(row[2], row[3]): to_record(row) for row in rows}

    def links(self, rids: Iterable[int]) -> dict[int, list[LinkRow]]:
        """The live links of each resource."""
        wanted = [(rid,) for rid in rids]
        found: dict[int, list[LinkRow]] = defaultdict(list)
        for row in self.ask(_links, {"rids": wanted}) if wanted else ():
            if row[7] == LIVE:
                found[row[4]].append(to_link(row))
        return dict(found)

    def links_of(self, connector: str, remotes: Iterable[Remote]) -> dict[Remote, LinkRow]:
        """The live link of each remote id."""
        wanted = [(connector, *remote, LIVE) for remote in remotes]
        rows = self.ask(_links_of, {"remotes": wanted}) if wanted else []
        return {(row[2], row[3]): to_link(row) for row in rows}

    def links_to(self, connector: str, *, limit: int, after: int = 0) -> list[LinkRow]:
        """The live links of one system, by id. Walks them: for a comparison of everything."""
        values = {"connector": connector, "limit": limit, "after": after}
        return [to_link(row) for row in self.ask(_links_to, values)]

    def deliveries_of(self, rids: Iterable[int]) -> dict[int, list[Delivery]]:
        wanted = [(rid,) for rid in rids]
        found: dict[int, list[Delivery]] = defaultdict(list)
        for row in self.ask(_deliveries_of, {"rids": wanted}) if wanted else ():
            found[row[2]].append(to_delivery(row))
        return dict(found)

    def deliveries(self, states: Sequence[str], *, limit: int) -> list[Delivery]:
        """In the order in which they are due."""
        values = {"states": [(state,) for state in states], "limit": limit}
        return [to_delivery(row) for row in self.ask(_deliveries_in, values)]

    def connectors(self) -> list[ConnectorRow]:
        return [ConnectorRow._make((*row[:4], from_micros(row[4]), row[5])) for row in self.ask(_connectors, {})]

    def connector_epoch(self) -> int:
        """A number that grows when any connector changes: cheap enough to ask before each use of a cached one."""
        return int(self.ask(_epoch, {})[0][0])

    def connector_id(self, name: str) -> int:
        """Raises Missing."""
        rows = self.ask(_connector_id, {"name": name})
        if not rows:
            raise Missing(f"there is no connector named {name!r}")
        return int(rows[0][0])

    def secrets(self, connector: str) -> dict[str, str]:
        """Decrypted. Raises SecretUnreadable when a token was not sealed for this connector."""
        vault = self._keeper()
        rows = self.ask(_secrets, {"connector": connector})
        return {name: vault.unseal(owner, name, token) for owner, name, token in rows}

    def _keeper(self) -> Vault:
        if self._vault is None:
            raise GatewayError("the store was opened without a key, so secrets cannot be read or written")
        return self._vault

    def principals(self) -> list[PrincipalRow]:
        return [_to_principal(row) for row in self.ask(_principals, {})]

    def principal_by_hash(self, key_hash: bytes) -> PrincipalRow | None:
        rows = self.ask(_principal_by_hash, {"key_hash": key_hash})
        return _to_principal(rows[0]) if rows else None

    def conflicts(self, *, limit: int) -> list[ConflictRow]:
        """Every open conflict."""
        return [ConflictRow._make((*row[:3], from_micros(row[3]))) for row in self.ask(_conflicts, {"limit": limit})]

    def conflicts_of(self, rids: Iterable[int]) -> dict[int, list[ConflictRow]]:
        wanted = [(rid,) for rid in rids]
        found: dict[int, list[ConflictRow]] = defaultdict(list)
        for row in self.ask(_conflicts_of, {"rids": wanted}) if wanted else ():
            found[row[0]].append(ConflictRow._make((*row[:3], from_micros(row[3]))))
        return dict(found)
