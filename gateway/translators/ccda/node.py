"""Node: a thin view of a CDA element, its children grouped by name in one pass (XPath costs six times that)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lxml import etree

Element = etree._Element

V3 = "{urn:hl7-org:v3}"
SDTC = "{urn:hl7-org:sdtc}"
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
NONE: list[Element] = []

STATEMENTS = frozenset(
    [
        "act",
        "encounter",
        "observation",
        "observationMedia",
        "organizer",
        "procedure",
        "regionOfInterest",
        "substanceAdministration",
        "supply",
    ]
)
"""The clinical statements that an entry may hold (CDA R2 §4.3.6)."""


def local_name(tag: str) -> str:
    """`code` for an HL7 v3 element, `sdtc:raceCode` for one of the SDTC extensions, the tag itself for foreign ones."""
    if tag.startswith(V3):
        return tag[16:]
    return f"sdtc:{tag[19:]}" if tag.startswith(SDTC) else tag


class Node:
    """`first`, `all` and `text` take local names (`effectiveTime`, `sdtc:raceCode`)."""

    __slots__ = ("_children", "element")

    def __init__(self, element: Element) -> None:
        children: dict[str, list[Element]] = {}
        for child in element:
            tag: Any = child.tag
            name = tag[16:] if tag.startswith(V3) else local_name(tag)
            if name in children:
                children[name].append(child)
            else:
                children[name] = [child]
        self.element = element
        self._children = children

    def __contains__(self, name: str) -> bool:
        return name in self._children

    def get(self, attribute: str) -> str | None:
        return self.element.get(attribute)

    def first(self, name: str) -> Element | None:
        found = self._children.get(name)
        return found[0] if found else None

    def all(self, name: str) -> list[Element]:
        return self._children.get(name, NONE)

    def node(self, name: str) -> Node | None:
        found = self._children.get(name)
        return Node(found[0]) if found else None

    def nodes(self, name: str) -> Iterator[Node]:
        return map(Node, self._children.get(name, NONE))

    def attribute(self, name: str, attribute: str) -> str | None:
        """Of the first child with that name: `attribute("statusCode", "code")`."""
        found = self._children.get(name)
        return found[0].get(attribute) if found else None

    def text(self, name: str) -> str | None:
        """The text of the first child with that name, blanks folded; None when there is none."""
        found = self._children.get(name)
        return plain_text(found[0]) if found else None

    def statement(self) -> Node | None:
        """The clinical statement that an entry, component or relationship holds; some have a templateId before it."""
        for name, found in self._children.items():
            if name in STATEMENTS:
                return Node(found[0])
        return None

    def related(self, type_code: str | None, name: str) -> Iterator[Node]:
        """`entryRelationship[@typeCode]/name`; None = any type."""
        for relationship in self._children.get("entryRelationship", NONE):
            if type_code is None or relationship.get("typeCode") == type_code:
                for child in relationship:
                    if child.tag == V3 + name:
                        yield Node(child)

    def templates(self) -> Iterator[str]:
        for template in self._children.get("templateId", NONE):
            if root := template.get("root"):
                yield root

    @property
    def negated(self) -> bool:
        return self.element.get("negationInd") in ("true", "1")


def folded(text: str | None) -> str | None:
    """Runs of white space as one blank, none at the ends; None when nothing is left."""
    return " ".join(text.split()) or None if text else None


def plain_text(element: Element) -> str | None:
    """All text in the element, blanks folded."""
    if len(element) == 0:
        return folded(element.text)
    return folded("".join(str(piece) for piece in element.itertext()))


def xpath(element: Element) -> str:
    """`/ClinicalDocument/component/structuredBody/component[3]/section/entry[2]`: found only when it is needed."""
    steps: list[str] = []
    node: Element | None = element
    while node is not None:
        parent = node.getparent()
        steps.append(_step(node, parent))
        node = parent
    return "/" + "/".join(reversed(steps))


def _step(node: Element, parent: Element | None) -> str:
    name = local_name(str(node.tag))
    if parent is None:
        return name
    same = [sibling for sibling in parent if sibling.tag == node.tag]
    return f"{name}[{same.index(node) + 1}]" if len(same) > 1 else name
