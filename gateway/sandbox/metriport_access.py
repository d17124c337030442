"""Who somebody is to Metriport: identity sessions, the AAL2 challenge, the embed token (metriport.md, "IAS")."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from gateway.sandbox import metriport_shapes as shapes
from gateway.sandbox.metriport_data import Data
from gateway.sandbox.metriport_http import Asked, invalid, missing

_LIFE = timedelta(minutes=30)
_LONGEST_TOKEN = 36_000


@dataclass(slots=True)
class Access:
    """Sessions and challenges until a browser has been through them."""

    data: Data
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    challenges: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[str, float] = field(default_factory=dict)

    def session(self, asked: Asked) -> dict[str, Any]:
        body = asked.object()
        patient = self._patient(body)
        redirect, data = _redirect(body), shapes.metadata(body)
        session = f"ids_{secrets.token_hex(12)}"
        self.sessions[session] = {"patient": patient["id"], "redirectUrl": redirect, "metadata": data}
        url = f"{asked.base}/ias/s/{session}"
        return {"sessionId": session, "sessionUrl": url, "expiresAt": self._end(), "status": "pending"}

    def challenge(self, asked: Asked) -> dict[str, Any]:
        body = asked.object()
        identity = body.get("proofedIdentityId")
        if not identity:
            raise invalid(("Required", "proofedIdentityId"))
        if identity not in self.data.proofed:
            raise missing(f"proofed identity {identity}")
        challenge = f"aalc_{secrets.token_hex(12)}"
        self.challenges[challenge] = {"identity": identity, "redirectUrl": _redirect(body)}
        url = f"{asked.base}/ias/aal2/{challenge}"
        return {"challengeId": challenge, "challengeUrl": url, "expiresAt": self._end(), "method": "totp"}

    def token(self, asked: Asked) -> dict[str, Any]:
        body = asked.object() if asked.body is not None else {}
        seconds = body.get("expirationInSeconds", _LONGEST_TOKEN)
        if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 < seconds <= _LONGEST_TOKEN:
            raise invalid((f"Must be between 1 and {_LONGEST_TOKEN}", "expirationInSeconds"))
        token = str(uuid.uuid4())
        self.tokens[token] = self.data.account.clock.now() + seconds
        return {"token": token}

    async def prove(self, request: Request) -> Response:
        """The page where somebody shows who she is: here every visitor passes."""
        session = self.sessions.get(request.path_params["session"])
        if session is None:
            return JSONResponse({"message": "no such session"}, 404)
        identity = f"pid_{secrets.token_hex(12)}"
        self.data.proofed[identity] = session["patient"]
        names = self.data.account.names(self.data.account.patients[session["patient"]])
        payload = {**names, "proofedIdentityId": identity, "sessionId": request.path_params["session"]}
        self.data.account.hooks.tell("ias.identity.verified", {"payload": payload}, data=session["metadata"])
        return _back(session["redirectUrl"], {"sessionId": request.path_params["session"], "status": "verified"})

    async def verify(self, request: Request) -> Response:
        """The page of the second factor: every visitor has it."""
        challenge = self.challenges.get(request.path_params["challenge"])
        if challenge is None:
            return JSONResponse({"message": "no such challenge"}, 404)
        session = f"aal2_{secrets.token_hex(12)}"
        self.data.aal2[session] = challenge["identity"]
        return _back(challenge["redirectUrl"], {"aal2SessionId": session, "status": "verified"})

    def _patient(self, body: Mapping[str, Any]) -> dict[str, Any]:
        wanted = body.get("patientId")
        if not wanted:
            raise invalid(("Required", "patientId"))
        if wanted not in self.data.account.patients:
            raise missing(f"patient {wanted}")
        return self.data.account.patients[wanted]

    def _end(self) -> str:
        at = datetime.fromtimestamp(self.data.account.clock.now(), UTC) + _LIFE
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _redirect(body: Mapping[str, Any]) -> str:
    url = body.get("redirectUrl")
    if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
        raise invalid(("Invalid url", "redirectUrl"))
    return url


def _back(url: str, more: Mapping[str, str]) -> Response:
    return RedirectResponse(f"{url}{'&' if '?' in url else '?'}{urlencode(more)}", 302)
