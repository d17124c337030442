"""Findings: what a system holds, met while looking (a poll, a first contact, what an event names), as its own records.

Each is applied for itself, all in one commit: what contradicts what is known is held and never costs the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial

from gateway.connectors.call import Found
from gateway.connectors.config import Config
from gateway.errors import Conflict, GatewayError, NotConformant
from gateway.fhir import gate, json, references, times
from gateway.fhir.condition import Condition
from gateway.fhir.issue import Issue
from gateway.fhir.json import Resource
from gateway.fhir.references import Ref
from gateway.flow import Flow, Received, audits_of
from gateway.identity.agree import agrees
from gateway.intake import theirs
from gateway.intake.theirs import Settled
from gateway.planning import provenance, waiting
from gateway.planning.apply import Applied, apply
from gateway.planning.records import end_record
from gateway.planning.uuid7 import new_id
from gateway.planning.world import Item, Speaker, World
from gateway.store import Head, MessageRow, MessageUpdate, Reader, Tx

_THEIRS = re.compile(r"([A-Z][A-Za-z]{1,63})/([^/?#]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of one finding: `applied` None when their copy ended or when there is an `error`. `kept` = how many
    of its references stay logical, as nothing here is linked to what they name. `conflicts`: the slots in which it and
    others disagree; `revision`: of its record, as it is left."""

    found: Found
    applied: Applied | None = None
    error: GatewayError | None = None
    kept: int = 0
    conflicts: tuple[str, ...] = ()
    revision: int = 0


def message_body(founds: Sequence[Found]) -> bytes:
    """What is kept of a look that came without a message of its own."""
    return json.encode([{"type": one.type, "id": one.remote_id, "at": one.at, "resource": one.body} for one in founds])


def issues_json(issues: Sequence[Issue]) -> bytes | None:
    """What could not be translated, as it is kept beside the message."""
    return json.encode([issue.to_fhir() for issue in issues]) if issues else None


async def take(
    flow: Flow,
    received: Received,
    config: Config,
    founds: Sequence[Found],
    *,
    read_start: datetime,
    at_once: int | None = None,
) -> list[Landed]:
    """Apply them and close the message, which is stored with them unless it was before. In the order given.

    `at_once`: of a message that is stored already, so many in one commit, so that others get their turn.
    """
    order = in_order(founds)
    size = at_once or len(order) or 1
    look = Look(flow, received, config, founds, read_start)
    for start in range(0, len(order) or 1, size):
        part, last = order[start : start + size], start + size >= len(order)
        landed, worlds = await flow.store.write(partial(look.take, lots=part, last=last))
        look.landed |= landed
        look.worlds += worlds
    flow.ordered()
    return [look.landed[at] for at in range(len(founds))]


