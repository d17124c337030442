"""Reads of resources: heads, versions, identity keys and the feed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, Select, Text, and_, bindparam, exists, or_, select

from .clock import from_micros
from .rows import FeedEntry, Head, Hit, Version
from .schema import identifier, identity_key, link, resource, version
from .source import Source
from .sql import Flavour, Row

Pair = tuple[str, str]

Name = tuple[str, str, str, str]
"""(type, kind, system, value) of a unique row."""

Mark = tuple[str, str | None, str]
"""(type, system, value) in the search index; system None = whatever the system."""

HEAD = tuple(resource.c)
HIT = (
    *HEAD,
    version.c.body,
    exists(link.c.link_id).where(link.c.rid == resource.c.rid, link.c.remote_id != resource.c.id).label("linked"),
)
VERSION = tuple(version.c)
_FEED = (
    version.c.seq,
    version.c.rid,
    resource.c.type,
    resource.c.id,
    resource.c.patient,
    version.c.number,
    version.c.at,
    version.c.message_id,
    version.c.source,
    version.c.method,
    version.c.body,
)


def to_head(row: Row) -> Head:
    rid, kind, public, number, seq, at, deleted, patient = row
    return Head(rid, kind, public, number, seq, from_micros(at), bool(deleted), patient)


def to_hit(row: Row) -> Hit:
    return Hit(to_head(row[:8]), row[8], bool(row[9]))


def to_version(row: Row) -> Version:
    seq, rid, number, at, message_id, source, method, body = row
    return Version(seq, rid, number, from_micros(at), message_id, source, method, body)


def _heads(flavour: Flavour) -> Select[Any]:
    given = flavour.given("pairs", type=Text(), id=Text())
    same = and_(resource.c.type == given.c.type, resource.c.id == given.c.id)
    return select(*HEAD).select_from(given.join(resource, same))


def _heads_by_rid(flavour: Flavour) -> Select[Any]:
    given = flavour.given("rids", rid=BigInteger())
    return select(*HEAD).select_from(given.join(resource, resource.c.rid == given.c.rid))


def _heads_and_patients(flavour: Flavour) -> Select[Any]:
    given = flavour.given("rids", rid=BigInteger())
    joined = given.join(resource, resource.c.rid == given.c.rid)
    body = and_(version.c.seq == resource.c.seq, resource.c.type == "Patient")
    return select(*HEAD, version.c.body).select_from(joined.outerjoin(version, body))


def _current(flavour: Flavour) -> Select[Any]:
    given = flavour.given("rids", rid=BigInteger())
    joined = given.join(resource, resource.c.rid == given.c.rid).join(version, version.c.seq == resource.c.seq)
    return select(*VERSION).select_from(joined)


def _version(_: Flavour) -> Select[Any]:
    return select(*VERSION).where(version.c.rid == bindparam("rid"), version.c.number == bindparam("number"))


def _history(_: Flavour) -> Select[Any]:
    own = (version.c.rid == bindparam("rid"), version.c.number < bindparam("before"))
    return select(*VERSION).where(*own).order_by(version.c.number.desc()).limit(bindparam("limit"))


def _read(_: Flavour) -> Select[Any]:
    joined = resource.join(version, version.c.seq == resource.c.seq)
    named = (resource.c.type == bindparam("type"), resource.c.id == bindparam("id"))
    return select(*HIT).select_from(joined).where(*named)


def _keys(flavour: Flavour) -> Select[Any]:
    given = flavour.given("keys", type=Text(), kind=Text(), system=Text(), value=Text())
    same = and_(
        identity_key.c.type == given.c.type,
        identity_key.c.kind == given.c.kind,
        identity_key.c.system == given.c.system,
        identity_key.c.value == given.c.value,
    )
    found = (
        identity_key.c.type,
        identity_key.c.kind,
        identity_key.c.system,
        identity_key.c.value,
        identity_key.c.rid,
    )
    return select(*found).select_from(given.join(identity_key, same))


def _identified(flavour: Flavour) -> Select[Any]:
    given = flavour.given("identifiers", type=Text(), system=Text(), value=Text())
    same = and_(
        identifier.c.type == given.c.type,
        identifier.c.value == given.c.value,
        or_(given.c.system.is_(None), identifier.c.system == given.c.system),
    )
    live = and_(resource.c.rid == identifier.c.rid, resource.c.deleted.is_(False))
    joined = given.join(identifier, same).join(resource, live)
    return select(given.c.type, given.c.system, given.c.value, identifier.c.rid).select_from(joined)


def _feed(_: Flavour) -> Select[Any]:
    joined = version.join(resource, resource.c.rid == version.c.rid)
    after = version.c.seq > bindparam("after")
    return select(*_FEED).select_from(joined).where(after).order_by(version.c.seq).limit(bindparam("limit"))


def _last(_: Flavour) -> Select[Any]:
    return select(version.c.seq, version.c.at).order_by(version.c.seq.desc()).limit(1)


_ALL_VERSIONS = 2**62


class Resources(Source):
    def heads(self, pairs: Iterable[Pair]) -> dict[Pair, Head]:
        """By (type, public id)."""
        wanted = list(pairs)
        found = map(to_head, self.ask(_heads, {"pairs": wanted})) if wanted else ()
        return {(head.type, head.id): head for head in found}

    def heads_by_rid(self, rids: Iterable[int]) -> dict[int, Head]:
        wanted = [(rid,) for rid in rids]
        found = map(to_head, self.ask(_heads_by_rid, {"rids": wanted})) if wanted else ()
        return {head.rid: head for head in found}

    def heads_and_patients(self, rids: Iterable[int]) -> list[tuple[Head, bytes | None]]:
        """The heads, with the current bodies of the Patients among them."""
        wanted = [(rid,) for rid in rids]
        found = self.ask(_heads_and_patients, {"rids": wanted}) if wanted else ()
        return [(to_head(row[:8]), row[8]) for row in found]

    def current(self, rids: Iterable[int]) -> dict[int, Version]:
        """The newest version of each, with its body."""
        wanted = [(rid,) for rid in rids]
        found = map(to_version, self.ask(_current, {"rids": wanted})) if wanted else ()
        return {found_version.rid: found_version for found_version in found}

    def version(self, rid: int, number: int) -> Version | None:
        rows = self.ask(_version, {"rid": rid, "number": number})
        return to_version(rows[0]) if rows else None

    def history(self, rid: int, *, limit: int, before: int | None = None) -> list[Version]:
        """Newest first; `before`: only versions with a smaller number."""
        bound = _ALL_VERSIONS if before is None else before
        return [to_version(row) for row in self.ask(_history, {"rid": rid, "before": bound, "limit": limit})]

    def read(self, kind: str, public_id: str) -> Hit | None:
        """The fast path of GET."""
        rows = self.ask(_read, {"type": kind, "id": public_id})
        return to_hit(rows[0]) if rows else None

    def holders(self, names: Iterable[Name]) -> dict[Name, int]:
        """The rid that holds each (type, 'key' or 'condition', system, value)."""
        wanted = list(names)
        rows = self.ask(_keys, {"keys": wanted}) if wanted else []
        return {row[:4]: row[4] for row in rows}

    def identified(self, kind: str, pairs: Iterable[tuple[str | None, str]]) -> dict[tuple[str | None, str], set[int]]:
        """The live resources with each (system, value); system None = whatever the system, '' = without one."""
        marked = self.marked([(kind, system, value) for system, value in pairs])
        return {mark[1:]: rids for mark, rids in marked.items()}

    def marked(self, marks: Iterable[Mark]) -> dict[Mark, set[int]]:
        """The same for several types at once."""
        found: dict[Mark, set[int]] = {mark: set() for mark in marks}
        rows = self.ask(_identified, {"identifiers": list(found)}) if found else ()
        for kind, system, value, rid in rows:
            found[kind, system, value].add(rid)
        return found

    def feed(self, after: int, *, limit: int) -> list[FeedEntry]:
        """Versions in commit order; a later call never finds an earlier seq."""
        rows = self.ask(_feed, {"after": after, "limit": limit})
        return [FeedEntry._make((*row[:6], from_micros(row[6]), *row[7:])) for row in rows]

    def last_seq(self) -> int:
        return self.last_change()[0]

    def last_change(self) -> tuple[int, int]:
        """The seq and the microseconds of the newest version; zeros when there is none."""
        rows = self.ask(_last, {})
        return (rows[0][0], rows[0][1]) if rows else (0, 0)
