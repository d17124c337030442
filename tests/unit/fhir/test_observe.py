"""Observe: what a read, a statement or an answer makes of a record."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.fhir.deliver import accept, intend
from gateway.fhir.form import FULL, ONE_NAME, ONE_PHONE, Form
from gateway.fhir.observe import edit, observe, observe_versions, show, state
from gateway.fhir.record import Coverage, Own, Record, Shown

ALL = Coverage()
NO_ABSENCE = Coverage(absence=False)


def at(seconds: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def patient(**elements):
    return {"resourceType": "Patient", **elements}


def read(record, body, second, *, said_at=None, coverage=ALL, now=None, form=FULL):
    return observe(record, body, coverage, said_at, at(second), now=at(now or second), form=form)


def new() -> Record:
    return Record("a", "Patient", "1")


def adopted(value="1990-01-01", *, stamp=5, since=6) -> Record:
    """A system that said 1980-01-01 at first contact and was then brought to display another's value."""
    record = read(new(), patient(birthDate="1980-01-01"), 1)
    due = {"birthDate": value}
    sent = intend(record, due, {"birthDate": at(stamp)}, sent_at=at(since), until=at(since + 30))
    body = patient(**({"birthDate": value} if value else {}))
    return accept(sent, body, due, {"birthDate": at(stamp)}, FULL, at=at(since))


class TestTimeOfChange:
    def test_at_first_contact_without_a_date_it_is_unknown(self):
        assert read(new(), patient(gender="female"), 7).own["gender"] == Own("female", None, None, at(7))

    def test_at_first_contact_the_sources_own_time_counts(self):
        assert read(new(), patient(gender="female"), 7, said_at=at(3)).own["gender"].at == at(3)

    @pytest.mark.parametrize(("said", "expected"), [(None, 20), (15, 15), (5, 10.000001), (99, 21)])
    def test_later_it_is_between_the_previous_read_and_now(self, said, expected):
        first = read(new(), patient(gender="female"), 10)
        second = read(first, patient(gender="male"), 20, said_at=said and at(said), now=21)
        assert second.own["gender"].at == at(expected)

    def test_it_is_always_later_than_what_it_replaced(self):
        changed = read(adopted(stamp=8, since=8), patient(birthDate="2000-01-01"), 9, said_at=at(2))
        assert at(8) < changed.own["birthDate"].at <= at(9)

    def test_every_version_keeps_its_own_time(self):
        first = read(new(), patient(gender="female"), 10)
        versions = [(patient(gender="male"), at(12)), (patient(gender="other"), at(14))]
        assert observe_versions(first, versions, ALL, at(20), now=at(20)).own["gender"].at == at(14)


class TestAbsence:
    def test_what_is_covered_and_no_longer_there_was_removed(self):
        gone = read(read(new(), patient(gender="female"), 1), patient(), 5)
        assert gone.own["gender"].value is None
        assert gone.shown["gender"].value is None

    @pytest.mark.parametrize("coverage", [NO_ABSENCE, Coverage(frozenset({"birthDate"}))])
    def test_what_is_not_covered_stays(self, coverage):
        kept = read(read(new(), patient(gender="female"), 1), patient(), 5, coverage=coverage)
        assert kept.own["gender"].value == "female"

    def test_what_was_never_there_is_not_removed(self):
        assert read(new(), patient(), 1).own == {}

    def test_a_tag_that_is_left_out_is_still_meant(self):
        tagged = read(new(), patient(meta={"tag": [{"code": "t"}]}), 1)
        assert read(tagged, patient(), 5).own == tagged.own


class TestAdoption:
    def test_the_own_value_stays_beneath(self):
        record = adopted()
        assert record.own["birthDate"].value == "1980-01-01"
        assert record.shown["birthDate"].value == "1990-01-01"

    def test_a_change_after_it_knows_the_foreign_value(self):
        changed = read(adopted(stamp=5), patient(birthDate="2000-01-01"), 9)
        assert changed.own["birthDate"].base == at(5)

    def test_going_back_to_the_own_value_is_a_change(self):
        back = read(adopted(stamp=5), patient(birthDate="1980-01-01"), 9)
        assert back.own["birthDate"] == Own("1980-01-01", at(9), at(5), at(9))

    def test_a_read_from_before_the_last_exchange_is_dropped(self):
        record = adopted(since=6)
        assert read(record, patient(birthDate="1980-01-01"), 3, now=9) == record


