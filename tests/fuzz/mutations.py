"""What happens to a document: elements lost, doubled, moved, grafted and nested, values that nobody expects, damage.

All choices come from the `Random` that is passed in, so that a fuzzer's seed or hypothesis makes them.
"""

from __future__ import annotations

import re
from base64 import encodebytes
from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import islice
from quopri import encodestring
from random import Random
from typing import Any

from lxml import etree

Element = etree._Element
Change = Callable[[list[Element], list[Element], Random], None]
"""The elements of the document, those of another one, and who chooses."""
Nesting = Callable[[int], bytes]
"""A document of so many levels."""

V3 = "{urn:hl7-org:v3}"
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_LARGE = 200
FLAVORS = ("UNK", "NI", "NA", "NASK", "ASKU", "OTH", "MSK", "NAV", "TRC", "QS", "NINF", "PINF", "DER", "x", "")
TYPES = (
    *("CD", "CE", "CV", "CO", "CS", "PQ", "IVL_PQ", "RTO_PQ_PQ", "RTO", "INT", "IVL_INT", "REAL", "MO", "ST", "ED"),
    *("BL", "TS", "IVL_TS", "PIVL_TS", "EIVL_TS", "SXCM_TS", "SXPR_TS", "II", "URL", "TEL", "AD", "EN", "PN", "ON"),
    *("ANY", "SLIST_PQ", "GLIST_TS", "", "x:CD", "sdtc:CD", "Ünknown"),
)
NUMBERS = ("0", "-0", "-1", "1e5", "1E-400", "1e999", "9" * 400, "0" * 50 + "1", ".5", "5.", "+3", "1,5", "NaN", "INF")
DIGITS = ("\u0663\u0664", "\u00b2", "\uff11\uff12", "1_000", "0x10", "١٢٣٤٠١٠١", "２０２００１０１")
TIMES = ("20200230", "00000101", "99991231235959", "2020010125", "20200101000060", "20200101-9999", "202001010000+1400")
CODES = (
    "a b",
    " ",
    "\u00a0",
    "\u200b",
    "2.16.840.1.113883.6.1",
    "urn:oid:1.2",
    "1.2.",
    "http://x y",
    "#",
    "#x",
    "?a=b|c",
)
WORDS = (
    "\u0085",
    "\u2028",
    "\ufffd",
    "\ufdd0",
    "\U0001f9ec",
    "x" * 7000,
    "<b>&amp;",
    "]]>",
    "%s{0}",
    "../../etc",
    "javascript:1",
)
VALUES = (*FLAVORS, *NUMBERS, *DIGITS, *TIMES, *CODES, *WORDS)
NAMES = (
    *("observation", "act", "organizer", "procedure", "encounter", "supply", "substanceAdministration", "section"),
    *("entry", "entryRelationship", "component", "value", "code", "id", "effectiveTime", "text", "templateId"),
    *("translation", "originalText", "reference", "low", "high", "author", "participant", "table", "list", "item"),
)
SPACES = ("", V3, "{urn:hl7-org:sdtc}", "{urn:x}", "{http://www.w3.org/1999/xhtml}", "{http://hl7.org/fhir}")
MOODS = ("EVN", "INT", "RQO", "PRMS", "PRP", "GOL", "ARQ", "DEF", "SLOT", "EVN.CRT", "")
ATTRIBUTES = (
    *("nullFlavor", "negationInd", "moodCode", "classCode", "typeCode", "value", "unit", "code", "codeSystem"),
    *("root", "extension", "use", "ID", "inversionInd", "determinerCode", "operator", "institutionSpecified"),
)


def delete(elements: list[Element], _: list[Element], rng: Random) -> None:
    for one in some(elements, rng):
        if (parent := one.getparent()) is not None:
            parent.remove(one)


def double(elements: list[Element], _: list[Element], rng: Random) -> None:
    for one in some(elements, rng):
        if one.getparent() is not None and _is_small(one):
            for _time in range(rng.choice((1, 1, 2, 5))):
                one.addnext(deepcopy(one))


def move(elements: list[Element], _: list[Element], rng: Random) -> None:
    for one in some(elements, rng):
        target = rng.choice(elements)
        if one.getparent() is not None and one not in (target, *target.iterancestors()):
            target.insert(rng.randint(0, len(target)), one)


