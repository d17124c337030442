"""A query string as a value, index rows, and the searchset."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from gateway.errors import InvalidInput
from gateway.fhir import json, search, searchset
from gateway.fhir.search import Query
from gateway.fhir.tokens import Token, tokens

BASE = "https://gateway.example/fhir"


def parse(query: str, kind: str = "Observation", handling: search.Handling = None) -> Query:
    return search.parse(kind, query, base=BASE, handling=handling)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("http://mrn.example|7", (Token("http://mrn.example", "7"),)),
        ("7", (Token(None, "7"),)),
        ("|7", (Token("", "7"),)),
        ("a|1,b|2,3", (Token("a", "1"), Token("b", "2"), Token(None, "3"))),
        (r"a|1\,2", (Token("a", "1,2"),)),
        (r"a\|b|1\|2", (Token("a|b", "1|2"),)),
        (r"a|1\\,b|2", (Token("a", "1\\"), Token("b", "2"))),
        (r"a|1\$2", (Token("a", "1$2"),)),
        (r"a|1\x", (Token("a", r"1\x"),)),
        ("a|Zoë 1", (Token("a", "Zoë 1"),)),
    ],
)
def test_identifier_tokens(value: str, expected: tuple[Token, ...]) -> None:
    assert parse(f"identifier={value}").identifiers == (expected,)


def test_a_token_may_be_a_system_alone_but_is_not_searched_for() -> None:
    assert tokens("identifier", "http://mrn.example|") == (Token("http://mrn.example", None),)
    with pytest.raises(InvalidInput, match="names a value"):
        parse("identifier=a|1,http://mrn.example|")


def test_percent_encoding_is_undone_before_the_escapes() -> None:
    assert parse("identifier=http%3A%2F%2Fmrn.example%7C7%5C%2C8").identifiers == (
        (Token("http://mrn.example", "7,8"),),
    )


def test_repeated_identifiers_must_all_be_there() -> None:
    assert parse("identifier=a|1&identifier=b|2,c|3").identifiers == (
        (Token("a", "1"),),
        (Token("b", "2"), Token("c", "3")),
    )


def test_repeated_ids_narrow_each_other() -> None:
    assert parse("_id=1,2,2&_id=2,3").ids == ("2",)
    assert parse("_id=1&_id=2").ids == ()
    assert parse("").ids is None


@pytest.mark.parametrize("value", ["7", "Patient/7", f"{BASE}/Patient/7"])
@pytest.mark.parametrize("name", ["patient", "subject"])
def test_a_patient_by_id_or_reference(name: str, value: str) -> None:
    assert parse(f"{name}={value}").patients == ("7",)


@pytest.mark.parametrize(
    "value", ["Group/7", "https://other.example/fhir/Patient/7", "urn:uuid:7", "Patient/7/_history/1"]
)
def test_another_reference_is_no_patient(value: str) -> None:
    with pytest.raises(InvalidInput):
        parse(f"patient={value}")


def test_subject_is_asked_only_where_a_type_has_it() -> None:
    assert parse("patient=7", "Immunization").patients == ("7",)
    for name, kind in (("subject", "Immunization"), ("patient", "Patient"), ("identifier", "Provenance")):
        with pytest.raises(InvalidInput, match=f"{kind} has no search parameter {name} here"):
            parse(f"{name}=7", kind)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024", [("ge", datetime(2024, 1, 1)), ("lt", datetime(2025, 1, 1))]),
        ("eq2024-02", [("ge", datetime(2024, 2, 1)), ("lt", datetime(2024, 3, 1))]),
        ("gt2024-02", [("ge", datetime(2024, 3, 1))]),
        ("sa2024-02", [("ge", datetime(2024, 3, 1))]),
        ("ge2024-02", [("ge", datetime(2024, 2, 1))]),
        ("lt2024-02", [("lt", datetime(2024, 2, 1))]),
        ("eb2024-02", [("lt", datetime(2024, 2, 1))]),
        ("le2024-02", [("lt", datetime(2024, 3, 1))]),
        ("gt2024-02-01T10:00:00+01:00", [("ge", datetime(2024, 2, 1, 9, 0, 1))]),
        ("gt2024-02-01T10:00:00.123456Z", [("ge", datetime(2024, 2, 1, 10, 0, 0, 123457))]),
    ],
)
def test_last_updated(value: str, expected: list[tuple[str, datetime]]) -> None:
    assert parse(f"_lastUpdated={value}").updated == tuple((sign, at.replace(tzinfo=UTC)) for sign, at in expected)


def test_last_updated_as_a_span() -> None:
    assert [sign for sign, _ in parse("_lastUpdated=ge2024&_lastUpdated=lt2025").updated] == ["ge", "lt"]


def test_of_many_bounds_the_narrowest_hold() -> None:
    """However many are asked for, the store is asked one of a few questions."""
    query = "&".join(f"_lastUpdated={sign}20{year}" for year in range(10, 40) for sign in ("ge", "lt"))
    assert parse(query).updated == (("ge", datetime(2039, 1, 1, tzinfo=UTC)), ("lt", datetime(2010, 1, 1, tzinfo=UTC)))


def test_long_lists_of_ids_narrow_each_other_at_once() -> None:
    """In time that grows with the lists, not with their product: 20,000 times 20,000 would take half a minute."""
    many = [",".join(f"{letter}{n}" for n in range(20_000)) for letter in "ab"]
    started = time.process_time()
    assert parse(f"_id={many[0]},c&_id=c,{many[1]}").ids == ("c",)
    assert time.process_time() - started < 2


def test_count_is_capped() -> None:
    assert [parse(f"_count={asked}").count for asked in ("0", "20", "999999")] == [0, 20, search.MOST]
    assert parse("").count == search.COUNT


def test_total() -> None:
    assert parse("_total=accurate").total
    assert not parse("_total=none").total
    assert not parse("").total


@pytest.mark.parametrize(
    "query",
    [
        "identifier=",
        "patient=",
        "_id=%20",
        "identifier=|",
        "identifier=a|b|c",
        "identifier=a|1,,b|2",
        "identifier:of-type=a|b|c",
        "identifier:not=a|b",
        "patient:Group=7",
        "patient.identifier=7",
        "_id:exact=7",
        "identifier=a|b%00",
        "identifier=%FF",
        "_id=a b",
        "_id=é",
        "_lastUpdated=ne2024",
        "_lastUpdated=ap2024",
        "_lastUpdated=2024-13",
        "_lastUpdated=2024,2025",
        "_lastUpdated=yesterday",
        "_count=-1",
        "_count=many",
        "_count=1.5",
        "_count=٣",
        "_total=all",
        "_summary=Count",
        "_summary=",
        "_sort=name",
        "_sort=-identifier",
        "_sort=_lastUpdated,_id",
        "_sort=_id&_sort=-_id",
        "_sort:asc=_id",
        "_sort=_lastUpdated&_cursor=018f-a_1",
        "_cursor=9999999999999999999&_sort=-_lastUpdated",
        "_cursor=a&_cursor=b",
        "_cursor=a/b",
        "&".join(["_id=1"] * (search.FIELDS + 1)),
    ],
)
def test_what_cannot_be_meant_is_refused_even_when_lenient(query: str) -> None:
    with pytest.raises(InvalidInput):
        parse(query, handling="lenient")


@pytest.mark.parametrize("name", ["identifer", "birthdate", "name:exact", "_has:Observation:patient:code", "_tag"])
@pytest.mark.parametrize("handling", [None, "strict"])
def test_a_parameter_that_is_not_known_is_refused_and_named(name: str, handling: search.Handling) -> None:
    """Without its filter the search would find everybody."""
    with pytest.raises(InvalidInput) as refused:
        parse(f"{name}=Secret&_count=1", "Patient", handling)
    assert f"no search parameter {name} here; there are _id, identifier, _lastUpdated," in refused.value.message
    assert "Secret" not in refused.value.message and "subject" not in refused.value.message


@pytest.mark.parametrize("query", ["http%3A%2F%2Fmrn.example%7C123", "1980-02-03", "Smith%20Ada=1", "=1"])
def test_a_value_in_the_place_of_a_name_is_not_repeated(query: str) -> None:
    with pytest.raises(InvalidInput, match="no search parameter of that name here"):
        parse(query)


def test_an_unknown_parameter_is_ignored_when_lenient_and_left_out_of_the_self_link() -> None:
    query = parse("code=8867-4&identifier=a|1&_format=json&_include=x", handling="lenient")
    assert query.ignored == ("code", "_include")
    assert searchset.self_link(query, BASE) == f"{BASE}/Observation?identifier=a%7C1"


@pytest.mark.parametrize("name", ["_include", "_include:iterate", "_revinclude", "_elements", "_summary"])
def test_what_only_changes_the_form_of_the_answer_is_ignored_unless_strict(name: str) -> None:
    query = parse(f"{name}=text&identifier=a|1")
    assert query.ignored == (name,)
    assert searchset.self_link(query, BASE) == f"{BASE}/Observation?identifier=a%7C1"
    with pytest.raises(InvalidInput, match=name):
        parse(f"{name}=text&identifier=a|1", handling="strict")


def test_the_form_of_the_answer_is_no_search_parameter() -> None:
    assert parse("_format=json&_pretty=true", handling="strict").ignored == ()


def test_links_read_back_as_the_same_search() -> None:
    query = parse(r"identifier=a|1\,2,b c|é&patient=Patient/7&_lastUpdated=ge2024-01-01T00:00:00%2B01:00&_count=5")
    assert parse(urlsplit(searchset.self_link(query, BASE)).query) == query
    following = parse(urlsplit(searchset.next_link(query, BASE, "018f-a_1")).query)
    assert following.cursor == "018f-a_1"
    assert parse(urlsplit(searchset.next_link(following, BASE, "018f-b")).query).cursor == "018f-b"
    further = parse_qsl(urlsplit(searchset.next_link(following, BASE, "x")).query)
    assert [name for name, _ in further].count("_cursor") == 1


@pytest.mark.parametrize(
    ("value", "order"), [("_id", "id"), ("-_id", "-id"), ("_lastUpdated", "seq"), ("-_lastUpdated", "-seq")]
)
def test_the_orders_that_results_come_in(value: str, order: str) -> None:
    query = parse(f"_sort={value}&_count=1", handling="strict")
    assert query.order == order
    following = urlsplit(searchset.next_link(query, BASE, "17")).query
    assert (parse(following).order, parse(following).cursor) == (order, "17")


def matches(number: int) -> list[tuple[str, Any]]:
    return [(str(n), msgspec.Raw(b'{"resourceType":"Observation","id":"%d"}' % n)) for n in range(number)]


def test_a_page_of_several() -> None:
    page = searchset.searchset(parse("_count=2"), matches(2), base=BASE, cursor="1")
    assert page["type"] == "searchset"
    assert "total" not in page
    assert {link["relation"]: link["url"] for link in page["link"]} == {
        "self": f"{BASE}/Observation?_count=2",
        "next": f"{BASE}/Observation?_count=2&_cursor=1",
    }
    read = json.decode(json.encode(page))["entry"][1]
    assert read["fullUrl"] == f"{BASE}/Observation/1"
    assert read["resource"]["id"] == "1"
    assert read["search"] == {"mode": "match"}


def test_the_only_page_tells_the_total() -> None:
    assert searchset.searchset(parse(""), matches(3), base=BASE)["total"] == 3


def test_a_later_page_does_not_guess_the_total() -> None:
    assert "total" not in searchset.searchset(parse("_cursor=1"), matches(3), base=BASE)
    assert searchset.searchset(parse("_cursor=1&_total=accurate"), matches(3), base=BASE, total=7)["total"] == 7


def test_nothing_found_has_no_entry() -> None:
    page = searchset.searchset(parse("identifier=a|1"), [], base=BASE)
    assert page["total"] == 0
    assert "entry" not in page


def test_a_count_has_a_total_and_no_entry() -> None:
    page = searchset.searchset(parse("_count=0"), [], base=BASE, total=12)
    assert (page["total"], "entry" in page) == (12, False)


@pytest.mark.parametrize(
    ("resource", "rows"),
    [
        ({}, []),
        ({"identifier": [{"system": "a", "value": "1"}, {"value": "2"}]}, [("a", "1"), ("", "2")]),
        ({"identifier": [{"system": "a", "value": "1"}, {"system": "a", "value": "1", "use": "old"}]}, [("a", "1")]),
        ({"identifier": {"system": "a", "value": "1"}}, [("a", "1")]),
        ({"identifier": [{"system": "a"}, {"system": "a", "_value": {"extension": []}}, None, "x"]}, []),
    ],
)
def test_index_rows(resource: dict[str, Any], rows: list[tuple[str, str]]) -> None:
    assert search.identifiers_of(resource) == rows