class TestIntents:
    def opened(self, value="1990-01-01", second=10, until=40) -> Record:
        known = read(new(), patient(birthDate="1980-01-01"), 1)
        return intend(known, {"birthDate": value}, {"birthDate": at(5)}, sent_at=at(second), until=at(until))

    def test_what_equals_an_open_send_is_its_effect(self):
        landed = read(self.opened(), patient(birthDate="1990-01-01"), 15)
        assert landed.own["birthDate"].value == "1980-01-01"
        assert landed.shown["birthDate"] == Shown("1990-01-01", "1990-01-01", at(5), adopted=True, since=at(15))

    def test_a_removal_can_be_the_effect_too(self):
        assert read(self.opened(None), patient(), 15).own["birthDate"].value == "1980-01-01"

    def test_it_stays_open_until_a_read_that_began_after_its_limit(self):
        early = read(self.opened(), patient(birthDate="1980-01-01"), 39)
        assert early.intents
        assert not read(early, patient(birthDate="1980-01-01"), 41).intents

    def test_the_last_read_still_knows_it(self):
        landed = read(self.opened(), patient(birthDate="1990-01-01"), 41)
        assert landed.shown["birthDate"].adopted
        assert not landed.intents

    def test_a_declared_rewriting_is_its_effect(self):
        form = Form(rewriting=("upper", "unaccented", "digits"))
        name = [{"use": "official", "family": "García", "given": ["José"]}]
        sent = intend(new(), {"name[official]": name}, {}, sent_at=at(1), until=at(31))
        shouted = [{"use": "official", "family": "GARCIA", "given": ["JOSE"]}]
        assert read(sent, patient(name=shouted), 5, form=form).own == {}
        assert read(sent, patient(name=shouted), 5).own.keys() == {"name[official]"}

    def test_an_older_send_that_landed_after_the_last_one_is_seen(self):
        """No answer body came with the last one, so the display was still thought to be the old one."""
        record = read(new(), patient(birthDate="1980-01-01"), 1)
        record = intend(record, {"birthDate": "1980-01-01"}, {}, sent_at=at(2), until=at(60))
        record = intend(record, {"birthDate": "1990-01-01"}, {}, sent_at=at(3), until=at(33))
        record = accept(record, None, {"birthDate": "1990-01-01"}, {"birthDate": at(3)}, FULL, at=at(4))
        assert read(record, patient(birthDate="1980-01-01"), 9).shown["birthDate"].sent == "1980-01-01"


class TestSpelling:
    def test_another_spelling_of_an_own_value_keeps_the_stamp(self):
        first = read(new(), patient(name=[{"family": "EXAMPLE"}]), 1, said_at=at(1))
        again = read(first, patient(name=[{"family": "Example"}]), 5)
        assert again.own["name[-]"] == replace(first.own["name[-]"], value=[{"family": "Example"}])

    def test_another_spelling_of_an_adopted_value_is_not_theirs(self):
        sent = [{"family": "Example"}]
        record = accept(new(), patient(name=sent), {"name[-]": sent}, {}, FULL, at=at(2))
        again = read(record, patient(name=[{"family": "EXAMPLE"}]), 5)
        assert again.own == {}


SMALL = Form(
    reads=Coverage(frozenset({"name", "telecom[phone]"})),
    fields=(ONE_NAME, ONE_PHONE),
    parts={"name": frozenset({"family", "given"})},
    rewriting=("upper", "first-given", "digits"),
)
RICH = [{"use": "official", "family": "Example", "given": ["Alice", "May"], "prefix": ["Dr"]}]


class TestSingleFields:
    def filled(self) -> Record:
        due = {"name[official]": RICH, "telecom[phone,home]": [{"system": "phone", "use": "home", "value": "1"}]}
        stamps = dict.fromkeys(due, at(3))
        answer = patient(name=[{"family": "EXAMPLE", "given": ["ALICE"]}], telecom=[{"system": "phone", "value": "1"}])
        return accept(new(), answer, due, stamps, SMALL, at=at(4))

    def read(self, family="EXAMPLE", given="ALICE", number="1", second=9):
        telecom = [{"system": "phone", "value": number}] if number else []
        body = patient(name=[{"family": family, "given": [given]}], telecom=telecom)
        return read(self.filled(), body, second, form=SMALL, coverage=SMALL.reads)

    def test_the_same_again_is_no_change(self):
        assert self.read().own == {}

    def test_a_change_speaks_about_the_slot_that_filled_the_field(self):
        own = self.read(number="2").own
        assert own.keys() == {"telecom[phone,home]"}
        assert own["telecom[phone,home]"].value == [{"system": "phone", "use": "home", "value": "2"}]

    def test_so_does_a_removal(self):
        own = self.read(number=None).own
        assert own.keys() == {"telecom[phone,home]"}
        assert own["telecom[phone,home]"].value is None

    def test_what_the_form_hides_survives_an_edit(self):
        own = self.read(family="Sample").own
        assert own["name[official]"].value == [
            {"use": "official", "family": "Sample", "given": ["Alice", "May"], "prefix": ["Dr"]}
        ]

    def test_an_edited_given_name_replaces_the_first_only(self):
        assert self.read(given="Anne").own["name[official]"].value[0]["given"] == ["Anne", "May"]

    def test_an_unlabelled_phone_is_not_invented_as_home(self):
        body = patient(telecom=[{"system": "phone", "value": "1"}])
        assert read(new(), body, 1, form=SMALL, coverage=SMALL.reads).own.keys() == {"telecom[phone]"}


