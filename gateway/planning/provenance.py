"""Provenance: one per message that changed something; it names the message and the versions it made (FHIR R4 §7.4)."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.fhir import json, times
from gateway.fhir.json import Resource
from gateway.planning import bodies
from gateway.planning.uuid7 import new_id
from gateway.planning.world import Speaker, World
from gateway.store import NewHead, NewVersion

_ACTIVITY = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"


def add(world: World, speaker: Speaker) -> None:
    """Queue the Provenance of what this message changed so far; nothing when it changed nothing."""
    add_for(world, [world], speaker)


def add_for(world: World, worlds: Sequence[World], speaker: Speaker) -> None:
    """Queue in `world` the one Provenance of what a message changed in all these (the entries of a batch)."""
    made = [(version, one.states[version.rid]) for one in worlds for version in one.changes.versions]
    if not made:
        return
    targets = [{"reference": f"{state.location}/_history/{version.number}"} for version, state in made]
    patients = {state.rid for _, state in made if state.type == "Patient"}
    patients |= {state.patient for _, state in made if state.patient is not None}
    rid, public_id = world.tx.new_rid(), new_id(world.now)
    body = bodies.stored(_content(world, speaker, targets), public_id, 1, world.now)
    patient = next(iter(patients)) if len(patients) == 1 else None
    if len(patients) > 1:
        world.changes.belongs[rid] = sorted(patients)
    world.changes.heads_new.append(NewHead(rid, "Provenance", public_id, patient))
    raw = json.encode(body)
    world.changes.versions.append(NewVersion(rid, 1, "create", speaker.connector, speaker.message_id, raw))


def _content(world: World, speaker: Speaker, targets: list[Resource]) -> Resource:
    base = world.directory.ours.removesuffix("/fhir")
    who = {"identifier": {"system": f"{base}/connectors", "value": speaker.connector}}
    message = {"identifier": {"system": f"{base}/messages", "value": speaker.message_id}}
    return {
        "resourceType": "Provenance",
        "target": targets,
        "recorded": times.to_instant(world.now),
        "activity": {"coding": [{"system": _ACTIVITY, "code": "UPDATE"}]},
        "agent": [{"who": who}],
        "entity": [{"role": "source", "what": message}],
    }
