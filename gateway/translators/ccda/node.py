"""Node: a thin view of a CDA element, its children grouped by name in one pass (XPath costs six times that)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

from lxml import etree

Element = etree._Element

V3 = "{urn:hl7-org:v3}"
SDTC = "{urn:hl7-org:sdtc}"
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
NONE: list[Element] = []

children: Callable[[Element], list[Element]] = itemgetter(slice(None))
"""The children of an element (`element[:]`). lxml gives the list at once; its iterator over few takes twice as long."""

_STATEMENT_NAMES = (
    "act",
    "encounter",
    "observation",
    "observationMedia",
    "organizer",
    "procedure",
    "regionOfInterest",
    "substanceAdministration",
    "supply",
)
STATEMENTS = frozenset([*_STATEMENT_NAMES, *(V3 + name for name in _STATEMENT_NAMES)])
"""The tags of the clinical statements that an entry may hold (CDA R2 §4.3.6)."""


class _Names(dict[str, str]):
    """Tag -> local name, learned once per process: `code` for an HL7 v3 element, `sdtc:raceCode` for one of the SDTC
    extensions, the tag itself for foreign ones. Bounded, as a sender may invent names."""

    def __missing__(self, tag: str) -> str:
        name = tag[len(V3) :] if tag.startswith(V3) else f"sdtc:{tag[len(SDTC) :]}" if tag.startswith(SDTC) else tag
        if len(self) < 1000 and len(tag) < 80:
            self[tag] = name
        return name


NAMES = _Names()


def local_name(tag: Any) -> str:
    return NAMES[tag]


class Node(dict[str, Element]):
    """Name -> the first child with that name (`effectiveTime`, `sdtc:raceCode`); `all` has the others too."""

    __slots__ = ("_kinds", "_repeated", "element")

    def __init__(self, element: Element) -> None:
        self.element = element
        self._kinds: frozenset[str | None] | None = None
        self._repeated: dict[str, list[Element]] = {}
        names: Any = NAMES
        for child in children(element):
            name = names[child.tag]
            if name not in self:
                self[name] = child
            elif name in self._repeated:
                self._repeated[name].append(child)
            else:
                self._repeated[name] = [self[name], child]

    def all(self, name: str) -> list[Element]:
        if name not in self:
            return NONE
        return self._repeated.get(name) or [self[name]]

    def node(self, name: str) -> Node | None:
        found = self.get(name)
        return None if found is None else Node(found)

    def nodes(self, name: str) -> Iterator[Node]:
        return map(Node, self.all(name))

    def attribute(self, name: str, attribute: str) -> str | None:
        """Of the first child with that name: `attribute("statusCode", "code")`."""
        found = self.get(name)
        return None if found is None else found.get(attribute)

    def text(self, name: str) -> str | None:
        """The text of the first child with that name, blanks folded; None when there is none."""
        found = self.get(name)
        return None if found is None else plain_text(found)

    def templates(self) -> Iterator[str]:
        for template in self.all("templateId"):
            if root := template.get("root"):
                yield root

    @property
    def kinds(self) -> frozenset[str | None]:
        """What tells which statement it is: its code, as older documents have other templates, and the roots of its
        templates, as some have another code."""
        found = self._kinds
        if found is None:
            roots = [template.get("root") for template in self.all("templateId")]
            found = self._kinds = frozenset([*roots, self.attribute("code", "code")])
        return found

    @property
    def negated(self) -> bool:
        return self.element.get("negationInd") in ("true", "1")

    @property
    def untold(self) -> bool:
        """Whether its own nullFlavor says that nobody knows of it, whatever else it holds (CDA R2 data types, ANY)."""
        return self.element.get("nullFlavor") is not None


def child_of(element: Element, tag: str) -> Element | None:
    """The first child with that tag, where a Node of all of them is not worth its while."""
    for child in children(element):
        if child.tag == tag:
            return child
    return None


def statement_in(wrapper: Element) -> Node | None:
    """The clinical statement that an entry, component or relationship holds; some have a templateId before it."""
    for child in children(wrapper):
        if child.tag in STATEMENTS:
            return Node(child)
    return None


def folded(text: str | None) -> str | None:
    """Runs of white space as one blank, none at the ends; None when nothing is left."""
    if not text or text.isalnum():
        return text or None
    words = text.split()
    return words[0] if len(words) == 1 else " ".join(words) or None


def plain_text(element: Element) -> str | None:
    """All text in the element, blanks folded."""
    if len(element) == 0:
        return folded(element.text)
    pieces: Any = element.itertext()
    return folded("".join(pieces))


LEVELS = 60
"""How deep an entry may nest, which is four times as deep as any that was ever seen: each statement within another
takes about ten calls, and Python allows a thousand."""

_DEEP = etree.XPath(f"boolean({'/'.join('*' * (LEVELS + 1))})")


def is_deep(element: Element) -> bool:
    """Whether anything is more than so many levels below it."""
    return bool(_DEEP(element))


class Paths:
    """Where elements of one document are: `/ClinicalDocument/component/structuredBody/component[3]/section/entry[2]`.

    Found only when it is needed. What was found is kept: the sender of one odd entry sends thousands, and to count all
    that stand before each of them would take ever longer.
    """

    def __init__(self) -> None:
        self._known: dict[Element, str] = {}
        self._steps: dict[Element, str] = {}

    def __call__(self, element: Element) -> str:
        found = self._known.get(element)
        if found is None:
            parent = element.getparent()
            outer = "" if parent is None else self(parent)
            found = self._known[element] = f"{outer}/{self._step(element, parent)}"
        return found

    def _step(self, element: Element, parent: Element | None) -> str:
        if parent is None:
            return local_name(element.tag)
        if element not in self._steps:
            self._count(children(parent))
        return self._steps[element]

    def _count(self, siblings: list[Element]) -> None:
        alike: dict[Any, list[Element]] = {}
        for one in siblings:
            alike.setdefault(one.tag, []).append(one)
        for tag, same in alike.items():
            name = local_name(tag)
            for number, one in enumerate(same, 1):
                self._steps[one] = name if len(same) == 1 else f"{name}[{number}]"
