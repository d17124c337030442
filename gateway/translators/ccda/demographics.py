"""Names, addresses and telecoms of people and organizations (C-CDA on FHIR, Mapping Guidance: name, addr, telecom)."""

from __future__ import annotations

import re

from .codes import CONCEPTS
from .context import Context
from .node import V3, Element, children, folded, plain_text
from .values import Value, distinct, kept, period

_NAME_PARTS = {V3 + "given": "given", V3 + "prefix": "prefix", V3 + "suffix": "suffix"}
_FAMILY, _VALID = V3 + "family", V3 + "validTime"
_GIVEN = V3 + "given"
QUALIFIER = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-qualifier"
_QUALIFIERS = frozenset(["LS", "AC", "NB", "PR", "HON", "BR", "AD", "SP", "MID", "CL", "IN", "VV"])
_LINES = ["streetAddressLine", "streetAddress", "deliveryAddressLine", "additionalLocator", "careOf", "postBox"]
_STREET = ["houseNumber", "houseNumberNumeric", "buildingNumberSuffix", "direction", "streetName", "streetNameBase"]
_TOGETHER = {V3 + name: "street" for name in [*_STREET, "streetNameType"]} | {
    V3 + "unitType": "unit",
    V3 + "unitID": "unit",
}
"""Parts that are one line when they follow each other."""
_LINE_PARTS = frozenset([*(V3 + name for name in _LINES), *_TOGETHER])
_PLACES = {V3 + "city": "city", V3 + "state": "state", V3 + "postalCode": "postalCode", V3 + "country": "country"}
_PLACES[V3 + "county"] = "district"
_KINDS = {"PHYS": "physical", "PST": "postal"}
_USEABLE = frozenset([V3 + "useablePeriod", V3 + "validTime"])
_PHONE = re.compile(r"[+(]?\d[\d\s().+\-x*#]*", re.IGNORECASE)


def _use(element: Element, table: str) -> str | None:
    for code in (element.get("use") or "").split():
        if found := CONCEPTS[table].get(code):
            return found.code
    return None


def human_name(element: Element | None, ctx: Context) -> Value | None:
    """PN -> HumanName; a name that is only text stays text. What a part is (`qualifier`) stands beside it."""
    if element is None or element.get("nullFlavor"):
        return None
    families: list[Element] = []
    marks: dict[str, list[str | None]] = {}
    found: Value = {}
    for child in children(element):
        tag = str(child.tag)
        if tag == _VALID:
            found["period"] = period(child, ctx)
        elif text := _told(child):
            if tag == _FAMILY:
                families.append(child)
            elif tag in _NAME_PARTS:
                found.setdefault(_NAME_PARTS[tag], []).append(text)
                marks.setdefault(_NAME_PARTS[tag], []).append(child.get("qualifier"))
    if families:
        own = [one for one in families if len(families) == 1 or not _is_by_birth(one)] or families
        found["family"] = " ".join(filter(None, map(plain_text, own)))
        marks["family"] = [own[0].get("qualifier") if len(own) == 1 else None]
    if not found:
        text = _words(element)
        return _named(element, {"text": text}) if text else None
    return _named(element, kept({**found, **_qualified(marks)}))


def _told(part: Element) -> str | None:
    """The words of a part; a null one has none, whatever stands in it."""
    return None if part.get("nullFlavor") else plain_text(part)


def _words(element: Element) -> str | None:
    """All words of what has no parts that are known."""
    parts = [f"{_told(child) or ''}{child.tail or ''}" for child in children(element) if child.tag not in _USEABLE]
    return folded("".join([element.text or "", *parts]))


def _qualified(marks: dict[str, list[str | None]]) -> Value:
    """The qualifiers of the parts, as far as FHIR has them. Where some parts of a kind have none, nothing can stand
    beside those: the nickname is then a name of its own (`human_names`)."""
    found: Value = {}
    for part, qualifiers in marks.items():
        said = [[mark for mark in (one or "").split() if mark in _QUALIFIERS] for one in qualifiers]
        if all(said):
            twins = [{"extension": [{"url": QUALIFIER, "valueCode": mark} for mark in one]} for one in said]
            found[f"_{part}"] = twins[0] if part == "family" else twins
    return found


