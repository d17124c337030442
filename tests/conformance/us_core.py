"""US Core 3.1.1 and 6.1.0 as tables, and a checker that reads them; it shares nothing with the translator.

Written after the published profiles (hl7.org/fhir/us/core). A path of a table asks for its last step in every place
where there is what stands before it: `identifier.system` asks every identifier for its system. `a|b` asks for one of
them. A name stands for the element, its `_` twin with the reason for its absence, and the types of a choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Resource = dict[str, Any]
Rule = Callable[[Resource], Iterator[str]]

CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
ABSENT_CODES = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
CONDITION_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"


@dataclass(frozen=True, slots=True)
class Profile:
    """`name` is the end of its canonical; `mandatory` and `rules` unite what both versions ask for, so that a resource
    that meets them meets either. `strict` is what some document cannot give: it is asked of those that claim to."""

    name: str
    mandatory: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    strict: tuple[Rule, ...] = ()

    @property
    def url(self) -> str:
        return CORE + self.name


def is_absent(value: Any) -> bool:
    """Whether it only says why there is nothing."""
    return isinstance(value, dict) and any(one.get("url") == ABSENT for one in value.get("extension", ()))


def items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def named(holder: Resource, name: str) -> list[Any]:
    """What stands under that name, its twin or a type of the choice."""
    keys = [key for key in holder if key.lstrip("_") == name or _is_choice(key.lstrip("_"), name)]
    return [one for key in keys for one in items(holder[key])]


def _is_choice(key: str, name: str) -> bool:
    return key.startswith(name) and key[len(name) :][:1].isupper() and name in _CHOICES


_CHOICES = frozenset(["value", "effective", "occurrence", "performed", "medication", "onset", "deceased", "due"])


def missing(resource: Resource, path: str) -> Iterator[str]:
    """The places where the last step of the path is not there."""
    head, _, rest = path.partition(".")
    found = [one for name in head.split("|") for one in named(resource, name)]
    if not rest and not found:
        yield path
    for one in found if rest else ():
        if isinstance(one, dict) and not (set(one) == {"extension"} and is_absent(one)):
            yield from (f"{head}.{fault}" for fault in missing(one, rest))


def codings(concept: Any) -> set[tuple[str | None, str | None]]:
    held = concept.get("coding", ()) if isinstance(concept, dict) else ()
    return {(one.get("system"), one.get("code")) for one in held}


def categories(resource: Resource) -> set[str | None]:
    """The codes of all categories."""
    return {code for one in resource.get("category", ()) for _, code in codings(one)}


def faults(resource: Resource, profile: Profile, *, claimed: bool = False) -> list[str]:
    """What the profile asks for and the resource has not; empty when it meets it."""
    found = [f"{fault} is missing" for path in profile.mandatory for fault in missing(resource, path)]
    rules = (*profile.rules, *profile.strict) if claimed else profile.rules
    found += [fault for rule in rules for fault in rule(resource)]
    return [f"{resource['resourceType']}/{resource.get('id')} {profile.name}: {fault}" for fault in found]


def one_of(name: str, *codes: str) -> Rule:
    """A code with a required binding: no reason for its absence can stand in for it."""

    def rule(resource: Resource) -> Iterator[str]:
        if resource.get(name) not in codes:
            yield f"{name} is none of {', '.join(codes)}"

    return rule


def told(name: str) -> Rule:
    """A code that the resource itself lists: the gate knows the list, only the absence is left to see."""

    def rule(resource: Resource) -> Iterator[str]:
        if name not in resource:
            yield f"{name} is not told"

    return rule


def categorized(*codes: str, system: str = OBSERVATION_CATEGORY) -> Rule:
    """One of these categories is there (a slice with min 1)."""

    def rule(resource: Resource) -> Iterator[str]:
        said = {one for concept in resource.get("category", ()) for one in codings(concept)}
        if said.isdisjoint((system, code) for code in codes):
            yield f"category is none of {', '.join(codes)}"

    return rule


def coded(system: str, *codes: str) -> Rule:
    """The code is one of these (a fixed or required one)."""

    def rule(resource: Resource) -> Iterator[str]:
        if codings(resource.get("code")).isdisjoint((system, code) for code in codes):
            yield f"code is none of {', '.join(codes)}"

    return rule


def bound(name: str, system: str, codes: str) -> Rule:
    """A concept whose code is required to be one of the list, where the concept is there."""

    def rule(resource: Resource) -> Iterator[str]:
        said = codings(resource[name]) if name in resource else None
        if said is not None and said.isdisjoint((system, code) for code in codes.split()):
            yield f"{name} is none of {codes}"

    return rule


def invariant(key: str, holds: Callable[[Resource], bool]) -> Rule:
    def rule(resource: Resource) -> Iterator[str]:
        if not holds(resource):
            yield key

    return rule
