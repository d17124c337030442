"""Login: the credentials of a connector, as its configuration says (RFC 7617 basic, RFC 6749 OAuth 2, SMART).

Tokens are kept encrypted in the vault, refreshed ahead of their end, and once at a time across all processes: a lock in
the database orders them. A new token is stored before it is used. A refresh token that is single use is lost only if
the process dies between the answer and that store; so the store is the first thing done with an answer, nothing cancels
it, and it happens early: the access token is good for another fifth of its life. The next process tries the old refresh
token once more, and only if that is refused somebody has to authorise again.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from gateway.connectors.call import Call, Reply
from gateway.connectors.config import API_KEY, OTHER_KEY, PASSWORD, Config
from gateway.connectors.protocol import Elsewhere
from gateway.delivery import login_tokens
from gateway.delivery.http import Outbound, Peer
from gateway.delivery.login_places import Places, find_places
from gateway.delivery.login_safe import Safe
from gateway.delivery.login_tokens import Tokens
from gateway.errors import (
    InvalidInput,
    PartnerLoginExpired,
    PartnerRejected,
    PartnerUnavailable,
    PartnerUnknown,
    StoreBusy,
)

_LOOK_AGAIN = 0.05
"""Seconds between two looks whether the process that is refreshing is done."""
_REFUSED_FOR = 60.0
"""Seconds that a refusal is believed, so that waiting deliveries do not all ask again."""
_STORE_WAITS = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds between tries to store what was fetched."""
_LEASE_OVER = 15.0
"""Seconds of lease beyond the longest request: the lock outlives it and the tries to store."""


