"""Deliver: what is due, and what an answer, no answer and a refusal mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.fhir.deliver import accept, diff, intend, void
from gateway.fhir.form import FULL, Form, render
from gateway.fhir.observe import observe
from gateway.fhir.record import Coverage, Own, Record, Shown


def at(seconds: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def patient(**elements):
    return {"resourceType": "Patient", **elements}


def copy(**elements) -> Record:
    return observe(Record("a", "Patient", "1"), patient(**elements), Coverage(), None, at(1), now=at(1))


def sent(record, due, second=3):
    return intend(record, due, dict.fromkeys(due, at(2)), sent_at=at(second), until=at(second + 30))


def answered(record, body, due, form=FULL, **named):
    return accept(sent(record, due), body, due, dict.fromkeys(due, at(2)), form, at=at(5), **named)


def test_what_is_displayed_is_not_due():
    assert diff(copy(gender="female"), {"gender": "female", "birthDate": "1980"}) == {"birthDate": "1980"}


def test_what_was_sent_is_not_due_though_they_display_it_otherwise():
    record = answered(copy(), patient(maritalStatus={"text": "?"}), {"maritalStatus": {"text": "M"}})
    assert diff(record, {"maritalStatus": {"text": "M"}}) == {}
    assert diff(record, {"maritalStatus": {"text": "S"}}) == {"maritalStatus": {"text": "S"}}


def test_a_removal_that_they_refuse_is_sent_once():
    record = answered(copy(gender="female"), patient(gender="female"), {"gender": None})
    assert diff(record, render(patient(), FULL, record)) == {}


def test_nothing_is_not_removed():
    assert diff(copy(), {"gender": None}) == {}


def test_the_answer_becomes_shown_and_the_own_value_stays():
    record = answered(copy(gender="female"), patient(gender="male"), {"gender": "male"})
    assert record.shown["gender"] == Shown("male", "male", at(2), adopted=True, since=at(5))
    assert record.own["gender"].value == "female"
    assert record.intents == ()


def test_what_an_answer_tells_besides_is_observed():
    record = answered(copy(gender="female"), patient(gender="male", birthDate="1980"), {"gender": "male"})
    assert record.own["birthDate"] == Own("1980", at(5), None, at(5))
    assert "gender" in record.own


def test_what_an_answer_cannot_tell_counts_as_it_was_sent():
    form = Form(reads=Coverage(frozenset({"gender"})))
    record = answered(copy(), patient(), {"birthDate": "1980"}, form)
    assert record.shown["birthDate"].value == "1980"
    assert diff(record, render(patient(), form, record)) == {"birthDate": None}


def test_a_partial_answer_confirms_what_it_does_not_deny():
    record = answered(copy(), patient(), {"gender": "male"}, coverage=Coverage(absence=False))
    assert record.shown["gender"].value == "male"


def test_an_answer_that_may_be_older_than_their_last_edit_is_not_shown():
    """A webhook's read came in between: taking the answer for newer would date their edit once more, and later."""
    record = sent(copy(gender="female"), {"gender": "male"}, 3)
    record = observe(record, patient(gender="other"), Coverage(), None, at(6), now=at(6))
    late = accept(record, patient(gender="male"), {"gender": "male"}, {"gender": at(2)}, FULL, at=at(7))
    assert late.shown["gender"].value == "other"
    again = observe(late, patient(gender="other"), Coverage(), None, at(8), now=at(8))
    assert again.own["gender"].at == at(6)
    landed = observe(late, patient(gender="male"), Coverage(), None, at(8), now=at(8))
    assert landed.own["gender"].value == "other"


def test_an_answer_that_may_be_older_than_a_read_tells_nothing_besides():
    """Their user edits another field while the answer is on its way, and the webhook's read is applied first."""
    record = sent(copy(gender="female", birthDate="1980"), {"gender": "male"}, 3)
    record = observe(record, patient(gender="male", birthDate="1981"), Coverage(), None, at(6), now=at(6))
    body = patient(gender="male", birthDate="1980")
    late = accept(record, body, {"gender": "male"}, {"gender": at(2)}, FULL, at=at(7))
    assert late.own["birthDate"] == record.own["birthDate"] and late.own["birthDate"].value == "1981"
    assert late.shown["birthDate"].value == "1981" and late.shown["gender"].sent == "male"


class TestNoBody:
    def test_what_was_due_counts_as_sent_and_the_display_is_still_open(self):
        record = answered(copy(gender="female"), None, {"gender": "male"})
        assert record.shown["gender"].value == "female"
        assert diff(record, {"gender": "male"}) == {}

    def test_reading_back_the_new_value_is_no_edit(self):
        record = answered(copy(gender="female"), None, {"gender": "male"})
        again = observe(record, patient(gender="male"), Coverage(), None, at(6), now=at(6))
        assert again.own == record.own
        assert again.shown["gender"].value == "male"

    def test_reading_back_something_else_is_an_edit(self):
        record = answered(copy(gender="female"), None, {"gender": "male"})
        again = observe(record, patient(gender="other"), Coverage(), None, at(6), now=at(6))
        assert again.own["gender"] == Own("other", at(6), at(2), at(6))


def test_older_sends_stay_open_when_a_newer_one_is_accepted():
    first = sent(copy(), {"gender": "male"}, 2)
    second = sent(first, {"gender": "other"}, 3)
    record = accept(second, patient(gender="other"), {"gender": "other"}, {}, FULL, at=at(5))
    assert [intent.slots["gender"][0] for intent in record.intents] == ["male"]
    late = observe(record, patient(gender="male"), Coverage(), None, at(9), now=at(9))
    assert late.own == {}
    assert diff(late, {"gender": "other"}) == {"gender": "other"}


def test_a_refused_send_is_forgotten():
    record = sent(copy(gender="female"), {"gender": "male"})
    assert void(record).intents == ()
    typed = observe(void(record), patient(gender="male"), Coverage(), None, at(9), now=at(9))
    assert typed.own["gender"].value == "male"


def test_an_intent_may_name_more_than_was_due():
    record = intend(copy(), {"gender": "male"}, {}, sent_at=at(2), until=at(9), carried={"gender": "x", "active": True})
    assert record.intent.slots == {"gender": ("male", None), "active": (True, None)}


def test_an_event_that_tells_of_their_own_value_which_we_restored_is_no_edit():
    """Their value lost, then won again: had they typed it anew, it would be newer than everything."""
    blind = Form(reads=Coverage(frozenset()))

    def tell(record, gender, second):
        body = patient(gender=gender)
        return observe(record, body, Coverage(), at(second), at(second), now=at(second), form=blind, dated=True)

    record = tell(Record("a", "Patient", "1"), "female", 1)
    record = tell(answered(record, None, {"gender": "male"}, blind), "male", 6)
    restored = tell(intend(record, {"gender": "female"}, {}, sent_at=at(8), until=at(38)), "female", 9)
    assert restored.own["gender"].at == at(1)
    retyped = tell(record, "female", 9)
    assert retyped.own["gender"].at == at(9)


def test_of_a_system_that_is_never_read_accepted_sends_are_remembered():
    """Their events may come late: what tells of our own send is no edit."""
    blind = Form(reads=Coverage(frozenset()))
    record = answered(copy(), None, {"gender": "male"}, blind)
    record = answered(record, None, {"gender": "female"}, blind)
    told = observe(record, patient(gender="male"), Coverage(), at(4), at(9), now=at(9), form=blind, dated=True)
    assert told.own == {}
    for number in range(20):
        record = answered(record, None, {"gender": str(number)}, blind)
    assert len(record.intents) <= 8
