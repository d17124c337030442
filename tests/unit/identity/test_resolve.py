"""One decision out of the resources that an incoming Patient's identifiers name."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.identity.resolve import RULES, Ambiguous, Candidate, Held, Matched, New, Rule, Via, decide

MRN = "http://mrn.example"


def patient(family: str, given: str, born: str | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {"resourceType": "Patient", "name": [{"family": family, "given": [given]}]}
    return body | ({"birthDate": born} if born else {})


ADA = patient("Lovelace", "Ada", "1815-12-10")
MARY = patient("Somerville", "Mary", "1780-12-26")


def found(body: dict[str, Any], *rules: Rule) -> Candidate:
    return Candidate(body, tuple(Via(rule, MRN, "7") for rule in rules))


def test_nobody_is_new() -> None:
    assert decide({}, ADA) == New()
    assert decide({1: Candidate(ADA, ())}, ADA) == New()


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_finds_who_agrees_and_says_why(rule: Rule) -> None:
    decision = decide({1: found(ADA, rule)}, ADA)
    assert isinstance(decision, Matched)
    assert decision.rid == 1
    assert decision.reason.to_json() == {
        "rule": rule,
        "identifiers": [{"system": MRN, "value": "7"}],
        "name": "equal",
        "birthDate": "equal",
    }


@pytest.mark.parametrize("rule", ["record", "key"])
def test_a_contradiction_is_held(rule: Rule) -> None:
    decision = decide({1: found(ADA, rule)}, MARY)
    assert isinstance(decision, Held)
    assert (decision.rid, decision.reason.rule) == (1, rule)
    assert (decision.reason.agreement.name, decision.reason.agreement.birth_date) == ("differs", "differs")


def test_the_callers_own_condition_decides_even_against_name_and_birth_date() -> None:
    assert isinstance(decide({1: found(ADA, "condition")}, MARY), Matched)
    assert isinstance(decide({1: found(ADA, "record", "condition")}, MARY), Matched)


def test_an_unlisted_system_needs_name_and_birth_date() -> None:
    assert isinstance(decide({1: found(ADA, "unlisted")}, ADA), Matched)
    for other in (
        patient("Lovelace", "Ada"),
        patient("Lovelace", "Ada", "1816-12-10"),
        patient("King", "Ada", "1815-12-10"),
    ):
        assert decide({1: found(ADA, "unlisted")}, other) == New()


def test_an_unlisted_system_does_not_make_it_ambiguous_for_another_person() -> None:
    decision = decide({1: found(ADA, "unlisted"), 2: found(MARY, "unlisted")}, ADA)
    assert isinstance(decision, Matched)
    assert decision.rid == 1


@pytest.mark.parametrize("rule", ["condition", "key", "unlisted"])
def test_several_patients_are_ambiguous(rule: Rule) -> None:
    decision = decide({2: found(ADA, rule), 1: found(ADA, rule)}, ADA)
    assert isinstance(decision, Ambiguous)
    assert decision.rids == (1, 2)
    assert {reason.rule for reason in decision.reasons.values()} == {rule}


def test_keys_of_two_patients_are_ambiguous_though_one_of_them_contradicts() -> None:
    assert isinstance(decide({1: found(ADA, "key"), 2: found(MARY, "key")}, ADA), Ambiguous)


def test_the_earlier_rule_decides() -> None:
    everybody = {position: found(ADA, rule) for position, rule in enumerate(RULES)}
    for position, rule in enumerate(RULES):
        decision = decide(everybody, ADA)
        assert isinstance(decision, Matched)
        assert (decision.rid, decision.reason.rule) == (position, rule)
        del everybody[position]


def test_a_linked_record_that_contradicts_is_held_and_never_moves_to_another_patient() -> None:
    decision = decide({1: found(ADA, "record"), 2: found(MARY, "key")}, MARY)
    assert isinstance(decision, Held)
    assert decision.rid == 1


def test_every_identifier_that_named_it_is_in_the_reason() -> None:
    ways = (Via("key", MRN, "8"), Via("key", MRN, "7"), Via("unlisted", "x", "1"))
    decision = decide({1: Candidate(ADA, ways)}, ADA)
    assert isinstance(decision, Matched)
    assert decision.reason.via == (Via("key", MRN, "7"), Via("key", MRN, "8"))
