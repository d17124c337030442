"""What one answer says of many resources is recorded together."""

from __future__ import annotations

from gateway.connectors.call import Accepted
from gateway.connectors.config import Config
from gateway.planning import groups
from gateway.planning.groups import Part
from gateway.store import Changes, NewHead, NewVersion, RecordRow, Store, Tx

SIDE = Config(name="side", profile="fhir", endpoint="https://side.example/fhir")


def made(tx: Tx, name: str) -> Part:
    rid = tx.new_rid()
    version = NewVersion(rid, 1, "create", "client", None, b"{}")
    tx.write(Changes(heads_new=[NewHead(rid, "Observation", name)], versions=[version]))
    body = {"resourceType": "Observation", "code": {"text": name}}
    return Part(rid, rid, "Observation", name, 1, body, None, reads=False)


def records(store: Store, parts: list[Part]) -> list[RecordRow]:
    found = store.query_now(lambda reader: reader.records([part.rid for part in parts]))
    return [row for rows in found.values() for row in rows]


def test_each_is_known_by_its_digest_and_linked(store: Store):
    parts = store.write_now(lambda tx: [made(tx, "a"), made(tx, "b"), made(tx, "c")])
    answers = [(part, Accepted(f"r-{part.id}")) for part in parts]
    store.write_now(lambda tx: groups.accepted(tx, SIDE, answers))
    kept = {(row.rid, row.remote_id): row.digest for row in records(store, parts)}
    assert set(kept) == {(part.rid, f"r-{part.id}") for part in parts}
    assert len(set(kept.values())) == 3
    links = store.query_now(lambda reader: reader.links_to("side", limit=10))
    assert {(link.rid, link.remote_id) for link in links} == set(kept)


def test_a_lost_answer_makes_it_known_twice_without_a_second_record(store: Store):
    parts = store.write_now(lambda tx: [made(tx, "a"), made(tx, "b")])
    answers = [(part, Accepted(f"r-{part.id}")) for part in parts]
    for _ in range(2):
        store.write_now(lambda tx: groups.accepted(tx, SIDE, answers))
    assert [row.revision for row in records(store, parts)] == [2, 2]
    assert len(store.query_now(lambda reader: reader.links_to("side", limit=10))) == 2


def test_two_of_ours_that_are_one_there_are_one_record(store: Store):
    parts = store.write_now(lambda tx: [made(tx, "a"), made(tx, "b")])
    store.write_now(lambda tx: groups.accepted(tx, SIDE, [(part, Accepted("same")) for part in parts]))
    [row] = records(store, parts)
    assert (row.rid, row.remote_id) == (parts[1].rid, "same"), "the last one said what it holds now"
