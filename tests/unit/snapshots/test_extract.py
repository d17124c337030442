"""Snapshot: exactly what was current at one version, from a real store in a temporary folder."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import snapshots
from gateway.fhir import json
from gateway.store import Changes, HeadUpdate, NewHead, NewVersion, Store, Tx


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "gateway.db", key=None)
    yield opened
    opened.close()


def body(kind: str, public_id: str, number: int, **more: object) -> bytes:
    meta = {"versionId": str(number), "lastUpdated": "2026-01-02T03:04:05Z"}
    return json.encode({"resourceType": kind, "id": public_id, "meta": meta, **more})


def create(store: Store, kind: str, public_id: str, **more: object) -> int:
    def job(tx: Tx) -> int:
        rid = tx.new_rid()
        version = NewVersion(rid, 1, "create", "test", None, body(kind, public_id, 1, **more))
        tx.write(Changes(heads_new=[NewHead(rid, kind, public_id)], versions=[version]))
        return rid

    return store.write_now(job)


def change(store: Store, rid: int, number: int, content: bytes | None) -> None:
    method = "update" if content else "delete"
    version = NewVersion(rid, number, method, "test", None, content)
    changes = Changes(heads_updated=[HeadUpdate(rid, number - 1)], versions=[version])
    store.write_now(lambda tx: tx.write(changes))


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def test_the_current_version_of_each_live_resource_is_written_as_stored(store: Store, tmp_path: Path) -> None:
    ann = create(store, "Patient", "ann", active=True)
    bob = create(store, "Patient", "bob")
    create(store, "Observation", "weight", valueQuantity={"value": 1.5})
    newer = body("Patient", "ann", 2, active=False)
    change(store, ann, 2, newer)
    change(store, bob, 2, None)
    manifest = snapshots.write(store, tmp_path / "out")
    assert lines(tmp_path / "out" / "Patient.ndjson") == [newer]
    assert lines(tmp_path / "out" / "Observation.ndjson") == [
        body("Observation", "weight", 1, valueQuantity={"value": 1.5})
    ]
    assert manifest.sequence == 5
    assert {file.name: file.rows for file in manifest.files} == {
        "Observation.ndjson": 1,
        "Patient.ndjson": 1,
        "patient.csv": 1,
    }


def test_the_manifest_agrees_with_the_files(store: Store, tmp_path: Path) -> None:
    create(store, "Patient", "ann")
    snapshots.write(store, tmp_path / "out")
    manifest = json.decode((tmp_path / "out" / "manifest.json").read_bytes())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "Patient.ndjson",
        "manifest.json",
        "patient.csv",
    ]
    for file in manifest["files"]:
        content = (tmp_path / "out" / file["name"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_what_is_written_meanwhile_belongs_to_the_next_snapshot(store: Store, tmp_path: Path) -> None:
    """A version, a creation and a deletion arrive after the first page was read."""
    rids = {name: create(store, "Patient", name) for name in (f"p{number:03}" for number in range(40))}
    arrived: list[bool] = []

    def meanwhile(_reached: int, _sequence: int) -> None:
        if not arrived:
            arrived.append(True)
            change(store, rids["p001"], 2, body("Patient", "p001", 2))
            change(store, rids["p030"], 2, body("Patient", "p030", 2))
            change(store, rids["p030"], 3, body("Patient", "p030", 3))
            change(store, rids["p031"], 2, None)
            create(store, "Patient", "late")

    manifest = snapshots.write(store, tmp_path / "out", progress=meanwhile)
    written = [json.decode(line) for line in lines(tmp_path / "out" / "Patient.ndjson")]
    assert manifest.sequence == 40
    assert {(patient["id"], patient["meta"]["versionId"]) for patient in written} == {(name, "1") for name in rids}
    assert len(written) == 40
    again = snapshots.write(store, tmp_path / "out")
    assert {file.name: file.rows for file in again.files}["Patient.ndjson"] == 40


def test_progress_ends_at_the_sequence(store: Store, tmp_path: Path) -> None:
    for number in range(50):
        create(store, "Patient", f"p{number}")
    seen: list[tuple[int, int]] = []
    snapshots.write(store, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1] == (50, 50)


def test_the_table_of_patients_is_guarded_and_says_so(store: Store, tmp_path: Path) -> None:
    create(store, "Patient", "evil", name=[{"family": '=HYPERLINK("x")', "given": ['Ann "Q", Jr']}])
    manifest = snapshots.write(store, tmp_path / "out")
    with (tmp_path / "out" / "patient.csv").open(newline="", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert row["family"] == '\'=HYPERLINK("x")'
    assert row["given"] == 'Ann "Q", Jr'
    assert {file.name: file.guarded for file in manifest.files}["patient.csv"] == 1
    assert b'"family":"=HYPERLINK' in (tmp_path / "out" / "Patient.ndjson").read_bytes()


def test_an_empty_store_gives_an_empty_table(store: Store, tmp_path: Path) -> None:
    manifest = snapshots.write(store, tmp_path / "out")
    assert (manifest.sequence, [(file.name, file.rows) for file in manifest.files]) == (0, [("patient.csv", 0)])
    assert len(lines(tmp_path / "out" / "patient.csv")) == 1
