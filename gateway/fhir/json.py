"""FHIR JSON in and out: numbers stay as written (`1.50`), bytes are produced once (FHIR R4 §2.6.2)."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from gateway.errors import Unparsable

Json = Any
Resource = dict[str, Any]

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")
_canonical = msgspec.json.Encoder(decimal_format="number", order="sorted")


def decode(data: bytes | str) -> Json:
    """Parsed JSON with every non-integer number a Decimal.

    Raises Unparsable with the byte offset, never with the text. Nesting beyond msgspec's own limit counts as
    unparsable too.
    """
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise Unparsable(f"not JSON: {error}") from None
    except UnicodeDecodeError as error:
        raise Unparsable(f"not JSON: not UTF-8 at byte {error.start}") from None
    except InvalidOperation:
        raise Unparsable("not JSON that we can read: a number with an exponent out of all bounds") from None
    except RecursionError:
        raise Unparsable("not JSON that we can read: nested too deeply") from None


def encode(value: Json) -> bytes:
    """Compact UTF-8 JSON; a Decimal is written with the digits it was read with."""
    return _encoder.encode(value)


def canonical(value: Json) -> bytes:
    """The same bytes for the same JSON whatever the order of its members; every digit of a number counts."""
    return _canonical.encode(value)


def raw(data: bytes) -> Json:
    """Bytes that are JSON already, to be put into an answer as they are."""
    return msgspec.Raw(data)
