"""What a C-CDA document states, for `--stats`: its statements and their facts, found without the converter's code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from . import tokens
from .mapping import AUTHORING, HEADER, SKIPPED, Template, elements_of, template_of

XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"

_STATEMENTS = frozenset(
    [
        "act",
        "encounter",
        "observation",
        "observationMedia",
        "organizer",
        "procedure",
        "substanceAdministration",
        "supply",
    ]
)
_TIMES = frozenset(["effectiveTime", "time", "birthTime", "deceasedTime", "low", "high", "center"])
_QUANTITIES = frozenset(
    ["value", "low", "high", "doseQuantity", "rateQuantity", "numerator", "denominator", "quantity", "period"]
)
_PEOPLE = frozenset(["assignedPerson", "relatedPerson", "associatedPerson", "guardianPerson", "informationRecipient"])
_ORGANIZATIONS = frozenset(["representedOrganization", "providerOrganization", "representedCustodianOrganization"])
_NOT_FACTS = frozenset(
    ["templateId", "typeId", "text", "originalText", "qualifier", "statusCode", "signatureCode", "useablePeriod"]
)
_FDA = "2.16.840.1.113883.3.3719"
_FIXED = frozenset(["ASSERTION", "34109-9", "412307009", "PAYOR"])
"""Codes that a template prescribes for all that follow it, and that say no more than the element in which the rest
stands: of an observation whose value says everything, a Note Activity (CF-notes maps its translation alone), the role
of a Drug Vehicle (`ingredient.isActive` false) and of a payer (`payor`)."""

_NONE_KNOWN = {
    "code 55607006": "code 160245001",
    "code 64572001": "code 160245001",
    "code 404684003": "code 160245001",
    "code 282291009": "code 160245001",
    "code 248536006": "code 160245001",
    "code 105590001": "code 716186003",
    "code 410942007": "code 409137002",
}
"""What stands for all problems, substances or drugs: negated it is the code that says that there are none (CF-problems,
CF-allergies)."""

_NOT_PREGNANT = {"code 77386006": "code 60001007"}
"""Of a pregnancy the contrary is a code of its own (US Core Pregnancy Status)."""

_PLACES = frozenset(["streetAddressLine", "city", "state", "postalCode"])


@dataclass(frozen=True, slots=True)
class Fact:
    """One code, quantity, date, id or person, and the elements where the mapping wants it."""

    kind: str
    token: str
    part: str


@dataclass(slots=True)
class Statement:
    """A clinical statement that the mapping makes a resource of; `inner` = facts of the statements that are part of it,
    with their elements."""

    template: Template
    label: str
    negated: bool
    facts: list[Fact] = field(default_factory=list)
    inner: list[tuple[Fact, str]] = field(default_factory=list)


@dataclass(slots=True)
class Document:
    """Everything a document states."""

    statements: list[Statement] = field(default_factory=list)
    header: list[tuple[Fact, tuple[tuple[str, str], ...]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


def read(data: bytes) -> Document:
    """Raises XMLSyntaxError for what is not well-formed."""
    root = etree.fromstring(data, etree.XMLParser(huge_tree=True, remove_comments=True, remove_pis=True))
    found = Document()
    found.header.extend(_header(root))
    for section in root.iter("{*}section"):
        found.words.extend(word for text in section.findall("{*}text") for word in narrative_words(text))
        for entry in section.findall("{*}entry"):
            for child in entry:
                _walk(child, _section_code(section), None, found)
    return found


def narrative_words(element: Any) -> list[str]:
    return " ".join(element.itertext()).split()


def _name(element: Any) -> str:
    return str(etree.QName(element).localname) if isinstance(element.tag, str) else ""


def _section_code(section: Any) -> str:
    code = section.find("{*}code")
    return "" if code is None else code.get("code", "")


def _walk(element: Any, section: str, outer: Statement | None, found: Document) -> None:
    """A statement of its own, a part of the one around it, or a wrapper."""
    name = _name(element)
    if name not in _STATEMENTS or element.get("nullFlavor"):
        return
    template, label = template_of(element, name, section)
    if template.main == SKIPPED:
        return
    statement = outer
    if template.types:
        statement = Statement(template, label, element.get("negationInd") in ("true", "1"))
    for child in element:
        nested = [inner for inner in child if _name(inner) in _STATEMENTS]
        for inner in nested:
            _walk(inner, section, statement, found)
        if not nested:
            _take(child, template, outer, statement)
    if template.types and statement is not None and any(_says(fact) for fact in statement.facts):
        found.statements.append(statement)


def _meant(fact: Fact, own: Statement) -> Fact:
    contrary = _NOT_PREGNANT if own.template.name == "Pregnancy" else _NONE_KNOWN
    if own.negated and fact.part in ("value", "participant") and fact.token in contrary:
        return Fact(fact.kind, contrary[fact.token], fact.part)
    return fact


def _says(fact: Fact) -> bool:
    return fact.kind in ("code", "quantity")


def _take(child: Any, template: Template, outer: Statement | None, own: Statement | None) -> None:
    if template.types and own is not None:
        own.facts.extend(_meant(fact, own) for fact in facts(child, _name(child)))
    elif outer is not None and template.elements and _name(child) in ("value", "participant", "performer"):
        outer.inner.extend((fact, template.elements) for fact in facts(child, _name(child)))


def facts(element: Any, part: str) -> Iterator[Fact]:
    """All that the element and what is in it say; nothing below a nullFlavor."""
    name = _name(element)
    if name in _NOT_FACTS or not name:
        return
    if not element.get("nullFlavor"):
        yield from (Fact(kind, token, part) for kind, token in _own(element, name) if token)
    if name not in ("name", "addr"):
        for child in element:
            yield from facts(child, part)


def _own(element: Any, name: str) -> Iterator[tuple[str, str | None]]:
    written = element.get("value")
    if name in ("id", "setId") and (element.get("extension") or not _numbers(element.get("root", ""))):
        yield "id", tokens.identifier(element.get("extension") or element.get("root"))
    elif name == "telecom" and written:
        yield "person", tokens.telecom(written)
    elif name == "addr":
        yield from (("person", tokens.text(one.text)) for one in element if _name(one) in _PLACES and one.text)
    elif name == "name":
        yield from _named(element)
    elif element.get("code") and element.get("code") not in _FIXED:
        yield "code", tokens.code(element.get("code"))
    elif name == "value" and element.get(XSI_TYPE, "").endswith("ST") and (element.text or "").strip():
        yield "quantity", tokens.text(element.text)
    elif written:
        yield _measured(element, name, written)


def _numbers(root: str) -> bool:
    """Whether a root by itself names nothing but who gives numbers out (HL7's registry of them: NPI, SSN, ...)."""
    return not root or root.startswith("2.16.840.1.113883.4.") or root == _FDA


def _measured(element: Any, name: str, written: str) -> tuple[str, str | None]:
    """A time, or a number with its unit (`1` is none); `low` and `high` are either."""
    outer = element.getparent()
    kind = element.get(XSI_TYPE, "") or outer.get(XSI_TYPE, "")
    measured = element.get("unit") or "PQ" in kind or _name(outer) in _QUANTITIES
    is_time = name in _TIMES and not measured and (name != "value" or "TS" in kind)
    if is_time or (kind.endswith("TS") and name != "period"):
        return "date", tokens.v3_time(written)
    unit = element.get("unit")
    return "quantity", tokens.quantity(written, None if unit == "1" else unit) if name in _QUANTITIES else None


def _named(element: Any) -> Iterator[tuple[str, str | None]]:
    holder = _name(element.getparent())
    if holder in _PEOPLE or holder == "patient":
        parts = [one for one in element if _name(one) in ("given", "family")]
        said = " ".join(" ".join(one.itertext()) for one in parts) if parts else " ".join(element.itertext())
    elif holder in _ORGANIZATIONS:
        said = " ".join(element.itertext())
    else:
        return
    if said.strip():
        yield "person", tokens.person(said)


def _header(root: Any) -> Iterator[tuple[Fact, tuple[tuple[str, str], ...]]]:
    """The facts of the header, each with the types and elements that may hold it."""
    for path, places in HEADER:
        for element in root.iterfind(path):
            for fact in facts(element, _name(element)):
                yield fact, places


def elements_for(statement: Statement, fact: Fact, kind: str) -> str:
    """The elements of a resource of type `kind` in which the fact has to stand."""
    found = elements_of(statement.template.name, kind, fact.part)
    return f"{found} @provenance" if fact.part in AUTHORING else found
