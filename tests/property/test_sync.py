"""What the sync core promises of any values: nobody overwrites what he did not speak about, order never counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from gateway.fhir import json
from gateway.fhir.consolidate import Policy, changed, consolidate
from gateway.fhir.deliver import accept, diff, intend, void
from gateway.fhir.form import FULL, ONE_NAME, ONE_PHONE, Form, bind, render
from gateway.fhir.observe import edit, observe, show, state
from gateway.fhir.record import Coverage, Own, Record, Shown, dump, load
from gateway.fhir.slots import join, split
from gateway.fhir.spelling import exact, same

START = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = Policy({"b": 1}, tolerance=timedelta(seconds=2))


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


words = st.sampled_from(["Ana", "ana", "Älva", "O'Neil", "O’Neil", "de  Vries", "Zoe"])
uses = st.sampled_from([{}, {"use": "official"}, {"use": "usual"}, {"use": "old"}])
numbers = st.sampled_from(["+1 555-010-0001", "5550100001", "(555) 010-0002", "+44 20 7946 0001", "020 7946 0001"])
names = st.builds(lambda use, family, given: {**use, "family": family, "given": [given]}, uses, words, words)
telecoms = st.builds(
    lambda system, use, value: {"system": system, **use, "value": value},
    st.sampled_from(["phone", "email"]),
    st.sampled_from([{}, {"use": "home"}, {"use": "mobile"}]),
    numbers,
)
identifiers = st.builds(lambda s, v: {"system": f"urn:s{s}", "value": str(v)}, st.integers(0, 2), st.integers(0, 2))
extensions = st.builds(
    lambda url, value: {"url": f"urn:e{url}", "valueDecimal": value},
    st.integers(0, 1),
    st.sampled_from([Decimal("1.5"), Decimal("1.50")]),
)
optional = {
    "name": st.lists(names, min_size=1, max_size=3),
    "telecom": st.lists(telecoms, min_size=1, max_size=3),
    "identifier": st.lists(identifiers, min_size=1, max_size=3),
    "extension": st.lists(extensions, min_size=1, max_size=2),
    "birthDate": st.sampled_from(["1980", "1980-02", "1980-02-22"]),
    "_birthDate": st.just({"extension": [{"url": "urn:t", "valueString": "morning"}]}),
    "gender": st.sampled_from(["female", "male"]),
    "active": st.booleans(),
    "deceasedBoolean": st.booleans(),
    "maritalStatus": st.builds(lambda text: {"text": text}, words),
    "meta": st.builds(lambda code: {"tag": [{"system": "urn:t", "code": code}]}, words),
}
doctors = st.sampled_from([{}, {"active": True}, {"active": False}]).map(
    lambda doctor: {
        "generalPractitioner": [{"reference": "#gp"}],
        "contained": [{"resourceType": "Practitioner", "id": "gp", **doctor}],
    }
)
plain = st.fixed_dictionaries({"resourceType": st.just("Patient")}, optional=optional)
patients = st.builds(lambda patient, doctor: {**patient, **doctor}, plain, st.just({}) | doctors)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.decimals(-9, 9, places=2) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
times = st.none() | st.integers(0, 50).map(at)
slots = st.sampled_from(["birthDate", "name[official]", "telecom[phone,home]", "identifier[urn:s1]"])
owns = st.builds(Own, values, times, times, times)
showns = st.builds(Shown, values, values, times, st.booleans(), times, st.booleans())
records = st.builds(
    lambda own, shown, read_at: Record("a", "Patient", "1", own, shown, {}, (), read_at),
    st.dictionaries(slots, owns, max_size=3),
    st.dictionaries(slots, showns, max_size=3),
    times,
)


def seen(record: Record, body: dict, second: int, coverage: Coverage = FULL.reads, form: Form = FULL) -> Record:
    return observe(record, body, coverage, None, at(second), now=at(second), form=form)


def new(connector: str) -> Record:
    return Record(connector, "Patient", connector)


@given(patients)
def test_a_resource_falls_apart_and_comes_together(patient):
    parts = split(patient)
    whole = join("Patient", parts)
    assert split(whole) == parts
    assert set(whole) == set(patient)
    for element, value in patient.items():
        if isinstance(value, list):
            assert sorted(map(json.canonical, whole[element])) == sorted(map(json.canonical, value))
        else:
            assert exact(whole[element], value)


@given(
    st.dictionaries(
        st.from_regex(r"_?[a-z]{1,3}", fullmatch=True) | st.sampled_from(sorted(optional.keys() - {"meta"})),
        values,
        max_size=4,
    )
)
def test_no_json_is_lost_whatever_it_is(body):
    patient = {**body, "resourceType": "Patient"}
    parts = split(patient)
    assert split(join("Patient", parts)) == parts


@given(patients, patients, patients)
def test_same_is_an_equivalence(a, b, c):
    for slot in split(a).keys() & split(b).keys() & split(c).keys():
        one, two, three = (split(each)[slot] for each in (a, b, c))
        assert same(slot, one, one)
        assert same(slot, one, two) == same(slot, two, one)
        if same(slot, one, two) and same(slot, two, three):
            assert same(slot, one, three)


@given(records)
def test_a_record_is_kept_without_loss(record):
    kept = load("a", "Patient", "1", dump(record))
    assert kept == record
    assert dump(kept) == dump(record)


@given(patients)
def test_reading_the_same_again_changes_nothing(patient):
    once = seen(new("a"), patient, 1)
    again = seen(once, patient, 9)
    assert again == replace(once, read_at=at(9))


@given(patients)
def test_stating_the_same_again_changes_nothing(patient):
    once = state(new("a"), patient, Coverage(), at=at(1))
    assert state(once, patient, Coverage(), at=at(9)).own == once.own
    result = consolidate([once], POLICY)
    told = show(once, result.resource or {"resourceType": "Patient"}, result.stamps)
    assert state(told, patient, Coverage(), at=at(9)).own == once.own


@given(patients, patients)
def test_the_order_of_the_records_never_counts(a, b):
    three = [seen(new("a"), a, 1), state(new("b"), b, Coverage(), at=at(2)), seen(new("c"), b, 3)]
    results = [consolidate(order, POLICY) for order in permutations(three)]
    assert all(result == results[0] for result in results)


@given(patients, patients, st.sets(st.sampled_from(["name", "telecom", "birthDate", "gender"])))
def test_what_a_sender_cannot_speak_about_is_never_touched(before, after, elements):
    known = seen(new("a"), before, 1)
    later = seen(known, after, 5, Coverage(frozenset(elements)))
    for slot in known.own.keys() | later.own.keys():
        if slot.partition("[")[0] not in elements:
            assert later.own.get(slot) == known.own.get(slot)


@given(patients, patients)
def test_a_partial_payload_removes_nothing(before, after):
    known = seen(new("a"), before, 1)
    later = seen(known, after, 5, Coverage(absence=False))
    for slot, own in later.own.items():
        assert own.value is not None
        if slot not in split(after):
            assert own == known.own[slot]


@given(patients, patients)
def test_adopting_keeps_what_a_system_said_itself(a, b):
    """What A said comes back untouched once B is taken away, though A displays B's values in between."""
    first = seen(new("a"), a, 1)
    alone = consolidate([first], POLICY)
    both = consolidate([first, seen(new("b"), b, 2)], POLICY)
    due = diff(first, render(both.resource or {"resourceType": "Patient"}, FULL, first))
    sent = intend(first, due, both.stamps, sent_at=at(3), until=at(33))
    adopted = accept(sent, both.resource or {"resourceType": "Patient"}, due, both.stamps, FULL, at=at(4))
    assert not changed(alone.resource, consolidate([adopted], POLICY))
    assert not diff(adopted, render(both.resource or {"resourceType": "Patient"}, FULL, adopted))
    back = diff(adopted, render(alone.resource or {"resourceType": "Patient"}, FULL, adopted))
    assert back.keys() == changed(alone.resource, both)


