"""CDA data types -> FHIR data types (HL7 C-CDA on FHIR 2.0.0, Mapping Guidance; CDA R2 data types).

Every function takes the element and gives a complete FHIR value or None: never an empty one, never one that the
source does not have. What is made of a few attributes alone is made once and shared, so that nobody may change a value
that he was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any

from gateway.fhir import json
from gateway.fhir.absent import DATA_ABSENT

from .codes import CONCEPTS, code_system_uri, system_uri
from .context import Context
from .narrative import text_of
from .node import V3, XSI_TYPE, Element, child_of, children, folded, plain_text
from .times import Interval, runs_backwards
from .ucum import is_ucum

Value = dict[str, Any]
TRUTH: dict[str | None, bool] = {"true": True, "1": True, "false": False, "0": False}
"""A BL as it is written (XML Schema boolean)."""

DATA_ABSENT_CODES = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
LOINC = "http://loinc.org"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
URI = "urn:ietf:rfc:3986"

_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_ORIGINAL_TEXT, _TRANSLATION, _REFERENCE = V3 + "originalText", V3 + "translation", V3 + "reference"
_QUALIFIER, _NAME, _VALUE = V3 + "qualifier", V3 + "name", V3 + "value"
_SIDES = {"7771000": "Left", "24028007": "Right", "51440002": "Right and left"}
"""SNOMED CT Side, where a qualifier has its code alone."""

_WIDTH = V3 + "width"
_LOW, _HIGH, _CENTER = V3 + "low", V3 + "high", V3 + "center"
_UUID_URI, _OID_URI = "urn:uuid:", "urn:oid:"
_NEVER = Interval()
_UNIT_ALONE = (None, "OTH")
_FEW = 8


def distinct(values: Iterable[Value | None]) -> list[Value]:
    """Those that are there, each once. A few are compared one by one, which is faster; of thousands that never ends."""
    there = [value for value in values if value]
    if len(there) > _FEW:
        return [*{json.encode(value): value for value in there}.values()]
    return [value for at, value in enumerate(there) if value not in there[:at]] if len(there) > 1 else there


def kept(fields: Value) -> Value:
    """The fields that have a value: FHIR has no empty elements, and False and 0 are values."""
    return {name: value for name, value in fields.items() if value or (value is not None and value == 0)}


def absent(reason: str = "unknown") -> Value:
    """The element that says why there is no value (`data-absent-reason`)."""
    return {"extension": [{"url": DATA_ABSENT, "valueCode": reason}]}


def absent_reason(element: Element | None) -> str:
    """The data-absent-reason of a nullFlavor; `unknown` when there is none."""
    flavor = None if element is None else element.get("nullFlavor")
    concept = CONCEPTS["null-flavor"].get(flavor or "")
    return concept.code if concept else "unknown"


def absent_concept(element: Element | None = None) -> Value:
    """A required CodeableConcept that the source does not give: the code that says so."""
    return concept(absent_reason(element), DATA_ABSENT_CODES)


def in_words(concept: Value) -> str | None:
    """What a CodeableConcept says to people."""
    displays = (coding.get("display") for coding in concept.get("coding", ()))
    return concept.get("text") or next(filter(None, displays), None)


@lru_cache(maxsize=1024)
def concept(code: str, system: str, display: str | None = None) -> Value:
    """A CodeableConcept of one coding that is ours, not the document's."""
    coding = {"system": system, "code": code}
    if display:
        coding["display"] = display
    return {"coding": [coding]}


def codeable(element: Element | None, ctx: Context) -> Value | None:
    """CD, CE, CV, CO, CS -> CodeableConcept: the code, its translations, the original text with its reference. What a
    qualifier adds (which side) has no element of its own: it is told in words, unless the original text has them."""
    if element is None:
        return None
    if not len(element):
        code = None if element.get("nullFlavor") else element.get("code")
        return _codeable(code, _system(element), element.get("displayName"))
    own, text, more = coding(element), None, list[tuple[str | None, str]]()
    codings = [own] if own else []
    translations: list[Value | None] = []
    for child in children(element):
        if child.tag == _TRANSLATION:
            translations.append(coding(child))
        elif child.tag == _ORIGINAL_TEXT:
            text = resolved(child, ctx)
        elif child.tag == _QUALIFIER:
            more += _qualified(child)
    if translations:
        codings = distinct([own, *translations])
    if more:
        text = _with(more, text or folded(element.get("displayName")) or (own or {}).get("code"))
    if not codings:
        text = text or folded(element.get("displayName"))
        return {"text": text} if text else None
    return {"coding": codings, "text": text} if text else {"coding": codings}


