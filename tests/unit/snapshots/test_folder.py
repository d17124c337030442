"""The folder of a snapshot: whole or not there, and never somebody else's files."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.errors import InvalidInput
from gateway.fhir import json
from gateway.snapshots.folder import MANIFEST, File, Manifest, Writers, replacing

AT = datetime(2026, 1, 2, tzinfo=UTC)


def fill(out: Path, text: bytes) -> None:
    with replacing(out) as folder, Writers(folder) as files:
        files.get("Patient.ndjson").write(text)
        (folder / MANIFEST).write_bytes(Manifest(1, AT, files.close()).to_json())


def test_a_file_knows_its_rows_bytes_and_hash(tmp_path: Path) -> None:
    with Writers(tmp_path) as files:
        files.get("a").write(b"header\n", rows=0)
        files.get("a").write(b"one\n")
        closed = files.close()
    whole = (tmp_path / "a").read_bytes()
    assert closed == (File("a", 1, hashlib.sha256(whole).hexdigest(), len(whole)),)


def test_a_snapshot_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "snapshot"
    fill(out, b"first\n")
    fill(out, b"second\n")
    assert (out / "Patient.ndjson").read_bytes() == b"second\n"
    assert [path.name for path in out.parent.iterdir()] == ["snapshot"]


def test_a_failure_leaves_the_one_before_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "snapshot"
    fill(out, b"first\n")
    with pytest.raises(RuntimeError), replacing(out) as folder:
        (folder / "half").write_text("")
        raise RuntimeError
    assert (out / "Patient.ndjson").read_bytes() == b"first\n"
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    out = tmp_path / "snapshot"
    out.mkdir()
    fill(out, b"first\n")
    assert (out / MANIFEST).is_file()


@pytest.mark.parametrize(
    "files",
    [
        {"notes.txt": b"mine"},
        {MANIFEST: b'{"name": "a web page"}', "index.html": b""},
        {MANIFEST: b"[1]", "x": b""},
        {MANIFEST: b"not JSON", "x": b""},
        {MANIFEST: b'{"files": [{"name": "Patient.ndjson"}]}', "Patient.ndjson": b"", "notes.txt": b"mine"},
    ],
)
def test_a_folder_of_something_else_is_refused_and_kept(tmp_path: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match="no snapshot"):
        fill(tmp_path, b"first\n")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_the_folder_that_one_is_in_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place would be taken by another, and the shell left in one that is gone."""
    monkeypatch.chdir(tmp_path)
    for out in (Path(), tmp_path):
        with pytest.raises(InvalidInput, match="the folder that you are in"), replacing(out):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "file"
    out.write_text("mine")
    with pytest.raises(InvalidInput, match="not a folder"):
        fill(out, b"first\n")
    assert out.read_text() == "mine"


def test_the_manifest_says_what_is_there() -> None:
    manifest = json.decode(Manifest(7, AT, (File("Patient.ndjson", 2, "ab", 30),)).to_json())
    assert manifest["sequence"] == 7
    assert manifest["generatedAt"] == "2026-01-02T00:00:00.000000Z"
    assert manifest["files"] == [{"name": "Patient.ndjson", "rows": 2, "sha256": "ab", "bytes": 30, "guarded": 0}]
