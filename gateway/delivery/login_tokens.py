"""Tokens: what a token endpoint gave, how it is asked for, and what its answer means (RFC 6749 §4, §5, §6)."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gateway.connectors.call import Call, Reply
from gateway.connectors.config import CLIENT_SECRET, PRIVATE_KEY, Config
from gateway.connectors.protocol import Redirected
from gateway.delivery import login_assertion
from gateway.errors import PartnerLoginExpired, PartnerUnavailable

AHEAD = 0.8
"""The part of its life after which a token is refreshed: there is time left if that fails."""
_MARGIN = 0.1
_LONGEST_MARGIN = 10.0
"""A token this close to its end is not used any more: a tenth of its life, at most so many seconds."""
_LONGEST_WORD = 40


class Tokens(msgspec.Struct, frozen=True, omit_defaults=True):
    """Kept encrypted in the vault. Times are seconds of the epoch; `expires` None = they did not say."""

    access: str
    obtained: float
    expires: float | None = None
    refresh: str | None = None
    scope: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.access}"}

    def usable(self, now: float) -> bool:
        margin = min(_MARGIN * self._life, _LONGEST_MARGIN)
        return self.expires is None or self.expires - margin > now

    @property
    def refresh_at(self) -> float | None:
        """When to refresh it ahead of time."""
        return self.obtained + AHEAD * self._life if self._life else None

    @property
    def _life(self) -> float:
        return 0.0 if self.expires is None else self.expires - self.obtained


class _Answer(msgspec.Struct):
    """`scope` is text by the standard; CampDoc sends a list."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105
    refresh_token: str | None = None
    expires_in: Any = None
    scope: Any = None


def refresh_call(url: str, config: Config, secrets: Mapping[str, str], tokens: Tokens | None, callback: str) -> Call:
    """The request for new tokens by the connector's grant.

    Raises PartnerLoginExpired where only a person can get the first ones.
    """
    if config.auth.grant != "authorization_code":
        return _call(url, config, secrets, grant_type="client_credentials", scope=config.auth.scope)
    if tokens is None or tokens.refresh is None:
        raise PartnerLoginExpired(f"{config.name} is not authorised: run 'gateway connectors authorize {config.name}'")
    redirect = callback if isinstance(config.connector, Redirected) else None
    return _call(url, config, secrets, grant_type="refresh_token", refresh_token=tokens.refresh, redirect_uri=redirect)


def exchange_call(
    url: str, config: Config, secrets: Mapping[str, str], code: str, callback: str, verifier: str | None
) -> Call:
    """The request that makes tokens of a code."""
    asked = {"code": code, "redirect_uri": callback, "code_verifier": verifier}
    return _call(url, config, secrets, grant_type="authorization_code", **asked)


def read_answer(reply: Reply, name: str, now: float, before: Tokens | None) -> Tokens:
    """The tokens of an answer; an unchanged refresh token may be left out (RFC 6749 §6).

    Raises PartnerLoginExpired when they refuse us, PartnerUnavailable when the answer is none.
    """
    if 400 <= reply.status < 500:
        raise PartnerLoginExpired(f"{name} refused our login with status {reply.status}{_word(reply)}")
    answer = reply.find(_Answer) if reply.ok else None
    if answer is None or not answer.access_token.isprintable() or answer.token_type.lower() != "bearer":
        raise PartnerUnavailable(f"{name} answered a login without a bearer token (status {reply.status})")
    life = _seconds(answer.expires_in)
    kept = before.refresh if before else None
    return Tokens(
        answer.access_token,
        now,
        now + life if life is not None else None,
        answer.refresh_token or kept,
        tuple(_scopes(answer.scope)),
    )


def _call(url: str, config: Config, secrets: Mapping[str, str], **form: str | None) -> Call:
    shown, headers = _client(url, config, secrets)
    fields = tuple((name, value) for name, value in (form | shown).items() if value)
    return Call("POST", url, headers=headers, form=fields, auth=False)


def _client(url: str, config: Config, secrets: Mapping[str, str]) -> tuple[dict[str, str | None], dict[str, str]]:
    """How the client shows itself: fields of the form and headers, exactly one way (RFC 6749 §2.3)."""
    client_id, secret = config.auth.client_id or "", secrets.get(CLIENT_SECRET)
    if config.auth.grant == "backend_services":
        made = login_assertion.make(client_id, url, secrets[PRIVATE_KEY])
        return {"client_assertion_type": login_assertion.TYPE, "client_assertion": made}, {}
    if secret is None:
        return {"client_id": client_id}, {}
    if config.auth.client_in == "form":
        return {"client_id": client_id, "client_secret": secret}, {}
    pair = f"{client_id}:{secret}".encode()  # as it is: hardly a server undoes the encoding that the RFC asks for
    return {}, {"authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _word(reply: Reply) -> str:
    """Their error code, which is a word of a short list (RFC 6749 §5.2); nothing else of their answer is repeated."""
    error = (reply.find_object() or {}).get("error")
    short = isinstance(error, str) and len(error) <= _LONGEST_WORD and error.replace("_", "").isalnum()
    return f" ({error})" if short else ""


def _seconds(value: Any) -> float | None:
    try:
        return max(float(value), 0.0) if value is not None else None
    except (TypeError, ValueError):
        return None


def _scopes(value: Any) -> Iterator[str]:
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, str):
            yield from part.split()
