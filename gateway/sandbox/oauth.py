"""An OAuth 2 server for the stand-ins (RFC 6749, 6750, 7523, 7636): login page, codes, refresh, rotation on request.

It is as strict as its partners are: codes are single use, PKCE is checked when a challenge was sent, redirect
addresses are registered, a client shows itself in the one way it is registered for.
"""

from __future__ import annotations

import hmac
import html
import secrets
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.errors import Unparsable
from gateway.fhir import json
from gateway.sandbox.oauth_proof import basic_pair, check_assertion, fits_challenge

CODE_LIFE = 600.0
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_BAD_CLIENT = "the client did not show who it is"


@dataclass(frozen=True, slots=True)
class Client:
    """One registered application. `shows` = how it authenticates; `key` = its public JWK for private_key_jwt."""

    id: str
    secret: str = ""
    redirects: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()
    shows: Literal["basic", "post", "private_key_jwt"] = "basic"
    key: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Knobs:
    """What an operator of the stand-in may turn at `POST /_oauth`; seconds."""

    approve: Literal["auto", "deny", "ask"] = "auto"
    """What the login page does: grants at once, denies at once, or shows two buttons."""
    lifetime: float = 604_800.0
    code_lifetime: float = CODE_LIFE
    rotation: bool = False
    """A refresh token is single use: each refresh gives a new one and ends the old."""
    token_status: int | None = None
    """The token endpoint answers this status and does nothing."""


@dataclass(slots=True)
class Code:
    client: str
    redirect: str | None
    scopes: tuple[str, ...]
    challenge: str | None
    expires: float
    used: bool = False


@dataclass(slots=True)
class Grant:
    """What one approval gave: it stands until it is revoked; `access` holds the live access tokens."""

    client: str
    scopes: tuple[str, ...]
    refresh: str | None = None
    access: dict[str, float] = field(default_factory=dict)