@given(patients, patients)
def test_a_put_asserts_only_what_it_changed(base, body):
    record = edit(new("a"), base, body, at=at(5), base_stamp=at(1))
    before, after = split(base), split(body)
    for slot, own in record.own.items():
        assert own.base == at(1)
        assert own.value == after.get(slot)
        assert not (slot in before and slot in after and exact(before[slot], after[slot]))
    assert edit(new("a"), base, base, at=at(5), base_stamp=at(1)).own == {}


@given(patients)
def test_spelling_is_no_change(patient):
    known = seen(new("a"), patient, 1)
    shouted = {**patient}
    if "name" in patient:
        shouted["name"] = [{**name, "family": name["family"].upper() + " "} for name in reversed(patient["name"])]
    later = seen(known, shouted, 5)
    assert {slot: own.at for slot, own in later.own.items()} == {slot: own.at for slot, own in known.own.items()}
    assert not changed(consolidate([known], POLICY).resource, consolidate([later], POLICY))


@given(patients, st.permutations(range(4)), st.lists(patients, min_size=4, max_size=4))
def test_documents_count_by_their_own_time(first, order, documents):
    """However they arrive, the newest statement of every slot stands."""
    told = new("papers")
    for position in order:
        told = observe(told, documents[position], Coverage(absence=False), at(position), at(60), now=at(60), dated=True)
    newest: dict = {}
    for document in documents:
        newest |= split(document)
    assert told.own.keys() == newest.keys()
    assert all(same(slot, own.value, newest[slot]) for slot, own in told.own.items())


SMALL = Form(
    reads=Coverage(frozenset({"name", "telecom[phone]"})),
    writes=frozenset({"name", "telecom"}),
    fields=(ONE_NAME, ONE_PHONE),
    parts={"name": frozenset({"family", "given"})},
    rewriting=("upper", "unaccented", "digits"),
)


@given(patients, patients)
def test_a_form_never_gets_what_it_cannot_carry(mine, theirs):
    copy = seen(new("small"), theirs, 1, SMALL.reads, SMALL)
    result = consolidate([copy, seen(new("b"), mine, 2)], POLICY)
    bound = bind(copy, result.slots, SMALL)
    rendered = render(result.resource or {"resourceType": "Patient"}, SMALL, bound)
    assert {slot.partition("[")[0] for slot in rendered} <= {"name", "telecom"}
    assert sum(slot.startswith("name[") for slot in rendered) <= 1
    assert sum(slot.startswith("telecom[phone") for slot in rendered) <= 1


@given(patients, patients)
def test_a_refused_send_leaves_no_trace(a, b):
    known = seen(new("a"), a, 1)
    sent = intend(known, split(b), {}, sent_at=at(2), until=at(32))
    assert void(sent) == known
