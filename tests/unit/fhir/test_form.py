"""Form: what a small payload is given of a resource, and what of it counts as already there."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.fhir.deliver import diff
from gateway.fhir.form import FULL, ONE_NAME, ONE_PHONE, Field, Form, bind, echoes, reflect, render
from gateway.fhir.overlay import overlay
from gateway.fhir.record import Coverage, Own, Record, Shown
from gateway.fhir.slots import split

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SMALL = Form(
    reads=Coverage(frozenset({"name", "birthDate", "telecom[phone]"})),
    writes=frozenset({"name", "birthDate", "telecom"}),
    fields=(ONE_NAME, ONE_PHONE),
    parts={"name": frozenset({"family", "given"})},
    rewriting=("upper", "unaccented", "first-given", "digits"),
)


def name(use=None, family="Example", given=("Alice",), **parts):
    return {**({"use": use} if use else {}), "family": family, "given": list(given), **parts}


def phone(use=None, value="1"):
    return {"system": "phone", **({"use": use} if use else {}), "value": value}


def patient(**elements):
    return {"resourceType": "Patient", **elements}


def copy(shown=None, bound=None, own=None) -> Record:
    displayed = {slot: Shown(value) for slot, value in (shown or {}).items()}
    return Record("small", "Patient", "1", own or {}, displayed, bound or {})


def test_a_full_form_carries_everything_and_removes_what_is_gone():
    rendered = render(patient(gender="male"), FULL, copy({"gender": "female", "active": True}))
    assert rendered == {"gender": "male", "active": None}


def test_what_a_form_cannot_carry_is_never_part_of_it():
    rendered = render(patient(gender="male", birthDate="1980"), SMALL, copy({"active": True}))
    assert rendered == {"birthDate": "1980"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([name(), name("usual"), name("official")], "name[official]"),
        ([name("maiden"), name("usual")], "name[usual]"),
        ([name("maiden"), name()], "name[-]"),
        ([name("old"), name("maiden")], "name[maiden]"),
    ],
)
def test_one_name_is_official_else_usual_else_the_first(names, expected):
    assert list(render(patient(name=names), SMALL, copy())) == [expected]


@pytest.mark.parametrize(
    ("bound", "expected"),
    [({}, "telecom[phone]"), ({"telecom[phone]": "telecom[phone,work]"}, "telecom[phone,work]")],
)
def test_one_phone_is_the_one_that_filled_the_field(bound, expected):
    resource = patient(telecom=[phone("home"), phone("work"), phone()])
    assert list(render(resource, SMALL, copy(bound=bound))) == [expected]


def test_a_field_whose_phone_is_gone_takes_the_next():
    record = copy({"telecom[phone,work]": [phone("work")]}, {"telecom[phone]": "telecom[phone,work]"})
    assert render(patient(telecom=[phone("home", "2")]), SMALL, record) == {"telecom[phone,home]": [phone("home", "2")]}
    assert render(patient(), SMALL, record) == {"telecom[phone,work]": None}


def test_a_field_holds_only_its_own_system():
    assert ONE_PHONE.holds("telecom[phone]")
    assert ONE_PHONE.holds("telecom[phone,home]")
    assert not ONE_PHONE.holds("telecom[phonetic]")
    assert not ONE_PHONE.holds("telecom[email]")
    assert ONE_NAME.holds("name[maiden]")
    assert Field("name[official]").holds("name[-]")


@pytest.mark.parametrize(
    ("slot", "value", "expected"),
    [
        (
            "name[official]",
            [name("official", "García", ("José", "Luis"), prefix=["Dr"])],
            [name("official", "GARCIA", ("JOSE",))],
        ),
        ("telecom[phone,home]", [phone("home", "+1 555"), phone("home", "2")], [phone("home", "1555")]),
        ("birthDate", "1980", "1980"),
    ],
)
def test_what_they_will_display_of_a_value(slot, value, expected):
    assert reflect(SMALL, slot, value) == expected
    assert reflect(SMALL, slot, expected) == expected
    assert echoes(SMALL, slot, value, expected)


def test_a_removal_is_only_echoed_by_nothing():
    assert echoes(SMALL, "birthDate", None, None)
    assert not echoes(SMALL, "birthDate", "1980", None)
    assert not echoes(SMALL, "birthDate", None, "1980")


class TestBind:
    def test_a_full_form_has_nothing_to_bind(self):
        record = copy({"name[-]": [name()]})
        assert bind(record, {"name[official]": [name("official")]}, FULL) is record

    def test_an_unlabelled_name_that_is_the_official_one_needs_no_delivery(self):
        bare = [name(family="EXAMPLE")]
        record = copy({"name[-]": bare}, own={"name[-]": Own(bare, None, None, NOW)})
        resource = patient(name=[name("official", prefix=["Dr"])])
        bound = bind(record, split(resource), SMALL)
        assert bound.bound == {"name[-]": "name[official]"}
        assert diff(bound, render(resource, SMALL, bound)) == {}

    def test_it_is_that_name_from_now_on(self):
        """Else the old unlabelled name would come back as a second one when the official one changes."""
        bare = [name(family="EXAMPLE")]
        record = copy({"name[-]": bare}, own={"name[-]": Own(bare, None, None, NOW)})
        bound = bind(record, {"name[official]": [name("official")]}, SMALL)
        assert bound.own == {"name[official]": Own([name("official")], None, None, NOW)}

    def test_a_different_name_stays_its_own(self):
        bare = [name(family="Other")]
        record = copy({"name[-]": bare}, own={"name[-]": Own(bare, None)})
        assert bind(record, {"name[official]": [name("official")]}, SMALL) == record

    def test_what_is_displayed_in_part_counts_as_sent(self):
        rich = [name("official", given=("Alice", "May"))]
        record = copy({"name[official]": [name("official", "EXAMPLE", ("ALICE",))]}, {"name[-]": "name[official]"})
        bound = bind(record, {"name[official]": rich}, SMALL)
        assert bound.shown["name[official]"].sent == rich
        assert not bound.shown["name[official]"].adopted


class TestOverlay:
    def of(self, value, displayed=None):
        sent = [name("official", "García", ("José", "Luis"), prefix=["Dr"])]
        displayed = displayed or [name("official", "GARCIA", ("JOSE",))]
        return overlay(SMALL, "name[official]", sent, displayed, value)

    def test_only_the_edited_part_changes(self):
        assert self.of([name("official", "SMITH", ("JOSE",))]) == [
            name("official", "Smith".upper(), ("José", "Luis"), prefix=["Dr"])
        ]

    def test_a_part_that_is_removed_is_gone(self):
        edited = [{"use": "official", "family": "GARCIA"}]
        assert "given" not in self.of(edited)[0]

    def test_the_element_that_the_field_did_not_show_stays(self):
        sent = [phone("home", "1"), phone("home", "2")]
        edit = overlay(SMALL, "telecom[phone,home]", sent, [phone("home", "1")], [phone("home", "9")])
        assert edit == [phone("home", "9"), phone("home", "2")]
        assert overlay(SMALL, "telecom[phone,home]", sent, [phone("home", "1")], None) == [phone("home", "2")]

    def test_where_they_displayed_something_else_their_value_is_all_there_is(self):
        edited = [name("official", "SMITH", ("ANN",))]
        assert self.of(edited, displayed=[name("official", "QUITE", ("OTHER",))]) == edited


class TestAWayOfShowingOfItsOwn:
    """A form with a place apart, slots it never takes, values that say nothing, and whole dates only."""

    FORM = Form(
        writes=frozenset({"name", "gender", "birthDate", "identifier"}),
        never=frozenset({"identifier[urn:theirs]"}),
        fields=(Field("name[official]", ("name[official]",), apart=frozenset({"name[nickname]"})),),
        displays=lambda element, value: value[:4] if element == "birthDate" else value,
        silent={"gender": "unknown"},
    )

    def test_a_place_apart_is_no_part_of_the_field(self):
        resource = patient(name=[name("nickname", "", ("Al",)), name("usual")])
        assert set(render(resource, self.FORM, copy())) == {"name[nickname]", "name[usual]"}

    def test_a_slot_that_is_never_taken_is_neither_sent_nor_taken_away(self):
        theirs = [{"system": "urn:theirs", "value": "1"}]
        assert render(patient(identifier=theirs), self.FORM, copy()) == {}
        assert render(patient(), self.FORM, copy({"identifier[urn:theirs]": theirs})) == {}

    def test_a_silent_value_is_never_sent_nor_compared(self):
        assert render(patient(gender="unknown"), self.FORM, copy({"gender": "male"})) == {}
        assert render(patient(gender="male"), self.FORM, copy()) == {"gender": "male"}

    def test_what_they_do_not_show_at_all_is_never_sent(self):
        form = Form(displays=lambda _, item: item if item.get("city") else None)
        listed = [{"use": "home", "text": "by the lake"}, {"use": "work", "city": "Larkfield"}]
        assert set(render(patient(address=listed), form, copy())) == {"address[work]"}

    def test_what_they_make_of_a_plain_value_is_an_echo(self):
        assert echoes(self.FORM, "birthDate", "1980-02-22", "1980")
        assert not echoes(self.FORM, "birthDate", "1980-02-22", "1981")
        assert reflect(self.FORM, "gender", "male") == "male"

    def test_what_they_show_of_it_already_is_not_due(self):
        record = copy({"birthDate": "1980"})
        wanted = {"birthDate": "1980-02-22"}
        assert diff(bind(record, wanted, self.FORM), wanted) == {}
