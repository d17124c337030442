"""What many entries have alike: comments, status observations, indications (C-CDA R2.1 §3)."""

from __future__ import annotations

from collections.abc import Iterator

from .codes import CONCEPTS, Concept
from .context import Context, Reference
from .node import Element, Node
from .people import agent, fits
from .values import Value, codeable, coding, kept, resolved, typed

STATUS = "33999-4"
SEVERITY = "SEV"
CRITICALITY = "82606-5"
COMMENT = "48767-8"

_CODED = frozenset(["CD", "CE", "CV", "CO", "CS", "BL"])


def related(node: Node) -> list[tuple[Node, Node]]:
    """Every `entryRelationship` with the statement it holds."""
    found = []
    for relationship in node.nodes("entryRelationship"):
        statement = relationship.statement()
        if statement is not None:
            found.append((relationship, statement))
    return found


def is_kind(statement: Node, code: str, *templates: str) -> bool:
    """By its code, as older documents have other templates; by its templates, as some have another code."""
    if statement.attribute("code", "code") == code:
        return True
    return any(root in templates for root in statement.templates())


def value_code(statement: Node) -> str | None:
    return statement.attribute("value", "code")


def mapped(table: str, code: str | None) -> Concept | None:
    return CONCEPTS[table].get(code) if code else None


def notes(relations: list[tuple[Node, Node]], ctx: Context) -> list[Value]:
    """Comment Activities -> Annotation."""
    return [
        note
        for _, act in relations
        if is_kind(act, COMMENT, "2.16.840.1.113883.10.20.22.4.64", "2.16.840.1.113883.10.20.1.40")
        if (note := _note(act, ctx))
    ]


def _note(act: Node, ctx: Context) -> Value | None:
    text = resolved(act.first("text"), ctx)
    if not text:
        return None
    author = act.node("author")
    by = fits(agent(author.node("assignedAuthor"), ctx), "Practitioner", "Patient", "Organization") if author else None
    return kept({"authorReference": by, "time": ctx.moment(author.first("time")) if author else None, "text": text})


def reasons(relations: list[tuple[Node, Node]], ctx: Context) -> list[Value]:
    """Indications (`entryRelationship[@typeCode=RSON]/observation/value`) -> reasonCode."""
    found: list[Value] = []
    for relationship, observation in relations:
        if relationship.get("typeCode") == "RSON" and (reason := coded_value(observation, ctx)) and reason not in found:
            found.append(reason)
    return found


def coded_value(observation: Node, ctx: Context) -> Value | None:
    """The observation's value as a concept, with the text of the observation when the value has no words itself."""
    value = observation.first("value")
    if value is None or typed(value) not in _CODED:
        return None
    return codeable(value, ctx) or _only_text(observation, ctx)


def _only_text(observation: Node, ctx: Context) -> Value | None:
    text = resolved(observation.first("text"), ctx)
    return {"text": text} if text else None


def first_coded(elements: list[Element], ctx: Context) -> Value | None:
    return next((found for element in elements if (found := codeable(element, ctx))), None)


def concepts(elements: list[Element], ctx: Context) -> list[Value]:
    return [found for element in elements if (found := codeable(element, ctx))]


def actors(references: Iterator[Reference] | list[Reference], *types: str) -> list[Reference]:
    return [reference for reference in references if fits(reference, *types)]


def says_code(element: Element | None) -> bool:
    return coding(element) is not None