def _qualified(qualifier: Element) -> list[tuple[str | None, str]]:
    """What it says of what: Laterality, Left; nothing where its value has no words that are known."""
    name, value = child_of(qualifier, _NAME), child_of(qualifier, _VALUE)
    if value is None or value.get("nullFlavor"):
        return []
    words = folded(value.get("displayName")) or _SIDES.get(value.get("code") or "")
    return [(None if name is None else folded(name.get("displayName")), words)] if words else []


def _with(qualifiers: list[tuple[str | None, str]], text: str | None) -> str | None:
    for what, words in qualifiers:
        if text and not re.search(rf"\b{re.escape(words)}\b", text, re.IGNORECASE):
            text = f"{text}, {what}: {words}" if what else f"{text}, {words}"
    return text


@lru_cache(maxsize=4096)
def _codeable(code: str | None, root: str | None, name: str | None) -> Value | None:
    """Of the attributes alone; the same few codes come again and again."""
    if code and (found := _coding(code, root, name)):
        return {"coding": [found]}
    text = folded(name)
    return {"text": text} if text else None


def coding(element: Element | None) -> Value | None:
    """One code with its system and display; None when the source has no code."""
    if element is None:
        return None
    code = element.get("code")
    if not code or element.get("nullFlavor"):
        return None
    return _coding(code, _system(element), element.get("displayName"))


def _system(element: Element) -> str | None:
    """By its OID, else by its name."""
    return element.get("codeSystem") or element.get("codeSystemName")


@lru_cache(maxsize=4096)
def _coding(code: str, root: str | None, name: str | None) -> Value | None:
    found = folded(code)
    return kept({"system": code_system_uri(root), "code": found, "display": folded(name)}) if found else None


def resolved(element: Element | None, ctx: Context) -> str | None:
    """ED and ST -> text: its own words, else those of the narrative that its reference names."""
    if element is None:
        return None
    if not len(element):
        return folded(element.text)
    if not _only_refers(element) and (own := plain_text(element)):
        return own
    for child in children(element):
        if child.tag == _REFERENCE:
            target = ctx.ids.named(child)
            return None if target is None else text_of(target)
    return None


def _only_refers(element: Element) -> bool:
    """Whether there is nothing but one empty element with blanks around it: the usual case, quickly told."""
    child = element[0]
    if len(element) > 1 or len(child) or child.text:
        return False
    return not (element.text and element.text.strip()) and not (child.tail and child.tail.strip())


def identifier(element: Element) -> Value | None:
    """II -> Identifier: root and extension, or the root alone as a URI; None for a null one."""
    root, extension = element.get("root"), folded(element.get("extension"))
    if element.get("nullFlavor") or not (root or extension):
        return None
    system = system_uri(root) if root else None
    if extension:
        found: Value = {"system": system, "value": extension} if system else {"value": extension}
    elif system and system.startswith((_UUID_URI, _OID_URI)):
        found = {"system": URI, "value": system}
    elif root and (written := folded(root)):
        found = {"value": written}
    else:
        return None
    authority = element.get("assigningAuthorityName")
    if authority and (name := folded(authority)):
        found["assigner"] = {"display": name}
    return found


def identifiers(elements: list[Element]) -> list[Value]:
    """All of them, each once."""
    found = [one for element in elements if (one := identifier(element))]
    return found if len(found) < 2 else distinct(found)


def number(text: str | None) -> Decimal | None:
    """A decimal with the digits as written; None for what is no number."""
    if not text or len(text) > 40:
        return None
    stripped = text.strip()
    return Decimal(stripped) if _DECIMAL.fullmatch(stripped) else None


def count(text: str | None) -> int | None:
    """From 1 to 999, in digits: a dose, a dispense. XML knows no other digits than these ten (XML Schema 2 §3.3.3)."""
    return int(text) if text and len(text) < 4 and text.isascii() and text.isdecimal() and int(text) else None


def quantity(element: Element | None) -> Value | None:
    """PQ -> Quantity. A unit is called UCUM only when it is one; a quantity without a unit gets none. What is counted
    (`unit="1"`, tablets, units) may stand in the words of a translation of the same number. A null one is none, but
    for one of which only the unit is null (OTH)."""
    if element is None or element.get("nullFlavor") not in _UNIT_ALONE:
        return None
    found = _quantity(element.get("value"), element.get("unit"))
    if found and len(element) and found.get("unit", "1") == "1" and (words := _counted(element)):
        return _quantity(element.get("value"), words) if is_ucum(words) else {**found, "unit": words}
    return found


