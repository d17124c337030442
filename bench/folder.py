"""Conversion of a folder of documents in one process, gate on: rates, the worst ones, memory, two processes.

The folder is GATEWAY_SHARED/ccda/docs or ../shared/ccda/docs, without either our own fixtures. `python -m bench.folder`
prints every document.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lxml import etree
from rich.console import Console
from rich.table import Table

from bench.convert import DOCUMENT, seconds
from bench.transactions import Figure
from gateway.errors import InvalidInput
from gateway.fhir import json
from gateway.translators.ccda import convert
from gateway.work import Pool

_ENTRY = re.compile(rb"<entry\b.*?</entry>", re.DOTALL)
_ID = re.compile(rb'(<id\b[^>]*?\bextension=")([^"]*)|(<id\b[^>]*?\broot=")([0-9a-fA-F]{8}-)')


@dataclass(frozen=True, slots=True)
class Measured:
    """CPU seconds of a document: its conversion, and its parse with the serialisation of the same Bundle."""

    name: str
    size: int
    whole: float
    floor: float

    @property
    def ratio(self) -> float:
        return self.whole / self.floor


def measure(times: int) -> Iterator[Figure]:
    documents = {path.name: path.read_bytes() for path in sorted(folder().glob("*.xml"))}
    converted = {name: data for name, data in documents.items() if _converts(data)}
    measured = [_measured(name, data, times) for name, data in converted.items()]
    Console().print(table(sorted(measured, key=lambda one: -one.ratio)[:10]))
    whole, size = sum(one.whole for one in measured), sum(one.size for one in measured)
    yield Figure("documents converted", f"{len(converted)} of {len(documents)}", "all well-formed ones")
    yield Figure(f"documents/s of {size / len(measured) / 1e3:.0f} kB mean", f"{len(measured) / whole:.0f}", "")
    yield Figure("MB/s", f"{size / whole / 1e6:.1f}", ">= 12", size / whole >= 12e6)
    yield Figure("conversion / (parse + serialise), folder", f"{whole / sum(one.floor for one in measured):.2f}", "")
    yield from _large(times)
    yield _memory()
    yield asyncio.run(_two_processes(min(times, 3)))


def folder() -> Path:
    shared = Path(os.environ.get("GATEWAY_SHARED", "../shared")) / "ccda" / "docs"
    return shared if shared.is_dir() else DOCUMENT.parent


def _converts(data: bytes) -> bool:
    try:
        convert(data, patient_id="bench")
    except InvalidInput:
        return False
    return True


def _measured(name: str, data: bytes, times: int) -> Measured:
    bundle = convert(data, patient_id="bench").bundle
    floor = seconds(lambda: _parsed(data), times) + seconds(lambda: json.encode(bundle), times)
    return Measured(name, len(data), seconds(lambda: convert(data, patient_id="bench").encoded, times), floor)


def _parsed(data: bytes) -> None:
    etree.fromstring(data, etree.XMLParser(recover=True))  # to its end: three lack a declaration and are repaired


def table(measured: list[Measured]) -> Table:
    made = Table("document", "kB", "ms", "MB/s", "/ (parse + serialise)")
    for one in measured:
        rate = one.size / one.whole / 1e6
        made.add_row(one.name, f"{one.size / 1e3:.0f}", f"{one.whole * 1e3:.2f}", f"{rate:.1f}", f"{one.ratio:.2f}")
    return made


def _large(times: int) -> Iterator[Figure]:
    for size, most in ((520, 45), (876, 75)):
        data = composed(size * 1000)
        took = seconds(lambda data=data: convert(data, patient_id="bench").encoded, times) * 1e3  # type: ignore[misc]
        yield Figure(f"conversion of {len(data) / 1e3:.0f} kB, ms", f"{took:.1f}", f"<= {most}", took <= most)


def composed(size: int) -> bytes:
    """A document of about that many bytes: ours, its entries again and again, each time with other ids."""
    data = DOCUMENT.read_bytes()
    entries = sum(len(one) for one in _ENTRY.findall(data))
    rounds = 1 + round((size - len(data)) / entries)
    return _ENTRY.sub(lambda found: b"".join(_again(found[0], number) for number in range(rounds)), data)


def _again(entry: bytes, number: int) -> bytes:
    def other(found: re.Match[bytes]) -> bytes:
        return found[1] + b"%d-" % number + found[2] if found[1] else found[3] + b"%08x-" % number

    return _ID.sub(other, entry) if number else entry


def _memory() -> Figure:
    """The most that one process ever held while it converted everything, and the largest one once more."""
    command = [sys.executable, "-m", "bench.folder", "--memory", str(folder())]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    used = int(ended.stdout) / 1e3
    return Figure("peak memory of one process over the folder, MB", f"{used:.0f}", "<= 100", used <= 100)


def _convert_all(where: Path) -> None:
    """Print the most memory that this process ever held, kB. Not ru_maxrss: that knows the parent's too."""
    for data in [*(path.read_bytes() for path in sorted(where.glob("*.xml"))), composed(876_000)]:
        _converts(data)
    status = Path("/proc/self/status").read_text("ascii")
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


async def _two_processes(rounds: int) -> Figure:
    """The same documents through the service's pool, by the clock."""
    one, two = Pool(1), Pool(2)
    try:
        best = {id(pool): min([await _clocked(pool) for _ in range(rounds + 1)]) for pool in (one, two)}
    finally:
        one.close()
        two.close()
    ratio = best[id(one)] / best[id(two)]
    return Figure("two processes / one, where two cores are free", f"{ratio:.2f}", ">= 1.7", ratio >= 1.7)


async def _clocked(pool: Pool) -> float:
    data = DOCUMENT.read_bytes()
    began = time.perf_counter()
    await asyncio.gather(*(pool.run(convert, data, patient_id="bench") for _ in range(200)))
    return time.perf_counter() - began


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        _convert_all(Path(sys.argv[2]))
    else:
        found = {path.name: path.read_bytes() for path in sorted(folder().glob("*.xml"))}
        Console().print(table([_measured(name, data, 3) for name, data in found.items() if _converts(data)]))
