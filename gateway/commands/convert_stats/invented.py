"""What a Bundle says that stands nowhere in its document: codes, numbers, dates, zones and ids without a source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from gateway.fhir.json import Resource

from . import tokens

_OURS = ("http://terminology.hl7.org/", "http://hl7.org/fhir", "urn:ietf:bcp:", "http://unitsofmeasure.org")
"""Systems whose codes the mapping itself writes (status, category, absent reasons)."""

_NO_KNOWN = ("716186003", "409137002", "428607008", "429625007", "1003774007", "160245001", "60001007")
_FIXED = frozenset(["85354-9", "59408-5", "8716-3", "85353-1", "82810-3", "72166-2", "30980-7", *_NO_KNOWN])
"""Codes that HL7's mapping, US Core and FHIR prescribe: vital signs, smoking, a vaccine that is due, `no known`."""

_TIME = re.compile(r"(\d{4}(?:\d\d){0,5})(\.\d+)?\s*(Z|[+-]\d\d:?\d\d|[+-]\d\d)?")
_XML_TIME = re.compile(r"\d{4}-\d\d-\d\d(T|$)|\d{8}T")
_FHIR_TIME = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?")
_DATED = re.compile(r"date|time|period|start|end|issued|recorded|created|sent|onset|abatement", re.IGNORECASE)
_COUNTED = (".rank", ".numberOfRepeatsAllowed")
"""Numbers that the mapping counts: refills are one less than the times it is given."""

_SKIPPED = frozenset(["resourceType", "id", "fullUrl", "request", "meta", "div", "data", "url", "reference"])


class _Source:
    """Every value of the document, whatever it means there."""

    def __init__(self, data: bytes) -> None:
        root = etree.fromstring(data, etree.XMLParser(huge_tree=True, remove_comments=True, remove_pis=True))
        said = [str(text) for element in root.iter() for text in (*element.attrib.values(), element.text or "")]
        self.values = {" ".join(text.split()) for text in said}
        self.folded = {text.casefold() for text in self.values}
        self.numbers = {number for text in self.values if (number := tokens.quantity(text)) is not None}
        found = [match for text in self.values if (match := _TIME.fullmatch(_plain(text)))]
        self.times = {(match[1] + (match[2] or ""), _offset(match[3])) for match in found}
        self.days = {digits[:size] for digits, _ in self.times for size in (4, 6, 8)}

    def has_time(self, written: str) -> bool:
        """As precise as the source at most; seconds may be zero-filled, a zone must be the source's."""
        if len(written) <= 10:
            return written.replace("-", "") in self.days
        digits = re.sub(r"\D", "", written[:19])
        zone = _offset(re.sub(r"^.{19}(\.\d+)?", "", written))
        return any(_same_time(digits, source) and zone == there for source, there in self.times)


def _plain(text: str) -> str:
    """A time as ISO 8601 and XML write it, which some put where HL7's digits belong."""
    if not _XML_TIME.match(text):
        return text
    day, _, clock = text.partition("T")
    return day.replace("-", "") + clock.replace(":", "")


def _same_time(digits: str, source: str) -> bool:
    clock = source.partition(".")[0]
    return len(clock) >= 12 and digits == f"{clock:0<14}"


def _offset(text: str | None) -> str:
    if not text:
        return ""
    plain = text.replace(":", "")
    return "+0000" if plain == "Z" else f"{plain:0<5}"


def invented(data: bytes, bundle: Resource) -> Iterator[str]:
    """One line per invented value: its kind, where, and what."""
    source = _Source(data)
    for entry in bundle.get("entry", ()):
        resource = entry["resource"]
        yield from _in(resource, "", resource["resourceType"], source)


def _in(value: Any, key: str, path: str, source: _Source) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _in(one, key, path, source)
    elif isinstance(value, dict):
        yield from _coding(value, path, source)
        yield from _identifier(value, key, path, source)
        for name, inner in value.items():
            if name not in _SKIPPED:
                yield from _in(inner, name, f"{path}.{name}", source)
    elif isinstance(value, str):
        if _DATED.search(key) and _FHIR_TIME.fullmatch(value) and not source.has_time(value):
            yield f"date {path} {value}"
    elif value is not None and not isinstance(value, bool):
        number = tokens.quantity(value)
        if number is not None and number not in source.numbers and not path.endswith(_COUNTED):
            yield f"number {path} {value}"


def _coding(value: dict[str, Any], path: str, source: _Source) -> Iterator[str]:
    code, system = value.get("code"), value.get("system", "")
    if not isinstance(code, str) or "code" not in value or (system and system.startswith(_OURS)):
        return
    if system and code not in source.values and code not in _FIXED:
        yield f"code {path} {system}|{code}"


def _identifier(value: dict[str, Any], key: str, path: str, source: _Source) -> Iterator[str]:
    said = value.get("value")
    if key not in ("identifier", "masterIdentifier", "targetIdentifier") or not isinstance(said, str):
        return
    plain = said.removeprefix("urn:uuid:").removeprefix("urn:oid:").casefold()
    if plain not in source.folded:
        yield f"id {path} {said}"
