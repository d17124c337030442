"""Agree: do two Patients contradict each other in name and birth date?

An identifier alone joins nobody: a typed-over record number and a shared card are the usual false merge.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from gateway.fhir.json import Json, Resource

Verdict = Literal["equal", "lacking", "differs"]

# fmt: off
PLACEHOLDER_NAMES = frozenset({
    "unknown", "unk", "test", "testing", "testpatient", "patient", "anonymous", "anon", "nobody", "none", "noname",
    "nolastname", "nofirstname", "na", "null", "baby", "babyboy", "babygirl", "boy", "girl", "newborn", "infant",
    "johndoe", "janedoe",
})
# fmt: on
PLACEHOLDER_DATES = frozenset({"0001-01-01", "1800-01-01", "1900-01-01", "1900-01", "1900", "9999-12-31", "2999-12-31"})

_GENERATIONS = {
    **dict.fromkeys(("sr", "senior"), "first"),
    **dict.fromkeys(("jr", "junior", "ii", "2nd"), "second"),
    **dict.fromkeys(("iii", "3rd"), "third"),
    **dict.fromkeys(("iv", "4th"), "fourth"),
}
"""What tells a father from his son of the same name."""

_MOST_NAMES = 50

_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"})
_DATE = re.compile(r"\d{4}(?:-\d\d(?:-\d\d)?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two Patients compare: `ok` = nothing speaks against one person."""

    name: Verdict
    birth_date: Verdict

    @property
    def ok(self) -> bool:
        """One part agrees, or both are lacking: what one side lacks is no agreement while the other part differs."""
        return "equal" in (self.name, self.birth_date) or self.name == self.birth_date == "lacking"

    @property
    def full(self) -> bool:
        """Both are there and agree: what an identifier of a system that nobody listed needs."""
        return self.name == self.birth_date == "equal"


class Name(NamedTuple):
    """A folded HumanName; an empty part is lacking. `unnamed`: a placeholder stands for the given name ("Baby Girl"),
    so that it is not known, which is something else than having none. `generation`: which of several of that name."""

    family: str
    given: str
    unnamed: bool = False
    generation: str = ""


def agrees(a: Resource, b: Resource) -> Agreement:
    """The comparison of two Patient bodies; the same both ways round."""
    return Agreement(_compare_names(a, b), compare_dates(a.get("birthDate"), b.get("birthDate")))


def may_be_relatives(a: Resource, b: Resource) -> bool:
    """Whether two who share a number may be two of one family: born on different days, or of different given names. A
    changed family name alone is no sign of it, but that one has no name yet is: newborn twins share all the rest."""
    if compare_dates(a.get("birthDate"), b.get("birthDate")) == "differs":
        return True
    pairs = [(one, other) for one in _some_names(a) for other in _some_names(b)]
    return bool(pairs) and not any(_may_be_one_given(*pair) for pair in pairs)


def _may_be_one_given(a: Name, b: Name) -> bool:
    return not (a.unnamed or b.unnamed or _are_generations(a, b)) and _begins(a.given, b.given)


def _compare_names(a: Resource, b: Resource) -> Verdict:
    """Any of several names may agree; of very many the first ones count, as each is compared with each."""
    ours, theirs = _some_names(a), _some_names(b)
    verdicts = {compare_names(one, other) for one in ours for other in theirs}
    return next((verdict for verdict in ("equal", "lacking", "differs") if verdict in verdicts), "lacking")


def compare_names(a: Name, b: Name) -> Verdict:
    """Equal = the same family and one given name the beginning of the other, or two people known by one name only."""
    if _are_generations(a, b) or (a.family and b.family and a.family != b.family) or not _begins(a.given, b.given):
        return "differs"
    if not (a.family and b.family) or a.unnamed or b.unnamed:
        return "lacking"
    return "equal" if bool(a.given) == bool(b.given) else "lacking"


def _are_generations(a: Name, b: Name) -> bool:
    return bool(a.generation and b.generation) and a.generation != b.generation


def _begins(a: str, b: str) -> bool:
    return not (a and b) or a.startswith(b) or b.startswith(a)


def compare_dates(a: Json, b: Json) -> Verdict:
    """Partial dates agree as far as they go: `1980` with `1980-02-22`."""
    if not (_is_date(a) and _is_date(b)):
        return "lacking"
    return "equal" if a.startswith(b) or b.startswith(a) else "differs"


def _is_date(value: Json) -> bool:
    return isinstance(value, str) and bool(_DATE.fullmatch(value)) and value not in PLACEHOLDER_DATES


def _some_names(patient: Resource) -> list[Name]:
    return list(islice(dict.fromkeys(names(patient)), _MOST_NAMES))


def names(patient: Resource) -> Iterator[Name]:
    """The folded names of a Patient that say something; placeholders ("Baby Girl", "Unknown") do not."""
    listed = patient.get("name")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and one.get("use") != "anonymous":
            name = _name(one)
            if name.family or name.given:
                yield name


def _name(human_name: dict[str, Json]) -> Name:
    family, given = human_name.get("family"), human_name.get("given")
    first = next((one for one in given if isinstance(one, str)), "") if isinstance(given, list) else ""
    if not family and not first:
        family, first = _from_text(human_name.get("text"))
    return _known(Name(fold(family), fold(first), generation=_generation(human_name.get("suffix"))))


def _generation(suffixes: Json) -> str:
    listed = suffixes if isinstance(suffixes, list) else ()
    return next((found for one in listed if (found := _GENERATIONS.get(fold(one)))), "")


def _known(name: Name) -> Name:
    if name.family + name.given in PLACEHOLDER_NAMES or name.given + name.family in PLACEHOLDER_NAMES:
        return Name("", "")
    family, given = ("" if part in PLACEHOLDER_NAMES else part for part in (name.family, name.given))
    return name._replace(family=family, given=given, unnamed=given != name.given)


def _from_text(text: Json) -> tuple[str, str]:
    """(family, given) of a name that is text only: `Lovelace, Ada` or `Ada Lovelace`; one word is a family name."""
    words = text.split() if isinstance(text, str) else []
    if not words:
        return "", ""
    if any("," in word for word in words):
        family, _, rest = " ".join(words).partition(",")
        return family, next(iter(rest.split()), "")
    return words[-1], words[0] if len(words) > 1 else ""


def fold(text: Json) -> str:
    """Letters and digits only, without case and accents: `O'Brien-Müller` is `obrienmuller`. The vowel signs of India
    and the voicing marks of Japan are no accents: without them the names of two people would be one."""
    if not isinstance(text, str):
        return ""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return "".join(char for char in plain if char.isalnum() or _is_vowel_sign(char))


def _is_vowel_sign(char: str) -> bool:
    """A mark that belongs to its letter: those of Latin, Greek, Cyrillic, Hebrew and Arabic come before U+0900."""
    return char >= "\u0900" and unicodedata.category(char).startswith("M")
