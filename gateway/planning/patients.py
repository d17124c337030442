"""Patients: what a system said becomes its record, and all records together the Patient (design, section 3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from gateway.errors import InvalidInput, VersionConflict
from gateway.fhir import bundle, condition, consolidate, form, json, observe, record, search
from gateway.fhir.consolidate import Consolidated
from gateway.fhir.json import Resource
from gateway.fhir.record import Record
from gateway.identity.keys import Key as IdentityKey
from gateway.identity.keys import key_identifiers, other_identifiers
from gateway.planning import bodies, orders
from gateway.planning.resolve import Meant
from gateway.planning.world import Item, Known, Speaker, State, World
from gateway.store import HeadUpdate, Identifier, Key, LinkRow, NewHead, NewVersion, RecordRow


def apply(world: World, meant: Meant, resource: Resource, speaker: Speaker) -> bytes:
    """Observe what the speaker said of a Patient, consolidate, and queue every row; its stored form, changed or not."""
    state = live(meant)
    state.patient = state.rid
    check_version(meant.item, state)
    key, known, linked = _record_of(state, meant.item, speaker)
    stated = _observed(world, state, known.record, meant.item, resource, speaker)
    state.records[key] = replace_record(known, stated)
    if not linked:
        link(world, state, *key, meant.reason)
    return settle(world, state, speaker, {key}, by_id=meant.item.id is not None)


def settle(
    world: World, state: State, speaker: Speaker, changed: set[tuple[str, str]], *, by_id: bool = False
) -> bytes:
    """Consolidate the records as they now are: a new version if a slot changed, orders, conflicts, record rows.

    `by_id`: a client edits the resource itself, which brings a deleted one back and may correct the spelling.
    """
    result = consolidated(world, state)
    content = result.resource or {"resourceType": "Patient"}
    gone = state.deleted and not by_id
    edited = bool(consolidate.changed(state.body, result, spelling=by_id))
    fresh = not gone and (state.number == 0 or state.deleted or edited)
    number = state.number + 1 if fresh else state.number
    if fresh:
        state.raw = _version(world, state, bodies.stored(content, state.id, number, world.now), number, speaker)
    if speaker.shows:
        _show(state, changed, content, result.stamps)
    world.changes.conflicts[state.rid] = _conflicts(result)
    write_records(world, state, changed)
    orders.order_patient(world, state, content, number, deleted=gone, touched=None if fresh else changed)
    return state.raw or b""


def consolidated(world: World, state: State) -> Consolidated:
    """What all records of a Patient say together."""
    return consolidate.consolidate([known.record for known in state.records.values()], world.directory.policy)


def delete(world: World, meant: Meant, speaker: Speaker) -> None:
    """FHIR DELETE: the resource becomes a tombstone; the systems keep their records and are told active=false."""
    state = meant.state
    if state is None or state.deleted:
        return
    check_version(meant.item, state)
    content = bodies.content_of(state.body)
    _unindex(world, state)
    world.changes.heads_updated.append(HeadUpdate(state.rid, state.number, state.rid))
    version = NewVersion(state.rid, state.number + 1, "delete", speaker.connector, speaker.message_id, None)
    world.changes.versions.append(version)
    orders.order_patient(world, state, content, state.number + 1, deleted=True)


def _unindex(world: World, state: State) -> None:
    """A deleted Patient is not found by its identifiers; its keys stay, so that messages about it are held."""
    pairs = search.identifiers_of(state.body)
    seen = other_identifiers(state.body, world.directory.keys)
    linked = set(_link_ids(world, state))
    world.changes.keys_removed += [Key("Patient", "condition", *row, state.rid) for row in condition.rows(pairs)]
    world.changes.keys_removed += [Key("Patient", "seen", *pair, state.rid) for pair in seen]
    world.changes.identifiers_removed += [
        Identifier("Patient", *pair, state.rid) for pair in pairs if pair not in linked
    ]


def check_version(item: Item, state: State) -> None:
    """Raises VersionConflict when If-Match names another version (FHIR R4 §3.1.0.5), or If-None-Match this one."""
    if item.if_match is not None and item.if_match != str(state.number):
        raise VersionConflict(f"the current version is {state.number}: read it again first", expression=item.path)
    is_there = state.number > 0 and not state.deleted
    if item.if_none_match is not None and is_there and bundle.is_named(item.if_none_match, state.number):
        raise VersionConflict("there is one already, and If-None-Match keeps it as it is", expression=item.path)


def replace_record(known: Known, stated: Record) -> Known:
    return replace(known, record=stated)


def live(meant: Meant) -> State:
    """The resource that an item with a body means."""
    assert meant.state is not None, "an item with a resource always means one"
    return meant.state


def _record_of(state: State, item: Item, speaker: Speaker) -> tuple[tuple[str, str], Known, bool]:
    """The speaker's record, and whether it is linked already: who shows again what had ended is linked once more."""
    remote_id = item.remote_id if speaker.kind == "system" and item.remote_id else state.id
    key = (speaker.connector, remote_id)
    if key in state.records:
        linked = any((link.connector, link.remote_id) == key for link in state.links)
        return key, state.records[key], linked
    row = RecordRow(0, speaker.connector, "Patient", remote_id, state.rid, 0, b"")
    fresh = Known(row, Record(speaker.connector, "Patient", remote_id))
    pending = named(state, *key) if speaker.kind == "system" else None
    return key, pending or fresh, False


