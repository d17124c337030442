"""XML as the trees that mappings speak of: attributes are `@name`, text beside them `#text`, repeated elements a list.

An empty element, or one with xsi:nil, says "there is none". Namespaces are not told apart when reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lxml import etree

from gateway.errors import Unparsable

Element = Any

_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


def parse(data: bytes) -> Any:
    """The content of the root element. Raises Unparsable: not well-formed, or with a DOCTYPE."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    try:
        root: Element = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise Unparsable(f"not XML that we can read: line {error.lineno}") from None
    if root.getroottree().docinfo.doctype:
        raise Unparsable("not XML that we can read: it has a DOCTYPE")
    return _tree(root)


def write(tree: Any, root: str, namespace: str | None = None) -> bytes:
    """The element `root` with this content, in the order of the tree."""
    names: Any = {None: namespace} if namespace else None  # the default namespace, which lxml's stubs do not know
    element = etree.Element(_named(root, namespace), nsmap=names)
    _fill(element, tree, namespace)
    return etree.tostring(element, xml_declaration=True, encoding="UTF-8")


def _tree(element: Any) -> Any:
    if element.get(_NIL) in ("true", "1"):
        return None
    content: dict[str, Any] = {f"@{_local(name)}": value for name, value in element.attrib.items()}
    for child in element:
        _add(content, _local(child.tag), _tree(child))
    text = (element.text or "").strip()
    if not content:
        return text or None
    return content | ({"#text": text} if text else {})


def _add(content: dict[str, Any], name: str, value: Any) -> None:
    if name not in content:
        content[name] = value
    elif isinstance(content[name], list):
        content[name].append(value)
    else:
        content[name] = [content[name], value]


def _fill(element: Any, tree: Any, namespace: str | None) -> None:
    if not isinstance(tree, Mapping):
        element.text = _text(tree)
        return
    for name, value in tree.items():
        if name.startswith("@"):
            if value is not None:
                element.set(name[1:], _text(value) or "")
        elif name == "#text":
            element.text = _text(value)
        else:
            for one in value if isinstance(value, list) else [value]:
                _fill(etree.SubElement(element, _named(name, namespace)), one, namespace)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, bool):
        return None if value is None else str(value).lower()
    return str(value)


def _named(name: str, namespace: str | None) -> str:
    return f"{{{namespace}}}{name}" if namespace else name


def _local(name: str) -> str:
    return etree.QName(name).localname
