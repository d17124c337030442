"""Any number of stories: `python -m tests.simulation --seeds 10000 --first 0`; a failing one is told shortened."""

from __future__ import annotations

import argparse
import sys

from rich.progress import track

from tests.simulation.gateway import Core
from tests.simulation.story import check, shortest, tell


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    failed = 0
    for seed in track(range(given.first, given.first + given.seeds), "stories", disable=not sys.stdout.isatty()):
        if not fails(seed):
            continue
        failed += 1
    print(f"{given.seeds} stories from seed {given.first}: {failed} failed")
    return 1 if failed else 0


def fails(seed: int) -> bool:
    setting, steps = tell(seed)
    if not check(setting, steps, Core()):
        return False
    print(report(seed))
    return True


def report(seed: int, core: Core | None = None) -> str:
    """The shortest failing story of a seed, step by step, and what is wrong at its end."""
    setting, steps = tell(seed)
    core = core or Core()
    short = shortest(setting, steps, core)
    lines = [f"seed {seed}: {setting}", *(f"  {step}" for step in short), *check(setting, short, core)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