def named(state: State, connector: str, remote_id: str) -> Known | None:
    """The record of a copy that had no id yet, under the id that its system gave it; None when none was waiting."""
    known = state.records.pop((connector, f"{orders.PENDING}{state.id}"), None)
    if known is None:
        return None
    return Known(known.row._replace(remote_id=remote_id), replace(known.record, remote_id=remote_id))


def _observed(world: World, state: State, known: Record, item: Item, resource: Resource, speaker: Speaker) -> Record:
    now = world.now
    if speaker.kind == "system":
        start = speaker.read_start or now
        peer = world.directory.peers.get(speaker.connector)
        used = peer.form if peer else form.FULL
        coverage = speaker.coverage
        return observe.observe(
            known,
            resource,
            coverage,
            speaker.at,
            start,
            now=now,
            form=used,
            dated=speaker.dated,
            tolerance=world.directory.policy.tolerance,
        )
    resource = _without_links(world, state, resource)
    if item.id is not None:
        base, stamp = base_of(world, state, item, resource)
        return observe.edit(known, base, resource, at=now, base_stamp=stamp)
    return observe.state(known, resource, speaker.coverage, at=now)


def _without_links(world: World, state: State, resource: Resource) -> Resource:
    """A client's body without the remote ids that a read showed it: it hands them back, it does not assert them."""
    given = resource.get("identifier", [])
    shown = set(_link_ids(world, state)) | {(world.directory.patient_system, state.id)}
    shown -= set(search.identifiers_of(state.body))
    kept = [one for one in given if (one.get("system"), one.get("value")) not in shown]
    if len(kept) == len(given):
        return resource
    bare = {name: value for name, value in resource.items() if name != "identifier"}
    return {**bare, "identifier": kept} if kept else bare


def base_of(world: World, state: State, item: Item, resource: Resource) -> tuple[Resource, datetime | None]:
    """What a PUT by id was made from: If-Match, else meta.versionId of the body, else the current version."""
    if state.deleted:
        return {"resourceType": state.type}, state.at
    named = item.if_match or resource.get("meta", {}).get("versionId")
    if named is None or named == str(state.number):
        return state.body, state.at
    number = bodies.version_number(named)
    version = world.tx.version(state.rid, number) if number is not None else None
    if version is None or version.body is None:
        raise InvalidInput("meta.versionId names a version that never was", expression=f"{item.path}.meta.versionId")
    return json.decode(version.body), version.at


def _version(world: World, state: State, body: Resource, number: int, speaker: Speaker) -> bytes:
    """Queue the rows of a new version; its bytes."""
    raw = json.encode(body)
    if number == 1:
        world.changes.heads_new.append(NewHead(state.rid, "Patient", state.id, state.rid))
    else:
        world.changes.heads_updated.append(HeadUpdate(state.rid, state.number, state.rid))
    method = "create" if number == 1 else "update"
    version = NewVersion(state.rid, number, method, speaker.connector, speaker.message_id, raw)
    world.changes.versions.append(version)
    index(world, state, body)
    return raw


def index(world: World, state: State, body: Resource) -> None:
    """Queue what changes in the search index and among the unique keys; remote ids of links stay."""
    before = set(search.identifiers_of(state.body)) if state.number and not state.deleted else set()
    after = set(search.identifiers_of(body))
    linked = set(_link_ids(world, state))
    world.changes.identifiers_added += [
        Identifier("Patient", *pair, state.rid) for pair in sorted(after - before - linked)
    ]
    gone = sorted(before - after - linked)
    world.changes.identifiers_removed += [Identifier("Patient", *pair, state.rid) for pair in gone]
    world.changes.keys_removed += [Key("Patient", "condition", *row, state.rid) for row in condition.rows(gone)]
    _index_keys(world, state, body, linked)


