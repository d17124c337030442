"""The only way out: one HTTP client per process, which drives the connectors' calls.

TLS is always verified, redirects are not followed, answers are bounded in size and time, cookies are not kept, and
every address is checked first (`guard`). Nothing of a payload or a credential is in messages or logs.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

import httpx

from gateway.connectors.call import KEYED, Call, Reply
from gateway.connectors.config import RateLimit
from gateway.delivery import guard, transport
from gateway.delivery.guard import Address, Network
from gateway.delivery.limits import Limits
from gateway.delivery.retry import parse_retry_after
from gateway.errors import PartnerError, PartnerLoginExpired, PartnerRejected, PartnerUnavailable, PartnerUnknown
from gateway.fhir import json

T = TypeVar("T")

CONNECT_TIMEOUT = 10.0
LARGEST_ANSWER = 50_000_000
_WAIT = (429, 503)
_ENCODINGS = ("identity", "gzip", "deflate")
"""Of these one: what was packed twice grows a million-fold in one step, before its size can be looked at."""
_HEADERS = {"accept": "application/json", "accept-encoding": "gzip, deflate", "user-agent": "fhir-gateway"}


class Login(Protocol):
    """Credentials that have to be fetched, and fetched again when they are no longer taken."""

    async def headers(self) -> Mapping[str, str]:
        """Those to use now. Raises PartnerLoginExpired when there are none, PartnerUnavailable when not now."""

    async def renew(self, refused: Mapping[str, str]) -> Mapping[str, str]:
        """After a 401 to `refused`: newer ones. Raises PartnerLoginExpired when there are none."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a connector's calls go. `headers` and `login` are the credentials, kept out of repr and so out of logs;
    they are sent to the endpoint's own origin only. `others`: addresses that get headers of their own instead."""

    name: str
    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    networks: tuple[Network, ...] = ()
    timeout: float = 30.0
    largest_answer: int = LARGEST_ANSWER
    login: Login | None = field(default=None, repr=False)
    others: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    identifier_key: str | None = field(default=None, repr=False)
    rate: RateLimit | None = None

    def url(self, path: str) -> httpx.URL:
        """The address of a call: below the endpoint, or an absolute one as it is. Raises PartnerRejected for none."""
        return address(path if path.startswith(("http://", "https://")) else self.endpoint + path)

    def is_own(self, path: str) -> bool:
        """Whether credentials may be sent there: the endpoint's own origin (RFC 6454). What a system names as its next
        page is a path as well, and `@elsewhere` behind our endpoint would be another host."""
        url, own = self.url(path), address(self.endpoint)
        return (url.scheme, url.host, url.port) == (own.scheme, own.host, own.port)


@lru_cache(maxsize=256)  # writes go to the same few addresses
def address(url: str) -> httpx.URL:
    """What can be called: a next page is what they say it is, a webhook what they ask for. Raises PartnerRejected."""
    try:
        found = httpx.URL(url)
        _ = found.host  # decoded here, which a name such as `xn--` does not survive
        return found
    except (httpx.InvalidURL, UnicodeError):
        raise PartnerRejected("what was to be called is no address") from None


