"""The spelling table: when two values of a slot say the same thing.

`same` compares one canonical form of both sides, so it is an equivalence by construction. Only what cannot carry a
clinical difference is spelling: letter case, blanks and typographic marks in names and addresses, the way a phone
number is set, the order of a list, the zone an instant is written in, element ids. Precision never is (`1980-02` is not
`1980-02-22`, `1.5` is not `1.50`), nor are accents, identifiers and codes. A clinical resource is compared exactly.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from gateway.fhir.json import canonical as _encode
from gateway.fhir.record import Value
from gateway.fhir.slots import WHOLE, element_of, renamed, unwrap

_TEXTS: Final[Mapping[str, frozenset[str]]] = {
    "name": frozenset({"family", "given", "prefix", "suffix", "text"}),
    "address": frozenset({"line", "city", "district", "state", "country", "text"}),
}
_DATES: Final = frozenset({"start", "end", "deceasedDateTime", "valueDateTime", "valueInstant"})
_NUMBERS: Final = frozenset({"phone", "fax", "sms", "pager"})
_MARKS: Final = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "‐": "-", "‑": "-", "–": "-", "\u00a0": " "})
_PHONE: Final = re.compile(r"(?i)^(?:tel:)?\s*(?P<number>\+?[\d\s().\-/·]+?)\s*(?:(?:;ext=|ext\.?|x)\s*(?P<ext>\d+))?$")
_INSTANT: Final = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(?:Z|[+-]\d\d:\d\d)$")


def same(slot: str, a: Value, b: Value) -> bool:
    """Whether both say the same thing about this slot; a tombstone (None) is only the same as another."""
    if a is b:
        return True
    if a is None or b is None:
        return False
    if exact(a, b):
        return True
    return slot != WHOLE and canonical(slot, a) == canonical(slot, b)


def exact(a: Value, b: Value) -> bool:
    """Equal JSON, digits of numbers included; the order of keys does not count."""
    return bool(a == b) and _encode(a) == _encode(b)


def canonical(slot: str, value: Value) -> bytes:
    """The one form that all spellings of a value share; comparable within one slot."""
    plain, twin, contained = unwrap(value)
    if contained:
        names = {item["id"]: str(number) for number, item in enumerate(contained)}
        plain, twin, contained = (renamed(part, names) for part in (plain, twin, contained))
    element = element_of(slot)
    if isinstance(plain, list):
        plain = sorted(_encode(_item(element, item)).decode() for item in plain)
    else:
        plain = _item(element, plain)
    return _encode([plain, _plain(twin), _plain(contained)])


def fold(text: str) -> str:
    """Names and addresses without the differences that only their typing makes."""
    return " ".join(unicodedata.normalize("NFC", text.translate(_MARKS)).casefold().split())


def phone(text: str) -> str:
    """The digits that are dialled: `+1` and a leading `1` before ten digits are the North American trunk, `00` is `+`.

    Other countries' national and international forms stay apart: without knowing the country they could be two phones.
    What is no number (a vanity number, a note) is folded text.
    """
    found = _PHONE.match(text.strip())
    if not found:
        return fold(text)
    number = found["number"].strip()
    if number.startswith("+"):
        number = number.replace("(0)", "")
    digits = ("+" if number.startswith("+") else "") + re.sub(r"\D", "", number)
    digits = re.sub(r"^00(?=[1-9])", "+", digits)
    digits = re.sub(r"^\+?1(?=\d{10}$)", "", digits)
    return f"{digits}x{found['ext']}" if found["ext"] else digits


def _item(element: str, item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    plain: dict[str, Any] = _plain(item)
    if element == "telecom":
        return _telecom(plain)
    texts = _TEXTS.get(element)
    if texts is None:
        return plain
    folded = {key: _folded(value) if key in texts else value for key, value in plain.items()}
    if isinstance(folded.get("postalCode"), str):
        folded["postalCode"] = "".join(folded["postalCode"].split()).upper()
    return folded


def _telecom(item: dict[str, Any]) -> dict[str, Any]:
    value = item.get("value")
    if not isinstance(value, str):
        return item
    if item.get("system") in _NUMBERS:
        return {**item, "value": phone(value)}
    return {**item, "value": fold(value) if item.get("system") == "email" else value.strip()}


def _folded(value: Any) -> Any:
    if isinstance(value, str):
        return fold(value)
    return [_folded(part) for part in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _instant(part) if key in _DATES and isinstance(part, str) else _plain(part)
        for key, part in value.items()
        if key != "id"
    }


def _instant(text: str) -> str:
    """An instant in UTC with the digits it was given; a date, or a time without a zone, stays as it is."""
    found = _INSTANT.match(text)
    if not found:
        return text
    try:
        moment = datetime.fromisoformat(re.sub(r"\.\d+", "", text)).astimezone(UTC)
    except (ValueError, OverflowError):
        return text
    return f"{moment:%Y-%m-%dT%H:%M:%S}{found[1] or ''}Z"
