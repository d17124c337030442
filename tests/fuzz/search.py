"""The search itself, in a process of its own: libFuzzer steered by what the translator's code does with a document."""

from __future__ import annotations

import hashlib
import sys
import traceback
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import atheris

with atheris.instrument_imports(include=["gateway.translators.ccda", "gateway.fhir.gate"]):
    from gateway.translators.ccda.bundles import FORMS
    from tests.fuzz import alone, law

from tests.fuzz.mutations import damaged, mutated

_MOST = 2 * law.TIMES_THE_PARSE
"""Code that libFuzzer watches takes twice as long."""


def search(folder: Path, options: list[str]) -> None:
    """Until libFuzzer's own options end it. What is found lies in `folder` as NAME.xml, why in NAME.txt."""
    seeds = [path.read_bytes() for path in sorted((folder / "seeds").iterdir())]
    for data in seeds:
        law.check(data)  # what is loaded at its first use is loaded now
    alone.install()
    arguments = [sys.argv[0], *options, str(folder / "corpus"), str(folder / "seeds")]
    atheris.Setup(arguments, partial(_examine, folder), custom_mutator=partial(_mutate, seeds))
    atheris.Fuzz()


def _mutate(seeds: list[bytes], data: bytes, max_size: int, seed: int) -> bytes:
    rng = Random(seed)
    made = mutated(data, seeds, rng) if rng.random() < 0.9 else damaged(data, rng)
    return made if len(made) <= max_size else data


def _examine(folder: Path, data: bytes) -> None:
    number = int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest()[:2], "big")
    try:
        with alone.alone():
            result = law.check(data, FORMS[number % len(FORMS)])
        if number % 8 == 0 and result is not None:
            again = law.check(data, FORMS[number % len(FORMS)])
            assert again is not None and again.encoded == result.encoded, "the same document twice differs"
        if law.times_the_parse(data) > _MOST:
            assert (times := law.times_the_parse(data, 5)) <= _MOST, f"{times:.0f} times the parse"
    except Exception as error:
        _keep(folder, data, error)


def _keep(folder: Path, data: bytes, error: Any) -> None:
    """One document for each place that fails: the shortest."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if "gateway" in one.filename]
    where = f"{type(error).__name__} {frames[-1].filename}:{frames[-1].lineno}" if frames else f"{error!s:.60}"
    path = folder / "found" / f"{hashlib.sha1(where.encode(), usedforsecurity=False).hexdigest()[:12]}.xml"
    if not path.exists() or path.stat().st_size > len(data):
        path.write_bytes(data)
        path.with_suffix(".txt").write_text("".join(traceback.format_exception(error)), "utf-8", "replace")


if __name__ == "__main__":
    search(Path(sys.argv[1]), sys.argv[2:])