def _counted(element: Element) -> str | None:
    for child in children(element):
        if child.tag == _TRANSLATION and number(child.get("value")) == number(element.get("value")):
            words = child_of(child, _ORIGINAL_TEXT)
            return None if words is None else plain_text(words)
    return None


@lru_cache(maxsize=4096)
def _quantity(digits: str | None, written: str | None) -> Value | None:
    value, unit = number(digits), folded(written)
    if value is None:
        return None
    if unit is None:
        return {"value": value}
    if is_ucum(unit):
        return {"value": value, "unit": unit, "system": UCUM, "code": unit}
    return {"value": value, "unit": unit}


def translated(element: Element, ctx: Context) -> Value | None:
    """PQR -> Quantity: one whose unit UCUM does not have (`nullFlavor="OTH"`), as its translation says it."""
    for child in children(element):
        if child.tag == _TRANSLATION and child.get("value"):
            words = resolved(child_of(child, _ORIGINAL_TEXT), ctx)
            return _quantity(
                child.get("value"), child.get("unit") or child.get("displayName") or words or child.get("code")
            )
    return None


def bounds(element: Element) -> tuple[Element | None, Element | None]:
    """The low and high of an interval."""
    low = high = None
    for child in children(element):
        if child.tag == _LOW:
            low = child
        elif child.tag == _HIGH:
            high = child
    return low, high


def quantity_range(element: Element) -> tuple[Value | None, Value | None]:
    """Both ends; one of which only the width is told is as far from the other."""
    lower, upper = bounds(element)
    low, high = quantity(lower), quantity(upper)
    if (low is None) != (high is None) and (width := quantity(child_of(element, _WIDTH))):
        return _apart(low, high, width)
    return low, high


def _apart(low: Value | None, high: Value | None, width: Value) -> tuple[Value | None, Value | None]:
    """In one unit: nothing is converted."""
    known = low or high or {}
    if known.get("unit") != width.get("unit"):
        return low, high
    if low:
        return low, {**low, "value": low["value"] + width["value"]}
    return {**known, "value": known["value"] - width["value"]}, high


def interval(element: Element | None, ctx: Context) -> Interval:
    """`effectiveTime` and its like."""
    if element is None:
        return _NEVER
    found = ctx.intervals.get(element)
    if found is None:
        found = ctx.intervals[element] = _interval(element, ctx)
    return found


def _interval(element: Element, ctx: Context) -> Interval:
    if value := ctx.moment(element):
        return Interval(value)
    if not len(element):
        return _NEVER
    low, high = bounds(element)
    if low is None and high is None:
        return Interval(value=next((ctx.moment(child) for child in children(element) if child.tag == _CENTER), None))
    flavor = None if high is None else high.get("nullFlavor")
    ended = high is not None and (flavor == "UNK" or (flavor is None and bool(high.get("value"))))
    found = Interval(None, ctx.moment(low), ctx.moment(high), ended)
    if runs_backwards(found.low, found.high):
        ctx.issue("warning", "business-rule", "the interval ends before it starts", element)
    return found


def period(element: Element | None, ctx: Context) -> Value | None:
    """IVL_TS -> Period; one that runs backwards keeps its start only, as FHIR forbids it (per-1)."""
    found = interval(element, ctx)
    low = found.start
    if low is None and found.high is None:
        return None
    if found.high is None or runs_backwards(low, found.high):
        return {"start": low}
    return {"start": low, "end": found.high} if low else {"end": found.high}


def timed(name: str, element: Element | None, ctx: Context) -> Value:
    """`{nameDateTime}` for a point or an interval of equal ends, else `{namePeriod}`; nothing when nothing is known."""
    found = interval(element, ctx)
    if found.value or (found.low and found.low == found.high):
        return {f"{name}DateTime": found.value or found.low}
    if found.low is None and found.high is None:
        return {}
    return {f"{name}Period": period(element, ctx)}


def typed(element: Element | None) -> str:
    """The data type of a `value` element without its prefix; guessed from what it has where it is not said."""
    if element is None:
        return ""
    kind = (element.get(XSI_TYPE) or "").rpartition(":")[2]
    if kind:
        return kind
    if element.get("code"):
        return "CD"
    return "PQ" if element.get("unit") else "ST"
