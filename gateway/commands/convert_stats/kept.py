"""Kept and lost: every fact of a document, looked for in the element that the mapping names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree

from gateway.fhir.json import Resource

from .invented import invented
from .output import Output, Said, holds
from .source import Document, Statement, elements_for, narrative_words

KINDS = ("statement", "fallback", "code", "quantity", "date", "id", "person", "narrative", "negation")
_NEGATED = {
    "Immunization": ("status", frozenset(["not-done"])),
    "Procedure": ("status", frozenset(["not-done"])),
    "MedicationAdministration": ("status", frozenset(["not-done"])),
    "MedicationStatement": ("status", frozenset(["not-taken"])),
    "MedicationRequest": ("doNotPerform", frozenset(["True"])),
    "ServiceRequest": ("doNotPerform", frozenset(["True"])),
}
_NO_RISK = "code no-known-reaction-risk"
"""How HL7's mapping says that somebody is not allergic to a substance (CF-allergies)."""


@dataclass(slots=True)
class Measure:
    """Kept and seen by kind, and what was lost by template and part."""

    kept: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    invented: Counter[str] = field(default_factory=Counter)

    def count(self, kind: str, is_kept: bool, label: str, part: str) -> None:
        self.seen[kind] += 1
        if is_kept:
            self.kept[kind] += 1
        else:
            self.lost[label, f"{part} ({kind})"] += 1

    def add(self, other: Measure) -> None:
        for mine, theirs in (
            (self.kept, other.kept),
            (self.seen, other.seen),
            (self.invented, other.invented),
        ):
            mine.update(theirs)
        self.lost.update(other.lost)


def measure(document: Document, bundle: Resource, data: bytes) -> Measure:
    """What of the document the Bundle kept, and what it says that no document said."""
    found, output = Measure(), Output(bundle)
    for statement in document.statements:
        _statement(statement, output, found)
    for fact, places in document.header:
        kept = any(
            holds(said, fact.token, elements) for kind, elements in places for said in output.types.get(kind, ())
        )
        found.count(fact.kind, kept, "header", fact.part)
    _narrative(document.words, bundle, found)
    found.invented.update(invented(data, bundle))
    return found


def _statement(statement: Statement, output: Output, found: Measure) -> None:
    """Against the one resource that says what it is, and holds most of it. What became no resource at all is lost, but
    nobody reads the opposite of what was said."""
    best: tuple[tuple[bool, int, bool], list[bool], str, Said] | None = None
    for kind, said in _candidates(statement, output):
        held = [*_held(statement, kind, said)]
        rank = (_main(statement, held), sum(held), _is_negated(kind, said) == statement.negated)
        if best is None or rank > best[0]:
            best = (rank, held, kind, said)
    facts = [*statement.facts, *(fact for fact, _ in statement.inner)]
    if not statement.template.name:
        found.seen["fallback"] += 1
        found.kept["fallback"] += best is not None
        best = None
    held = best[1] if best else [False] * len(facts)
    for fact, kept in zip(facts, held, strict=True):
        found.count(fact.kind, kept, statement.label, fact.part)
    kept = bool(best) and any(held) and _main(statement, held)
    found.count("statement", kept, statement.label, "")
    if statement.negated:
        kept = best is None or not _is_itself(statement, held) or _is_negated(best[2], best[3])
        found.count("negation", kept, statement.label, "negationInd")


def _is_itself(statement: Statement, held: list[bool]) -> bool:
    """Whether the resource is made of it, not of another that says the same of somebody or something else: of what has
    ids it has one."""
    ids = [kept for fact, kept in zip(statement.facts, held, strict=False) if fact.kind == "id" and fact.part == "id"]
    return any(ids) or not ids


def _candidates(statement: Statement, output: Output) -> Iterator[tuple[str, Said]]:
    """Resources of the right types that share at least a token with the statement; a date where nothing else is."""
    seen: set[int] = set()
    for told in (("id", "code", "quantity"), ("date",)):
        for kind in statement.template.types:
            for fact in statement.facts:
                if fact.kind in told:
                    for said in output.tokens.get((kind, fact.token), ()):
                        if id(said) not in seen:
                            seen.add(id(said))
                            yield kind, said
        if seen:
            return


def _held(statement: Statement, kind: str, said: Said) -> Iterator[bool]:
    for fact in statement.facts:
        yield holds(said, fact.token, elements_for(statement, fact, kind))
    for fact, elements in statement.inner:
        yield holds(said, fact.token, elements)


def _main(statement: Statement, held: list[bool]) -> bool:
    """What says what it is stands there; where that part says nothing, any fact does."""
    main = [
        kept
        for fact, kept in zip(statement.facts, held, strict=False)
        if fact.part == statement.template.main and fact.kind in ("code", "quantity")
    ]
    return any(main) if main else any(held)


def _is_negated(kind: str, said: Said) -> bool:
    name, codes = _NEGATED.get(kind, ("verificationStatus", frozenset(["refuted"])))
    texts = said.get(name, frozenset())
    if name == "doNotPerform":
        return bool(texts)
    if any(f"text {code.replace('-', ' ')}" in texts for code in codes):
        return True
    if _NO_RISK in said.get("extension", ()):
        return True
    words = (*said.get("code", ()), *said.get("valueCodeableConcept", ()))
    return any(token.startswith(("text no ", "text not ")) for token in words)


def _narrative(words: list[str], bundle: Resource, found: Measure) -> None:
    """Word by word, as often as each was said."""
    said: Counter[str] = Counter()
    for div in _divs(bundle):
        said.update(narrative_words(etree.fromstring(f"<x>{div}</x>")))
    wanted = Counter(words)
    found.seen["narrative"] += len(words)
    found.kept["narrative"] += sum(min(count, said[word]) for word, count in wanted.items())


def _divs(bundle: Resource) -> Iterator[str]:
    for entry in bundle.get("entry", ()):
        if entry["resource"]["resourceType"] == "Composition":
            yield from _section_divs(entry["resource"])


def _section_divs(holder: Resource) -> Iterator[str]:
    for section in holder.get("section", ()):
        if "text" in section:
            yield section["text"]["div"]
        yield from _section_divs(section)