class Refusal(Exception):
    """Answered as `{"error","error_description"}` (RFC 6749 §5.2)."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.status, self.body = status, {"error": error, "error_description": description}


class OAuthServer:
    """`scope_list`: the answer's scope is an array, as CampDoc sends it, not a string."""

    def __init__(
        self,
        clients: Iterable[Client],
        *,
        knobs: Knobs = Knobs(),
        grants: Iterable[str] = ("authorization_code", "refresh_token"),
        scope_list: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clients = {client.id: client for client in clients}
        self.knobs = knobs
        self.issued = 0
        self._allowed = frozenset(grants)
        self._scope_list = scope_list
        self._clock = clock
        self._codes: dict[str, Code] = {}
        self._grants: list[Grant] = []
        self._assertions: set[str] = set()

    def routes(self, *, authorize: str, token: str) -> list[Route]:
        """To be mounted by the stand-in, with the control route `/_oauth`."""
        return [
            Route(authorize, self.login, methods=["GET", "POST"]),
            Route(token, self.token, methods=["POST"]),
            Route("/_oauth", self.control, methods=["GET", "POST"]),
        ]

    def scopes_of(self, token: str) -> frozenset[str] | None:
        """What a live access token may do; None when it is none."""
        for grant in self._grants:
            if grant.access.get(token, 0.0) > self._clock():
                return frozenset(grant.scopes)
        return None

    def revoke(self) -> None:
        """All approvals end, as when an administrator takes them back."""
        self._grants.clear()

    def expire(self) -> None:
        """All access tokens end now; the approvals stand."""
        for grant in self._grants:
            grant.access.clear()

    async def login(self, request: Request) -> Response:
        """The page the browser is sent to. Only a registered address is ever redirected to."""
        asked = dict(request.query_params)
        client = self.clients.get(asked.get("client_id", ""))
        redirect = self._redirect(client, asked.get("redirect_uri"))
        if client is None or redirect is None:
            return HTMLResponse("<h1>Unknown client or redirect address</h1>", 400)
        if asked.get("response_type") != "code" or not asked.get("scope"):
            return _back(redirect, asked, error="invalid_request", error_description="response_type and scope")
        scopes = tuple(asked["scope"].split())
        if not set(scopes) <= client.scopes:
            return _back(redirect, asked, error="invalid_scope", error_description="a scope is not granted")
        decision = await self._decision(request)
        if decision == "ask":
            return HTMLResponse(_page(client.id, scopes))
        if decision == "deny":
            return _back(redirect, asked, error="access_denied", error_description="The user denied access")
        return _back(redirect, asked, code=self._code(client, asked, scopes))

    async def token(self, request: Request) -> Response:
        """The token endpoint: form in, JSON out, never cached."""
        try:
            answer = await self._answer(request)
        except Refusal as refusal:
            headers = {"www-authenticate": "Basic"} if refusal.status == 401 else {}
            return JSONResponse(refusal.body, refusal.status, headers)
        return JSONResponse(answer, headers={"cache-control": "no-store"})

    async def control(self, request: Request) -> Response:
        """`{"approve","lifetime",..}` set knobs; `{"revoke": true}` and `{"expire": true}` act at once; `redirects`
        registers addresses for every client."""
        if request.method == "POST":
            try:
                self._set(json.decode(await request.body()))
            except (Unparsable, TypeError, AttributeError, ValueError):
                names = ", ".join([*(one.name for one in fields(Knobs)), "revoke", "expire", "redirects"])
                return JSONResponse({"error": f"send an object with any of {names}"}, 400)
        live = sum(len(grant.access) for grant in self._grants)
        return Response(json.encode({"issued": self.issued, "grants": len(self._grants), "live": live}))

    def _set(self, asked: dict[str, Any]) -> None:
        if asked.pop("revoke", False):
            self.revoke()
        if asked.pop("expire", False):
            self.expire()
        if redirects := tuple(asked.pop("redirects", ())):
            self.clients = {name: replace(one, redirects=redirects) for name, one in self.clients.items()}
        turned: dict[str, Any] = {n: float(value) if n.endswith("lifetime") else value for n, value in asked.items()}
        self.knobs = replace(self.knobs, **turned)

    def _redirect(self, client: Client | None, asked: str | None) -> str | None:
        if client is None or not client.redirects:
            return None
        chosen = asked or client.redirects[0]
        parts = urlsplit(chosen)
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        return chosen if safe and chosen in client.redirects else None

    async def _decision(self, request: Request) -> str:
        if self.knobs.approve == "ask" and request.method == "POST":
            form = dict(parse_qsl((await request.body()).decode()))
            return "auto" if form.get("decision") == "approve" else "deny"
        return self.knobs.approve

    def _code(self, client: Client, asked: Mapping[str, str], scopes: tuple[str, ...]) -> str:
        code = str(uuid.uuid4())
        expires = self._clock() + self.knobs.code_lifetime
        challenge = asked.get("code_challenge")
        if challenge and asked.get("code_challenge_method") != "S256":
            challenge = "unsupported"  # never fits: plain challenges are refused at the exchange
        self._codes[code] = Code(client.id, asked.get("redirect_uri"), scopes, challenge, expires)
        return code

    async def _answer(self, request: Request) -> dict[str, Any]:
        if self.knobs.token_status is not None:
            raise Refusal("server_error", "a fault was asked for", self.knobs.token_status)
        kind = request.headers.get("content-type", "").partition(";")[0]
        if kind != "application/x-www-form-urlencoded":
            raise Refusal("invalid_request", "the body must be a form")
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        client = self._client(request, form)
        asked = form.get("grant_type", "")
        if asked not in self._allowed:
            raise Refusal("unsupported_grant_type", "that grant is not offered")
        return self._issue(_GRANTS[asked](self, client, form))

    def _client(self, request: Request, form: Mapping[str, str]) -> Client:
        if "client_assertion" in form:
            return self._asserted(request, form)
        name, secret = basic_pair(request.headers.get("authorization", ""))
        basic = name is not None
        if not basic:
            name, secret = form.get("client_id"), form.get("client_secret", "")
        client = self.clients.get(name or "")
        shown = client is not None and client.shows == ("basic" if basic else "post")
        if client is None or not shown or not hmac.compare_digest(secret.encode(), client.secret.encode()):
            raise Refusal("invalid_client", _BAD_CLIENT, 401)
        return client

    def _asserted(self, request: Request, form: Mapping[str, str]) -> Client:
        """SMART Backend Services: a JWT signed by the client, for this very address, never seen before."""
        audience = str(request.url).partition("?")[0]
        for client in self.clients.values():
            if client.shows == "private_key_jwt" and client.key:
                jti = check_assertion(form, client.id, client.key, audience, self._clock())
                if jti is not None and jti not in self._assertions:
                    self._assertions.add(jti)
                    return client
        raise Refusal("invalid_client", _BAD_CLIENT, 401)

    def _from_code(self, client: Client, form: Mapping[str, str]) -> Grant:
        code = self._codes.get(form.get("code", ""))
        if code is None or code.client != client.id or code.used or code.expires < self._clock():
            raise Refusal("invalid_grant", "Invalid credentials submitted")
        code.used = True
        if code.redirect != form.get("redirect_uri"):
            raise Refusal("invalid_grant", "redirect_uri is not that of the login")
        if not fits_challenge(code.challenge, form.get("code_verifier")):
            raise Refusal("invalid_grant", "the code verifier does not fit")
        grant = Grant(client.id, code.scopes, secrets.token_urlsafe(24))
        self._grants.append(grant)
        return grant

    def _from_refresh(self, client: Client, form: Mapping[str, str]) -> Grant:
        shown = form.get("refresh_token", "")
        for grant in self._grants:
            if grant.client == client.id and grant.refresh and hmac.compare_digest(grant.refresh, shown):
                if self.knobs.rotation:
                    grant.refresh = secrets.token_urlsafe(24)
                return grant
        raise Refusal("invalid_grant", "Invalid credentials submitted")

    def _from_client(self, client: Client, form: Mapping[str, str]) -> Grant:
        asked = tuple(form.get("scope", "").split()) or tuple(sorted(client.scopes))
        if not set(asked) <= client.scopes:
            raise Refusal("invalid_scope", "a scope is not granted")
        grant = Grant(client.id, asked)
        self._grants.append(grant)
        return grant

    def _issue(self, grant: Grant) -> dict[str, Any]:
        self.issued += 1
        token = secrets.token_urlsafe(24)
        grant.access[token] = self._clock() + self.knobs.lifetime
        scope = list(grant.scopes) if self._scope_list else " ".join(grant.scopes)
        answer = {"access_token": token, "token_type": "bearer", "expires_in": round(self.knobs.lifetime)}
        return {**answer, "scope": scope, **({"refresh_token": grant.refresh} if grant.refresh else {})}


_GRANTS: dict[str, Callable[[OAuthServer, Client, Mapping[str, str]], Grant]] = {
    "authorization_code": OAuthServer._from_code,
    "refresh_token": OAuthServer._from_refresh,
    "client_credentials": OAuthServer._from_client,
}


def _back(redirect: str, asked: Mapping[str, str], **answer: str) -> Response:
    state = {"state": asked["state"]} if "state" in asked else {}
    mark = "&" if urlsplit(redirect).query else "?"
    return RedirectResponse(f"{redirect}{mark}{urlencode({**answer, **state})}", 302)


def _page(client: str, scopes: Iterable[str]) -> str:
    asked = html.escape(f"{client} asks for {' '.join(scopes)}")
    buttons = "".join(f'<button name="decision" value="{one}">{one}</button>' for one in ("approve", "deny"))
    return f'<h1>Allow access?</h1><p>{asked}</p><form method="post">{buttons}</form>'
