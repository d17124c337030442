"""What many entries have alike: comments, status observations, indications (C-CDA R2.1 §3)."""

from __future__ import annotations

from .codes import CONCEPTS, Concept
from .context import Context
from .node import Element, Node, statement_in
from .people import agent, fits
from .values import Value, codeable, kept, resolved, typed

STATUS = "33999-4"

_COMMENT = frozenset(["48767-8", "2.16.840.1.113883.10.20.22.4.64", "2.16.840.1.113883.10.20.1.40"])
_CODED = frozenset(["CD", "CE", "CV", "CO", "CS", "BL"])


Relations = list[tuple[str | None, Node]]


def related(node: Node) -> Relations:
    """The statement of every `entryRelationship`, with the relationship's typeCode."""
    if "entryRelationship" not in node:
        return []
    return [
        (relationship.get("typeCode"), statement)
        for relationship in node.all("entryRelationship")
        if (statement := statement_in(relationship))
    ]


def of_kind(kinds: frozenset[str], relations: Relations) -> list[Node]:
    """The related statements whose code or template is one of these."""
    return [statement for _, statement in relations if not kinds.isdisjoint(statement.kinds)]


def value_code(statement: Node) -> str | None:
    return statement.attribute("value", "code")


def mapped(table: str, code: str | None) -> Concept | None:
    return CONCEPTS[table].get(code) if code else None


def notes(relations: Relations, ctx: Context) -> list[Value]:
    """Comment Activities -> Annotation."""
    return [note for act in of_kind(_COMMENT, relations) if (note := _note(act, ctx))]


def _note(act: Node, ctx: Context) -> Value | None:
    text = resolved(act.get("text"), ctx)
    if not text:
        return None
    author = act.node("author")
    by = fits(agent(author.get("assignedAuthor"), ctx), "Practitioner", "Patient", "Organization") if author else None
    return kept({"authorReference": by, "time": ctx.moment(author.get("time")) if author else None, "text": text})


def reasons(relations: Relations, ctx: Context) -> list[Value]:
    """Indications (`entryRelationship[@typeCode=RSON]/observation/value`) -> reasonCode."""
    found: list[Value] = []
    for kind, observation in relations:
        if kind == "RSON" and (reason := coded_value(observation, ctx)) and reason not in found:
            found.append(reason)
    return found


def coded_value(observation: Node, ctx: Context) -> Value | None:
    """The observation's value as a concept, with the text of the observation when the value has no words itself."""
    value = observation.get("value")
    if value is None or typed(value) not in _CODED:
        return None
    return codeable(value, ctx) or _only_text(observation, ctx)


def _only_text(observation: Node, ctx: Context) -> Value | None:
    text = resolved(observation.get("text"), ctx)
    return {"text": text} if text else None


def concepts(elements: list[Element], ctx: Context) -> list[Value]:
    return [found for element in elements if (found := codeable(element, ctx))]
