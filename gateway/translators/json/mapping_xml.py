"""XML as the trees that mappings speak of: attributes are `@name`, text beside them `#text`, repeated elements a list.

An empty element, or one with xsi:nil, says "there is none". Paths do not tell namespaces apart; what is put back is in
the namespace where it was. Text between elements has no place in a tree: it is put back with its element as it was.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

from lxml import etree

from gateway.errors import InvalidInput, Unparsable

Element = Any

_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


class Name(str):
    """The name of an element or attribute that cannot be written by it alone: `tag` = `{namespace}local`, where that is
    not its parent's namespace; `nil`: where there is none, it says so by xsi:nil."""

    __slots__ = ("nil", "tag")
    tag: str | None
    nil: bool

    def __new__(cls, name: str, tag: str | None = None, *, nil: bool = False) -> Self:
        self = super().__new__(cls, name)
        self.tag, self.nil = tag, nil
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self


class Mixed(dict[str, Any]):
    """The content of an element in which text stands between elements, and the element itself, `source`."""

    __slots__ = ("source",)
    source: Element

    def __init__(self, content: Mapping[str, Any], source: Element) -> None:
        super().__init__(content)
        self.source = source

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(copy.deepcopy(dict(self), memo), self.source)


def parse(data: bytes) -> Any:
    """The content of the root element. Raises Unparsable: not well-formed, with a DOCTYPE, or a page for people."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    try:
        root: Element = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise Unparsable(f"not XML that we can read: line {error.lineno}") from None
    if root.getroottree().docinfo.doctype:
        raise Unparsable("not XML that we can read: it has a DOCTYPE")
    if etree.QName(root).localname.lower() == "html":
        raise Unparsable("not XML that we can read: it is an HTML page")
    return _tree(root)


def write(tree: Any, root: str, namespace: str | None = None) -> bytes:
    """The element `root` with this content, in the order of the tree. Raises InvalidInput for a character that XML does
    not have (XML 1.0 §2.2), and for an edit inside of an element whose text would be lost by it."""
    names: Any = {None: namespace} if namespace else None  # the default namespace, which lxml's stubs do not know
    element = etree.Element(_qualified(root, namespace), nsmap=names)
    try:
        _fill(element, tree, namespace)
    except ValueError:
        raise InvalidInput("a value has a character that XML cannot carry") from None
    return etree.tostring(element, xml_declaration=True, encoding="UTF-8")


def _tree(element: Any) -> Any:
    if _is_nil(element):
        return None
    content: dict[str, Any] = {_attribute(name): value for name, value in element.attrib.items()}
    here = etree.QName(element).namespace
    own = {etree.QName(child).localname for child in element if etree.QName(child).namespace == here}
    tags: dict[str, str] = {}
    for child in element:
        name = _named(child, here, own, tags)
        _add(content, name, _tree(child))
    text = (element.text or "").strip()
    if not content:
        return text or None
    content |= {"#text": text} if text else {}
    is_mixed = len(element) and (text or any((child.tail or "").strip() for child in element))
    return Mixed(content, element) if is_mixed else content


def _named(child: Any, here: str | None, own: set[str], tags: dict[str, str]) -> str:
    """Its local name; where another namespace has the same one beside it, `{namespace}local`, which no path means."""
    tag, nil = str(child.tag), _is_nil(child)
    name = etree.QName(child)
    if name.namespace == here:
        return Name(name.localname, nil=True) if nil else name.localname
    clashes = name.localname in own or tags.setdefault(name.localname, tag) != tag
    return Name(tag if clashes else name.localname, tag, nil=nil)


def _is_nil(element: Any) -> bool:
    return element.get(_NIL) in ("true", "1")


def _attribute(tag: str) -> str:
    name = etree.QName(tag)
    return Name(f"@{name.localname}", tag) if name.namespace else f"@{name.localname}"


def _add(content: dict[str, Any], name: str, value: Any) -> None:
    if name not in content:
        content[name] = value
    elif isinstance(content[name], list):
        content[name].append(value)
    else:
        content[name] = [content[name], value]


def _fill(element: Any, tree: Any, namespace: str | None) -> None:
    """`namespace`: of what has none of its own."""
    if not isinstance(tree, Mapping):
        element.text = _text(tree)
        return
    for name, value in tree.items():
        if name.startswith("@"):
            if value is not None:
                element.set(_tag(name) or name[1:], _text(value) or "")
        elif name == "#text":
            element.text = _text(value)
        else:
            tag = _tag(name) or _qualified(name, namespace)
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, Mixed):
                    element.append(_as_it_was(one))
                    continue
                child = etree.SubElement(element, tag)
                if one is None and isinstance(name, Name) and name.nil:
                    child.set(_NIL, "true")
                _fill(child, one, etree.QName(child).namespace)


def _as_it_was(content: Mixed) -> Any:
    if _tree(content.source) != content:
        raise InvalidInput("a value stands in an element with text between its elements, which a write would lose")
    element = copy.deepcopy(content.source)
    element.tail = None
    return element


def _tag(name: str) -> str | None:
    return name.tag if isinstance(name, Name) else None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, bool):
        return None if value is None else str(value).lower()
    return str(value)


def _qualified(name: str, namespace: str | None) -> str:
    return f"{{{namespace}}}{name}" if namespace else name