def fixed(config: Config, secrets: Mapping[str, str]) -> dict[str, str]:
    """The headers of a scheme whose credentials never change; none for the others."""
    if config.auth.scheme == "apiKey":
        return {config.auth.header: secrets[API_KEY]}
    if config.auth.scheme == "basic":
        pair = f"{config.auth.username}:{secrets[PASSWORD]}".encode()
        return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def elsewhere(config: Config, secrets: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The headers for an address beside the endpoint that takes a key of its own."""
    place = config.connector.elsewhere(config.chosen) if isinstance(config.connector, Elsewhere) else None
    return {place[0]: {place[1]: secrets[OTHER_KEY]}} if place and OTHER_KEY in secrets else {}


@dataclass(frozen=True, slots=True)
class Refused:
    """What was refused, when and why."""

    asked: tuple[Tokens | None, Mapping[str, str]]
    at: float
    error: PartnerLoginExpired


class OAuth2:
    """The login of one connector in this process. `callback` = our own redirect address, where the connector names
    none; `clock` = seconds of the epoch."""

    def __init__(
        self,
        config: Config,
        peer: Peer,
        safe: Safe,
        outbound: Outbound,
        *,
        callback: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self.callback = config.auth.redirect_uri or callback
        self._peer = replace(peer, headers={}, login=None)
        self._safe = safe
        self._outbound = outbound
        self._clock = clock
        self._tokens: Tokens | None = None
        self._places: Places | None = None
        self._refused: Refused | None = None
        self._refreshing: asyncio.Task[Tokens] | None = None

    async def headers(self) -> Mapping[str, str]:
        """Those to use now. Raises PartnerLoginExpired when there are none, PartnerUnavailable when not now."""
        if self._tokens is None or not self._tokens.usable(self._clock()):
            self._tokens = await self._safe.tokens()
        if self._tokens is None or not self._tokens.usable(self._clock()):
            await self._refresh(self._tokens)
        assert self._tokens is not None
        return self._tokens.headers

    async def renew(self, refused: Mapping[str, str]) -> Mapping[str, str]:
        """After a 401 to `refused`: newer ones. Raises PartnerLoginExpired when there are none."""
        kept = await self._safe.tokens()
        if kept is None or kept.headers == refused or not kept.usable(self._clock()):
            kept = await self._refresh(kept)
        self._tokens = kept
        return kept.headers

    async def refresh_ahead(self) -> float | None:
        """Refresh when it is time to; when it will be time next, None when nothing is known to end."""
        if self._tokens is None:
            self._tokens = await self._safe.tokens()
        due = self._tokens.refresh_at if self._tokens else None
        if due is not None and due <= self._clock():
            due = (await self._refresh(self._tokens)).refresh_at
        if self._tokens is not None and self._refused is None and self._tokens.usable(self._clock()):
            await self._safe.reconsider(self._tokens)
        return due

    async def exchange(self, code: str, callback: str, verifier: str | None) -> None:
        """Make tokens of the code of a login in the browser, and keep them.

        Raises PartnerRejected when they do not take the code.
        """
        secrets = await self._safe.secrets()
        url = (await self.places()).token
        call = login_tokens.exchange_call(url, self.config, secrets, code, callback, verifier)
        try:
            tokens = login_tokens.read_answer(await self._send(call), self.config.name, self._clock(), None)
        except PartnerLoginExpired as error:
            raise PartnerRejected(error.message) from None
        await self._safe.store_first(tokens)
        self._tokens, self._refused = tokens, None

    async def places(self) -> Places:
        """Where they log in and give tokens; a FHIR server is asked once."""
        if self._places is None:
            self._places = await find_places(self.config, self._peer, self._outbound)
        return self._places

    async def close(self) -> None:
        """A refresh under way is brought to its end: its answer may be the only one."""
        if self._refreshing is not None:
            await asyncio.wait([self._refreshing])

    async def _refresh(self, stale: Tokens | None) -> Tokens:
        """Everybody in this process waits for the same refresh, and nobody who gives up stops it."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refreshed(stale))
            self._refreshing.add_done_callback(_look_at_error)
        return await asyncio.shield(self._refreshing)

    async def _refreshed(self, stale: Tokens | None) -> Tokens:
        secrets = await self._safe.secrets()
        self._raise_known_refusal((stale, secrets))
        held = await self._take_turn(stale)
        if isinstance(held, Tokens):
            self._tokens = held
            return held
        try:
            fresh = await self._fetch(stale, secrets)
        except PartnerLoginExpired as error:
            self._tokens = await self._safe.refused(held, stale, error)
            if self._tokens is None:
                self._refused = Refused((stale, secrets), self._clock(), error)
                raise
        except BaseException:
            await self._safe.free(held)
            raise
        else:
            self._tokens = await self._kept(held, stale, fresh)
            self._refused = None
        return self._tokens

    async def _kept(self, fence: int, stale: Tokens | None, fresh: Tokens) -> Tokens:
        """What is stored from now on. A busy database is waited for: nobody could ask for these tokens again."""
        for wait in _STORE_WAITS:
            try:
                return await self._safe.store(fence, stale, fresh)
            except StoreBusy:
                await asyncio.sleep(wait)
        return await self._safe.store(fence, stale, fresh)

    async def _take_turn(self, stale: Tokens | None) -> int | Tokens:
        """The fence of the lock once it is ours, or the tokens that another process got meanwhile."""
        lease = timedelta(seconds=self._peer.timeout + _LEASE_OVER)
        deadline = self._clock() + lease.total_seconds()
        while True:
            held = await self._safe.take(stale, lease)
            if held is not None:
                return held
            if self._clock() > deadline:
                raise PartnerUnavailable(f"another process is logging in to {self.config.name}")
            await asyncio.sleep(_LOOK_AGAIN)

    async def _fetch(self, stale: Tokens | None, secrets: Mapping[str, str]) -> Tokens:
        url = (await self.places()).token
        try:
            call = login_tokens.refresh_call(url, self.config, secrets, stale, self.callback)
        except InvalidInput as error:  # a key that cannot sign is a login that a person has to mend
            raise PartnerLoginExpired(error.message) from None
        return login_tokens.read_answer(await self._send(call), self.config.name, self._clock(), stale)

    async def _send(self, call: Call) -> Reply:
        try:
            return await self._outbound.send(call, self._peer)
        except PartnerUnknown as error:  # of the login only: what it was for was not sent
            raise PartnerUnavailable(error.message) from None

    def _raise_known_refusal(self, asked: tuple[Tokens | None, Mapping[str, str]]) -> None:
        known = self._refused
        if known is not None and known.asked == asked and self._clock() < known.at + _REFUSED_FOR:
            raise known.error


def _look_at_error(task: asyncio.Task[Tokens]) -> None:
    """So that a failed refresh whose callers are gone is not reported as forgotten."""
    if not task.cancelled():
        task.exception()
