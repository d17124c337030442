"""When two Patients contradict each other."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.identity.agree import agrees, may_be_relatives


def patient(*names: Any, born: Any = None) -> dict[str, Any]:
    body: dict[str, Any] = {"resourceType": "Patient", "name": [_name(name) for name in names]}
    return body | ({"birthDate": born} if born else {})


def _name(name: Any) -> Any:
    if not isinstance(name, tuple):
        return {"text": name} if isinstance(name, str) else name
    family, *given = name
    return {**({"family": family} if family else {}), **({"given": given} if given else {})}


ADA = ("Lovelace", "Ada", "King")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (ADA, ("lovelace", "ADA")),
        (("Müller", "José"), ("MULLER", "Jose")),
        (("O'Brien", "Jean-Luc"), ("OBRIEN", "Jean Luc")),
        (("Sørensen", "Łukasz"), ("Sorensen", "Lukasz")),
        (("Weiß", "Ann"), ("WEISS", "Anna")),
        (("Lovelace", "A."), ("Lovelace", "Ada")),
        (("Иванов", "Пётр"), ("ИВАНОВ", "Петр")),
        (("مُحَمَّد", "علي"), ("محمد", "علي")),
        (("शर्मा", "रीमा"), ("शर्मा", "रीमा")),
        (("Sukarno",), ("sukarno",)),
        (ADA, "Ada Lovelace"),
        (ADA, "Lovelace, Ada King"),
        ("Sukarno", ("Sukarno",)),
    ],
)
def test_names_that_are_equal(a: Any, b: Any) -> None:
    assert agrees(patient(a), patient(b)).name == "equal"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (ADA, ("Lovelace", "Anne")),
        (ADA, ("Byron", "Ada")),
        (ADA, ("Lovelac", "Ada")),
        (("Lovelace",), ("Byron",)),
        (("शर्मा", "राम"), ("शर्मा", "रीमा")),
        (("さとう", "かな"), ("さとう", "がな")),
        ((None, "Ada"), (None, "Anne")),
        ((None, "Ada"), ("Lovelace", "Anne")),
        (("Lovelace", "King", "Ada"), ("Lovelace", "Ada", "King")),
    ],
)
def test_names_that_differ(a: Any, b: Any) -> None:
    assert agrees(patient(a), patient(b)).name == "differs"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (ADA, ("Lovelace",)),
        (ADA, (None, "Ada")),
        (("Lovelace",), (None, "Ada")),
        (ADA, {"use": "official"}),
        (ADA, {"use": "anonymous", "family": "Byron", "given": ["Ada"]}),
        (ADA, ("Baby Girl",)),
        (ADA, ("UNKNOWN", "Unknown")),
        (ADA, ("Doe", "John")),
        (ADA, ("Lovelace", "Baby Girl")),
        (("Test", "Patient"), ("Test", "Patient")),
        (("Lovelace", "Baby Girl"), ("Lovelace", "Baby Boy")),
        (("Lovelace", "Baby", "A"), ("Lovelace", "Baby", "B")),
        (("Lovelace", "Unknown"), ("Lovelace",)),
    ],
)
def test_names_that_one_side_lacks(a: Any, b: Any) -> None:
    assert agrees(patient(a), patient(b)).name == "lacking"


def test_any_of_several_names_may_agree() -> None:
    married = patient(("King", "Ada"), ("Byron", "Ada"))
    assert agrees(married, patient(("Byron", "Ada"))).name == "equal"
    assert agrees(married, patient(("Lovelace", "Ada"))).name == "differs"
    assert agrees(patient(), patient(ADA)).name == "lacking"


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("1980-02-22", "1980-02-22", "equal"),
        ("1980", "1980-02-22", "equal"),
        ("1980-02-22", "1980-02", "equal"),
        ("1980-02-22", "1980-02-23", "differs"),
        ("1980-03", "1980-02-22", "differs"),
        ("1980-02-22", None, "lacking"),
        ("1980-02-22", "1900-01-01", "lacking"),
        ("1900-01-01", "1900-01-01", "lacking"),
        ("1980-02-22", "22.2.1980", "lacking"),
        (None, None, "lacking"),
    ],
)
def test_birth_dates(a: str | None, b: str | None, expected: str) -> None:
    assert agrees(patient(born=a), patient(born=b)).birth_date == expected


SAME, OTHER, NONE = ADA, ("Byron", "Anne"), None
DAY, ANOTHER = "1815-12-10", "1992-01-22"


@pytest.mark.parametrize(
    ("name", "born", "ok", "full"),
    [
        (SAME, DAY, True, True),
        (SAME, ANOTHER, True, False),
        (OTHER, DAY, True, False),
        (SAME, None, True, False),
        (NONE, DAY, True, False),
        (NONE, None, True, False),
        (OTHER, ANOTHER, False, False),
        (OTHER, None, False, False),
        (NONE, ANOTHER, False, False),
    ],
)
def test_the_rule(name: Any, born: str | None, ok: bool, full: bool) -> None:
    """A part that one side lacks counts as agreeing only if the other part agrees or is lacking too."""
    agreement = agrees(patient(ADA, born=DAY), patient(*([name] if name else []), born=born))
    assert (agreement.ok, agreement.full) == (ok, full)


@pytest.mark.parametrize(
    ("ours", "theirs", "equal"),
    [
        (["Sr."], ["Jr."], False),
        (["Jr"], ["MD", "III"], False),
        (["Jr"], ["II"], True),
        (["Sr"], ["PhD"], True),
        (3, [None], True),
    ],
)
def test_father_and_son_of_one_name_are_told_apart_by_its_suffix(ours: Any, theirs: Any, equal: bool) -> None:
    one, other = (
        patient({"family": "Lovelace", "given": ["King"], "suffix": suffix}, born=DAY) for suffix in (ours, theirs)
    )
    assert agrees(one, other).name == ("equal" if equal else "differs")
    assert may_be_relatives(one, other) is not equal


def test_a_father_does_not_become_his_child_by_the_family_name_alone() -> None:
    agreement = agrees(patient(("Lovelace", "William"), born="1805-02-21"), patient(("Lovelace",), born="1836-05-12"))
    assert not agreement.ok


@pytest.mark.parametrize(
    "name", [None, "x", 3, {"family": "x"}, [None, 3, "x", {"family": 3, "given": "Ada"}, {"text": []}]]
)
def test_what_is_no_name_is_lacking(name: Any) -> None:
    assert agrees({"name": name, "birthDate": 1980}, patient(ADA)).name == "lacking"


@pytest.mark.parametrize(
    ("given", "family", "born", "relatives"),
    [
        ("Ada", "Quill", "1990-12-10", False),
        ("Ada", "Married", "1990-12-10", False),
        ("Ada Maria", "Quill", "1990-12-10", False),
        ("Bea", "Quill", "1990-12-10", True),
        ("Ada", "Quill", "1960-01-02", True),
        ("Baby Girl", "Quill", "1990-12-10", True),
    ],
)
def test_who_may_share_a_familys_number(given: str, family: str, born: str, relatives: bool) -> None:
    ada = {"name": [{"family": "Quill", "given": ["Ada"]}], "birthDate": "1990-12-10"}
    other = {"name": [{"family": family, "given": [given]}], "birthDate": born}
    assert may_be_relatives(ada, other) is may_be_relatives(other, ada) is relatives
