"""The spelling table: what is a spelling, and above all what is not."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.fhir.spelling import exact, phone, same


def name(**parts):
    return [{"use": "official", "family": "Example", "given": ["Alice", "May"], **parts}]


def tel(value, **parts):
    return [{"system": "phone", "value": value, **parts}]


SPELLINGS = [
    ("name[official]", name(), name(family="EXAMPLE")),
    ("name[official]", name(), name(family=" Example  ")),
    ("name[official]", name(family="O'Neil"), name(family="O’Neil")),
    ("name[official]", name(family="José"), name(family="José")),
    ("name[official]", name(), [{"id": "n1", **name()[0]}]),
    ("name[official]", [*name(), *name(family="B")], [*name(family="b"), *name()]),
    ("address[home]", [{"line": ["1 Main St"]}], [{"line": ["1 MAIN ST"]}]),
    ("address[home]", [{"postalCode": "sw1a 1aa"}], [{"postalCode": "SW1A1AA"}]),
    ("telecom[phone]", tel("+1 (555) 010-0001"), tel("5550100001")),
    ("telecom[phone]", tel("1-555-010-0001"), tel("555.010.0001")),
    ("telecom[phone]", tel("tel:+44-20-7946-0001"), tel("0044 20 7946 0001")),
    ("telecom[phone]", tel("+44 (0)20 7946 0001"), tel("+442079460001")),
    ("telecom[phone]", tel("555-010-0001 ext. 12"), tel("5550100001x12")),
    ("telecom[email]", [{"system": "email", "value": "A@B.org"}], [{"system": "email", "value": "a@b.org "}]),
    (
        "name[old]",
        [{"period": {"start": "2020-01-01T12:00:00Z"}}],
        [{"period": {"start": "2020-01-01T13:00:00+01:00"}}],
    ),
    ("deceased[x]", {"deceasedDateTime": "2020-01-01T00:00:00Z"}, {"deceasedDateTime": "2019-12-31T19:00:00-05:00"}),
    (
        "communication",
        [{"preferred": True, "language": {"text": "a"}}],
        [{"language": {"text": "a"}, "preferred": True}],
    ),
]
DIFFERENCES = [
    ("name[official]", name(family="José"), name(family="Jose")),
    ("name[official]", name(), name(given=["May", "Alice"])),
    ("name[official]", name(), name(given=["Alice"])),
    ("name[official]", name(), [*name(), *name()]),
    ("telecom[phone]", tel("+44 555 010 0001"), tel("5550100001")),
    ("telecom[phone]", tel("+55 5010 0001"), tel("5550100001")),
    ("telecom[phone]", tel("020 7946 0001"), tel("+44 20 7946 0001")),
    ("telecom[phone]", tel("5550100001 x1"), tel("5550100001 x2")),
    ("telecom[phone]", tel("5550100001"), tel("5550100001", rank=1)),
    ("telecom[phone]", tel("1-800-FLOWERS"), tel("1-800-")),
    ("birthDate", "1980-02-22", "1980-02"),
    ("birthDate", "1980-02", "1980"),
    ("birthDate", "1980-02-22", None),
    ("deceased[x]", {"deceasedBoolean": True}, {"deceasedDateTime": "2020"}),
    ("deceased[x]", {"deceasedDateTime": "2020-01-01T00:00:00Z"}, {"deceasedDateTime": "2020-01-01T00:00:00.0Z"}),
    ("identifier[urn:s]", [{"system": "urn:s", "value": "a1"}], [{"system": "urn:s", "value": "A1"}]),
    ("gender", "male", "female"),
    ("active", True, 1),
    ("multipleBirth[x]", {"multipleBirthInteger": 1}, {"multipleBirthBoolean": True}),
    ("extension[u]", [{"url": "u", "valueDecimal": Decimal("1.5")}], [{"url": "u", "valueDecimal": Decimal("1.50")}]),
    ("*", {"valueString": "A"}, {"valueString": "a"}),
    ("*", {"category": [1, 2]}, {"category": [2, 1]}),
    ("*", {"value": Decimal("1.5")}, {"value": Decimal("1.50")}),
    ("*", {"value": True}, {"value": 1}),
]


@pytest.mark.parametrize(("slot", "one", "other"), SPELLINGS)
def test_a_spelling(slot, one, other):
    assert same(slot, one, other)
    assert same(slot, other, one)


@pytest.mark.parametrize(("slot", "one", "other"), DIFFERENCES)
def test_no_spelling(slot, one, other):
    assert not same(slot, one, other)
    assert not same(slot, other, one)


def test_only_a_tombstone_is_the_same_as_a_tombstone():
    assert same("birthDate", None, None)
    assert not same("name[-]", None, [])


def test_the_order_of_keys_is_no_difference():
    assert exact({"a": 1, "b": Decimal("2.0")}, {"b": Decimal("2.0"), "a": 1})
    assert not exact({"a": 1}, {"a": Decimal("1.0")})


def test_contained_resources_are_compared_by_what_they_are_not_by_their_ids():
    def slot(name):
        return {"": [{"reference": f"#{name}"}], "#": [{"resourceType": "Practitioner", "id": name, "active": True}]}

    assert same("generalPractitioner", slot("a"), slot("b"))
    other = slot("a") | {"#": [{"resourceType": "Practitioner", "id": "a", "active": False}]}
    assert not same("generalPractitioner", slot("a"), other)


@pytest.mark.parametrize("text", ["", "unknown", "call the ward", "+", "٣"])
def test_what_is_no_number_stays_text(text):
    assert isinstance(phone(text), str)
