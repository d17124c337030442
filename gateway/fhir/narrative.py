"""The XHTML of a narrative: what may stand in Narrative.div (FHIR R4 §2.4.0.2, txt-1 and txt-2)."""

from __future__ import annotations

from lxml import etree

XHTML = "http://www.w3.org/1999/xhtml"

_HTML = """
    a abbr acronym address b big blockquote br caption cite code col colgroup dd del dfn div dl dt em h1 h2 h3 h4 h5 h6
    hr i img ins kbd li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var
"""
_ELEMENTS = frozenset(_HTML.split())
_EVERYWHERE = frozenset({"id", "class", "style", "title", "lang", "dir", "accesskey", "tabindex"})
_XML = frozenset({"{http://www.w3.org/XML/1998/namespace}lang", "{http://www.w3.org/XML/1998/namespace}space"})
# The attributes of HTML 4.0 chapters 7-11 and 15, chapter 12's name and href, chapter 13's img.
_ATTRIBUTES: dict[str, frozenset[str]] = {
    element: frozenset(names.split())
    for element, names in {
        "a": "name href rel rev hreflang charset type shape coords",
        "blockquote": "cite",
        "br": "clear",
        "caption": "align",
        "col": "span width align valign char charoff",
        "colgroup": "span width align valign char charoff",
        "del": "cite datetime",
        "div": "align",
        "h1": "align",
        "h2": "align",
        "h3": "align",
        "h4": "align",
        "h5": "align",
        "h6": "align",
        "hr": "align noshade size width",
        "img": "src alt height width longdesc align border hspace vspace name",
        "ins": "cite datetime",
        "li": "type value",
        "ol": "type start compact",
        "p": "align",
        "pre": "width",
        "q": "cite",
        "table": "summary width border frame rules cellspacing cellpadding align bgcolor",
        "tbody": "align valign char charoff",
        "td": "abbr axis headers scope rowspan colspan align valign char charoff nowrap width height bgcolor",
        "tfoot": "align valign char charoff",
        "th": "abbr axis headers scope rowspan colspan align valign char charoff nowrap width height bgcolor",
        "thead": "align valign char charoff",
        "tr": "align valign char charoff bgcolor",
        "ul": "type compact",
    }.items()
}
_SCRIPTS = ("javascript:", "vbscript:", "data:text")


def fault_in(div: str) -> str | None:
    """Why the XHTML is not allowed, as the end of a sentence; None when it is."""
    if "<!DOCTYPE" in div or div.lstrip().startswith("<?"):
        return "begins with something other than its div"
    # encoding: the text is already decoded, whatever it declares; nothing is fetched, nothing is expanded
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, remove_comments=True, huge_tree=True
    )
    try:
        root = etree.fromstring(div.encode("utf-8"), parser)
    except (etree.XMLSyntaxError, ValueError):
        return "is not well-formed XML"
    if root.tag != f"{{{XHTML}}}div" or root.getnext() is not None:
        return "does not have a div of the XHTML namespace as its root"
    return next(filter(None, map(_fault_at, root.iter())), None) or _emptiness(root)


def _fault_at(element: etree._Element) -> str | None:
    if not isinstance(element.tag, str):
        return "holds an entity or a processing instruction"
    name = etree.QName(element)
    if name.namespace != XHTML or name.localname not in _ELEMENTS:
        return "holds an element that narratives may not have"
    allowed = _ATTRIBUTES.get(name.localname, frozenset())
    for attribute, value in element.attrib.items():
        if attribute not in _EVERYWHERE and attribute not in allowed and attribute not in _XML:
            return "holds an attribute that narratives may not have"
        if attribute in ("href", "src") and _runs_script(str(value)):
            return "holds a link that runs a script"
    return None


def _runs_script(link: str) -> bool:
    """As browsers read it: they drop white space and control characters within a scheme."""
    return "".join(char for char in link if char > " ").lower().startswith(_SCRIPTS)


def _emptiness(root: etree._Element) -> str | None:
    """txt-2: some text, or an image."""
    if any(text.strip() for text in root.itertext()) or root.find(f".//{{{XHTML}}}img") is not None:
        return None
    return "holds no text"
