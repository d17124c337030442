"""Which function reads which entry: modules of `sections/` register themselves, so that no list is edited.

An entry is known by a templateId root, else by its code, else by its section and element name (R1.1, C32, and
documents whose templateIds nobody knows). What nobody knows falls back by element and mood (`fallback.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from .context import Context, Reference, SectionReport
from .node import Node, local_name
from .statement import INSTRUCTION, OF_ITS_OWN, PARTS, PRIORITY, Relations, denied, is_ahead, of_another, supposed

References = Iterable[Reference | None]
Handler = Callable[[Node, Context], References]

_BY_TEMPLATE: dict[str, Handler] = {}
_BY_CODE: dict[tuple[str, str], Handler] = {}
_BY_SECTION: dict[tuple[str, str], Handler] = {}
_BY_ELEMENT: dict[str, Handler] = {}
_IN_ANY_MOOD: set[Handler] = set()
_OF_KIN: set[Handler] = set()
_DEFINED: set[Handler] = set()


def entry(
    *roots: str,
    sections: tuple[str, ...] = (),
    codes: tuple[str, ...] = (),
    element: str = "",
    in_any_mood: bool = False,
    of_kin: bool = False,
    defined: bool = False,
) -> Callable[[Handler], Handler]:
    """Register a handler for templateId roots, and for statements `element` with these codes or in sections with these
    LOINC codes.

    A handler yields the reference of every resource that stands for the entry in its section. One that reads
    observations or groups of them reads those that were made, unless it looks at the mood itself; none is given what
    is about somebody else, unless it tells of the patient's kin, or a definition, unless its template is one.
    """

    def register(handler: Handler) -> Handler:
        if in_any_mood:
            _IN_ANY_MOOD.add(handler)
        if of_kin:
            _OF_KIN.add(handler)
        if defined:
            _DEFINED.add(handler)
        for root in roots:
            _claim(_BY_TEMPLATE, root, handler)
        for section in sections:
            _claim(_BY_SECTION, (section, element), handler)
        for code in codes:
            _claim(_BY_CODE, (code, element), handler)
        return handler

    return register


def _claim(table: dict[Any, Handler], key: Any, handler: Handler) -> None:
    if key in table:
        raise ValueError(f"{key} is read by {table[key].__name__} and {handler.__name__}")
    table[key] = handler


def reader_by_template(statement: Node) -> Handler | None:
    """Who reads the first of its templates that somebody reads."""
    for root in statement.templates():
        if handler := _BY_TEMPLATE.get(root):
            return handler
    return None


def handler_of(statement: Node, name: str, section: str | None) -> Handler | None:
    """Who reads one of its templates, else its code, else what its section says."""
    if handler := reader_by_template(statement):
        return handler
    return _BY_CODE.get((statement.attribute("code", "code") or "", name)) or _BY_SECTION.get((section or "", name))


def otherwise(*elements: str) -> Callable[[Handler], Handler]:
    """Register what a statement becomes that nobody knows by its template, code or section."""

    def register(handler: Handler) -> Handler:
        for element in elements:
            _claim(_BY_ELEMENT, element, handler)
        return handler

    return register


def reader_of(statement: Node, section: str | None) -> tuple[Handler, bool]:
    """Who reads it, and whether that is one who knows it."""
    name = local_name(statement.element.tag)
    handler = handler_of(statement, name, section)
    if name in ("observation", "organizer") and handler not in _IN_ANY_MOOD and is_ahead(statement):
        handler = None
    return (handler, True) if handler else (_BY_ELEMENT.get(name, _nobody), False)


def read(handler: Handler, statement: Node, ctx: Context) -> list[Reference]:
    """What it becomes: nothing where it is a definition or the like, or about somebody else, and what it holds with it
    (CDA R2 §4.4)."""
    if handler not in _DEFINED and supposed(statement, ctx):
        return []
    if "subject" in statement and handler not in _OF_KIN and of_another(statement, ctx):
        return []
    return [reference for reference in handler(statement, ctx) if reference]


def _nobody(_statement: Node, _ctx: Context) -> References:
    return ()


def named(statement: Node, report: SectionReport) -> None:
    """Tell in the report that nobody knows it."""
    report.fell_back.append((statement.element, f"{described(statement)}: read by its element"))


def described(statement: Node) -> str:
    """Its element, mood and template or code, as the report tells it."""
    name, mood = local_name(statement.element.tag), statement.element.get("moodCode") or "without mood"
    template = next(statement.templates(), None)
    code = statement.attribute("code", "code") or "none"
    return f"{name} {mood} with {f'template {template}' if template else f'code {code}'}"


def others(relations: Relations, ctx: Context, parts: frozenset[str] = PARTS) -> list[Reference]:
    """What the related statements become that are no part of the one that they are related to; they stand beside it
    in its section. A part that is denied or only thought of is told nowhere (`statement.of_kind`)."""
    if not relations:
        return []
    found: list[Reference] = []
    for kind, statement in relations:
        if _stands_beside(kind, statement, parts) and not _only_names(statement) and _says_more(statement):
            found += one_more(statement, ctx)
        elif not parts.isdisjoint(statement.kinds) and not denied(statement, ctx):
            supposed(statement, ctx)
    ctx.beside += found
    return found


def _stands_beside(kind: str | None, statement: Node, parts: frozenset[str]) -> bool:
    """A Priority Preference always does: the priorities of FHIR are others."""
    if not PRIORITY.isdisjoint(statement.kinds):
        return True
    return not _is_reason(kind, statement) and parts.isdisjoint(statement.kinds)


def _is_reason(kind: str | None, statement: Node) -> bool:
    """An observation or a reference, which the other one has as its reason; what was done for it is told beside it, and
    so is a concern or goal, which is a fact of its own."""
    if not OF_ITS_OWN.isdisjoint(statement.kinds):
        return False
    return kind == "RSON" and local_name(statement.element.tag) in ("observation", "act", "encounter")


def _only_names(statement: Node) -> bool:
    """An encounter of which there is the id alone: the entry's own (`statement.encounter`)."""
    return "templateId" not in statement and statement.element.tag.endswith("}encounter")


def _says_more(statement: Node) -> bool:
    """An instruction without a code has nothing but its words, which the statement around it keeps."""
    return INSTRUCTION.isdisjoint(statement.kinds) or bool(statement.attribute("code", "code"))


def tells_nothing(statement: Node) -> bool:
    """Whether nobody knows of it. Of a group what it holds decides; of an observation the reason stands in the place of
    its value."""
    if not statement.untold:
        return False
    name = local_name(statement.element.tag)
    return name not in ("observation", "organizer") and (name != "act" or "entryRelationship" not in statement)


def one_more(statement: Node, ctx: Context) -> list[Reference]:
    """What a statement becomes that stands within another."""
    if tells_nothing(statement):
        return []
    handler, known = reader_of(statement, None)
    made = read(handler, statement, ctx)
    if made and not known:
        named(statement, ctx.section)
    return made


def discover() -> None:
    """Import every module of `sections/` and what stands in for them, whereby they register themselves."""
    from . import sections

    for module in iter_modules(sections.__path__):
        import_module(f"{sections.__name__}.{module.name}")
    import_module(f"{__package__}.fallback")
