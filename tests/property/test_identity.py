"""Identity decisions over arbitrary Patients: symmetric, independent of order, never an exception."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.agree import agrees
from gateway.identity.keys import key_identifiers, key_systems, normal_system, normal_value, other_identifiers
from gateway.identity.resolve import RULES, Ambiguous, Candidate, Held, Matched, New, Via, decide

OURS, MRN = "https://gateway.example/fhir/Patient", "http://mrn.example"
SYSTEMS = key_systems(OURS, [MRN])

words = st.sampled_from(["Ada", "Ad", "Anne", "Müller", "MULLER", "Byron", "Unknown", "Baby", "", "A.", "Łukasz"])
dates = st.sampled_from(["1980", "1980-02", "1980-02-22", "1981-02-22", "1900-01-01", "", "x"])
names = st.fixed_dictionaries(
    {}, optional={"family": words, "given": st.lists(words, max_size=2), "text": words, "use": st.just("official")}
)
patients = st.fixed_dictionaries({}, optional={"name": st.lists(names, max_size=3), "birthDate": dates})
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["old", MRN, "ada@x.org"])
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner), max_leaves=8
)
hostile = st.fixed_dictionaries(
    {},
    optional={
        "name": anything
        | st.lists(st.fixed_dictionaries({}, optional={"family": anything, "given": anything, "text": anything})),
        "birthDate": anything,
        "identifier": anything
        | st.lists(
            st.fixed_dictionaries(
                {}, optional={"system": anything, "value": anything, "type": anything, "use": anything}
            )
        ),
    },
)
ways = st.lists(st.builds(Via, st.sampled_from(RULES), st.sampled_from("ab"), st.sampled_from("12")), max_size=3)
candidates = st.dictionaries(
    st.integers(1, 5), st.builds(lambda body, via: Candidate(body, tuple(via)), patients, ways), max_size=4
)


@given(patients, patients)
def test_agreement_is_the_same_both_ways_round(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert agrees(a, b) == agrees(b, a)


@given(patients)
def test_nobody_contradicts_himself(a: dict[str, Any]) -> None:
    assert agrees(a, a).ok


@given(patients, patients, st.lists(names, max_size=2))
def test_one_more_name_never_makes_an_agreement_a_contradiction(
    a: dict[str, Any], b: dict[str, Any], more: list[dict[str, Any]]
) -> None:
    if agrees(a, b).name == "equal":
        assert agrees({**a, "name": [*a["name"], *more]}, b).name == "equal"


@given(hostile, hostile)
def test_hostile_bodies_raise_nothing_and_stay_untouched(a: dict[str, Any], b: dict[str, Any]) -> None:
    before = copy.deepcopy(a)
    agrees(a, b)
    keys = key_identifiers(a, SYSTEMS)
    assert all(system in SYSTEMS and value for system, value in keys)
    assert not {normal_system(system) for system, _ in other_identifiers(a, SYSTEMS)} & SYSTEMS.listed
    assert a == before


@given(candidates, patients, st.randoms())
def test_a_decision_does_not_depend_on_the_order_of_candidates(
    found: dict[int, Candidate], incoming: dict[str, Any], random: Any
) -> None:
    order = list(found)
    random.shuffle(order)
    shuffled = {rid: Candidate(found[rid].body, tuple(reversed(found[rid].via))) for rid in order}
    assert decide(shuffled, incoming) == decide(found, incoming)


@given(candidates, patients)
def test_only_who_was_named_is_matched_and_never_against_everything(
    found: dict[int, Candidate], incoming: dict[str, Any]
) -> None:
    decision = decide(found, incoming)
    if isinstance(decision, Matched):
        candidate = found[decision.rid]
        assert decision.reason.via and set(decision.reason.via) <= set(candidate.via)
        assert agrees(candidate.body, incoming).ok or candidate.ways("condition")
    elif isinstance(decision, Held):
        assert not agrees(found[decision.rid].body, incoming).ok
    elif isinstance(decision, Ambiguous):
        assert len(decision.rids) > 1
    else:
        assert decision == New()
        assert not any(candidate.ways(rule) for candidate in found.values() for rule in RULES[:3])


@given(st.text())
def test_normal_forms_are_stable(text: str) -> None:
    assert normal_system(normal_system(text)) == normal_system(text)
    assert normal_value(normal_value(text)) == normal_value(text)