@dataclass
class Look:
    """One look at their side, and what became of it so far. `foreseen`: nothing is written, so that what one of them
    refers to may be as new as it is."""

    flow: Flow
    received: Received
    config: Config
    founds: Sequence[Found]
    read_start: datetime
    foreseen: bool = False
    landed: dict[int, Landed] = field(default_factory=dict)
    worlds: list[World] = field(default_factory=list)

    def take(self, tx: Tx, *, lots: Sequence[list[int]], last: bool) -> tuple[dict[int, Landed], list[World]]:
        """One commit's share; the `last` closes the message. It may be asked again, so it changes nothing here."""
        landed: dict[int, Landed] = {}
        worlds: list[World] = []
        for lot in lots:
            results, world = self.plan(tx, lot)
            landed |= dict(zip(lot, results, strict=True))
            if world is not None:
                tx.write(world.changes)
                worlds.append(world)
        if last:
            _close(self.flow, tx, self.received, [*self.landed.values(), *landed.values()], [*self.worlds, *worlds])
        return landed, worlds

    def plan(self, tx: Tx, lot: Sequence[int]) -> tuple[list[Landed], World | None]:
        """What becomes of findings that belong together: all of them, or none."""
        founds = [self.founds[at] for at in lot]
        world = World(tx, self.flow.directory(tx))
        if len(founds) == 1 and founds[0].body is None and not founds[0].doubt:
            end_record(world.tx, world.changes, self.config.name, founds[0].type, founds[0].remote_id)
            return [Landed(founds[0])], world
        known = {one.name: named for one in founds if (named := known_here(tx, self.config, one)) is not None}
        if len(founds) == 1 and known and waiting.is_on_its_way(tx, self.config, next(iter(known.values()))):
            return [Landed(founds[0])], None  # our own write, whose answer is still to come: it will say what this is
        try:
            beside = frozenset(name for one in founds for name in (one.name, one.urn))
            read = [self._read(tx, one, beside) for one in founds]
            alone = len(founds) == 1
            own = {name: ours_is(head, self.flow.ours) for name, head in known.items()}
            items = [_item(one, said, own.get(one.name), alone=alone) for one, said in zip(founds, read, strict=True)]
            applied = apply(world, items, self._speaker(founds[0]), whole=False)
        except GatewayError as error:
            return [Landed(one, error=error) for one in founds], None
        world.changes.audits += audits_of(self.received, applied, tx.now)
        rows = zip(founds, applied, read, strict=True)
        return [_landed(world, self.config, one, done, said.kept) for one, done, said in rows], world

    def _speaker(self, found: Found) -> Speaker:
        return Speaker(
            self.config.name,
            "system",
            self.received.message_id,
            self.received.principal,
            coverage=found.coverage or self.config.form.reads,
            at=times.from_instant(found.at) if found.at else None,
            read_start=self.read_start,
            dated=found.dated and found.at is not None,
        )

    def _read(self, tx: Tx, found: Found, beside: frozenset[str]) -> Settled:
        """A finding's body as we can apply it. Raises NotConformant, or Conflict where a person must look."""
        if found.doubt:
            raise Conflict(f"held: {found.doubt}", expression=found.type)
        body = found.body or {}
        if too_deep := gate.check_depth(body):
            raise NotConformant("their resource is nested too deeply", issues=[too_deep])
        ours = _ours(tx, self.config.name, body, self.urns)
        settled = theirs.settle(body, self.config.remote_system, ours, beside)
        named = references.rewrite(settled.body, {name: ours[name] for name in ours if name not in beside})
        if self.foreseen:
            new = {ref.value for ref in _of_theirs(body)} - ours.keys() - beside
            named = theirs.as_logical(named, self.config.remote_system, new)
        if found.joins and (before := _known(tx, self.config.name, found)):
            named = found.joins(named, before)
        gate.require(named)
        return Settled(named, settled.kept)

    @cached_property
    def urns(self) -> Mapping[str, tuple[str, str]]:
        """Those met in this look, by what speaks of them where no reference can stand."""
        return {one.urn: (one.type, one.remote_id) for one in self.founds}


async def foresee(flow: Flow, received: Received, config: Config, founds: Sequence[Found]) -> list[Landed]:
    """What taking them would do, one by one; nothing is written."""

    def job(tx: Tx) -> list[Landed]:
        look = Look(flow, received, config, founds, tx.now, foreseen=True)
        return [look.plan(tx, [at])[0][0] for at in range(len(founds))]

    return await flow.store.write(job)


def in_order(founds: Sequence[Found]) -> list[list[int]]:
    """What others refer to first; what refers to each other together."""
    ranked = sorted(range(len(founds)), key=lambda at: references.rank(founds[at].type))
    return [[ranked[at] for at in lot] for lot in theirs.lots([founds[at] for at in ranked])]


def _landed(world: World, config: Config, found: Found, applied: Applied, kept: int) -> Landed:
    """With what `world` is about to write of it."""
    disagreed = world.changes.conflicts.get(applied.state.rid, ()) if applied.state else ()
    slots = tuple(slot for slot, _ in disagreed)
    return Landed(found, applied, None, kept, slots, _revision(world, applied, config, found))


def _revision(world: World, applied: Applied, config: Config, found: Found) -> int:
    """Of the record once `world` is written; 0 = not known."""
    key = (config.name, found.type, found.remote_id)
    written = [row.revision + 1 for row in world.changes.records if (row.connector, row.type, row.remote_id) == key]
    known = applied.state.records.get((config.name, found.remote_id)) if applied.state else None
    return written[-1] if written else known.row.revision if known else 0


def known_here(tx: Reader, config: Config, found: Found) -> Head | None:
    """The resource of ours that an unknown copy of theirs says it is: made by a write of ours of which we have no
    answer (yet). A second copy of what they hold already is somebody's clone, and no such thing."""
    if found.ours is None or found.body is None or tx.records_of(config.name, [(found.type, found.remote_id)]):
        return None
    head = tx.heads([(found.type, found.ours)]).get((found.type, found.ours))
    if head is None or head.deleted:
        return None
    if any(link.connector == config.name for link in tx.links([head.rid]).get(head.rid, ())):
        return None
    version = tx.current([head.rid])[head.rid]
    same = found.type != "Patient" or agrees(json.decode(version.body or b"{}"), found.body).ok
    return head if same else None


