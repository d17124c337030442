"""Clinical resources: one slot as a whole, belonging to their source (design, section 3, last rule)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gateway.fhir import condition, json, search
from gateway.fhir.json import Json, Resource
from gateway.fhir.references import SHARED
from gateway.planning import bodies, orders
from gateway.planning.patients import base_of, check_version, live
from gateway.planning.resolve import Meant
from gateway.planning.world import Speaker, State, World
from gateway.store import HeadUpdate, Identifier, Key, LinkRow, NewHead, NewVersion, RecordRow


class Said(NamedTuple):
    """What an item says of a clinical resource: its content, the digest of it, and whose record says so."""

    meant: Meant
    state: State
    resource: Resource
    content: Resource
    name: bytes
    known: RecordRow | None

    @property
    def is_restated(self) -> bool:
        """The source says again what it said last, perhaps long before somebody else's edit."""
        return self.meant.item.id is None and self.is_known

    @property
    def is_known(self) -> bool:
        """It is what its record holds, or how they show that."""
        return self.known is not None and bodies.is_known(self.known.digest, self.name)


def read(meant: Meant, resource: Resource, speaker: Speaker) -> Said:
    """The content of an item, compared with its source's record."""
    state = live(meant)
    content = bodies.content_of(resource)
    known = state.records.get((speaker.connector, meant.item.remote_id or state.id))
    return Said(meant, state, resource, content, bodies.digest(content), known.row if known else None)


def apply(world: World, said: Said, patients: Sequence[int], speaker: Speaker) -> bytes | None:
    """Queue the version if the content changed; its stored bytes. `patients`: the rids of those whose compartment it is
    in. It goes in step with the first."""
    state = said.state
    check_version(said.meant.item, state)
    if _is_overtaken(said, speaker):
        return state.raw
    if state.deleted or not _says_nothing_new(world, said):
        state.patient = patients[0] if patients else None
        _belong(world, state, patients)
        state.raw = _version(world, state, _labelled(said.content, state.body), speaker)
    _remember(world, said, speaker)
    return state.raw


def delete(world: World, meant: Meant, speaker: Speaker) -> None:
    """FHIR DELETE: a tombstone; the next conditional create of the same identifier makes a new resource."""
    state = meant.state
    if state is None or state.deleted:
        return
    check_version(meant.item, state)
    pairs = search.identifiers_of(state.body)
    world.changes.keys_removed += [Key(state.type, "condition", *row, state.rid) for row in condition.rows(pairs)]
    world.changes.identifiers_removed += [Identifier(state.type, *pair, state.rid) for pair in pairs]
    if meant.item.condition:
        world.changes.keys_removed.append(Key(state.type, "condition", *meant.item.condition.row, state.rid))
    world.changes.heads_updated.append(HeadUpdate(state.rid, state.number, state.patient))
    version = NewVersion(state.rid, state.number + 1, "delete", speaker.connector, speaker.message_id, None)
    world.changes.versions.append(version)


def _is_overtaken(said: Said, speaker: Speaker) -> bool:
    """A document written before the one that its source's record is from: it changes nothing newer."""
    read_at = said.known.read_at if said.known else None
    return speaker.dated and speaker.at is not None and read_at is not None and speaker.at < read_at


def _says_nothing_new(world: World, said: Said) -> bool:
    """Restated; or what is there already; or a client puts back what it had read, edited by others only."""
    state, item = said.state, said.meant.item
    if item.id is not None:
        base, _ = base_of(world, state, item, said.resource)
        return _is_said_by(said, base)
    return said.is_restated or (state.number > 0 and _is_said_by(said, state.body))


def _is_said_by(said: Said, body: Resource) -> bool:
    """Whether a version has that content. Most that differ do so at once; the digest also counts every digit."""
    before, content = bodies.content_of(body), _labelled(said.content, body)
    return before == content and bodies.digest(before) == bodies.digest(content)


def _labelled(content: Resource, before: Resource) -> Resource:
    """The content with the security labels of the version before it: leaving one out says nothing (FHIR R4 §2.26), and
    whoever does not know it must not make open what somebody else had restricted."""
    meta = content.get("meta", {})
    stated = meta.get("security", [])
    known = {_label(one) for one in stated}
    kept = [one for one in before.get("meta", {}).get("security", []) if _label(one) not in known]
    return {**content, "meta": {**meta, "security": [*kept, *stated]}} if kept else content


def _label(coding: Resource) -> tuple[Json, ...]:
    """What tells one label from another: its code or, without one, its words."""
    return (coding.get("system"), coding.get("code") or coding.get("display"))


def _belong(world: World, state: State, patients: Sequence[int]) -> None:
    if state.type in SHARED and (state.number > 0 or len(patients) > 1):
        world.changes.belongs[state.rid] = patients if len(patients) > 1 else ()


def _version(world: World, state: State, content: Resource, speaker: Speaker) -> bytes:
    number = state.number + 1
    body = bodies.stored(content, state.id, number, world.now)
    raw = json.encode(body)
    if number == 1:
        world.changes.heads_new.append(NewHead(state.rid, state.type, state.id, state.patient))
    else:
        world.changes.heads_updated.append(HeadUpdate(state.rid, state.number, state.patient))
    method = "create" if number == 1 else "update"
    version = NewVersion(state.rid, number, method, speaker.connector, speaker.message_id, raw)
    world.changes.versions.append(version)
    _index(world, state, body)
    orders.order_clinical(world, state, number, speaker.connector)
    return raw


def _index(world: World, state: State, body: Resource) -> None:
    after = search.identifiers_of(body)
    before = search.identifiers_of(state.body) if state.number and not state.deleted else []
    if before == after:
        return
    world.changes.identifiers_added += [
        Identifier(state.type, *pair, state.rid) for pair in after if pair not in before
    ]
    gone = [pair for pair in before if pair not in after]
    if not gone:
        return
    world.changes.identifiers_removed += [Identifier(state.type, *pair, state.rid) for pair in gone]
    world.changes.keys_removed += [Key(state.type, "condition", *row, state.rid) for row in condition.rows(gone)]


def _remember(world: World, said: Said, speaker: Speaker) -> None:
    """The source's record of it: which content it last stated, by digest, as the body stands in the version log."""
    state = said.state
    dated = speaker.at if speaker.dated else None
    read_at = dated or world.now
    if said.known is not None:
        if not said.is_known or (dated and dated != said.known.read_at):
            world.changes.records.append(said.known._replace(digest=said.name, read_at=read_at))
        if said.known.digest is None:
            _link_again(world, said, speaker)
        return
    remote_id = said.meant.item.remote_id or state.id
    row = RecordRow(0, speaker.connector, state.type, remote_id, state.rid, 0, b"", said.name, read_at)
    _link(world, said, speaker, remote_id)
    world.changes.records.append(row)


def _link_again(world: World, said: Said, speaker: Speaker) -> None:
    """Their copy may have ended, and is back."""
    remote_id = said.meant.item.remote_id or said.state.id
    if not world.tx.links_of(speaker.connector, [(said.state.type, remote_id)]):
        _link(world, said, speaker, remote_id)


def _link(world: World, said: Said, speaker: Speaker, remote_id: str) -> None:
    reason = json.encode(said.meant.reason).decode()
    row = LinkRow(world.tx.new_id(), speaker.connector, said.state.type, remote_id, said.state.rid, reason, world.now)
    world.changes.links.append(row)
