"""Oracle: what must hold once a story has become quiet, worked out from who typed what and when."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation import values
from tests.simulation.systems import Edit, Five
from tests.simulation.world import ROUNDS, World

_SINGLE = ("name", "phone")


def faults(world: World) -> list[str]:
    """Everything that is wrong, as sentences; empty when the story ended well."""
    rounds = world.quiet()
    if rounds > ROUNDS:
        return ["it never becomes quiet"]
    groups = sorted({world.gateway.group_of(name) for name in world.gateway.stored})
    found = [fault for group in groups for fault in (*_disagreements(world, group), *_losses(world, group))]
    return [*found, *_inventions(world)]


def _disagreements(world: World, group: str) -> Iterator[str]:
    held = values.numbers(world.gateway.consolidated(group).resource)
    for name, system in world.systems.items():
        if world.gateway.group_of(name) != group:
            continue
        displayed = values.numbers(system.body)
        for kind in sorted({values.kind_of(slot) for slot in system.slots}):
            ours, theirs = held.get(kind, set()), displayed.get(kind, set())
            one_of = isinstance(system, Five) and kind in _SINGLE
            if any(edit.unsure for edit in system.edits if edit.kind == kind):
                continue
            if not (_is_one_of(ours, theirs) if one_of else ours == theirs):
                yield f"{name} displays {kind} {sorted(theirs)}, {group} holds {sorted(ours)}"


def _is_one_of(ours: set[int], theirs: set[int]) -> bool:
    return theirs <= ours and len(theirs) == min(len(ours), 1)


def _losses(world: World, group: str) -> Iterator[str]:
    """Edits of a member that are gone though nobody in the group typed there later, nor a conflict is listed."""
    found = world.gateway.consolidated(group)
    held = values.numbers(found.resource)
    listed = {(one.other, values.kind_of(one.slot)) for one in found.conflicts}
    edits = [edit for edit in world.edits if world.gateway.group_of(edit.system) == group and not edit.unseen]
    for edit in edits:
        stands = _stands(edit, held.get(edit.kind, set()))
        rivals = [one for one in edits if one.kind == edit.kind and one.time > edit.time]
        if edit.displaced & held.get(edit.kind, set()) and not (rivals or edit.unsure or world.setting.priority):
            yield f"{sorted(edit.displaced)} came back in {group}, which {edit.system} replaced by {edit.number}"
        if not (stands or rivals or edit.unsure) and (edit.system, edit.kind) not in listed:
            yield f"{edit.system}'s {edit.kind} {edit.number} of time {edit.time} is lost in {group}, holding {held}"


def _stands(edit: Edit, held: set[int]) -> bool:
    return not edit.displaced & held if edit.number is None else edit.number in held


def _inventions(world: World) -> Iterator[str]:
    """Values that nobody typed, or that came from elsewhere than the members of the group."""
    for group, versions in world.gateway.versions.items():
        for version in versions:
            yield from _untyped(world, group, version.body)
        typed = {edit.number for edit in world.edits if world.gateway.group_of(edit.system) == group}
        last = values.numbers(world.gateway.consolidated(group).resource)
        for kind, numbers in last.items():
            if numbers - typed:
                yield f"{group} holds {kind} {sorted(numbers - typed)}, which no member typed"
    for name, system in world.systems.items():
        yield from _untyped(world, name, system.body)


def _untyped(world: World, where: str, body: dict[str, object] | None) -> Iterator[str]:
    typed = {edit.number for edit in world.edits}
    shown = {number for numbers in values.numbers(body).values() for number in numbers}
    if strange := sorted((shown | values.given_numbers(body)) - typed):
        yield f"{where} displays {strange}, which nobody typed"
