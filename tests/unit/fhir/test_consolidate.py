"""Consolidate: whose value stands, and which contradictions are listed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.fhir.absent import DATA_ABSENT
from gateway.fhir.consolidate import Conflict, Policy, _fullest, changed, consolidate
from gateway.fhir.record import Own, Record
from gateway.fhir.slots import wrap

PLAIN = Policy()


def at(seconds: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def record(connector: str, **own: Own) -> Record:
    return Record(
        connector, "Patient", connector, {slot.replace("_", "[") + "]" * ("_" in slot): o for slot, o in own.items()}
    )


def said(value, when=None, base=None, seen=None) -> Own:
    times = [None if one is None else at(one) for one in (when, base, seen)]
    return Own(value, *times)


@pytest.mark.parametrize(
    ("a", "b", "priority", "winner"),
    [
        (said("female", 5), said("male", 9), {}, "b"),
        (said("female", 5), said("male", 9), {"a": 1}, "a"),
        (said("female", 5), said("male", None, seen=99), {}, "a"),
        (said("female", 5), said("male", 5), {}, "b"),
        (said(None, 9), said("male", 5), {}, "a"),
    ],
)
def test_priority_then_time_then_name(a, b, priority, winner):
    found = consolidate([record("a", gender=a), record("b", gender=b)], Policy(priority))
    assert found.sources["gender"] == winner
    assert found == consolidate([record("b", gender=b), record("a", gender=a)], Policy(priority))


def test_a_removal_wins_like_a_value_and_leaves_its_stamp():
    found = consolidate([record("a", gender=said(None, 9, 5)), record("b", gender=said("male", 5))], PLAIN)
    assert found.resource is None
    assert found.slots == {}
    assert found.stamps == {"gender": at(9)}


def test_nothing_said_is_no_resource():
    assert consolidate([], PLAIN).resource is None
    assert consolidate([record("a")], PLAIN).resource is None


def test_an_unknown_time_is_stamped_by_when_it_was_first_seen():
    assert consolidate([record("a", gender=said("male", None, seen=7))], PLAIN).stamps["gender"] == at(7)


UNKNOWN = {"extension": [{"url": DATA_ABSENT, "valueCode": "unknown"}]}


@pytest.mark.parametrize(
    ("slot", "value", "reason"),
    [
        ("birthDate", "1980-02-22", wrap(None, UNKNOWN)),
        ("gender", "female", "unknown"),
        ("gender", "female", wrap(None, UNKNOWN)),
        ("maritalStatus", {"text": "married"}, UNKNOWN),
        ("deceased[x]", {"deceasedBoolean": False}, {"_deceasedBoolean": UNKNOWN}),
        ("telecom[phone]", [{"system": "phone", "value": "1"}], [{"system": "phone", "_value": UNKNOWN}]),
        ("name[official]", [{"use": "official", "family": "F"}], [{"use": "official", "_family": UNKNOWN, **UNKNOWN}]),
    ],
)
def test_that_nothing_is_known_takes_the_place_of_no_value(slot, value, reason):
    def found(first, second, policy=PLAIN):
        return consolidate(
            [Record("a", "Patient", "a", {slot: first}), Record("b", "Patient", "b", {slot: second})], policy
        )

    later = found(said(value, 5), said(reason, 9), Policy({"b": 1}))
    assert later.slots[slot] == value and later.sources[slot] == "a" and later.conflicts == ()
    assert found(said(reason, 9), said(reason, 5)).slots[slot] == reason, "where nobody knows more"
    assert found(said(value, 5), said(reason, 9, base=5)).slots[slot] == reason, "who saw the value took it back"


class TestConflicts:
    def of(self, winner: Own, other: Own, policy: Policy = PLAIN) -> tuple[Conflict, ...]:
        return consolidate([record("w", gender=winner), record("o", gender=other)], policy).conflicts

    def test_what_the_winner_had_been_shown_is_none(self):
        assert self.of(said("male", 9, base=5), said("female", 5)) == ()

    def test_what_it_had_not_been_shown_is_listed(self):
        [conflict] = self.of(said("male", 9, base=5), said("female", 7))
        assert conflict == Conflict("gender", "w", "o", at(7))
        assert conflict.connectors == ("w", "o")

    def test_who_had_been_shown_nothing_contradicts_everybody(self):
        assert self.of(said("male", 9), said("female", 5))

    def test_clocks_may_be_wrong(self):
        winner, other = said("male", 9, base=5), said("female", 4)
        assert self.of(winner, other) == ()
        assert self.of(winner, other, Policy(tolerance=timedelta(seconds=2)))

    def test_a_first_contact_of_unknown_time_is_listed_until_somebody_saw_it(self):
        assert self.of(said("male", 9, base=5), said("female", None, seen=7))
        assert self.of(said("male", 9, base=7), said("female", None, seen=7)) == ()

    def test_the_same_in_another_spelling_is_none(self):
        one = Record("a", "Patient", "a", {"name[-]": said([{"family": "Example"}], 1)})
        other = Record("b", "Patient", "b", {"name[-]": said([{"family": "EXAMPLE"}], 2)})
        assert consolidate([one, other], PLAIN).conflicts == ()

    def test_a_person_is_asked_where_the_policy_says_so(self):
        [conflict] = self.of(said("male", 9), said("female", 5), Policy(review=frozenset({"gender"})))
        assert conflict.review


class TestLists:
    def identifiers(self, connector, values, when=None, base=None, seen=None):
        value = None if values is None else [{"system": "urn:s", "value": one} for one in values]
        return Record(connector, "Patient", connector, {"identifier[urn:s]": said(value, when, base, seen)})

    def held(self, *records):
        resource = consolidate(records, PLAIN).resource or {}
        return [one["value"] for one in resource.get("identifier", [])]

    def test_first_contact_unites_them(self):
        one, other = self.identifiers("a", ["1", "2"], None, seen=3), self.identifiers("b", ["2", "3"], 5, seen=5)
        found = consolidate([one, other], PLAIN)
        assert self.held(one, other) == ["2", "3", "1"]
        assert found.conflicts == ()
        assert found.stamps["identifier[urn:s]"] == at(5)

    def test_first_contact_unites_what_refers_to_contained_resources(self):
        def doctor(name):
            return {"resourceType": "Practitioner", "id": "doctor", "name": [{"family": name}]}

        def record_of(connector, reference, *contained):
            value = wrap([{"reference": reference}], contained=list(contained))
            return Record(connector, "Patient", connector, {"generalPractitioner": said(value, 3, seen=3)})

        plain, one = record_of("c", "Practitioner/1"), record_of("b", "#doctor", doctor("One"))
        same, other = record_of("d", "#doctor", doctor("One")), record_of("a", "#doctor", doctor("Other"))
        found = consolidate([plain, one, same, other], PLAIN)
        assert found.resource == {
            "resourceType": "Patient",
            "generalPractitioner": [
                {"reference": "#doctor"},
                {"reference": "Practitioner/1"},
                {"reference": "#doctorx"},
            ],
            "contained": [doctor("One"), {**doctor("Other"), "id": "doctorx"}],
        }
        assert found == consolidate([other, same, one, plain], PLAIN)

    def test_who_edits_the_united_list_edits_all_of_it(self):
        one, other = self.identifiers("a", ["1"], 3, seen=3), self.identifiers("b", ["2"], 5, seen=5)
        edited = self.identifiers("a", ["1"], 9, base=5, seen=9)
        assert self.held(one, other) == ["2", "1"]
        assert self.held(edited, other) == ["1"]

    def test_a_list_that_is_met_later_is_added_to_an_edited_one(self):
        edited, late = self.identifiers("a", ["1"], 9, base=5, seen=9), self.identifiers("b", ["2"], 2, seen=20)
        assert self.held(edited, late) == ["1", "2"]

    def test_other_lists_are_alternatives(self):
        phone = "telecom[phone,home]"
        one = Record("a", "Patient", "a", {phone: said([{"system": "phone", "use": "home", "value": "1"}], 1)})
        other = Record("b", "Patient", "b", {phone: said([{"system": "phone", "use": "home", "value": "2"}], 2)})
        found = consolidate([one, other], PLAIN)
        assert [one["value"] for one in found.resource["telecom"]] == ["2"]
        assert len(found.conflicts) == 1


class TestNames:
    def together(self, **names):
        records = [
            Record(f"c{n}", "Patient", "1", {f"name[{use or '-'}]": said([name], n)})
            for n, (use, name) in enumerate(names.items())
        ]
        return consolidate(records, PLAIN).resource["name"]

    def test_an_unlabelled_name_equal_to_a_labelled_one_is_that_name(self):
        official = {"use": "official", "family": "Example", "given": ["Alice"]}
        assert self.together(official=official, **{"": {"family": "EXAMPLE", "given": ["alice"]}}) == [official]

    def test_a_different_unlabelled_name_stays(self):
        official = {"use": "official", "family": "Example", "given": ["Alice"]}
        bare = {"family": "Example", "given": ["Ann"]}
        assert self.together(official=official, **{"": bare}) == [official, bare]

    def test_a_maiden_name_says_something_of_its_own(self):
        names = {"official": {"use": "official", "family": "E"}, "maiden": {"use": "maiden", "family": "E"}}
        assert len(self.together(**names)) == 2


@pytest.mark.parametrize(
    ("slot", "bare", "fuller"),
    [
        ("identifier[urn:s]", {"system": "urn:s", "value": "1"}, {"use": "official", "type": {"text": "MRN"}}),
        ("communication", {"language": {"text": "English"}}, {"preferred": True}),
        ("communication", {"language": {"text": "English"}}, {"language": {"text": "English", "coding": [{}]}}),
        ("generalPractitioner", {"reference": "Practitioner/1"}, {"display": "Dr. Vale"}),
        ("contact", {"id": "c", "name": {"family": "Vale"}}, {"id": "x", "gender": "female"}),
    ],
)
def test_a_fact_that_one_system_tells_more_fully_is_one_fact(slot, bare, fuller):
    whole = bare | fuller
    records = [record("a"), record("b")]
    for mine, theirs in ((bare, whole), (whole, bare)):
        own = [{slot: said([value], None, seen=3)} for value in (mine, theirs)]
        told = [Record(one.connector, "Patient", "", kept) for one, kept in zip(records, own, strict=True)]
        assert consolidate(told, PLAIN).slots[slot] == [whole]


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ({"use": "old"}, 2),
        ({"use": "temp"}, 2),
        ({"period": {"end": "2020"}}, 2),
        ({"use": "usual"}, 1),
        ({"value": "2"}, 2),
    ],
)
def test_what_narrows_a_fact_is_another_one(more, count):
    number = {"system": "urn:s", "value": "1"}
    told = [
        Record(name, "Patient", "", {"identifier[urn:s]": said([value], None, seen=3)})
        for name, value in (("a", number), ("b", number | more))
    ]
    assert len(consolidate(told, PLAIN).slots["identifier[urn:s]"]) == count


def test_our_own_identifier_never_enters_the_resource():
    ours = Record("a", "Patient", "a", {"identifier[urn:ours]": said([{"system": "urn:ours", "value": "7"}], 1)})
    assert consolidate([ours], Policy(ours="urn:ours")).resource is None


def test_two_sources_of_a_clinical_resource_contradict_as_a_whole():
    def source(name, status, when):
        return Record(name, "Observation", name, {"*": said({"resourceType": "Observation", "status": status}, when)})

    found = consolidate([source("a", "final", 1), source("b", "amended", 2)], PLAIN)
    assert found.resource == {"resourceType": "Observation", "status": "amended"}
    assert [one.slot for one in found.conflicts] == ["*"]


def test_changed_names_the_slots_that_say_something_else():
    found = consolidate([record("a", gender=said("male", 1), birthDate=said("1980", 1))], PLAIN)
    assert changed(None, found) == {"gender", "birthDate"}
    assert changed(found.resource, found) == set()
    assert changed({**found.resource, "active": True, "gender": "female"}, found) == {"active", "gender"}


def test_changed_sees_a_spelling_only_when_asked():
    found = consolidate([Record("a", "Patient", "a", {"name[-]": said([{"family": "Example"}], 1)})], PLAIN)
    old = {"resourceType": "Patient", "name": [{"family": "EXAMPLE"}]}
    assert changed(old, found) == set()
    assert changed(old, found, spelling=True) == {"name[-]"}


def test_of_two_that_say_the_same_one_stays() -> None:
    """They may differ in nothing but their ids."""
    twins = [{"id": "a", "system": "urn:x", "value": "1"}, {"id": "b", "system": "urn:x", "value": "1"}]
    fuller = {**twins[0], "type": {"text": "MR"}}
    assert _fullest(twins) == twins[:1]
    assert _fullest([*twins, fuller]) == [fuller]
