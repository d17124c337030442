"""The logins of the stand-in Canvas: client credentials, authorization code, single-use refresh tokens.

Source: canvas.md, surface C (customer-authentication).
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request

from gateway.sandbox.canvas_chart import CanvasError
from gateway.sandbox.oauth import Client, Knobs, OAuthServer

CLIENT_ID = "gateway-client"
CLIENT_SECRET = "gateway-client-secret"  # noqa: S105 (a stand-in's, for tests)
REDIRECTS = ("http://127.0.0.1:8000/oauth/callback",)
LIFETIME = 36_000.0
SCOPES = frozenset({"user/Patient.read", "user/Patient.write", "user/Patient.*"})
GRANTS = ("client_credentials", "authorization_code", "refresh_token")


def server(redirects: Iterable[str]) -> OAuthServer:
    """With one registered application, which may come back to these addresses."""
    client = Client(CLIENT_ID, CLIENT_SECRET, tuple(redirects), SCOPES, shows="post")
    return OAuthServer([client], knobs=Knobs(lifetime=LIFETIME, rotation=True), grants=GRANTS)


def check(logins: OAuthServer, request: Request, right: str) -> None:
    """Raises 401 for an unknown or expired token, 403 for one without the scope."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    scopes = logins.scopes_of(token) if scheme.lower() == "bearer" else None
    if scopes is None:
        raise CanvasError(401, "unknown", "Authentication failed")
    if not {"user/Patient.*", f"user/Patient.{right}"} & scopes:
        raise CanvasError(403, "forbidden", "Authorization failed")
