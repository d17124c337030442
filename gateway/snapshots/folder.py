"""The folder of a snapshot: written beside its place, hashed as it is written, moved there in one step."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from gateway.errors import InvalidInput, Unparsable
from gateway.fhir import json, times

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a snapshot. `rows` = resources in it; `guarded` = cells written with a `'` in front."""

    name: str
    rows: int
    sha256: str
    bytes: int
    guarded: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot holds: every resource as it was when version `sequence` was the newest."""

    sequence: int
    generated: datetime
    files: tuple[File, ...]

    def to_json(self) -> bytes:
        files = [asdict(file) for file in self.files]
        return json.encode({"sequence": self.sequence, "generatedAt": times.to_instant(self.generated), "files": files})


class Writer:
    """One file being written: counts its rows and bytes, and hashes them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: IO[bytes] = path.open("wb")
        self._hash = hashlib.sha256()
        self._bytes = 0
        self.rows = 0
        self.guarded = 0

    def write(self, data: bytes, *, rows: int = 1) -> None:
        self._stream.write(data)
        self._hash.update(data)
        self._bytes += len(data)
        self.rows += rows

    def close(self) -> File:
        """What was written, safely on the disk."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        return File(self._path.name, self.rows, self._hash.hexdigest(), self._bytes, self.guarded)


class Writers:
    """The files of one snapshot, each opened at its first row."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, Writer] = {}

    def __enter__(self) -> Writers:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.close()

    def get(self, name: str) -> Writer:
        if name not in self._open:
            self._open[name] = Writer(self._folder / name)
        return self._open[name]

    def close(self) -> tuple[File, ...]:
        """By name; closing twice is harmless and the second time empty."""
        closed = tuple(self._open[name].close() for name in sorted(self._open))
        self._open = {}
        return closed


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A fresh folder that takes the place of `out` when the block ends well, and vanishes when it does not.

    Raises InvalidInput when `out` is something else than an earlier snapshot or an empty folder.
    """
    _refuse_foreign(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield fresh
        _refuse_foreign(out)
        _put(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _refuse_foreign(out: Path) -> None:
    if out.exists() and out.samefile(Path.cwd()):
        raise InvalidInput("the folder that you are in cannot be replaced: give the name of another, such as snapshot")
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InvalidInput(f"{out} is not a folder: give the name of one that does not exist yet")
    if out.is_dir() and not {path.name for path in out.iterdir()} <= _listed(out / MANIFEST):
        raise InvalidInput(f"{out} holds files that are no snapshot: give another folder, or empty this one")


def _listed(manifest: Path) -> set[str]:
    """The names that an earlier snapshot left there; nothing else is ever deleted."""
    if not manifest.is_file():
        return set()
    try:
        files = json.decode(manifest.read_bytes())["files"]
        return {MANIFEST, *(str(file["name"]) for file in files)}
    except (Unparsable, KeyError, TypeError):
        return set()


def _put(fresh: Path, out: Path) -> None:
    """A folder cannot be replaced in one step, but the earlier one can be moved aside until the new one is there."""
    fresh.chmod(0o700)
    if not out.exists():
        fresh.rename(out)
        return
    aside = fresh.with_name(f"{fresh.name}.old")
    out.rename(aside)
    fresh.rename(out)
    shutil.rmtree(aside)