def shuffle(elements: list[Element], _: list[Element], rng: Random) -> None:
    for one in some(elements, rng):
        inner = list(one)
        rng.shuffle(inner)
        one[:] = inner


def graft(elements: list[Element], others: list[Element], rng: Random) -> None:
    """A piece of another document."""
    for one in some(elements, rng):
        piece = rng.choice(others)
        if _is_small(piece):
            one.insert(rng.randint(0, len(one)), deepcopy(piece))


def graft_alike(elements: list[Element], others: list[Element], rng: Random) -> None:
    """What stands under the same name in another document."""
    for one in some(elements, rng):
        alike = [other for other in others if other.tag == one.tag and _is_small(other)]
        if alike and (parent := one.getparent()) is not None:
            parent.replace(one, deepcopy(rng.choice(alike)))


def nest(elements: list[Element], _: list[Element], rng: Random) -> None:
    """In itself, many times: an entry within an entry, a section within a section, a list within an item."""
    one = rng.choice(elements)
    carrier = one.getparent()
    if carrier is None or carrier.getparent() is None:
        return
    outer, inner = deepcopy(carrier), None
    del outer[:]
    for _level in range(rng.choice((1, 2, 5, 30, 60, 120))):
        shell = deepcopy(outer)
        step = etree.SubElement(shell, one.tag, dict(one.attrib))
        for kept in list(one)[:6]:
            if len(kept) == 0:
                step.append(deepcopy(kept))
        if inner is not None:
            step.append(inner)
        inner = shell
    if inner is not None:
        one.append(inner)


def empty(elements: list[Element], _: list[Element], rng: Random) -> None:
    for one in some(elements, rng):
        tail, kept = one.tail, dict(one.attrib) if rng.random() < 0.5 else {}
        one.clear()
        one.tail = tail
        one.attrib.update(kept)


def revalue(elements: list[Element], _: list[Element], rng: Random) -> None:
    for one in some([one for one in elements if one.attrib], rng):
        one.set(rng.choice(sorted(one.attrib)), rng.choice(VALUES))


def drop_attributes(elements: list[Element], _: list[Element], rng: Random) -> None:
    for one in some([one for one in elements if one.attrib], rng):
        del one.attrib[rng.choice(sorted(one.attrib))]


def add_attribute(elements: list[Element], others: list[Element], rng: Random) -> None:
    name = rng.choice(ATTRIBUTES)
    known = [value for one in others if (value := one.get(name)) is not None]
    for one in some(elements, rng):
        one.set(name, rng.choice([*MOODS, "true", "false", "1", *known[:50], *VALUES]))


def null(elements: list[Element], _: list[Element], rng: Random) -> None:
    """One flavor everywhere, on all of a name, or here and there; with what was there, or instead of it."""
    flavor, name = rng.choice(FLAVORS), rng.choice(elements).tag
    which = rng.choice((elements, [one for one in elements if one.tag == name], some(elements, rng)))
    bare = rng.random() < 0.5
    for one in which:
        if bare and len(one) == 0:
            one.attrib.clear()
        one.set("nullFlavor", flavor)


def retype(elements: list[Element], _: list[Element], rng: Random) -> None:
    for one in some([one for one in elements if one.get(XSI_TYPE)] or elements, rng):
        one.set(XSI_TYPE, rng.choice(TYPES))


def rename(elements: list[Element], _: list[Element], rng: Random) -> None:
    for one in some(elements, rng):
        local = str(one.tag).rpartition("}")[2]
        one.tag = rng.choice(SPACES) + rng.choice((local, rng.choice(NAMES)))


def reword(elements: list[Element], _: list[Element], rng: Random) -> None:
    for one in some(elements, rng):
        if rng.random() < 0.7:
            one.text = rng.choice(VALUES)
        else:
            one.tail = rng.choice(VALUES)


def same_ids(elements: list[Element], _: list[Element], rng: Random) -> None:
    """Ids and anchors that are one and the same."""
    ids = [one for one in elements if one.tag == V3 + "id"]
    if ids:
        pattern = dict(rng.choice(ids).attrib)
        for one in some(ids, rng):
            one.attrib.update(pattern)
    for one in some([one for one in elements if one.get("ID")], rng):
        one.set("ID", "same")