def ours_is(head: Head, base: str) -> Condition:
    """That a copy of theirs is of this resource; `base` = our FHIR base."""
    return Condition(head.type, f"{base}/{head.type}", head.id)


def _known(tx: Tx, connector: str, found: Found) -> Resource | None:
    """What is known of the resource that it is a copy of."""
    pair = (found.type, found.remote_id)
    link = tx.links_of(connector, [pair]).get(pair)
    version = tx.current([link.rid]).get(link.rid) if link else None
    body: Resource = json.decode(version.body) if version and version.body else {}
    return {name: value for name, value in body.items() if name != "id"} or None


def _item(found: Found, said: Settled, own: Condition | None, *, alone: bool) -> Item:
    path = found.type if alone else found.name
    named = Item(path, "update", found.type, said.body, remote_id=found.remote_id, condition=own)
    return named._replace(full_url=found.urn, names=(found.name,))


def with_our_references(reader: Reader, config: Config, body: Resource) -> Resource:
    """References to others of theirs, pointed at what those are linked to here; else told by identifier, where they
    are told as theirs."""
    ours = _ours(reader, config.name, body, {})
    return references.rewrite(theirs.settle(body, config.remote_system, ours, frozenset()).body, ours)


def _ours(reader: Reader, connector: str, body: Resource, urns: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """The references to others of theirs that are linked here -> what those are here."""
    named = {ref.value: (match[1], match[2]) for ref in _of_theirs(body) if (match := _THEIRS.fullmatch(ref.value))}
    named |= {ref.value: urns[ref.value] for ref in references.collect(body) if ref.value in urns}
    if not named:
        return {}
    ours = _linked(reader, connector, set(named.values()))
    return {value: ours[pair] for value, pair in named.items() if pair in ours}


def _of_theirs(body: Resource) -> list[Ref]:
    """What in it names another of theirs."""
    return [ref for ref in references.collect(body) if ref.kind in _LOCAL and _THEIRS.fullmatch(ref.value)]


_LOCAL = ("relative", "unreadable")


def _linked(reader: Reader, connector: str, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    links = reader.links_of(connector, pairs)
    heads = reader.heads_by_rid([link.rid for link in links.values()])
    return {pair: f"{heads[link.rid].type}/{heads[link.rid].id}" for pair, link in links.items() if link.rid in heads}


def _close(flow: Flow, tx: Tx, received: Received, landed: Sequence[Landed], worlds: Sequence[World]) -> None:
    """The message, with one Provenance for all that it changed. A finding that is held, or cannot be used, of a look at
    several gets a message of its own, for whoever has to decide about it."""
    last = World(tx, flow.directory(tx))
    speaker = Speaker(received.connector, "system", received.message_id, received.principal)
    provenance.add_for(last, worlds, speaker)
    noted = issues_json([issue for one in landed for issue in one.found.issues])
    apart = [one for one in landed if one.error] if tx.message(received.message_id) is None and len(landed) > 1 else []
    state, why = _outcome([] if apart else landed)
    why = why or _note(landed)
    if tx.message(received.message_id) is None:
        last.changes.messages.append(received.row(state, tx.now, error=why)._replace(issues=noted))
    else:
        last.changes.message_updates.append(MessageUpdate(received.message_id, state, error=why, issues=noted))
    last.changes.messages += [_alone(received, one, tx.now) for one in apart]
    tx.write(last.changes)


def _outcome(landed: Sequence[Landed]) -> tuple[str, str | None]:
    """The state of their message: held when any is, else failed when any could not be used; and why."""
    errors = [one.error for one in landed if one.error is not None]
    held = next((error.message for error in errors if isinstance(error, Conflict)), None)
    state = "held" if held else "failed" if errors else "applied"
    return state, held or next((error.message for error in errors), None)


def _alone(received: Received, landed: Landed, now: datetime) -> MessageRow:
    """The message of one finding."""
    own = replace(received, body=message_body([landed.found]), dedupe=None, message_id=new_id(now))
    state, why = _outcome([landed])
    return own.row(state, now, error=why)


def _note(landed: Sequence[Landed]) -> str | None:
    kept = sum(one.kept for one in landed)
    return f"{kept} references name what is not here and are kept by identifier" if kept else None
