"""Clinical resources: one slot as a whole, belonging to their source (design, section 3, last rule)."""

from __future__ import annotations

from gateway.fhir import condition, json, search
from gateway.fhir.json import Resource
from gateway.planning import bodies, orders
from gateway.planning.patients import base_of, check_version
from gateway.planning.resolve import Meant
from gateway.planning.world import Speaker, State, World
from gateway.store import HeadUpdate, Identifier, Key, LinkRow, NewHead, NewVersion, RecordRow


def apply(world: World, meant: Meant, resource: Resource, patient: int | None, speaker: Speaker) -> bytes | None:
    """Queue the version if the content changed; its stored bytes. `patient`: the rid of its compartment."""
    state = meant.state
    assert state is not None, "an item with a resource always means one"
    check_version(meant.item, state)
    content = bodies.content_of(resource)
    name = bodies.digest(content)
    remote_id = meant.item.remote_id or state.id
    if state.deleted or not _says_nothing_new(world, meant, resource, (speaker.connector, remote_id), name):
        state.patient = patient
        state.raw = _version(world, state, content, speaker)
    _remember(world, meant, state, name, speaker)
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


def _says_nothing_new(world: World, meant: Meant, resource: Resource, key: tuple[str, str], name: bytes) -> bool:
    """The source restates what it stated last, perhaps long before somebody else's edit; or it states what is there;
    or a client puts back what it had read, edited by nobody or by others only."""
    state = meant.state
    assert state is not None
    if meant.item.id is not None:
        base, _ = base_of(world, state, meant.item, resource)
        return bodies.digest(bodies.content_of(base)) == name
    known = state.records.get(key)
    if known is not None and known.row.digest == name:
        return True
    return state.number > 0 and bodies.digest(bodies.content_of(state.body)) == name


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
    before = set(search.identifiers_of(state.body)) if state.number and not state.deleted else set()
    after = set(search.identifiers_of(body))
    gone = sorted(before - after)
    world.changes.identifiers_added += [Identifier(state.type, *pair, state.rid) for pair in sorted(after - before)]
    world.changes.identifiers_removed += [Identifier(state.type, *pair, state.rid) for pair in gone]
    world.changes.keys_removed += [Key(state.type, "condition", *row, state.rid) for row in condition.rows(gone)]


def _remember(world: World, meant: Meant, state: State, name: bytes, speaker: Speaker) -> None:
    """The source's record of it: which content it last stated, by digest, as the body stands in the version log."""
    remote_id = meant.item.remote_id or state.id
    known = state.records.get((speaker.connector, remote_id))
    if known is None:
        row = RecordRow(0, speaker.connector, state.type, remote_id, state.rid, 0, b"", name, world.now)
        reason = json.encode(meant.reason).decode()
        link = LinkRow(world.tx.new_id(), speaker.connector, state.type, remote_id, state.rid, reason, world.now)
        world.changes.links.append(link)
        world.changes.records.append(row)
    elif known.row.digest != name:
        world.changes.records.append(known.row._replace(digest=name, read_at=world.now))
