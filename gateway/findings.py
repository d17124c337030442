"""Findings: what a system holds, met while looking (a poll, a first contact, what an event names), as its own records.

Each is applied for itself, all in one commit: what contradicts what is known is held and never costs the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.connectors.call import Found
from gateway.connectors.config import Config
from gateway.errors import Conflict, GatewayError, NotConformant
from gateway.fhir import gate, json, references, times
from gateway.fhir.issue import Issue
from gateway.fhir.json import Resource
from gateway.flow import Flow, Received, audits_of
from gateway.planning import provenance
from gateway.planning.apply import Applied, apply
from gateway.planning.records import end_record
from gateway.planning.world import Item, Speaker, World
from gateway.store import MessageUpdate, Reader, Tx

_FIRST = ("Organization", "Location", "Practitioner", "Patient", "Encounter", "Medication")
"""What others refer to comes before them."""

_THEIRS = re.compile(r"([A-Z][A-Za-z]{1,63})/([^/?#]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of one finding: `applied` None when their copy ended or when there is an `error`."""

    found: Found
    applied: Applied | None = None
    error: GatewayError | None = None


def message_body(founds: Sequence[Found]) -> bytes:
    """What is kept of a look that came without a message of its own."""
    return json.encode([{"type": one.type, "id": one.remote_id, "at": one.at, "resource": one.body} for one in founds])


def issues_json(issues: Sequence[Issue]) -> bytes | None:
    """What could not be translated, as it is kept beside the message."""
    return json.encode([issue.to_fhir() for issue in issues]) if issues else None


async def take(
    flow: Flow, received: Received, config: Config, founds: Sequence[Found], *, read_start: datetime
) -> list[Landed]:
    """Apply them and close the message, which is stored with them unless it was before. In the order given."""

    def job(tx: Tx) -> list[Landed]:
        landed, worlds = _each(flow, tx, received, config, founds, read_start)
        _close(flow, tx, received, landed, worlds)
        return landed

    landed = await flow.store.write(job)
    flow.ordered()
    return landed


async def foresee(flow: Flow, received: Received, config: Config, founds: Sequence[Found]) -> list[Landed]:
    """What taking them would do, one by one; nothing is written."""

    def job(tx: Tx) -> list[Landed]:
        return [_planned(flow, tx, received, config, one, tx.now)[0] for one in founds]

    return await flow.store.write(job)


def _each(
    flow: Flow, tx: Tx, received: Received, config: Config, founds: Sequence[Found], read_start: datetime
) -> tuple[list[Landed], list[World]]:
    landed: dict[int, Landed] = {}
    worlds: list[World] = []
    for at in sorted(range(len(founds)), key=lambda at: _rank(founds[at].type)):
        landed[at], world = _planned(flow, tx, received, config, founds[at], read_start)
        if world is not None:
            tx.write(world.changes)
            worlds.append(world)
    return [landed[at] for at in range(len(founds))], worlds


def _rank(type_: str) -> int:
    return _FIRST.index(type_) if type_ in _FIRST else len(_FIRST)


def _planned(
    flow: Flow, tx: Tx, received: Received, config: Config, found: Found, read_start: datetime
) -> tuple[Landed, World | None]:
    world = World(tx, flow.directory(tx))
    if found.body is None:
        end_record(world, config.name, found.type, found.remote_id)
        return Landed(found), world
    try:
        if too_deep := gate.check_depth(found.body):
            raise NotConformant("their resource is nested too deeply", issues=[too_deep])
        body = with_our_references(tx, config.name, found.body)
        gate.require(body)
        item = Item(found.type, "update", found.type, body, remote_id=found.remote_id)
        [applied] = apply(world, [item], _speaker(received, config, found, read_start), whole=False)
    except GatewayError as error:
        return Landed(found, error=error), None
    world.changes.audits += audits_of(received, [applied], tx.now)
    return Landed(found, applied), world


def _speaker(received: Received, config: Config, found: Found, read_start: datetime) -> Speaker:
    return Speaker(
        config.name,
        "system",
        received.message_id,
        received.principal,
        coverage=found.coverage or config.form.reads,
        at=times.from_instant(found.at) if found.at else None,
        read_start=read_start,
    )


def with_our_references(reader: Reader, connector: str, body: Resource) -> Resource:
    """References to others of theirs, pointed at what those are linked to here."""
    refs = references.collect(body)
    named = {ref.value: match for ref in refs if (match := _THEIRS.fullmatch(ref.value)) and ref.kind in _LOCAL}
    if not named:
        return body
    ours = _linked(reader, connector, {(match[1], match[2]) for match in named.values()})
    mapping = {value: ours[match[1], match[2]] for value, match in named.items() if (match[1], match[2]) in ours}
    return references.rewrite(body, mapping, refs)


_LOCAL = ("relative", "unreadable")


def _linked(reader: Reader, connector: str, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    links = reader.links_of(connector, pairs)
    heads = reader.heads_by_rid([link.rid for link in links.values()])
    return {pair: f"{heads[link.rid].type}/{heads[link.rid].id}" for pair, link in links.items() if link.rid in heads}


def _close(flow: Flow, tx: Tx, received: Received, landed: Sequence[Landed], worlds: Sequence[World]) -> None:
    """The message, held when any finding is, else failed when any could not be used; one Provenance for all."""
    errors = [one.error for one in landed if one.error is not None]
    held = next((error.message for error in errors if isinstance(error, Conflict)), None)
    state = "held" if held else "failed" if errors else "applied"
    why = held or next((error.message for error in errors), None)
    last = World(tx, flow.directory(tx))
    speaker = Speaker(received.connector, "system", received.message_id, received.principal)
    provenance.add_for(last, worlds, speaker)
    noted = issues_json([issue for one in landed for issue in one.found.issues])
    if tx.message(received.message_id) is None:
        last.changes.messages.append(received.row(state, tx.now, error=why)._replace(issues=noted))
    else:
        last.changes.message_updates.append(MessageUpdate(received.message_id, state, error=why, issues=noted))
    tx.write(last.changes)
