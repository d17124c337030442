"""Groups: the due resources of one patient for one system, with what they refer to, in the order of reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gateway.connectors.call import Accepted
from gateway.connectors.config import Config
from gateway.fhir import json, references
from gateway.fhir.json import Resource
from gateway.identity.keys import key_identifiers
from gateway.planning import bodies
from gateway.planning.directory import DOMAIN, Directory
from gateway.planning.orders import is_pending
from gateway.store import Changes, Claim, Delivery, Head, LinkRow, Reader, RecordRow, Tx

EXTRA = 0
"""Delivery id of a part that is sent along because others refer to it; its own standing order finds it done."""


@dataclass(frozen=True, slots=True)
class Part:
    """One resource to bring. `number`: its version. `reads`: whether their copy is read first. `identifiers`: what
    it may be found by there. `local`: their `Type/id` -> ours. `needs`: our `Type/id` of what it refers to and they
    have to hold before it."""

    delivery_id: int
    rid: int
    type: str
    id: str
    number: int
    body: Resource
    remote_id: str | None
    reads: bool
    identifiers: tuple[tuple[str, str], ...] = ()
    local: Mapping[str, str] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return f"{self.type}/{self.id}"


@dataclass(frozen=True, slots=True)
class Group:
    """`settled`: deliveries that need nothing (id, version, remote id). `extras`: what is sent along. `delivered`: our
    `Type/id` -> theirs for what they hold."""

    parts: list[Part]
    extras: list[Part]
    settled: list[tuple[int, int, str]]
    delivered: dict[str, str]


def load(reader: Reader, directory: Directory, config: Config, claims: Sequence[Claim]) -> dict[int, Group]:
    """Everything that an attempt at each of these claims on one system needs to know, by fence."""
    rids = [row.rid for claimed in claims for row in claimed.deliveries]
    heads = reader.heads_by_rid(rids)
    due = _Due(heads, _contents(reader, heads), _records(reader, config, rids), _live(reader, config, rids))
    return {claimed.fence: _group(reader, directory, config, claimed, due) for claimed in claims}


class _Due(NamedTuple):
    """What is due, by rid: heads, contents, this system's copies; and which of those it still holds (`live`)."""

    heads: Mapping[int, Head]
    contents: Mapping[int, Resource]
    records: Mapping[int, list[RecordRow]]
    live: AbstractSet[tuple[int | None, str]]


def _group(reader: Reader, directory: Directory, config: Config, claimed: Claim, due: _Due) -> Group:
    rids = [row.rid for row in claimed.deliveries]
    heads = {rid: due.heads[rid] for rid in rids}
    contents = {rid: due.contents[rid] for rid in rids if rid in due.contents}
    inside = {(head.type, head.id) for head in heads.values()}
    named = {rid: _named(content, directory) for rid, content in contents.items()}
    around = _by_rid(reader, set().union(*named.values()) - inside)
    group = Group([], [], [], {})
    records = {rid: due.records.get(rid, []) for rid in rids} | _records(reader, config, around)
    wanted = _note(group.delivered, {**heads, **around}, records, due.live | _live(reader, config, around))
    missing = _missing(config, {rid: head for rid, head in wanted.items() if rid in around}, group.delivered)
    if config.groups is not None:
        group.extras.extend(_extras(reader, directory, config, missing, inside, group.delivered))
    needs = _needs(reader, directory, config, wanted, contents, named, missing)
    local = {theirs: ours for ours, theirs in group.delivered.items()}
    met: set[tuple[int, str | None]] = set()
    for row in sorted(claimed.deliveries, key=lambda row: references.rank(heads[row.rid].type)):
        copies = [one for one in records[row.rid] if one.remote_id != heads[row.rid].id]
        part = _part(row, heads[row.rid], contents.get(row.rid), copies, due.live, directory, config)
        if not isinstance(part, Part):
            group.settled.append(part)
        elif (part.rid, part.remote_id) in met:
            group.settled.append(
                (row.delivery_id, part.number, part.remote_id or "")
            )  # a copy that was named meanwhile
        else:
            met.add((part.rid, part.remote_id))
            group.parts.append(replace(part, local=local, needs=needs.get(row.rid, frozenset())))
    return group


