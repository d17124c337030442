"""Reading: search, links, records, connectors and secrets, principals, conflicts and the feed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Update, select

from gateway.errors import Conflict, GatewayError, Missing
from gateway.fhir.search import Order
from gateway.store import (
    Changes,
    Head,
    HeadUpdate,
    Hit,
    Identifier,
    Key,
    LinkRow,
    NewHead,
    NewVersion,
    Reader,
    RecordRow,
    Store,
    Tx,
)
from gateway.store.compartments import compartment, counts
from gateway.store.schema import secret
from gateway.store.vault import SecretUnreadable

from .made import create, patient, update

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


def family(tx: Tx) -> dict[str, int]:
    """Two patients, one with three observations; a shared identifier value under two systems."""
    anna, changes = patient(tx, "A-1")
    berta, more = patient(tx, "B-1")
    tx.write(changes)
    tx.write(more)
    found = {"anna": anna, "berta": berta}
    observations = Changes()
    for name in ("o1", "o2", "o3"):
        found[name] = tx.new_rid()
        observations.heads_new.append(NewHead(found[name], "Observation", str(uuid4()), anna))
        observations.versions.append(NewVersion(found[name], 1, "create", "ehr", "m1", name.encode()))
        observations.identifiers_added.append(Identifier("Observation", f"urn:lab:{name}", "77", found[name]))
    observations.identifiers_added.append(Identifier("Observation", "", "plain", found["o1"]))
    observations.identifiers_added.append(Identifier("Patient", "urn:lab:o1", "77", berta))
    tx.write(observations)
    return found


def two_at_once(tx: Tx) -> tuple[int, int]:
    (one, changes), (other, more) = patient(tx, "T-1"), patient(tx, "T-2")
    tx.write(changes)
    tx.write(more)
    return one, other


def hits(store: Store, kind: str, **filters: object) -> list[int]:
    """Rids of a search; the count of the same filters must agree."""
    found = store.query_now(lambda reader: reader.search(kind, **filters))  # type: ignore[arg-type]
    assert store.query_now(lambda reader: reader.count(kind, **filters)) == len(found)  # type: ignore[arg-type]
    return [hit.head.rid for hit in found]


def test_search_by_every_filter(store: Store):
    one = store.write_now(family)
    labs = sorted(one[name] for name in ("o1", "o2", "o3"))
    assert sorted(hits(store, "Observation")) == labs
    assert sorted(hits(store, "Observation", identifiers=[(None, "77")])) == labs
    assert hits(store, "Observation", identifiers=[("urn:lab:o2", "77")]) == [one["o2"]]
    assert hits(store, "Observation", identifiers=[("", "plain")]) == [one["o1"]]
    assert hits(store, "Observation", identifiers=[("", "77")]) == []
    assert sorted(hits(store, "Observation", identifiers=[("urn:lab:o1", "77"), ("", "plain")])) == [one["o1"]]
    assert sorted(hits(store, "Observation", patient=one["anna"])) == labs
    assert hits(store, "Observation", patient=[one["berta"]]) == []
    assert hits(store, "Observation", patient=one["anna"], identifiers=[("urn:lab:o3", "77")]) == [one["o3"]]
    public = store.query_now(lambda reader: reader.heads_by_rid([one["o2"]]))[one["o2"]].id
    assert hits(store, "Observation", ids=[public, "nobody"]) == [one["o2"]]
    assert hits(store, "Observation", ids=[]) == []
    assert hits(store, "Observation", patient=[]) == []
    assert hits(store, "Patient", ids=[public]) == []


def test_search_by_last_change(store: Store):
    one = store.write_now(family)
    rid = store.write_now(create())
    at = store.query_now(lambda reader: reader.heads_by_rid([rid]))[rid].at
    assert hits(store, "Patient", at=[("ge", at)]) == [rid]
    assert hits(store, "Patient", at=[("gt", at)]) == []
    assert sorted(hits(store, "Patient", at=[("lt", at)])) == sorted([one["anna"], one["berta"]])
    assert len(hits(store, "Patient", at=[("gt", at - timedelta(days=1)), ("le", at)])) == 3
    assert len(hits(store, "Patient", at=[("ne", at)])) == 2 and hits(store, "Patient", at=[("eq", at)]) == [rid]


def _page(reader: Reader, after: str | None) -> list[tuple[Head, bytes]]:
    return reader.search("Patient", after=after, limit=3)


def test_pages_do_not_overlap_or_skip(store: Store):
    for _ in range(7):
        store.write_now(create())
    seen: list[str] = []
    while page := store.query_now(partial(_page, after=seen[-1] if seen else None)):
        seen += [hit.head.id for hit in page]
        store.write_now(lambda tx, rid=page[0][0].rid, n=page[0][0].number: tx.write(update(rid, n)))
    assert len(seen) == 7 and seen == sorted(seen)


@pytest.mark.parametrize("order", ["id", "-id", "seq", "-seq"])
@pytest.mark.parametrize("narrow", [False, True])
def test_each_order_meets_what_did_not_change_once(store: Store, order: Order, narrow: bool) -> None:
    """Two of one transaction have one time of change, and one that changes between two pages another place."""
    rids = [*store.write_now(two_at_once), *(store.write_now(create()) for _ in range(5))]
    changed = [rids[2], rids[5]]
    for number, rid in enumerate([changed[0], changed[1], changed[1]]):
        store.write_now(lambda tx, rid=rid, number=number: tx.write(update(rid, 1 + number // 2)))
    filters = {"patient": rids} if narrow else {}

    def page(reader: Reader, after: str | None) -> list[Hit]:
        return reader.search("Patient", order=order, after=after, limit=2, **filters)  # type: ignore[arg-type]

    seen: list[Head] = []
    after: str | None = None
    while found := store.query_now(partial(page, after=after)):
        seen += [hit.head for hit in found]
        after = seen[-1].id if "id" in order else str(seen[-1].seq)
        if len(seen) == 2:
            store.write_now(create())
            store.write_now(lambda tx: tx.write(update(rids[4], 1)))
    own = [(head.id if "id" in order else head.seq) for head in seen]
    assert own == sorted(own, reverse=order.startswith("-"))
    if "seq" in order:
        assert [head.at for head in seen] == sorted((head.at for head in seen), reverse=order.startswith("-"))
    met = [head.rid for head in seen if head.rid in rids and head.rid != rids[4]]
    assert sorted(met) == sorted(set(rids) - {rids[4]}), "each once"


def test_what_is_shared_is_found_under_each_and_once(store: Store):
    one = store.write_now(family)
    anna, berta = one["anna"], one["berta"]

    def share(tx: Tx) -> dict[str, int]:
        made = {kind: tx.new_rid() for kind in ("Appointment", "Contract")}
        changes = Changes(belongs={rid: [anna, berta] for rid in made.values()})
        for kind, rid in made.items():
            changes.heads_new.append(NewHead(rid, kind, str(uuid4()), anna))
            changes.versions.append(NewVersion(rid, 1, "create", "ehr", "m1", b"{}"))
        tx.write(changes)
        return made

    made = store.write_now(share)
    for whose in (anna, berta, [anna, berta]):
        assert hits(store, "Appointment", patient=whose, shared=True) == [made["Appointment"]]
    assert hits(store, "Appointment", patient=berta) == [], "it goes in step with the first"
    assert hits(store, "Observation", patient=berta, shared=True) == []

    def held(reader: Reader) -> list[set[int]]:
        return [{head.rid for head, _ in compartment(reader, whose)} for whose in (anna, berta)]

    of_anna, of_berta = store.query_now(held)
    assert of_anna >= set(made.values())
    assert made["Appointment"] in of_berta
    assert made["Contract"] not in of_berta, "no compartment has it"
    assert store.query_now(lambda reader: counts(reader, berta))["Appointment"] == 1
    gone = Changes(
        heads_updated=[HeadUpdate(made["Appointment"], 1, anna)],
        versions=[NewVersion(made["Appointment"], 2, "update", "ehr", "m2", b"{}")],
        belongs={made["Appointment"]: ()},
    )
    store.write_now(lambda tx: tx.write(gone))
    assert hits(store, "Appointment", patient=berta, shared=True) == []
    assert hits(store, "Appointment", patient=anna, shared=True) == [made["Appointment"]]
    assert made["Appointment"] not in store.query_now(held)[1]


def test_identified_finds_the_living(store: Store):
    one = store.write_now(family)
    pairs = [(None, "77"), ("urn:lab:o1", "77"), ("", "plain"), ("urn:x", "nothing")]
    found = store.query_now(lambda reader: reader.identified("Observation", pairs))
    assert found[None, "77"] == {one["o1"], one["o2"], one["o3"]}
    assert found["urn:lab:o1", "77"] == {one["o1"]} and found["", "plain"] == {one["o1"]}
    assert found["urn:x", "nothing"] == set()
    gone = Changes(
        heads_updated=[HeadUpdate(one["o1"], 1, one["anna"])],
        versions=[NewVersion(one["o1"], 2, "delete", "ehr", None, None)],
    )
    store.write_now(lambda tx: tx.write(gone))
    found = store.query_now(lambda reader: reader.identified("Observation", pairs))
    assert found["urn:lab:o1", "77"] == set() and found[None, "77"] == {one["o2"], one["o3"]}


def test_nothing_asked_is_nothing_found(store: Store):
    assert store.query_now(lambda reader: (reader.heads([]), reader.current([]), reader.identified("Patient", []))) == (
        {},
        {},
        {},
    )


def test_records_are_replaced_only_as_they_were_read(store: Store):
    rid = store.write_now(create())
    row = RecordRow(0, "ehr", "Patient", "17", rid, 0, b"state-1", b"digest", NOW)
    store.write_now(lambda tx: tx.write(Changes(records=[row])))
    [read] = store.query_now(lambda reader: reader.records([rid]))[rid]
    assert read == row._replace(record_id=read.record_id, revision=1)
    assert store.query_now(lambda reader: reader.records_of("ehr", [("Patient", "17"), ("Patient", "18")])) == {
        ("Patient", "17"): read
    }
    store.write_now(lambda tx: tx.write(Changes(records=[read._replace(state=b"state-2", rid=None)])))
    with pytest.raises(Conflict):
        store.write_now(lambda tx: tx.write(Changes(records=[read._replace(state=b"late")])))
    again = store.query_now(lambda reader: reader.records_of("ehr", [("Patient", "17")]))["Patient", "17"]
    assert (again.state, again.revision, again.rid) == (b"state-2", 2, None)
    with pytest.raises(Conflict):
        store.write_now(lambda tx: tx.write(Changes(records=[row])))


def test_a_remote_id_has_one_live_link(store: Store):
    rid, other = store.write_now(create()), store.write_now(create())

    def link(to: int) -> Callable[[Tx], int]:
        def job(tx: Tx) -> int:
            row = LinkRow(tx.new_id(), "ehr", "Patient", "17", to, '{"rule":"key"}', tx.now)
            tx.write(Changes(links=[row]))
            return row.link_id

        return job

    first = store.write_now(link(rid))
    with pytest.raises(Conflict):
        store.write_now(link(other))
    store.write_now(lambda tx: tx.write(Changes(links_undone=[first])))
    assert store.query_now(lambda reader: (reader.links([rid]), reader.links_of("ehr", [("Patient", "17")]))) == (
        {},
        {},
    )
    second = store.write_now(link(other))
    found = store.query_now(lambda reader: reader.links_of("ehr", [("Patient", "17")]))["Patient", "17"]
    assert (found.link_id, found.rid, found.undone_at) == (second, other, None)
    store.write_now(lambda tx: tx.write(Changes(links_undone=[second])))
    assert store.write_now(link(rid)) > second


def test_a_read_tells_whether_others_have_an_id_of_their_own_for_it(store: Store):
    rid = store.write_now(create("1001"))
    head = store.query_now(lambda reader: reader.heads_by_rid([rid]))[rid]

    def linked() -> tuple[bool, bool]:
        one = store.query_now(lambda reader: reader.read("Patient", head.id))
        [hit] = store.query_now(lambda reader: reader.search("Patient", ids=[head.id]))
        assert one is not None
        return one.linked, hit.linked

    def link(remote_id: str) -> Callable[[Tx], None]:
        return lambda tx: tx.write(
            Changes(links=[LinkRow(tx.new_id(), "ehr", "Patient", remote_id, rid, "{}", tx.now)])
        )

    assert linked() == (False, False)
    store.write_now(link(head.id))
    assert linked() == (False, False)
    store.write_now(link("17"))
    assert linked() == (True, True)


def test_conflicts_are_replaced_as_a_whole(store: Store):
    rid = store.write_now(create())
    both = {rid: [("birthDate", '["a","b"]'), ("name[official]", '["a","c"]')]}
    store.write_now(lambda tx: tx.write(Changes(conflicts=both)))
    assert [row.slot for row in store.query_now(lambda reader: reader.conflicts(limit=9))] == [
        "birthDate",
        "name[official]",
    ]
    store.write_now(lambda tx: tx.write(Changes(conflicts={rid: both[rid][:1]})))
    [left] = store.query_now(lambda reader: reader.conflicts_of([rid]))[rid]
    assert (left.slot, left.connectors) == ("birthDate", '["a","b"]')
    store.write_now(lambda tx: tx.write(Changes(conflicts={rid: []})))
    assert store.query_now(lambda reader: reader.conflicts(limit=9)) == []


def test_the_feed_is_in_commit_order(store: Store):
    one = store.write_now(family)
    store.write_now(lambda tx: tx.write(update(one["anna"], 1, b"{}")))
    feed = store.query_now(lambda reader: reader.feed(0, limit=100))
    assert [entry.seq for entry in feed] == [1, 2, 3, 4, 5, 6]
    last = feed[-1]
    assert (last.rid, last.type, last.patient, last.number, last.method, last.body) == (
        one["anna"],
        "Patient",
        one["anna"],
        2,
        "update",
        b"{}",
    )
    assert store.query_now(lambda reader: reader.feed(4, limit=1))[0].seq == 5
    assert store.query_now(lambda reader: reader.last_seq()) == 6


def test_connectors_and_their_epoch(store: Store):
    assert store.query_now(lambda reader: reader.connector_epoch()) == 0
    made = store.write_now(lambda tx: tx.put_connector("ehr", '{"a":1}', state="pending"))
    again = store.write_now(lambda tx: tx.put_connector("ehr", '{"a":2}'))
    assert again.connector_id == made.connector_id and again.changed > made.changed
    store.write_now(lambda tx: tx.set_connector_state("ehr", "paused"))
    [row] = store.query_now(lambda reader: reader.connectors())
    assert (row.name, row.config, row.state) == ("ehr", '{"a":2}', "paused")
    assert store.query_now(lambda reader: reader.connector_epoch()) == row.changed > again.changed
    with pytest.raises(Missing):
        store.write_now(lambda tx: tx.set_connector_state("nobody", "paused"))


def _copy_secret(_: object) -> Update:
    """As someone would who can write to the database, but has no key."""
    theirs = select(secret.c.token).where(secret.c.connector == "a", secret.c.name == "apiKey").scalar_subquery()
    return secret.update().where(secret.c.connector == "b").values(token=theirs).returning(secret.c.name)


def test_secrets_are_encrypted_and_bound_to_their_connector(open_store: Callable[[], Store], database: str):
    store = open_store()
    for name in ("a", "b"):
        store.write_now(lambda tx, name=name: tx.put_connector(name, "{}"))
        store.write_now(lambda tx, name=name: tx.put_secret(name, "apiKey", "geheim-4711"))
    store.write_now(lambda tx: tx.put_secret("a", "webhook", "whsec_x"))
    assert store.query_now(lambda reader: reader.secrets("a")) == {"apiKey": "geheim-4711", "webhook": "whsec_x"}
    assert store.write_now(lambda tx: tx.ask(_copy_secret, {})) == [("apiKey",)]
    with pytest.raises(SecretUnreadable):
        store.query_now(lambda reader: reader.secrets("b"))
    store.close()
    with pytest.raises(Missing), opened(database, Fernet.generate_key()) as other:
        other.write_now(lambda tx: tx.put_secret("nobody", "apiKey", "x"))
    with pytest.raises(SecretUnreadable), opened(database, Fernet.generate_key()) as other:
        other.query_now(lambda reader: reader.secrets("a"))
    with pytest.raises(GatewayError, match="without a key"), opened(database, None) as other:
        other.query_now(lambda reader: reader.secrets("a"))


@contextmanager
def opened(url: str, key: bytes | None) -> Iterator[Store]:
    store = Store.open(url, key=key)
    try:
        yield store
    finally:
        store.close()


def test_principals(store: Store):
    made = store.write_now(lambda tx: tx.add_principal("clara", "ehr", ["system/*.cruds", "documents"], b"h" * 32))
    assert store.query_now(lambda reader: reader.principal_by_hash(b"h" * 32)) == made
    assert store.query_now(lambda reader: reader.principal_by_hash(b"x" * 32)) is None
    store.write_now(lambda tx: tx.touch_principals([made.principal_id]))
    store.write_now(lambda tx: tx.revoke_principal(made.principal_id))
    [row] = store.query_now(lambda reader: reader.principals())
    assert row.scopes == ("system/*.cruds", "documents")
    assert row.revoked_at is not None and row.last_used is not None and row.last_used < row.revoked_at
    with pytest.raises(Conflict):
        store.write_now(lambda tx: tx.add_principal("eve", "ehr", ["documents"], b"h" * 32))


def test_heads_come_with_the_bodies_of_patients_only(store: Store):
    one = store.write_now(family)
    asked = [one["anna"], one["o1"], 1]
    rows = store.query_now(lambda reader: reader.heads_and_patients(asked))
    heads = store.query_now(lambda reader: reader.heads_by_rid(asked))
    assert {head.rid: head for head, _ in rows} == heads
    current = store.query_now(lambda reader: reader.current([one["anna"]]))[one["anna"]]
    assert {head.rid: body for head, body in rows} == {one["anna"]: current.body, one["o1"]: None}


def test_names_and_marks_of_several_types_are_asked_for_at_once(store: Store):
    one = store.write_now(family)
    marks = [("Observation", None, "77"), ("Observation", "urn:lab:o2", "77"), ("Patient", "urn:lab:o1", "77")]
    found = store.query_now(lambda reader: reader.marked([*marks, ("Patient", "urn:lab:o2", "77")]))
    assert found[marks[0]] == {one["o1"], one["o2"], one["o3"]} and found[marks[1]] == {one["o2"]}
    assert found[marks[2]] == {one["berta"]} and found["Patient", "urn:lab:o2", "77"] == set()
    keys = [("Patient", "condition", "urn:x", "1"), ("Observation", "condition", "urn:x", "1")]
    store.write_now(lambda tx: tx.write(Changes(keys_added=[Key(*keys[0], one["anna"])])))
    assert store.query_now(lambda reader: reader.holders(keys)) == {keys[0]: one["anna"]}