class TestEdit:
    base = patient(gender="female", birthDate="1980-02-22", meta={"tag": [{"code": "t"}]})

    def test_only_what_differs_from_the_base_is_asserted(self):
        record = edit(new(), self.base, self.base | {"birthDate": "1981-02-22"}, at=at(9), base_stamp=at(4))
        assert record.own == {"birthDate": Own("1981-02-22", at(9), at(4))}

    def test_what_is_gone_is_a_tombstone(self):
        record = edit(new(), self.base, patient(birthDate="1980-02-22"), at=at(9), base_stamp=at(4))
        assert record.own == {"gender": Own(None, at(9), at(4))}

    def test_a_corrected_spelling_is_an_edit(self):
        base, body = patient(name=[{"family": "EXAMPLE"}]), patient(name=[{"family": "Example"}])
        assert edit(new(), base, body, at=at(9), base_stamp=None).own["name[-]"].value == [{"family": "Example"}]

    def test_it_is_later_than_what_it_was_made_from(self):
        assert edit(new(), self.base, patient(), at=at(3), base_stamp=at(4)).own["gender"].at > at(4)

    def test_a_whole_clinical_resource_is_one_edit(self):
        base = {"resourceType": "Observation", "status": "preliminary"}
        record = edit(Record("a", "Observation", "1"), base, {**base, "status": "final"}, at=at(9), base_stamp=None)
        assert record.own["*"].value["status"] == "final"


class TestState:
    def test_absence_removes_only_what_the_caller_stated_itself(self):
        record = state(new(), patient(gender="female", birthDate="1980-02-22"), ALL, at=at(1))
        record = show(record, patient(gender="female", birthDate="1980-02-22", active=True), {"active": at(0)})
        later = state(record, patient(birthDate="1980-02-22"), ALL, at=at(5))
        assert later.own["gender"].value is None
        assert later.own["birthDate"].value == "1980-02-22"
        assert "active" not in later.own

    def test_repeating_an_answer_asserts_nothing(self):
        answer = patient(gender="female", active=True)
        record = show(state(new(), patient(gender="female"), ALL, at=at(1)), answer, {"active": at(0)})
        assert state(record, answer, ALL, at=at(5)).own.keys() == {"gender"}

    def test_a_repeated_statement_is_no_new_assertion_whatever_was_answered(self):
        record = state(new(), patient(gender="female"), ALL, at=at(1))
        told = show(record, patient(gender="male"), {"gender": at(3)})
        assert state(told, patient(gender="female"), ALL, at=at(5)).own == record.own

    def test_a_new_statement_knows_what_was_answered(self):
        record = state(new(), patient(gender="female"), ALL, at=at(1))
        told = show(record, patient(gender="male"), {"gender": at(3)})
        assert state(told, patient(gender="other"), ALL, at=at(5)).own["gender"] == Own("other", at(5), at(3), at(5))

    def test_going_back_is_a_new_statement(self):
        record = state(new(), patient(gender="female"), ALL, at=at(1))
        record = state(record, patient(gender="male"), ALL, at=at(2))
        assert state(record, patient(gender="female"), ALL, at=at(3)).own["gender"].at == at(3)


class TestEvents:
    def told(self, record, body, second, *, received=50, coverage=NO_ABSENCE):
        return observe(record, body, coverage, second and at(second), at(received), now=at(received), dated=True)

    def test_an_older_document_never_overrides_a_newer_one(self):
        record = self.told(self.told(new(), patient(gender="male"), 9), patient(gender="female", active=True), 5)
        assert record.own["gender"] == Own("male", at(9), None, at(9))
        assert record.own["active"].at == at(5)

    def test_a_repeated_value_keeps_the_time_of_its_change(self):
        record = self.told(self.told(new(), patient(gender="male"), 5), patient(gender="male"), 9)
        assert record.own["gender"] == Own("male", at(5), None, at(9))

    def test_an_older_value_between_two_equal_ones_is_history(self):
        record = self.told(self.told(new(), patient(gender="male"), 5), patient(gender="male"), 9)
        assert self.told(record, patient(gender="female"), 7).own["gender"].value == "male"

    def test_a_document_from_the_future_is_of_now(self):
        assert self.told(new(), patient(gender="male"), 99, received=50).own["gender"].at == at(50)

    def test_an_undated_first_document_loses_to_a_dated_one(self):
        record = self.told(new(), patient(gender="male"), None)
        assert record.own["gender"].at is None
        assert self.told(record, patient(gender="female"), 1).own["gender"].value == "female"

    def test_a_late_event_from_before_our_send_is_not_an_answer_to_it(self):
        record = adopted(stamp=5, since=20)
        late = self.told(record, patient(birthDate="1970-01-01"), 10)
        assert late.shown["birthDate"].value == "1990-01-01"
        assert late.own["birthDate"] == Own("1970-01-01", at(10), None, at(10))

    def test_a_removal_that_overtakes_its_value_still_counts(self):
        named = Coverage(frozenset({"birthDate"}))
        record = self.told(new(), patient(), 9, coverage=named)
        assert self.told(record, patient(birthDate="1980-01-01"), 5, coverage=named).own == {}
        assert self.told(record, patient(birthDate="1980-01-01"), 12, coverage=named).own["birthDate"].at == at(12)