class Outbound:
    """The shared client; open once per process (`async with Outbound() as outbound`). `allowed`: private networks where
    any system may be."""

    def __init__(
        self, *, allowed: Sequence[str] = (), clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._allowed = guard.networks(allowed)
        self._clock = clock
        self.limits = Limits()
        self._transport: httpx.AsyncBaseTransport | None = None

    async def __aenter__(self) -> Outbound:
        # The transport itself: redirects, cookies, proxies and netrc are the client's, and none of them is wanted here.
        self._transport = transport.create()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None

    async def run(self, calls: Generator[Call, Reply, T], peer: Peer) -> T:
        """Feed a connector's generator with replies until it returns; all its calls share the peer's timeout, so that
        nothing is sent later than was announced.

        Raises what it raises, and PartnerUnavailable (nothing was done there), PartnerUnknown (perhaps) or
        PartnerLoginExpired (401 to our credentials).
        """
        return await self._feed(calls, peer, asyncio.get_running_loop().time() + peer.timeout)

    async def ask(self, calls: Generator[Call, Reply, T], peer: Peer) -> T:
        """The same where nothing is announced: each call has the timeout to itself, as there may be hundreds."""
        return await self._feed(calls, peer, None)

    async def _feed(self, calls: Generator[Call, Reply, T], peer: Peer, deadline: float | None) -> T:
        written = False
        try:
            call = next(calls)
            while True:
                reply = await (self.send(call, peer) if deadline is None else self._send(call, peer, deadline))
                if reply.status == 401 and call.auth and peer.is_own(call.path):
                    raise PartnerLoginExpired(f"{peer.name} no longer takes our login (401)")
                written = written or (reply.ok and not call.safe)
                call = calls.send(reply)
        except StopIteration as finished:
            result: T = finished.value
            return result
        except (PartnerUnavailable, PartnerLoginExpired) as error:
            if written:
                raise PartnerUnknown(f"{error.message}, after a first call had been accepted") from None
            raise
        finally:
            calls.close()

    async def send(self, call: Call, peer: Peer) -> Reply:
        """One call. 429, 5xx and everything that is no answer are raised; all other answers are the connector's."""
        return await self._send(call, peer, asyncio.get_running_loop().time() + peer.timeout)

    async def _send(self, call: Call, peer: Peer, deadline: float) -> Reply:
        """With the peer's credentials; when they are refused, once more with newer ones (nothing was done there)."""
        if call.method == KEYED:
            return _keyed(call, peer)
        url = peer.url(call.path)
        if call.auth and (other := peer.others.get(call.path)) is not None:
            return await self._sent(call, peer, url, other, deadline)
        own = call.auth and peer.is_own(call.path)
        ours = peer.headers if own else {}
        if peer.login is None or not own:
            return await self._sent(call, peer, url, ours, deadline)
        login = await peer.login.headers()
        reply = await self._sent(call, peer, url, {**ours, **login}, deadline)
        if reply.status == 401:
            login = await peer.login.renew(login)
            reply = await self._sent(call, peer, url, {**ours, **login}, deadline)
        return reply

    async def _sent(
        self, call: Call, peer: Peer, url: httpx.URL, credentials: Mapping[str, str], deadline: float
    ) -> Reply:
        encrypted = url.scheme == "https"
        addresses = await guard.resolve(
            url.host, url.port or 443, allowed=(*self._allowed, *peer.networks), encrypted=encrypted
        )
        await self.limits.take(peer.name, peer.rate, deadline)
        if asyncio.get_running_loop().time() >= deadline:
            raise PartnerUnavailable(f"{peer.name} was too slow for another call")
        try:
            async with asyncio.timeout_at(deadline):
                reply = await self._first_answer(call, peer, url, credentials, addresses)
        except TimeoutError:
            raise _lost(call, peer, "did not answer in time") from None
        except transport.ERRORS as error:
            if transport.never_sent(error):
                raise PartnerUnavailable(f"{peer.name} cannot be reached", reached=False) from None
            raise _lost(call, peer, "broke the connection") from None
        return self._judged(call, peer, reply)

    async def _first_answer(
        self, call: Call, peer: Peer, url: httpx.URL, credentials: Mapping[str, str], addresses: list[Address]
    ) -> Reply:
        """From the first address that takes the connection: what was sent to one is never sent to the next."""
        for address in addresses[:-1]:
            try:
                return await self._exchange(call, peer, url, credentials, address)
            except transport.ERRORS as error:
                if not transport.never_sent(error):
                    raise
        return await self._exchange(call, peer, url, credentials, addresses[-1])

    async def _exchange(
        self, call: Call, peer: Peer, url: httpx.URL, credentials: Mapping[str, str], address: Address
    ) -> Reply:
        if self._transport is None:
            raise RuntimeError("Outbound is used outside its 'async with'")
        response = await self._transport.handle_async_request(_request(call, peer, url, credentials, address))
        body = bytearray()
        try:
            if response.headers.get("content-encoding", "identity").strip().lower() not in _ENCODINGS:
                raise _lost(call, peer, "answered in an encoding that was not asked for")
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > peer.largest_answer:
                    raise _lost(call, peer, "answered with more than we read")
        finally:
            await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status_code, headers, bytes(body), str(url))

    def _judged(self, call: Call, peer: Peer, reply: Reply) -> Reply:
        if reply.status in _WAIT:
            seconds = parse_retry_after(reply.headers.get("retry-after"), self._clock())
            raise PartnerUnavailable(f"{peer.name} asked us to wait ({reply.status})", retry_after=seconds)
        if reply.status >= 500:
            raise _lost(call, peer, f"failed with status {reply.status}")
        return reply


def _keyed(call: Call, peer: Peer) -> Reply:
    if peer.identifier_key is None:
        raise PartnerRejected(f"the connector {peer.name} has no identifier key")
    digest = hmac.new(peer.identifier_key.encode(), call.path.encode(), hashlib.sha256)
    return Reply(200, body=digest.hexdigest().encode())


def _request(call: Call, peer: Peer, url: httpx.URL, credentials: Mapping[str, str], address: Address) -> httpx.Request:
    """The checked address in the URL; the name stays in Host and in the TLS handshake."""
    media, body = _content(call)
    headers = {**_HEADERS, "host": url.netloc.decode("ascii")} | ({"content-type": media} if media else {})
    given = {name.lower(): value for name, value in {**call.headers, **credentials}.items()}
    named = url.host != str(address)
    return httpx.Request(
        call.method,
        url.copy_with(host=str(address)) if named else url,
        params=call.params or None,
        headers=headers | given,
        content=body,
        extensions=_timeouts(peer.timeout) | ({"sni_hostname": url.host} if named else {}),
    )


@lru_cache(maxsize=64)  # few peers differ in it
def _timeouts(seconds: float) -> dict[str, Any]:
    return {"timeout": httpx.Timeout(seconds, connect=min(CONNECT_TIMEOUT, seconds)).as_dict()}


def _content(call: Call) -> tuple[str | None, bytes]:
    """The media type and the bytes of a call's body."""
    if call.form is not None:
        return "application/x-www-form-urlencoded", urlencode(call.form).encode()
    if call.json is not None:
        return "application/json", json.encode(call.json)
    return None, call.content or b""


def _lost(call: Call, peer: Peer, what: str) -> PartnerError:
    """A call without a usable answer: harmless when it only read, of unknown outcome when it wrote."""
    message = f"{peer.name} {what}"
    return PartnerUnavailable(message) if call.safe else PartnerUnknown(message)
