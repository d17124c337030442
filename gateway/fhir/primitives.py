"""The primitive types as JSON Schemas, their lexical rules written out (FHIR R4 §2.24.0.1).

The patterns of the published models are loose (months of 31 days, an id of any length), so that these stand for
themselves. They run on a linear-time engine without look-around; `$` there is the end of the text, not of a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INTEGER_MIN, INTEGER_MAX = -(2**31), 2**31 - 1
STRING_MAX = 1024 * 1024

_YEAR = r"(?:[0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})"
_LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_FULL_DATE = rf"(?:{_YEAR}-{_DAY}|{_LEAP_YEAR}-02-29)"
_PARTIAL_DATE = rf"(?:{_YEAR}|{_YEAR}-(?:0[1-9]|1[0-2]))"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_INSTANT = rf"{_FULL_DATE}T{_TIME}{_ZONE}"

_SPACE = r"[ \t\r\n]*"
_SIX_BITS = rf"[A-Za-z0-9+/]{_SPACE}"
_BASE64 = (
    rf"{_SPACE}(?:(?:{_SIX_BITS}){{4}})*"
    rf"(?:(?:{_SIX_BITS}){{4}}|(?:{_SIX_BITS}){{3}}={_SPACE}|(?:{_SIX_BITS}){{2}}={_SPACE}={_SPACE})"
)
# What may not stand in a text: such patterns are smaller and faster than the list of all that may.
# XML, and PostgreSQL's text, cannot hold the control characters that the specification says SHOULD NOT be there.
_CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F]"
_BLANK = r"[\x00-\x20\x85\xA0]"

ID = r"[A-Za-z0-9.\-]{1,64}"


def _text(pattern: str, **limits: int) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^(?:{pattern})$", **limits}


def _free_of(pattern: str, **limits: int) -> dict[str, Any]:
    """A text that is not empty and has no place where the pattern fits."""
    return {"type": "string", "not": {"type": "string", "pattern": f"^$|{pattern}"}, **limits}


def _whole(low: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": INTEGER_MAX, "whole": True}


PRIMITIVES: Mapping[str, dict[str, Any]] = {
    "base64Binary": _text(_BASE64),
    "boolean": {"type": "boolean"},
    "canonical": _free_of(_BLANK),
    "code": _free_of(rf"^{_BLANK}|{_BLANK}$|{_BLANK}{{2}}|{_CONTROL}"),
    "date": _text(rf"{_PARTIAL_DATE}|{_FULL_DATE}"),
    "dateTime": _text(rf"{_PARTIAL_DATE}|{_FULL_DATE}|{_INSTANT}"),
    "decimal": {"type": "number"},
    "id": _text(ID),
    "instant": _text(_INSTANT),
    "integer": _whole(INTEGER_MIN),
    "markdown": _free_of(_CONTROL, maxLength=STRING_MAX),
    "oid": _text(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+"),
    "positiveInt": _whole(1),
    "string": _free_of(_CONTROL, maxLength=STRING_MAX),
    "time": _text(_TIME),
    "unsignedInt": _whole(0),
    "uri": _free_of(_BLANK),
    "url": _free_of(_BLANK),
    "uuid": _text(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    "xhtml": {"type": "string", "xhtml": True},
}

EXPECTED: Mapping[str, str] = {
    "base64Binary": "base64 of at least one byte, padded",
    "boolean": "true or false, without quotes",
    "canonical": "a canonical URL without spaces",
    "code": "text without leading, trailing or doubled spaces",
    "date": "a real date written YYYY, YYYY-MM or YYYY-MM-DD",
    "dateTime": "a real date (YYYY, YYYY-MM, YYYY-MM-DD) or a date and time with seconds and time zone",
    "decimal": "a number, without quotes",
    "id": "1 to 64 letters, digits, '-' and '.'",
    "instant": "a real date and time with seconds and time zone",
    "integer": "a whole number of 32 bits, without fraction and without quotes",
    "markdown": "text that is not empty, without control characters",
    "oid": "an OID written urn:oid:1.2.3",
    "positiveInt": "a whole number from 1 to 2147483647, without fraction and without quotes",
    "string": "text that is not empty, without control characters",
    "time": "a time of day written hh:mm:ss",
    "unsignedInt": "a whole number from 0 to 2147483647, without fraction and without quotes",
    "uri": "a URI without spaces",
    "url": "a URL without spaces",
    "uuid": "a UUID written urn:uuid:, in lower case",
    "xhtml": "XHTML in a div",
}
"""What a value of the type has to be, as the end of a sentence."""


def nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a place in a list, which may be null where its `_` twin speaks (FHIR R4 §2.6.2.2)."""
    return {**schema, "type": [schema["type"], "null"]}
