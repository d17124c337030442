"""Whether a webhook was signed by the system it claims to come from.

Sources: Standard Webhooks 1.0 (`webhook-id`, `webhook-timestamp`, `webhook-signature`); Metriport
(`x-metriport-signature`: hex HMAC-SHA256 of the raw body). Every comparison takes constant time, and the error never
says which part was wrong.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from gateway.errors import BadSignature

Signature = Literal["standard", "metriport", "hmac", "header", "none"]
"""`hmac` = HMAC-SHA256 of the raw body in a header of their choice, hex or base64, with or without `sha256=`;
`header` = the secret itself in a header; `none` = unsigned webhooks are accepted, said explicitly."""

_SHOWN_BY: Mapping[Signature, str] = {"standard": "webhook-signature", "metriport": "x-metriport-signature"}
"""The header by which a webhook shows which scheme it is signed by."""

TOLERANCE = 300.0
_PREFIX = "whsec_"
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


def verify(
    scheme: Signature,
    secret: str | None,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: datetime,
    header: str = "",
    tolerance: float = TOLERANCE,
) -> str | None:
    """The sender's event id where the scheme carries one (Standard Webhooks). Header names in lower case; `header` is
    the name for the schemes `header` and `hmac`.

    Raises BadSignature: no signature, a wrong one, too old or from the future, or no secret to check it with.
    """
    if scheme == "none":
        return None
    if not secret:
        raise BadSignature("this connector has no webhook secret, so nothing can be accepted for it")
    if scheme == "standard":
        return _standard(secret, headers, body, now, tolerance)
    if scheme == "metriport":
        _metriport(secret, headers, body)
    elif scheme == "hmac":
        _hmac(secret, headers.get(header.lower(), ""), body)
    else:
        _plain(secret, headers.get(header.lower(), ""))
    return None


def choose(schemes: Sequence[Signature], headers: Mapping[str, str]) -> Signature:
    """Of the schemes that a system may sign by the one that this webhook is signed by; the last where none shows."""
    return next((one for one in schemes if _SHOWN_BY.get(one, "") in headers), schemes[-1])


def sign(secret: str, event_id: str, body: bytes, *, now: datetime) -> dict[str, str]:
    """The Standard Webhooks headers for a body that we send."""
    timestamp = str(int(now.timestamp()))
    signature = base64.b64encode(_digest(_key_bytes(secret), event_id, timestamp, body)).decode()
    return {"webhook-id": event_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}


def is_key(secret: str) -> bool:
    """Whether a Standard Webhooks secret can be used: base64, with or without `whsec_` and padding."""
    return bool(_key_bytes(secret))


def _key_bytes(secret: str) -> bytes:
    text = secret.removeprefix(_PREFIX)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""


def _standard(secret: str, headers: Mapping[str, str], body: bytes, now: datetime, tolerance: float) -> str:
    event_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not event_id or not _TIMESTAMP.fullmatch(timestamp):
        raise _bad()
    if abs(now.timestamp() - int(timestamp)) > tolerance:
        raise _bad()
    key = _key_bytes(secret) or secret.encode()  # of a system that signs by other schemes too, any text is one
    expected = base64.b64encode(_digest(key, event_id, timestamp, body))
    presented = headers.get("webhook-signature", "").split(" ")
    found = [_equal(expected, text.removeprefix("v1,")) for text in presented if text.startswith("v1,")]
    if not any(found):
        raise _bad()
    return event_id


def _digest(key: bytes, event_id: str, timestamp: str, body: bytes) -> bytes:
    return hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()


def _metriport(secret: str, headers: Mapping[str, str], body: bytes) -> None:
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not _equal(expected.encode(), headers.get("x-metriport-signature", "").lower()):
        raise _bad()


def _hmac(secret: str, presented: str, body: bytes) -> None:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    text = presented.removeprefix("sha256=")
    # Both are compared, so that the time does not tell which form was sent.
    in_hex = _equal(digest.hex().encode(), text.lower())
    if not (_equal(base64.b64encode(digest), text) or in_hex):
        raise _bad()


def _plain(secret: str, presented: str) -> None:
    # Digests have one length, so that the comparison does not tell how long the secret is.
    if not hmac.compare_digest(hashlib.sha256(secret.encode()).digest(), hashlib.sha256(presented.encode()).digest()):
        raise _bad()


def _equal(expected: bytes, presented: str) -> bool:
    return hmac.compare_digest(expected, presented.encode("utf-8", "surrogateescape"))


def _bad() -> BadSignature:
    return BadSignature("the webhook is not signed by this connector's system, or not now")
