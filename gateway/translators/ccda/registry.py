"""Which function reads which entry: modules of `sections/` register themselves, so that no list is edited.

An entry is known by a templateId root, else by its section's LOINC code and element name (R1.1, C32, and documents
whose templateIds nobody knows).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from .context import Context, Reference
from .node import Node

References = Iterable[Reference | None]
Handler = Callable[[Node, Context], References]

_BY_TEMPLATE: dict[str, Handler] = {}
_BY_SECTION: dict[tuple[str, str], Handler] = {}


def entry(*roots: str, sections: tuple[str, ...] = (), element: str = "") -> Callable[[Handler], Handler]:
    """Register a handler for templateId roots, and for entries `element` of sections with these LOINC codes.

    A handler yields the reference of every resource that stands for the entry in its section.
    """

    def register(handler: Handler) -> Handler:
        for root in roots:
            _claim(_BY_TEMPLATE, root, handler)
        for section in sections:
            _claim(_BY_SECTION, (section, element), handler)
        return handler

    return register


def _claim(table: dict[Any, Handler], key: Any, handler: Handler) -> None:
    if key in table:
        raise ValueError(f"{key} is read by {table[key].__name__} and {handler.__name__}")
    table[key] = handler


def handler_of(statement: Node, name: str, section: str | None) -> Handler | None:
    """The first of its templates that somebody reads, else what its section says."""
    for root in statement.templates():
        if handler := _BY_TEMPLATE.get(root):
            return handler
    return _BY_SECTION.get((section or "", name))


def discover() -> None:
    """Import every module of `sections/`, whereby it registers itself."""
    from . import sections

    for module in iter_modules(sections.__path__):
        import_module(f"{sections.__name__}.{module.name}")
