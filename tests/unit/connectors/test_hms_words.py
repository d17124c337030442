"""HMS-API's own words for what the connector file says in ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.connectors.config_file import parse_one
from gateway.connectors.signature import verify
from gateway.errors import BadSignature, InvalidInput

BODY = {"name": "a", "endpoint": "https://a.example", "push": False}


@pytest.mark.parametrize("name", ["canvas", "impilo", "fhir"])
def test_a_partners_profile_is_a_type(name: str) -> None:
    config, _ = parse_one({**BODY, "type": name})
    assert (config.profile, config.type) == (name, None)


@pytest.mark.parametrize("name", ["HL7v2", "hl7v2", "Fhir", "", 7])
def test_a_type_that_there_is_not_is_named(name: Any) -> None:
    with pytest.raises(InvalidInput, match=r"connector\.type must be one of FHIR, REST, CCDA"):
        parse_one({**BODY, "type": name})


def signed(**auth: Any) -> dict[str, Any]:
    return {**BODY, "type": "canvas", "auth": {"scheme": "signedWebhook", **auth}, "sync": {"mode": "webhook"}}


def test_a_signed_webhook_is_how_they_show_themselves() -> None:
    config, secrets = parse_one(signed(secret="shh", header="X-Signature", algorithm="HMAC-SHA256"))
    assert (config.auth.scheme, config.signatures, config.sync.header) == ("none", ("hmac",), "X-Signature")
    assert secrets == {"webhook_secret": "shh"}


def test_other_algorithms_are_not_taken() -> None:
    with pytest.raises(InvalidInput, match="HMAC-SHA256"):
        parse_one(signed(secret="shh", algorithm="MD5"))


@pytest.mark.parametrize("form", ["{hex}", "sha256={hex}", "{base64}", "{upper}"])
def test_their_signature_is_taken_in_each_form(form: str) -> None:
    digest = hmac.new(b"shh", b"{}", hashlib.sha256).digest()
    text = form.format(hex=digest.hex(), upper=digest.hex().upper(), base64=base64.b64encode(digest).decode())
    now = datetime.now(UTC)
    assert verify("hmac", "shh", {"x-signature": text}, b"{}", now=now, header="X-Signature") is None
    for body, secret, header in (
        (b"{} ", "shh", "X-Signature"),
        (b"{}", "not", "X-Signature"),
        (b"{}", "shh", "X-Other"),
    ):
        with pytest.raises(BadSignature):
            verify("hmac", secret, {"x-signature": text}, body, now=now, header=header)
