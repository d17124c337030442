"""Webhook signatures, against the standardwebhooks library both ways and Metriport's test vector."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from gateway.connectors.signature import Signature, is_key, sign, verify
from gateway.errors import BadSignature

SECRET = "whsec_" + base64.b64encode(b"a key of the test's own").decode()
OTHER = "whsec_" + base64.b64encode(b"another key altogether").decode()
NOW = datetime(2026, 3, 4, 5, 6, 7, 890000, tzinfo=UTC)
BODY = b'{"type":"patient.updated","data":{"id":"pat_1"}}'


def check(headers: dict[str, str], *, secret: str | None = SECRET, body: bytes = BODY, **more: Any) -> str | None:
    scheme: Signature = more.pop("scheme", "standard")
    return verify(scheme, secret, headers, body, now=more.pop("now", NOW), **more)


def refused(headers: dict[str, str], **more: Any) -> None:
    with pytest.raises(BadSignature) as error:
        check(headers, **more)
    assert error.value.status == 401


def test_what_the_library_signs_we_accept() -> None:
    now = datetime.now(UTC)
    signature = Webhook(SECRET).sign("evt_1", now, BODY.decode())
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    assert check(headers, now=now) == "evt_1"


@given(body=st.text(), event_id=st.from_regex(r"[A-Za-z0-9_]{1,20}", fullmatch=True), key=st.binary(min_size=1))
def test_what_we_sign_the_library_accepts(body: str, event_id: str, key: bytes) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    data = body.encode("utf-8", "replace")
    headers = sign(secret, event_id, data, now=datetime.now(UTC))
    Webhook(secret).verify(data, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(data + b" ", headers, json_parse=False)


@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_"), SECRET.rstrip("=")])
def test_a_secret_with_or_without_prefix_and_padding(secret: str) -> None:
    assert check(sign(SECRET, "evt_1", BODY, now=NOW), secret=secret) == "evt_1"


@pytest.mark.parametrize("scheme", ["standard", "metriport", "hmac", "header"])
@pytest.mark.parametrize("secret", [None, ""])
def test_an_empty_secret_is_none(scheme: Signature, secret: str | None) -> None:
    """Everybody knows the empty one."""
    digest = hmac.new(b"", BODY, hashlib.sha256).hexdigest()
    stamp = str(int(NOW.timestamp()))
    signed = base64.b64encode(hmac.new(b"", f"evt_1.{stamp}.".encode() + BODY, hashlib.sha256).digest()).decode()
    headers = {"webhook-id": "evt_1", "webhook-timestamp": stamp, "webhook-signature": f"v1,{signed}"}
    more = {"standard": headers, "metriport": {"x-metriport-signature": digest}, "hmac": {"x-sig": digest}}
    refused(more.get(scheme, {"x-sig": ""}), scheme=scheme, secret=secret, header="x-sig")


def test_one_right_signature_of_several_is_enough() -> None:
    headers = sign(SECRET, "evt_1", BODY, now=NOW)
    wrong = sign(OTHER, "evt_1", BODY, now=NOW)["webhook-signature"]
    right = headers["webhook-signature"]
    assert check({**headers, "webhook-signature": f"{wrong} v1a,abc {right}"}) == "evt_1"
    refused({**headers, "webhook-signature": f"{wrong} v1a,abc"})
    refused({**headers, "webhook-signature": right.replace("v1,", "v2,")})


@pytest.mark.parametrize("seconds", [-299, 0, 299])
def test_a_clock_that_is_a_little_off_is_tolerated(seconds: int) -> None:
    assert check(sign(SECRET, "evt_1", BODY, now=NOW + timedelta(seconds=seconds))) == "evt_1"


@pytest.mark.parametrize("seconds", [-302, 302, -86400])
def test_old_and_future_signatures_are_refused(seconds: int) -> None:
    refused(sign(SECRET, "evt_1", BODY, now=NOW + timedelta(seconds=seconds)))


def test_the_tolerance_is_a_setting() -> None:
    headers = sign(SECRET, "evt_1", BODY, now=NOW - timedelta(seconds=30))
    refused(headers, tolerance=10.0)
    assert check(headers, tolerance=60.0) == "evt_1"


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_refused(missing: str) -> None:
    headers = sign(SECRET, "evt_1", BODY, now=NOW)
    del headers[missing]
    refused(headers)


@pytest.mark.parametrize("timestamp", ["", "now", "nan", "inf", "1e9", "-1", "٣", "9" * 400])
def test_an_odd_timestamp_is_refused(timestamp: str) -> None:
    refused({**sign(SECRET, "evt_1", BODY, now=NOW), "webhook-timestamp": timestamp})


@pytest.mark.parametrize("changed", [{"body": BODY + b" "}, {"secret": OTHER}])
def test_another_body_or_key_is_refused(changed: dict[str, Any]) -> None:
    refused(sign(SECRET, "evt_1", BODY, now=NOW), **changed)


def test_the_event_id_is_signed_too() -> None:
    refused({**sign(SECRET, "evt_1", BODY, now=NOW), "webhook-id": "evt_2"})


def test_every_refusal_says_the_same() -> None:
    right = sign(SECRET, "evt_1", BODY, now=NOW)
    cases = [
        {},
        {**right, "webhook-signature": "v1,AAAA"},
        {**right, "webhook-timestamp": "1"},
        {**right, "webhook-id": "x"},
    ]
    messages = set()
    for headers in cases:
        with pytest.raises(BadSignature) as error:
            check(headers)
        messages.add(error.value.message)
    assert len(messages) == 1


def test_without_a_secret_nothing_is_accepted() -> None:
    refused(sign(SECRET, "evt_1", BODY, now=NOW), secret=None)
    refused(sign(SECRET, "evt_1", BODY, now=NOW), secret="not base64!")


def test_unsigned_only_where_it_is_said() -> None:
    assert check({}, scheme="none", secret=None) is None


METRIPORT_BODY = b'{"ping":"abc123","meta":{"messageId":"m-1","when":"2024-12-26T10:03:22.000Z","type":"ping"}}'
METRIPORT_SIGNATURE = "54652dcae5122b136600e10423e390ff0e763ef1ed708a4cd25e524356185400"


def test_metriports_vector() -> None:
    known = {"scheme": "metriport", "secret": "test-webhook-key", "body": METRIPORT_BODY}
    assert check({"x-metriport-signature": METRIPORT_SIGNATURE}, **known) is None
    refused({"x-metriport-signature": METRIPORT_SIGNATURE}, **{**known, "body": METRIPORT_BODY + b" "})
    refused({"x-metriport-signature": "é" * 64}, **known)
    refused({}, **known)


def test_a_plain_secret_in_a_header_of_the_connectors_choice() -> None:
    plain = {"scheme": "header", "header": "X-Hook-Secret", "secret": "open sesame"}
    assert check({"x-hook-secret": "open sesame"}, **plain) is None
    refused({"x-hook-secret": "open"}, **plain)
    refused({}, **plain)


def test_a_secret_that_could_never_verify_is_told_apart() -> None:
    assert is_key(SECRET)
    assert not is_key("whsec_")
    assert not is_key("with blanks and ümlauts")