CHANGES: tuple[Change, ...] = (
    *(delete, double, move, shuffle, graft, graft_alike, nest, empty, revalue, drop_attributes, add_attribute),
    *(null, retype, rename, reword, same_ids),
)


def _is_small(element: Element) -> bool:
    """So that a document does not grow out of all bounds: only a few are allowed to be large."""
    return sum(1 for _ in islice(element.iter(), _LARGE)) < _LARGE


def some(elements: list[Element], rng: Random) -> list[Element]:
    """One, a few or many of them."""
    return rng.sample(elements, min(len(elements), rng.choice((1, 1, 1, 2, 3, 8, 40))))


def changed(data: bytes, other: bytes, rng: Random, times: int, changes: tuple[Change, ...] = CHANGES) -> bytes | None:
    """The document after so many changes of its elements; None when it cannot be read."""
    root, donor = root_of(data), root_of(other)
    if root is None:
        return None
    others = elements_of(root if donor is None else donor)
    for _ in range(times):
        rng.choice(changes)(elements_of(root), others, rng)
    return written(root)


def written(root: Element) -> bytes:
    text: bytes = etree.tostring(root)
    return text


def root_of(data: bytes) -> Element | None:
    try:
        options: Any = {"resolve_entities": False, "no_network": True, "load_dtd": False}
        return etree.fromstring(data, etree.XMLParser(**options))
    except (etree.XMLSyntaxError, ValueError):
        return None


def elements_of(root: Element) -> list[Element]:
    return [one for one in root.iter() if isinstance(one.tag, str)]


MAIL = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
JUNK = (
    *(b"", b"\x00", b"<", b"&", b"\xff", b"]]>", b"\xed\xa0\x80", b"\x85", b"\x1b", b"<![CDATA[", b"<!--", b"<?x y?>"),
    *(b"&#0;", b"&#xD800;", b"&#xFFFE;", b"&#x85;", b"&#8232;", b"&nbsp;", b"&x;", b"&lt;b&gt;", b"\r\n\t", b"--x--"),
    *(b"<!DOCTYPE x [<!ENTITY x 'y'>]>", b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'>", b"<x:y xmlns:x='urn:x'/>"),
    *(b' xmlns="urn:x"', b' xmlns=""', b' xml:space="preserve"', b"<a>" * 10_000, b"<a/>" * 2000, b"9" * 70_000),
    b"<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='file:///etc/passwd' parse='text'/>",
)
DAMAGES: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: b"\xef\xbb\xbf \n" + data,
    lambda data: b" \r\n" + data,
    lambda data: data.decode("utf-8", "replace").encode("windows-1252", "replace"),
    lambda data: data.decode("utf-8", "replace").encode("utf-16"),
    lambda data: data.decode("utf-8", "replace").encode("utf-16-be"),
    lambda data: data.decode("utf-8", "replace").encode("utf-32"),
    lambda data: data.replace(b'"UTF-8"', b'"ISO-8859-1"', 1),
    lambda data: data.replace(b'"UTF-8"', b'"utf-16"', 1),
    lambda data: re.sub(rb"\sxmlns(:\w+)?=", rb" was\1=", data, count=2),
    lambda data: re.sub(rb'\sxmlns(:\w+)?="[^"]*"', b"", data),
    lambda data: MAIL + b"Content-Transfer-Encoding: base64\r\n\r\n" + encodebytes(data) + b"--x--\r\n",
    lambda data: MAIL + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encodestring(data) + b"--x--\r\n",
)


def damaged(data: bytes, rng: Random) -> bytes:
    """What happens to its bytes on the way."""
    if rng.random() < 0.5:
        return rng.choice(DAMAGES)(data)
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice(JUNK) + data[at + rng.choice((0, 0, 1, 7, 200)) :]


def mutated(data: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    """One more hostile document made of this one."""
    made = changed(data, rng.choice(others), rng, rng.choice((1, 1, 2, 4, 8)))
    return damaged(made or data, rng) if made is None or rng.random() < 0.15 else made
