"""The token endpoint of the stand-in Canvas: client credentials, authorization code, single-use refresh tokens.

Source: canvas.md, surface C (customer-authentication).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from gateway.sandbox.canvas_chart import CanvasError

CLIENT_ID = "gateway-client"
CLIENT_SECRET = "gateway-client-secret"  # noqa: S105 (a stand-in's, for tests)
LIFETIME = 36_000
_FULL = "user/*.*"


@dataclass
class Logins:
    """`tokens`: access token -> scope. `refresh`: refresh token -> (redirect URI, scope), gone once used."""

    tokens: dict[str, str] = field(default_factory=dict)
    codes: dict[str, tuple[str, str]] = field(default_factory=dict)
    refresh: dict[str, tuple[str, str]] = field(default_factory=dict)
    issued: int = 0

    def expire(self) -> None:
        """Every access token is refused from now on."""
        self.tokens.clear()

    def revoke(self) -> None:
        """The refresh tokens too: an administrator withdrew the application."""
        self.expire()
        self.refresh.clear()

    def check(self, request: Request, right: str) -> None:
        """Raises 401 for an unknown or expired token, 403 for one without the scope."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token not in self.tokens:
            raise CanvasError(401, "unknown", "Authentication failed")
        scopes = self.tokens[token].split()
        if not {_FULL, "user/Patient.*", f"user/Patient.{right}"} & set(scopes):
            raise CanvasError(403, "forbidden", "Authorization failed")

    async def authorize(self, request: Request) -> Response:
        """The browser step, its user content with everything."""
        asked = request.query_params
        if asked.get("response_type") != "code" or asked.get("client_id") != CLIENT_ID or not asked.get("redirect_uri"):
            return JSONResponse({"error": "invalid_request"}, 400)
        code = secrets.token_urlsafe(16)
        self.codes[code] = (asked["redirect_uri"], asked.get("scope") or _FULL)
        state = {"state": asked["state"]} if "state" in asked else {}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, **state})}", 302)

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        if not _is_client(form):
            return JSONResponse({"error": "invalid_client"}, 401)
        grants = {"authorization_code": self._by_code, "refresh_token": self._by_refresh}
        grant = form.get("grant_type", "")
        if grant == "client_credentials":
            return JSONResponse(self._issue(form.get("scope") or _FULL))
        if grant not in grants:
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        return grants[grant](form)

    def _by_code(self, form: Mapping[str, str]) -> Response:
        return self._exchange(self.codes.pop(form.get("code", ""), None), form)

    def _by_refresh(self, form: Mapping[str, str]) -> Response:
        return self._exchange(self.refresh.pop(form.get("refresh_token", ""), None), form)

    def _exchange(self, granted: tuple[str, str] | None, form: Mapping[str, str]) -> Response:
        if granted is None or granted[0] != form.get("redirect_uri"):
            return JSONResponse({"error": "invalid_grant"}, 400)
        again = secrets.token_urlsafe(24)
        self.refresh[again] = granted
        return JSONResponse({**self._issue(granted[1]), "refresh_token": again})

    def _issue(self, scope: str) -> dict[str, object]:
        token = secrets.token_urlsafe(24)
        self.tokens[token] = scope
        self.issued += 1
        return {"access_token": token, "expires_in": LIFETIME, "token_type": "Bearer", "scope": scope}


def _is_client(form: Mapping[str, str]) -> bool:
    known = form.get("client_id") == CLIENT_ID
    return known and hmac.compare_digest(form.get("client_secret", "").encode(), CLIENT_SECRET.encode())