def accepted(tx: Tx, config: Config, answers: Sequence[tuple[Part, Accepted]]) -> None:
    """They hold these versions now: remember each by its digest, link its id. A lost answer makes it known twice."""
    changes, met = Changes(), set[tuple[str, str]]()
    records = tx.records_of(config.name, [(part.type, answer.remote_id) for part, answer in answers])
    for part, answer in answers:
        key = (part.type, answer.remote_id)
        if key in met:  # two of ours are one there
            tx.write(changes)
            changes, records = Changes(), records | tx.records_of(config.name, [key])
        met.add(key)
        _note_accepted(tx, config, part, records.get(key), answer, changes)
    tx.write(changes)


def _note_accepted(
    tx: Tx, config: Config, part: Part, known: RecordRow | None, answer: Accepted, changes: Changes
) -> None:
    shown = bodies.content_of(answer.body) if answer.body is not None else None
    names, remote_id = bodies.names_of(bodies.content_of(part.body), shown), answer.remote_id
    if known is not None:
        changes.records.append(known._replace(rid=part.rid, digest=names, read_at=tx.now))
        return
    changes.records.append(RecordRow(0, config.name, part.type, remote_id, part.rid, 0, b"", names, tx.now))
    reason = '{"rule":"delivery"}'
    changes.links.append(LinkRow(tx.new_id(), config.name, part.type, remote_id, part.rid, reason, tx.now))


def _part(
    row: Delivery,
    head: Head,
    content: Resource | None,
    copies: Sequence[RecordRow],
    live: AbstractSet[tuple[int | None, str]],
    directory: Directory,
    config: Config,
) -> Part | tuple[int, int, str]:
    """What to bring or, when they hold it or ended it, the delivery with its version and their id."""
    known = sorted((one for one in copies if not is_pending(one.remote_id)), key=lambda one: _key(one) not in live)
    named = next((one for one in copies if one.remote_id == row.remote_id), known[0] if known else None)
    remote_id = named.remote_id if named is not None and not is_pending(named.remote_id) else None
    ended = named is not None and remote_id is not None and _key(named) not in live
    patient = head.type == "Patient"
    if content is None or ended or (head.deleted and not patient) or (not patient and _is_there(named, content)):
        return row.delivery_id, head.number, remote_id or row.remote_id
    keys = tuple(key_identifiers(content, directory.keys)) if patient else ()
    # A system that takes no conditional writes is asked first whether it holds what we would create.
    reads = patient or remote_id is not None or config.groups is None
    ids = tuple((key.system, key.value) for key in keys)
    return Part(row.delivery_id, head.rid, head.type, head.id, head.number, content, remote_id, reads, ids)


def _key(copy: RecordRow) -> tuple[int | None, str]:
    return copy.rid, copy.remote_id


def _live(reader: Reader, config: Config, rids: Iterable[int]) -> set[tuple[int | None, str]]:
    """(rid, remote id) of the copies that this system still holds: its delete ends a link."""
    links = reader.links(rids)
    return {(rid, one.remote_id) for rid, found in links.items() for one in found if one.connector == config.name}


def _is_there(record: RecordRow | None, content: Resource) -> bool:
    return record is not None and bodies.is_known(record.digest, bodies.digest(content))


def _contents(reader: Reader, heads: Mapping[int, Head]) -> dict[int, Resource]:
    """The current contents; of a deleted one its last."""
    versions = reader.current(heads)
    found: dict[int, Resource] = {}
    for rid, version in versions.items():
        body = version.body
        if body is None and version.number > 1:
            before = reader.version(rid, version.number - 1)
            body = before.body if before else None
        if body is not None:
            found[rid] = bodies.content_of(json.decode(body))
    return found


def _by_rid(reader: Reader, named: AbstractSet[tuple[str, str]]) -> dict[int, Head]:
    """Those of these resources that there are, or were, here."""
    return {head.rid: head for head in reader.heads(named).values()} if named else {}


def _missing(config: Config, heads: Mapping[int, Head], delivered: Mapping[str, str]) -> dict[int, Head]:
    """Those that this system takes and does not hold yet."""
    found = {rid: head for rid, head in heads.items() if f"{head.type}/{head.id}" not in delivered}
    return {rid: head for rid, head in found.items() if _takes(config, head)}


