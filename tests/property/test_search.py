"""Search and times over arbitrary text: InvalidInput or a query that its own link gives back."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidInput
from gateway.fhir import condition, search, searchset, times
from gateway.fhir.tokens import Token, tokens

BASE = "https://gateway.example/fhir"
names = st.sampled_from(
    [
        "_id",
        "identifier",
        "patient",
        "subject",
        "_lastUpdated",
        "_count",
        "_total",
        "_cursor",
        "_sort",
        "code",
        "_include",
    ]
)
values = st.text(max_size=12) | st.sampled_from(
    ["a|1", "2024", "ge2024-02", "Patient/1", "5", "_id", "-_lastUpdated", "a\\,b|c"]
)
pairs = st.lists(st.tuples(names, values).map(lambda pair: f"{pair[0]}={quote(pair[1])}"), max_size=4).map("&".join)


kinds = st.sampled_from(["Patient", "Observation", "Immunization", "Nonsense"])
handlings: st.SearchStrategy[search.Handling] = st.sampled_from(["strict", "lenient", None])


@given(st.text() | pairs, kinds, handlings)
def test_a_query_is_refused_or_its_self_link_says_the_same(query: str, kind: str, handling: search.Handling) -> None:
    try:
        found = search.parse(kind, query, base=BASE, handling=handling)
    except InvalidInput:
        return
    assert search.parse(kind, urlsplit(searchset.self_link(found, BASE)).query, base=BASE, handling="strict") == found


@given(st.text() | pairs)
def test_a_condition_is_refused_or_names_one_identifier(query: str) -> None:
    try:
        found = condition.parse("Patient", query)
    except InvalidInput:
        return
    assert found.value


plain = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10)


@given(plain, plain)
def test_any_identifier_can_be_asked_for(system: str, value: str) -> None:
    escaped = "|".join(part.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|") for part in (system, value))
    found = tokens("identifier", escaped)
    assert found == (Token(system, value),)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        covered = times.parse(text)
    except InvalidInput:
        return
    assert covered.start < covered.end


@given(st.datetimes(timezones=st.timezones(), min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 28)))
def test_an_instant_reads_back_exactly(at: datetime) -> None:
    assert times.from_instant(times.to_instant(at)) == at.astimezone(UTC)


@given(
    st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9999, 12, 28)),
    st.sampled_from(["%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%SZ"]),
)
def test_a_partial_time_covers_the_moment_it_was_cut_from(at: datetime, form: str) -> None:
    covered = times.parse(at.strftime(form))
    assert covered.start <= at.replace(tzinfo=UTC) < covered.end


@given(st.text(alphabet="ab=&+%24C3A9é", max_size=20))
def test_a_query_string_is_read_as_everybody_reads_it(query: str) -> None:
    try:
        expected = parse_qsl(query, keep_blank_values=True, errors="strict")
    except ValueError:
        expected = None
    try:
        assert search.unquote(query) == expected
    except InvalidInput:
        assert expected is None
