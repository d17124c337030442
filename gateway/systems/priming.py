"""Priming: an administrator logs in to a system once in the browser, so that we may act there from then on.

A one-time link of ours starts the login, the system sends the browser back to our callback (RFC 6749 §4.1, RFC 7636,
RFC 9700 §2.1). What is under way is kept encrypted, one per connector; of link and state only hashes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import urlencode

import msgspec

from gateway.connectors.config import Config
from gateway.delivery.login import OAuth2
from gateway.delivery.logins import Logins
from gateway.errors import Gone, InvalidInput
from gateway.flow import Flow
from gateway.store import AuditRow, Changes, Reader, Tx

LIFE = timedelta(minutes=10)
START = "/oauth/start"
CALLBACK = "/oauth/callback"

Kind = Literal["link", "state"]

_ATTEMPT = "authorizing"
_NO_LINK = "this link is not valid, was used already, or is older than 10 minutes: ask for a new one"
_NO_STATE = "this login was not started here, is finished, or took longer than 10 minutes: ask for a new link"


@dataclass(frozen=True, slots=True)
class Link:
    """To be opened by the administrator; good for one login."""

    url: str
    expires: datetime


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """A login under way; times are seconds of the epoch. Either its link was not opened yet, or it has a `state`."""

    expires: float
    link: str = ""
    state: str = ""
    verifier: str = ""


def new_link(config: Config, public_url: str) -> tuple[Link, Callable[[Tx], None]]:
    """A new link and the job that makes it valid and ends the one before. Raises InvalidInput when this connector
    needs none."""
    _require_browser(config)
    ticket, expires = _ticket(config.name), datetime.now(UTC) + LIFE

    def job(tx: Tx) -> None:
        _keep(tx, config.name, Attempt(expires.timestamp(), link=_digest(ticket)))

    return Link(f"{public_url}{START}/{ticket}", expires), job


class Priming:
    """The two ends of the login in the browser."""

    def __init__(self, flow: Flow, logins: Logins) -> None:
        self._flow = flow
        self._logins = logins

    async def start(self, ticket: str) -> str:
        """Where to send the browser; the link is used up. Raises Gone."""
        login = await self._login("link", ticket, _NO_LINK)
        places = await login.places()
        if places.authorize is None:
            raise InvalidInput(f"{login.config.name} does not say where to log in: set auth.authorizeUrl")
        state, verifier = _ticket(login.config.name), secrets.token_urlsafe(48)

        def job(tx: Tx) -> None:
            _take(tx, login.config.name, "link", ticket, _NO_LINK)
            expires = (tx.now + LIFE).timestamp()
            _keep(tx, login.config.name, Attempt(expires, state=_digest(state), verifier=verifier))

        await self._flow.store.write(job)
        mark = "&" if "?" in places.authorize else "?"
        return f"{places.authorize}{mark}{urlencode(_asked(login, state, verifier))}"

    async def finish(self, state: str, code: str | None) -> str:
        """Make tokens of the code; the connector's name. `code` None = they said no: only the attempt ends.

        Raises Gone for a login we did not start, PartnerRejected when the code is not taken.
        """
        login = await self._login("state", state, _NO_STATE)
        name = login.config.name
        attempt = await self._flow.store.write(lambda tx: _take(tx, name, "state", state, _NO_STATE))
        if code is not None:
            verifier = attempt.verifier if login.config.auth.pkce else None
            await login.exchange(code, login.callback, verifier)
            await self._note(name, None)
        return name

    async def store_access_information(
        self, config: Config, code: str, redirect_uri: str, principal: str, verifier: str | None = None
    ) -> None:
        """Make tokens of a code that somebody else's login page was given. Raises PartnerRejected."""
        _require_browser(config)
        login = self._logins.find(config)
        assert login is not None
        await login.exchange(code, redirect_uri, verifier)
        await self._note(config.name, principal)

    async def _login(self, kind: Kind, ticket: str, refusal: str) -> OAuth2:
        """The login whose link or state this is; whoever has neither learns and causes nothing. Raises Gone."""
        name = ticket.rpartition(".")[0]
        login = await self._flow.store.query(lambda reader: self._found(reader, name, kind, ticket))
        if login is None:
            raise Gone(refusal)
        return login

    def _found(self, reader: Reader, name: str, kind: Kind, ticket: str) -> OAuth2 | None:
        config = self._flow.directory(reader).peers.get(name)
        if config is None or config.auth.grant != "authorization_code":
            return None
        return self._logins.find(config) if _attempt(reader, name, kind, ticket, datetime.now(UTC)) else None

    async def _note(self, connector: str, principal: str | None) -> None:
        row = AuditRow(datetime.now(UTC), principal, connector, "authorize", None, None, 200)
        await self._flow.store.write(lambda tx: tx.write(Changes(audits=[row])))


def _require_browser(config: Config) -> None:
    if config.auth.scheme != "OAuth2" or config.auth.grant != "authorization_code" or config.endpoint is None:
        raise InvalidInput(f"{config.name} logs in by itself: only the grant authorization_code needs a person")


def _asked(login: OAuth2, state: str, verifier: str) -> dict[str, str]:
    auth = login.config.auth
    asked = {"client_id": auth.client_id or "", "response_type": "code", "redirect_uri": login.callback, "state": state}
    if auth.scope:
        asked["scope"] = auth.scope
    if auth.pkce:
        hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked |= {"code_challenge": hashed, "code_challenge_method": "S256"}
    return asked


def _ticket(connector: str) -> str:
    """The connector it is for and 256 random bits."""
    return f"{connector}.{secrets.token_urlsafe(32)}"


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


def _keep(tx: Tx, connector: str, attempt: Attempt) -> None:
    tx.put_secret(connector, _ATTEMPT, msgspec.json.encode(attempt).decode())


def _take(tx: Tx, connector: str, kind: Kind, ticket: str, refusal: str) -> Attempt:
    """The attempt of this link or state, which is used up. Raises Gone."""
    attempt = _attempt(tx, connector, kind, ticket, tx.now)
    if attempt is None:
        raise Gone(refusal)
    _keep(tx, connector, Attempt(0.0))
    return attempt


def _attempt(reader: Reader, connector: str, kind: Kind, ticket: str, now: datetime) -> Attempt | None:
    """What is under way, if this is its link or state and its time is not over."""
    text = reader.secrets(connector).get(_ATTEMPT)
    attempt = msgspec.json.decode(text, type=Attempt) if text else Attempt(0.0)
    expected = attempt.link if kind == "link" else attempt.state
    ours = hmac.compare_digest(expected, _digest(ticket))
    return attempt if ours and attempt.expires >= now.timestamp() else None
