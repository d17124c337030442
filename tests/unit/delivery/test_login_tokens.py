"""What a token endpoint is asked: the fields that its own contract lists, and no other."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.connectors import config_file
from gateway.connectors.config import CLIENT_SECRET
from gateway.delivery.login_tokens import Tokens, refresh_call

CALLBACK = "https://gateway.test/oauth/callback"
LOGIN = {"scheme": "OAuth2", "grant": "authorization_code", "clientId": "me", "clientSecret": "secret"}
CAMPDOC = {"name": "camp", "profile": "campdoc", "options": {"orgID": 12345}, "auth": LOGIN}
CANVAS = {
    "name": "canvas",
    "profile": "canvas_fhir",
    "endpoint": "https://fumage-example.canvasmedical.com",
    "auth": LOGIN,
}
ASKED = {"grant_type": "refresh_token", "refresh_token": "the-token"}


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (CAMPDOC, ASKED),
        (CANVAS, {**ASKED, "redirect_uri": CALLBACK, "client_id": "me", "client_secret": "secret"}),
    ],
    ids=["campdoc", "canvas"],
)
def test_a_refresh_holds_what_is_documented(body: dict[str, Any], form: dict[str, str]) -> None:
    """RFC 6749 §6 has no redirect_uri; Canvas documents it, CampDoc does not."""
    config, _ = config_file.parse_one(body)
    tokens = Tokens("spent", 0.0, 1.0, "the-token")
    call = refresh_call("https://there.test/token", config, {CLIENT_SECRET: "secret"}, tokens, CALLBACK)
    assert dict(call.form or ()) == form
