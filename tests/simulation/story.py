"""Story: a random sequence of steps from a seed, told to a world; the shortest one that still fails."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.simulation.gateway import Core
from tests.simulation.oracle import faults
from tests.simulation.systems import Blind, Five, Full, Lists, Papers
from tests.simulation.values import NAME, SLOTS
from tests.simulation.world import Setting, Step, World

_FAULTS = ("", "", "", "before", "after", "late")
_READABLE = ("full", "other", "five", "lists")
_NAMES = (*_READABLE, "blind")


def tell(seed: int) -> tuple[Setting, list[Step]]:
    """The story of a seed."""
    random = Random(seed)
    return _setting(random), _steps(random)


def check(setting: Setting, steps: list[Step], core: Core) -> list[str]:
    """What is wrong after the story; empty when nothing is."""
    world = World(setting, core)
    world.run(steps)
    return faults(world)


def shortest(setting: Setting, steps: list[Step], core: Core) -> list[Step]:
    """The failing story without every step that it can do without."""
    size = len(steps)
    while size:
        at = 0
        while at < len(steps):
            without = steps[:at] + steps[at + size :]
            if check(setting, without, core):
                steps = without
            else:
                at += size
        size //= 2
    return steps


def _setting(random: Random) -> Setting:
    names = ("full", "other", "five", "papers", "client", "stater")
    priority = ((random.choice(names), 1),) if random.random() < 0.3 else ()
    tolerance = random.choice((0, 3, 30))
    clocks = [random.randint(-tolerance, tolerance) for _ in range(4)]
    return Setting(*clocks, tolerance, priority, random.random() < 0.6, random.random() < 0.5)


def _steps(random: Random) -> list[Step]:
    numbers = iter(range(1, 1000))
    steps: list[Step] = []
    for system in (Full, Five, Papers):
        if random.random() < 0.7:
            name = {Full: "full", Five: "five", Papers: "papers"}[system]
            chosen = random.sample(system.slots, random.randint(1, len(system.slots)))
            steps += [("edit", name, slot, next(numbers)) for slot in chosen]
    for _ in range(random.randint(5, 45)):
        steps.append(_step(random, lambda: next(numbers)))
    return steps


def _step(random: Random, number: Callable[[], int]) -> Step:
    kinds = {
        _edit: 30, _sync: 25, _begin: 12, _go_on: 20, _kill: 3, _read: 5, _apply: 5, _document: 6, _event: 6, _get: 5,
        _put: 8, _state: 6, _restate: 2, _unlink: 1, _wait: 4,
    }  # fmt: skip
    return random.choices(list(kinds), list(kinds.values()))[0](random, number)


def _edit(random: Random, number: Callable[[], int]) -> Step:
    name = random.choice((*_NAMES, "papers"))
    partial = {"five": Five.slots, "lists": Lists.slots, "papers": Papers.slots, "blind": Blind.slots}
    slot = random.choice(partial.get(name, Full.slots))
    deletes = name != "papers" and slot != NAME and random.random() < 0.2
    return ("edit", name, slot, None if deletes else number())


def _sync(random: Random, number: Callable[[], int]) -> Step:
    return ("sync", random.choice(_NAMES), random.choice(_FAULTS))


def _begin(random: Random, number: Callable[[], int]) -> Step:
    return ("begin", random.choice(_NAMES), random.choice(_FAULTS))


def _go_on(random: Random, number: Callable[[], int]) -> Step:
    return ("step", random.choice(_NAMES))


def _kill(random: Random, number: Callable[[], int]) -> Step:
    return ("kill", random.choice(_NAMES))


def _read(random: Random, number: Callable[[], int]) -> Step:
    return ("read", random.choice(_READABLE))


def _apply(random: Random, number: Callable[[], int]) -> Step:
    return ("apply", random.choice(_READABLE))


def _document(random: Random, number: Callable[[], int]) -> Step:
    return ("document", random.randint(0, 5), random.random() < 0.3)


def _event(random: Random, number: Callable[[], int]) -> Step:
    return ("event", random.randint(0, 5), random.random() < 0.3)


def _get(random: Random, number: Callable[[], int]) -> Step:
    return ("get",)


def _put(random: Random, number: Callable[[], int]) -> Step:
    slot = random.choice(SLOTS)
    deletes = slot != NAME and random.random() < 0.2
    return ("put", slot, None if deletes else number(), random.random() < 0.5)


def _state(random: Random, number: Callable[[], int]) -> Step:
    slot = random.choice(SLOTS)
    deletes = slot != NAME and random.random() < 0.2
    return ("state", slot, None if deletes else number())


def _restate(random: Random, number: Callable[[], int]) -> Step:
    return ("restate",)


def _unlink(random: Random, number: Callable[[], int]) -> Step:
    return ("unlink", random.choice((*_NAMES, "papers")))


def _wait(random: Random, number: Callable[[], int]) -> Step:
    return ("wait", random.randint(1, 20))
