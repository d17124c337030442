"""Rows for the store's contracts: small resources that mean nothing but are complete."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from uuid import uuid4

from gateway.store import Changes, HeadUpdate, Identifier, Key, NewDelivery, NewHead, NewVersion, Reader, Store, Tx

MRN = "urn:oid:2.25.7001"


def held_by(reader: Reader, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The rid of the Patient that holds each key (system, value)."""
    held = reader.holders([("Patient", "key", system, value) for system, value in pairs])
    return {name[2:]: rid for name, rid in held.items()}


def patient(tx: Tx, value: str = "", *, body: bytes = b'{"resourceType":"Patient"}') -> tuple[int, Changes]:
    """A new Patient; `value`: its number in a key system."""
    rid = tx.new_rid()
    changes = Changes(
        heads_new=[NewHead(rid, "Patient", str(uuid4()), rid)],
        versions=[NewVersion(rid, 1, "create", "ehr", None, body)],
    )
    if value:
        changes.keys_added.append(Key("Patient", "key", MRN, value, rid))
        changes.identifiers_added.append(Identifier("Patient", MRN, value, rid))
    return rid, changes


def create(value: str = "", *, body: bytes = b'{"resourceType":"Patient"}') -> Callable[[Tx], int]:
    """A job that makes a new Patient."""

    def job(tx: Tx) -> int:
        rid, changes = patient(tx, value, body=body)
        tx.write(changes)
        return rid

    return job


def update(rid: int, expected: int, body: bytes = b"{}") -> Changes:
    version = NewVersion(rid, expected + 1, "update", "ehr", None, body)
    return Changes(heads_updated=[HeadUpdate(rid, expected, rid)], versions=[version])


def find_or_create(value: str) -> Callable[[Tx], int]:
    """What an upsert by identifier comes down to."""

    def job(tx: Tx) -> int:
        known = held_by(tx, [(MRN, value)])
        return known[MRN, value] if known else create(value)(tx)

    return job


def orders(tx: Tx, *, patients: int, each: int = 1, connector: str = "rest") -> list[int]:
    """Patients with `each` standing orders that are due; their rids."""
    rids = []
    for _ in range(patients):
        rid, changes = patient(tx)
        changes.deliveries += [NewDelivery(connector, rid, f"r{n}", rid, 1, tx.now) for n in range(each)]
        tx.write(changes)
        rids.append(rid)
    return rids


class Held:
    """Keeps the writer busy, so that the jobs put meanwhile share one batch."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._entered, self._release = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._block)

    def _block(self) -> None:
        def job(_: Tx) -> None:
            self._entered.set()
            assert self._release.wait(30)

        self._store.write_now(job)

    def __enter__(self) -> None:
        self._thread.start()
        assert self._entered.wait(30)

    def __exit__(self, *_: object) -> None:
        self._release.set()
        self._thread.join(30)


def together(store: Store, jobs: list[Callable[[Tx], object]]) -> list[object]:
    """The result or the exception of each, all run in one batch, in order."""
    outcomes: list[object] = [None] * len(jobs)

    def run(place: int) -> None:
        try:
            outcomes[place] = store.write_now(jobs[place])
        except Exception as error:
            outcomes[place] = error

    threads = []
    with Held(store):
        for place in range(len(jobs)):
            before = store.waiting
            threads.append(threading.Thread(target=run, args=(place,)))
            threads[-1].start()
            while store.waiting == before:
                threading.Event().wait(0.001)
    for thread in threads:
        thread.join(30)
    return outcomes