def _index_keys(world: World, state: State, body: Resource, linked: set[tuple[str, str]]) -> None:
    systems = world.directory.keys
    keys = {(key.system, key.value) for key in key_identifiers(body, systems) if key.system != systems.ours}
    seen = set(other_identifiers(body, systems))
    old_keys = set(key_identifiers(state.body, systems)) if state.number else set()
    old_seen = set(other_identifiers(state.body, systems)) if state.number else set()
    gone = old_keys - keys - set(as_keys(world, linked))
    world.changes.keys_removed += [Key("Patient", "key", *pair, state.rid) for pair in sorted(gone)]
    world.changes.keys_removed += [Key("Patient", "seen", *pair, state.rid) for pair in sorted(old_seen - seen)]
    _claim(world, state, {("key", *pair) for pair in keys} | {("seen", *pair) for pair in seen})


def _claim(world: World, state: State, wanted: set[tuple[str, str, str]]) -> None:
    """Take the unique rows that nobody has. A `seen` row makes two posts of one unlisted identifier meet: whoever
    comes second sees it, and joins only if name and birth date agree."""
    taken = world.tx.holders([("Patient", *name) for name in wanted])
    mine = {("Patient", *name) for name in wanted} - taken.keys()
    queued = {key[:4]: key.rid for key in world.changes.keys_added if key[:4] in mine}
    if any(name[1] == "key" and rid != state.rid for name, rid in queued.items()):
        raise InvalidInput("two Patients of one message carry the same identifier; nothing was written")
    world.changes.keys_added += [Key(*name, state.rid) for name in sorted(mine - queued.keys())]


def _link_ids(world: World, state: State) -> list[tuple[str, str]]:
    """The remote ids of live links as identifiers, for systems whose ids are identifiers."""
    theirs = [link for link in state.links if link.remote_id != state.id]
    systems = [(world.directory.id_system(link.connector), link.remote_id) for link in theirs]
    return [(system, remote_id) for system, remote_id in systems if system]


def link(world: World, state: State, connector: str, remote_id: str, reason: object) -> None:
    """Queue the link of a record to its Patient; the remote id finds it from now on, if that system's ids are known."""
    text = json.encode(reason).decode()
    row = LinkRow(world.tx.new_id(), connector, "Patient", remote_id, state.rid, text, world.now)
    known = set(_link_ids(world, state))
    world.changes.links.append(row)
    state.links.append(row)
    system = world.directory.id_system(connector)
    if system is not None and remote_id != state.id and (system, remote_id) not in known:
        _claim_remote(world, state, system, remote_id)


def _claim_remote(world: World, state: State, system: str, remote_id: str) -> None:
    """A linked remote id finds its Patient from now on, as an identifier of that system's ids."""
    _claim(world, state, {("key", *key) for key in as_keys(world, [(system, remote_id)])})
    if not _is_found_by(world, state, system, remote_id):
        world.changes.identifiers_added.append(Identifier("Patient", system, remote_id, state.rid))


def _is_found_by(world: World, state: State, system: str, value: str) -> bool:
    """Whether the search index has it: it is in the resource, or was linked before."""
    mark = ("Patient", system, value)
    stated = (system, value) in search.identifiers_of(state.body)
    return stated or (state.number > 0 and state.rid in world.tx.marked([mark])[mark])


def as_keys(world: World, pairs: Iterable[tuple[str, str]]) -> list[IdentityKey]:
    """Those of these identifiers that decide who somebody is, normalised."""
    listed = [{"system": system, "value": value} for system, value in pairs]
    return key_identifiers({"identifier": listed}, world.directory.keys)


def _show(state: State, keys: set[tuple[str, str]], content: Resource, stamps: Mapping[str, datetime | None]) -> None:
    for key in keys:
        known = state.records[key]
        state.records[key] = replace_record(known, observe.show(known.record, content, stamps))


def write_records(world: World, state: State, keys: set[tuple[str, str]]) -> None:
    """Queue the rows of these records, where they say something else than what is stored; once per job."""
    others = [
        row for row in world.changes.records if row.type != "Patient" or (row.connector, row.remote_id) not in keys
    ]
    world.changes.records = others
    for key in sorted(keys):
        known = state.records[key]
        dumped = record.dump(known.record)
        if dumped != known.row.state or not known.row.revision:
            row = known.row._replace(rid=state.rid, state=dumped, read_at=known.record.read_at)
            world.changes.records.append(row)


def _conflicts(result: Consolidated) -> list[tuple[str, str]]:
    """One row per slot, with everybody who says something of his own there."""
    found: dict[str, set[str]] = defaultdict(set)
    for one in result.conflicts:
        found[one.slot].update(one.connectors)
    return [(slot, json.encode(sorted(names)).decode()) for slot, names in found.items()]