def _named(element: Element, name: Value) -> Value:
    use = _use(element, "name-use")
    if use == "anonymous" and any(map(_is_nickname, children(element))):
        use = "nickname"
    return {"use": use, **name} if use else name


def _is_by_birth(part: Element) -> bool:
    return part.tag == _FAMILY and "BR" in (part.get("qualifier") or "").split()


def _is_nickname(part: Element) -> bool:
    """Called by (CF-NameUse: the name is a nickname then)."""
    return part.tag == _GIVEN and "CL" in (part.get("qualifier") or "").split()


def human_names(elements: list[Element], ctx: Context) -> list[Value]:
    """All of them; after one whose givens name what somebody is called by, that as a nickname; after one that names
    the family by birth as well, that."""
    found: list[Value | None] = []
    for element in elements:
        name = human_name(element, ctx)
        found.append(name)
        if name and "_given" not in name and len(name.get("given", ())) > 1:
            found += [_nickname(part, name) for part in children(element) if _is_nickname(part)]
        if name and "family" in name:
            found += _by_birth(element)
    return distinct(found)


def _by_birth(element: Element) -> list[Value | None]:
    """The families by birth beside another one."""
    families = [child for child in children(element) if child.tag == _FAMILY]
    births = [one for one in families if _is_by_birth(one)] if len(families) > 1 else []
    return [_named_at_birth(one) for one in births] if len(births) < len(families) else []


def _named_at_birth(part: Element) -> Value | None:
    family = plain_text(part)
    return {"family": family, **_qualified({"family": [part.get("qualifier")]})} if family else None


def _nickname(part: Element, name: Value) -> Value | None:
    called = plain_text(part)
    return kept({"use": "nickname", "family": name.get("family"), "given": [called]}) if called else None


def telecoms(elements: list[Element], ctx: Context) -> list[Value]:
    return distinct([telecom(element, ctx) for element in elements])


def telecom(element: Element, ctx: Context) -> Value | None:
    """TEL -> ContactPoint: the scheme says which system, the rest is the value as written."""
    written = folded(element.get("value"))
    if not written or element.get("nullFlavor"):
        return None
    scheme, colon, rest = written.partition(":")
    system = CONCEPTS["telecom-system"].get(scheme.lower())
    if not colon or system is None:
        found = {"system": _guessed(written), "value": written}
    elif system.code == "url":
        found = {"system": "url", "value": written}
    elif rest.strip():
        found = {"system": system.code, "value": rest.strip()}
    else:
        return None
    if "PG" in (element.get("use") or "").split():
        found["system"] = "pager"
    if use := _use(element, "telecom-use"):
        found["use"] = use
    return found if (during := _during(element, ctx)) is None else {**found, "period": during}


def _guessed(written: str) -> str:
    """Without a scheme: what can only be a phone number or an e-mail address is one, anything else `other`."""
    if _PHONE.fullmatch(written):
        return "phone"
    return "email" if "@" in written and " " not in written and ":" not in written else "other"


def _during(element: Element, ctx: Context) -> Value | None:
    for child in children(element):
        if child.tag in _USEABLE:
            return period(child, ctx)
    return None


def addresses(elements: list[Element], ctx: Context) -> list[Value]:
    return distinct([address(element, ctx) for element in elements])


def address(element: Element | None, ctx: Context) -> Value | None:
    """AD -> Address; one that is only text stays text."""
    if element is None or element.get("nullFlavor"):
        return None
    found: Value = {}
    lines: list[str] = []
    before = None
    for child in children(element):
        tag = str(child.tag)
        text = None if tag in _USEABLE else _told(child)
        if text and tag in _LINE_PARTS:
            group = _TOGETHER.get(tag)
            lines[-1:] = [f"{lines[-1]} {text}"] if group and group == before else [*lines[-1:], text]
            before = group
        elif text and tag in _PLACES:
            found[_PLACES[tag]] = text
    if lines:
        found["line"] = lines
    if not found and (text := _words(element)):
        found["text"] = text
    if not found:
        return None
    if use := _use(element, "address-use"):
        found["use"] = use
    if kind := next((_KINDS[code] for code in (element.get("use") or "").split() if code in _KINDS), None):
        found["type"] = kind
    return found if (during := _during(element, ctx)) is None else {**found, "period": during}