def _takes(config: Config, head: Head) -> bool:
    """Whether it is alive here and sent to this system."""
    return config.pushes(head.type) and head.type not in DOMAIN and not head.deleted


def _extras(
    reader: Reader,
    directory: Directory,
    config: Config,
    missing: Mapping[int, Head],
    inside: AbstractSet[tuple[str, str]],
    delivered: dict[str, str],
) -> list[Part]:
    """What the group refers to and they do not hold yet, closed under reference; `delivered` gets what they do.

    A Patient is never sent along: she has a standing order of her own, which reads before it writes.
    """
    met = set(inside)
    found: list[Part] = []
    while missing:
        more = _contents(reader, missing)
        found += [
            Part(EXTRA, rid, head.type, head.id, head.number, more[rid], None, reads=False)
            for rid, head in missing.items()
            if rid in more and head.type != "Patient"
        ]
        met |= {(head.type, head.id) for head in missing.values()}
        others = _by_rid(reader, _named_in(more.values(), directory) - met)
        wanted = _note(delivered, others, _records(reader, config, others), _live(reader, config, others))
        missing = _missing(config, wanted, delivered)
    return sorted(found, key=lambda part: references.rank(part.type))


def _needs(
    reader: Reader,
    directory: Directory,
    config: Config,
    heads: Mapping[int, Head],
    contents: Mapping[int, Resource],
    named: Mapping[int, AbstractSet[tuple[str, str]]],
    missing: Mapping[int, Head],
) -> dict[int, frozenset[str]]:
    """By rid: what has to be there before it. Of two that refer to each other the first in rank does not wait."""
    by_name = {(head.type, head.id): head for head in heads.values()}
    alone = config.groups is None
    theirs = dict(named)
    if alone and missing:
        theirs |= {rid: _named(content, directory) for rid, content in _contents(reader, missing).items()}
    needs: dict[int, frozenset[str]] = {}
    for rid in contents.keys() & heads.keys():
        own = (heads[rid].type, heads[rid].id)
        wanted = [by_name[name] for name in named[rid] if name != own and name in by_name]
        wanted = [head for head in wanted if _takes(config, head)]
        kept = [
            one for one in wanted if not (alone and own in theirs.get(one.rid, ()) and _goes_first(heads[rid], one))
        ]
        needs[rid] = frozenset(f"{head.type}/{head.id}" for head in kept)
    return needs


def _goes_first(one: Head, other: Head) -> bool:
    return (references.rank(one.type), one.rid) < (references.rank(other.type), other.rid)


def _named_in(contents: Iterable[Resource], directory: Directory) -> set[tuple[str, str]]:
    return {name for content in contents for name in _named(content, directory)}


def _named(content: Resource, directory: Directory) -> set[tuple[str, str]]:
    """(type, id) of the resources of ours that it refers to."""
    refs = (ref for ref in references.collect(content) if ref.kind in ("relative", "absolute"))
    locals_ = (references.local(ref.value, directory.ours) for ref in refs)
    return {(one.type, one.id) for one in locals_ if one is not None}


def _records(reader: Reader, config: Config, rids: Iterable[int]) -> dict[int, list[RecordRow]]:
    rows = reader.records(list(rids))
    return {rid: [row for row in found if row.connector == config.name] for rid, found in rows.items()}


def _note(
    delivered: dict[str, str],
    heads: Mapping[int, Head],
    records: Mapping[int, Sequence[RecordRow]],
    live: AbstractSet[tuple[int | None, str]],
) -> dict[int, Head]:
    """Which of them they hold, and as what. The rest of the answer: all but those that they deleted, which nobody makes
    there again to be referred to; what is about a Patient whom they deleted names her still, and they refuse it."""
    wanted = dict(heads)
    for rid, rows in records.items():
        head = heads[rid]
        copies = [row for row in rows if row.remote_id != head.id and not is_pending(row.remote_id)]
        held = copies if head.type == "Patient" else [row for row in copies if _key(row) in live]
        for row in held:
            delivered[f"{head.type}/{head.id}"] = f"{head.type}/{row.remote_id}"
        if copies and not held:
            del wanted[rid]
    return wanted
